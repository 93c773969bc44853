//! `CONFIG SET appendfsync` while clients write: every worker takes the change, and no reply is forgotten over it.
//!
//! That the reply to a stricter policy waits until all that is appended is durable is what the simulator checks
//! (`shard/src/sim/driver.rs`): a process that is killed does not lose what the system has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use resp::Reply;

use crate::server::{Server, Setup, wait_for};
use crate::small_disk::SmallDisk;
use crate::wire::{Wire, key_of, request};

fn info(wire: &mut Wire) -> String {
    match wire.call(&["INFO", "ouro", "persistence"]) {
        Reply::Bulk(text) => String::from_utf8(text).unwrap(),
        Reply::Verbatim { text, .. } => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// How long each worker's log has had something that is not durable, in ms.
fn unflushed_ms(wire: &mut Wire) -> Vec<u64> {
    let text = info(wire);
    let fields = text.split([',', '\r']).filter_map(|field| field.strip_prefix("oldest_unflushed_ms="));
    fields.map(|ms| ms.parse().unwrap()).collect()
}

/// The last batch of each log that is appended and the last that is durable.
pub(crate) struct Batches {
    pub(crate) appended: [i64; 2],
    pub(crate) durable: [i64; 2],
}

impl Batches {
    pub(crate) fn of(wire: &mut Wire) -> Self {
        let Reply::Array(logs) = wire.call(&["OURO.WAL", "STATUS"]) else { panic!("one map for each log") };
        assert_eq!(logs.len(), 2);
        let all = |name: &str| {
            std::array::from_fn(|log| {
                let Reply::Array(fields) = &logs[log] else { panic!("{logs:?}") };
                let at =
                    fields.iter().position(|field| *field == Reply::Bulk(name.into())).expect("the field");
                let Reply::Integer(batch) = fields[at + 1] else { panic!("{fields:?}") };
                batch
            })
        };
        Self { appended: all("appended-batch"), durable: all("durable-batch") }
    }

    /// Whether each log is durable up to what these say is appended. A log that is idle appends a mark behind it.
    pub(crate) fn are_durable(&self, wire: &mut Wire) -> bool {
        let now = Self::of(wire);
        self.appended.iter().zip(now.durable).all(|(appended, durable)| *appended <= durable)
    }
}

fn write_to_every_worker(server: &Server, wire: &mut Wire) {
    for worker in 0..2 {
        assert_eq!(wire.answer(&["SET", &key_of(worker, 0), "v"]), "+OK", "{}", server.log());
    }
}

#[test]
fn every_worker_takes_a_change_of_the_policy_and_info_tells_it() {
    let server = Setup::disk().and(&["--appendfsync", "no"]).start();
    let mut wire = server.connect();
    write_to_every_worker(&server, &mut wire);
    // Nothing asks for a sync: what is written stays as it is.
    wait_for("writes that are not durable", || {
        unflushed_ms(&mut wire).iter().all(|&ms| ms >= 300).then_some(())
    });
    assert!(info(&mut wire).contains("appendfsync:no\r"));
    assert_eq!(wire.answer(&["CONFIG", "SET", "appendfsync", "always"]), "+OK");
    assert!(info(&mut wire).contains("appendfsync:always\r"));
    assert!(info(&mut wire).contains("durability:appendfsync always by write and fdatasync"));
    wait_for("all of it to be durable", || unflushed_ms(&mut wire).iter().all(|&ms| ms == 0).then_some(()));
    write_to_every_worker(&server, &mut wire);
    assert_eq!(wire.answer(&["CONFIG", "SET", "appendfsync", "no"]), "+OK");
    write_to_every_worker(&server, &mut wire);
    wait_for("writes that are not durable once more", || {
        unflushed_ms(&mut wire).iter().all(|&ms| ms >= 300).then_some(())
    });
    assert_eq!(wire.answer(&["CONFIG", "SET", "appendfsync", "everysec"]), "+OK");
    wait_for("the sync of the second", || unflushed_ms(&mut wire).iter().all(|&ms| ms == 0).then_some(()));
}

#[test]
fn waitaof_has_the_logs_made_durable_under_every_policy() {
    let server = Setup::disk().start();
    let mut wire = server.connect();
    for policy in ["no", "everysec", "always"] {
        assert_eq!(wire.answer(&["CONFIG", "SET", "appendfsync", policy]), "+OK");
        write_to_every_worker(&server, &mut wire);
        let written = Batches::of(&mut wire);
        if policy == "no" {
            assert!(!written.are_durable(&mut wire), "nothing asks for a sync");
        }
        wire.send(&request(&[b"WAITAOF", b"1", b"0", b"0"]));
        wire.expect(b"*2\r\n:1\r\n:0\r\n");
        assert!(written.are_durable(&mut wire), "{policy}");
    }
    // Behind writes of the same pipeline, which are durable with it.
    assert_eq!(wire.answer(&["CONFIG", "SET", "appendfsync", "no"]), "+OK");
    let mut batch = Vec::new();
    for number in 0..100 {
        batch.extend(request(&[b"SET", format!("piped:{number}").as_bytes(), b"v"]));
    }
    batch.extend(request(&[b"WAITAOF", b"0", b"0", b"0"]));
    batch.extend(request(&[b"PING"]));
    let is_durable = (0..5).any(|_| {
        wire.send(&batch);
        wire.expect(&b"+OK\r\n".repeat(100));
        wire.expect(b"*2\r\n:1\r\n:0\r\n+PONG\r\n");
        // On a drive so slow that a log was idle meanwhile its mark is behind them, and nothing asks for its sync.
        let now = Batches::of(&mut wire);
        now.appended == now.durable
    });
    assert!(is_durable);
}

#[test]
fn waitaof_waits_no_longer_than_its_client_for_a_drive_that_does_not_answer() {
    let Some(disk) = SmallDisk::ext4(200) else { return };
    let server = Setup::disk().and(&["--appendfsync", "no"]).start_in(Arc::clone(&disk.temp));
    let mut wire = server.connect();
    write_to_every_worker(&server, &mut wire);
    wire.send(&request(&[b"WAITAOF", b"1", b"0", b"20000"]));
    wire.expect(b"*2\r\n:1\r\n:0\r\n");
    // A frozen file system keeps a worker that opens a file: what these keys need is there by then.
    thread::sleep(Duration::from_secs(1));
    let Some(frozen) = disk.freeze() else { return };
    // Under every policy a reply waits until the system has the write.
    let mut writing = server.connect();
    let sets = (0..2).map(|worker| request(&[b"SET", key_of(worker, 0).as_bytes(), b"w"]));
    writing.send(&sets.collect::<Vec<_>>().concat());
    thread::sleep(Duration::from_millis(100));
    for (words, least_ms) in
        [([&b"WAITAOF"[..], b"1", b"0", b"300"], 300), ([b"WAITAOF", b"0", b"1", b"1"], 1)]
    {
        let began = Instant::now();
        wire.send(&request(&words));
        wire.expect(b"*2\r\n:0\r\n:0\r\n");
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(least_ms) && took < Duration::from_secs(10), "{took:?}");
    }
    // What is asked for after it is answered, and who waits as long as it takes does.
    assert_eq!(wire.answer(&["PING"]), "+PONG");
    let mut patient = server.connect();
    patient.send(&request(&[b"WAITAOF", b"1", b"0", b"0"]));
    assert_eq!(wire.answer(&["WAITAOF", "1", "0", "1"]), "[:0 :0]");
    let written = Batches::of(&mut wire);
    assert!(!written.are_durable(&mut wire));
    drop(frozen);
    patient.expect(b"*2\r\n:1\r\n:0\r\n");
    writing.expect(b"+OK\r\n+OK\r\n");
    assert!(written.are_durable(&mut wire));
    server.terminate();
}

#[test]
fn no_reply_is_lost_while_the_policy_changes_to_and_fro() {
    const WRITERS: usize = 4;
    const PIPELINE: usize = 64;
    let server = Setup::disk().start();
    let done = AtomicBool::new(false);
    let written: usize = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let mut wire = server.connect();
                let done = &done;
                scope.spawn(move || {
                    let mut round = 0;
                    while !done.load(Ordering::Relaxed) {
                        let mut batch = Vec::new();
                        for number in 0..PIPELINE {
                            let key = format!("{writer}:{round}:{number}");
                            batch.extend(request(&[b"SET", key.as_bytes(), b"v"]));
                            batch.extend(request(&[b"GET", key.as_bytes()]));
                        }
                        wire.send(&batch);
                        for _ in 0..PIPELINE {
                            wire.expect(b"+OK\r\n$1\r\nv\r\n");
                        }
                        round += 1;
                    }
                    round * PIPELINE
                })
            })
            .collect();
        let mut wire = server.connect();
        for round in 0..60 {
            let policy = ["no", "always", "everysec", "always"][round % 4];
            assert_eq!(wire.answer(&["CONFIG", "SET", "appendfsync", policy]), "+OK");
            assert_eq!(wire.answer(&["SET", "between", policy]), "+OK");
        }
        done.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    let server = server.kill().start();
    assert_eq!(server.connect().answer(&["DBSIZE"]), format!(":{}", written + 1));
}
