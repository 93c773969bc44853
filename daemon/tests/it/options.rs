//! Options on the command line and in a file: what is wrong is refused, saying what is allowed.

use std::fs;
use std::process::{Command, Output};

use crate::server::{Setup, workers};

fn ourod(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ourod")).args(args).output().unwrap()
}

#[test]
fn help_explains_every_option_and_ends_with_0() {
    let output = ourod(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for option in [
        "--config",
        "--dir",
        "--unixsocket",
        "--unixsocketperm",
        "--port",
        "--bind",
        "--appendfsync",
        "--maxclients",
        "--loglevel",
        "--workers",
        "--cpus",
        "--shards",
        "--storage",
        "--wal ",
        "--wal-segment-bytes",
        "--wal-sync",
        "--admin",
    ] {
        assert!(help.contains(option), "{option} in:\n{help}");
    }
    let version = ourod(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert!(version.stdout.starts_with(b"ourod "));
}

#[test]
fn wrong_options_are_refused_before_anything_is_made() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("none");
    for (options, said) in [
        (&["--no-such-option"][..], "--no-such-option"),
        (&["--port", "65536"], "65536"),
        (&["--appendfsync", "sometimes"], "always"),
        (&["--storage", "paper"], "memory"),
        (&["--storage", "memory", "--wal", "yes"], "--wal no"),
        (&["--wal-segment-bytes", "1000"], "multiple of 4096"),
        (&["--wal-segment-bytes", "many"], "many"),
        (&["--unixsocketperm", "999"], "octal"),
        (&["--shards", "0"], "0"),
        (&["--shards", "5000"], "1024"),
        (&["--bind", "0.0.0.0", "--port", "7777"], "loopback"),
        (&["--bind", "elsewhere"], "elsewhere"),
        (&["--unixsocket", ""], "--port"),
        (&["--maxclients", "0"], "0"),
        (&["--loglevel", "loud"], "notice"),
        (&["--cpus", "0-"], "0-"),
        (&["--cpus", "100000"], "100000"),
        (&["--config", "/nowhere/at/all"], "/nowhere/at/all"),
    ] {
        let (code, log) = Setup::with(options).workers(1).refusal(&dir);
        assert_eq!(code, 64, "{options:?}: {log}");
        assert!(log.contains(said), "{options:?}: {log}");
    }
    let (code, log) = Setup::memory().workers(1000).refusal(&dir);
    assert_eq!(code, 64, "{log}");
    assert!(log.contains("1000"), "{log}");
    assert!(!dir.exists(), "nothing was made");
}

#[test]
fn options_come_from_a_file_and_the_command_line_wins() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("ouro.conf");
    fs::write(&file, "# a comment\nmaxclients 77\n\nstorage memory\nwal no\ntimeout 5\n").unwrap();
    let server = Setup::with(&["--config", file.to_str().unwrap(), "--timeout", "9"]).start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["CONFIG", "GET", "maxclients"]), "[maxclients 77]");
    assert_eq!(wire.answer(&["CONFIG", "GET", "timeout"]), "[timeout 9]");
    drop(server);
    for (text, said) in [
        ("maxclients 77\nno-such-option 1\n", ":2:"),
        ("maxclients\n", ":1:"),
        ("timeout 1\nloglevel \"not\n", ":2:"),
    ] {
        fs::write(&file, text).unwrap();
        let (code, log) =
            Setup::with(&["--config", file.to_str().unwrap()]).refusal(&temp.path().join("none"));
        assert_eq!(code, 64, "{text}: {log}");
        assert!(log.contains(&format!("ouro.conf{said}")) || log.contains("no-such-option"), "{text}: {log}");
    }
}

#[test]
fn memory_only_makes_no_file_but_its_socket() {
    let server = Setup::memory().start();
    assert_eq!(server.connect().answer(&["SET", "k", "v"]), "+OK");
    let names: Vec<_> = fs::read_dir(&server.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["ouro.sock"]);
    let ended = server.terminate();
    assert_eq!(fs::read_dir(&ended.dir).unwrap().count(), 0);
}

#[test]
fn an_address_that_is_taken_is_refused_with_its_own_code() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let temp = tempfile::tempdir().unwrap();
    let (code, log) = Setup::memory().and(&["--port", &port, "--bind", "127.0.0.1"]).refusal(temp.path());
    assert_eq!(code, 69, "{log}");
    assert!(log.contains(&port), "{log}");
    // Another daemon's socket is not taken over, nor is a file that is no socket.
    let server = Setup::memory().start();
    let socket = server.socket();
    let (code, log) = Setup::memory().and(&["--unixsocket", socket.to_str().unwrap()]).refusal(temp.path());
    assert_eq!(code, 69, "{log}");
    assert_eq!(server.connect().answer(&["PING"]), "+PONG");
    let precious = temp.path().join("precious");
    fs::write(&precious, "data").unwrap();
    let (code, log) = Setup::memory().and(&["--unixsocket", precious.to_str().unwrap()]).refusal(temp.path());
    assert_eq!(code, 69, "{log}");
    assert_eq!(fs::read(&precious).unwrap(), b"data");
}

#[test]
fn every_sync_policy_serves_and_keeps_what_an_orderly_stop_left() {
    for policy in ["always", "everysec", "no"] {
        for sync in ["dsync", "fdatasync", "auto"] {
            let setup =
                Setup::with(&["--wal-segment-bytes", "1mb", "--wal-sync", sync, "--appendfsync", policy]);
            let server = setup.workers(workers(2)).start();
            let mut wire = server.connect();
            for number in 0..20 {
                assert_eq!(wire.answer(&["SET", &format!("k{number}"), "v"]), "+OK");
            }
            let server = server.terminate().start();
            assert_eq!(server.connect().answer(&["DBSIZE"]), ":20", "{policy} {sync}");
        }
    }
}

/// What CONFIG SET changed is in the file after CONFIG REWRITE, and holds at the next start.
#[test]
fn a_rewritten_file_says_what_is_set() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("ouro.conf");
    let text = "# kept\ntimeout 5\nproto-max-bulk-len 2mb\nmaxclients 50\n";
    fs::write(&file, text).unwrap();
    let options = ["--config", file.to_str().unwrap(), "--storage", "memory", "--wal", "no"];
    let server = Setup::with(&options).start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["CONFIG", "REWRITE"]), "+OK");
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "nothing was set, nothing changes");
    for (name, value) in [("timeout", "7"), ("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")] {
        assert_eq!(wire.answer(&["CONFIG", "SET", name, value]), "+OK");
    }
    assert_eq!(wire.answer(&["CONFIG", "SET", "acllog-max-len", "9"]), "+OK");
    assert_eq!(wire.answer(&["CONFIG", "REWRITE"]), "+OK");
    let rewritten = "# kept\ntimeout 7\nproto-max-bulk-len 2mb\nmaxclients 50\n# Added by CONFIG REWRITE\n\
                     acllog-max-len 9\nmaxmemory 104857600\nmaxmemory-policy allkeys-lru\n";
    assert_eq!(fs::read_to_string(&file).unwrap(), rewritten);
    drop(server.kill());
    let server = Setup::with(&options).start();
    let mut wire = server.connect();
    let answer = wire.answer(&["CONFIG", "GET", "acllog*", "maxmemory", "timeout", "maxmemory-policy"]);
    assert_eq!(answer, "[acllog-max-len 9 maxmemory 104857600 maxmemory-policy allkeys-lru timeout 7]");
    fs::remove_file(&file).unwrap();
    assert!(wire.answer(&["CONFIG", "REWRITE"]).starts_with("-ERR Rewriting config file: "));
}
