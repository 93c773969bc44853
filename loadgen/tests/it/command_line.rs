//! The program as users start it: exit codes, messages, Ctrl-C.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use loadgen::report::Report;

use crate::null_server::{Behaviour, NullServer};

fn loadgen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(arguments).output().unwrap()
}

fn check(arguments: &[&str], code: i32, message: &str) {
    let output = loadgen(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(stderr.contains(message), "{arguments:?}: {stderr}");
}

#[test]
fn wrong_flags_end_with_2_and_name_the_option() {
    check(&["run", "--pipeline", "0"], 2, "--pipeline goes from 1");
    check(&["run", "--ratio", "1"], 2, "1:10");
    check(&["run", "--no-such-option"], 2, "--no-such-option");
    check(&["run", "-n", "5", "-d", "5s"], 2, "cannot be used with");
    check(&["run", "-s", "/x", "-p", "1"], 2, "cannot be used with");
    check(&["fly"], 2, "unrecognized subcommand");
}

#[test]
fn unreachable_servers_end_with_1_and_say_what_to_do() {
    check(&["run", "-s", "/nowhere/x.sock"], 1, "is the server running");
    check(&["run", "-p", "1"], 1, "nobody listens there");
    check(&["run", "-h", "no.such.host.invalid"], 2, "cannot resolve");
    check(&["show", "/nowhere/report.json"], 1, "cannot read /nowhere/report.json");
}

#[test]
fn letters_of_other_tools_are_explained() {
    check(&["run", "-s", "/nowhere/x.sock", "-d", "64"], 1, "--value-size");
}

#[test]
fn a_socket_file_without_a_server_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    check(&["run", "-s", path.to_str().unwrap()], 1, "the server has ended");
}

#[test]
fn without_an_address_the_default_socket_is_found_and_named() {
    let server = NullServer::start(Behaviour::default());
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("ouro-data")).unwrap();
    std::os::unix::fs::symlink(&server.path, home.path().join("ouro-data/ouro.sock")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["run", "-n", "100", "--warmup", "0s", "--live", "none"])
        .current_dir(home.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("taking ./ouro-data/ouro.sock"), "{stderr}");
    assert_eq!(server.requests(), 100);
}

#[test]
fn under_strict_a_run_that_is_not_valid_ends_with_status_4() {
    let error = Some((50, "-ERR no\r\n"));
    let server = NullServer::start(Behaviour { error, ..Behaviour::default() });
    let socket = server.path.to_str().unwrap();
    let words = ["run", "-s", socket, "-n", "500", "--warmup", "0s", "--live", "none"];
    assert_eq!(loadgen(&words).status.code(), Some(0));
    let output = loadgen(&[&words[..], &["--strict"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("--strict") && stderr.contains("10 requests failed"), "{stderr}");
}

#[test]
fn ctrl_c_ends_the_run_and_still_writes_the_report() {
    let server = NullServer::start(Behaviour::default());
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("deep/report.json");
    let child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["run", "-d", "1h", "--warmup", "0s", "-s"])
        .arg(&server.path)
        .arg("-o")
        .arg(&out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(|| server.requests() > 5000);
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("ending the run"), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("op/s"));
    let report = Report::read(&out).unwrap();
    assert!(report.result.unwrap().ops > 1000);
    assert!(report.warnings.iter().any(|text| text.contains("interrupted")));
}

#[test]
fn progress_is_plain_lines_when_it_is_no_terminal() {
    let server = NullServer::start(Behaviour::default());
    let output =
        loadgen(&["run", "-s", server.path.to_str().unwrap(), "-d", "2s", "--warmup", "0s", "-c", "2"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let seconds: Vec<&str> = stderr.lines().filter(|line| line.contains("op/s")).collect();
    assert_eq!(seconds.len(), 2, "{stderr}");
    assert!(seconds[0].trim_start().starts_with("1 s"), "{stderr}");
    assert!(!stderr.contains('\r') && !stderr.contains('\u{1b}'), "{stderr:?}");
}

#[test]
fn tcp_works_as_unix_does() {
    let server = NullServer::start(Behaviour::default());
    let port = forward(&server.path);
    let output =
        loadgen(&["run", "-p", &port.to_string(), "-n", "2000", "-c", "3", "--warmup", "0s", "-P", "5"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.requests(), 2000);
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("127.0.0.1:{port}")));
}

/// A TCP port whose connections go to a Unix socket.
fn forward(socket: &Path) -> u16 {
    use std::os::unix::net::UnixStream;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = socket.to_owned();
    std::thread::spawn(move || {
        for outer in listener.incoming() {
            let mut outer = outer.unwrap();
            let mut inner = UnixStream::connect(&socket).unwrap();
            let (mut outer_back, mut inner_back) = (outer.try_clone().unwrap(), inner.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut outer, &mut inner);
                let _ = inner.shutdown(std::net::Shutdown::Both);
            });
            std::thread::spawn(move || std::io::copy(&mut inner_back, &mut outer_back));
        }
    });
    port
}

fn wait_for(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_server_that_does_nothing_answers_other_generators_until_it_is_told_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("null.sock");
    let path = socket.to_str().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["selftest", "--serve", path])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !socket.exists() {
        assert!(started.elapsed() < Duration::from_secs(20), "no socket");
        std::thread::sleep(Duration::from_millis(5));
    }
    let run =
        loadgen(&["run", "-s", path, "-n", "1000", "--warmup", "0s", "--live", "none", "-c", "4", "-t", "1"]);
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    // A second one does not take the first one's place.
    check(&["selftest", "--serve", path], 1, "cannot serve at");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!socket.exists(), "the socket is removed");
}
