//! Tables of commands and replies, run in process and, where `redis-server` is installed, against it too.
//!
//! A table is text: `command => reply` lines, with `# name` before each case. Every case starts with an empty store
//! and a fresh connection. Replies are written as [`render`] writes them. Where a table is checked against Redis,
//! the bytes of both must be the same as well.

mod cases_bits;
mod cases_connection;
mod cases_expire;
mod cases_keyspace;
mod cases_names;
mod cases_server;
mod cases_string;
mod cases_watching;
mod executor;
mod laws;
mod permissions;
mod redis;
mod script;

use self::executor::Executor;
use self::script::{Line, cases, check_line, render};

/// Runs every case of a table in process.
fn check(table: &str) {
    for case in cases(table) {
        let mut executor = Executor::new();
        for line in case.lines {
            match line {
                Line::Sleep(ms) => executor.advance(ms),
                Line::Ask { request, expected, text } => {
                    let reply = executor.run(&request);
                    check_line(case.name, text, expected, &render(&reply));
                }
            }
        }
    }
}

/// Runs every case of a table in process and against Redis, if it is there: replies must agree with the table, and
/// with each other byte for byte.
fn check_with_redis(table: &str) {
    check(table);
    let Some(redis) = redis::Redis::start() else { return };
    for case in cases(table) {
        let mut executor = Executor::new();
        let mut client = redis.connect();
        for line in case.lines {
            match line {
                Line::Sleep(ms) => {
                    std::thread::sleep(std::time::Duration::from_millis(ms));
                    executor.advance(ms);
                }
                Line::Ask { request, expected, text } => {
                    let theirs = client.ask(&request);
                    check_line(case.name, text, expected, &render(&theirs));
                    let ours = executor.run(&request);
                    let is_range = expected.contains("..") || expected == "*";
                    assert!(
                        is_range || ours == theirs,
                        "{}: {text}\n  ours   {:?}\n  theirs {:?}",
                        case.name,
                        String::from_utf8_lossy(&ours),
                        String::from_utf8_lossy(&theirs)
                    );
                }
            }
        }
    }
}
