//! Open loops: the schedule is kept, and a stall of the server shows where it must.

use std::time::Duration;

use crate::null_server::{Behaviour, NullServer};
use crate::{outcome, reason_codes, run};

#[test]
fn every_start_of_the_schedule_is_made() {
    for (line, offered) in [
        ("--rate 2000 -d 1s -c 4 -t 1", 2000_u64),
        ("--rate 3000 -d 1s -c 5 -t 3", 3000),
        ("--rate 5000 -n 2500 -c 4 -t 2", 2500),
        ("--rate 2000 -d 1s -c 4 -t 1 --spin", 2000),
    ] {
        let server = NullServer::start(Behaviour::default());
        let report = run(&server.path, &format!("--warmup 0s {line}"));
        let result = outcome(&report);
        // The window is cut from whole nanoseconds: one start more or less.
        assert!(result.offered_ops.unwrap().abs_diff(offered) <= 1, "{line}: {:?}", result.offered_ops);
        assert_eq!(result.offered_ops, Some(result.ops), "{line}");
        assert_eq!(result.ops, server.requests(), "{line}");
        assert_eq!(result.dropped_ops, 0, "{line}");
        let (corrected, slip) = (result.all.corrected.as_ref().unwrap(), result.all.slip.as_ref().unwrap());
        assert_eq!((corrected.count, slip.count), (result.ops, result.ops), "{line}");
        assert!(corrected.mean.unwrap() >= result.all.service.mean.unwrap(), "{line}");
    }
}

#[test]
fn wakeups_follow_the_work_and_not_the_connections() {
    for connections in [4, 400] {
        let server = NullServer::start(Behaviour::default());
        let report = run(&server.path, &format!("--rate 2000 -d 2s -c {connections} -t 1 --warmup 0s"));
        let (ops, enters) = (outcome(&report).ops, report.client.per_thread[0].enters);
        // One for the start, one for the reply, one where a busy machine sends later than it started.
        assert!((ops / 2..=3 * ops).contains(&enters), "{connections}: {enters} for {ops}");
    }
}

#[test]
fn poisson_starts_have_the_asked_rate() {
    let server = NullServer::start(Behaviour::default());
    let report = run(&server.path, "--rate 2000 --arrival poisson -d 2s -c 8 -t 2 --warmup 0s");
    // 4000 starts with a standard deviation of 63.
    let ops = outcome(&report).ops;
    assert!(ops.abs_diff(4000) < 320, "{ops}");
    assert_eq!(ops, server.requests());
}

#[test]
fn bursts_offer_the_rate_and_queue_as_bursts_do() {
    let server = NullServer::start(Behaviour::default());
    let report = run(&server.path, "--rate 2000 --arrival burst:100 -d 1s -c 4 -t 2 --warmup 0s");
    let result = outcome(&report);
    // Twenty bursts of a hundred; the cut of the window falls between two.
    assert_eq!((result.ops, server.requests()), (2000, 2000));
    assert_eq!(serde_json::to_value(report.config.arrival).unwrap(), "burst:100");
    // Of a hundred that are due at once, four are sent and the others wait: for the server, as all connections are full.
    assert!(result.waited_ops.unwrap() > 500 && result.was_held_back(), "{:?}", result.waited_ops);
}

#[test]
fn a_stall_shows_in_the_corrected_latency_and_not_in_the_service_latency() {
    // Half a second of silence after the first second, at 2000 starts per second: a thousand requests become due
    // while the four that are in flight block all connections.
    let stall = Some((2000, Duration::from_millis(500)));
    let server = NullServer::start(Behaviour { stall, ..Behaviour::default() });
    let report = run(&server.path, "--rate 2000 -d 2s -c 4 -t 1 --warmup 0s");
    let result = outcome(&report);
    assert!(result.ops.abs_diff(4000) <= 1, "no start was skipped: {}", result.ops);
    assert_eq!((result.dropped_ops, server.requests()), (0, result.ops));
    let corrected = result.all.corrected.as_ref().unwrap();
    let service = &result.all.service;
    // A quarter of the requests waited 0 to 500 ms, evenly: the 90th of a hundred waited 300 ms.
    let p90_ms = corrected.p90.unwrap() as f64 / 1e6;
    assert!((250.0..400.0).contains(&p90_ms), "corrected p90 {p90_ms} ms");
    assert!(corrected.max.unwrap() >= 490_000_000, "{:?}", corrected.max);
    // Four of four thousand requests were in flight.
    assert!(service.p99.unwrap() < 100_000_000, "service p99 {:?}", service.p99);
    assert!(service.max.unwrap() >= 490_000_000, "{:?}", service.max);
    // A thousand starts became late by more than a millisecond; the last few of the stall less.
    assert!(result.late_ops.unwrap() > 900, "{:?}", result.late_ops);
    assert!(reason_codes(&report).contains(&"slip"));
}

#[test]
fn seconds_of_a_stall_stay_in_the_series() {
    let stall = Some((500, Duration::from_millis(2200)));
    let server = NullServer::start(Behaviour { stall, ..Behaviour::default() });
    let report = run(&server.path, "--rate 1000 -d 3s -c 2 -t 1 --warmup 0s");
    let series = report.series.as_ref().unwrap();
    assert!(series.ops.len() >= 3, "{:?}", series.ops);
    assert_eq!(series.ops[1], 0, "{:?}", series.ops);
    assert_eq!(series.ops.iter().sum::<u64>(), outcome(&report).ops);
    assert_eq!(series.t_s[2].to_bits(), 2.0_f64.to_bits());
    for length in [series.errors.len(), series.p99_ns.len(), series.slip_p99_ns.len(), series.rss_bytes.len()]
    {
        assert_eq!(length, series.ops.len());
    }
}

#[test]
fn a_rate_beyond_the_server_is_told() {
    // Two connections that take 10 ms each: 200 per second at most.
    let delay = Some(Duration::from_millis(10));
    let server = NullServer::start(Behaviour { delay, ..Behaviour::default() });
    let report = run(&server.path, "--rate 1000 -d 1s -c 2 -t 1 --warmup 0s --drain 1s");
    let result = outcome(&report);
    assert!(result.offered_ops.unwrap().abs_diff(1000) <= 1, "{:?}", result.offered_ops);
    assert_eq!(result.ops + result.dropped_ops, result.offered_ops.unwrap());
    assert!(result.dropped_ops > 400, "{}", result.dropped_ops);
    let codes = reason_codes(&report);
    assert!(codes.contains(&"rate_missed") && codes.contains(&"unanswered"), "{codes:?}");
}

#[test]
fn a_number_of_requests_that_takes_longer_than_its_rate_is_told() {
    // Two connections that take 10 ms each answer 200 per second at most; 240 are due, and the pipelines hold the rest.
    let delay = Some(Duration::from_millis(10));
    let server = NullServer::start(Behaviour { delay, ..Behaviour::default() });
    let report = run(&server.path, "--rate 240 -n 120 -c 2 -t 1 -P 100 --warmup 0s");
    let result = outcome(&report);
    assert_eq!((result.ops, result.offered_ops, result.held_back_ops), (120, Some(120), Some(0)));
    assert!(result.ops_s < 201.0, "{}", result.ops_s);
    assert!(reason_codes(&report).contains(&"rate_missed"), "{:?}", report.validity);
}

#[test]
fn what_the_warm_up_leaves_behind_is_no_part_of_the_rate_and_of_the_work_per_request() {
    // 200 starts of the warm-up, of which some forty are answered in it; then a hundred that are measured.
    let delay = Some(Duration::from_millis(10));
    let server = NullServer::start(Behaviour { delay, ..Behaviour::default() });
    let report = run(&server.path, "--rate 1000 -n 100 -c 2 -t 1 --warmup 200ms --spin");
    let result = outcome(&report);
    assert_eq!((result.ops, server.requests()), (100, 300));
    // Both had to be answered before the last of the hundred was.
    assert!(result.elapsed_s > 1.0 && result.ops_s < 100.0, "{} in {}", result.ops_s, result.elapsed_s);
    let rate = report.validity.checks.iter().find(|check| check.code == "rate_missed").unwrap();
    assert!(!rate.ok && rate.value.unwrap() < 0.1, "{rate:?}");
    // The work of that time went to all that were answered in it.
    let client = &report.client;
    let answered = 1e6 * (client.cpu_user_s + client.cpu_sys_s) / client.cpu_us_per_op.unwrap();
    assert!((200.0..300.5).contains(&answered), "{answered}");
}

#[test]
fn ramps_and_steps_offer_what_their_curve_says() {
    for (line, offered, first_second) in [
        // 1000 to 3000 per second: 1500 starts in the first of two seconds.
        ("--rate 1000..3000 -d 2s", 4000_u64, 1500_u64),
        ("--rate 500..1500/500@1s", 3000, 500),
        ("--rate 2000..1000/1000@1s --warmup 200ms", 3000, 2000),
    ] {
        let server = NullServer::start(Behaviour::default());
        let warmup = if line.contains("--warmup") { "" } else { "--warmup 0s" };
        let report = run(&server.path, &format!("-c 4 -t 2 {warmup} {line}"));
        let result = outcome(&report);
        assert!(result.ops.abs_diff(offered) <= 2, "{line}: {}", result.ops);
        let first = report.series.as_ref().unwrap().ops[0];
        // Replies of the last few starts come a moment later.
        assert!(first.abs_diff(first_second) <= 60, "{line}: {first}");
        assert!(report.config.workload.details.as_ref().unwrap().rate_curve.is_some());
    }
}

#[test]
fn every_kind_of_request_has_its_three_histograms() {
    let server = NullServer::start(Behaviour::default());
    let report = run(&server.path, "--rate 2000 --ratio 1:1 -d 1s -c 4 --warmup 0s");
    for kind in outcome(&report).ops_by_type.values() {
        let figures = &kind.latency_ns;
        let (corrected, slip) = (figures.corrected.as_ref().unwrap(), figures.slip.as_ref().unwrap());
        assert_eq!(
            (corrected.count, figures.service.count, slip.count),
            (kind.count, kind.count, kind.count)
        );
    }
}
