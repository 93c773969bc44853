//! Who may do what: passwords, users and their rules; decisions compared with those of `redis-server` where it is
//! installed.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use resp::Reply;

use crate::redis::Redis;
use crate::server::{PATIENCE, Setup};
use crate::wire::{Wire, request, show};

fn ask(wire: &mut Wire, words: &[&str]) -> String {
    let reply = wire.call(words);
    match &reply {
        Reply::Map(_) | Reply::Verbatim { .. } => legible(&reply),
        Reply::Array(items) if items.iter().any(|item| matches!(item, Reply::Map(_))) => legible(&reply),
        _ => show(&reply),
    }
}

/// A reply of many parts, its strings as text.
fn legible(reply: &Reply) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match reply {
        Reply::Simple(bytes) | Reply::Bulk(bytes) | Reply::Error(bytes) => text(bytes),
        Reply::Array(items) | Reply::Set(items) => items.iter().map(legible).collect::<Vec<_>>().join(" "),
        Reply::Map(pairs) => {
            pairs.iter().map(|(k, v)| format!("{} {}", legible(k), legible(v))).collect::<Vec<_>>().join(" ")
        }
        Reply::Verbatim { text: bytes, .. } => text(bytes),
        other => format!("{other:?}"),
    }
}

#[track_caller]
fn expect(wire: &mut Wire, words: &[&str], part: &str) {
    let said = ask(wire, words);
    assert!(said.contains(part), "{words:?}: {said} without {part:?}");
}

#[test]
fn a_password_is_asked_for_before_anything_else() {
    let server = Setup::memory().and(&["--requirepass", "sesame"]).start();
    let mut wire = server.connect();
    for words in [&["GET", "a"][..], &["PING"], &["ACL", "WHOAMI"], &["CLIENT", "LIST"]] {
        expect(&mut wire, words, "NOAUTH Authentication required.");
    }
    expect(&mut wire, &["FOOBAR"], "unknown command");
    expect(&mut wire, &["HELLO", "3"], "NOAUTH HELLO must be called");
    expect(&mut wire, &["AUTH", "wrong"], "WRONGPASS");
    expect(&mut wire, &["AUTH", "nobody", "sesame"], "WRONGPASS");
    expect(&mut wire, &["RESET"], "RESET");
    expect(&mut wire, &["HELLO", "3", "AUTH", "default", "sesame", "SETNAME", "me"], "proto");
    expect(&mut wire, &["SET", "a", "1"], "OK");
    expect(&mut wire, &["CONFIG", "GET", "requirepass"], "sesame");
    let mut log = ask(&mut wire, &["ACL", "LOG"]);
    assert!(log.contains("auth") && log.contains("nobody"), "{log}");
    expect(&mut wire, &["ACL", "LOG", "RESET"], "OK");
    log = ask(&mut wire, &["ACL", "LOG"]);
    assert!(!log.contains("nobody"), "{log}");
    expect(&mut wire, &["RESET"], "RESET");
    expect(&mut wire, &["GET", "a"], "NOAUTH");
}

#[test]
fn a_client_that_has_to_log_in_sends_little_and_may_then_send_much() {
    let server = Setup::memory().and(&["--requirepass", "p"]).start();
    for (bytes, error) in [
        (&b"*11\r\n"[..], "unauthenticated multibulk length"),
        (b"*1\r\n$16385\r\n", "unauthenticated bulk length"),
    ] {
        let mut wire = server.connect();
        wire.send(bytes);
        assert!(legible(&wire.reply()).contains(error));
        assert!(wire.until_closed().is_empty());
    }
    // What is just within the limits waits for its end, and is then refused as anything else.
    let most = vec![b'x'; 16_384];
    let words: [&[u8]; 10] = [b"SET", b"k", b"v", b"NX", b"GET", b"a", b"b", b"c", b"d", b"e"];
    for bytes in [request(&words), request(&[b"ECHO", &most])] {
        let mut wire = server.connect();
        let (first, rest) = bytes.split_at(bytes.len() - 3);
        wire.send(first);
        assert_eq!(server.connect().answer(&["RESET"]), "+RESET");
        wire.send(rest);
        assert_eq!(show(&wire.reply()), "-NOAUTH Authentication required.");
        assert_eq!(wire.answer(&["AUTH", "p"]), "+OK");
    }
    let mut leaving = server.connect();
    leaving.send(b"QUIT\r\nPING\r\n");
    assert_eq!(leaving.until_closed(), b"+OK\r\n");
    let mut wire = server.connect();
    let large = vec![b'x'; 100_000];
    wire.send(
        &[request(&[b"AUTH", b"p"]), request(&[b"SET", b"k", &large]), request(&[b"STRLEN", b"k"])].concat(),
    );
    assert!(legible(&wire.reply()).contains("OK"));
    assert!(legible(&wire.reply()).contains("OK"));
    assert!(legible(&wire.reply()).contains("100000"));
}

#[test]
fn who_has_to_log_in_again_has_time_for_it_and_a_stranger_gains_none() {
    let server = Setup::memory().and(&["--requirepass", "p"]).start();
    let (mut known, mut stranger) = (server.connect(), server.connect());
    assert_eq!(known.answer(&["AUTH", "p"]), "+OK");
    let began = Instant::now();
    let end = thread::spawn(move || {
        // It sets itself back again and again, until it is closed.
        while stranger.try_answer(&["RESET"]).is_some() {
            thread::sleep(Duration::from_millis(50));
        }
        began.elapsed()
    });
    let lived = end.join().unwrap();
    assert!(lived > Duration::from_secs(9) && lived < PATIENCE, "{lived:?}");
    // Older than the time that a stranger has.
    assert_eq!(known.answer(&["RESET"]), "+RESET");
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(known.answer(&["AUTH", "p"]), "+OK", "it was not closed meanwhile");
}

#[test]
fn logins_that_fail_without_end_are_noted_within_bounds() {
    let server = Setup::memory().and(&["--requirepass", "p"]).start();
    for number in 0..600 {
        let name = format!("{number:016000}");
        assert!(server.connect().answer(&["AUTH", &name, "x"]).starts_with("-WRONGPASS"));
    }
    let mut admin = server.connect();
    assert_eq!(admin.answer(&["AUTH", "p"]), "+OK");
    let Reply::Array(entries) = admin.call(&["ACL", "LOG", "10000"]) else { panic!("an array") };
    assert_eq!(entries.len(), 128);
    assert!(server.peak_mib() < 100, "{} MiB", server.peak_mib());
}

#[test]
fn rules_hold_on_every_worker_from_the_reply_on() {
    let server = Setup::memory().start();
    let mut admin = server.connect();
    let mut alice: Vec<Wire> = (0..4).map(|_| server.connect()).collect();
    expect(&mut admin, &["ACL", "SETUSER", "alice", "on", ">pw", "+@read", "+set", "~a:*", "%R~b:*"], "OK");
    for wire in &mut alice {
        expect(wire, &["AUTH", "alice", "pw"], "OK");
        expect(wire, &["SET", "a:1", "x"], "OK");
        expect(wire, &["SET", "b:1", "x"], "NOPERM No permissions to access a key");
        expect(wire, &["GET", "b:1"], "nil");
        expect(wire, &["MGET", "a:1", "b:1", "c:1"], "NOPERM No permissions to access a key");
        expect(wire, &["SET", "a:1", "y", "GET"], "x");
        expect(wire, &["DEL", "a:1"], "NOPERM User alice has no permissions to run the 'del' command");
        expect(wire, &["CLIENT", "LIST"], "NOPERM");
        expect(wire, &["SET", "a:1", "x"], "OK");
    }
    expect(&mut admin, &["ACL", "SETUSER", "alice", "+del", "-set"], "OK");
    for wire in &mut alice {
        expect(wire, &["SET", "a:1", "x"], "NOPERM");
        expect(wire, &["DEL", "a:1"], ":");
    }
    let log = ask(&mut admin, &["ACL", "LOG", "100"]);
    assert!(log.contains("b:1") && log.contains("alice") && log.contains("command"), "{log}");
    expect(&mut admin, &["CLIENT", "LIST"], "user=alice");
    expect(&mut admin, &["ACL", "DELUSER", "alice"], ":1");
    for wire in &mut alice {
        // Closed already, or about to be: in between nothing is served.
        wire.send_if_open(&request(&[b"GET", b"a:1"]));
        let said = String::from_utf8(wire.until_closed()).unwrap();
        assert!(said.is_empty() || said == "-NOAUTH Authentication required.\r\n", "{said}");
    }
}

#[test]
fn users_go_to_the_file_and_come_back_from_it() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("users.acl");
    std::fs::write(&file, "# ours\nuser default on nopass ~* &* +@all\n").unwrap();
    let name = file.to_str().unwrap();
    let server = Setup::memory().and(&["--aclfile", name]).start();
    let mut wire = server.connect();
    expect(&mut wire, &["ACL", "SETUSER", "bob", "on", ">pw", "+get", "~x", "(+set ~y)"], "OK");
    expect(&mut wire, &["ACL", "SAVE"], "OK");
    let listed = ask(&mut wire, &["ACL", "LIST"]);
    drop(server);
    let server = Setup::memory().and(&["--aclfile", name]).start();
    let mut wire = server.connect();
    assert_eq!(ask(&mut wire, &["ACL", "LIST"]), listed);
    let mut bob = server.connect();
    expect(&mut bob, &["AUTH", "bob", "pw"], "OK");
    std::fs::write(&file, "user default on nopass ~* &* +@all\nuser bob on nonsense\nbob\n").unwrap();
    let said = ask(&mut wire, &["ACL", "LOAD"]);
    assert!(said.contains(":2:") && said.contains(":3:") && said.contains("no change"), "{said}");
    assert_eq!(ask(&mut wire, &["ACL", "LIST"]), listed, "nothing is changed by a bad file");
    std::fs::write(&file, "user default on nopass ~* &* +@all\n").unwrap();
    expect(&mut wire, &["ACL", "LOAD"], "OK");
    assert!(bob.until_closed().is_empty());
    drop(server);
    std::fs::write(&file, "user default on nonsense\n").unwrap();
    let (code, said) = Setup::memory().and(&["--aclfile", name]).refusal(temp.path());
    assert!(code == 64 && said.contains("users.acl:1"), "{code}: {said}");
}

#[test]
fn channels_are_allowed_and_subscribers_closed_by_rules() {
    let server = Setup::memory().start();
    let mut admin = server.connect();
    expect(&mut admin, &["ACL", "SETUSER", "ann", "on", "nopass", "+@all", "&news:*", "&log"], "OK");
    let login = |wire: &mut Wire| expect(wire, &["AUTH", "ann", "x"], "OK");
    // Of two connections in a row each lives on another worker.
    let mut ann: Vec<Wire> = (0..2).map(|_| server.connect()).collect();
    for wire in &mut ann {
        login(wire);
        for words in [
            &["SUBSCRIBE", "news:1", "other"][..],
            &["PSUBSCRIBE", "news:1*"],
            &["PUBLISH", "other", "x"],
            &["SPUBLISH", "other", "x"],
            &["SSUBSCRIBE", "other"],
        ] {
            expect(wire, words, "NOPERM No permissions to access a channel");
        }
        expect(wire, &["PUBLISH", "news:1", "x"], ":");
        expect(wire, &["SUBSCRIBE", "news:1"], "subscribe");
        expect(wire, &["PSUBSCRIBE", "news:*"], "psubscribe");
    }
    expect(&mut admin, &["PUBLISH", "news:1", "x"], ":4");
    let mut others: Vec<Wire> = (0..2).map(|_| server.connect()).collect();
    for wire in &mut others {
        login(wire);
        expect(wire, &["SUBSCRIBE", "log"], "subscribe");
    }
    // Nothing more reaches those who listen to what they may no longer listen to, from the reply on.
    expect(&mut admin, &["ACL", "SETUSER", "ann", "resetchannels", "&log"], "OK");
    expect(&mut admin, &["PUBLISH", "news:1", "late"], ":0");
    expect(&mut admin, &["PUBLISH", "log", "kept"], ":2");
    for wire in &mut ann {
        let said = String::from_utf8(wire.until_closed()).unwrap();
        assert!(said.contains("pmessage") && !said.contains("late"), "{said}");
    }
    for wire in &mut others {
        assert!(legible(&wire.reply()).contains("kept"));
    }
    // Without a message too, within about a second.
    expect(&mut admin, &["ACL", "SETUSER", "ann", "resetchannels"], "OK");
    for wire in &mut others {
        assert!(wire.until_closed().is_empty());
    }
    expect(&mut admin, &["CONFIG", "SET", "acl-pubsub-default", "allchannels"], "OK");
    expect(&mut admin, &["ACL", "SETUSER", "eve", "on", "nopass", "+publish"], "OK");
    expect(&mut admin, &["ACL", "GETUSER", "eve"], "channels &*");
    expect(&mut admin, &["ACL", "SETUSER", "eve", "resetchannels", "reset"], "OK");
    expect(&mut admin, &["ACL", "GETUSER", "eve"], "channels &*");
}

#[test]
fn an_address_that_others_reach_needs_a_password() {
    let temp = tempfile::tempdir().unwrap();
    let open = ["--port", "1", "--bind", "0.0.0.0"];
    let (code, said) = Setup::memory().and(&open).refusal(temp.path());
    assert!(code == 64 && said.contains("--requirepass"), "{code}: {said}");
    let file = temp.path().join("users.acl");
    std::fs::write(&file, "user default on nopass ~* &* +@all\n").unwrap();
    let (code, said) =
        Setup::memory().and(&open).and(&["--aclfile", file.to_str().unwrap()]).refusal(temp.path());
    assert!(code == 64 && said.contains("without a password"), "{code}: {said}");
}

/// Names of commands and subcommands.
fn commands(wire: &mut Wire) -> BTreeSet<String> {
    wire.send(&request(&[b"COMMAND", b"LIST"]));
    legible(&wire.reply()).split(' ').map(str::to_owned).collect()
}

const RULES: &[&[&str]] = &[
    &["+@all", "~*"],
    &["+@all"],
    &["+@read", "~k*"],
    &["+@write", "%W~k*"],
    &["+@all", "%R~k*"],
    &["+@all", "%R~k*", "%W~other*"],
    &["+@all", "-@dangerous", "~*"],
    &["+@string", "-get", "~k"],
    &["+@all", "-@write", "+set", "~k"],
    &["+client", "-client|list", "~*"],
    &["+client|id", "+config|get", "~*"],
    &["+@admin", "~*"],
    &["+@keyspace", "+@connection", "~k*"],
    &["-@all", "(+@read ~k*)", "(+@write %W~k*)"],
    &["+@pubsub", "&k*", "~*"],
    &["+@all", "~*", "&k"],
    &["+subscribe", "+psubscribe", "+pubsub|channels", "allchannels"],
    &["+@all", "~*", "(+publish &k)"],
    &["+@fast", "-@connection", "~*"],
    &["+@slow", "-@admin", "~*"],
    &["+select|0", "+ping", "~*"],
    &["allcommands", "nocommands", "+get", "allkeys", "resetkeys", "~k"],
];

#[test]
fn every_command_is_allowed_and_denied_as_redis_does() {
    let temp = tempfile::tempdir().unwrap();
    let socket = temp.path().join("redis.sock");
    let Some(_redis) = Redis::start(&socket) else { return };
    let server = Setup::memory().start();
    let (mut ours, mut theirs) = (server.connect(), Wire::unix(&socket));
    let both: Vec<String> = commands(&mut ours).intersection(&commands(&mut theirs)).cloned().collect();
    assert!(both.len() > 60, "commands of both: {both:?}");
    let mut compared = 0;
    for (number, rules) in RULES.iter().enumerate() {
        let user = format!("user{number}");
        let words: Vec<&str> =
            ["ACL", "SETUSER", &user, "on", "nopass"].iter().chain(*rules).copied().collect();
        assert_eq!(ask(&mut ours, &words), ask(&mut theirs, &words), "{rules:?}");
        // Redis 7.0 wants an argument more of some than 7.2, and DEBUG is one command there.
        let differs = |name: &str| name.starts_with("command|getkeys") || name == "debug";
        for name in both.iter().filter(|name| !differs(name)) {
            let verdict = |wire: &mut Wire, args: &[&str]| {
                let words: Vec<&str> = ["ACL", "DRYRUN", &user]
                    .into_iter()
                    .chain(name.split('|'))
                    .chain(args.iter().copied())
                    .collect();
                let said = ask(wire, &words);
                // Redis 7.0 says "This user", 7.2 names them.
                said.replace(&format!("User {user}"), "This user")
            };
            for args in [&[][..], &["k"], &["k", "v"], &["other", "v"], &["k", "v", "GET"], &["k", "1", "2"]]
            {
                let (our, their) = (verdict(&mut ours, args), verdict(&mut theirs, args));
                assert_eq!(our, their, "{rules:?} {name} {args:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 5_000, "{compared} verdicts compared");
    for wrong in [
        "+nosuch",
        "nosuch",
        "+get|x|y",
        "%X~k",
        "%~k",
        "#12",
        "<none",
        "+client|nosuch",
        "+client|list|x",
        "+get|",
        "(+get",
        "~a b",
    ] {
        let words = ["ACL", "SETUSER", "wrong", wrong];
        assert_eq!(ask(&mut ours, &words), ask(&mut theirs, &words), "{wrong}");
    }
}

#[test]
fn ten_thousand_users_go_to_the_file_and_come_back_from_it() {
    const USERS: usize = 10_000;
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("users.acl");
    std::fs::write(&file, "").unwrap();
    let name = file.to_str().unwrap();
    let server = Setup::memory().and(&["--aclfile", name]).start();
    let mut wire = server.connect();
    let mut requests = Vec::new();
    for number in 0..USERS {
        let (user, password) = (format!("user{number}"), format!(">pw{number}"));
        let (keys, channel) = (format!("~{number}:*"), format!("&news:{number}"));
        let category = ["+@read", "+@write", "+@all", "(+get ~shared)"][number % 4];
        let words = ["ACL", "SETUSER", &user, "on", &password, &keys, &channel, "+ping", category];
        requests.extend(request(&words.map(str::as_bytes)));
    }
    wire.send(&requests);
    wire.expect(&b"+OK\r\n".repeat(USERS));
    expect(&mut wire, &["ACL", "SAVE"], "OK");
    let listed = ask(&mut wire, &["ACL", "LIST"]);
    assert_eq!(listed.matches("user user").count(), USERS);
    let saved = std::fs::read_to_string(&file).unwrap();
    assert_eq!(saved.lines().filter(|line| line.starts_with("user ")).count(), USERS + 1);
    drop(server);
    let server = Setup::memory().and(&["--aclfile", name]).start();
    let mut wire = server.connect();
    assert!(ask(&mut wire, &["ACL", "LIST"]) == listed, "started with the file");
    let mut last = server.connect();
    expect(&mut last, &["AUTH", "user9998", "pw9998"], "OK");
    expect(&mut wire, &["ACL", "LOAD"], "OK");
    assert!(ask(&mut wire, &["ACL", "LIST"]) == listed, "loaded from the file");
    expect(&mut last, &["SET", "9998:key", "v"], "OK");
    assert!(ask(&mut last, &["SET", "9997:key", "v"]).contains("NOPERM"));
    expect(&mut wire, &["ACL", "SAVE"], "OK");
    assert!(std::fs::read_to_string(&file).unwrap() == saved, "saved again it is the same file");
}
