//! Mixes, named workloads, sizes and verified answers against redis-server, where it is installed.

use std::process::Command;

use resp::Reply;

use crate::redis::Redis;
use crate::{outcome, reason_codes, run};

#[test]
fn every_named_workload_runs_with_verified_answers_and_without_misses_or_errors() {
    let Some(redis) = Redis::start(None) else { return };
    for name in ["ycsb-a", "ycsb-b", "ycsb-c", "ycsb-d", "ycsb-e", "ycsb-f", "cache-write"] {
        redis.control(0).ask(&[b"FLUSHALL"]).unwrap();
        let line =
            format!("--workload {name} --verify --prefill --keys 2000 -n 4000 --warmup 0s -c 8 -t 2 -P 4");
        let report = run(&redis.path, &line);
        let result = outcome(&report);
        assert_eq!((result.ops, result.errors.total, result.misses), (4000, 0, 0), "{name}");
        let verify = result.verify.as_ref().unwrap();
        assert_eq!(verify.bad, 0, "{name}: {verify:?}");
        assert!(verify.checked > 500, "{name}: {verify:?}");
        let drawn: u64 = result
            .ops_by_type
            .iter()
            .filter(|(kind, _)| !kind.contains('.'))
            .map(|(_, kind)| kind.count)
            .sum();
        assert_eq!(drawn, 4000, "{name}");
        let inserts = result.ops_by_type.get("INSERT").map_or(0, |kind| kind.count);
        assert_eq!(redis.key_count(0), Some(2000 + inserts), "{name}");
        assert_eq!(inserts > 0, matches!(name, "ycsb-d" | "ycsb-e"), "{name}");
    }
}

#[test]
fn a_read_modify_write_sends_both_halves() {
    let Some(redis) = Redis::start(None) else { return };
    let report = run(&redis.path, "--mix rmw=1 --prefill --keys 100 -n 1000 --warmup 0s -c 5 -t 2 -P 3");
    let kinds = &outcome(&report).ops_by_type;
    for kind in ["RMW", "RMW.GET", "RMW.SET"] {
        assert_eq!(kinds[kind].count, 1000, "{kind}");
    }
    let (whole, half) = (&kinds["RMW"].latency_ns.service, &kinds["RMW.SET"].latency_ns.service);
    assert!(whole.mean.unwrap() > half.mean.unwrap());
    let info = redis.control(0).info().unwrap();
    assert!(info.get("keyspace_hits").is_some_and(|hits| hits == "1000"), "{:?}", info.get("keyspace_hits"));
}

#[test]
fn walks_go_on_from_the_cursors_that_they_are_answered_with() {
    let Some(redis) = Redis::start(None) else { return };
    let mut control = redis.control(0);
    for (option, value) in [("slowlog-log-slower-than", "0"), ("slowlog-max-len", "10000")] {
        control.ask(&[b"CONFIG", b"SET", option.as_bytes(), value.as_bytes()]).unwrap();
    }
    for (pipeline, get) in [(1, 0), (4, 3)] {
        control.ask(&[b"FLUSHALL"]).unwrap();
        control.ask(&[b"SLOWLOG", b"RESET"]).unwrap();
        let line = format!(
            "--mix walk=1,get={get} --scan-keys 10 --prefill --keys 200 -n 2000 --warmup 0s -c 1 -t 1 -P {pipeline}"
        );
        let report = run(&redis.path, &line);
        let result = outcome(&report);
        assert_eq!((result.ops, result.errors.total), (2000, 0));
        let steps = result.ops_by_type["WALK"].count;
        let cursors = scan_cursors(&control.ask(&[b"SLOWLOG", b"GET", b"-1"]).unwrap());
        assert_eq!(cursors.len() as u64, steps);
        let mut different = cursors.clone();
        different.sort();
        different.dedup();
        // 200 keys in 256 places, at least ten of them a step: a walk has at most 26 steps, and goes the same way each time.
        let begun = cursors.iter().filter(|cursor| *cursor == "0").count();
        assert!((10..=26).contains(&different.len()), "{different:?}");
        let walks = cursors.len().div_ceil(different.len());
        assert!((walks..=walks + pipeline).contains(&begun), "{begun} begun, {walks} walks");
    }
}

/// The cursors of the calls of SCAN with COUNT 10 in a slow log.
fn scan_cursors(log: &Reply) -> Vec<String> {
    let Reply::Array(entries) = log else { panic!("{log:?}") };
    let words = entries.iter().filter_map(|entry| {
        let Reply::Array(fields) = entry else { panic!("{entry:?}") };
        let Reply::Array(words) = &fields[3] else { panic!("{fields:?}") };
        let words = words.iter().map(|word| match word {
            Reply::Bulk(word) => String::from_utf8_lossy(word).into_owned(),
            other => panic!("{other:?}"),
        });
        let words: Vec<String> = words.collect();
        (words[0] == "SCAN").then_some(words)
    });
    words
        .map(|words| {
            assert_eq!((words.len(), &words[2][..], &words[3][..]), (4, "COUNT", "10"));
            words[1].clone()
        })
        .collect()
}

#[test]
fn deletes_sizes_and_times_to_live_reach_the_server() {
    let Some(redis) = Redis::start(None) else { return };
    let line = "--mix set=3,del=1 --keys 500 --key-size 12:1,30:1 --value-size 10:1,200:1 --ttl 100s..200s -n 5000 \
                --warmup 0s -P 4";
    let report = run(&redis.path, line);
    let result = outcome(&report);
    assert_eq!((result.ops, result.errors.total), (5000, 0));
    let mut control = redis.control(0);
    let Reply::Array(keys) = control.ask(&[b"KEYS", b"*"]).unwrap() else { panic!("an array") };
    assert!((200..500).contains(&keys.len()), "{}", keys.len());
    for key in keys {
        let Reply::Bulk(key) = key else { panic!("a key") };
        assert!(matches!(key.len(), 12 | 30), "{key:?}");
        let Reply::Integer(length) = control.ask(&[b"STRLEN", &key]).unwrap() else { panic!("a length") };
        assert!(matches!(length, 10 | 200), "{length}");
        let Reply::Integer(ttl) = control.ask(&[b"TTL", &key]).unwrap() else { panic!("a time") };
        assert!((90..=200).contains(&ttl), "{ttl}");
    }
}

#[test]
fn commands_of_the_user_are_filled_in_and_counted_by_name() {
    let Some(redis) = Redis::start(None) else { return };
    let status = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["run", "-s", redis.path.to_str().unwrap(), "-n", "4000", "--warmup", "0s", "--keys", "50"])
        .args([
            "--command",
            "LPUSH list:{key} {value}",
            "--command-ratio",
            "3",
            "--command",
            "llen list:{key}",
        ])
        .args(["--live", "none"])
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let shown = String::from_utf8_lossy(&status.stdout);
    assert!(shown.contains("LPUSH from send") && shown.contains("LLEN from send"), "{shown}");
    let Reply::Integer(length) = redis.control(0).ask(&[b"LLEN", b"list:key:000000000007"]).unwrap() else {
        panic!("a length")
    };
    // 3000 pushes over 50 keys: 60 with a standard deviation of 8.
    assert!((20..100).contains(&length), "{length}");
}

#[test]
fn a_sample_of_the_answers_is_checked_or_none_or_all() {
    let Some(redis) = Redis::start(None) else { return };
    run(&redis.path, "--verify --prefill --keys 100 -n 10 --warmup 0s");
    let checked = |option: &str| {
        let report = run(&redis.path, &format!("--ratio 0:1 --keys 100 -n 20000 --warmup 0s {option}"));
        let details = report.config.workload.details.clone().unwrap();
        (outcome(&report).verify.clone().map(|verify| verify.checked), details.verify_share)
    };
    assert_eq!(checked("--verify none"), (None, None));
    assert_eq!(checked("--verify"), (Some(20_000), Some(1.0)));
    assert_eq!(checked("--verify=all"), (Some(20_000), Some(1.0)));
    let (sample, share) = checked("--verify sample:10%");
    // Four standard deviations: 170.
    assert!(sample.unwrap().abs_diff(2000) < 170 && share == Some(0.1), "{sample:?} {share:?}");
}

#[test]
fn wrong_values_and_too_many_misses_end_with_status_3() {
    let Some(redis) = Redis::start(None) else { return };
    run(&redis.path, "--verify --prefill --keys 100 -n 10 --warmup 0s");
    let mut control = redis.control(0);
    let Reply::Bulk(value) = control.ask(&[b"GET", b"key:000000000001"]).unwrap() else { panic!("a value") };
    control.ask(&[b"SET", b"key:000000000002", &value]).unwrap();
    let report = run(&redis.path, "--verify --ratio 0:1 --keys 100 -n 5000 --warmup 0s");
    let verify = outcome(&report).verify.clone().unwrap();
    assert!(verify.bad > 10 && verify.bad < 200, "{verify:?}");
    assert!(verify.example.unwrap().contains("key number 1 was answered for key number 2"));
    assert!(reason_codes(&report).contains(&"wrong_answers"));
    let elsewhere = ["--miss-limit", "1%", "--key-prefix", "other:", "--key-size", "20"];
    for options in [&["--verify"][..], &elsewhere] {
        let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args([
                "run",
                "-s",
                redis.path.to_str().unwrap(),
                "--ratio",
                "0:1",
                "--keys",
                "100",
                "-n",
                "2000",
            ])
            .args(["--warmup", "0s", "--live", "none"])
            .args(options)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
