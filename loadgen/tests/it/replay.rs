//! Recorded loads against redis-server, where it is installed, and the null server.

use std::process::{Command, Output};

use loadgen::report::{Mode, Report};
use resp::Reply;

use crate::null_server::{Behaviour, NullServer};
use crate::outcome;
use crate::redis::Redis;

fn replay(socket: &std::path::Path, name: &str, trace: &str, options: &[&str]) -> (Output, Option<Report>) {
    let directory = tempfile::tempdir().unwrap();
    let (file, out) = (directory.path().join(name), directory.path().join("report.json"));
    std::fs::write(&file, trace).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .arg("replay")
        .arg(&file)
        .args(["--live", "none", "-s"])
        .arg(socket)
        .arg("-o")
        .arg(&out)
        .args(options)
        .output()
        .unwrap();
    (output, Report::read(&out).ok())
}

#[test]
fn a_log_of_monitor_is_sent_again_in_the_order_of_each_client() {
    let Some(redis) = Redis::start(None) else { return };
    let mut log = String::from("OK\n");
    for number in 0..3000 {
        let client = number % 10;
        log.push_str(&format!(
            "{}.{:06} [0 127.0.0.1:{client}] \"append\" \"list{client}\" \"{number},\"\n",
            100,
            number * 10
        ));
    }
    let (output, report) = replay(&redis.path, "load.log", &log, &["--speed", "max", "-c", "4", "-t", "2"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = report.unwrap();
    assert_eq!((outcome(&report).ops, report.config.mode), (3000, Mode::Closed));
    for client in 0..10 {
        let reply = redis.control(0).ask(&[b"GET", format!("list{client}").as_bytes()]).unwrap();
        let Reply::Bulk(bytes) = reply else { panic!("a value") };
        let expected: String =
            (0..3000).filter(|number| number % 10 == client).map(|number| format!("{number},")).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected, "client {client}");
    }
}

#[test]
fn recorded_times_are_kept_and_scaled() {
    let server = NullServer::start(Behaviour::default());
    let mut csv = String::from("time_us,op,key,value_bytes,client\n");
    for number in 0..1000 {
        let operation = if number % 2 == 0 { "set" } else { "get" };
        csv.push_str(&format!("{},{operation},k{number},20,{}\n", number * 2000, number % 5));
    }
    // Two seconds at twice the speed: one.
    let (output, report) = replay(&server.path, "trace.csv", &csv, &["--speed", "2", "-c", "3", "-t", "1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = report.unwrap();
    let result = outcome(&report);
    assert_eq!((result.ops, server.requests(), server.sets()), (1000, 1000, 500));
    assert!((0.95..1.3).contains(&result.elapsed_s), "{}", result.elapsed_s);
    assert_eq!(result.all.corrected.as_ref().unwrap().count, 1000);
    assert_eq!(result.ops_by_type["GET recorded"].count, 500);
}

#[test]
fn a_replay_slower_than_its_recording_is_told() {
    let codes = |gap_us: u32| {
        // One connection that takes 2 ms each.
        let delay = Some(std::time::Duration::from_millis(2));
        let server = NullServer::start(Behaviour { delay, ..Behaviour::default() });
        let mut csv = String::from("time_us,op,key\n");
        (0..100).for_each(|number| csv.push_str(&format!("{},get,k\n", number * gap_us)));
        let (_, report) = replay(&server.path, "trace.csv", &csv, &["-c", "1", "-t", "1", "-P", "100"]);
        let report = report.unwrap();
        assert_eq!(outcome(&report).ops, 100);
        report.validity.reasons.into_iter().map(|reason| reason.code).collect::<Vec<_>>()
    };
    assert!(codes(1500).contains(&"rate_missed".to_owned()));
    // All at one moment: there is no rate that could be missed.
    assert!(!codes(0).contains(&"rate_missed".to_owned()));
}

#[test]
fn a_trace_that_cannot_be_read_is_told_with_its_line() {
    let server = NullServer::start(Behaviour::default());
    for (name, trace, message) in [
        ("x.log", "hello\n", "line 1: no [DB CLIENT]"),
        ("x.csv", "op,key\nset\n", "line 2: 1 columns are too few"),
        ("x.csv", "op,key\nfly,k\n", "no request that can be replayed"),
    ] {
        let (output, _) = replay(&server.path, name, trace, &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(message), "{stderr}");
    }
}
