//! What concerns the whole process (signals, limits, panics), each in a process of its own: the test binary runs
//! itself again with a role to play.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};
use shard::types::UnixMs;

use super::*;
use crate::options::Options;
use crate::server::{Server, ShutdownRequest};

const ROLE: &str = "OURO_TEST_ROLE";
const READY: &str = "ready to play";

/// The other process, as its parent sees it.
struct Actor {
    process: Child,
    output: BufReader<ChildStdout>,
    log: BufReader<ChildStderr>,
}

impl Actor {
    fn new(role: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "control::process_tests::play_a_role",
                "--exact",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ROLE, role)
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let log = BufReader::new(process.stderr.take().unwrap());
        let mut actor = Self { process, output, log };
        wait_for(&mut actor.output, READY);
        actor
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits until it has logged that.
    fn hear(&mut self, text: &str) -> String {
        wait_for(&mut self.log, text)
    }

    /// Its exit code and the rest of its log.
    fn end(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        (self.process.wait().unwrap().code(), log)
    }
}

fn wait_for(lines: &mut impl BufRead, text: &str) -> String {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended and never said {text:?}");
    }
    line
}

#[test]
fn sigterm_and_sigint_ask_for_an_orderly_stop() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let mut actor = Actor::new("stop when asked");
        actor.signal(signal);
        let line = actor.hear("stopping in order");
        assert!(line.contains(&format!(" notice control: {name}: ")), "{line}");
        assert_eq!(actor.end().0, Some(0));
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once_with_1() {
    for (first, second) in
        [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM), (Signal::TERM, Signal::INT)]
    {
        let mut actor = Actor::new("never stop");
        actor.signal(first);
        actor.hear("stopping in order");
        actor.signal(second);
        let (code, log) = actor.end();
        assert_eq!(code, Some(1));
        assert!(log.contains(" warning control: ") && log.contains("ending at once"), "{log}");
    }
}

#[test]
fn a_signal_after_a_shutdown_command_does_not_cut_it_short() {
    let mut actor = Actor::new("stop slowly by command");
    actor.signal(Signal::TERM);
    actor.hear("SIGTERM: ");
    assert_eq!(actor.end().0, Some(0));
}

#[test]
fn sighup_sigxfsz_and_sigpipe_change_nothing() {
    let mut actor = Actor::new("stop when asked");
    actor.signal(Signal::HUP);
    actor.hear("SIGHUP: no TLS");
    actor.signal(Signal::XFSZ);
    actor.hear("SIGXFSZ ignored");
    actor.signal(Signal::PIPE);
    actor.signal(Signal::TERM);
    actor.hear("stopping in order");
    assert_eq!(actor.end().0, Some(0));
}

#[test]
fn a_file_at_its_size_limit_is_an_error_and_not_the_end() {
    let (code, log) = Actor::new("write a file that is too large").end();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn no_descriptor_left_is_an_error_of_start() {
    let (code, log) = Actor::new("start without descriptors").end();
    assert_eq!(code, Some(i32::from(ExitCode::System.number())), "{log}");
    assert!(log.contains("control thread: ") && !log.contains("panicked"), "{log}");
}

#[test]
fn a_panic_of_any_thread_is_one_line_and_code_70() {
    let (code, log) = Actor::new("panic").end();
    assert_eq!(code, Some(70), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains(" error actor: a bug of ourod, the process ends: two\\nlines 7 place="), "{log}");
}

#[test]
#[ignore = "a role in the tests above, which run it in a process of its own"]
fn play_a_role() {
    let role = std::env::var(ROLE).expect("run by the tests above only");
    let (server, stops) = Server::new(Options::for_tests(), [0; 20], UnixMs(1));
    let server = Arc::new(server);
    let levels = Arc::clone(&server);
    log_to_stderr(move || levels.settings.log_level());
    if role == "start without descriptors" {
        println!("{READY}");
        let limit = Rlimit { current: Some(3), maximum: Some(3) };
        setrlimit(Resource::Nofile, limit).unwrap();
        let error = start(server).unwrap_err();
        tracing::error!("{error}");
        start_error_code(&error).exit();
    }
    let handle = start(Arc::clone(&server)).unwrap();
    println!("{READY}");
    match role.as_str() {
        "stop when asked" => {
            assert_eq!(stops.recv().unwrap(), ShutdownRequest::default());
        }
        "never stop" => loop {
            thread::park();
        },
        "stop slowly by command" => {
            server.shutdown.request(ShutdownRequest { now: true, force: false });
            stops.recv().unwrap();
            // The signal's own request is what this waits for: the command's stop is still going on.
            stops.recv().unwrap();
            thread::sleep(Duration::from_millis(50));
        }
        "write a file that is too large" => {
            setrlimit(Resource::Fsize, Rlimit { current: Some(4096), maximum: Some(4096) }).unwrap();
            let mut file: File = tempfile::tempfile().unwrap();
            file.write_all(&[0; 4096]).unwrap();
            assert_eq!(file.write(&[0; 1]).unwrap_err().kind(), ErrorKind::FileTooLarge);
        }
        "panic" => {
            end_process_on_panic();
            let thread = thread::Builder::new().name("actor".into());
            let _ = thread.spawn(|| panic!("two\nlines {}", 7)).unwrap().join();
        }
        _ => panic!("no such role: {role}"),
    }
    handle.stop();
    ExitCode::Ok.exit();
}
