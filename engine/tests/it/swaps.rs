//! Databases that change their numbers: what a start makes of it, whatever became of the files meanwhile.

use std::fs;
use std::path::Path;

use engine::offline::check;
use shard::check::{CheckReport, Severity};

use crate::store::{Content, Store, config};

const COPIES: [&str; 2] = ["store.manifest-a", "store.manifest-b"];

/// A key of each of four databases, over all shards, that says which database it is of.
fn content(numbers: [u8; 4]) -> Content {
    let keys =
        (0..30).flat_map(|number| numbers.into_iter().zip(0u8..).map(move |(db, of)| (number, db, of)));
    keys.map(|(number, db, of)| ((db, format!("key:{number}").into_bytes()), (vec![of], None))).collect()
}

fn write(store: &mut Store) {
    for ((db, key), (value, _)) in content([0, 1, 2, 3]) {
        store.put(db, &key, &value, None);
    }
    store.turn();
}

fn open(directory: &Path, workers: u16, wal: bool) -> Result<Store, String> {
    let mut config = config(directory, 4, workers);
    config.wal = wal;
    Store::try_open_as(&config).map(|(store, _)| store)
}

fn manifests(directory: &Path) -> [Vec<u8>; 2] {
    COPIES.map(|name| fs::read(directory.join(name)).unwrap())
}

fn put_back(directory: &Path, manifests: &[Vec<u8>; 2]) {
    for (name, bytes) in COPIES.into_iter().zip(manifests) {
        fs::write(directory.join(name), bytes).unwrap();
    }
}

#[test]
fn every_start_finds_the_numbers_that_were_swapped_last_whatever_the_number_of_workers() {
    for wal in [true, false] {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("store");
        let mut store = open(&directory, 2, wal).unwrap();
        write(&mut store);
        store.swap(0, 1);
        store.swap(1, 3);
        assert!(store.content() == content([3, 0, 2, 1]));
        store.checkpoint();
        // As a crash leaves it.
        drop(store);
        let mut expected = content([3, 0, 2, 1]);
        for workers in [1_u8, 3, 4, 2] {
            let mut store = open(&directory, workers.into(), wal).unwrap();
            assert!(store.content() == expected, "{workers} workers, with a log: {wal}");
            store.put(0, b"key:0", &[workers], None);
            expected.insert((0, b"key:0".to_vec()), (vec![workers], None));
            store.swap(0, 15);
            expected = expected
                .into_iter()
                .map(|((db, key), value)| match db {
                    0 => ((15, key), value),
                    15 => ((0, key), value),
                    _ => ((db, key), value),
                })
                .collect();
            store.close();
        }
        let report: CheckReport = check(&directory, None, &mut |_| ()).unwrap();
        assert!(report.problems.iter().all(|one| one.severity == Severity::Note), "{report:?}");
    }
}

/// A crash between the two copies: the newer one counts, and the swap is there as a whole. Nothing was shown before.
#[test]
fn one_copy_of_the_swap_is_enough_and_the_other_is_written_again() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("store");
    let mut store = open(&directory, 2, true).unwrap();
    write(&mut store);
    let before = manifests(&directory);
    store.swap(0, 1);
    drop(store);
    let after = manifests(&directory);
    // Torn copies are none, and copy A is written first.
    let torn = [after[0][..90].to_vec(), before[1][90..].to_vec()].concat();
    for (copies, numbers) in [
        ([after[0].clone(), before[1].clone()], [1, 0, 2, 3]),
        ([after[0].clone(), torn.clone()], [1, 0, 2, 3]),
        ([torn, before[1].clone()], [0, 1, 2, 3]),
        ([before[0].clone(), before[1].clone()], [0, 1, 2, 3]),
    ] {
        put_back(&directory, &copies);
        assert!(open(&directory, 2, true).unwrap().content() == content(numbers), "{numbers:?}");
        let [a, b] = manifests(&directory);
        assert_eq!(a, b);
    }
}

#[test]
fn a_store_manifest_from_before_a_swap_or_with_another_one_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("store");
    let mut store = open(&directory, 2, true).unwrap();
    write(&mut store);
    store.swap(0, 1);
    store.turn();
    let one = manifests(&directory);
    store.swap(0, 2);
    store.turn();
    drop(store);
    let two = manifests(&directory);
    put_back(&directory, &one);
    let error = open(&directory, 2, true).err().unwrap();
    assert!(error.contains("databases have changed their numbers otherwise (SWAPDB)"), "{error}");
    let report: CheckReport = check(&directory, None, &mut |_| ()).unwrap();
    assert!(report.problems.iter().any(|one| one.severity == Severity::Damage), "{report:?}");
    assert_eq!(manifests(&directory), one, "nothing was changed");
    // Of two copies one is enough, if it is of a version next to the other.
    put_back(&directory, &[two[0].clone(), one[1].clone()]);
    let mut store = open(&directory, 2, true).unwrap();
    assert!(store.content() == content([1, 2, 0, 3]));
    drop(store);
    assert_eq!(manifests(&directory), two);
}
