//! A store on disk without a log: replies at once, durable at checkpoints only, and the tools on it.

use std::fs;
use std::process::{Command, Output, Stdio};

use resp::Reply;

use crate::server::{Server, Setup, wait_for, workers};
use crate::wire::Wire;

fn setup() -> Setup {
    Setup::with(&["--wal", "no"]).workers(workers(2))
}

fn ourod(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ourod")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn succeeds(arguments: &[&str]) {
    let output = ourod(arguments);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}");
}

fn set(wire: &mut Wire, prefix: &str, count: usize) {
    for number in 0..count {
        assert_eq!(wire.answer(&["SET", &format!("{prefix}:{number}"), &number.to_string()]), "+OK");
    }
}

fn keys(server: &Server) -> Reply {
    server.connect().call(&["DBSIZE"])
}

#[test]
fn a_kill_takes_what_came_after_the_save_and_a_stop_nothing() {
    let server = setup().start();
    let mut wire = server.connect();
    set(&mut wire, "saved", 300);
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    set(&mut wire, "lost", 50);
    assert_eq!(wire.answer(&["DEL", "saved:1"]), ":1");
    let server = server.kill().start();
    assert_eq!(keys(&server), Reply::Integer(300));
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["GET", "saved:1"]), "1");
    set(&mut wire, "kept", 20);
    let server = server.terminate().start();
    assert_eq!(keys(&server), Reply::Integer(320));
}

#[test]
fn a_kill_takes_no_change_that_is_older_than_the_time_between_checkpoints() {
    let server = setup().and(&["--checkpoint-seconds", "1"]).start();
    let mut wire = server.connect();
    set(&mut wire, "kept", 40);
    let figure = |wire: &mut Wire, field: &str| -> u64 {
        let text = wire.answer(&["INFO", "everything"]);
        let line = text.split("\\r\\n").find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in {text}")).trim().parse().unwrap()
    };
    assert_eq!(figure(&mut wire, "checkpoint_seconds"), 1);
    assert!(figure(&mut wire, "unsaved_seconds") < 30);
    // Figures are those of a moment ago: by then they know of the changes.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    wait_for("all changes to be saved", || {
        let unsaved = figure(&mut wire, "rdb_changes_since_last_save");
        (unsaved == 0).then_some(())
    });
    let server = server.kill().start();
    assert_eq!(keys(&server), Reply::Integer(40));
    assert_eq!(server.connect().answer(&["CONFIG", "GET", "checkpoint-seconds"]), "[checkpoint-seconds 1]");
}

#[test]
fn what_is_about_the_log_says_that_there_is_none() {
    let server = setup().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["SET", "a", "1"]), "+OK");
    for words in [&["OURO.WAL", "STATUS"], &["OURO.WAL", "ROTATE"], &["OURO.WAL", "CLEAR"]] {
        let answer = wire.answer(words);
        assert!(answer.contains("there is no write-ahead log"), "{words:?}: {answer}");
    }
    let local = wire.answer(&["WAITAOF", "1", "0", "100"]);
    assert!(local.contains("appendonly is disabled"), "{local}");
    let info = wire.answer(&["INFO", "persistence"]);
    assert!(info.contains("aof_enabled:0") && info.contains("checkpoints only"), "{info}");
    let ouro = match wire.call(&["INFO", "ouro"]) {
        Reply::Bulk(text) | Reply::Verbatim { text, .. } => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    };
    assert!(ouro.contains("wal:no") && ouro.contains("storage:disk"), "{ouro}");
    assert!(ouro.contains("since the last checkpoint"), "{ouro}");
    assert!(!ouro.contains("log0"), "{ouro}");
}

#[test]
fn a_store_is_served_only_in_the_mode_that_it_was_made_in() {
    let server = setup().start();
    set(&mut server.connect(), "key", 5);
    let ended = server.terminate();
    let (code, log) = Setup::disk().refusal(&ended.dir);
    assert!(
        code == 64 && log.contains("without a write-ahead log") && log.contains("--wal no"),
        "{code}: {log}"
    );
    let server = ended.start();
    assert_eq!(keys(&server), Reply::Integer(5));
    let with = Setup::disk().start();
    set(&mut with.connect(), "key", 7);
    let ended = with.terminate();
    let (code, log) = setup().refusal(&ended.dir);
    assert!(
        code == 64 && log.contains("has a write-ahead log") && log.contains("nothing was changed"),
        "{code}: {log}"
    );
    assert_eq!(keys(&ended.start()), Reply::Integer(7));
}

#[test]
fn check_dump_and_restore_know_such_a_store() {
    let server = setup().start();
    set(&mut server.connect(), "key", 400);
    assert_eq!(server.connect().answer(&["SAVE"]), "+OK");
    set(&mut server.connect(), "later", 5);
    let ended = server.kill();
    let dir = ended.dir.to_str().unwrap();
    succeeds(&["check", dir]);
    let temp = tempfile::tempdir().unwrap();
    let (dump, new, with) = (temp.path().join("dump"), temp.path().join("new"), temp.path().join("with"));
    let (dump, new, with) = (dump.to_str().unwrap(), new.to_str().unwrap(), with.to_str().unwrap());
    fs::create_dir(new).unwrap();
    succeeds(&["dump", dir, "--output", dump]);
    succeeds(&["restore", "--wal", "no", new, dump]);
    succeeds(&["check", new]);
    // The way from one mode to the other.
    succeeds(&["restore", with, dump]);
    succeeds(&["check", with]);
    let (code, log) = Setup::disk().refusal(new.as_ref());
    assert!(code == 64 && log.contains("without a write-ahead log"), "{code}: {log}");
    let again = temp.path().join("again");
    succeeds(&["dump", new, "--output", again.to_str().unwrap()]);
    assert_eq!(fs::read(again).unwrap().len(), fs::read(dump).unwrap().len());
    assert_eq!(keys(&ended.start()), Reply::Integer(400));
}
