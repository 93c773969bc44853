//! Clients that do not read, stop half way or leave early: what they cost is bounded, what they asked is answered.

use std::thread;

use crate::server::{Setup, wait_for};
use crate::wire::{key_of, request};

#[test]
fn a_client_that_does_not_read_costs_a_bounded_amount() {
    // Small values of both workers, large ones of both, and large ones behind a reply that is late.
    let server = Setup::disk().start();
    let large = vec![b'x'; 256 << 10];
    let mut wire = server.connect();
    for worker in 0..2 {
        wire.send(&request(&[b"SET", key_of(worker, 0).as_bytes(), &large]));
        wire.expect(b"+OK\r\n");
        wire.send(&request(&[b"SET", key_of(worker, 1).as_bytes(), &large[..1000]]));
        wire.expect(b"+OK\r\n");
    }
    let gets = |worker: usize, size: usize, count: usize| {
        let key = key_of(worker, size);
        request(&[b"GET", key.as_bytes()]).repeat(count)
    };
    let late = [
        request(&[b"SET", key_of(0, 2).as_bytes(), b"v"]),
        request(&[b"SET", key_of(1, 2).as_bytes(), b"v"]),
    ]
    .concat();
    let scripts = [
        gets(0, 0, 4000),
        gets(1, 0, 4000),
        gets(0, 1, 200_000),
        gets(1, 1, 200_000),
        [late.clone(), gets(0, 0, 4000)].concat(),
        [late, gets(1, 0, 4000)].concat(),
        // Small replies for long, then large ones.
        [gets(0, 1, 300), gets(0, 0, 4000)].concat(),
        [gets(1, 1, 300), gets(1, 0, 4000)].concat(),
    ];
    let mut silent = Vec::new();
    for script in &scripts {
        let wire = server.connect();
        let (mut sender, script) = (wire.second(), script.clone());
        // It blocks when the daemon stops receiving, and fails when the test drops the connection.
        let sending = thread::spawn(move || sender.send_if_open(&script));
        silent.push((wire, sending));
    }
    // Others are served meanwhile, again and again, while the replies pile up.
    for round in 0..400 {
        assert_eq!(wire.answer(&["SET", &format!("k{round}"), "v"]), "+OK");
    }
    let peak = server.peak_mib();
    assert!(peak < 500, "{} clients that do not read took {peak} MiB", scripts.len());
    // Gone, they leave nothing behind.
    let open = server.open_files();
    let count = silent.len();
    for (wire, sending) in silent {
        drop_both(wire, sending);
    }
    wait_for("their sockets to be closed", || (server.open_files() + count <= open).then_some(()));
    assert_eq!(wire.answer(&["PING"]), "+PONG");
}

fn drop_both(wire: crate::wire::Wire, sending: thread::JoinHandle<()>) {
    wire.abandon();
    drop(wire);
    sending.join().unwrap();
}

#[test]
fn replies_beyond_the_output_limit_close_the_connection() {
    let setup = Setup::memory().and(&["--client-output-buffer-limit", "normal 4mb 0 0"]);
    let server = setup.start();
    let mut wire = server.connect();
    let value = vec![b'x'; 3 << 20];
    for worker in 0..2 {
        wire.send(&request(&[b"SET", key_of(worker, 0).as_bytes(), &value]));
        wire.expect(b"+OK\r\n");
    }
    // Each reply is larger than the limit.
    let mut greedy = server.connect();
    let keys = [key_of(0, 0), key_of(1, 0)];
    let words: Vec<&[u8]> = [&b"MGET"[..]].into_iter().chain(keys.iter().map(String::as_bytes)).collect();
    greedy.send(&request(&words).repeat(3));
    wait_for("the limit to be enforced", || {
        server.log().contains("client-output-buffer-limit").then_some(())
    });
    let got = greedy.until_closed();
    assert!(got.len() < 2 * value.len(), "not everything came: {}", got.len());
    assert_eq!(wire.answer(&["PING"]), "+PONG");
    assert!(server.peak_mib() < 200);
}

#[test]
fn a_client_that_reads_gets_large_replies_however_many_it_asked_for() {
    let server = Setup::memory().start();
    let value = vec![b'x'; 40 << 20];
    for worker in 0..2 {
        let mut wire = server.connect();
        let key = key_of(worker, 0);
        wire.send(&request(&[b"SET", key.as_bytes(), &value]));
        wire.expect(b"+OK\r\n");
        wire.send(&request(&[b"GET", key.as_bytes()]).repeat(4));
        for _ in 0..4 {
            wire.expect(format!("${}\r\n", value.len()).as_bytes());
            wire.expect(&value);
            wire.expect(b"\r\n");
        }
        wire.call(&["DEL", &key]);
    }
}

#[test]
fn a_client_that_ends_its_side_still_gets_every_answer() {
    for setup in [Setup::memory(), Setup::disk()] {
        let server = setup.start();
        for count in [1, 3, 5000] {
            let mut wire = server.connect();
            let mut bytes = Vec::new();
            for number in 0..count {
                bytes.extend(request(&[b"SET", format!("k{number}").as_bytes(), b"v"]));
            }
            let mut sender = wire.second();
            let sending = thread::spawn(move || {
                sender.send(&bytes);
                // Half a request is left behind.
                sender.send(b"*2\r\n$3\r\nGET\r\n$10\r\nab");
                sender.half_close();
            });
            assert_eq!(wire.until_closed().len(), b"+OK\r\n".len() * count);
            sending.join().unwrap();
        }
        let mut wire = server.connect();
        wire.send(b"PING\r\nKEYS nothing\r\nPING\r\n");
        wire.half_close();
        assert_eq!(wire.until_closed(), b"+PONG\r\n*0\r\n+PONG\r\n");
    }
}

#[test]
fn half_requests_left_behind_cost_nothing() {
    let server = Setup::memory().start();
    let open = {
        assert_eq!(server.connect().answer(&["PING"]), "+PONG");
        server.open_files()
    };
    let half = [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000000\r\n".to_vec(), vec![b'x'; 1 << 20]].concat();
    for _ in 0..200 {
        server.connect().send(&half);
    }
    wait_for("their sockets to be closed", || (server.open_files() <= open + 1).then_some(()));
    let peak = server.peak_mib();
    assert!(peak < 200, "{peak} MiB");
    assert_eq!(server.connect().answer(&["DBSIZE"]), ":0");
}

#[test]
fn a_request_that_stays_half_sent_ends_its_connection_without_growth() {
    // A minute by default; the clock is the same.
    let server = Setup::memory().and(&["--request-timeout", "1"]).start();
    let mut idle = server.connect();
    assert_eq!(idle.answer(&["PING"]), "+PONG");
    let halves: Vec<Vec<u8>> = vec![
        b"*2\r\n$3\r\nGET\r\n".to_vec(),
        b"*2\r\n$3\r\nGET\r\n$5\r\nab".to_vec(),
        b"*1000000\r\n$3\r\nDEL\r\n".to_vec(),
        b"PING without an end".to_vec(),
        [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\n".to_vec(), vec![b'x'; 1 << 20]].concat(),
    ];
    let mut waiting = Vec::new();
    for half in halves.iter().cycle().take(20) {
        let mut wire = server.connect();
        wire.send(half);
        waiting.push(wire);
    }
    for (number, wire) in waiting.iter_mut().enumerate() {
        assert_eq!(wire.until_closed(), b"", "half request {number}");
    }
    let peak = server.peak_mib();
    assert!(peak < 100, "{} half requests took {peak} MiB", waiting.len());
    // Who waits between two requests is not meant.
    assert_eq!(idle.answer(&["DBSIZE"]), ":0");
}

#[test]
fn large_values_of_another_worker_come_when_they_are_read_and_in_order() {
    // Without a bound: 4 clients of up to 64 replies of 8 MiB each.
    const LARGE: usize = 8 << 20;
    const COUNT: usize = 64;
    let server = Setup::memory().start();
    let mut wire = server.connect();
    for worker in 0..2 {
        wire.send(&request(&[b"SET", key_of(worker, 0).as_bytes(), &vec![b'x'; LARGE]]));
        wire.expect(b"+OK\r\n");
        assert_eq!(wire.answer(&["SET", &key_of(worker, 1), "small"]), "+OK");
    }
    // Each client asks for values of one worker; of two clients in a row one lives on the other.
    let mut clients: Vec<_> = (0..4)
        .map(|number| {
            let (worker, counter) = (number / 2, key_of(number / 2, 10 + number));
            let (large, small) = (key_of(worker, 0), key_of(worker, 1));
            let mut client = server.connect();
            // Small replies for long: large ones are not expected.
            client.send(&request(&[b"GET", small.as_bytes()]).repeat(300));
            client.expect(&b"$5\r\nsmall\r\n".repeat(300));
            let warm = key_of(worker, 20 + number);
            client.send(&request(&[b"SETRANGE", warm.as_bytes(), b"0", b"x"]).repeat(300));
            client.expect(&b":1\r\n".repeat(300));
            for _ in 0..COUNT {
                client.send(&request(&[b"GET", large.as_bytes()]));
                client.send(&request(&[b"INCR", counter.as_bytes()]));
                client.send(&request(&[b"GET", counter.as_bytes()]));
            }
            (client, counter)
        })
        .collect();
    // Others are served meanwhile, by both workers.
    for round in 0..200 {
        for worker in 0..2 {
            assert_eq!(wire.answer(&["SET", &key_of(worker, 2), &round.to_string()]), "+OK");
            assert_eq!(wire.answer(&["GET", &key_of(worker, 2)]), round.to_string());
        }
    }
    let peak = server.peak_mib();
    assert!(peak < 250, "{} clients that have read nothing took {peak} MiB", clients.len());
    // One leaves without a word; the others read everything.
    let (gone, counter) = clients.pop().unwrap();
    gone.abandon();
    drop(gone);
    for (client, _) in &mut clients {
        for round in 1..=COUNT {
            client.expect(format!("${LARGE}\r\n").as_bytes());
            assert!(client.take(LARGE).iter().all(|&byte| byte == b'x'));
            let text = round.to_string();
            client.expect(format!("\r\n:{text}\r\n${}\r\n{text}\r\n", text.len()).as_bytes());
        }
    }
    let peak = server.peak_mib();
    assert!(peak < 250, "{peak} MiB");
    // What the one that left had asked for and not read was not run, and its worker keeps nothing of it.
    let done: usize = wire.answer(&["GET", &counter]).parse().unwrap_or(0);
    assert!(done < COUNT, "{done}");
    server.terminate();
}
