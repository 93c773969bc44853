//! Publish and subscribe over sockets, between two workers; replies and messages compared with those of `redis-server`
//! where it is installed.

use std::thread;

use resp::Reply;

use crate::redis::Redis;
use crate::server::{Server, Setup, wait_for};
use crate::wire::{Wire, key_of, request, show};

/// Connections, of which one in two lives on each worker.
fn listeners(server: &Server, count: usize) -> Vec<Wire> {
    (0..count).map(|_| server.connect()).collect()
}

fn info(wire: &mut Wire, name: &str) -> String {
    let text = match wire.call(&["INFO", "everything"]) {
        Reply::Bulk(bytes) | Reply::Verbatim { text: bytes, .. } => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
    line.trim_start_matches(':').to_owned()
}

#[test]
fn a_message_reaches_the_listeners_of_every_worker_once_and_in_order() {
    for setup in [Setup::memory(), Setup::disk()] {
        let server = setup.start();
        let mut all = listeners(&server, 6);
        for (number, wire) in all.iter_mut().enumerate() {
            let words = [["SUBSCRIBE", "ch"], ["PSUBSCRIBE", "c?"], ["SSUBSCRIBE", "ch"]][number / 2];
            assert!(wire.answer(&words).contains(":1"));
        }
        let mut publishers = listeners(&server, 2);
        assert_eq!(publishers[0].answer(&["PUBLISH", "ch", "first"]), ":4");
        assert_eq!(publishers[1].answer(&["SPUBLISH", "ch", "first"]), ":2");
        assert_eq!(publishers[1].answer(&["PUBLISH", "other", "x"]), ":0");
        // Small messages, and such as are shared by those who get them; between them, writes to both workers.
        const COUNT: usize = 500;
        let payload = |number: usize| format!("{number}:{}", "x".repeat(number % 7 * 40));
        for (who, wire) in publishers.iter_mut().enumerate() {
            let mut script = Vec::new();
            for number in 0..COUNT {
                let text = format!("{who}/{}", payload(number));
                script.extend(request(&[b"PUBLISH", b"ch", text.as_bytes()]));
                if number % 50 == 0 {
                    let key = key_of(number / 50 % 2, 0);
                    script.extend(request(&[b"SET", key.as_bytes(), b"v"]));
                }
            }
            wire.send(&script);
        }
        for wire in &mut publishers {
            let replies: Vec<String> = (0..COUNT + COUNT / 50).map(|_| show(&wire.reply())).collect();
            assert_eq!(replies.iter().filter(|reply| *reply == ":4").count(), COUNT, "{replies:?}");
        }
        for (number, wire) in all.iter_mut().enumerate() {
            let first = show(&wire.reply());
            assert!(first.contains("first"), "{number}: {first}");
            if number >= 4 {
                continue;
            }
            let mut next = [0, 0];
            for _ in 0..2 * COUNT {
                let Reply::Array(parts) = wire.reply() else { panic!("no message") };
                let Some(Reply::Bulk(text)) = parts.last() else { panic!("{parts:?}") };
                let (who, text) = std::str::from_utf8(text).unwrap().split_once('/').unwrap();
                let who: usize = who.parse().unwrap();
                assert_eq!(text, payload(next[who]), "listener {number}, publisher {who}");
                next[who] += 1;
            }
            assert_eq!(next, [COUNT; 2]);
        }
    }
}

#[test]
fn who_is_told_of_a_write_sees_it() {
    let server = Setup::disk().start();
    let mut all = listeners(&server, 2);
    for wire in &mut all {
        wire.answer(&["SUBSCRIBE", "told"]);
    }
    let mut readers = listeners(&server, 2);
    let mut writers = listeners(&server, 2);
    for round in 0..200 {
        let writer = &mut writers[round % 2];
        let (key, value) = (key_of(round / 2 % 2, round), round.to_string());
        let set = request(&[b"SET", key.as_bytes(), value.as_bytes()]);
        writer.send(&[set, request(&[b"PUBLISH", b"told", key.as_bytes()])].concat());
        for (wire, reader) in all.iter_mut().zip(&mut readers) {
            assert!(show(&wire.reply()).contains(&key));
            assert_eq!(reader.answer(&["GET", &key]), value);
        }
        assert_eq!((show(&writer.reply()), show(&writer.reply())), ("+OK".into(), ":2".into()));
    }
}

#[test]
fn subscriptions_are_told_and_end_with_reset_quit_and_the_connection() {
    let server = Setup::memory().start();
    let mut admin = server.connect();
    let numbers = |admin: &mut Wire| {
        let names = ["pubsub_channels", "pubsub_patterns", "pubsubshard_channels"];
        names.map(|name| info(admin, name)).join(" ")
    };
    let mut all = listeners(&server, 6);
    for wire in &mut all {
        for words in [["SUBSCRIBE", "a"], ["PSUBSCRIBE", "a*"], ["SSUBSCRIBE", "s"]] {
            wire.call(&words);
        }
    }
    // What two workers know counts once.
    assert_eq!(numbers(&mut admin), "1 1 1");
    assert_eq!(admin.answer(&["PUBSUB", "CHANNELS"]), "[a]");
    assert_eq!(admin.answer(&["PUBSUB", "NUMSUB", "a", "b"]), "[a :6 b :0]");
    assert_eq!(admin.answer(&["PUBSUB", "NUMPAT"]), ":1");
    assert_eq!(admin.answer(&["PUBSUB", "SHARDCHANNELS", "s*"]), "[s]");
    assert_eq!(admin.answer(&["PUBSUB", "SHARDNUMSUB", "s"]), "[s :6]");
    let list = admin.answer(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    assert_eq!(list.matches("flags=PU db=0 sub=1 psub=1 ssub=1").count(), 6, "{list}");
    assert!(!admin.answer(&["CLIENT", "LIST", "TYPE", "normal"]).contains("sub=1"));
    assert_eq!(all[0].answer(&["RESET"]), "+RESET");
    assert_eq!(all[0].answer(&["GET", "a"]), "nil");
    assert_eq!(all[1].answer(&["QUIT"]), "+OK");
    assert!(all[1].until_closed().is_empty());
    drop(all.split_off(3));
    wait_for("connections to end", || (admin.answer(&["PUBSUB", "NUMSUB", "a"]) == "[a :1]").then_some(()));
    assert_eq!(admin.answer(&["PUBLISH", "a", "x"]), ":2");
    drop(all);
    wait_for("connections to end", || (numbers(&mut admin) == "0 0 0").then_some(()));
    assert_eq!(admin.answer(&["PUBSUB", "CHANNELS"]), "[]");
    assert_eq!(admin.answer(&["PUBLISH", "a", "x"]), ":0");
}

/// What is sent in one piece on a fresh connection. Sets of names have one element: Redis keeps no order in them.
const SCRIPTS: &[&str] = &[
    "SUBSCRIBE a b a|PING|PING x|GET a|FOO|GET|CLIENT LIST|PUBSUB|UNSUBSCRIBE b z|UNSUBSCRIBE|UNSUBSCRIBE|GET a",
    "PSUBSCRIBE p*|SSUBSCRIBE s|SUNSUBSCRIBE|SUNSUBSCRIBE q|PUNSUBSCRIBE|PUNSUBSCRIBE|PUNSUBSCRIBE a b|PING|PING a b",
    "HELLO 3|SUBSCRIBE a|PSUBSCRIBE a*|PUBLISH a hi|GET a|PING|UNSUBSCRIBE|UNSUBSCRIBE x|SSUBSCRIBE a|SPUBLISH a x|\
     SUNSUBSCRIBE|SUNSUBSCRIBE|RESET|PUBLISH a x",
    "SUBSCRIBE a|RESET|GET a|SUBSCRIBE b|HELLO 3|QUIT",
    "SUBSCRIBE a|PUBLISH a x|AUTH a|PUBSUB CHANNELS|CLIENT ID|QUIT",
    "HELLO 3|SUBSCRIBE a b|PSUBSCRIBE a*|PUBSUB CHANNELS a*|PUBSUB NUMSUB a c b|PUBSUB NUMSUB|PUBSUB NUMPAT|\
     SSUBSCRIBE z|PUBSUB SHARDCHANNELS|PUBSUB SHARDNUMSUB z a|PUBSUB CHANNELS a b|PUBSUB FOO|PUBSUB HELP|PUBLISH a 1|\
     PUBLISH b 2|SPUBLISH a 3|SPUBLISH z 4|PUBSUB NUMPAT x|PUBLISH a|SUBSCRIBE|SET k v|PUBLISH a k|GET k|DEL k",
    "HELLO 3|SUBSCRIBE a|PUBLISH a 0|HELLO 2|PUBLISH a 1|UNSUBSCRIBE|PUBLISH a 2",
    "PUBLISH a x|SPUBLISH a x|PUBSUB CHANNELS|PUBSUB NUMPAT|SUBSCRIBE \"\"|PSUBSCRIBE [|PING",
];

#[test]
fn replies_and_messages_are_those_of_redis() {
    let temp = tempfile::tempdir().unwrap();
    let socket = temp.path().join("redis.sock");
    let Some(_redis) = Redis::start(&socket) else { return };
    for setup in [Setup::memory(), Setup::disk()] {
        let server = setup.start();
        for script in SCRIPTS {
            let said = |mut wire: Wire| {
                let lines: String = script.split('|').map(|line| format!("{line}\r\n")).collect();
                wire.send(lines.as_bytes());
                wire.half_close();
                let said = String::from_utf8(wire.until_closed()).unwrap();
                // HELLO tells who it is.
                let who = |part: &str| part.rsplit("modules\r\n*0\r\n").next().unwrap().to_owned();
                said.split("$6\r\nserver").map(who).collect::<Vec<_>>()
            };
            // On each worker.
            for _ in 0..2 {
                assert_eq!(said(server.connect()), said(Wire::unix(&socket)), "{script}");
            }
        }
    }
}

/// Requests of a random script. Redis keeps no order in sets of names: there is one pattern, and all channels do not end
/// at once.
const REQUESTS: &[&str] = &[
    "SUBSCRIBE a",
    "SUBSCRIBE b a",
    "UNSUBSCRIBE a",
    "UNSUBSCRIBE b c",
    "PSUBSCRIBE a*",
    "PUNSUBSCRIBE a*",
    "PUNSUBSCRIBE",
    "SSUBSCRIBE a",
    "SUNSUBSCRIBE",
    "PUBLISH a 1",
    "PUBLISH a LONG",
    "PUBLISH ab 2",
    "PUBLISH b LONG",
    "SPUBLISH a 3",
    "SPUBLISH a LONG",
    "PING",
    "PING x",
    "HELLO 3",
    "HELLO 2",
    "RESET",
    "SET key:0 1",
    "GET key:0",
    "SET key:1 1",
    "GET key:1",
    "SET key:2 1",
    "MGET key:0 key:1 key:2 key:3",
];

#[test]
fn a_client_that_listens_to_itself_is_told_in_the_order_in_which_it_asks() {
    const COUNT: usize = 2_000;
    for setup in [Setup::memory(), Setup::disk()] {
        let server = setup.start();
        // On each worker somebody listens, so that each publication concerns both.
        let mut others = listeners(&server, 2);
        for wire in &mut others {
            assert!(wire.answer(&["SUBSCRIBE", "nothing"]).contains(":1"));
        }
        let mut wire = server.connect();
        wire.call(&["HELLO", "3"]);
        wire.answer(&["SUBSCRIBE", "a"]);
        let script: Vec<u8> = (0..COUNT)
            .flat_map(|number| {
                request(&[b"PUBLISH", [b"a", b"b"][number % 2], number.to_string().as_bytes()])
            })
            .collect();
        wire.send(&script);
        for number in (0..COUNT).step_by(2) {
            let message = ["message", "a", &number.to_string()];
            let message = message.map(|part| Reply::Bulk(part.as_bytes().to_vec())).to_vec();
            let said = [(); 3].map(|()| wire.reply());
            assert_eq!(said, [Reply::Push(message), Reply::Integer(1), Reply::Integer(0)]);
        }
    }
}

#[test]
fn random_sequences_get_the_bytes_of_redis() {
    let temp = tempfile::tempdir().unwrap();
    let socket = temp.path().join("redis.sock");
    let Some(_redis) = Redis::start(&socket) else { return };
    let seed = std::env::var("OURO_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1u64);
    eprintln!("OURO_SEED={seed}");
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % most as u64).unwrap()
    };
    let long = "long".repeat(100);
    for setup in [Setup::memory(), Setup::disk()] {
        let server = setup.start();
        assert_eq!(Wire::unix(&socket).answer(&["FLUSHALL"]), "+OK");
        for _ in 0..150 {
            let mut lines = vec![["HELLO 3", "PING"][draw(2)].to_owned()];
            lines.extend((0..40).map(|_| REQUESTS[draw(REQUESTS.len())].replace("LONG", &long)));
            let script: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let said = |mut wire: Wire| {
                wire.send(script.as_bytes());
                wire.half_close();
                let said = String::from_utf8(wire.until_closed()).unwrap();
                let who = |part: &str| part.rsplit("modules\r\n*0\r\n").next().unwrap().to_owned();
                said.split("$6\r\nserver").map(who).collect::<Vec<_>>()
            };
            assert_eq!(said(server.connect()), said(Wire::unix(&socket)), "{lines:?}");
        }
    }
}

#[test]
fn a_listener_that_does_not_read_is_closed_at_its_limit_and_others_are_not() {
    let setup = Setup::memory().and(&["--client-output-buffer-limit", "pubsub 8mb 0 0"]);
    let server = setup.start();
    let mut slow = listeners(&server, 20);
    let mut good = listeners(&server, 2);
    for wire in slow.iter_mut().chain(&mut good) {
        wire.answer(&["SUBSCRIBE", "ch"]);
    }
    let mut publisher = server.connect();
    let payload = "x".repeat(64 << 10);
    let before = server.peak_mib();
    let mut counts = Vec::new();
    for _ in 0..300 {
        counts.push(publisher.answer(&["PUBLISH", "ch", &payload]));
        for wire in &mut good {
            assert!(matches!(wire.reply(), Reply::Array(parts) if parts.len() == 3));
        }
    }
    assert_eq!((counts.first().unwrap().as_str(), counts.last().unwrap().as_str()), (":22", ":2"));
    assert!(server.log().contains("client-output-buffer-limit"), "{}", server.log());
    for wire in &mut slow {
        assert!(wire.until_closed().len() < 9 << 20);
    }
    // Twenty copies of what may wait would be 160 MiB: what waits for several is kept once.
    let took = server.peak_mib() - before;
    assert!(took < 80, "{took} MiB");
    assert_eq!(info(&mut publisher, "evicted_clients"), "20");
}

#[test]
fn a_listener_that_is_slow_for_long_is_closed_by_the_soft_limit() {
    let server = Setup::memory().start();
    let mut admin = server.connect();
    let set = |admin: &mut Wire, limit: &str| {
        assert_eq!(admin.answer(&["CONFIG", "SET", "client-output-buffer-limit", limit]), "+OK");
    };
    set(&mut admin, "pubsub 0 1mb 1");
    let got = admin.answer(&["CONFIG", "GET", "client-output-buffer-limit"]);
    assert!(got.ends_with("slave 268435456 67108864 60 pubsub 0 1048576 1]"), "{got}");
    let mut slow = server.connect();
    slow.answer(&["SUBSCRIBE", "ch"]);
    let payload = "x".repeat(2 << 20);
    for _ in 0..3 {
        assert_eq!(admin.answer(&["PUBLISH", "ch", &payload]), ":1");
    }
    wait_for("the listener to be closed", || (admin.answer(&["PUBLISH", "ch", ""]) == ":0").then_some(()));
    slow.until_closed();
    // An ordinary client is not meant.
    set(&mut admin, "pubsub 1 0 0");
    assert_eq!(admin.answer(&["SET", "k", &payload]), "+OK");
    assert_eq!(admin.answer(&["GET", "k"]).len(), payload.len());
}

#[test]
fn very_many_subscriptions_of_one_client_delay_nobody_and_go_with_it() {
    const COUNT: usize = 200_000;
    let server = Setup::memory().start();
    let mut others = listeners(&server, 2);
    let mut wire = server.connect();
    let names: Vec<String> = (0..COUNT).map(|number| format!("channel:{number:010}")).collect();
    let words: Vec<&[u8]> =
        std::iter::once(&b"SUBSCRIBE"[..]).chain(names.iter().map(String::as_bytes)).collect();
    let (mut sender, script) = (wire.second(), request(&words));
    let sending = thread::spawn(move || sender.send(&script));
    sending.join().unwrap();
    // It reads nothing: no more is done than it may have unread, while others are served.
    for other in &mut others {
        assert_eq!(other.answer(&["PING"]), "+PONG");
    }
    let mut listening = 0;
    wait_for("the subscriptions to stop", || {
        let now: usize = info(&mut others[0], "pubsub_channels").parse().unwrap();
        (std::mem::replace(&mut listening, now) == now && now > 0).then_some(())
    });
    assert!(listening < COUNT / 2, "{listening}");
    for number in 1..=COUNT {
        let Reply::Array(parts) = wire.reply() else { panic!("no confirmation") };
        assert_eq!(parts[2], Reply::Integer(i64::try_from(number).unwrap()));
    }
    assert_eq!(others[0].answer(&["PUBLISH", &names[COUNT - 1], "x"]), ":1");
    assert!(show(&wire.reply()).contains("message"));
    let list = others[1].answer(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    assert!(list.contains(&format!("sub={COUNT} psub=0")), "{list}");
    // Their memory counts as the client's.
    wait_for("the figures", || {
        let list = others[1].answer(&["CLIENT", "LIST", "TYPE", "pubsub"]);
        let memory = list.split("tot-mem=").nth(1)?.split(' ').next()?.parse::<usize>().ok()?;
        (memory > COUNT * 100).then_some(())
    });
    assert!(server.peak_mib() < 300, "{} MiB", server.peak_mib());
    // RESET ends them all before it answers.
    assert_eq!(wire.answer(&["RESET"]), "+RESET");
    assert_eq!(info(&mut others[0], "pubsub_channels"), "0");
    for name in names.iter().take(5000) {
        wire.call(&["SUBSCRIBE", name]);
    }
    drop(wire);
    wait_for("all to be gone", || (info(&mut others[0], "pubsub_channels") == "0").then_some(()));
}
