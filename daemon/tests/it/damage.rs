//! A directory that is in use, incomplete or damaged: what was acknowledged is not silently lost.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::server::{Ended, Server, Setup, wait_for};

const STORAGE: i32 = 74;
const BUSY: i32 = 75;
const BLOCK: usize = 4096;

/// One worker: one log. Each write is a batch of its own.
fn written(count: usize) -> Server {
    let server = Setup::disk().workers(1).start();
    let mut wire = server.connect();
    for number in 0..count {
        assert_eq!(wire.answer(&["SET", &format!("k{number}"), &number.to_string()]), "+OK");
    }
    server
}

fn segment(ended: &Ended) -> std::path::PathBuf {
    ended.files("segment-").into_iter().next().unwrap()
}

/// Offsets of the batches in a segment.
fn batches(path: &Path) -> Vec<usize> {
    let bytes = fs::read(path).unwrap();
    let blocks = bytes.chunks(BLOCK).enumerate();
    blocks.filter(|(_, block)| block.starts_with(b"OBAT")).map(|(at, _)| at * BLOCK).collect()
}

fn flip(path: &Path, offset: usize) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let (mut byte, offset) = ([0], offset as u64);
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn a_second_daemon_on_the_same_directory_is_refused() {
    let server = Setup::disk().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["SET", "k", "v"]), "+OK");
    let (code, log) = Setup::disk().refusal(&server.dir);
    assert_eq!(code, BUSY, "{log}");
    assert!(log.contains(server.dir.to_str().unwrap()), "{log}");
    // The first one has not noticed, and its socket still leads to it.
    assert_eq!(wire.answer(&["GET", "k"]), "v");
    assert_eq!(server.connect().answer(&["GET", "k"]), "v");
}

#[test]
fn a_missing_file_is_named_and_the_store_is_not_opened() {
    for clean in [true, false] {
        let server = written(20);
        let ended = if clean { server.terminate() } else { server.kill() };
        let first = segment(&ended);
        let aside = first.with_extension("aside");
        fs::rename(&first, &aside).unwrap();
        let (code, log) = ended.refusal();
        assert_eq!(code, STORAGE, "{log}");
        assert!(log.contains(name(&first)) && log.contains("missing"), "{log}");
        assert!(!first.exists(), "nothing was put in its place");
        fs::rename(&aside, &first).unwrap();
        let server = ended.start();
        assert_eq!(server.connect().answer(&["GET", "k19"]), "19");
    }
}

#[test]
fn one_manifest_copy_may_be_lost_and_is_repaired_but_not_both() {
    for kind in ["store.manifest", "log-00001.manifest"] {
        let mut ended = written(5).terminate();
        let copies = ended.files(kind);
        assert_eq!(copies.len(), 2, "{copies:?}");
        for (at, copy) in copies.iter().enumerate() {
            if at == 0 {
                fs::remove_file(copy).unwrap();
            } else {
                flip(copy, 20);
            }
            let server = ended.start();
            assert_eq!(server.connect().answer(&["GET", "k4"]), "4");
            ended = server.terminate();
            assert_eq!(ended.files(kind).len(), 2, "repaired");
        }
        for copy in &copies {
            fs::remove_file(copy).unwrap();
        }
        let (code, log) = ended.refusal();
        assert_eq!(code, STORAGE, "{log}");
        assert!(log.contains("manifest") && log.contains("missing"), "{log}");
        assert_eq!(ended.files(kind).len(), 0, "nothing was put in their place");
    }
}

#[test]
fn damage_to_an_acknowledged_batch_is_refused_naming_file_and_offset() {
    for clean in [true, false] {
        let server = written(30);
        let ended = if clean { server.terminate() } else { server.kill() };
        let segment = segment(&ended);
        let found = batches(&segment);
        // The header, a record, and the padding.
        for (number, within) in [(5, 30), (10, 100), (15, BLOCK - 1)] {
            let offset = found[number] + within;
            flip(&segment, offset);
            let (code, log) = ended.refusal();
            assert_eq!(code, STORAGE, "{log}");
            assert!(log.contains(name(&segment)) && log.contains(&found[number].to_string()), "{log}");
            flip(&segment, offset);
        }
        let server = ended.start();
        assert_eq!(server.connect().answer(&["DBSIZE"]), ":30");
    }
}

#[test]
fn damage_to_the_last_acknowledged_batch_is_seen_once_the_log_was_idle() {
    let server = written(10);
    let segment = server.dir.join("log-00001.segment-000001");
    // Being idle, the log writes an empty batch that says that all before it is durable.
    wait_for("the seal", || (batches(&segment).len() > 10).then_some(()));
    let ended = server.kill();
    let last = batches(&segment)[9];
    flip(&segment, last + 70);
    let (code, log) = ended.refusal();
    assert_eq!(code, STORAGE, "{log}");
    assert!(log.contains(&last.to_string()), "{log}");
}

#[test]
fn a_damaged_tail_that_nobody_was_promised_is_cut() {
    let server = written(10);
    let segment = server.dir.join("log-00001.segment-000001");
    wait_for("the seal", || (batches(&segment).len() > 10).then_some(()));
    let ended = server.kill();
    // A batch that was in flight: half of it reached the drive, under a checksum for the whole.
    let found = batches(&segment);
    let file = OpenOptions::new().read(true).write(true).open(&segment).unwrap();
    let mut torn = vec![0; BLOCK];
    file.read_exact_at(&mut torn, found[3] as u64).unwrap();
    torn[2048..].fill(0x5a);
    let end = found[found.len() - 1] + BLOCK;
    file.write_all_at(&torn, end as u64).unwrap();
    file.sync_all().unwrap();
    let server = ended.start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["DBSIZE"]), ":10");
    assert_eq!(wire.answer(&["SET", "after", "v"]), "+OK");
    let server = server.kill().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["DBSIZE"]), ":11");
    assert_eq!(wire.answer(&["MGET", "k0", "k9", "after"]), "[0 9 v]");
}

#[test]
fn a_segment_cut_short_is_refused() {
    let ended = written(10).kill();
    let segment = segment(&ended);
    let whole = fs::metadata(&segment).unwrap().len();
    File::options().write(true).open(&segment).unwrap().set_len(whole / 2).unwrap();
    let (code, log) = ended.refusal();
    assert_eq!(code, STORAGE, "{log}");
    assert!(log.contains(name(&segment)), "{log}");
}

#[test]
fn the_number_of_shards_is_fixed_at_creation() {
    let server = Setup::disk().and(&["--shards", "8"]).start();
    assert_eq!(server.connect().answer(&["SET", "k", "v"]), "+OK");
    let mut ended = server.terminate();
    ended.setup.options.truncate(4);
    let (code, log) = Setup::disk().and(&["--shards", "32"]).refusal(&ended.dir);
    assert_eq!(code, 64, "{log}");
    assert!(log.contains("8 shards"), "{log}");
    assert_eq!(ended.start().connect().answer(&["GET", "k"]), "v");
}
