//! The library in a process that is killed: what a call has acknowledged is there afterwards, and nothing is that was never
//! written.
//!
//! The test runs itself once more as the process to be killed ([`victim`]), which says on its output, line by line, what
//! was acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use engine::db::{Db, DbOptions};

/// Threads of the process that write.
const WRITERS: usize = 4;
/// Keys of one writer in one life: written over and over.
const KEYS: u64 = 60;
/// Where the process finds what it is to do: the directory, whether there is a log, and which life this is.
const TASK: &str = "OURO_TEST_KILLS";

fn options() -> DbOptions {
    // Segments, checkpoints, extents on disk and reads back are all within what a life writes.
    DbOptions::new()
        .wal_segment_bytes(1 << 20)
        .checkpoint_log_bytes(1 << 20)
        .checkpoint_after(None)
        .memory_limit(8 << 20)
        .shards(4)
        .workers(2)
}

fn open(directory: &Path, wal: bool) -> Db {
    let opened = if wal { options().open_with_wal(directory) } else { options().open(directory) };
    opened.unwrap_or_else(|error| panic!("{error}"))
}

fn key(life: u64, writer: usize, number: u64) -> String {
    format!("{life}:{writer}:{}", number % KEYS)
}

/// The value of a writer's operation; every fifth deletes.
fn value(life: u64, writer: usize, number: u64) -> Option<String> {
    let text = format!("{life}/{writer}/{number}/");
    let len = [20, 300, 3000, 9000][usize::try_from(number % 4).unwrap()];
    (number % 5 != 4).then(|| text.repeat(len / text.len() + 1))
}

/// The number of the last of a writer's first `count` operations that was about a key.
fn last_of(at: u64, count: u64) -> Option<u64> {
    let behind = count.checked_sub(1 + at)?;
    Some(at + behind / KEYS * KEYS)
}

/// The process that is killed. Not a test: without its task it does nothing.
#[test]
fn victim() {
    let Ok(task) = std::env::var(TASK) else { return };
    let [directory, wal, life] = task.split('|').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let (wal, life) = (wal == "wal", life.parse().unwrap());
    let db = open(Path::new(directory), wal);
    let say = |line: String| {
        // A line at a time: the parent never sees a part of one without the rest being lost with the process.
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
    };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (db, say) = (db.clone(), &say);
            scope.spawn(move || {
                for number in 0.. {
                    match value(life, writer, number) {
                        Some(value) => db.set(key(life, writer, number), value).unwrap(),
                        None => {
                            db.delete(key(life, writer, number)).unwrap();
                        }
                    }
                    say(format!("\nack {writer} {number}\n"));
                }
            });
        }
        for checkpoint in 0.. {
            say(format!("\nbegin {checkpoint}\n"));
            db.checkpoint().unwrap();
            say(format!("\nsaved {checkpoint}\n"));
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

/// What the killed process had said.
#[derive(Default)]
struct Said {
    /// Operations that each writer had acknowledged.
    acknowledged: [u64; WRITERS],
    /// How many of them when the last checkpoint that was completed began.
    saved: [u64; WRITERS],
    checkpoints: u64,
}

fn spawn(directory: &Path, wal: bool, life: u64) -> Child {
    let task = format!("{}|{}|{life}", directory.display(), if wal { "wal" } else { "none" });
    Command::new(std::env::current_exe().unwrap())
        .args(["kills::victim", "--exact", "--nocapture", "--test-threads", "1"])
        .env(TASK, task)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs a life until so many operations are acknowledged and, without a log, something is saved; then kills it.
fn live_and_die(directory: &Path, wal: bool, life: u64, operations: u64) -> Said {
    let mut child = spawn(directory, wal, life);
    let (mut said, mut began, mut is_killed) = (Said::default(), [0; WRITERS], false);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["ack", writer, number] => {
                let (writer, number): (usize, u64) = (writer.parse().unwrap(), number.parse().unwrap());
                assert_eq!(said.acknowledged[writer], number, "a writer's operations come in order");
                said.acknowledged[writer] = number + 1;
            }
            ["begin", _] => began = said.acknowledged,
            ["saved", _] => (said.saved, said.checkpoints) = (began, said.checkpoints + 1),
            _ => {}
        }
        let enough = said.acknowledged.iter().sum::<u64>() >= operations && (wal || said.checkpoints > 0);
        if enough && !is_killed {
            // SIGKILL. What it had said by then is still read.
            child.kill().unwrap();
            is_killed = true;
        }
    }
    let status = child.wait().unwrap();
    assert!(is_killed, "the process ended by itself: {status}, {:?}", said.acknowledged);
    said
}

/// How many operations of a writer are there: so many at least, so many at most, and all keys are as after that one.
fn check_writer(db: &Db, life: u64, writer: usize, at_least: u64, at_most: u64) -> u64 {
    let found: Vec<Option<String>> = (0..KEYS)
        .map(|at| db.get(key(life, writer, at)).unwrap().map(|value| String::from_utf8(value).unwrap()))
        .collect();
    let is = |count: u64| {
        (0..KEYS)
            .zip(&found)
            .all(|(at, found)| last_of(at, count).and_then(|number| value(life, writer, number)) == *found)
    };
    (at_least..=at_most).find(|&count| is(count)).unwrap_or_else(|| {
        panic!("writer {writer} of life {life}: no state from {at_least} to {at_most} operations: {found:?}")
    })
}

#[test]
fn with_the_log_everything_acknowledged_is_there_after_a_kill() {
    let temp = tempfile::tempdir().unwrap();
    let mut lives: Vec<[u64; WRITERS]> = Vec::new();
    for life in 0..6 {
        let said = live_and_die(temp.path(), true, life, 150 + 400 * life);
        let db = open(temp.path(), true);
        // The call that was under way may have got there, and its answer not.
        lives.push(std::array::from_fn(|writer| {
            let acknowledged = said.acknowledged[writer];
            check_writer(&db, life, writer, acknowledged, acknowledged + 1)
        }));
        for (life, counts) in (0..).zip(&lives) {
            for (writer, &count) in counts.iter().enumerate() {
                check_writer(&db, life, writer, count, count);
            }
        }
        // Every second life begins after a clean end.
        if life % 2 == 0 {
            db.close().unwrap();
        }
    }
}

#[test]
fn without_the_log_everything_acknowledged_before_a_checkpoint_is_there_after_a_kill() {
    let temp = tempfile::tempdir().unwrap();
    for life in 0..4 {
        let said = live_and_die(temp.path(), false, life, 200 + 300 * life);
        let db = open(temp.path(), false);
        for writer in 0..WRITERS {
            for at in 0..KEYS {
                let found = db.get(key(life, writer, at)).unwrap().map(|it| String::from_utf8(it).unwrap());
                // Each shard is what it was at some time since: a key has the value of one.
                let since = said.saved[writer]..=said.acknowledged[writer] + 1;
                let fits = since
                    .clone()
                    .any(|count| last_of(at, count).and_then(|number| value(life, writer, number)) == found);
                assert!(fits, "key {at} of writer {writer}: {found:?}, since {since:?}");
            }
        }
        drop(db);
    }
}
