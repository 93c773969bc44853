//! Redis's own tools, where they are installed.

use std::process::{Command, Output};

use crate::connections::free_port;
use crate::server::Setup;

/// Runs a tool; none where it is not installed.
fn tool(name: &str, args: &[&str]) -> Option<Output> {
    match Command::new(name).args(args).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{name}: {error}"),
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[test]
fn redis_cli_works_over_both_sockets_and_protocols() {
    let port = free_port().to_string();
    let server = Setup::disk().and(&["--port", &port]).start();
    let socket = server.socket();
    for address in [&["-s", socket.to_str().unwrap()][..], &["-p", &port]] {
        for protocol in ["-2", "-3"] {
            let cli = |words: &[&str]| {
                let args: Vec<&str> = address.iter().chain([&protocol]).chain(words).copied().collect();
                tool("redis-cli", &args).map(|output| {
                    assert!(output.status.success(), "{words:?}: {output:?}");
                    said(&output)
                })
            };
            let Some(pong) = cli(&["PING"]) else {
                eprintln!("redis-cli is not installed: nothing is shown");
                return;
            };
            assert_eq!(pong, "PONG");
            assert_eq!(cli(&["MSET", "a", "1", "b", "2", "c", "3"]).unwrap(), "OK");
            assert_eq!(cli(&["MGET", "a", "b", "c"]).unwrap(), "1\n2\n3");
            assert_eq!(cli(&["INCRBY", "a", "41"]).unwrap(), "42");
            assert_eq!(cli(&["--scan", "--pattern", "[ab]"]).unwrap().lines().count(), 2);
            assert!(cli(&["INFO"]).unwrap().contains("redis_version:"));
            assert!(cli(&["COMMAND", "DOCS", "GET"]).unwrap().contains("summary"));
            assert_eq!(cli(&["DEL", "a", "b", "c"]).unwrap(), "3");
        }
    }
}

#[test]
fn redis_benchmark_finishes() {
    let server = Setup::memory().start();
    let socket = server.socket();
    let args = [
        "-s",
        socket.to_str().unwrap(),
        "-q",
        "-n",
        "20000",
        "-P",
        "16",
        "-r",
        "1000",
        "-t",
        "ping,set,get,incr,mset",
    ];
    let Some(output) = tool("redis-benchmark", &args) else {
        eprintln!("redis-benchmark is not installed: nothing is shown");
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let text = said(&output);
    for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET"] {
        assert!(text.contains(&format!("{test}:")) || text.contains(&format!("{test} (")), "{test}: {text}");
    }
    assert!(!text.contains("ERR"), "{text}");
}
