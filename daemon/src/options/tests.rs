//! Options as they are given and refused.

use std::ffi::OsString;
use std::io::Write as _;

use super::*;
use crate::server::{ClientClass, OutputLimit};

fn machine(cpus: &[usize]) -> Machine {
    Machine { allowed_cpus: cpus.to_vec() }
}

fn options(args: &[&str]) -> Result<Options, String> {
    let words = std::iter::once("ourod").chain(args.iter().copied()).map(OsString::from);
    parse(words, &machine(&[0, 1, 2, 5])).map_err(|error| error.to_string())
}

/// Options of a file with this text, and of a command line besides it.
fn from_file(text: &str, args: &[&str]) -> Result<Options, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let mut words = vec!["--config", &path];
    words.extend(args);
    options(&words).map_err(|error| error.replace(&path, "FILE"))
}

#[track_caller]
fn refused(args: &[&str], parts: &[&str]) {
    let error = options(args).expect_err("refused");
    for part in parts {
        assert!(error.contains(part), "{part:?} in {error:?}");
    }
}

#[test]
fn defaults() {
    let options = options(&[]).unwrap();
    assert_eq!(options.dir, PathBuf::from("./ouro-data"));
    assert_eq!(options.unix_socket, Some("./ouro-data/ouro.sock".into()));
    assert_eq!((options.unix_socket_mode, options.port), (0o600, 0));
    assert_eq!(
        (options.append_fsync, options.storage, options.wal),
        (AppendFsync::Always, Storage::Disk, true)
    );
    assert_eq!((options.workers, options.cpus.as_slice()), (4, &[0, 1, 2, 5][..]));
    assert_eq!((options.shards, options.shards_given, options.max_clients), (16, false, 10_000));
    assert_eq!((options.wal_segment_bytes, options.bulk_bytes_max), (64 << 20, 512 << 20));
    assert_eq!((options.wal_sync, options.log_level), (WalSync::Auto, LogLevel::Notice));
    assert_eq!((options.tcp_keepalive_seconds, options.tcp_backlog, options.timeout_seconds), (300, 511, 0));
    assert_eq!((options.request_timeout_seconds, options.query_bytes_max), (60, 1 << 30));
    assert_eq!((options.shutdown_timeout_seconds, options.admin.is_none()), (10, true));
    assert_eq!(options.tcp_addresses().count(), 0);
}

#[test]
fn every_option_is_taken() {
    let options = options(&[
        "--dir=/data",
        "--unixsocket",
        "",
        "--unixsocketperm",
        "0770",
        "--port",
        "6379",
        "--bind",
        "::1 -127.0.0.1",
        "--appendfsync",
        "EVERYSEC",
        "--maxclients",
        "7",
        "--loglevel",
        "debug",
        "--workers",
        "2",
        "--cpus",
        "5,0-1",
        "--shards",
        "64",
        "--storage",
        "disk",
        "--wal",
        "yes",
        "--wal-segment-bytes",
        "1mb",
        "--wal-sync",
        "dsync",
        "--admin",
        "127.0.0.1:9121",
        "--proto-max-bulk-len",
        "16mb",
        "--client-output-buffer-limit",
        "normal 0 0 0",
        "--timeout",
        "1",
        "--tcp-keepalive",
        "2",
        "--tcp-backlog",
        "3",
        "--shutdown-timeout",
        "4",
    ])
    .unwrap();
    assert_eq!((options.unix_socket.clone(), options.unix_socket_mode), (None, 0o770));
    assert_eq!((options.workers, options.cpus.as_slice(), options.shards), (2, &[5, 0][..], 64));
    let addresses: Vec<String> =
        options.tcp_addresses().map(|(ip, _, _, optional)| format!("{ip} {optional}")).collect();
    assert_eq!(addresses, ["::1 false", "127.0.0.1 true"]);
    assert_eq!((options.append_fsync, options.wal_sync), (AppendFsync::Everysec, WalSync::Dsync));
    let limit = options.output_limits.of(ClientClass::Normal);
    assert_eq!(limit, OutputLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 });
    assert_eq!((options.timeout_seconds, options.tcp_keepalive_seconds, options.tcp_backlog), (1, 2, 3));
}

#[test]
fn a_default_in_the_help_is_the_default() {
    let help = command_line().render_long_help().to_string();
    for text in [
        "[default: ./ouro-data]",
        "[default: always]",
        "[default: 64mb]",
        "[default: 10000]",
        "<dir>/ouro.sock",
    ] {
        assert!(help.contains(text), "{text} in {help}");
    }
    for arg in command_line().get_arguments() {
        assert!(arg.get_help().is_some(), "{} is explained", arg.get_id());
    }
}

#[test]
fn memory_has_no_log_and_disk_one_unless_told_otherwise() {
    let memory = options(&["--storage", "memory"]).unwrap();
    assert_eq!((memory.storage, memory.wal), (Storage::Memory, false));
    refused(&["--storage", "memory", "--wal", "yes"], &["writes no file", "--wal no"]);
    let disk = options(&[]).unwrap();
    assert_eq!((disk.storage, disk.wal), (Storage::Disk, true));
    let without = options(&["--wal", "no"]).unwrap();
    assert_eq!((without.storage, without.wal), (Storage::Disk, false));
}

#[test]
fn what_cannot_be_served_is_refused_with_what_to_do() {
    refused(&["--port", "6379", "--bind", "0.0.0.0"], &["0.0.0.0", "loopback", "--requirepass"]);
    refused(&["--bind", "10.0.0.1"], &["loopback"]);
    refused(&["--bind", "example.org"], &["no IP address"]);
    refused(&["--bind", " "], &["--port 0"]);
    refused(&["--unixsocket", ""], &["no client could ever connect"]);
    refused(&["--unixsocket", &"x".repeat(108)], &["107"]);
    refused(&["--workers", "5"], &["4 CPUs", "at most 4"]);
    refused(&["--cpus", "3"], &["CPU 3", "0,1,2,5"]);
    refused(&["--cpus", "0,0"], &["twice"]);
    refused(&["--shards", "2", "--workers", "4"], &["--workers 4", "no shard"]);
    assert_eq!(options(&["--shards", "2"]).unwrap().workers, 2);
    refused(&["--shards", "0"], &["1..=1024"]);
    refused(&["--shards", "1025"], &["1..=1024"]);
    refused(&["--wal-segment-bytes", "100kb"], &["between 1mb and 4gb"]);
    refused(&["--wal-segment-bytes", "1048577"], &["multiple of 4096"]);
    refused(&["--proto-max-bulk-len", "1gb"], &["512mb"]);
    refused(&["--client-query-buffer-limit", "1000kb"], &["1mb"]);
    refused(&["--unixsocketperm", "rw"], &["octal"]);
    refused(&["--unixsocketperm", "1777"], &["octal"]);
    refused(&["--maxclients", "0"], &["1.."]);
    refused(&["--appendfsync", "sometimes"], &["always", "everysec", "no"]);
    refused(&["--admin", "0.0.0.0:1"], &["loopback"]);
    refused(&["--nosuch", "1"], &["--nosuch"]);
    refused(&["stray"], &["stray"]);
}

#[test]
fn a_file_gives_options_and_the_command_line_wins() {
    let text = "# a comment\n\n  port 7000\r\nBIND 127.0.0.1 -::1\nunixsocket \"/tmp/a b.sock\"\n\
                client-output-buffer-limit normal 1mb 0 0\nclient-output-buffer-limit pubsub 2mb 0 0\n\
                notify-keyspace-events KEA\nappendfsync everysec\nport 7001\n";
    let options = from_file(text, &["--appendfsync", "no"]).unwrap();
    assert_eq!((options.port, options.append_fsync), (7001, AppendFsync::No));
    assert_eq!(options.unix_socket, Some("/tmp/a b.sock".into()));
    let limits =
        [ClientClass::Normal, ClientClass::PubSub].map(|class| options.output_limits.of(class).hard_bytes);
    assert_eq!((options.bind.len(), limits), (2, [1 << 20, 2 << 20]));
    assert_eq!(options.notified_events.to_string(), "AKE");
    assert!(options.config_file.is_some());
    assert_eq!(from_file("unixsocket \"\"\nport 1", &[]).unwrap().unix_socket, None);
}

#[test]
fn a_bad_line_is_named_with_what_is_allowed() {
    for (text, parts) in [
        ("port 1\nnosuch 2\n", &["FILE:2:", "unknown option 'nosuch'", "appendfsync", "wal-sync"][..]),
        ("appendfsync sometimes", &["FILE:1:", "sometimes", "always, everysec, no"]),
        ("\n\nport abc", &["FILE:3:", "abc"]),
        ("port", &["FILE:1:", "'port' needs a value"]),
        ("dir \"a", &["FILE:1:", "unbalanced quotes"]),
        ("dir \"a\"b", &["FILE:1:", "unbalanced quotes"]),
        ("config other", &["FILE:1:", "unknown option 'config'"]),
        ("wal-segment-bytes 5tb", &["FILE:1:", "k, kb, m"]),
    ] {
        let error = from_file(text, &[]).expect_err("refused");
        for part in parts {
            assert!(error.contains(part), "{part:?} in {error:?}");
        }
        assert!(!error.contains('\n'), "one line: {error:?}");
    }
    refused(&["--config", "/nosuch/file"], &["/nosuch/file", "cannot be read"]);
}

#[test]
fn words_are_split_as_redis_splits_them() {
    for (line, words) in [
        ("a  b\tc ", &["a", "b", "c"][..]),
        ("\"a b\" 'c d'", &["a b", "c d"]),
        (r#""a\"b\n" 'it\'s'"#, &["a\"b\n", "it's"]),
        ("a\"b\"", &["ab"]),
        (r#""\x41\xC3\xa4\a\b" '\x41' \x41"#, &["A\u{e4}\u{7}\u{8}", "\\x41", "\\x41"]),
        (r#""\x4" "\xg1" "\x+1""#, &["x4", "xg1", "x+1"]),
        ("\"\"", &[""]),
        ("", &[]),
    ] {
        assert_eq!(split_words(line).unwrap(), words, "{line}");
    }
    for line in ["\"a", "'a", "\"a\"b", "\"a\\", "\"\\x41"] {
        assert!(split_words(line).unwrap_err().contains("unbalanced quotes"), "{line}");
    }
    assert!(split_words(r#""\xff""#).unwrap_err().contains("UTF-8"));
}
