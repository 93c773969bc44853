//! What a service manager hears over a life (sd_notify(3)).

use std::os::unix::net::UnixDatagram;

use crate::server::{PATIENCE, Setup};

#[test]
fn a_service_manager_hears_of_start_turns_and_stop() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("notify");
    let ear = UnixDatagram::bind(&path).unwrap();
    ear.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut setup = Setup::disk();
    setup.environment =
        vec![("NOTIFY_SOCKET", path.to_str().unwrap().to_owned()), ("WATCHDOG_USEC", "1000000".to_owned())];
    let server = setup.start();
    let hear = |wanted: &str| {
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
    };
    let start = hear("READY=1");
    assert!(start.contains("EXTEND_TIMEOUT_USEC=30000000\n"), "{start}");
    assert!(!start[..start.find("READY=1").unwrap()].contains("WATCHDOG=1"), "{start}");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    assert!(server.connect().answer(&["INFO", "server"]).contains("process_supervised:systemd"));
    drop(server.terminate());
    hear("STOPPING=1");
}
