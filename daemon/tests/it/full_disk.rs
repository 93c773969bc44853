//! A file system with no room for another log segment: writes are refused with the reason, on the worker of the
//! connection and on the one that a request hops to; reads and deletes go on; room makes it serve again.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::server::{Server, Setup, wait_for};
use crate::wire::{Wire, key_of};

/// A small file system of its own, unmounted in the end.
struct SmallDisk {
    temp: Arc<tempfile::TempDir>,
}

impl SmallDisk {
    /// `None` where this process may not mount one: the test cannot be run there, and says so.
    #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
    fn mount(mib: u32) -> Option<Self> {
        let temp = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(temp.path()).output();
        let mount = mount.unwrap();
        if !mount.status.success() {
            let why = String::from_utf8_lossy(&mount.stderr).into_owned();
            let denied = ["permission denied", "only root", "must be superuser", "not permitted"];
            assert!(denied.iter().any(|word| why.contains(word)), "mount: {why}");
            println!("skipped: mounting a small file system takes root: {why}");
            return None;
        }
        Some(Self { temp: Arc::new(temp) })
    }

    fn path(&self) -> &Path {
        self.temp.path()
    }

    fn grow(&self, mib: u32) {
        let size = format!("remount,size={mib}m");
        let status = Command::new("mount").args(["-o", &size]).arg(self.path()).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server of a test that failed may still be there.
        drop(Command::new("umount").arg("-l").arg(self.path()).status());
    }
}

/// Connections to both workers; the Unix listener hands them out in turn.
fn connections(server: &Server) -> [Wire; 2] {
    [server.connect(), server.connect()]
}

/// Sets keys of one worker until it refuses. Returns the refusal.
fn fill(wire: &mut Wire, worker: usize) -> String {
    let value = "x".repeat(64 << 10);
    for number in 10..2000 {
        let answer = wire.answer(&["SET", &key_of(worker, number), &value]);
        if answer != "+OK" {
            return answer;
        }
    }
    panic!("a small disk takes no more than it has");
}

#[test]
fn a_worker_without_room_refuses_writes_and_serves_the_rest_and_the_other_worker_goes_on() {
    let Some(disk) = SmallDisk::mount(32) else { return };
    let server = Setup::disk().start_in(Arc::clone(&disk.temp));
    let two = server.workers() == 2;
    let mut wires = connections(&server);
    for worker in 0..2 {
        assert_eq!(wires[0].answer(&["SET", &key_of(worker, 0), "old"]), "+OK");
        assert_eq!(wires[0].answer(&["SET", &key_of(worker, 1), "old"]), "+OK");
    }
    let full = key_of(1, 0);
    let refusal = fill(&mut wires[0], 1);
    assert!(refusal.starts_with("-MISCONF the disk is too full"), "{refusal}");
    for wire in &mut wires {
        // One of the two connections lives on the worker that is full, the other one's requests hop to it.
        for write in [&["SET", &full, "new"][..], &["APPEND", &full, "new"], &["INCR", &full]] {
            assert_eq!(wire.answer(write), refusal);
        }
        assert_eq!(wire.answer(&["GET", &full]), "old");
        assert_eq!(wire.answer(&["EXISTS", &full]), ":1");
    }
    assert_eq!(wires[0].answer(&["DEL", &key_of(1, 1)]), ":1");
    assert_eq!(wires[1].answer(&["DEL", &key_of(1, 10)]), ":1");
    assert_eq!(wires[1].answer(&["GET", &key_of(1, 1)]), "nil");
    if two {
        // The other worker has its next segment already.
        let answers = wires.each_mut().map(|wire| wire.answer(&["SET", &key_of(0, 0), "new"]));
        assert!(answers.contains(&"+OK".to_owned()), "{answers:?}");
    }
    disk.grow(256);
    for wire in &mut wires {
        wait_for("room", || (wire.answer(&["SET", &full, "newer"]) == "+OK").then_some(()));
    }
    let server = server.kill().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["GET", &full]), "newer");
    assert_eq!(wire.answer(&["EXISTS", &key_of(1, 1), &key_of(1, 10)]), ":0", "deletes were kept");
    assert_eq!(wire.answer(&["EXISTS", &key_of(1, 11)]), ":1");
}
