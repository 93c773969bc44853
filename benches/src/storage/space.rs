//! What overwriting costs: bytes written, disk space, latency while compaction and checkpoints run.

use anyhow::{Context, Result};

use super::bar::Bar;
use super::bench::{Bench, GroupResult, RECORD_OVERHEAD_BYTES, TestStore};
use crate::info::Info;
use crate::load::{Load, Request};
use crate::progress::Progress;
use crate::server::ServerKind;

/// 4 GiB of values of 1 KiB.
const KEYS: u64 = 4 << 20;
const VALUE_BYTES: usize = 1024;
/// Memory for them.
const MAXMEMORY_BYTES: u64 = 512 << 20;
/// SETs per second at which latency is compared.
const RATE: f64 = 20_000.0;
/// Windows of it, before and after, of which the median counts: drives stall by themselves now and then, for longer than
/// anything that is to be seen here.
const WINDOWS: usize = 5;
/// Length of one, in seconds: all of them overwrite less than what is left dead without compaction.
const WINDOW_S: f64 = 4.0;

/// Keys drawn uniformly.
///
/// # Errors
/// When a program fails.
pub fn uniform(bench: &Bench, progress: &mut Progress) -> GroupResult {
    run(bench, progress, "uniform", None, 2.4)
}

/// Keys drawn by a Zipf law.
///
/// # Errors
/// When a program fails.
pub fn zipfian(bench: &Bench, progress: &mut Progress) -> GroupResult {
    run(bench, progress, "zipfian 0.99", Some(0.99), 1.6)
}

fn run(
    bench: &Bench,
    progress: &mut Progress,
    title: &str,
    zipf: Option<f64>,
    amplification_max: f64,
) -> GroupResult {
    let keys = bench.scaled(KEYS);
    let maxmemory = bench.scaled(MAXMEMORY_BYTES);
    let folder = bench.folder()?;
    let spec = bench.spec(ServerKind::Ouro, &["--maxmemory".to_owned(), maxmemory.to_string()]);
    let mut store = TestStore::start(bench, spec, folder.path())?;
    progress.now("space: load");
    store.load("space_load", keys, VALUE_BYTES)?;
    let mut timed = bench.window(Request::Set, 1, (keys, VALUE_BYTES), WINDOW_S);
    timed.zipf = zipf;
    timed.rate = Some(RATE);
    // Nothing is dead yet, so nothing is compacted; GETs first, so that no checkpoint runs any more.
    store.run("space_rest", &bench.window(Request::Get, 1, (keys, VALUE_BYTES), 1.0))?;
    let quiet = p99_of_windows(&mut store, "space_quiet", &timed)?;
    store.info("space_quiet_info")?;
    let mut pass = bench.window(Request::Set, 16, (keys, VALUE_BYTES), 0.0);
    pass.zipf = zipf;
    pass.warmup_s = 0.0;
    pass.requests = Some(keys);
    let mut series = Series::default();
    for number in 0..bench.overwrites {
        progress.now(&format!("space: overwrite {} of {}", number + 1, bench.overwrites));
        store.run("space_overwrite", &pass)?;
        let info = store.info("space_overwrite_info")?;
        if number >= bench.overwrites / 2 {
            series.note(&store, info, keys)?;
        } else {
            series.first = Some(info);
        }
    }
    progress.now("space: latency");
    let busy = p99_of_windows(&mut store, "space_busy", &timed)?;
    let info = store.info("space_busy_info")?;
    let mut bars = series.bars(title, amplification_max);
    bars.push(Bar::at_most(
        format!(
            "{title}: p99 of SET while compacting over quiet, at {RATE:.0} a second, medians of {WINDOWS} windows"
        ),
        2.0,
        Some(busy / quiet),
    ));
    bars.push(Bar::at_most(
        format!("{title}: turns above 20 ms"),
        0.0,
        Some(info.get("worker0_turn_us.over_20_ms")),
    ));
    Ok((store.finish()?, bars))
}

/// The median p99 of some windows one after the other, in microseconds.
fn p99_of_windows(store: &mut TestStore<'_>, scenario: &str, window: &Load) -> Result<f64> {
    let mut all = Vec::new();
    for _ in 0..WINDOWS {
        let figures = store.run(scenario, window)?;
        all.push(figures.get("p99_us").copied().context("too few requests for a p99")?);
    }
    all.sort_by(f64::total_cmp);
    Ok(all[WINDOWS / 2])
}

/// What the second half of the overwrites showed.
#[derive(Default)]
struct Series {
    first: Option<Info>,
    last: Option<Info>,
    user_bytes: f64,
    live_bytes: f64,
    /// Worst of the second half.
    disk_per_live: f64,
    fill_sum: f64,
    count: f64,
}

impl Series {
    fn note(&mut self, store: &TestStore<'_>, info: Info, keys: u64) -> Result<()> {
        let record = VALUE_BYTES as u64 + RECORD_OVERHEAD_BYTES;
        self.live_bytes = (keys * record) as f64;
        self.user_bytes += self.live_bytes;
        self.disk_per_live = self.disk_per_live.max(store.disk_bytes()? as f64 / self.live_bytes);
        self.fill_sum +=
            self.live_bytes / (info.get("data.data_file_bytes") - info.get("data.data_emptied_bytes"));
        self.count += 1.0;
        self.last = Some(info);
        Ok(())
    }

    fn bars(&self, title: &str, amplification_max: f64) -> Vec<Bar> {
        let start = Info::default();
        let first = self.first.as_ref().unwrap_or(&start);
        let written = self.last.as_ref().map(|last| last.since(first, "data.data_written_bytes"));
        let amplification = written.map(|written| written / self.user_bytes);
        vec![
            Bar::at_most(
                format!("{title}: bytes written to data files per byte of records"),
                amplification_max,
                amplification,
            ),
            Bar::at_least(
                format!("{title}: live bytes per byte of data files but what waits for a checkpoint"),
                0.75,
                Some(self.fill_sum / self.count),
            ),
            Bar::at_most(
                format!("{title}: bytes of all files per live byte, at most"),
                1.6,
                Some(self.disk_per_live),
            ),
        ]
    }
}
