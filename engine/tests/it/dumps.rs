//! A dump holds every key of a store and nothing else, and makes the same store again, of any shape.

use std::fs;
use std::path::Path;

use engine::clock::unix_ms;
use engine::files::RESTORE_MARK;
use engine::offline::{DumpConfig, DumpOutcome, RestoreConfig, RestoreError, RestoreOutcome, dump, restore};
use shard::dump::{DumpReader, DumpRecord, DumpWriter};
use shard::types::{Db, UnixMs};

use crate::store::{Content, Store, fill, mixed, snapshot};

fn dumped(directory: &Path) -> (Vec<u8>, DumpOutcome) {
    let mut bytes = Vec::new();
    let config = DumpConfig { directory: directory.to_path_buf(), memory_bytes_max: None };
    let outcome = dump(&config, &mut bytes, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.bytes, bytes.len() as u64);
    (bytes, outcome)
}

fn content_of(dump: &[u8]) -> Content {
    let (mut reader, mut content) = (DumpReader::new(), Content::new());
    for piece in dump.chunks(100_000) {
        reader.push(piece).unwrap();
        while let Some(record) = reader.next_record().unwrap() {
            let value = (record.value.to_vec(), record.deadline.map(|deadline| deadline.0));
            assert!(content.insert((record.db.0, record.key.to_vec()), value).is_none(), "each key once");
        }
    }
    reader.finish().unwrap();
    content
}

fn dump_of(content: &Content) -> Vec<u8> {
    let mut writer = DumpWriter::new([9; 16], UnixMs(1));
    for ((db, key), (value, deadline)) in content {
        writer.push(&DumpRecord { db: Db(*db), deadline: deadline.map(UnixMs), key, value });
    }
    writer.finish();
    std::mem::take(writer.output())
}

fn restored(
    directory: &Path,
    bytes: &[u8],
    shards: u16,
    workers: u16,
    memory_bytes_max: Option<u64>,
) -> Result<RestoreOutcome, RestoreError> {
    let directory = directory.to_path_buf();
    let config =
        RestoreConfig { directory, shards, workers, wal: true, memory_bytes_max, segment_bytes: 1 << 20 };
    restore(&config, &mut &bytes[..], &mut |_| ())
}

#[test]
fn a_dump_of_a_crashed_store_has_every_key_and_changes_no_byte_of_it() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("store");
    let mut expected = mixed(500);
    let mut store = Store::open(&directory, 4, 2);
    fill(&mut store, &expected);
    store.checkpoint();
    for number in 0..50 {
        let key = format!("key:{}", number * 3).into_bytes();
        store.put(0, &key, b"written after the checkpoint", None);
        expected.insert((0, key), (b"written after the checkpoint".to_vec(), None));
    }
    store.delete(1, b"large");
    expected.remove(&(1, b"large".to_vec()));
    store.put(2, b"gone", b"its deadline has passed", Some(unix_ms().0 - 1000));
    store.turn();
    drop(store);
    let before = snapshot(&directory);
    let (bytes, outcome) = dumped(&directory);
    assert_eq!(snapshot(&directory), before);
    assert_eq!(content_of(&bytes), expected);
    assert_eq!(outcome.counts.records, expected.len() as u64);
    assert_eq!(Store::open(&directory, 4, 2).content(), expected, "and it starts as before");
}

#[test]
fn a_dump_restores_into_any_number_of_shards_and_comes_back_the_same() {
    let expected = mixed(2000);
    for (shards, workers, memory) in [(1, 1, None), (16, 2, None), (5, 3, Some(3 << 20))] {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("new");
        let outcome = restored(&directory, &dump_of(&expected), shards, workers, memory).unwrap();
        assert_eq!((outcome.counts.records, outcome.expired), (expected.len() as u64, 0));
        assert!(!directory.join(RESTORE_MARK).exists());
        let (bytes, _) = dumped(&directory);
        assert_eq!(content_of(&bytes), expected, "dump(restore(x)) is x");
        assert_eq!(Store::open(&directory, shards, workers).content(), expected);
    }
}

#[test]
fn records_that_have_ended_are_left_out_on_both_ways() {
    let temp = tempfile::tempdir().unwrap();
    let mut content = mixed(10);
    let kept = content.clone();
    content.insert((0, b"old".to_vec()), (b"value".to_vec(), Some(5)));
    let outcome = restored(&temp.path().join("new"), &dump_of(&content), 2, 1, None).unwrap();
    assert_eq!(outcome.expired, 1);
    assert_eq!(content_of(&dumped(&temp.path().join("new")).0), kept);
}

#[test]
fn a_spoilt_dump_leaves_nothing_behind() {
    let temp = tempfile::tempdir().unwrap();
    let whole = dump_of(&mixed(1000));
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (name, bytes) in [("cut", &whole[..whole.len() - 1]), ("flipped", &flipped), ("empty", &[])] {
        let directory = temp.path().join(name);
        let error = restored(&directory, bytes, 4, 2, None).unwrap_err();
        assert!(matches!(error, RestoreError::Dump(_)), "{error}");
        assert!(!directory.exists(), "{name}");
    }
    // A directory that was there stays, empty.
    let directory = temp.path().join("there");
    fs::create_dir(&directory).unwrap();
    restored(&directory, &flipped, 4, 2, None).unwrap_err();
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let mut writer = DumpWriter::new([9; 16], UnixMs(1));
    for value in [b"one", b"two"] {
        writer.push(&DumpRecord { db: Db(0), deadline: None, key: b"key", value });
    }
    writer.finish();
    let bytes = std::mem::take(writer.output());
    let error = restored(&temp.path().join("new"), &bytes, 1, 1, None).unwrap_err();
    assert!(matches!(error, RestoreError::Twice { .. }), "{error}");
}

#[test]
fn a_restore_that_was_killed_is_not_opened_and_a_full_directory_not_restored_into() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("new");
    restored(&directory, &dump_of(&mixed(10)), 2, 1, None).unwrap();
    let error = restored(&directory, &dump_of(&mixed(10)), 2, 1, None).unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty { .. }), "{error}");
    // What a restore leaves that is killed before it has come to its end.
    fs::write(directory.join(RESTORE_MARK), "").unwrap();
    let error = Store::try_open(&directory, 2, 1).err().unwrap();
    assert!(error.contains(RESTORE_MARK), "{error}");
    let config = DumpConfig { directory: directory.clone(), memory_bytes_max: None };
    let error = dump(&config, &mut Vec::new(), &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains(RESTORE_MARK), "{error}");
}

#[test]
fn a_dump_keeps_to_its_memory_or_says_that_it_cannot() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("store");
    let mut store = Store::open(&directory, 2, 1);
    let content = mixed(2000);
    fill(&mut store, &content);
    drop(store);
    let config = |memory| DumpConfig { directory: directory.clone(), memory_bytes_max: Some(memory) };
    let error = dump(&config(1 << 20), &mut Vec::new(), &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("--maxmemory"), "{error}");
    // A checkpoint leaves the index alone to be kept.
    Store::open(&directory, 2, 1).close();
    let mut bytes = Vec::new();
    dump(&config(1 << 20), &mut bytes, &mut |_| ()).unwrap();
    assert_eq!(content_of(&bytes), content);
}

#[test]
fn a_store_in_use_is_not_dumped() {
    let temp = tempfile::tempdir().unwrap();
    let _store = Store::open(temp.path(), 1, 1);
    let config = DumpConfig { directory: temp.path().to_path_buf(), memory_bytes_max: None };
    let error = dump(&config, &mut Vec::new(), &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("another daemon uses this directory"), "{error}");
}
