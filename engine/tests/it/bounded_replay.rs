//! Starts of stores whose log holds several times as much as may be in memory.

use std::path::Path;

use engine::offline::check;

use crate::store::{Content, Store};

const SHARDS: u16 = 2;
const KEYS: usize = 7_000;
const VALUE_BYTES: usize = 2_000;
/// A third of what one round of the keys takes.
const BOUND: u64 = 5 << 20;

fn name(number: usize) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

fn value(number: usize, round: u8) -> Vec<u8> {
    let mut value = vec![round; VALUE_BYTES + number % 97];
    value[..8].copy_from_slice(&(number as u64).to_le_bytes());
    value
}

/// Puts every key but those of a residue class, which are deleted, of another, which are changed in place, and of a third,
/// which are left alone.
fn write_round(store: &mut Store, content: &mut Content, round: u8) {
    for number in 0..KEYS {
        let key = name(number);
        let has = content.contains_key(&(0, key.clone()));
        match number % 7 {
            1 if has => {
                store.delete(0, &key);
                content.remove(&(0, key));
            }
            2 if has => {
                store.patch(0, &key, 10, &[round; 20]);
                let (bytes, _) = content.get_mut(&(0, key)).unwrap();
                bytes[10..30].fill(round);
            }
            3 if has => {}
            _ => {
                store.put(0, &key, &value(number, round), None);
                content.insert((0, key), (value(number, round), None));
            }
        }
        if number.is_multiple_of(20) {
            store.turn();
        }
    }
    store.turn();
}

/// What is in memory after a start is what the bound allows, all that was written is there, and nothing that a snapshot
/// points into was written over.
fn check_start(directory: &Path, workers: u16, content: &Content) {
    let (mut store, peak) = Store::open_within(directory, SHARDS, workers, BOUND);
    assert!(peak <= BOUND + BOUND / 20, "{peak} bytes of memory during the replay");
    assert!(peak > BOUND / 2, "the replay would have fitted: {peak} bytes");
    assert!(store.memory_bytes() <= BOUND + BOUND / 20);
    assert!(store.content() == *content, "{workers} workers");
    drop(store);
    assert_eq!(check(directory, None, &mut |_| ()).unwrap().problems, []);
    // What a check may not recover in memory it says, and reports no damage.
    let noted = check(directory, Some(BOUND / 2), &mut |_| ()).unwrap();
    assert!(!noted.is_damaged() && noted.problem("start:memory").is_some(), "{:?}", noted.problems);
}

#[test]
fn a_replay_of_much_more_than_may_be_in_memory_keeps_within_the_bound() {
    let temp = tempfile::tempdir().unwrap();
    let mut content = Content::new();
    let mut store = Store::open(temp.path(), SHARDS, 1);
    for round in 0..2 {
        write_round(&mut store, &mut content, round);
    }
    // Killed, started within little memory, and killed again before any checkpoint; with another number of workers too.
    drop(store);
    for workers in [1, 2, 1] {
        check_start(temp.path(), workers, &content);
    }
    let mut store = Store::open(temp.path(), SHARDS, 1);
    assert!(store.content() == content);
    store.close();
}

#[test]
fn a_replay_within_little_memory_leaves_what_a_snapshot_points_into() {
    let temp = tempfile::tempdir().unwrap();
    let mut content = Content::new();
    let mut store = Store::open(temp.path(), SHARDS, 1);
    write_round(&mut store, &mut content, 0);
    store.checkpoint();
    write_round(&mut store, &mut content, 1);
    drop(store);
    for _ in 0..2 {
        check_start(temp.path(), 1, &content);
    }
    // Goes on as any other: a checkpoint of what the replay has written, and a start from it.
    let (mut store, _) = Store::open_within(temp.path(), SHARDS, 1, BOUND);
    for number in 0..KEYS {
        let key = format!("more:{number}").into_bytes();
        store.put(0, &key, &value(number, 2), None);
        content.insert((0, key), (value(number, 2), None));
        if number.is_multiple_of(20) {
            store.turn();
        }
    }
    store.checkpoint();
    drop(store);
    let mut store = Store::open(temp.path(), SHARDS, 1);
    assert!(store.content() == content);
    store.close();
}
