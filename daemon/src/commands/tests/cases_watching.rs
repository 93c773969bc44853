//! What those who look on are told: SLOWLOG LATENCY.

use super::{Executor, check, check_with_redis, render, script};
use crate::options::{DebugCommand, Options};
use shard::types::UnixMs;

#[test]
fn requests_about_slow_commands() {
    check_with_redis(
        r#"
        # slowlog
        CONFIG GET slowlog-max-len => ["slowlog-max-len", "128"]
        CONFIG GET slowlog-log-slower-than => ["slowlog-log-slower-than", "10000"]
        SLOWLOG GET => []
        SLOWLOG GET 5 => []
        SLOWLOG GET -1 => []
        SLOWLOG GET -2 => -ERR count should be greater than or equal to -1
        SLOWLOG GET x => -ERR count should be greater than or equal to -1
        SLOWLOG GET 1 2 => -ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.
        SLOWLOG LEN => :0
        SLOWLOG LEN x => -ERR wrong number of arguments for 'slowlog|len' command
        SLOWLOG RESET => OK
        SLOWLOG FOO => -ERR unknown subcommand 'FOO'. Try SLOWLOG HELP.
        CONFIG SET slowlog-log-slower-than -2 => -ERR CONFIG SET failed (possibly related to argument 'slowlog-log-slower-than') - argument must be between -1 and 9223372036854775807 inclusive
        CONFIG SET slowlog-max-len -1 => -ERR CONFIG SET failed (possibly related to argument 'slowlog-max-len') - argument must be between 0 and 9223372036854775807 inclusive
        # latency
        CONFIG GET latency-monitor-threshold => ["latency-monitor-threshold", "0"]
        LATENCY LATEST => []
        LATENCY LATEST x => -ERR wrong number of arguments for 'latency|latest' command
        LATENCY HISTORY command => []
        LATENCY HISTORY a b => -ERR wrong number of arguments for 'latency|history' command
        LATENCY RESET => :0
        LATENCY RESET a b => :0
        LATENCY GRAPH "a'b" => -ERR No samples available for event 'a'b'
        LATENCY DOCTOR => *
        CONFIG SET latency-monitor-threshold 100 => OK
        LATENCY DOCTOR => *
        CONFIG SET latency-monitor-threshold 0 => OK
        LATENCY FOO => -ERR unknown subcommand 'FOO'. Try LATENCY HELP.
        LATENCY HISTOGRAM nosuch => []
        LATENCY HISTOGRAM bitpos => []
        "#,
    );
    check(
        r#"
        # help
        SLOWLOG HELP => *
        LATENCY HELP => *
        # a histogram of what ran, by the microseconds that a test's commands take
        SET k v => OK
        LATENCY HISTOGRAM set get nosuch => ["set", ["calls", :1, "histogram_usec", [:1, :1]]]
        GET k => "v"
        LATENCY HISTOGRAM get => ["get", ["calls", :1, "histogram_usec", [:1, :1]]]
        CONFIG GET timeout => ["timeout", "0"]
        LATENCY HISTOGRAM config => ["config|get", ["calls", :1, "histogram_usec", [:1, :1]]]
        "#,
    );
}

#[test]
fn what_was_slow_is_told() {
    let mut executor = Executor::new();
    let told = |text: &str, executor: &mut Executor| render(&executor.run(&script::request_of(text)));
    for (worker, duration_us) in [(0, 12_345), (0, 20_000)] {
        let args: [&[u8]; 2] = [b"GET", b"k"];
        let (when, len_max) = (UnixMs(1_700_000_000_123), 128);
        executor.server.slow_logs.note(
            worker,
            (when, duration_us),
            args.into_iter(),
            (b"/x:0", b"me"),
            len_max,
        );
    }
    let newest = r#"[[:1, :1700000000, :20000, ["GET", "k"], "/x:0", "me"]]"#;
    assert_eq!(told("SLOWLOG GET 1", &mut executor), newest);
    assert_eq!(told("SLOWLOG LEN", &mut executor), ":2");
    assert_eq!(told("CONFIG SET slowlog-max-len 1", &mut executor), "OK");
    assert_eq!(told("SLOWLOG LEN", &mut executor), ":1");
    assert_eq!(told("SLOWLOG GET", &mut executor), newest);
    assert_eq!(told("SLOWLOG RESET", &mut executor), "OK");
    assert_eq!(told("SLOWLOG GET", &mut executor), "[]");
    for (at_s, ms) in [(5, 30), (6, 50), (6, 20)] {
        executor.server.latency.note("command", at_s, ms);
    }
    assert_eq!(told("LATENCY LATEST", &mut executor), r#"[["command", :6, :50, :50]]"#);
    assert_eq!(told("LATENCY HISTORY command", &mut executor), "[[:5, :30], [:6, :50]]");
    let graph = told("LATENCY GRAPH command", &mut executor);
    assert!(graph.starts_with("\"command - high 50 ms, low 30 ms (all time high 50 ms)\\n-----"), "{graph}");
    assert_eq!(told("CONFIG SET latency-monitor-threshold 1", &mut executor), "OK");
    let report = told("LATENCY DOCTOR", &mut executor);
    assert!(
        report.contains("1. command: 2 latency spikes (average 40ms, mean deviation 10ms, period"),
        "{report}"
    );
    assert_eq!(told("LATENCY RESET x command", &mut executor), ":1");
    assert_eq!(told("LATENCY LATEST", &mut executor), "[]");
}

#[test]
fn what_a_client_that_caches_asks_for() {
    check_with_redis(
        r#"
        # nothing
        CLIENT GETREDIR => :-1
        CLIENT TRACKINGINFO => ["flags", ["off"], "redirect", :-1, "prefixes", []]
        CLIENT TRACKING => -ERR wrong number of arguments for 'client|tracking' command
        CLIENT TRACKING off => OK
        CLIENT TRACKING maybe => -ERR syntax error
        CLIENT TRACKING on FOO => -ERR syntax error
        CLIENT TRACKING off FOO => -ERR syntax error
        CLIENT TRACKING on PREFIX => -ERR syntax error
        CLIENT TRACKING on REDIRECT => -ERR syntax error
        CLIENT TRACKING on REDIRECT x => -ERR value is not an integer or out of range
        CLIENT TRACKING on REDIRECT 999999 => -ERR The client ID you want redirect to does not exist
        CLIENT TRACKING on REDIRECT -1 => -ERR The client ID you want redirect to does not exist
        CLIENT CACHING yes => -ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
        CLIENT CACHING x => -ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
        # all
        CLIENT TRACKING ON => OK
        CLIENT GETREDIR => :0
        CLIENT TRACKINGINFO => ["flags", ["on"], "redirect", :0, "prefixes", []]
        CLIENT CACHING yes => -ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.
        CLIENT CACHING no => -ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.
        CLIENT CACHING x => -ERR syntax error
        CLIENT TRACKING ON NOLOOP => OK
        CLIENT TRACKINGINFO => ["flags", ["on", "noloop"], "redirect", :0, "prefixes", []]
        CLIENT TRACKING ON BCAST => *
        CLIENT TRACKING ON OPTIN => OK
        CLIENT TRACKING ON OPTOUT => *
        CLIENT TRACKING ON OPTIN OPTOUT => -ERR You can't specify both OPTIN mode and OPTOUT mode
        CLIENT CACHING yes => OK
        CLIENT TRACKINGINFO => *
        CLIENT CACHING yes => OK
        CLIENT TRACKING ON OPTIN NOLOOP => OK
        CLIENT TRACKINGINFO => ["flags", ["on", "optin", "caching-yes", "noloop"], "redirect", :0, "prefixes", []]
        CLIENT TRACKING ON => OK
        CLIENT TRACKINGINFO => ["flags", ["on"], "redirect", :0, "prefixes", []]
        CLIENT TRACKING ON OPTIN => OK
        CLIENT TRACKINGINFO => ["flags", ["on", "optin", "caching-yes"], "redirect", :0, "prefixes", []]
        CLIENT TRACKING OFF => OK
        CLIENT TRACKINGINFO => ["flags", ["off"], "redirect", :-1, "prefixes", []]
        CLIENT TRACKING ON OPTOUT => OK
        CLIENT CACHING NO => OK
        CLIENT TRACKINGINFO => *
        # by prefix
        CLIENT TRACKING ON PREFIX a => -ERR PREFIX option requires BCAST mode to be enabled
        CLIENT TRACKING ON BCAST OPTIN => -ERR OPTIN and OPTOUT are not compatible with BCAST
        CLIENT TRACKING ON BCAST PREFIX a PREFIX ab => -ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client must not overlap.
        CLIENT TRACKING ON BCAST PREFIX b PREFIX a NOLOOP => OK
        CLIENT TRACKINGINFO => ["flags", ["on", "bcast", "noloop"], "redirect", :0, "prefixes", ["a", "b"]]
        CLIENT TRACKING ON BCAST PREFIX bc => -ERR Prefix 'bc' overlaps with an existing prefix 'b'. Prefixes for a single client must not overlap.
        CLIENT TRACKING ON => *
        CLIENT TRACKING ON BCAST PREFIX c => OK
        CLIENT TRACKINGINFO => ["flags", ["on", "bcast"], "redirect", :0, "prefixes", ["a", "b", "c"]]
        RESET => RESET
        CLIENT TRACKINGINFO => ["flags", ["off"], "redirect", :-1, "prefixes", []]
        CLIENT TRACKING ON BCAST => OK
        CLIENT TRACKINGINFO => ["flags", ["on", "bcast"], "redirect", :0, "prefixes", [""]]
        # the table
        CONFIG GET tracking-table-max-keys => ["tracking-table-max-keys", "1000000"]
        CONFIG SET tracking-table-max-keys 10 => OK
        CONFIG SET tracking-table-max-keys 1000000 => OK
        "#,
    );
    check(
        r#"
        # of Redis 7.2
        CLIENT NO-TOUCH on => OK
        CLIENT NO-TOUCH OFF => OK
        CLIENT NO-TOUCH x => -ERR syntax error
        "#,
    );
}

#[test]
fn debug_is_for_those_whom_it_is_allowed() {
    check_with_redis(
        r#"
        # nobody
        CONFIG GET enable-debug-command => ["enable-debug-command", "no"]
        DEBUG SLEEP 0 => -ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.
        DEBUG OBJECT k => *
        DEBUG HELP => *
        DEBUG SET-ACTIVE-EXPIRE 1 => *
        CONFIG SET enable-debug-command yes => -ERR CONFIG SET failed (possibly related to argument 'enable-debug-command') - can't set immutable config
        "#,
    );
    let options = Options { debug_command: DebugCommand::Local, ..Options::for_tests() };
    let mut executor = Executor::with_options(options);
    for (request, expected) in [
        ("DEBUG SLEEP 0.001", "OK"),
        ("DEBUG SLEEP x", "OK"),
        ("DEBUG SET-ACTIVE-EXPIRE 1", "OK"),
        ("DEBUG OBJECT k", "-ERR no such key"),
        ("SET k 12", "OK"),
        (
            "DEBUG OBJECT k",
            "Value at:0x0 refcount:1 encoding:int serializedlength:3 lru:0 lru_seconds_idle:0",
        ),
        ("DEBUG JMAP", "-ERR unknown subcommand 'JMAP'. Try DEBUG HELP."),
    ] {
        assert_eq!(render(&executor.run(&script::request_of(request))), expected, "{request}");
    }
}

#[test]
fn debug_set_active_expire_stops_deletes_in_background_and_begins_them_again() {
    let options = Options { debug_command: DebugCommand::Local, ..Options::for_tests() };
    let mut executor = Executor::with_options(options);
    let ask = |executor: &mut Executor, request| render(&executor.run(&script::request_of(request)));
    ask(&mut executor, "DEBUG SET-ACTIVE-EXPIRE 0");
    ask(&mut executor, "MSET a 1 b 2");
    ask(&mut executor, "PEXPIRE a 10");
    ask(&mut executor, "PEXPIRE b 10");
    executor.advance(60_000);
    executor.tick();
    assert_eq!(ask(&mut executor, "DBSIZE"), ":2");
    assert_eq!(ask(&mut executor, "GET a"), "nil");
    assert_eq!(ask(&mut executor, "DEBUG SET-ACTIVE-EXPIRE 1"), "OK");
    executor.tick();
    assert_eq!(ask(&mut executor, "DBSIZE"), ":0");
}
