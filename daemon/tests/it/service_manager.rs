//! What a service manager hears over a life (sd_notify(3)).

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::server::{PATIENCE, Server, Setup};
use crate::wire::Wire;

/// What a service manager would hear with.
fn ear(dir: &Path) -> (UnixDatagram, String) {
    let path = dir.join("notify");
    let ear = UnixDatagram::bind(&path).unwrap();
    ear.set_read_timeout(Some(PATIENCE)).unwrap();
    (ear, path.to_str().unwrap().to_owned())
}

/// Hears until a line is this one; all that was heard.
fn hear(ear: &UnixDatagram, wanted: &str) -> String {
    let mut all = String::new();
    loop {
        let mut heard = [0; 4096];
        let count = ear.recv(&mut heard).unwrap_or_else(|error| panic!("{wanted}: {error} after {all}"));
        all += std::str::from_utf8(&heard[..count]).unwrap();
        all.push('\n');
        if all.lines().any(|line| line == wanted) {
            return all;
        }
    }
}

#[test]
fn a_service_manager_hears_of_start_turns_and_stop() {
    let temp = tempfile::tempdir().unwrap();
    let (ear, path) = ear(temp.path());
    let mut setup = Setup::disk();
    setup.environment = vec![("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "1000000".to_owned())];
    let server = setup.start();
    let start = hear(&ear, "READY=1");
    assert!(start.contains("EXTEND_TIMEOUT_USEC=30000000\n"), "{start}");
    assert!(!start[..start.find("READY=1").unwrap()].contains("WATCHDOG=1"), "{start}");
    hear(&ear, "WATCHDOG=1");
    hear(&ear, "WATCHDOG=1");
    let wires: Vec<Wire> = (0..3).map(|_| server.connect()).collect();
    hear(&ear, "STATUS=Serving 3 clients");
    drop(wires);
    assert!(server.connect().answer(&["INFO", "server"]).contains("process_supervised:systemd"));
    drop(server.terminate());
    let stop = hear(&ear, "STOPPING=1");
    assert!(stop.contains("STATUS=Stopping"), "{stop}");
}

/// How often the watchdog is fed until the sleeper is answered, which hangs its worker.
fn fed_while_asleep(server: &Server, ear: &UnixDatagram, seconds: &str) -> usize {
    let mut sleeper = server.connect();
    assert_eq!(sleeper.answer(&["PING"]), "+PONG");
    let words: Vec<String> = ["DEBUG", "SLEEP", seconds].map(str::to_owned).into();
    let sleeping =
        thread::spawn(move || sleeper.answer(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    let mut fed = 0;
    ear.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while !sleeping.is_finished() {
        let mut heard = [0; 4096];
        match ear.recv(&mut heard) {
            Ok(count) => fed += std::str::from_utf8(&heard[..count]).unwrap().matches("WATCHDOG=1").count(),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}")
            }
        }
    }
    ear.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(sleeping.join().unwrap(), "+OK");
    fed
}

#[test]
fn one_worker_that_hangs_starves_the_watchdog_while_the_others_serve() {
    let temp = tempfile::tempdir().unwrap();
    let (ear, path) = ear(temp.path());
    let mut setup = Setup::memory().and(&["--enable-debug-command", "yes"]);
    setup.environment = vec![("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "1000000".to_owned())];
    let server = setup.start();
    hear(&ear, "READY=1");
    hear(&ear, "WATCHDOG=1");
    // It is fed four times a second, twelve times in these three; some may be heard that was said before the worker hung.
    for _ in 0..2 {
        let fed = fed_while_asleep(&server, &ear, "3");
        assert!(fed <= 5, "fed {fed} times by a worker that hangs");
        hear(&ear, "WATCHDOG=1");
        hear(&ear, "WATCHDOG=1");
    }
    // What does not hang does not starve it.
    fed_while_asleep(&server, &ear, "0");
    hear(&ear, "WATCHDOG=1");
    server.terminate();
}
