//! What it costs others when the time of millions of keys ends at once: in memory, and on disk where they are larger than it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use resp::Reply;

use super::bar::Bar;
use super::bench::{Bench, GroupResult, TestStore};
use crate::client::Client;
use crate::load::{Figures, KEY_DIGITS, Request};
use crate::progress::Progress;
use crate::report::Run;
use crate::server::{Durability, ServerKind};

/// Keys of the traffic that goes on: they stay.
const STAYING_KEYS: u64 = 100_000;
/// Bytes of their values.
const STAYING_BYTES: usize = 100;
/// Requests a second of it.
const RATE: f64 = 20_000.0;
/// Seconds that are measured before the end, and from it on.
const QUIET_S: f64 = 10.0;
const BUSY_S: f64 = 60.0;
/// Keys a second that the server takes while it is filled, at least: how far off the end has to be.
const FILL_PER_S: u64 = 100_000;
/// Requests of one pipeline while it is filled.
const PIPELINE: u64 = 512;
/// How often it is looked whether all are gone.
const POLL: Duration = Duration::from_millis(100);

/// Keys that end at once.
struct Ending {
    name: &'static str,
    keys: u64,
    value_bytes: usize,
    durability: Durability,
    options: Vec<String>,
}

/// Measures both.
///
/// # Errors
/// When a program fails.
pub fn run(bench: &Bench, progress: &mut Progress) -> GroupResult {
    let maxmemory = bench.scaled(200 << 20).max(32 << 20);
    let both = [
        Ending {
            name: "memory",
            keys: bench.scaled(10_000_000),
            value_bytes: 8,
            durability: Durability::Memory,
            options: Vec::new(),
        },
        Ending {
            name: "disk",
            keys: bench.scaled(5_000_000),
            value_bytes: 200,
            durability: Durability::Always,
            options: vec!["--maxmemory".to_owned(), maxmemory.to_string()],
        },
    ];
    let (mut runs, mut bars) = (Vec::new(), Vec::new());
    for ending in &both {
        let (more_runs, more_bars) = measure(bench, progress, ending)?;
        runs.extend(more_runs);
        bars.extend(more_bars);
    }
    Ok((runs, bars))
}

fn measure(bench: &Bench, progress: &mut Progress, ending: &Ending) -> Result<(Vec<Run>, Vec<Bar>)> {
    let (name, keys) = (ending.name, ending.keys);
    progress.now(&format!("expiry: {keys} keys in {name} are written"));
    let folder = bench.folder()?;
    let mut spec = bench.spec(ServerKind::Ouro, &ending.options);
    spec.durability = ending.durability;
    let mut store = TestStore::start(bench, spec, folder.path())?;
    store.load(&format!("expiry_{name}_load"), STAYING_KEYS, STAYING_BYTES)?;
    let (resident_before, _) = store.resident_bytes()?;
    let fill = Duration::from_secs(keys / FILL_PER_S + 2);
    let quiet = Duration::from_secs_f64(QUIET_S + 5.0);
    let (ends, ends_ms) = (Instant::now() + fill + quiet, unix_ms()? + (fill + quiet).as_millis());
    write_ending(&mut store.server()?.connect()?, ending, ends_ms)?;
    if Instant::now() + quiet > ends {
        bail!("writing {keys} keys took longer than {} s", fill.as_secs());
    }
    progress.now(&format!("expiry: before {keys} keys in {name} end"));
    let traffic = (STAYING_KEYS, STAYING_BYTES);
    let mut load = bench.window(Request::Set, 1, traffic, QUIET_S);
    load.rate = Some(RATE);
    let before = store.run(&format!("expiry_{name}_quiet"), &load)?;
    let (resident_full, _) = store.resident_bytes()?;
    std::thread::sleep(ends.saturating_duration_since(Instant::now()));
    progress.now(&format!("expiry: {keys} keys in {name} end"));
    load.window_s = BUSY_S;
    load.warmup_s = 0.0;
    let (during, gone_s) = {
        let mut watcher = store.server()?.connect()?;
        let watching = std::thread::spawn(move || seconds_until_gone(&mut watcher));
        let during = store.run(&format!("expiry_{name}_busy"), &load)?;
        let gone_s = watching.join().ok().context("watching ended in a panic")??;
        (during, gone_s)
    };
    let (resident_after, _) = store.resident_bytes()?;
    let info = store.info(&format!("expiry_{name}_info"))?;
    let slow = info.get("worker0_turn_us.over_20_ms");
    let times = p99(&during)? / p99(&before)?;
    let taken = resident_full.saturating_sub(resident_before) as f64;
    let returned = resident_full.saturating_sub(resident_after) as f64 / taken;
    let noted = [
        ("keys", keys as f64),
        ("gone_s", gone_s),
        ("p99_times", times),
        ("turns_over_20_ms", slow),
        ("resident_bytes_before", resident_before as f64),
        ("resident_bytes_full", resident_full as f64),
        ("resident_bytes_after", resident_after as f64),
    ];
    store.note(&format!("expiry_{name}"), &noted, Vec::new());
    let mut bars = vec![
        Bar::at_most(
            format!("seconds until {keys} keys in {name} that end at once are gone"),
            60.0,
            Some(gone_s),
        ),
        Bar::at_most(
            format!("p99 of SET at {RATE:.0} a second while {keys} keys in {name} end, over before"),
            2.0,
            Some(times),
        ),
    ];
    // On disk memory goes to other records.
    if ending.durability == Durability::Memory {
        bars.push(Bar::at_least(
            format!("of the resident memory that {keys} keys in {name} took, given back"),
            0.9,
            Some(returned),
        ));
    }
    Ok((store.finish()?, bars))
}

fn p99(figures: &Figures) -> Result<f64> {
    figures.get("p99_us").copied().context("too few requests for a p99")
}

fn unix_ms() -> Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())
}

/// Writes keys that all end at this time.
fn write_ending(client: &mut Client, ending: &Ending, ends_ms: u128) -> Result<()> {
    let (value, ends) = (vec![b'v'; ending.value_bytes], ends_ms.to_string());
    let mut first = 0;
    while first < ending.keys {
        let last = ending.keys.min(first + PIPELINE);
        for number in first..last {
            let key = format!("end:{number:0KEY_DIGITS$}");
            client.push(&[b"SET", key.as_bytes(), &value, b"PXAT", ends.as_bytes()]);
        }
        client.send()?;
        for _ in first..last {
            match client.reply()? {
                Reply::Simple(text) if text == b"OK" => {}
                other => bail!("SET answers {other:?}"),
            }
        }
        first = last;
    }
    Ok(())
}

/// Seconds from now until only the keys that stay are there.
fn seconds_until_gone(client: &mut Client) -> Result<f64> {
    let began = Instant::now();
    loop {
        if client.key_count()?.is_some_and(|count| count <= STAYING_KEYS) {
            return Ok(began.elapsed().as_secs_f64());
        }
        if began.elapsed().as_secs_f64() > 10.0 * BUSY_S {
            bail!("keys that have ended are still there after {} s", began.elapsed().as_secs());
        }
        std::thread::sleep(POLL);
    }
}
