//! Directories in the formats of this build, with and without a log: every later one opens them and finds every key.
//!
//! `fixtures/store-format-5.tar.gz`: store manifest 5, log manifest 3, segments 1, shard manifests 3, snapshots 3, data files 1.
//! `fixtures/store-format-5-without-log.tar.gz`: the same without a log, with records in the tails of its snapshots. Two
//! shards, one worker, databases swapped before and after a checkpoint, extents emptied by compaction, values larger than an
//! extent, deadlines, ended by a kill. They are never made anew, and neither is what [`make`] writes changed: a new format
//! gets a fixture of its own. They were made by `OURO_MAKE_FIXTURES=<directory> cargo test -p engine --test it newest`.

use std::fs;
use std::path::Path;
use std::process::Command;

use engine::offline::check;
use shard::log::manifest::LOG_MANIFEST_FORMAT;
use shard::shard_manifest::SHARD_MANIFEST_FORMAT;
use shard::store_manifest::STORE_MANIFEST_FORMAT;

use crate::fixture::{FAR, unpack};
use crate::store::{Content, Store};

const NAMES: [&str; 2] = ["store-format-5", "store-format-5-without-log"];

fn has_log(name: &str) -> bool {
    name == NAMES[0]
}

/// A store, and what should be in it.
struct Written {
    store: Store,
    content: Content,
}

impl Written {
    fn put(&mut self, db: u8, key: &str, value: &[u8], deadline: Option<u64>) {
        self.store.put(db, key.as_bytes(), value, deadline);
        self.content.insert((db, key.into()), (value.to_vec(), deadline));
    }

    fn patch(&mut self, db: u8, key: &str, offset: u8, bytes: &[u8]) {
        self.store.patch(db, key.as_bytes(), offset.into(), bytes);
        let (value, _) = self.content.get_mut(&(db, key.into())).unwrap();
        value[offset.into()..usize::from(offset) + bytes.len()].copy_from_slice(bytes);
    }

    fn delete(&mut self, db: u8, key: &str) {
        self.store.delete(db, key.as_bytes());
        self.content.remove(&(db, key.into()));
    }

    fn swap(&mut self, first: u8, second: u8) {
        self.store.swap(first, second);
        let swapped = |db| match db {
            _ if db == first => second,
            _ if db == second => first,
            _ => db,
        };
        let content = std::mem::take(&mut self.content);
        self.content = content.into_iter().map(|((db, key), value)| ((swapped(db), key), value)).collect();
    }
}

/// Makes the store of a fixture; what is in it.
fn make(directory: &Path, has_log: bool) -> Content {
    let store = if has_log { Store::open(directory, 2, 1) } else { Store::open_without_log(directory, 2, 1) };
    let mut written = Written { store, content: Content::new() };
    written.store.fill_extents_to(64 << 10);
    for number in 0..600_u16 {
        let deadline = number.is_multiple_of(7).then_some(FAR + u64::from(number));
        let db = [0, 3, 5][usize::from(number % 3)];
        written.put(db, &format!("key:{number}"), &vec![b'a'; usize::from(number)], deadline);
        written.store.turn();
    }
    written.put(3, "large", &[b'l'; 1_200_000], None);
    written.put(3, "large that is gone", &[b'g'; 1_300_000], None);
    written.store.checkpoint();
    // Two of three keys are written again or deleted: extents are worth to be emptied.
    for number in (0..600_u16).filter(|number| number % 9 < 6) {
        let (db, key) = ([0, 3, 5][usize::from(number % 3)], format!("key:{number}"));
        match number % 5 {
            0 => written.delete(db, &key),
            _ => written.put(db, &key, &vec![b'b'; usize::from(number / 2)], None),
        }
        written.store.turn();
    }
    written.delete(3, "large that is gone");
    written.swap(0, 3);
    assert!(written.store.compact() > 0, "something was moved");
    written.store.checkpoint();
    written.swap(0, 5);
    let Written { mut store, content } = written;
    let amid = (0..200_u16).map(|number| {
        let deadline = number.is_multiple_of(3).then_some(FAR + u64::from(number));
        let key =
            if number.is_multiple_of(2) { format!("amid:{number}") } else { format!("key:{}", 3 * number) };
        (key, vec![b'c'; usize::from(number)], deadline)
    });
    let mut amid = amid.enumerate().collect::<Vec<_>>().into_iter();
    let mut written_amid = Vec::new();
    store.checkpoint_amid(|store, _| {
        for (_, (key, value, deadline)) in amid.by_ref().take(20) {
            store.put(5, key.as_bytes(), &value, deadline);
            written_amid.push((key, value, deadline));
        }
    });
    assert!(store.tail_records() > 0, "something was written between the checkpoint's beginning and its end");
    let mut written = Written { store, content };
    for (key, value, deadline) in written_amid {
        written.content.insert((5, key.into()), (value, deadline));
    }
    if has_log {
        // The rest is nowhere but in the log.
        written.swap(5, 15);
        for number in 0..50_u8 {
            written.put(1, &format!("late:{number}"), &vec![b'd'; 20 + usize::from(number)], None);
            written.patch(1, &format!("late:{number}"), 5, b"patched");
            written.store.turn();
        }
        written.put(1, "large and late", &[b'm'; 1_100_000], Some(FAR));
        written.put(15, "gone", b"deleted", None);
        written.store.turn();
        written.delete(15, "gone");
        written.store.idle();
    }
    written.content
}

fn open(directory: &Path, has_log: bool) -> Store {
    if has_log { Store::open(directory, 2, 1) } else { Store::open_without_log(directory, 2, 1) }
}

#[test]
fn stores_of_format_5_are_opened_with_every_key() {
    for name in NAMES {
        let (fixture, made) = (unpack(name), tempfile::tempdir().unwrap());
        let expected = make(made.path(), has_log(name));
        assert_eq!(check(fixture.path(), None, &mut |_| ()).unwrap().problems, [], "{name}");
        let mut store = open(fixture.path(), has_log(name));
        assert!(store.content() == expected, "{name}");
        // Once more when it has been written to in the newest format.
        store.checkpoint();
        drop(store);
        assert!(!check(fixture.path(), None, &mut |_| ()).unwrap().is_damaged(), "{name}");
        assert!(open(fixture.path(), has_log(name)).content() == expected, "{name}");
    }
}

#[test]
fn what_is_made_now_is_what_the_newest_fixtures_hold() {
    for name in NAMES {
        let temp = tempfile::tempdir().unwrap();
        let content = make(temp.path(), has_log(name));
        if let Ok(target) = std::env::var("OURO_MAKE_FIXTURES") {
            let archive = Path::new(&target).join(format!("{name}.tar.gz"));
            let mut tar = Command::new("tar");
            tar.arg("-czf").arg(archive).args(["--sparse", "--exclude", "ouro.lock", "-C"]).arg(temp.path());
            assert!(tar.arg(".").status().unwrap().success());
        }
        assert!(open(temp.path(), has_log(name)).content() == content, "{name}");
    }
}

/// The version in the header of a file.
fn format_of(path: &Path) -> u32 {
    let bytes = fs::read(path).unwrap();
    let at = match path.file_name().unwrap().to_str().unwrap() {
        name if name.contains(".manifest-") => 12,
        _ => 8,
    };
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn the_newest_fixtures_are_of_the_formats_that_this_build_writes() {
    for name in NAMES {
        let (fixture, made) = (unpack(name), tempfile::tempdir().unwrap());
        make(made.path(), has_log(name));
        let mut seen = 0;
        for entry in fs::read_dir(fixture.path()).unwrap() {
            let (path, file) = {
                let entry = entry.unwrap();
                (entry.path(), entry.file_name().into_string().unwrap())
            };
            let expected = match &*file {
                file if file.starts_with("store.manifest-") => STORE_MANIFEST_FORMAT,
                file if file.starts_with("shard-") && file.contains(".manifest-") => SHARD_MANIFEST_FORMAT,
                file if file.starts_with("log-") && file.contains(".manifest-") => LOG_MANIFEST_FORMAT,
                // Its number is the shard's own affair: what is written now tells it.
                file if file.contains(".snapshot-") => format_of(&made.path().join(file)),
                _ => continue,
            };
            assert_eq!(
                format_of(&path),
                expected,
                "{name}: a new format of {file} wants a fixture of its own"
            );
            seen += 1;
        }
        assert!(seen >= if has_log(name) { 10 } else { 8 }, "{seen} files of {name}");
    }
}
