//! Small stores in which every bit can be flipped, one at a time, to see what a start and reads make of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::io::FileId;
use crate::log::LogConfig;
use crate::shard_set::{ScanCursor, ShardSet, StorageConfig};
use crate::sim::boot::{Boot, Up};
use crate::sim::cold::{bring_needs, bring_scan};
use crate::sim::damage::loss_is_excusable;
use crate::sim::disk::{Files, SimDisk};
use crate::sim::fault::{FaultSet, FileClass};
use crate::sim::options::Rates;
use crate::sim::report::SimReport;
use crate::testing::HeapPool;
use crate::types::{Db, UnixMs};

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const FILL_BYTES: usize = 16 << 10;

type Data = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store, and what is in it.
pub struct SmallStore {
    files: Files,
    data: Data,
}

/// What became of the bits that were flipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flipped {
    /// Nothing was missing.
    pub same: u64,
    /// The store refused to start.
    pub refused: u64,
    /// It started, all other keys were there, and of at least one it said that it cannot be read.
    pub unreadable: u64,
    /// It started without records at the end of a log that nothing proved to have been acknowledged.
    pub cut: u64,
    /// By kind of file: same, refused, unreadable, cut.
    pub by_class: BTreeMap<&'static str, [u64; 4]>,
}

impl Flipped {
    fn add(&mut self, class: FileClass, kind: usize) {
        self.by_class.entry(class.name()).or_default()[kind] += 1;
        match kind {
            0 => self.same += 1,
            1 => self.refused += 1,
            2 => self.unreadable += 1,
            _ => self.cut += 1,
        }
    }

    /// Adds another count.
    pub fn join(&mut self, other: &Self) {
        self.same += other.same;
        self.refused += other.refused;
        self.unreadable += other.unreadable;
        self.cut += other.cut;
        for (class, counts) in &other.by_class {
            let own = self.by_class.entry(class).or_default();
            for (own, other) in own.iter_mut().zip(counts) {
                *own += other;
            }
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::from("{\n  \"format\": 1,\n  \"flips\": {\n");
        let last = self.by_class.len();
        for (position, (class, [same, refused, unreadable, cut])) in (1..).zip(&self.by_class) {
            let comma = if position == last { "" } else { "," };
            let _ = writeln!(
                out,
                "    \"{class}\": {{ \"same data\": {same}, \"refused\": {refused}, \"error for a key\": \
                 {unreadable}, \"unproved end cut\": {cut} }}{comma}"
            );
        }
        out.push_str("  }\n}\n");
        out
    }
}

/// `wal`: whether a store that is made now has a log.
fn boot(disk: &mut SimDisk, wal: bool) -> Option<Up> {
    let config = LogConfig {
        segment_bytes: 64 << 10,
        batch_bytes_max: 16 << 10,
        zero_bytes: 64 << 10,
        read_bytes: 64 << 10,
        ..LogConfig::default()
    };
    let boot = Boot {
        wal,
        disk,
        report: &mut SimReport::default(),
        config,
        crash_after: None,
        worker_count: 1,
        shard_count: 2,
        now: NOW,
        storage: StorageConfig { memory_bytes_max: Some(0), ..StorageConfig::default() },
        salt: 7,
        extent_fill_bytes: FILL_BYTES,
    };
    boot.run().ok()
}

/// Performs all there is to do, a turn after each completion.
fn perform(disk: &mut SimDisk, set: &mut ShardSet<HeapPool>) {
    let mut report = SimReport::default();
    loop {
        while let Some(request) = set.next_io() {
            disk.submit(0, request);
        }
        let done = disk.complete_one(&mut report);
        let idle = done.is_none();
        if let Some((_, done)) = done {
            set.on_io(done).expect("a quiet disk does not fail");
        }
        if !set.end_turn(NOW, 0) && idle {
            return;
        }
    }
}

fn write(disk: &mut SimDisk, set: &mut ShardSet<HeapPool>, round: u8) {
    for at in 0..4u8 {
        let name = [b'k', at + round];
        let key = set.key(&name);
        let need = set.need(Db(0), key.slot, key.hash);
        let brought = bring_needs(set, 0, disk, &mut SimReport::default(), &[need]);
        assert!(brought.is_ok(), "a quiet disk does not fail");
        let len = if at == 3 { 20_000 } else { 50 };
        set.put(Db(0), &key, &vec![round + 1; len], None);
    }
    set.end_turn(NOW, u64::from(round));
    perform(disk, set);
}

impl SmallStore {
    fn quiet(files: Files) -> SimDisk {
        let mut disk = SimDisk::new(1, Rates::default(), FaultSet::all());
        disk.files = files;
        disk
    }

    fn started(wal: bool) -> (SimDisk, ShardSet<HeapPool>) {
        let mut disk = Self::quiet(Files::new());
        let set = boot(&mut disk, wal).expect("a new store starts").workers.remove(0);
        (disk, set)
    }

    fn holding(mut disk: SimDisk, set: &mut ShardSet<HeapPool>) -> Self {
        let mut data = Data::new();
        read_all(&mut disk, set, &mut data).expect("nothing is damaged");
        Self { files: disk.files, data }
    }

    /// Killed: several batches in two segments, large records among them, the last batch sealed; no checkpoint yet.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn of_log() -> Self {
        let (mut disk, mut set) = Self::started(true);
        for round in 0..6 {
            write(&mut disk, &mut set, round);
            if round == 2 {
                set.log_mut().expect("there is a log").rotate();
                perform(&mut disk, &mut set);
            }
        }
        seal(&mut disk, &mut set);
        Self::holding(disk, &mut set)
    }

    /// Killed when its log was sealed: snapshots, extents, and records in the log beyond the snapshots.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn killed() -> Self {
        let (mut disk, mut set) = Self::started(true);
        for round in 0..4 {
            write(&mut disk, &mut set, round);
        }
        set.checkpoint();
        set.end_turn(NOW, 0);
        perform(&mut disk, &mut set);
        assert!(set.is_checkpointed(), "a quiet disk finishes what is begun");
        for round in 2..6 {
            write(&mut disk, &mut set, round);
        }
        seal(&mut disk, &mut set);
        Self::holding(disk, &mut set)
    }

    /// Stopped cleanly: all of it is in the snapshots.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn stopped() -> Self {
        let (mut disk, mut set) = Self::started(true);
        for round in 0..6 {
            write(&mut disk, &mut set, round);
        }
        let mut data = Data::new();
        read_all(&mut disk, &mut set, &mut data).expect("nothing is damaged");
        set.begin_close();
        perform(&mut disk, &mut set);
        assert!(set.is_closed(), "a quiet disk finishes what is begun");
        Self { files: disk.files, data }
    }

    /// Killed, without a log: snapshots with tails, extents.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn without_log() -> Self {
        let (mut disk, mut set) = Self::started(false);
        // So many tables that the copy takes turns.
        for round in 0..60 {
            write(&mut disk, &mut set, round);
        }
        set.checkpoint();
        set.end_turn(NOW, 0);
        let tails: u64 = set.shards().iter().map(|shard| shard.lsn().0).sum();
        for round in 58..62 {
            let name = [b'k', round];
            let key = set.key(&name);
            let need = set.need(Db(0), key.slot, key.hash);
            let brought = bring_needs(&mut set, 0, &mut disk, &mut SimReport::default(), &[need]);
            assert!(brought.is_ok(), "a quiet disk does not fail");
            set.put(Db(0), &key, &[round; 60], None);
        }
        perform(&mut disk, &mut set);
        assert!(set.is_checkpointed(), "a quiet disk finishes what is begun");
        let ends: u64 = set.files().iter().filter_map(|files| files.end_lsn()).map(|end| end.0).sum();
        assert!(ends == tails + 4, "what was written during the copy is in the tails");
        Self::holding(disk, &mut set)
    }

    /// Bytes of all files together that are not zero.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.files.values().map(|file| file.bytes().iter().filter(|&&byte| byte != 0).count()).sum()
    }

    /// Starts the store once for each flip: of bytes that hold something and that `of` wants, every `stride`-th, these
    /// bits one after the other.
    ///
    /// # Errors
    /// A flip that went unnoticed, and what was wrong.
    pub fn flip_every(
        &self,
        stride: usize,
        of: impl Fn(usize) -> bool,
        bits: impl Fn(usize) -> Vec<u8>,
    ) -> Result<Flipped, String> {
        let mut flipped = Flipped::default();
        for (&name, file) in &self.files {
            let bytes = file.bytes();
            let used = (0..bytes.len()).filter(|&at| bytes[at] != 0 && of(at)).step_by(stride);
            for at in used {
                for bit in bits(at) {
                    let kind = self
                        .flip(name, at, bit)
                        .map_err(|broken| format!("{name}, byte {at} with {bit:#04x} flipped: {broken}"))?;
                    flipped.add(FileClass::of(name), kind);
                }
            }
        }
        Ok(flipped)
    }

    fn flip(&self, name: FileId, at: usize, bits: u8) -> Result<usize, String> {
        let mut damaged = self.files.clone();
        if let Some(file) = damaged.get_mut(&name) {
            file.flip(at, bits);
        }
        let excusable = matches!(name, FileId::Segment { .. })
            && loss_is_excusable(&self.files, &damaged, Boot::checksum_seed());
        let mut disk = Self::quiet(damaged);
        let Some(mut up) = boot(&mut disk, true) else { return Ok(1) };
        let mut found = Data::new();
        let set = &mut up.workers[0];
        match read_all(&mut disk, set, &mut found) {
            Ok(()) if found == self.data => Ok(0),
            Ok(()) if excusable => Ok(3),
            Ok(()) => Err(differs(&found, &self.data)),
            Err(()) => self.read_each(&mut disk, set).map(|()| 2),
        }
    }

    /// A scan failed: every key is what it should be, or its read says that it cannot be.
    fn read_each(&self, disk: &mut SimDisk, set: &mut ShardSet<HeapPool>) -> Result<(), String> {
        let mut unreadable = 0;
        for (name, value) in &self.data {
            let key = set.key(name);
            let need = set.need(Db(0), key.slot, key.hash);
            if bring_needs(set, 0, disk, &mut SimReport::default(), &[need]).is_err() {
                unreadable += 1;
                continue;
            }
            let found = set.lookup(Db(0), &key, NOW).map(|found| found.value.to_vec());
            if found.as_ref() != Some(value) {
                return Err(format!("{name:?} is {:?} bytes long", found.map(|value| value.len())));
            }
        }
        if unreadable > 0 { Ok(()) } else { Err("a scan failed and every read succeeds".into()) }
    }
}

fn seal(disk: &mut SimDisk, set: &mut ShardSet<HeapPool>) {
    set.log_mut().expect("there is a log").tick(1_000_000_000);
    perform(disk, set);
}

/// Everything there is; an error when a record cannot be read.
fn read_all(disk: &mut SimDisk, set: &mut ShardSet<HeapPool>, found: &mut Data) -> Result<(), ()> {
    let mut cursor = ScanCursor(0);
    loop {
        let at = (Db(0), cursor, 1000);
        bring_scan(set, 0, disk, &mut SimReport::default(), at).map_err(|_| ())?;
        cursor = set.scan(Db(0), cursor, 1000, NOW, &mut |key, seen| {
            found.insert(key.to_vec(), seen.value.to_vec());
        });
        if cursor == ScanCursor(0) {
            return Ok(());
        }
    }
}

fn differs(found: &Data, expected: &Data) -> String {
    let lost = expected.iter().find(|(key, value)| found.get(*key) != Some(value));
    let key = lost.map(|(key, _)| key).or_else(|| found.keys().find(|key| !expected.contains_key(*key)));
    format!("{key:?} is not what it should be")
}
