//! A directory that an earlier build wrote: every later one opens it and finds every key.
//!
//! `fixtures/store-format-2.tar.gz`: store manifest 2, log manifest 2, segments 1, shard manifests 1, snapshots 1, data
//! files 1. `fixtures/store-format-4.tar.gz`: the same with store manifest 4, log manifest 3, shard manifests 2 and
//! snapshots 2 (later ones: `newest_fixtures.rs`). Two shards, one worker, checkpoints in the middle, a log after them, ended by a kill. It is never made anew:
//! a new format gets a fixture of its own. How it was made: [`make`].

use std::path::Path;
use std::process::Command;

use engine::offline::check;
use tempfile::TempDir;

use crate::store::{Content, Store};

/// A deadline in the year 2100.
pub(crate) const FAR: u64 = 4_102_444_800_000;

/// A fixture in a directory of its own.
pub(crate) fn unpack(name: &str) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.tar.gz"));
    let status = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(temp.path()).status().unwrap();
    assert!(status.success());
    temp
}

/// What is in it.
fn content() -> Content {
    let mut content = Content::new();
    for number in 0..200u32 {
        let deadline = number.is_multiple_of(7).then_some(FAR + u64::from(number));
        let db = u8::try_from(number % 2 * 5).unwrap();
        let value = if number < 150 { format!("value {number}") } else { "x".repeat(number as usize) };
        content.insert((db, format!("key:{number}").into_bytes()), (value.into_bytes(), deadline));
    }
    content.insert((0, b"large".to_vec()), (vec![b'l'; 1_200_000], None));
    content
}

fn make(directory: &Path) {
    let mut store = Store::open(directory, 2, 1);
    for (number, ((db, key), (value, deadline))) in content().iter().enumerate() {
        store.put(*db, key, value, *deadline);
        if number == 120 {
            store.checkpoint();
        }
        if number.is_multiple_of(20) {
            store.turn();
        }
    }
    store.put(0, b"gone", b"deleted", None);
    store.turn();
    store.delete(0, b"gone");
    store.idle();
}

#[test]
fn a_store_of_format_2_is_opened_with_every_key() {
    opens(2);
}

#[test]
fn a_store_of_format_4_is_opened_with_every_key() {
    opens(4);
}

/// It opens, and once more when it has been written to in the newest format.
fn opens(format: u32) {
    let temp = unpack(&format!("store-format-{format}"));
    let report = check(temp.path(), None, &mut |_| ()).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(Store::open(temp.path(), 2, 1).content(), content());
    Store::open(temp.path(), 2, 1).checkpoint();
    assert!(!check(temp.path(), None, &mut |_| ()).unwrap().is_damaged());
}

#[test]
fn what_is_made_now_is_what_the_fixture_holds() {
    let temp = tempfile::tempdir().unwrap();
    make(temp.path());
    if let Ok(target) = std::env::var("OURO_MAKE_FIXTURE") {
        let mut tar = Command::new("tar");
        tar.args(["-czf", &target, "--exclude", "ouro.lock", "-C"]).arg(temp.path()).arg(".");
        assert!(tar.status().unwrap().success());
    }
    assert_eq!(Store::open(temp.path(), 2, 1).content(), content());
}
