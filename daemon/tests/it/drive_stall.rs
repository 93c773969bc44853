//! A drive that does not answer for seconds, under `--appendfsync always`: nothing is acknowledged meanwhile and nothing else
//! waits for it; what waits is bounded; afterwards all of it is acknowledged and survives a kill.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use resp::Reply;

use crate::info::Info;
use crate::server::{Server, Setup, wait_for};
use crate::small_disk::SmallDisk;
use crate::wire::{Wire, key_of, request};

/// Connections of both workers: the Unix listener hands them out in turn.
fn two(server: &Server) -> [Wire; 2] {
    [server.connect(), server.connect()]
}

/// What every client may go on doing: PING, and reads of keys that nobody writes.
fn check_hot(wires: &mut [Wire; 2], reads: &[String]) {
    for wire in wires {
        let began = Instant::now();
        assert_eq!(wire.answer(&["PING"]), "+PONG");
        for key in reads {
            assert_eq!(wire.answer(&["GET", key]), "hot");
        }
        // The stall lasts longer: who waited for it would be later than this.
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

fn oldest_unflushed_ms(server: &Server, wire: &mut Wire) -> Vec<u64> {
    let info = Info::of(wire, "ouro");
    (0..server.workers()).map(|log| info.field(&format!("log{log}"), "oldest_unflushed_ms")).collect()
}

#[test]
fn nothing_is_acknowledged_while_the_drive_stalls_and_reads_go_on() {
    const WRITERS: usize = 8;
    const DEPTH: usize = 20;
    let Some(disk) = SmallDisk::ext4(200) else { return };
    let server = Setup::disk().start_in(Arc::clone(&disk.temp));
    let mut wires = two(&server);
    let hot: Vec<String> = (0..2).map(|worker| key_of(worker, 0)).collect();
    let written: Vec<String> = (0..2).map(|worker| key_of(worker, 1)).collect();
    for (hot, written) in hot.iter().zip(&written) {
        assert_eq!(wires[0].answer(&["SET", hot, "hot"]), "+OK");
        assert_eq!(wires[0].answer(&["SET", written, "before"]), "+OK");
    }
    // Every shard has place for more, and what is prepared in the background is.
    for number in 0..200 {
        assert_eq!(wires[0].answer(&["SET", &format!("early:{number}"), "v"]), "+OK");
    }
    thread::sleep(Duration::from_secs(1));
    let Some(frozen) = disk.freeze() else { return };
    let began = Instant::now();
    let mut writers: Vec<Wire> = (0..WRITERS).map(|_| server.connect()).collect();
    for (writer, wire) in writers.iter_mut().enumerate() {
        for key in &written {
            wire.send(&request(&[b"SET", key.as_bytes(), b"after"]));
        }
        for number in 0..DEPTH {
            wire.send(&request(&[b"SET", format!("w{writer}:{number}").as_bytes(), b"v"]));
        }
    }
    thread::sleep(Duration::from_millis(100));
    // Who reads what is not durable waits too: what was before is gone, what is now could still be undone.
    let mut readers = two(&server);
    for (reader, key) in readers.iter_mut().zip(&written) {
        reader.send(&request(&[b"GET", key.as_bytes()]));
    }
    while began.elapsed() < Duration::from_secs(3) {
        check_hot(&mut wires, &hot);
    }
    for wire in writers.iter_mut().chain(&mut readers) {
        assert!(wire.is_silent(Duration::from_millis(20)), "acknowledged while nothing can be written");
    }
    for ms in oldest_unflushed_ms(&server, &mut wires[0]) {
        assert!(ms >= 2_000, "INFO tells how long the drive has not answered: {ms} ms");
    }
    drop(frozen);
    for wire in &mut writers {
        wire.expect(&b"+OK\r\n".repeat(DEPTH + 2));
    }
    for reader in &mut readers {
        assert_eq!(reader.reply(), Reply::Bulk(b"after".to_vec()));
    }
    wait_for("the logs to be flushed", || {
        oldest_unflushed_ms(&server, &mut wires[0]).iter().all(|ms| *ms == 0).then_some(())
    });

    // Once more, and killed while the drive stalls: the process goes when the drive answers again.
    let Some(frozen) = disk.freeze() else { return };
    writers[0].send(&request(&[b"SET", b"unknown", b"v"]));
    assert!(writers[0].is_silent(Duration::from_millis(100)));
    server.signal("KILL");
    thread::sleep(Duration::from_millis(300));
    drop(frozen);
    let server = server.ended().start();
    let mut wire = server.connect();
    let mut words = vec!["EXISTS".to_owned()];
    words.extend((0..WRITERS).flat_map(|writer| (0..DEPTH).map(move |number| format!("w{writer}:{number}"))));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(wire.answer(&words), format!(":{}", WRITERS * DEPTH));
    for key in &written {
        assert_eq!(wire.answer(&["GET", key]), "after");
    }
    check_hot(&mut two(&server), &hot);
}

/// Value of a key of a writer, 16 KiB, like no other.
fn value(writer: usize, number: usize) -> Vec<u8> {
    format!("{writer:04}/{number:07}/").repeat(1_261).into_bytes()
}

#[test]
fn what_clients_write_while_the_drive_stalls_waits_outside_and_takes_bounded_memory() {
    const WRITERS: usize = 6;
    const WRITES: usize = 5_000;
    const LIMIT_MIB: u64 = 64;
    let Some(disk) = SmallDisk::ext4(1_500) else { return };
    let setup = Setup::disk().and(&["--maxmemory", "64mb"]);
    let server = setup.start_in(Arc::clone(&disk.temp));
    let mut wires = two(&server);
    let hot: Vec<String> = (0..2).map(|worker| key_of(worker, 0)).collect();
    for key in &hot {
        assert_eq!(wires[0].answer(&["SET", key, "hot"]), "+OK");
    }
    let before_mib = server.peak_mib();
    let Some(frozen) = disk.freeze() else { return };
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let mut wire = server.connect();
            let mut sender = wire.second();
            let sending = thread::spawn(move || {
                for number in 0..WRITES {
                    let key = format!("w{writer}:{number}");
                    sender.send(&request(&[b"SET", key.as_bytes(), &value(writer, number)]));
                }
            });
            assert!(wire.is_silent(Duration::from_millis(1)));
            (wire, sending)
        })
        .collect();
    // Until no more is taken: what is sent is many times what may wait.
    let mut taken = 0;
    wait_for("the daemon to take no more", || {
        thread::sleep(Duration::from_millis(500));
        check_hot(&mut wires, &hot);
        let now = Info::of(&mut wires[0], "stats").number("total_net_input_bytes");
        // What is asked here is received too.
        let is_little = now - taken < 64 << 10;
        taken = now;
        is_little.then_some(())
    });
    thread::sleep(Duration::from_secs(1));
    check_hot(&mut wires, &hot);
    let peak_mib = server.peak_mib();
    let offered_mib = (WRITERS * WRITES * value(0, 0).len()) as u64 >> 20;
    // Of each worker: 32 MiB that wait for the log, the same as records, and what is being received and passed on.
    let most_mib = before_mib + LIMIT_MIB + 2 * 64;
    assert!(
        peak_mib < most_mib && offered_mib > 2 * most_mib,
        "{peak_mib} MiB of {before_mib}, {taken} bytes taken"
    );
    drop(frozen);
    for (mut wire, sending) in writers {
        wire.expect(&b"+OK\r\n".repeat(WRITES));
        sending.join().unwrap();
    }
    let server = server.kill().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["DBSIZE"]), format!(":{}", WRITERS * WRITES + hot.len()));
    for writer in 0..WRITERS {
        for number in (0..WRITES).step_by(97).chain([WRITES - 1]) {
            let reply = wire.call(&["GET", &format!("w{writer}:{number}")]);
            assert!(reply == Reply::Bulk(value(writer, number)), "w{writer}:{number}");
        }
    }
}
