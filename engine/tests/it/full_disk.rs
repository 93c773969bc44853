//! The library on a file system that is full: writes get an error that says so, and what went before stays.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use engine::db::{Db, DbError, DbOptions};

/// A small file system in memory, unmounted in the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`: mounting takes root, and is denied here.
    #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
    fn new(mib: u32) -> Option<Self> {
        let temp = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(temp.path())
            .output()
            .unwrap();
        if output.status.success() {
            return Some(Self(temp));
        }
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(
            std::env::var_os("OURO_TESTS_MUST_RUN").is_none(),
            "all tests must run, and mounting fails: {why}"
        );
        println!("passed over: a file system of its own takes root: {why}");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

fn open(directory: &Path) -> Db {
    let options = DbOptions::new().shards(1).workers(1).wal_segment_bytes(2 << 20);
    options.open_with_wal(directory).unwrap_or_else(|error| panic!("{error}"))
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn writes_get_an_error_where_there_is_no_room_and_reads_and_deletes_go_on() {
    let Some(disk) = SmallDisk::new(64) else { return };
    let directory = disk.0.path().join("store");
    let db = open(&directory);
    db.set("small", "1").unwrap();
    // The data file could take it, the log could not take it too.
    assert!(matches!(db.set("large", vec![7; 36 << 20]), Err(DbError::DiskFull)));
    assert_eq!(db.get("large").unwrap(), None);
    wait_for("a small write", || db.set("small", "2").is_ok());
    wait_for("what fits", || db.set("fits", vec![8; 10 << 20]).is_ok());
    let mut count = 0;
    loop {
        match db.set(format!("key:{count}"), vec![9; 40 << 10]) {
            Ok(()) => count += 1,
            Err(DbError::DiskFull) => break,
            Err(error) => panic!("{error}"),
        }
        assert!(count < 2000, "a small disk takes no more than it has");
    }
    assert_eq!(db.get("fits").unwrap().map(|value| value.len()), Some(10 << 20));
    assert!(db.delete("fits").unwrap());
    wait_for("room after a delete", || db.set("after", "3").is_ok());
    drop(db);
    let db = open(&directory);
    assert_eq!(db.get("small").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(db.get("after").unwrap().as_deref(), Some(&b"3"[..]));
    assert!(!db.exists("fits").unwrap() && !db.exists("large").unwrap());
    assert!((0..count).all(|number| db.exists(format!("key:{number}")).unwrap()));
    db.close().unwrap();
}
