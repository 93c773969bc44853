//! Closed loops: exact counts, deep pipelines, errors, misses, lost connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::null_server::{Behaviour, NullServer};
use crate::{outcome, plan, reason_codes, run};

#[test]
fn a_number_of_requests_is_sent_and_counted_exactly() {
    for line in [
        "-n 1000 -c 1 -t 1",
        "-n 10007 -c 7 -t 3 -P 4",
        "-n 5 -c 50 -t 2",
        "-n 20000 -c 3 -t 1 -P 1000",
        "-n 3000 -c 10 -t 2 --dist zipf --ratio 1:1",
    ] {
        let server = NullServer::start(Behaviour::default());
        let report = run(&server.path, &format!("--warmup 0s {line}"));
        let result = outcome(&report);
        assert_eq!(result.ops, server.requests(), "{line}");
        assert_eq!(Some(result.ops), report.config.requests, "{line}");
        assert_eq!(result.errors.total, 0, "{line}");
        let sets = result.ops_by_type.get("SET").map_or(0, |figures| figures.count);
        assert_eq!(sets, server.sets(), "{line}");
        assert_eq!(result.hits, result.ops - sets, "{line}");
        assert_eq!(result.all.service.count, result.ops, "{line}");
        assert!(result.all.corrected.is_none() && result.all.slip.is_none(), "{line}");
        assert_eq!(report.series.as_ref().unwrap().ops.iter().sum::<u64>(), result.ops, "{line}");
    }
}

#[test]
fn a_duration_ends_the_window_and_warm_up_is_not_counted() {
    let server = NullServer::start(Behaviour::default());
    let report = run(&server.path, "-d 1s --warmup 500ms -c 4");
    let result = outcome(&report);
    assert!((result.elapsed_s - 1.0).abs() < 1e-9, "{}", result.elapsed_s);
    assert!(result.ops > 100);
    // A third of the time was warm-up; whatever the noise, some of it was answered.
    assert!(server.requests() > result.ops + 50, "{} of {}", result.ops, server.requests());
    assert_eq!(report.series.unwrap().ops.len(), 1);
}

#[test]
fn throughput_counts_what_was_answered_in_its_time() {
    // Eight requests at a time, for a moment that ends while eight are under way.
    let check = |line: &str, surplus: u64| {
        let delay = Some(Duration::from_millis(5));
        let server = NullServer::start(Behaviour { delay, ..Behaviour::default() });
        let report = run(&server.path, &format!("-c 1 -t 1 -P 8 {line}"));
        let result = outcome(&report);
        assert_eq!(result.all.service.count, result.ops, "{line}: every start is in the histogram");
        let answered = result.ops_s * result.elapsed_s;
        assert!(
            (answered - (result.ops + surplus) as f64 + 8.0).abs() < 1e-3,
            "{line}: {answered} {result:?}"
        );
    };
    check("-d 300ms --warmup 0s", 0);
    // The eight of the warm-up that are answered in the window stand for the eight that are answered after it.
    check("-d 300ms --warmup 100ms", 8);
    // The last reply ends the window, and the eight of the warm-up lie in it too.
    check("-n 80 --warmup 100ms", 16);
    check("-n 80 --warmup 0s", 8);
}

#[test]
fn error_replies_are_counted_by_kind_and_are_no_latencies() {
    let error = Some((10, "-OOM command not allowed when used memory > 'maxmemory'.\r\n"));
    let server = NullServer::start(Behaviour { error, ..Behaviour::default() });
    let report = run(&server.path, "-n 5000 --warmup 0s -c 5 -P 8");
    let result = outcome(&report);
    assert_eq!((result.ops, result.errors.total), (4500, 500));
    assert_eq!(result.errors.by_kind["OOM"].count, 500);
    assert!(result.errors.by_kind["OOM"].example.contains("maxmemory"));
    assert_eq!(result.all.service.count, 4500);
    assert!(reason_codes(&report).contains(&"errors"));
}

#[test]
fn missing_keys_are_counted_and_told() {
    let server = NullServer::start(Behaviour { all_miss: true, ..Behaviour::default() });
    let report = run(&server.path, "-n 1000 --ratio 0:1 --warmup 0s");
    assert_eq!((outcome(&report).hits, outcome(&report).misses), (0, 1000));
    assert!(
        report.warnings.iter().any(|text| text.contains("every GET missed") && text.contains("--prefill"))
    );
}

#[test]
fn lost_connections_are_counted_and_the_others_go_on() {
    // Each connection is closed when it sends its 301st request; those of 3 connections are at most 900.
    let server = NullServer::start(Behaviour { close_after: Some(300), ..Behaviour::default() });
    let report = run(&server.path, "-n 100000 -c 3 -t 1 --warmup 0s");
    let result = outcome(&report);
    assert_eq!(result.ops, 900);
    assert_eq!(result.errors.by_kind["connection_lost"].count, 3);
    let codes = reason_codes(&report);
    assert!(codes.contains(&"connections_lost") && codes.contains(&"errors"), "{codes:?}");
}

#[test]
fn requests_without_an_answer_are_dropped_and_told() {
    let server = NullServer::start(Behaviour { mute_from: Some(501), ..Behaviour::default() });
    let report = run(&server.path, "-d 500ms -c 4 -t 1 --warmup 0s --drain 200ms");
    let result = outcome(&report);
    assert_eq!(result.ops, 500);
    assert_eq!(result.dropped_ops, 4);
    assert!(reason_codes(&report).contains(&"unanswered"));
}

#[test]
fn a_known_delay_is_the_latency() {
    let delay = Some(Duration::from_millis(20));
    let server = NullServer::start(Behaviour { delay, ..Behaviour::default() });
    let report = run(&server.path, "-d 2s -c 10 -t 1 --warmup 0s");
    let service = &outcome(&report).all.service;
    assert!(service.min.unwrap() >= 20_000_000, "{:?}", service.min);
    // 3 % and the time that the server's own wait oversleeps on a busy machine.
    assert!(service.p50.unwrap() < 26_000_000, "{:?}", service.p50);
}

#[test]
fn an_interrupt_ends_the_run_and_gives_a_report() {
    let server = NullServer::start(Behaviour::default());
    let plan = plan(&server.path, "-d 1h --warmup 0s");
    let interrupt = Arc::new(AtomicBool::new(false));
    let setter = Arc::clone(&interrupt);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1500));
        setter.store(true, Ordering::Relaxed);
    });
    let began = Instant::now();
    let report = loadgen::run::execute(&plan, Vec::new(), &interrupt).unwrap();
    assert!(began.elapsed() < Duration::from_secs(30));
    let result = outcome(&report);
    assert!(result.ops > 100);
    assert!((1.0..10.0).contains(&result.elapsed_s), "{}", result.elapsed_s);
    assert!(report.warnings.iter().any(|text| text.contains("interrupted")));
    assert_eq!(report.series.as_ref().unwrap().ops.iter().sum::<u64>(), result.ops);
}
