//! A client library that is not ours, over the Unix socket and TCP, with RESP2 and RESP3.

use std::collections::{HashMap, HashSet};

use redis::{Connection, Value, cmd, pipe};

use crate::connections::free_port;
use crate::server::{Server, Setup};

/// Each way to connect.
fn connections(server: &Server, port: u16) -> Vec<(String, Connection)> {
    let socket = server.socket();
    let mut all = Vec::new();
    for protocol in ["", "resp3"] {
        let query = if protocol.is_empty() { String::new() } else { format!("protocol={protocol}") };
        let unix = format!("redis+unix://{}?{query}", socket.display());
        let tcp = format!("redis://127.0.0.1:{port}/?{query}");
        for address in [unix, tcp] {
            let connection = redis::Client::open(address.as_str()).unwrap().get_connection().unwrap();
            all.push((address, connection));
        }
    }
    all
}

fn serve(setup: Setup) -> (Server, u16) {
    let port = free_port();
    (setup.and(&["--port", &port.to_string()]).start(), port)
}

#[test]
fn strings_keys_and_times_work() {
    let (server, port) = serve(Setup::disk());
    for (address, mut c) in connections(&server, port) {
        let ok: String = cmd("SET").arg("name").arg("ouro").query(&mut c).unwrap();
        assert_eq!(ok, "OK", "{address}");
        assert_eq!(cmd("GET").arg("name").query::<String>(&mut c).unwrap(), "ouro");
        assert_eq!(cmd("GET").arg("none").query::<Option<String>>(&mut c).unwrap(), None);
        assert_eq!(cmd("INCRBY").arg("n").arg(5).query::<i64>(&mut c).unwrap(), 5);
        let float: f64 = cmd("INCRBYFLOAT").arg("n").arg("0.5").query(&mut c).unwrap();
        assert!((float - 5.5).abs() < 1e-9);
        assert!(cmd("EXPIRE").arg("n").arg(100).query::<bool>(&mut c).unwrap());
        let ttl: i64 = cmd("TTL").arg("n").query(&mut c).unwrap();
        assert!((99..=100).contains(&ttl));
        let old: Option<String> = cmd("SET").arg("name").arg("new").arg("GET").query(&mut c).unwrap();
        assert_eq!(old.as_deref(), Some("ouro"));
        let nothing: Option<String> = cmd("SET").arg("name").arg("x").arg("NX").query(&mut c).unwrap();
        assert_eq!(nothing, None);
        let binary: Vec<u8> = (0..=255).collect();
        cmd("SET").arg("binary").arg(&binary).exec(&mut c).unwrap();
        assert_eq!(cmd("GET").arg("binary").query::<Vec<u8>>(&mut c).unwrap(), binary);
        let values: Vec<Option<String>> = cmd("MGET").arg(&["name", "none", "n"]).query(&mut c).unwrap();
        assert_eq!(values, [Some("new".into()), None, Some("5.5".into())]);
        let error = cmd("INCR").arg("name").query::<i64>(&mut c).unwrap_err();
        assert!(error.to_string().contains("not an integer"), "{error}");
        assert_eq!(cmd("DEL").arg(&["name", "n", "binary"]).query::<usize>(&mut c).unwrap(), 3);
        assert_eq!(cmd("DBSIZE").query::<usize>(&mut c).unwrap(), 0);
    }
}

#[test]
fn pipelines_of_thousands_over_all_shards_come_back_in_order() {
    let (server, port) = serve(Setup::disk());
    for (address, mut c) in connections(&server, port) {
        let mut pipeline = pipe();
        for number in 0..3000 {
            pipeline.cmd("SET").arg(format!("k{number}")).arg(number).ignore();
            pipeline.cmd("GET").arg(format!("k{number}"));
            if number % 10 == 0 {
                pipeline.cmd("MGET").arg(format!("k{number}")).arg("nothing").ignore();
            }
        }
        let got: Vec<usize> = pipeline.query(&mut c).unwrap();
        assert!(got.into_iter().eq(0..3000), "{address}");
        let keys: HashSet<String> = cmd("KEYS").arg("*").query(&mut c).unwrap();
        assert_eq!(keys.len(), 3000);
        let scanned: HashSet<String> = cmd("SCAN")
            .cursor_arg(0)
            .arg("COUNT")
            .arg(100)
            .clone()
            .iter(&mut c)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(scanned, keys);
        assert_eq!(cmd("FLUSHALL").query::<String>(&mut c).unwrap(), "OK");
    }
}

#[test]
fn the_server_describes_itself_as_libraries_expect() {
    let (server, port) = serve(Setup::memory());
    for (address, mut c) in connections(&server, port) {
        let config: HashMap<String, String> =
            cmd("CONFIG").arg("GET").arg("maxclients").query(&mut c).unwrap();
        assert_eq!(config.get("maxclients").map(String::as_str), Some("10000"), "{address}");
        let info: redis::InfoDict = cmd("INFO").query(&mut c).unwrap();
        assert!(info.get::<String>("redis_version").is_some());
        let time: (u64, u64) = cmd("TIME").query(&mut c).unwrap();
        assert!(time.0 > 1_700_000_000 && time.1 < 1_000_000);
        let commands: Vec<Value> = cmd("COMMAND").query(&mut c).unwrap();
        let count: usize = cmd("COMMAND").arg("COUNT").query(&mut c).unwrap();
        assert_eq!(commands.len(), count);
        assert!(cmd("CLIENT").arg("ID").query::<u64>(&mut c).unwrap() > 0);
    }
}

#[test]
fn values_of_a_megabyte_travel_in_pipelines() {
    let (server, port) = serve(Setup::memory());
    let value: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 253) as u8).collect();
    for (address, mut c) in connections(&server, port) {
        let mut pipeline = pipe();
        for number in 0..16 {
            pipeline.cmd("SET").arg(format!("big{number}")).arg(&value).ignore();
        }
        for number in 0..16 {
            pipeline.cmd("GET").arg(format!("big{number}"));
        }
        let got: Vec<Vec<u8>> = pipeline.query(&mut c).unwrap();
        assert!(got.len() == 16 && got.iter().all(|one| *one == value), "{address}");
    }
}

#[test]
fn messages_and_events_come() {
    let (server, port) = serve(Setup::disk().and(&["--notify-keyspace-events", "KA"]));
    for (address, mut listener) in connections(&server, port) {
        let mut listening = listener.as_pubsub();
        listening.subscribe(&["first", "second"]).unwrap();
        listening.psubscribe("__keyspace@0__:watched*").unwrap();
        for (_, mut c) in connections(&server, port) {
            for channel in ["first", "second"] {
                let got: i64 = cmd("PUBLISH").arg(channel).arg("hello").query(&mut c).unwrap();
                assert_eq!(got, 1, "{address}");
                let message = listening.get_message().unwrap();
                assert_eq!(message.get_channel_name(), channel);
                assert_eq!(message.get_payload::<String>().unwrap(), "hello");
            }
            cmd("SET").arg("watched:1").arg("x").exec(&mut c).unwrap();
            let event = listening.get_message().unwrap();
            assert_eq!(event.get_channel_name(), "__keyspace@0__:watched:1");
            assert_eq!(event.get_payload::<String>().unwrap(), "set");
        }
        listening.unsubscribe("first").unwrap();
        drop(listening);
        assert_eq!(cmd("GET").arg("watched:1").query::<String>(&mut listener).unwrap(), "x");
    }
}
