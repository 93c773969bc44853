//! Redis's own tools, where they are installed.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::connections::free_port;
use crate::passing_over::pass_over;
use crate::server::Setup;

/// Runs a tool; none where it is not installed.
fn tool(name: &str, args: &[&str]) -> Option<Output> {
    match Command::new(name).args(args).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Runs a tool with something to read; none where it is not installed.
fn tool_reading(name: &str, args: &[&str], input: &[u8]) -> Option<Output> {
    let spawned = Command::new(name)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match spawned {
        Ok(mut child) => {
            child.stdin.take().unwrap().write_all(input).unwrap();
            Some(child.wait_with_output().unwrap())
        }
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
                return pass_over("redis-cli is not installed");
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
fn redis_cli_finds_its_way_through_a_keyspace() {
    let server = Setup::disk().start();
    let socket = server.socket();
    let socket = socket.to_str().unwrap();
    // As `--pipe` wants them: whole requests. The key `long` has the longest value.
    let mut requests = Vec::new();
    for number in 0..5000 {
        let key = if number == 777 { "long".to_owned() } else { format!("key:{number}") };
        let value = "v".repeat(if number == 777 { 9000 } else { number % 50 });
        write!(requests, "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", key.len(), value.len())
            .unwrap();
    }
    let Some(piped) = tool_reading("redis-cli", &["-s", socket, "--pipe"], &requests) else {
        return pass_over("redis-cli is not installed");
    };
    assert!(said(&piped).ends_with("errors: 0, replies: 5000"), "{piped:?}");
    let cli = |words: &[&str]| {
        let args: Vec<&str> = ["-s", socket].iter().chain(words).copied().collect();
        let output = tool("redis-cli", &args).unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        said(&output)
    };
    assert_eq!(cli(&["--scan"]).lines().count(), 5000);
    let biggest = cli(&["--bigkeys"]);
    assert!(biggest.contains("Sampled 5000 keys"), "{biggest}");
    assert!(biggest.contains("Biggest string found '\"long\"' has 9000 bytes"), "{biggest}");
    let most_memory = cli(&["--memkeys"]);
    assert!(most_memory.contains("Biggest string found '\"long\"' has 90"), "{most_memory}");
    // Shortest, longest and mean time in ms, and how often: one line, then it ends, as its output is no terminal.
    let latency = cli(&["--latency", "-i", "0.2", "--raw"]);
    let figures: Vec<f64> = latency.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(figures.len() == 4 && figures[3] > 0.0, "{latency}");
    assert_eq!(cli(&["-r", "3", "INCR", "n"]), "1\n2\n3");
    assert_eq!(cli(&["-n", "5", "DBSIZE"]), "0");
    assert_eq!(cli(&["--json", "MGET", "n", "none"]), "[\"3\",null]");
    let typed =
        tool_reading("redis-cli", &["-s", socket], b"SET \"a b\" 'c d'\nGET \"a b\"\nHELLO 3\nGET none\n")
            .unwrap();
    let typed = said(&typed);
    assert!(typed.starts_with("OK\nc d\nserver redis\n"), "{typed}");
    let from_input =
        tool_reading("redis-cli", &["-s", socket, "-x", "SET", "bytes"], &[0, 255, 10, 13]).unwrap();
    assert_eq!(said(&from_input), "OK");
    assert_eq!(cli(&["STRLEN", "bytes"]), "4");
}

#[test]
fn redis_cli_shows_figures_until_it_is_stopped() {
    let server = Setup::memory().start();
    let socket = server.socket();
    let mut command = Command::new("redis-cli");
    command.args(["-s", socket.to_str().unwrap(), "--stat", "-i", "0.05"]);
    let mut child = match command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return pass_over("redis-cli is not installed");
        }
        Err(error) => panic!("redis-cli: {error}"),
    };
    // Its output is kept back until a block is full, so it is read until one came.
    let mut block = [0; 1024];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut block).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let text = String::from_utf8_lossy(&block).into_owned();
    assert!(text.contains("keys") && text.contains("mem") && text.contains("clients"), "{text}");
    assert!(text.lines().filter(|line| line.contains(" (+")).count() > 3, "{text}");
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
        return pass_over("redis-benchmark is not installed");
    };
    assert!(output.status.success(), "{output:?}");
    let text = said(&output);
    for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET"] {
        assert!(text.contains(&format!("{test}:")) || text.contains(&format!("{test} (")), "{test}: {text}");
    }
    assert!(!text.contains("ERR"), "{text}");
}
