//! A slice of the simulator as an ordinary test; `cargo run --release --features sim --example sim` runs more.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use shard::planted::PlantedBug;
use shard::sim::driver::run;
use shard::sim::fault::Fault;
use shard::sim::options::Options;
use shard::sim::report::SimReport;

/// Seeds within which each planted bug must be caught.
const PLANTED_SEEDS_MAX: u64 = 4_000;

#[test]
fn nothing_acknowledged_is_lost_whatever_the_disk_does() {
    let mut total = SimReport::default();
    for seed in 0..60 {
        let (report, result) = run(&Options::draw(seed, 500, None));
        total.add(&report);
        assert_eq!(result, Ok(()), "seed {seed}");
    }
    assert!(total.crashes > 200 && total.checks > 200, "the slice has become too thin: {total:?}");
    assert!(total.times("publications looked at") > 100, "too few checkpoints: {total:?}");
    assert!(total.times("tasks done: ClearLog") > 5, "too few logs cleared: {total:?}");
    assert!(total.times("operations that waited for reads") > 1000, "too few cold reads: {total:?}");
    assert!(total.times("keys expired") > 1000, "too few keys that end: {total:?}");
    assert!(total.times("keys evicted") > 100, "too few keys that make room: {total:?}");
    assert!(total.times("clock jumps") > 100, "too few jumps of the clock: {total:?}");
    assert!(total.faults(Fault::MisdirectedRead) > 20, "too few reads that go astray: {total:?}");
}

#[test]
fn a_seed_replays_a_run_exactly() {
    for seed in [3, 7, 17] {
        let options = Options::draw(seed, 400, None);
        assert_eq!(run(&options), run(&options));
    }
}

#[test]
fn every_planted_bug_is_caught() {
    // Some bugs run into an assertion of the core, which is being caught too; the backtraces would bury the result.
    std::panic::set_hook(Box::new(|_| {}));
    let passes =
        |options: &Options| matches!(catch_unwind(AssertUnwindSafe(|| run(options))), Ok((_, Ok(()))));
    let caught_by = |bug: PlantedBug| {
        let mut all = (0..PLANTED_SEEDS_MAX).map(|seed| Options::draw(seed, 600, Some(bug)));
        all.find(|options| !passes(options))
    };
    // The mistake is one of the thread.
    let next = AtomicUsize::new(0);
    let look = || {
        let (mut survivors, mut fails_anyway) = (Vec::new(), Vec::new());
        while let Some(&bug) = PlantedBug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            match caught_by(bug) {
                // The same run without the mistake: else whatever fails, and not the mistake, was noticed.
                Some(options) if !passes(&Options { planted: None, ..options.clone() }) => {
                    fails_anyway.push((bug, options.seed));
                }
                Some(options) => println!("{bug:?}: seed {}", options.seed),
                None => survivors.push(bug),
            }
        }
        (survivors, fails_anyway)
    };
    let (mut survivors, mut fails_anyway) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let threads = available_parallelism().map_or(1, NonZero::get);
        for thread in Vec::from_iter((0..threads).map(|_| scope.spawn(look))) {
            let (survived, failed) = thread.join().expect("what panics is caught");
            survivors.extend(survived);
            fails_anyway.extend(failed);
        }
    });
    let _ = std::panic::take_hook();
    assert_eq!(survivors, [], "the simulator does not notice these");
    assert_eq!(fails_anyway, [], "these seeds fail without the mistake too");
}
