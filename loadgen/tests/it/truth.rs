//! Latencies against what the server itself measured: it holds known requests back for known times and notes how long
//! it really did.

use std::time::Duration;

use crate::null_server::{Behaviour, NullServer};
use crate::{outcome, run};

/// Of a hundred requests 87 take 20 ms, ten 60 ms and three 160 ms: no percentile that is compared lies at a border.
fn held(number: u64) -> Duration {
    Duration::from_millis(match number % 100 {
        0..3 => 160,
        3..13 => 60,
        _ => 20,
    })
}

fn quantile(sorted: &[u64], share: f64) -> f64 {
    let place = loadgen::number::index(loadgen::number::floor_u64((share * sorted.len() as f64).ceil()));
    sorted[place.clamp(1, sorted.len()) - 1] as f64
}

fn check_against_server(line: &str) {
    let server = NullServer::start(Behaviour { hold: Some(held), ..Behaviour::default() });
    let report = run(&server.path, line);
    let result = outcome(&report);
    let mut truth = server.held_ns();
    truth.sort_unstable();
    assert_eq!(truth.len() as u64, result.ops, "{line}");
    let service = &result.all.service;
    for (share, got) in [(0.5, service.p50), (0.9, service.p90), (0.95, service.p95), (0.99, service.p99)] {
        let got = got.expect("there are samples enough");
        let want = quantile(&truth, share);
        assert!((got as f64 / want - 1.0).abs() < 0.03, "{line} at {share}: {got} instead of {want}");
    }
}

#[test]
fn percentiles_agree_with_the_server_in_a_closed_loop() {
    check_against_server("-n 2500 -c 16 -t 1 --warmup 0s");
}

#[test]
fn service_percentiles_agree_with_the_server_in_an_open_loop() {
    check_against_server("--rate 500 -n 2500 -c 64 -t 1 --warmup 0s");
}
