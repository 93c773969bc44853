//! Faults that leave every checksum right: what a mix-up of files, a careless clean-up or a faulty program leaves
//! behind. None of them may go unnoticed: each forgery is one that a start must refuse.

use crate::io::{BLOCK_BYTES, FileId, ManifestCopy};
use crate::log::batch::{self, BATCH_HEADER_BYTES, BatchKind};
use crate::log::manifest::{LogManifest, ManifestRead, SegmentEntry};
use crate::log::segment::SegmentHeader;
use crate::shard_manifest::ShardManifest;
use crate::sim::damage::{Damage, batches, header};
use crate::sim::disk::{Files, SimFile};
use crate::sim::fault::Fault;
use crate::snapshot::reseal;
use crate::store_manifest::{EraState, LogEnd, StoreManifest};
use crate::types::{BatchNumber, LogId, SLOT_COUNT, ShardId};

/// The manifest that a forgery is about.
#[derive(Clone, Copy)]
enum Of {
    Store,
    Log(LogId),
    Shard(ShardId),
}

impl Of {
    fn files(self) -> [FileId; 2] {
        [ManifestCopy::A, ManifestCopy::B].map(|copy| match self {
            Self::Store => FileId::StoreManifest(copy),
            Self::Log(log) => FileId::LogManifest { log, copy },
            Self::Shard(shard) => FileId::ShardManifest { shard, copy },
        })
    }
}

impl Damage<'_> {
    /// Forges one thing. `None` when there is nothing to forge, or the kind that was drawn is not to happen.
    pub fn forge(&mut self) -> Option<()> {
        let store = store_manifest(self.files)?;
        // A log that is being created may be missing: nothing in it was ever acknowledged.
        let eras = store.eras.iter().filter(|era| era.state != EraState::Opening);
        let logs: Vec<LogId> = eras.flat_map(|era| era.logs.iter().map(|entry| entry.log)).collect();
        if logs.is_empty() {
            return None;
        }
        let log = logs[self.rng.position(logs.len())];
        let shard = u16::try_from(self.rng.position(store.first_slots.len())).unwrap_or(0);
        // Before the store manifest promises them, those of shards may be missing.
        let of = match self.rng.below(3) {
            0 => Of::Store,
            1 => Of::Log(log),
            _ if store.shard_manifests => Of::Shard(ShardId(shard)),
            _ => return None,
        };
        let kind = self.rng.pick(&[
            Fault::BothCopiesMissing,
            Fault::Contradiction,
            Fault::Contradiction,
            Fault::OfAnotherStore,
            Fault::OfAnotherHistory,
            Fault::OfAnotherHistory,
            Fault::MalformedRecord,
            Fault::MalformedSnapshot,
            Fault::SnapshotNotNamed,
            Fault::PromiseBeyondLog,
        ]);
        if !self.kinds.has(kind) {
            return None;
        }
        match kind {
            Fault::BothCopiesMissing => {
                for file in of.files() {
                    self.files.remove(&file);
                }
            }
            Fault::Contradiction => self.contradict(of, store)?,
            Fault::OfAnotherStore => self.replace_by_another(of)?,
            Fault::OfAnotherHistory => self.replace_by_another_history(of, store)?,
            Fault::MalformedRecord => self.malform_record(log)?,
            Fault::MalformedSnapshot => self.malform_snapshot(ShardId(shard))?,
            Fault::SnapshotNotNamed => self.replace_snapshot(ShardId(shard))?,
            _ => self.promise_too_much(ShardId(shard))?,
        }
        match kind {
            Fault::BothCopiesMissing
            | Fault::Contradiction
            | Fault::OfAnotherStore
            | Fault::OfAnotherHistory => {
                self.report.fault_of(kind, of.files()[0]);
            }
            _ => self.report.fault(kind),
        }
        Some(())
    }

    fn replace(&mut self, name: FileId, bytes: &[u8]) {
        self.files.insert(name, SimFile::holding(bytes));
    }

    /// Copy B is that of a store which went another way from the same state on.
    fn contradict(&mut self, of: Of, mut store: StoreManifest) -> Option<()> {
        let [a, b] = of.files();
        let (own, other) = match of {
            Of::Store => {
                let own = store.encode();
                store.created.0 += 1;
                (own, store.encode())
            }
            Of::Log(log) => {
                let mut manifest = log_manifest(self.files, log)?;
                let own = manifest.encode();
                manifest.next_file += 1;
                (own, manifest.encode())
            }
            Of::Shard(shard) => {
                let mut manifest = shard_manifest(self.files, shard)?;
                let own = manifest.encode();
                manifest.extent_limit += 1;
                (own, manifest.encode())
            }
        };
        self.replace(a, &own);
        self.replace(b, &other);
        Some(())
    }

    /// Both copies are of another store.
    fn replace_by_another(&mut self, of: Of) -> Option<()> {
        let bytes = match of {
            Of::Store => return None,
            Of::Log(log) => {
                let mut manifest = log_manifest(self.files, log)?;
                manifest.uuid[0] ^= 1;
                manifest.encode()
            }
            Of::Shard(shard) => {
                let mut manifest = shard_manifest(self.files, shard)?;
                if self.rng.chance(500) {
                    manifest.uuid[0] ^= 1;
                } else {
                    manifest.shard.0 += 1;
                    if let Some(snapshot) = &mut manifest.snapshot {
                        snapshot.start.shard = manifest.shard;
                    }
                }
                manifest.encode()
            }
        };
        for file in of.files() {
            self.replace(file, &bytes);
        }
        Some(())
    }

    /// Both copies are of an earlier moment, or of a copy of the store that went its own way.
    fn replace_by_another_history(&mut self, of: Of, store: StoreManifest) -> Option<()> {
        let bytes = match of {
            Of::Store => self.other_history_of_store(store)?.encode(),
            Of::Log(log) => self.other_history_of_log(log)?.encode(),
            Of::Shard(_) => return None,
        };
        for file in of.files() {
            self.replace(file, &bytes);
        }
        Some(())
    }

    fn other_history_of_store(&mut self, mut store: StoreManifest) -> Option<StoreManifest> {
        let shards: Vec<ShardManifest> =
            (0..store.shard_count()).filter_map(|shard| shard_manifest(self.files, ShardId(shard))).collect();
        match self.rng.below(3) {
            // Before any shard was saved.
            0 if shards.iter().any(|of| of.sequence > 1) => store.shard_manifests = false,
            // Before the last change of the number of workers.
            1 if store.eras.len() > 1 => {
                store.eras.pop();
                let era = store.eras.last_mut()?;
                era.state = EraState::Open;
                era.logs.iter_mut().for_each(|entry| entry.end = LogEnd::default());
                let last = store.last_log();
                let is_later = |file: &FileId| matches!(file, FileId::Segment { log, .. } if *log > last);
                self.files.keys().any(is_later).then_some(())?;
            }
            // After more of such changes than there were.
            2 => {
                for entry in store.eras.iter_mut().flat_map(|era| &mut era.logs) {
                    entry.log.0 += 100;
                }
            }
            _ => return None,
        }
        Some(store)
    }

    fn other_history_of_log(&mut self, log: LogId) -> Option<LogManifest> {
        let mut manifest = log_manifest(self.files, log)?;
        if self.rng.chance(500) {
            manifest.reached.crc ^= 1;
            return (manifest.reached.batch > BatchNumber::ZERO).then_some(manifest);
        }
        // Before its last segment in use.
        let in_use = |entry: &SegmentEntry| {
            let head = header(self.files.get(&FileId::Segment { log, file: entry.file })?)?;
            (head.generation == entry.generation).then_some(head)
        };
        let at = manifest.segments.iter().rposition(|entry| in_use(entry).is_some()).filter(|at| *at > 0)?;
        let head = in_use(&manifest.segments[at])?;
        manifest.segments.truncate(at);
        manifest.reached = LogEnd { batch: head.previous_end(), crc: head.previous_end_crc };
        Some(manifest)
    }

    /// A shard's manifest says that its snapshot holds records which its log does not reach, as when the log's files
    /// are from an older copy of the directory.
    fn promise_too_much(&mut self, shard: ShardId) -> Option<()> {
        let mut manifest = shard_manifest(self.files, shard)?;
        let snapshot = manifest.snapshot.as_mut()?;
        snapshot.end.0 += 1_000_000;
        let bytes = manifest.encode();
        for file in Of::Shard(shard).files() {
            self.replace(file, &bytes);
        }
        Some(())
    }

    /// A snapshot is whole by all its checksums and contradicts itself: an extent in a place that is none, or a table
    /// of another shard.
    fn malform_snapshot(&mut self, shard: ShardId) -> Option<()> {
        let mut manifest = shard_manifest(self.files, shard)?;
        let snapshot = manifest.snapshot.as_mut()?;
        let file = FileId::ShardSnapshot { shard, number: snapshot.number };
        let mut bytes = self.files.get(&file)?.bytes();
        // The first item of any chunk of entries or extents: its slot, or its place.
        let chunks = (0..bytes.len()).step_by(BLOCK_BYTES);
        let chunks: Vec<usize> = chunks
            .filter(|&at| bytes[at..].starts_with(b"OSNP") && (1..=2).contains(&bytes[at + 12]))
            .collect();
        if chunks.is_empty() {
            return None;
        }
        let at = chunks[self.rng.position(chunks.len())];
        // The item's second word: slot and reserved, or place.
        let word: u32 = match bytes[at + 12] {
            1 if shard.0 == 0 => u32::from(SLOT_COUNT) - 1,
            1 => 0,
            _ => u32::MAX / 2,
        };
        bytes[at + 64 + 4..at + 64 + 8].copy_from_slice(&word.to_le_bytes());
        snapshot.crc = reseal(self.seed, &mut bytes)?;
        let manifest = manifest.encode();
        self.replace(file, &bytes);
        for file in Of::Shard(shard).files() {
            self.replace(file, &manifest);
        }
        Some(())
    }

    /// A snapshot is whole by all its checksums, and another one: an extent has another salt.
    fn replace_snapshot(&mut self, shard: ShardId) -> Option<()> {
        let number = shard_manifest(self.files, shard)?.snapshot?.number;
        let file = FileId::ShardSnapshot { shard, number };
        let mut bytes = self.files.get(&file)?.bytes();
        let mut chunks = (0..bytes.len()).step_by(BLOCK_BYTES);
        let at = chunks.find(|&at| bytes[at..].starts_with(b"OSNP") && bytes[at + 12] == 2)?;
        bytes[at + 64 + 16] ^= 1;
        reseal(self.seed, &mut bytes)?;
        self.replace(file, &bytes);
        Some(())
    }

    /// A batch of a log is intact by its checksum and holds what no version of the program writes.
    fn malform_record(&mut self, log: LogId) -> Option<()> {
        let manifest = log_manifest(self.files, log)?;
        let mut heads: Vec<(FileId, SegmentHeader)> = Vec::new();
        for entry in &manifest.segments {
            let file = FileId::Segment { log, file: entry.file };
            // A standby has no header yet, or still that of its last use.
            match header(self.files.get(&file)?) {
                Some(head) if head.generation == entry.generation => heads.push((file, head)),
                _ => {}
            }
        }
        let mut places = Vec::new();
        for (at, (file, head)) in heads.iter().enumerate() {
            let end = heads.get(at + 1).map(|(_, next)| next.first_batch);
            let replayed = batches(*file, self.files.get(file)?, head, self.seed).into_iter();
            let replayed = replayed.take_while(|batch| end.is_none_or(|end| batch.header.number < end));
            places.extend(replayed.filter(|batch| batch.header.kind == BatchKind::Records));
        }
        if places.is_empty() {
            return None;
        }
        let mut place = places[self.rng.position(places.len())];
        let content = self.files.get_mut(&place.file)?;
        let mut bytes = content.bytes_in(place.offset..content.len())?;
        match self.rng.below(4) {
            0 => place.header.record_count += 1,
            1 if place.header.record_count > 1 => place.header.record_count -= 1,
            // A byte too short for its last record.
            1 | 2 => place.header.payload_len -= 1,
            _ => {
                let field = shard_field(&bytes)?;
                bytes[field] = 127;
            }
        }
        batch::finish(&mut bytes, &place.header, self.seed);
        content.tamper(place.offset, &bytes);
        Some(())
    }
}

/// Where the first record of a batch says its shard, a number below 128 of one byte.
fn shard_field(batch: &[u8]) -> Option<usize> {
    let mut at = BATCH_HEADER_BYTES + 5;
    // Behind the lengths of key and value, of varied width.
    for _ in 0..2 {
        while batch.get(at)? & 0x80 != 0 {
            at += 1;
        }
        at += 1;
    }
    Some(at)
}

/// The store manifest that counts.
fn store_manifest(files: &Files) -> Option<StoreManifest> {
    let copies =
        [ManifestCopy::A, ManifestCopy::B].into_iter().filter_map(|copy| {
            match StoreManifest::decode(&files.get(&FileId::StoreManifest(copy))?.bytes()) {
                ManifestRead::Valid(manifest) => Some(manifest),
                _ => None,
            }
        });
    copies.max_by_key(|manifest| manifest.sequence)
}

/// The manifest of a log that counts.
fn log_manifest(files: &Files, log: LogId) -> Option<LogManifest> {
    let copies =
        [ManifestCopy::A, ManifestCopy::B].into_iter().filter_map(|copy| {
            match LogManifest::decode(&files.get(&FileId::LogManifest { log, copy })?.bytes()) {
                ManifestRead::Valid(manifest) => Some(manifest),
                _ => None,
            }
        });
    copies.max_by_key(|manifest| manifest.sequence)
}

/// The manifest of a shard that counts.
fn shard_manifest(files: &Files, shard: ShardId) -> Option<ShardManifest> {
    let copies = ShardManifest::files(shard).into_iter().filter_map(|file| {
        match ShardManifest::decode(&files.get(&file)?.bytes()) {
            ManifestRead::Valid(manifest) => Some(manifest),
            _ => None,
        }
    });
    copies.max_by_key(|manifest| manifest.sequence)
}
