//! A disk that stays full from one crash to the next: a store that goes on starts every time.

use shard::sim::driver::run;
use shard::sim::options::{Options, Rates};
use shard::sim::report::SimReport;

#[test]
fn a_store_that_crashes_again_and_again_on_a_full_disk_starts_every_time() {
    let mut total = SimReport::default();
    for seed in 0..40 {
        let drawn = Options::draw(seed, 1500, None);
        let rates =
            Rates { crash: 4000, disk_full: 2000, other_workers: 0, damage: 0, fork: 0, ..drawn.rates };
        let mut options = Options { wal: true, memory_only: None, rates, ..drawn };
        options.storage.memory_bytes_max = None;
        let (report, result) = run(&options);
        total.add(&report);
        assert_eq!(result, Ok(()), "seed {seed}");
    }
    assert!(total.times("starts on a full disk") > 300, "too few: {total:?}");
    assert!(total.times("rule OpenedStartFile") > 100, "too few: {total:?}");
    assert!(total.times("turns held back by a full disk") > 100, "too few: {total:?}");
}
