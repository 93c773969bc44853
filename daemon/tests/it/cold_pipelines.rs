//! Pipelines over records most of which are on disk: replies keep the order of their requests, commands on a key keep theirs,
//! and what waits for the drive holds up nobody else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use resp::Reply;

use crate::memory_limit::figure;
use crate::pipelines::{Script, bulk};
use crate::server::{Server, Setup};
use crate::small_disk::SmallDisk;
use crate::wire::{Wire, key_of, request};

const VALUE_BYTES: usize = 4 << 10;

/// Little memory for what the tests write.
fn setup() -> Setup {
    Setup::disk().and(&["--maxmemory", "8mb", "--checkpoint-log-bytes", "16mb", "--shards", "4"])
}

/// Numbers that look random, the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// A client's keys as they are when all of its requests so far are done, and the pipeline that does it.
struct Client {
    name: usize,
    db: usize,
    keys: [BTreeMap<String, String>; 2],
    script: Script,
    draws: Draws,
}

impl Client {
    const KEYS: usize = 2_000;

    fn new(name: usize) -> Self {
        let draws = Draws(u64::try_from(name).unwrap());
        Self { name, db: 0, keys: [BTreeMap::new(), BTreeMap::new()], script: Script::default(), draws }
    }

    fn key(&mut self) -> String {
        format!("{}:value:{}", self.name, self.draws.below(Self::KEYS))
    }

    fn counter(&mut self) -> String {
        format!("{}:counter:{}", self.name, self.draws.below(Self::KEYS))
    }

    fn value(&mut self) -> String {
        let text = format!("{}/{}/", self.name, self.draws.below(1 << 30));
        text.repeat(VALUE_BYTES / text.len())
    }

    fn found(&self, key: &str) -> Option<&String> {
        self.keys[self.db].get(key)
    }

    fn get(&mut self, key: &str) {
        let reply = self.found(key).map_or("$-1\r\n".to_owned(), |value| bulk(value));
        self.script.step(&["GET", key], &reply);
    }

    fn set(&mut self, key: &str, value: &str) {
        self.script.step(&["SET", key, value], "+OK\r\n");
        self.keys[self.db].insert(key.to_owned(), value.to_owned());
    }

    fn increment(&mut self, key: &str) {
        let count = self.found(key).map_or(0, |text| text.parse::<i64>().unwrap()) + 1;
        self.script.step(&["INCR", key], &format!(":{count}\r\n"));
        self.keys[self.db].insert(key.to_owned(), count.to_string());
    }

    fn get_and_set(&mut self, key: &str) {
        let (value, reply) =
            (self.value(), self.found(key).map_or("$-1\r\n".to_owned(), |value| bulk(value)));
        self.script.step(&["GETSET", key, &value], &reply);
        self.keys[self.db].insert(key.to_owned(), value);
    }

    fn append(&mut self, key: &str) {
        let value = self.keys[self.db].entry(key.to_owned()).or_default();
        value.push_str("more");
        self.script.step(&["APPEND", key, "more"], &format!(":{}\r\n", value.len()));
    }

    fn delete(&mut self, keys: &[String]) {
        let count = keys.iter().filter(|&key| self.keys[self.db].remove(key).is_some()).count();
        self.step_of_keys("DEL", keys, &format!(":{count}\r\n"));
    }

    fn exist(&mut self, keys: &[String]) {
        let count = keys.iter().filter(|&key| self.found(key).is_some()).count();
        self.step_of_keys("EXISTS", keys, &format!(":{count}\r\n"));
    }

    fn get_all(&mut self, keys: &[String]) {
        let values = keys.iter().map(|key| self.found(key).map_or("$-1\r\n".to_owned(), |value| bulk(value)));
        let reply = format!("*{}\r\n{}", keys.len(), values.collect::<String>());
        self.step_of_keys("MGET", keys, &reply);
    }

    fn copy(&mut self, from: &str, to: &str) {
        match self.found(from).cloned() {
            _ if from == to => {}
            Some(value) => {
                self.script.step(&["COPY", from, to, "REPLACE"], ":1\r\n");
                self.keys[self.db].insert(to.to_owned(), value);
            }
            None => self.script.step(&["COPY", from, to, "REPLACE"], ":0\r\n"),
        }
    }

    fn set_all(&mut self, keys: &[String; 2]) {
        let values = [self.value(), self.value()];
        self.script.step(&["MSET", &keys[0], &values[0], &keys[1], &values[1]], "+OK\r\n");
        self.keys[self.db].extend(keys.iter().cloned().zip(values));
    }

    fn step_of_keys(&mut self, command: &str, keys: &[String], reply: &str) {
        let words: Vec<&str> = [command].into_iter().chain(keys.iter().map(String::as_str)).collect();
        self.script.step(&words, reply);
    }

    fn select(&mut self, db: usize) {
        self.db = db;
        self.script.step(&["SELECT", &db.to_string()], "+OK\r\n");
    }

    /// Every key gets a value, in both databases; those of the end push the others out of memory.
    fn fill(&mut self) {
        for db in [0, 1] {
            self.select(db);
            for number in 0..Self::KEYS {
                let (counter, value) = (number * 7 % 1000, self.value());
                self.set(&format!("{}:value:{number}", self.name), &value);
                self.set(&format!("{}:counter:{number}", self.name), &counter.to_string());
            }
        }
    }

    fn mix(&mut self, steps: usize) {
        let hot = format!("{}:hot", self.name);
        for step in 0..steps {
            let (key, counter) = (self.key(), self.counter());
            let several =
                [self.key(), counter.clone(), hot.clone(), format!("{}:absent", self.name), self.key()];
            match self.draws.below(12) {
                0 | 1 => self.get(&key),
                2 => self.set(&hot, &step.to_string()),
                3 => self.increment(&counter),
                4 => self.get_and_set(&key),
                5 => self.append(&key),
                6 => self.delete(&several[..2]),
                7 => self.exist(&several),
                8 => self.get_all(&several),
                9 => self.copy(&key, &several[0]),
                10 => self.set_all(&[key.clone(), several[0].clone()]),
                _ => self.select(1 - self.db),
            }
            // On the same key, while the first still waits for it; and on one that waits for nothing.
            match self.draws.below(4) {
                0 => {
                    self.append(&key);
                    self.get(&key);
                    self.increment(&counter);
                    self.increment(&counter);
                    self.get(&counter);
                }
                1 => self.get(&hot),
                2 => self.script.step(&["PING", &counter], &bulk(&counter)),
                _ => {}
            }
        }
    }

    fn run(&mut self, wire: &mut Wire) {
        std::mem::take(&mut self.script).run(wire);
    }
}

fn keeps_order(setup: Setup) {
    let server = setup.start();
    let clients = (0..3).map(|name| {
        let mut wire = server.connect();
        thread::spawn(move || {
            let mut client = Client::new(name);
            client.fill();
            client.run(&mut wire);
            client.mix(3_000);
            client.run(&mut wire);
            client
        })
    });
    let clients: Vec<_> =
        clients.collect::<Vec<_>>().into_iter().map(|client| client.join().unwrap()).collect();
    let mut wire = server.connect();
    thread::sleep(Duration::from_millis(300));
    let reads = figure(&mut wire, "stats", "disk_reads");
    assert!(reads > 2_000, "{reads} reads: most of what is asked for is on disk");
    for db in [0, 1] {
        assert_eq!(wire.answer(&["SELECT", &db.to_string()]), "+OK");
        let count: usize = clients.iter().map(|client| client.keys[db].len()).sum();
        assert_eq!(wire.answer(&["DBSIZE"]), format!(":{count}"));
    }
    // And as the last word on each key was, after a crash too.
    let server = server.kill().start();
    let mut wire = server.connect();
    for mut client in clients {
        for db in [0, 1] {
            client.select(db);
            client.keys[db].clone().keys().step_by(10).for_each(|key| client.get(key));
        }
        client.run(&mut wire);
    }
}

#[test]
fn pipelines_over_cold_and_hot_keys_of_both_workers_are_answered_in_order() {
    keeps_order(setup());
}

#[test]
fn pipelines_over_cold_and_hot_keys_of_one_worker_are_answered_in_order() {
    keeps_order(setup().workers(1));
}

/// Pushes everything that was written before out of memory.
fn push_out(wire: &mut Wire) {
    let value = "x".repeat(64 << 10);
    for number in 0..1_000 {
        assert_eq!(wire.answer(&["SET", &format!("filler:{number}"), &value]), "+OK");
    }
}

/// So many keys with a number each, on disk.
fn cold_counters(server: &Server, count: usize) -> Vec<String> {
    let mut wire = server.connect();
    let keys: Vec<String> = (0..count).map(|number| key_of(number % 2, number / 2)).collect();
    for key in &keys {
        assert_eq!(wire.answer(&["SET", key, "100"]), "+OK");
    }
    push_out(&mut wire);
    keys
}

#[test]
fn commands_on_one_cold_key_of_several_connections_are_done_one_after_the_other() {
    const CONNECTIONS: usize = 4;
    const ROUNDS: usize = 3;
    let server = setup().start();
    let keys = cold_counters(&server, 200);
    let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    let of_key =
        |key: &String| [request(&[b"INCR", key.as_bytes()]), request(&[b"GET", key.as_bytes()])].concat();
    let pipeline = keys.iter().flat_map(|key| of_key(key).repeat(ROUNDS)).collect::<Vec<u8>>();
    wires.iter_mut().for_each(|wire| wire.send(&pipeline));
    let mut counts: BTreeMap<&String, Vec<i64>> = BTreeMap::new();
    for wire in &mut wires {
        for key in &keys {
            let mut last = 100;
            for _ in 0..ROUNDS {
                let Reply::Integer(count) = wire.reply() else { panic!("a count of {key}") };
                let Reply::Bulk(text) = wire.reply() else { panic!("the value of {key}") };
                let seen: i64 = String::from_utf8(text).unwrap().parse().unwrap();
                assert!(last < count && count <= seen, "{key}: {last}, {count}, then {seen}");
                last = seen;
                counts.entry(key).or_default().push(count);
            }
        }
    }
    for (key, mut counts) in counts {
        counts.sort_unstable();
        assert!(counts.into_iter().eq(101..=100 + i64::try_from(CONNECTIONS * ROUNDS).unwrap()), "{key}");
    }
}

#[test]
fn reads_that_hang_hold_up_what_is_behind_them_and_nobody_else() {
    let Some(disk) = SmallDisk::ext4(400) else { return };
    let server = setup().start_in(Arc::clone(&disk.temp));
    let cold = cold_counters(&server, 40);
    let hot: Vec<String> = [0, 1].map(|worker| key_of(worker, 1_000)).into();
    let mut wire = server.connect();
    for key in &hot {
        assert_eq!(wire.answer(&["SET", key, "1"]), "+OK");
    }
    let Some(held) = disk.hold_reads(server.pid()) else { return };
    // Two connections whose first request hangs, at each worker, and what is behind it on the connection.
    let mut hanging: Vec<Wire> = [0, 1].map(|_| server.connect()).into();
    for wire in &mut hanging {
        for key in &cold {
            wire.send(&request(&[b"INCR", key.as_bytes()]));
        }
        wire.send(&request(&[b"GET", hot[0].as_bytes()]));
        wire.send(&request(&[b"MGET", hot[1].as_bytes(), cold[0].as_bytes()]));
        wire.send(&request(&[b"PING"]));
    }
    // Several turns of everybody else, on connections of both workers and on keys of both.
    let mut others: Vec<Wire> = [0, 1].map(|_| server.connect()).into();
    for round in 0..50 {
        for wire in &mut others {
            assert_eq!(wire.answer(&["PING"]), "+PONG");
            for key in &hot {
                assert_eq!(wire.answer(&["GET", key]), "1");
                assert_eq!(wire.answer(&["SET", &format!("{key}:{round}"), "new"]), "+OK");
                assert_eq!(wire.answer(&["INCRBY", &format!("{key}:sum"), "0"]), ":0");
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    for wire in &mut hanging {
        assert!(wire.is_silent(Duration::from_millis(50)), "nothing overtakes what hangs");
    }
    drop(held);
    // Both connections counted every key, in an order that is the same for all that came behind.
    let mut seen = vec![Vec::new(); cold.len()];
    for wire in &mut hanging {
        for counts in &mut seen {
            let Reply::Integer(count) = wire.reply() else { panic!("a count") };
            counts.push(count);
        }
        assert_eq!(wire.reply(), Reply::Bulk(b"1".to_vec()));
        let Reply::Array(values) = wire.reply() else { panic!("two values") };
        assert_eq!(values[0], Reply::Bulk(b"1".to_vec()));
        assert!([&b"101"[..], b"102"].contains(&&*match &values[1] {
            Reply::Bulk(text) => text.clone(),
            other => panic!("{other:?}"),
        }));
        assert_eq!(wire.reply(), Reply::Simple(b"PONG".to_vec()));
    }
    for mut counts in seen {
        counts.sort_unstable();
        assert_eq!(counts, [101, 102]);
    }
}

#[test]
fn what_is_about_all_keys_comes_behind_what_was_asked_before_and_waits_on_another_worker() {
    const KEYS: usize = 5_000;
    let server = setup().start();
    let tag = key_of(1, 0);
    let names: Vec<String> = (0..KEYS).map(|at| format!("{{{tag}}}{at}")).collect();
    let names = &names;
    let value = "v".repeat(VALUE_BYTES);
    // Clients of both workers: for one of them all the keys are another worker's.
    let mut wires: Vec<Wire> = (0..2).map(|_| server.connect()).collect();
    for wire in &mut wires {
        for part in names.chunks(500) {
            let sets: Vec<u8> =
                part.iter().flat_map(|name| request(&[b"SET", name.as_bytes(), value.as_bytes()])).collect();
            wire.send(&sets);
            wire.expect(&b"+OK\r\n".repeat(part.len()));
        }
        assert_eq!(wire.answer(&["SAVE"]), "+OK");
        let before = figure(wire, "stats", "total_commands_processed");
        let gets: Vec<u8> =
            names[..200].iter().flat_map(|name| request(&[b"GET", name.as_bytes()])).collect();
        let set = request(&[b"SET", names[0].as_bytes(), b"new"]);
        let exists = request(&[b"EXISTS", names[0].as_bytes()]);
        wire.send(&[&gets[..], &set, b"FLUSHALL\r\n", &exists, b"DBSIZE\r\n"].concat());
        for _ in 0..200 {
            wire.expect(format!("${VALUE_BYTES}\r\n{value}\r\n").as_bytes());
        }
        wire.expect(b"+OK\r\n+OK\r\n:0\r\n:0\r\n");
        crate::server::wait_for("every call to be counted, those that waited too", || {
            let now = figure(wire, "stats", "total_commands_processed");
            (now >= before + 204).then_some(())
        });
    }
}
