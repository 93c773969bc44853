//! Real damage to real files: a check names it and changes nothing, a repair does what was named and no more, and what
//! is left starts and holds nothing that was never written.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use engine::offline::{RepairError, check, repair};
use shard::check::{CheckReport, Problem, Severity};
use tempfile::TempDir;

use crate::store::{Content, Store, fill, mixed, snapshot};

const BLOCK: usize = 4096;

/// A directory and everything that was ever written to it, oldest first.
struct Sample {
    _temp: TempDir,
    directory: PathBuf,
    written: BTreeMap<(u8, Vec<u8>), Vec<Vec<u8>>>,
    expected: Content,
}

/// Two shards, one log of several segments, checkpoints in the middle, batches after them, ended by a kill.
fn sample() -> Sample {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("store");
    let mut expected = mixed(300);
    let mut written: BTreeMap<_, Vec<Vec<u8>>> = BTreeMap::new();
    let mut store = Store::open(&directory, 2, 1);
    fill(&mut store, &expected);
    store.checkpoint();
    for ((db, key), (value, _)) in &expected {
        written.entry((*db, key.clone())).or_default().push(value.clone());
    }
    for number in 0..200u32 {
        let (key, value) = (format!("late:{}", number % 120).into_bytes(), vec![7; 1000 + number as usize]);
        store.put(0, &key, &value, None);
        store.turn();
        written.entry((0, key.clone())).or_default().push(value.clone());
        expected.insert((0, key), (value, None));
    }
    store.idle();
    drop(store);
    Sample { _temp: temp, directory, written, expected }
}

impl Sample {
    /// The same in a directory of its own.
    fn copy(&self) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("store");
        fs::create_dir(&directory).unwrap();
        for entry in fs::read_dir(&self.directory).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
        }
        Self { _temp: temp, directory, written: self.written.clone(), expected: self.expected.clone() }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "ouro.lock" && !name.starts_with("repair-"));
        names.sort();
        names
    }

    fn name_of(&self, part: &str) -> String {
        self.names().into_iter().find(|name| name.contains(part)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// It starts, and holds nothing that was never written.
    fn opens(&self) -> Content {
        let content = Store::open(&self.directory, 2, 1).content();
        for (key, (value, _)) in &content {
            let versions = self.written.get(key).unwrap_or_else(|| panic!("{key:?} was never written"));
            assert!(versions.contains(value), "{key:?}: a value that was never written");
        }
        content
    }

    /// Checks without changing a byte.
    fn check(&self) -> CheckReport {
        let before = snapshot_files(&self.directory);
        let report = check(&self.directory, None, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"));
        assert!(snapshot_files(&self.directory) == before, "a check changes nothing");
        report
    }

    fn repair(&self, names: &[&str]) -> CheckReport {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let repaired =
            repair(&self.directory, &names, None, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"));
        assert!(repaired.copies.join("repair.txt").exists());
        repaired.after
    }

    fn can_start(&self) -> bool {
        Store::try_open(&self.copy().directory, 2, 1).is_ok()
    }
}

fn snapshot_files(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    snapshot(directory)
}

fn flip(path: &Path, offset: usize) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let (mut byte, offset) = ([0], offset as u64);
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

/// Offsets of the batches in a segment.
fn batches(path: &Path) -> Vec<usize> {
    let bytes = fs::read(path).unwrap();
    let blocks = bytes.chunks(BLOCK).enumerate();
    blocks.filter(|(_, block)| block.starts_with(b"OBAT")).map(|(at, _)| at * BLOCK).collect()
}

fn damages(report: &CheckReport) -> Vec<&Problem> {
    report.problems.iter().filter(|problem| problem.severity == Severity::Damage).collect()
}

/// The segment that the log's last batches are in.
fn last_segment(sample: &Sample) -> String {
    let names = sample.names().into_iter().filter(|name| name.contains("segment"));
    names.max_by_key(|name| batches(&sample.path(name)).len().min(1) * number(name)).unwrap()
}

fn number(name: &str) -> usize {
    name.rsplit('-').next().unwrap().parse().unwrap()
}

#[test]
fn an_intact_store_has_nothing_to_report_however_it_ended() {
    let sample = sample();
    let report = sample.check();
    assert_eq!(report.problems, [], "after a kill");
    assert!(report.looked.batches > 100 && report.looked.entries > 300 && report.looked.extents > 2);
    let store = Store::open(&sample.directory, 2, 1);
    store.close();
    assert_eq!(sample.check().problems, [], "after an orderly stop");
    // Two eras: the first log is over.
    Store::open(&sample.directory, 2, 2).close();
    assert_eq!(sample.check().problems, [], "with another number of workers");
    assert_eq!(Store::open(&sample.directory, 2, 2).content(), sample.expected);
}

#[test]
fn a_flipped_bit_in_any_file_is_named_and_what_is_repairable_is_repaired() {
    let whole = sample();
    let (mut healed, mut found) = (0, BTreeMap::<String, u32>::new());
    for name in whole.names() {
        let bytes = fs::read(whole.path(&name)).unwrap();
        let used: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
        let picks = [0, used.len() / 2];
        for at in picks.into_iter().filter_map(|pick| used.get(pick).copied()) {
            let sample = whole.copy();
            flip(&sample.path(&name), at);
            let report = sample.check();
            let starts = sample.can_start();
            assert!(
                starts || report.is_damaged(),
                "{name} at {at}: a start refuses, and a check does not say so"
            );
            if report.problems.is_empty() {
                // The last batches, and bytes of a segment that an earlier use left, prove nothing.
                assert!(name.contains("segment"), "{name} at {at}: not noticed");
                continue;
            }
            assert!(
                report.problems.iter().any(|problem| problem.file == name),
                "{name} at {at}: {:?}",
                report.problems
            );
            *found.entry(name.clone()).or_default() += 1;
            let names: Vec<&str> =
                report.problems.iter().filter(|it| it.is_repairable()).map(|it| it.name.as_str()).collect();
            if damages(&report).iter().all(|problem| problem.is_repairable()) && !names.is_empty() {
                let after = sample.repair(&names);
                assert_eq!(damages(&after), Vec::<&Problem>::new(), "{name} at {at}");
                sample.opens();
                healed += 1;
            }
        }
    }
    assert!(healed > 8 && found.len() > 8, "{healed} healed, {found:?}");
}

#[test]
fn the_log_is_cut_at_a_damaged_batch_and_no_earlier() {
    let sample = sample();
    let segment = last_segment(&sample);
    let offsets = batches(&sample.path(&segment));
    let (at, last) = (offsets[offsets.len() / 2], offsets.len());
    flip(&sample.path(&segment), at + 100);
    let report = sample.check();
    let problems = damages(&report);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let problem = problems[0];
    assert!(problem.name.starts_with(&format!("{segment}:batch-")), "{}", problem.name);
    assert_eq!(problem.offset, Some(at as u64));
    assert!(
        problem.lost.contains("shard 0: records") || problem.lost.contains("shard 1: records"),
        "{}",
        problem.lost
    );
    assert!(last > 4 && problem.is_repairable(), "{:?}", problem.remedy);
    assert_eq!(sample.check(), report, "names are stable");
    let before = fs::read(sample.path(&segment)).unwrap();
    let after = sample.repair(&[&problem.name]);
    assert!(!after.is_damaged(), "{:?}", after.problems);
    let copies = fs::read_dir(&sample.directory).unwrap().map(|entry| entry.unwrap().path());
    let copies = copies.into_iter().find(|path| path.to_string_lossy().contains("repair-")).unwrap();
    assert_eq!(fs::read(copies.join(&segment)).unwrap(), before, "the file as it was is kept");
    let content = sample.opens();
    assert!(content.len() < sample.expected.len() + 1 && content.len() > 300);
    // It goes on from there, and a check after that is clean.
    let mut store = Store::open(&sample.directory, 2, 1);
    store.put(0, b"after", b"the repair", None);
    store.idle();
    drop(store);
    assert!(!sample.check().is_damaged());
    assert_eq!(Store::open(&sample.directory, 2, 1).content().len(), content.len() + 1);
}

#[test]
fn batches_that_a_snapshot_was_made_of_cannot_be_cut() {
    let sample = sample();
    // Files are recycled, so a name does not tell which is the oldest that is needed: its first batch lies before the
    // checkpoints' end.
    let mut found = 0;
    for name in sample.names().iter().filter(|name| name.contains("segment")) {
        let copy = sample.copy();
        let Some(&first) = batches(&copy.path(name)).first() else { continue };
        flip(&copy.path(name), first + 70);
        let report = copy.check();
        let damaged = damages(&report);
        let Some(problem) = damaged.first().filter(|problem| !problem.is_repairable()) else { continue };
        assert!(format!("{:?}", problem.remedy).contains("snapshot"), "{problem:?}");
        let error =
            repair(&copy.directory, std::slice::from_ref(&problem.name), None, &mut |_| ()).unwrap_err();
        assert!(matches!(error, RepairError::Impossible { .. }), "{error}");
        found += 1;
    }
    assert_eq!(found, 1, "one segment holds the first batch that is needed");
}

#[test]
fn damaged_records_are_dropped_from_the_index_by_name_and_the_rest_is_served() {
    let sample = sample();
    let data = sample.name_of(".data");
    let bytes = fs::read(sample.path(&data)).unwrap();
    // In the middle of the values of small records.
    let places: Vec<usize> = (0..3).map(|nth| 2000 + nth * 5000).filter(|&at| bytes[at] != 0).collect();
    for &at in &places {
        flip(&sample.path(&data), at);
    }
    let report = sample.check();
    let problems = damages(&report);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let problem = problems[0];
    assert!(problem.name.starts_with(&format!("{data}:extent-")), "{}", problem.name);
    let lost: Vec<Vec<u8>> = problem.entries.iter().filter_map(|entry| entry.key.clone()).collect();
    assert!(!lost.is_empty() && lost.len() <= places.len(), "{lost:?}");
    let after = sample.repair(&[&problem.name]);
    assert_eq!(damages(&after), Vec::<&Problem>::new());
    let content = sample.opens();
    for (key, value) in &sample.expected {
        assert_eq!(content.get(key), (!lost.contains(&key.1)).then_some(value), "{key:?}");
    }
}

#[test]
fn without_a_log_a_snapshot_is_written_anew_with_its_tail() {
    const KEYS: usize = 6000;
    const STEPS: usize = 300;
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("store");
    let name = |number: usize| format!("key:{number:05}").into_bytes();
    let value = |number: usize, round: u8| [&name(number)[..], &vec![round; 400]].concat();
    let mut store = Store::open_without_log(&directory, 2, 1);
    let mut expected = Content::new();
    for number in 0..KEYS {
        store.put(0, &name(number), &value(number, 1), None);
        expected.insert((0, name(number)), (value(number, 1), None));
    }
    store.checkpoint();
    // While the index is copied: new keys, other values, deletes, parts of values, all of keys that are not damaged below.
    store.checkpoint_amid(|store, step| {
        // Long before the copies end: what comes later is in no snapshot.
        if step >= STEPS {
            return;
        }
        let number = 1000 + step * 7 % 900;
        match step % 4 {
            0 => {
                store.put(0, format!("tail:{step}").as_bytes(), &vec![3; 700], None);
                expected.insert((0, format!("tail:{step}").into_bytes()), (vec![3; 700], None));
            }
            1 => {
                store.put(0, &name(number), &value(number, 2), None);
                expected.insert((0, name(number)), (value(number, 2), None));
            }
            2 if expected.remove(&(0, name(number))).is_some() => store.delete(0, &name(number)),
            _ => {
                let Some((value, _)) = expected.get_mut(&(0, name(number))) else { return };
                store.patch(0, &name(number), 3, b"patched");
                value[3..10].copy_from_slice(b"patched");
            }
        }
    });
    let tail = store.tail_records();
    assert!(tail >= STEPS as u64 * 3 / 4, "{tail} records are a thin tail");
    drop(store);

    // Bytes of one live record of each data file rot.
    let mut lost: Vec<Vec<u8>> = Vec::new();
    for data in ["shard-00000.data", "shard-00001.data"] {
        let bytes = fs::read(directory.join(data)).unwrap();
        let of = |number: usize| {
            let wanted = value(number, 1);
            bytes.windows(wanted.len()).position(|window| window == wanted).map(|at| (number, at))
        };
        let (number, at) = (0..1000).find_map(of).expect("keys that nothing touched are where they were");
        flip(&directory.join(data), at + 100);
        lost.push(name(number));
    }
    let report = check(&directory, None, &mut |_| ()).unwrap();
    let problems = damages(&report);
    assert_eq!(problems.len(), 2, "{problems:?}");
    let names: Vec<String> = problems.iter().map(|problem| problem.name.clone()).collect();
    let snapshots = |directory: &Path| -> Vec<u64> {
        let is = |path: &PathBuf| path.to_string_lossy().contains(".snapshot-");
        snapshot_files(directory)
            .into_iter()
            .filter(|(path, _)| is(path))
            .map(|(_, (bytes, _))| bytes.len() as u64)
            .collect()
    };
    let before = snapshots(&directory);
    // One after the other: the second rewrite is of a file that the first one left alone, and the other way round.
    for name in &names {
        let repaired = repair(&directory, std::slice::from_ref(name), None, &mut |_| ()).unwrap();
        assert!(!damages(&repaired.after).iter().any(|problem| problem.name == *name));
    }
    let report = check(&directory, None, &mut |_| ()).unwrap();
    assert_eq!(damages(&report), Vec::<&Problem>::new());
    assert_eq!(
        snapshots(&directory).len(),
        before.len(),
        "each snapshot has taken the place of the one before"
    );
    lost.iter().for_each(|key| drop(expected.remove(&(0, key.clone()))));
    for round in 0..2 {
        let mut store = Store::open_without_log(&directory, 2, 1);
        let content = store.content();
        let differs = |key: &&(u8, Vec<u8>)| content.get(*key) != expected.get(*key);
        let wrong: Vec<_> = content.keys().chain(expected.keys()).filter(differs).collect();
        assert!(wrong.is_empty(), "round {round}: {wrong:?}");
        // It goes on from there.
        store.put(0, b"after", b"repair", None);
        expected.insert((0, b"after".to_vec()), (b"repair".to_vec(), None));
        store.checkpoint();
    }
}

#[test]
fn a_value_of_which_the_log_changes_a_part_is_not_invented() {
    let temp = tempfile::tempdir().unwrap();
    let mut store = Store::open(temp.path(), 1, 1);
    store.put(0, b"key", &[1; 9000], None);
    store.checkpoint();
    store.patch(0, b"key", 10, b"patched");
    store.idle();
    drop(store);
    flip(&temp.path().join("shard-00000.data"), 5000);
    let report = check(temp.path(), None, &mut |_| ()).unwrap();
    let problem = damages(&report)[0];
    assert!(format!("{:?}", problem.remedy).contains("invented"), "{problem:?}");
}

#[test]
fn one_copy_of_each_manifest_is_made_again_from_the_other() {
    for name in ["store.manifest-b", "log-00001.manifest-a", "shard-00001.manifest-b"] {
        for gone in [true, false] {
            let sample = sample();
            let whole = fs::read(sample.path(name)).unwrap();
            if gone {
                fs::remove_file(sample.path(name)).unwrap();
            } else {
                flip(&sample.path(name), 60);
            }
            let report = sample.check();
            assert!(!report.is_damaged() && report.problems.len() == 1, "{:?}", report.problems);
            assert_eq!(report.problems[0].name, name);
            assert_eq!(sample.repair(&[name]).problems, []);
            assert_eq!(fs::read(sample.path(name)).unwrap(), whole);
        }
    }
}

#[test]
fn a_missing_cut_or_swapped_file_is_named() {
    let whole = sample();
    // The reserve is space that is kept, and holds nothing.
    let names: Vec<String> = whole.names().into_iter().filter(|name| !name.ends_with(".reserve")).collect();
    for name in &names {
        let sample = whole.copy();
        fs::remove_file(sample.path(name)).unwrap();
        let report = sample.check();
        assert!(report.problems.iter().any(|it| it.file == *name), "{name} is gone: {:?}", report.problems);
        assert!(sample.can_start() || report.is_damaged(), "{name}");

        let sample = whole.copy();
        let file = OpenOptions::new().write(true).open(sample.path(name)).unwrap();
        let len = file.metadata().unwrap().len();
        // A data file has more space than records.
        let kept = if name.ends_with(".data") { BLOCK as u64 } else { len / 2 / BLOCK as u64 * BLOCK as u64 };
        file.set_len(kept).unwrap();
        let report = sample.check();
        assert!(report.problems.iter().any(|it| it.file == *name), "{name} is cut: {:?}", report.problems);
        assert!(sample.can_start() || report.is_damaged(), "{name}");
    }
    let segments: Vec<&String> = names.iter().filter(|name| name.contains("segment-")).collect();
    for pair in [
        ["shard-00000.data", "shard-00001.data"],
        ["shard-00000.manifest-a", "shard-00001.manifest-a"],
        [segments[0], segments[1]],
    ] {
        let sample = whole.copy();
        let aside = sample.path("aside");
        fs::rename(sample.path(pair[0]), &aside).unwrap();
        fs::rename(sample.path(pair[1]), sample.path(pair[0])).unwrap();
        fs::rename(&aside, sample.path(pair[1])).unwrap();
        let report = sample.check();
        assert!(!report.problems.is_empty(), "{pair:?}");
        assert!(sample.can_start() || report.is_damaged(), "{pair:?}");
    }
}

#[test]
fn the_header_of_a_segment_is_made_again_from_its_first_batch() {
    let sample = sample();
    let segment = last_segment(&sample);
    for at in [20, BLOCK + 20] {
        flip(&sample.path(&segment), at);
    }
    let report = sample.check();
    let name = format!("{segment}:header");
    assert!(report.is_damaged() && report.problem(&name).is_some(), "{:?}", report.problems);
    assert_eq!(sample.repair(&[&name]).problems, []);
    assert_eq!(sample.opens(), sample.expected, "nothing is lost by it");
}

#[test]
fn a_log_of_which_a_newer_program_wrote_a_part_is_not_cut() {
    let whole = sample();
    let in_use = |name: &String| name.contains("segment-") && !batches(&whole.path(name)).is_empty();
    let segments: Vec<String> = whole.names().into_iter().filter(in_use).collect();
    assert!(segments.len() > 1);
    for name in &segments {
        let sample = whole.copy();
        let file = OpenOptions::new().read(true).write(true).open(sample.path(name)).unwrap();
        let mut header = [0; BLOCK];
        file.read_exact_at(&mut header, 0).unwrap();
        // Magic (8 bytes), checksum (4), format (4); docs/DATA_FORMAT.md.
        header[12..16].copy_from_slice(&1000_u32.to_le_bytes());
        let crc = crc32fast::hash(&header[12..]);
        header[8..12].copy_from_slice(&crc.to_le_bytes());
        for copy in 0..2 {
            file.write_all_at(&header, (copy * BLOCK) as u64).unwrap();
        }
        // An earlier segment is damaged too: what repairs that must not drop this one.
        for damaged in [None, Some(&segments[0])] {
            if let Some(earlier) = damaged.filter(|earlier| *earlier != name) {
                flip(&sample.path(earlier), *batches(&sample.path(earlier)).first().unwrap() + 100);
            }
            let before = snapshot_files(&sample.directory);
            let report = sample.check();
            assert!(!sample.can_start() && report.is_damaged(), "{name}: {:?}", report.problems);
            for problem in damages(&report) {
                let error = repair(&sample.directory, std::slice::from_ref(&problem.name), None, &mut |_| ());
                let error = error.unwrap_err().to_string();
                let why = ["a newer program wrote", "it goes with"].iter().any(|why| error.contains(why));
                assert!(why && error.contains(name.as_str()), "{error}");
            }
            assert!(snapshot_files(&sample.directory) == before, "{name}");
        }
    }
}

#[test]
fn a_torn_tail_and_strange_files_are_notes() {
    let sample = sample();
    let segment = sample.path(&last_segment(&sample));
    let end = batches(&segment).last().unwrap() + BLOCK;
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.write_all_at(&[0x5a; 600], end as u64).unwrap();
    fs::write(sample.path("notes.txt"), "mine").unwrap();
    let report = sample.check();
    assert!(!report.is_damaged(), "{:?}", report.problems);
    let names: Vec<&str> = report.problems.iter().map(|it| it.name.as_str()).collect();
    assert!(
        names.iter().any(|name| name.ends_with(":torn-tail")) && names.contains(&"notes.txt:unknown"),
        "{names:?}"
    );
    assert_eq!(sample.opens(), sample.expected);
}

#[test]
fn a_name_that_is_not_reported_changes_nothing() {
    let sample = sample();
    let before = snapshot_files(&sample.directory);
    let error = repair(&sample.directory, &["store.manifest-a".to_owned()], None, &mut |_| ()).unwrap_err();
    assert!(matches!(error, RepairError::Unknown(_)), "{error}");
    assert!(snapshot_files(&sample.directory) == before);
}

#[test]
fn a_running_store_and_no_store_are_refused_clearly() {
    let temp = tempfile::tempdir().unwrap();
    let error = check(temp.path(), None, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("there is no store in this directory"), "{error}");
    let error = check(&temp.path().join("missing"), None, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
    let store = Store::open(temp.path(), 1, 1);
    let error = check(temp.path(), None, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("another daemon uses this directory"), "{error}");
    drop(store);
}
