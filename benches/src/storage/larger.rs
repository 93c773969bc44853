//! Data larger than memory: it loads, serves and starts again; reads against fio; hits against an exact LRU.

use anyhow::{Context, Result};

use super::bar::Bar;
use super::bench::{Bench, GroupResult, RECORD_OVERHEAD_BYTES, TestStore};
use super::exact_lru::ExactLru;
use super::fio::FioRead;
use super::zipf_trace::ZipfTrace;
use crate::client::Client;
use crate::info::Info;
use crate::load::{KEY_DIGITS, Load, Request};
use crate::progress::Progress;
use crate::server::ServerKind;
use resp::Reply;

/// Values of 1 KiB, 20 GB of them.
const KEYS: u64 = 20_000_000;
const VALUE_BYTES: usize = 1024;
/// Memory for them.
const MAXMEMORY_BYTES: u64 = 1 << 30;
/// What the process takes beside what `--maxmemory` counts: the program, its tables and threads (decision 0011).
const UNCOUNTED_BYTES: u64 = 24 << 20;
/// Requests of the Zipf trace; the second half is counted.
const TRACE_REQUESTS: u64 = 6_000_000;
const THETA: f64 = 0.99;
/// What ourod reads for a record: the blocks that it lies in, one or two.
const READ_BYTES: usize = 4096;
/// Connections and pipelines of the uniform GETs: their product is the number in flight. At pipeline 1 each request costs
/// the server a receive and a send beside its read; in a pipeline many share them.
const SHAPES: [(u32, u32); 4] = [(50, 1), (5, 10), (50, 4), (50, 16)];
/// Length of a window, in seconds.
const WINDOW_S: u32 = 5;

/// Measures it.
///
/// # Errors
/// When a program fails.
pub fn run(bench: &Bench, progress: &mut Progress) -> GroupResult {
    let keys = bench.scaled(KEYS);
    let maxmemory = bench.scaled(MAXMEMORY_BYTES);
    let folder = bench.folder()?;
    let spec = bench.spec(ServerKind::Ouro, &["--maxmemory".to_owned(), maxmemory.to_string()]);
    let mut store = TestStore::start(bench, spec, folder.path())?;
    progress.now("larger: load");
    store.load("larger_load", keys, VALUE_BYTES)?;
    let info = store.info("larger_after_load")?;
    let index_bytes_per_key = info.get("data.index_bytes") / keys as f64;
    let mut bars =
        vec![Bar::at_most(format!("index bytes per key, {keys} keys"), 24.0, Some(index_bytes_per_key))];
    progress.now("larger: uniform GETs and fio");
    let shares = uniform(bench, &mut store, keys)?;
    bars.extend(SHAPES.iter().zip(shares).map(|((connections, pipeline), share)| {
        let depth = connections * pipeline;
        let name = format!("uniform GETs per read of fio, {depth} in flight on {connections} connections");
        Bar::at_least(name, 0.8, Some(share))
    }));
    progress.now("larger: zipfian GETs");
    let (hits, exact) = zipfian(&mut store, keys, bench.scaled(TRACE_REQUESTS), maxmemory)?;
    bars.push(Bar::at_least(
        "share of zipfian 0.99 GETs answered from memory, over that of an exact LRU",
        1.0,
        Some(hits / exact),
    ));
    let mut resident_max = store.resident_bytes()?.1;
    progress.now("larger: restarts");
    let stop_s = store.stop()?;
    let clean_s = store.start_again(Some(keys))?;
    store.note("larger_clean_restart", &[("stop_s", stop_s), ("start_s", clean_s)], Vec::new());
    // Some writes that no checkpoint holds yet.
    let mut load = bench.window(Request::Set, 16, (keys, VALUE_BYTES), 3.0);
    load.warmup_s = 0.0;
    store.run("larger_overwrite", &load)?;
    let replay_bytes = store.info("larger_before_kill")?.get("log0_wal.replay_bytes");
    store.kill()?;
    let kill_s = store.start_again(Some(keys))?;
    resident_max = resident_max.max(store.resident_bytes()?.1);
    store.note("larger_kill_restart", &[("start_s", kill_s), ("replay_bytes", replay_bytes)], Vec::new());
    store.note("larger_memory", &[("resident_bytes_max", resident_max as f64)], Vec::new());
    let counted = resident_max.saturating_sub(UNCOUNTED_BYTES) as f64 / maxmemory as f64;
    bars.push(Bar::at_most(
        "most resident memory of the process less 24 MiB, after load, GETs, restart and kill, over --maxmemory",
        1.05,
        Some(counted),
    ));
    Ok((store.finish()?, bars))
}

/// Uniform GETs at some depths, and fio on the same files at the same depths. Returns the share of each shape.
fn uniform(bench: &Bench, store: &mut TestStore<'_>, keys: u64) -> Result<Vec<f64>> {
    let mut ours = Vec::new();
    for (connections, pipeline) in SHAPES {
        let window = bench.window(Request::Get, pipeline, (keys, VALUE_BYTES), WINDOW_S.into());
        let name = format!("larger_uniform_get_c{connections}_p{pipeline}");
        ours.push((connections * pipeline, store.run(&name, &Load { connections, ..window })?));
        store.info(&format!("{name}_info"))?;
    }
    // The files lie still while fio reads them.
    store.stop()?;
    let files = store.data_files()?;
    let mut shares = Vec::new();
    for (depth, figures) in &ours {
        let (files, depth, cpu) = (files.clone(), *depth, bench.server_cpu);
        let read = FioRead { files, block_bytes: READ_BYTES, depth, seconds: WINDOW_S, cpu };
        let fio = read.run(&bench.dir)?;
        let gets = figures.get("ops_s").copied().context("loadgen gave no rate")?;
        shares.push(gets / fio.iops);
        let noted = [("iops", fio.iops), ("p99_us", fio.p99_us), ("gets_per_read", gets / fio.iops)];
        store.note(&format!("larger_fio_depth_{depth}"), &noted, fio.command);
    }
    store.start_again(Some(keys))?;
    Ok(shares)
}

/// A Zipf trace of GETs. Returns the share of those answered from memory, and that of an exact LRU with room for as
/// many records as fit in the memory that the index leaves.
fn zipfian(store: &mut TestStore<'_>, keys: u64, requests: u64, maxmemory: u64) -> Result<(f64, f64)> {
    let trace = ZipfTrace::new(keys, THETA, 1);
    let half = requests / 2;
    let mut ours = trace.clone();
    let mut client = store.server()?.connect()?;
    ask(&mut client, &mut ours, half)?;
    // INFO is as of the last turn, which is over when the next command is answered.
    let before = settled(store)?;
    ask(&mut client, &mut ours, requests - half)?;
    let after = settled(store)?;
    let counted = (requests - half) as f64;
    let hits = 1.0 - after.since(&before, "data.cold_reads") / counted;
    let record_bytes = VALUE_BYTES as u64 + RECORD_OVERHEAD_BYTES;
    let index_bytes = after.get("data.index_bytes");
    let room = (maxmemory as f64 - index_bytes).max(0.0) / record_bytes as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of records")]
    let mut lru = ExactLru::new(u32::try_from(keys)?, room as usize);
    let (mut trace, mut lru_hits) = (trace, 0u64);
    for at in 0..requests {
        let hit = lru.ask(u32::try_from(trace.next_key())?);
        lru_hits += u64::from(hit && at >= half);
    }
    let exact = lru_hits as f64 / counted;
    let figures = [
        ("requests_counted", counted),
        ("hits_from_memory", hits),
        ("exact_lru_hits", exact),
        ("exact_lru_records", room.floor()),
    ];
    store.note("larger_zipfian_trace", &figures, Vec::new());
    store.info("larger_zipfian_info")?;
    Ok((hits, exact))
}

fn settled(store: &TestStore<'_>) -> Result<Info> {
    std::thread::sleep(std::time::Duration::from_millis(500));
    Info::ask(store.server()?)
}

/// GETs of the next keys of a trace, some hundred at a time.
fn ask(client: &mut Client, trace: &mut ZipfTrace, requests: u64) -> Result<()> {
    const BATCH: u64 = 256;
    for first in (0..requests).step_by(256) {
        let count = BATCH.min(requests - first);
        for _ in 0..count {
            let key = format!("key:{:0width$}", trace.next_key(), width = KEY_DIGITS);
            client.push(&[b"GET", key.as_bytes()]);
        }
        client.send()?;
        for _ in 0..count {
            let reply = client.reply()?;
            anyhow::ensure!(matches!(reply, Reply::Bulk(_)), "GET answers {reply:?}");
        }
    }
    Ok(())
}
