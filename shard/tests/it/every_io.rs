//! Every kind of request that a store makes, hit by everything that may happen to it; a share of all requests here, all
//! of them in `sim --every-io`.

use shard::planted::PlantedBug;
use shard::sim::every_io::{Case, EveryIo, Plan};
use shard::sim::life::Life;
use shard::sim::site::{Action, Place};
use shard::sim::strike::{Blow, Strike};

fn run(lives: &[Life], plan: Plan, planted: Option<PlantedBug>) -> EveryIo {
    let mut total = EveryIo::default();
    for &life in lives {
        let case = Case { life, seed: 0, strike: None, again: false, planted };
        let lived = total.run(case, plan, &mut |_| {});
        total.broken.extend(lived.err());
    }
    total
}

#[test]
fn no_request_loses_what_was_acknowledged_whatever_happens_to_it() {
    let total = run(&Life::ALL, Plan { stride: 600, again_stride: 150, broken_max: 10 }, None);
    assert_eq!(total.broken, Vec::<String>::new());
    assert_eq!(total.missing(), Vec::<String>::new(), "each site is hit by each blow that fits it");
    assert!(total.again.values().sum::<u64>() > 100, "too few second crashes: {:?}", total.again);
}

/// With a log a checkpoint that finds no room is given up: who waits for it waited for ever, were it not tried again.
#[test]
fn a_checkpoint_that_somebody_waits_for_is_tried_again_when_it_found_no_room() {
    let life = Case { life: Life::Relaxed, seed: 0, strike: None, again: false, planted: None };
    let sites = life.run().expect("nothing happens").sites;
    let of_snapshots = (1..).zip(&sites).filter(|(_, site)| {
        site.place == Place::Snapshot && matches!(site.action, Action::Create | Action::Write)
    });
    for (at, _) in of_snapshots {
        let strike = Some(Strike { at, blow: Blow::FullOnce });
        assert_eq!(Case { strike, ..life }.run().err(), None);
    }
}

#[test]
fn planted_bugs_are_caught_by_what_happens_to_single_requests() {
    // Assertions of the core are caught too; the backtraces would bury the result.
    std::panic::set_hook(Box::new(|_| {}));
    let plan = Plan { stride: 10, again_stride: 1000, broken_max: 1 };
    let bugs = [
        (Life::Relaxed, PlantedBug::AcknowledgeEarly),
        (Life::FullDisk, PlantedBug::SkipDsync),
        (Life::Relaxed, PlantedBug::RetryFailedSync),
        (Life::WithoutLog, PlantedBug::PublishBeforeSnapshotSync),
    ];
    let survivors: Vec<PlantedBug> = bugs
        .into_iter()
        .filter(|(life, bug)| run(&[*life], plan, Some(*bug)).broken.is_empty())
        .map(|(_, bug)| bug)
        .collect();
    let _ = std::panic::take_hook();
    assert_eq!(survivors, [], "nothing that happens to one request shows these");
}
