//! The server as a whole: CONFIG COMMAND INFO TIME SHUTDOWN.

use resp::{Reply, parse_reply};

use super::{Executor, check, check_with_redis, render, script};
use crate::commands::{Action, COMMANDS};
use crate::options::{Options, Storage};
use crate::server::ShutdownRequest;

fn ask(executor: &mut Executor, text: &str) -> Reply {
    parse_reply(&executor.run(&script::request_of(text))).unwrap().expect("a whole reply").0
}

#[test]
fn config() {
    check_with_redis(
        r#"
        # get
        CONFIG GET maxclients => ["maxclients", "10000"]
        CONFIG GET MAXCLIENT? => ["maxclients", "10000"]
        CONFIG GET nosuch => []
        CONFIG GET save => ["save", ""]
        CONFIG GET appendonly => ["appendonly", "no"]
        CONFIG GET timeout nosuch => ["timeout", "0"]
        CONFIG GET => -ERR wrong number of arguments for 'config|get' command
        # set
        CONFIG SET timeout 60 => OK
        CONFIG GET timeout => ["timeout", "60"]
        CONFIG SET timeout 0 => OK
        CONFIG SET loglevel VERBOSE => OK
        CONFIG GET loglevel => ["loglevel", "verbose"]
        CONFIG SET loglevel notice tcp-keepalive 299 => OK
        CONFIG GET tcp-keepalive => ["tcp-keepalive", "299"]
        CONFIG SET tcp-keepalive 300 => OK
        CONFIG SET proto-max-bulk-len 1mb => OK
        CONFIG GET proto-max-bulk-len => ["proto-max-bulk-len", "1048576"]
        SETRANGE k 1048576 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        CONFIG SET proto-max-bulk-len 512mb => OK
        CONFIG SET client-query-buffer-limit 2mb => OK
        CONFIG GET client-query-buffer-limit => ["client-query-buffer-limit", "2097152"]
        CONFIG SET client-query-buffer-limit 1gb => OK
        CONFIG SET client-query-buffer-limit 1000kb => -ERR CONFIG SET failed (possibly related to argument 'client-query-buffer-limit') - argument must be between 1048576 and 9223372036854775807 inclusive
        CONFIG SET save "" => OK
        CONFIG SET appendonly no => OK
        CONFIG SET appendfsync no => OK
        CONFIG GET appendfsync => ["appendfsync", "no"]
        CONFIG SET appendfsync ALWAYS timeout 0 => OK
        CONFIG GET appendfsync => ["appendfsync", "always"]
        CONFIG SET appendfsync everysec => OK
        CONFIG SET appendfsync maybe => -ERR CONFIG SET failed (possibly related to argument 'appendfsync') - argument(s) must be one of the following: everysec, always, no
        CONFIG GET appendfsync => ["appendfsync", "everysec"]
        # refusals change nothing
        CONFIG SET timeout => -ERR wrong number of arguments for 'config|set' command
        CONFIG SET timeout 1 loglevel => -ERR syntax error
        CONFIG SET nosuch 1 => -ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'
        CONFIG SET timeout 7 nosuch 1 => -ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'
        CONFIG SET timeout abc => -ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer
        CONFIG SET timeout 8 maxclients 0 => -ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be between 1 and 4294967295 inclusive
        CONFIG SET databases 3 => -ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config
        CONFIG SET timeout 1 timeout 2 => -ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter
        CONFIG SET loglevel xx => -ERR CONFIG SET failed (possibly related to argument 'loglevel') - argument(s) must be one of the following: debug, verbose, notice, warning
        CONFIG SET proto-max-bulk-len abc => -ERR CONFIG SET failed (possibly related to argument 'proto-max-bulk-len') - argument must be a memory value
        CONFIG GET timeout => ["timeout", "0"]
        # events, classes of clients, channels
        CONFIG SET client-output-buffer-limit "pubsub 1mb 0" => -ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Wrong number of arguments in buffer limit configuration.
        CONFIG SET client-output-buffer-limit "master 1 1 1" => -ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Invalid client class specified in buffer limit configuration.
        CONFIG SET client-output-buffer-limit "pubsub a 1 1" => -ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, soft or soft_seconds setting in buffer limit configuration.
        CONFIG SET client-output-buffer-limit "normal 1mb 0 0 replica 1 2 3 pubsub 2mb 1mb 5" => OK
        CONFIG GET client-output-buffer-limit => ["client-output-buffer-limit", "normal 1048576 0 0 slave 1 2 3 pubsub 2097152 1048576 5"]
        CONFIG SET notify-keyspace-events KQ => -ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class character. Use 'Ag$lshzxeKEtmdn'.
        CONFIG SET notify-keyspace-events AKEnm => OK
        CONFIG GET notify-keyspace-events => ["notify-keyspace-events", "AKEm"]
        CONFIG SET notify-keyspace-events nx$K => OK
        CONFIG GET notify-keyspace-events => ["notify-keyspace-events", "$xnK"]
        CONFIG SET notify-keyspace-events "" => OK
        CONFIG SET acl-pubsub-default all => -ERR CONFIG SET failed (possibly related to argument 'acl-pubsub-default') - argument(s) must be one of the following: allchannels, resetchannels
        CONFIG SET acl-pubsub-default ALLCHANNELS => OK
        CONFIG GET acl-pubsub-default => ["acl-pubsub-default", "allchannels"]
        # the rest
        CONFIG RESETSTAT => OK
        CONFIG REWRITE => -ERR The server is running without a config file
        "#,
    );
    check(
        r#"
        # what is ours
        CONFIG GET wal* => ["wal", "no", "wal-segment-bytes", "67108864", "wal-sync", "auto"]
        CONFIG GET client-output-buffer-limit => ["client-output-buffer-limit", "normal 1073741824 268435456 60 slave 268435456 67108864 60 pubsub 33554432 8388608 60"]
        CONFIG SET client-output-buffer-limit "normal 1mb 0 0" => OK
        CONFIG GET client-output* => ["client-output-buffer-limit", "normal 1048576 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"]
        CONFIG SET appendonly yes => -ERR CONFIG SET failed (possibly related to argument 'appendonly') - it is fixed at start; restart the server with another value
        CONFIG GET bind => ["bind", "127.0.0.1 -::1"]
        "#,
    );
}

/// COMMAND INFO is compared with Redis as bytes where both have the same.
#[test]
fn command_info_is_that_of_redis() {
    // In Redis 7.0, unlike 7.2: another arity, flags or tips; or other subcommands.
    let differs = [
        "client|setinfo",
        "command|getkeys",
        "command|getkeysandflags",
        "acl",
        "client",
        "command",
        "config",
        "ouro.compact",
        "ouro.scrub",
        "ouro.wal",
        "ouro.wal|clear",
        "ouro.wal|help",
        "ouro.wal|rotate",
        "ouro.wal|size",
        "ouro.wal|status",
        "ouro.diskusage",
        "waitaof",
        "script",
        "object",
        "memory",
        "function",
        "slowlog",
        "latency",
        // One command in Redis.
        "debug",
        "debug|help",
        "debug|object",
        "debug|set-active-expire",
        "debug|sleep",
        // Of 7.2.
        "client|no-touch",
        // Its subcommands stand in another order.
        "pubsub",
    ];
    let same = COMMANDS.iter().map(|command| command.name).filter(|name| !differs.contains(name));
    let table: String = same.map(|name| format!("COMMAND INFO {name} => *\n")).collect();
    check_with_redis(&format!("# resp2\n{table}"));
    let Some(redis) = super::redis::Redis::start() else { return };
    for hello in ["HELLO 2", "HELLO 3"] {
        let (mut client, mut executor) = (redis.connect(), Executor::new());
        client.ask(&script::request_of(hello));
        executor.run(&script::request_of(hello));
        for name in COMMANDS.iter().map(|command| command.name).filter(|name| !differs.contains(name)) {
            let request = script::request_of(&format!("COMMAND INFO {name}"));
            let (ours, theirs) = (executor.run(&request), client.ask(&request));
            assert_eq!(render(&ours), render(&theirs), "{hello}");
            assert_eq!(ours, theirs, "{hello} {name}");
        }
    }
}

#[test]
fn commands_are_counted_listed_and_documented() {
    let mut executor = Executor::new();
    let top_level = COMMANDS.iter().filter(|command| !command.is_subcommand()).count();
    let Reply::Array(all) = ask(&mut executor, "COMMAND") else { panic!("an array") };
    assert_eq!(all.len(), top_level);
    assert_eq!(ask(&mut executor, "COMMAND INFO"), Reply::Array(all));
    assert_eq!(ask(&mut executor, "COMMAND COUNT"), Reply::Integer(i64::try_from(top_level).unwrap()));
    let Reply::Array(names) = ask(&mut executor, "COMMAND LIST") else { panic!("an array") };
    assert_eq!(names.len(), COMMANDS.len());
    executor.run(&script::request_of("HELLO 3"));
    let Reply::Map(docs) = ask(&mut executor, "COMMAND DOCS") else { panic!("a map") };
    assert_eq!(docs.len(), top_level);
    let Reply::Map(docs) = ask(&mut executor, "COMMAND DOCS set nosuch config|get") else { panic!("a map") };
    assert_eq!(docs.len(), 2);
}

#[test]
fn keys_of_requests_and_filters_of_lists() {
    check_with_redis(
        r#"
        # getkeys
        COMMAND GETKEYS mset a 1 b 2 => ["a", "b"]
        COMMAND GETKEYS mset a 1 b => ["a", "b"]
        COMMAND GETKEYS get k => ["k"]
        COMMAND GETKEYS SET k v EX 10 => ["k"]
        COMMAND GETKEYS del a b c => ["a", "b", "c"]
        COMMAND GETKEYS nosuch x => -ERR Invalid command specified
        COMMAND GETKEYS client list => -ERR The command has no key arguments
        COMMAND GETKEYS client nosuch => -ERR Invalid command specified
        COMMAND GETKEYS get a b => -ERR Invalid number of arguments specified for command
        COMMAND GETKEYSANDFLAGS set k v => [["k", [OW, update]]]
        COMMAND GETKEYSANDFLAGS set k v get => [["k", [RW, access, update]]]
        COMMAND GETKEYSANDFLAGS mget a b => [["a", [RO, access]], ["b", [RO, access]]]
        COMMAND INFO nosuch => [nil]
        COMMAND DOCS nosuch => []
        COMMAND FOO => -ERR unknown subcommand 'FOO'. Try COMMAND HELP.
        # list
        COMMAND LIST FILTERBY PATTERN msetn* => ["msetnx"]
        COMMAND LIST FILTERBY MODULE x => []
        COMMAND LIST FILTERBY ACLCAT nosuch => []
        COMMAND LIST FILTERBY FOO x => -ERR syntax error
        COMMAND LIST FILTERBY PATTERN => -ERR syntax error
        COMMAND LIST x => -ERR syntax error
        "#,
    );
    check(
        r#"
        # the arity of 7.2
        COMMAND GETKEYS ping => -ERR The command has no key arguments
        COMMAND GETKEYS get => -ERR Invalid number of arguments specified for command
        COMMAND LIST FILTERBY ACLCAT admin => ["client|kill", "client|list", "client|no-evict", "client|pause", "client|unblock", "client|unpause", "bgrewriteaof", "ouro.compact", "ouro.scrub", "save", "bgsave", "lastsave", "ouro.wal|clear", "ouro.wal|rotate", "ouro.wal|size", "ouro.wal|status", "ouro.diskusage", "shutdown", "config|get", "config|resetstat", "config|rewrite", "config|set", "debug|help", "debug|object", "debug|set-active-expire", "debug|sleep", "monitor", "slowlog|get", "slowlog|len", "slowlog|reset", "latency|doctor", "latency|graph", "latency|histogram", "latency|history", "latency|latest", "latency|reset", "acl|deluser", "acl|dryrun", "acl|getuser", "acl|list", "acl|load", "acl|log", "acl|save", "acl|setuser", "acl|users"]
        "#,
    );
}

#[test]
fn documentation_reads_like_this() {
    check(
        r#"
        # golden
        COMMAND DOCS setnx => ["setnx", ["summary", "Sets a key to a value only if it is not there.", "since", "1.0.0", "group", "string", "complexity", "O(1)", "doc_flags", [deprecated], "deprecated_since", "2.6.12", "replaced_by", "`SET` with the `NX` argument", "arguments", [["name", "key", "type", "key", "display_text", "key", "key_spec_index", :0], ["name", "value", "type", "string", "display_text", "value"]]]]
        "#,
    );
}

#[test]
fn help_is_told() {
    check(
        r#"
        # each container
        CONFIG HELP => [CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:, GET <pattern>,     Return parameters matching the glob-like <pattern> and their values., SET <directive> <value>,     Set the configuration <directive> to <value>., RESETSTAT,     Reset statistics reported by the INFO command., REWRITE,     Rewrite the configuration file with the current configuration., HELP,     Print this help.]
        CLIENT HELP => *
        COMMAND HELP => *
        CLIENT HELP x => -ERR wrong number of arguments for 'client|help' command
        "#,
    );
}

#[test]
fn time_is_the_time() {
    let mut executor = Executor::new();
    let Reply::Array(parts) = ask(&mut executor, "TIME") else { panic!("an array") };
    let numbers: Vec<u64> = parts
        .iter()
        .map(|part| match part {
            Reply::Bulk(digits) => String::from_utf8_lossy(digits).parse().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(numbers[0].abs_diff(now) <= 1 && numbers[1] < 1_000_000 && numbers.len() == 2);
}

#[test]
fn shutdown_is_asked_for_once_and_answers_nothing() {
    check_with_redis(
        r#"
        # refusals
        SHUTDOWN FOO => -ERR syntax error
        SHUTDOWN SAVE NOSAVE => -ERR syntax error
        SHUTDOWN ABORT NOW => -ERR syntax error
        SHUTDOWN ABORT => -ERR No shutdown in progress.
        "#,
    );
    let mut executor = Executor::new();
    assert!(executor.run(&script::request_of("SHUTDOWN NOSAVE NOW FORCE")).is_empty());
    let request = ShutdownRequest { now: true, force: true };
    assert_eq!(executor.action, Action::Shutdown(request));
    assert_eq!(executor.shutdown_request(), Some(request));
}

/// Runs requests one after the other with these options; each has its reply behind `=>`.
fn check_with_options(options: Options, lines: &[&str]) {
    let mut executor = Executor::with_options(options);
    for line in lines {
        let (request, expected) = line.split_once(" => ").expect("a request and its reply");
        let reply = render(&executor.run(&script::request_of(request)));
        script::check_line("options", request, expected, &reply);
    }
}

#[test]
fn saves_and_the_log_on_demand() {
    let disk = Options { storage: Storage::Disk, wal: true, ..Options::for_tests() };
    check_with_options(
        disk,
        &[
            "SAVE x => -ERR wrong number of arguments for 'save' command",
            "BGSAVE NOW => -ERR syntax error",
            "BGSAVE SCHEDULE x => -ERR syntax error",
            "LASTSAVE => :1600000000..9000000000",
            "BGSAVE SCHEDULE => Background saving started",
            "BGSAVE => -ERR Background save already in progress",
            "SAVE => -ERR Background save already in progress",
        ],
    );
    let memory = Options::for_tests();
    check_with_options(
        memory.clone(),
        &[
            "SAVE => -ERR nothing to save to: the store is in memory only (--storage memory)",
            "BGSAVE => -ERR nothing to save to: the store is in memory only (--storage memory)",
            "OURO.WAL STATUS => [-ERR there is no write-ahead log (--wal no)]",
            "OURO.WAL ROTATE => -ERR there is no write-ahead log (--wal no)",
            "OURO.WAL CLEAR => -ERR there is no write-ahead log (--wal no)",
            "OURO.WAL SIZE => :0",
            "OURO.WAL SIZE x => -ERR wrong number of arguments for 'ouro.wal|size' command",
            "OURO.WAL NOSUCH => -ERR unknown subcommand 'NOSUCH'. Try OURO.WAL HELP.",
        ],
    );
    let mut executor = Executor::with_options(memory);
    executor.run(&script::request_of("HELLO 3"));
    let Reply::Array(workers) = ask(&mut executor, "OURO.DISKUSAGE") else { panic!("an array") };
    assert!(matches!(&workers[..], [Reply::Map(fields)] if fields.len() == 7), "{workers:?}");
}

/// The text of INFO with these arguments.
fn info(executor: &mut Executor, arguments: &str) -> String {
    match ask(executor, &format!("INFO {arguments}")) {
        Reply::Bulk(text) | Reply::Verbatim { text, .. } => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn heads(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# ")).collect()
}

#[test]
fn info_has_the_sections_that_are_asked_for() {
    let mut executor = Executor::new();
    let default = info(&mut executor, "");
    let expected = [
        "Server",
        "Clients",
        "Memory",
        "Persistence",
        "Stats",
        "Replication",
        "Cpu",
        "Errorstats",
        "Cluster",
        "Ouro",
        "Keyspace",
    ];
    assert_eq!(heads(&default), expected);
    assert_eq!(heads(&info(&mut executor, "default")), expected);
    assert_eq!(heads(&info(&mut executor, "everything")).len(), 13);
    assert_eq!(heads(&info(&mut executor, "ALL")).len(), 13);
    assert_eq!(heads(&info(&mut executor, "keyspace SERVER nosuch")), ["Server", "Keyspace"]);
    assert_eq!(info(&mut executor, "nosuch"), "");
    assert_eq!(info(&mut executor, "cluster"), "# Cluster\r\ncluster_enabled:0\r\n");
    assert!(default.contains("\r\n\r\n# Clients\r\n"), "a blank line between sections");
}

#[test]
fn info_counts_what_was_done() {
    let mut executor = Executor::new();
    for request in ["SET k v", "GET k", "GET x", "INCR k", "GET", "NOSUCH", "HELLO 9"] {
        executor.run(&script::request_of(request));
    }
    let text = info(&mut executor, "all");
    for line in [
        "redis_version:7.2.0",
        "total_commands_processed:5",
        "keyspace_hits:1",
        "keyspace_misses:1",
        "total_error_replies:4",
        "cmdstat_get:calls=2,usec=2,usec_per_call=1.00,rejected_calls=1,failed_calls=0",
        "cmdstat_incr:calls=1,usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=1",
        "errorstat_ERR:count=3",
        "errorstat_NOPROTO:count=1",
        "latency_percentiles_usec_get:p50=1.000,p99=1.000,p99.9=1.000",
        "db0:keys=1,expires=0,avg_ttl=0",
        "run_id:abababababababababababababababababababab",
        "role:master",
        "storage:memory",
        "wal:no",
    ] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} in\n{text}");
    }
    executor.run(&script::request_of("CONFIG RESETSTAT"));
    let text = info(&mut executor, "stats commandstats keyspace");
    assert!(text.contains("keyspace_hits:0\r\n") && !text.contains("cmdstat_get"), "{text}");
    assert!(text.contains("db0:keys=1,"), "what is there stays");
}

/// Lines of INFO that common tools and libraries read.
#[test]
fn info_has_the_lines_that_tools_read() {
    let mut executor = Executor::new();
    let text = info(&mut executor, "");
    for name in [
        "redis_version",
        "redis_mode",
        "os",
        "process_id",
        "tcp_port",
        "uptime_in_seconds",
        "connected_clients",
        "maxclients",
        "used_memory",
        "used_memory_human",
        "used_memory_rss",
        "used_memory_peak",
        "maxmemory",
        "loading",
        "aof_enabled",
        "rdb_bgsave_in_progress",
        "rdb_last_save_time",
        "total_connections_received",
        "instantaneous_ops_per_sec",
        "expired_keys",
        "evicted_keys",
        "role",
        "connected_slaves",
        "used_cpu_sys",
        "used_cpu_user",
        "cluster_enabled",
    ] {
        assert!(text.contains(&format!("\n{name}:")), "{name}");
    }
}
