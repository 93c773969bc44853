//! A slice of the simulator as an ordinary test; `cargo run --release --features sim --example sim` runs more.

use std::panic::{AssertUnwindSafe, catch_unwind};

use shard::planted::PlantedBug;
use shard::sim::driver::run;
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
    let caught_by = |bug: PlantedBug| {
        (0..PLANTED_SEEDS_MAX).find(|&seed| {
            let options = Options::draw(seed, 600, Some(bug));
            !matches!(catch_unwind(AssertUnwindSafe(|| run(&options))), Ok((_, Ok(()))))
        })
    };
    let mut survivors = Vec::new();
    for bug in PlantedBug::ALL {
        match caught_by(bug) {
            Some(seed) => println!("{bug:?}: seed {seed}"),
            None => survivors.push(bug),
        }
    }
    let _ = std::panic::take_hook();
    assert_eq!(survivors, [], "the simulator does not notice these");
}
