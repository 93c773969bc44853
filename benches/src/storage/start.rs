//! What starts cost: after a clean stop, and after SIGKILL with a gigabyte of log. On one core.

use super::bar::Bar;
use super::bench::{Bench, GroupResult, RECORD_OVERHEAD_BYTES, TestStore};
use crate::progress::Progress;
use crate::report::Run;
use crate::server::ServerKind;

/// Keys of the clean stop, with values of 100 bytes.
const CLEAN_KEYS: u64 = 10_000_000;
/// Log that is replayed.
const LOG_BYTES: u64 = 1 << 30;

/// Measures them.
///
/// # Errors
/// When a program fails.
pub fn run(bench: &Bench, progress: &mut Progress) -> GroupResult {
    let (mut runs, mut bars) = (Vec::new(), Vec::new());
    progress.now("start: clean stop");
    let keys = bench.scaled(CLEAN_KEYS);
    let folder = bench.folder()?;
    let mut store = TestStore::start(bench, bench.spec(ServerKind::Ouro, &[]), folder.path())?;
    store.load("start_clean_load", keys, 100)?;
    let stop_s = store.stop()?;
    let start_s = store.start_again(Some(keys))?;
    store.note("start_clean", &[("stop_s", stop_s), ("start_s", start_s), ("keys", keys as f64)], Vec::new());
    bars.push(Bar::at_most(format!("seconds from a clean stop to serving {keys} keys"), 2.0, Some(start_s)));
    runs.extend(store.finish()?);
    drop(folder);
    for (value_bytes, mb_s_min) in [(100, 300.0), (1024, 500.0)] {
        let (more, rate, times_redis) = killed(bench, progress, value_bytes)?;
        runs.extend(more);
        bars.push(Bar::at_least(
            format!("MB of log replayed a second by one core, values of {value_bytes} bytes"),
            mb_s_min,
            Some(rate),
        ));
        bars.push(Bar::at_least(
            format!("times as fast as redis on its append-only file, values of {value_bytes} bytes"),
            1.0,
            Some(times_redis),
        ));
    }
    Ok((runs, bars))
}

/// Both servers load the same data, are killed and start again. Returns ourod's MB per second, and how many times as
/// fast as redis it was.
fn killed(
    bench: &Bench,
    progress: &mut Progress,
    value_bytes: usize,
) -> anyhow::Result<(Vec<Run>, f64, f64)> {
    let record_bytes = value_bytes as u64 + RECORD_OVERHEAD_BYTES;
    let keys = bench.scaled(LOG_BYTES) / record_bytes;
    let mut runs = Vec::new();
    let mut times = Vec::new();
    for kind in [ServerKind::Redis, ServerKind::Ouro] {
        progress.now(&format!("start: {} after SIGKILL, values of {value_bytes} bytes", kind.name()));
        // No checkpoint: all is in the log.
        let options = match kind {
            ServerKind::Ouro => vec!["--checkpoint-log-bytes".to_owned(), "64gb".to_owned()],
            ServerKind::Redis => Vec::new(),
        };
        let folder = bench.folder()?;
        let mut store = TestStore::start(bench, bench.spec(kind, &options), folder.path())?;
        store.load(&format!("start_killed_load_{value_bytes}"), keys, value_bytes)?;
        store.kill()?;
        let start_s = store.start_again(Some(keys))?;
        let log_mb = (keys * record_bytes) as f64 / 1e6;
        let figures =
            [("start_s", start_s), ("log_mb", log_mb), ("mb_s", log_mb / start_s), ("keys", keys as f64)];
        store.note(&format!("start_killed_{value_bytes}"), &figures, Vec::new());
        times.push((start_s, log_mb / start_s));
        runs.extend(store.finish()?);
    }
    Ok((runs, times[1].1, times[0].0 / times[1].0))
}
