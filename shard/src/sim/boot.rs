//! Brings a store up, as the engine does: store manifest, logs of all eras, a new era when the number of workers
//! changed. May be cut short by a crash after any completion.

use crate::checkpoint::{ReplayRoom, RoomStep, ShardFiles};
use crate::cold::ColdReadProblem;
use crate::io::{
    BLOCK_BYTES, Fatal, FileId, IoBuffer, IoDone, IoOperation, IoRequest, ManifestCopy, RequestId,
};
use crate::key::KeyHasher;
use crate::log::recovery::{LogRecovery, RecoveryEvent, RecoveryMode, RecoveryStart, RefuseToStart};
use crate::log::{Log, LogConfig};
use crate::planted::{self, PlantedBug};
use crate::record::Record;
use crate::shard::Shard;
use crate::shard_manifest::ShardManifest;
use crate::shard_open::{ShardManifestWrite, ShardOpen, ShardOpenError, check_reached};
use crate::shard_set::{ShardSet, StorageConfig, first_request_id};
use crate::sim::disk::SimDisk;
use crate::sim::refusals;
use crate::sim::report::SimReport;
use crate::snapshot::{SnapshotError, TailError, TailReader};
use crate::store_files::{StoreManifestError, StoreManifestFound, StoreManifestLoad, StoreManifestWrite};
use crate::store_manifest::{EraState, StoreManifest};
use crate::testing::HeapPool;
use crate::types::{SLOT_COUNT, ShardId, Term, UnixMs};

/// Identity and secret of every simulated store.
const UUID: [u8; 16] = *b"simulated store!";
const SEED: [u8; 16] = *b"simulated secret";

/// Why a store is not up.
#[derive(Debug)]
pub enum Down {
    /// A crash came in between.
    Crashed,
    /// It refuses: the text, and whether a fault of the disk during the start is the reason.
    Refused {
        /// Why.
        why: String,
        /// An error that the disk reported during this very start, and not what it holds.
        by_error: bool,
    },
}

/// A store that is up.
pub struct Up {
    /// The store manifest as it is on disk.
    pub on_disk: StoreManifest,
    /// Its workers, in the order of their logs.
    pub workers: Vec<ShardSet<HeapPool>>,
    /// Its manifest.
    pub manifest: StoreManifest,
}

/// One start.
pub struct Boot<'a> {
    /// The disk.
    pub disk: &'a mut SimDisk,
    /// What is counted.
    pub report: &'a mut SimReport,
    /// How logs work.
    pub config: LogConfig,
    /// Whether the store, should it be created, has logs.
    pub wal: bool,
    /// Completions before a crash, if there is to be one.
    pub crash_after: Option<u64>,
    /// Workers to run with.
    pub worker_count: u16,
    /// Shards, should the store be created.
    pub shard_count: u16,
    /// The time.
    pub now: UnixMs,
    /// When storage does things of its own accord.
    pub storage: StorageConfig,
    /// Salt of the extents that this run makes.
    pub salt: u32,
    /// Bytes at which extents are sealed.
    pub extent_fill_bytes: usize,
}

type ShardOf = Shard<HeapPool>;
type RoomOf = ReplayRoom<HeapPool>;

impl Boot<'_> {
    /// Checksum seed of the simulated stores' batches.
    #[must_use]
    pub fn checksum_seed() -> u32 {
        let manifest = StoreManifest::create(UUID, SEED, UnixMs(0), 1, 1);
        manifest.identity_of(manifest.eras[0].logs[0].log).map_or(0, |identity| identity.checksum_seed)
    }

    /// Brings the store up.
    ///
    /// # Errors
    /// It is down.
    pub fn run(mut self) -> Result<Up, Down> {
        let mut manifest = self.load_manifest()?;
        self.judge_store(manifest.check_files(self.disk.files.keys().copied()))?;
        let (mut shards, shard_manifests) = self.open_shards(&manifest)?;
        self.judge_store(manifest.check_shards(shard_manifests.iter().map(Option::as_ref)))?;
        let created = |of: Option<ShardManifest>, shard: &ShardOf| {
            of.unwrap_or_else(|| ShardManifest::create(manifest.uuid, shard.id()))
        };
        let new: Vec<bool> = shard_manifests.iter().map(Option::is_none).collect();
        let shard_manifests: Vec<ShardManifest> =
            shard_manifests.into_iter().zip(&shards).map(|(of, shard)| created(of, shard)).collect();
        if manifest.without_log {
            return self.run_without_log(manifest, shards, (shard_manifests, new));
        }
        let mut shard_manifests = shard_manifests;
        // Without a manifest on disk a shard writes nothing yet.
        let mut rooms: Vec<RoomOf> = Vec::new();
        if manifest.shard_manifests {
            let of = |(shard, own): (&ShardOf, &ShardManifest)| {
                ReplayRoom::new(own.clone(), manifest.extent_seal(shard.id()), shard)
            };
            rooms = shards.iter().zip(&shard_manifests).map(of).collect();
        }
        let mut logs = Vec::new();
        let mut term = Term(0);
        for era in manifest.eras.clone() {
            let first_term = Term(term.0 + 1);
            for entry in &era.logs {
                let Some(start) = RecoveryStart::of(&manifest, entry.log, first_term) else {
                    return Err(refused("an era names a log that is none".into()));
                };
                let log = self.recover(start, &mut shards, &mut rooms, &mut term)?;
                logs.extend(log);
            }
        }
        self.settle(&mut rooms, &mut shards, &mut shard_manifests)?;
        for (entry, log) in manifest.current_era().logs.iter().zip(&logs) {
            let own = usize::from(entry.first_shard.0)..usize::from(entry.first_shard.0 + entry.shard_count);
            for (shard, of) in shards[own.clone()].iter().zip(&shard_manifests[own]) {
                check_reached(shard, of, (entry.log, log.appended())).map_err(|error| {
                    self.report.count_shard_refusal(&error);
                    refused(error.to_string())
                })?;
            }
        }
        if !manifest.shard_manifests {
            self.create_shard_manifests(&shard_manifests, &new)?;
            manifest.note_shard_manifests();
            self.write_manifest(&manifest, false)?;
        }
        if manifest.current_era().state == EraState::Opening {
            manifest.mark_open();
            self.write_manifest(&manifest, false)?;
        }
        self.drop_obsolete_eras(&mut manifest, &shard_manifests)?;
        self.disk.remove_obsolete_snapshots(&shard_manifests);
        if logs.len() != usize::from(self.worker_count) {
            logs = self.change_workers(logs, &mut manifest, &mut shards, &mut term)?;
        }
        for (entry, log) in manifest.current_era().logs.iter().zip(&logs) {
            let own = usize::from(entry.first_shard.0)..usize::from(entry.first_shard.0 + entry.shard_count);
            for shard in &mut shards[own] {
                shard.set_term(log.term().max(shard.term()));
            }
        }
        let logs = logs.into_iter().map(Some);
        Ok(self.share_out(manifest, shards, &shard_manifests, logs))
    }

    /// A store without logs: what the shards' snapshots hold is all there is.
    fn run_without_log(
        mut self,
        mut manifest: StoreManifest,
        mut shards: Vec<ShardOf>,
        (shard_manifests, new): (Vec<ShardManifest>, Vec<bool>),
    ) -> Result<Up, Down> {
        if !manifest.shard_manifests {
            self.create_shard_manifests(&shard_manifests, &new)?;
            manifest.note_shard_manifests();
            self.write_manifest(&manifest, false)?;
        }
        self.disk.remove_old_logs(manifest.first_log());
        self.disk.remove_obsolete_snapshots(&shard_manifests);
        let on_disk = manifest.clone();
        manifest.share_out(self.worker_count);
        for shard in &mut shards {
            shard.set_term(Term(shard.term().0 + 1));
        }
        self.report.count("starts without a log");
        let logs = std::iter::repeat_with(|| None);
        let up = self.share_out(manifest, shards, &shard_manifests, logs);
        Ok(Up { on_disk, ..up })
    }

    /// Hands the shards to the workers.
    fn share_out(
        self,
        manifest: StoreManifest,
        shards: Vec<ShardOf>,
        shard_manifests: &[ShardManifest],
        logs: impl Iterator<Item = Option<Log<HeapPool>>>,
    ) -> Up {
        let hasher = KeyHasher::new(manifest.seed);
        let mut shards = shards.into_iter();
        let mut workers = Vec::new();
        for (entry, log) in manifest.current_era().logs.iter().zip(logs) {
            let own: Vec<ShardOf> = shards.by_ref().take(usize::from(entry.shard_count)).collect();
            let files = own.iter().enumerate().map(|(position, shard)| {
                let own = shard_manifests[usize::from(shard.id().0)].clone();
                let seal = manifest.extent_seal(shard.id());
                let mut files = ShardFiles::new(own, seal, first_request_id(position));
                if shard.extents().place_end() > 0 {
                    files.adopt_data_file();
                }
                files
            });
            let files = files.collect();
            let mut set = ShardSet::new(own, hasher, HeapPool, log);
            set.keep_files(files, self.storage);
            set.show_databases(manifest.databases);
            workers.push(set);
        }
        Up { workers, on_disk: manifest.clone(), manifest }
    }

    fn empty_shards(&self, manifest: &StoreManifest) -> Vec<ShardOf> {
        let firsts = manifest.first_slots.iter().map(|slot| slot.0);
        let ends = manifest.first_slots.iter().skip(1).map(|slot| slot.0).chain([SLOT_COUNT]);
        (0..)
            .zip(firsts.zip(ends))
            .map(|(id, (first, end))| Shard::new(ShardId(id), first..end, Term(1), self.now))
            .collect()
    }

    /// Opens every shard as of its snapshot.
    fn open_shards(
        &mut self,
        manifest: &StoreManifest,
    ) -> Result<(Vec<ShardOf>, Vec<Option<ShardManifest>>), Down> {
        let mut shards = self.empty_shards(manifest);
        let mut manifests = Vec::new();
        for shard in &mut shards {
            let seal = manifest.extent_seal(shard.id());
            shard.keep_on_disk(seal, self.salt);
            shard.extents_mut().set_fill_bytes(self.extent_fill_bytes);
            let mut open = ShardOpen::new(manifest.uuid, seal, !manifest.shard_manifests, HeapPool);
            let opened = loop {
                let done = self.step(|| open.next_io())?;
                match open.on_io(done, shard) {
                    Ok(None) => {}
                    Ok(Some(opened)) => break opened,
                    Err(error) => {
                        self.report.count_shard_refusal(&error);
                        let by_error = matches!(
                            error,
                            ShardOpenError::Io(_) | ShardOpenError::Snapshot(SnapshotError::Io { .. })
                        );
                        return Err(Down::Refused { why: error.to_string(), by_error });
                    }
                }
            };
            if opened.repaired {
                self.report.count("rule ShardManifestRepaired");
            }
            if shard.extents().last_byte_on_disk()
                > self.disk.file_len(FileId::ShardData { shard: shard.id() })
                && !planted::is(PlantedBug::DataFileUnchecked)
            {
                self.report.count("refused DataFileShort");
                return Err(refused("a data file is missing or too short".into()));
            }
            let data = FileId::ShardData { shard: shard.id() };
            shard.adopt_file_length(self.disk.file_len(data).unwrap_or(0));
            if let Some(tail) = opened.tail {
                self.replay_tail(tail, shard)?;
            }
            manifests.push(opened.manifest);
        }
        Ok((shards, manifests))
    }

    /// Applies the records that a snapshot holds beside the copy of the index.
    fn replay_tail(&mut self, mut tail: TailReader<HeapPool>, shard: &mut ShardOf) -> Result<(), Down> {
        let hasher = KeyHasher::new(SEED);
        let (mut whole, mut scratch) = (Vec::new(), Vec::new());
        while !tail.is_finished() {
            let done = self.step(|| tail.next_io())?;
            tail.on_io(done, &mut whole).map_err(|error| {
                self.report.count("refused SnapshotTail");
                let by_error = matches!(error, TailError::Snapshot(SnapshotError::Io { .. }));
                Down::Refused { why: error.to_string(), by_error }
            })?;
            let mut rest = &whole[..];
            while !rest.is_empty() {
                let (record, len) = Record::decode(rest, 0).map_err(|error| refused(error.to_string()))?;
                self.read_back(&record, &hasher, shard)?;
                shard
                    .apply(&record, &hasher.key(record.key), &rest[..len], &mut HeapPool, &mut scratch)
                    .map_err(|error| refused(error.to_string()))?;
                self.report.count("records of tails replayed");
                rest = &rest[len..];
            }
            whole.clear();
        }
        Ok(())
    }

    fn create_shard_manifests(&mut self, manifests: &[ShardManifest], new: &[bool]) -> Result<(), Down> {
        for (own, _) in manifests.iter().zip(new).filter(|(_, new)| **new) {
            let mut write = ShardManifestWrite::new(own, HeapPool);
            loop {
                let done = self.step(|| write.next_io())?;
                if write.on_io(done).map_err(failed)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads back what applying a record needs.
    fn read_back(
        &mut self,
        record: &Record<'_>,
        hasher: &KeyHasher,
        shard: &mut ShardOf,
    ) -> Result<(), Down> {
        let mut reads = Vec::new();
        shard.replay_needs(record, &hasher.key(record.key), |read| reads.push(read));
        for read in reads {
            self.report.count("records read back in a replay");
            let file = FileId::ShardData { shard: shard.id() };
            let mut bytes = Vec::new();
            let result = loop {
                // The log's own reads are in flight meanwhile: this one is waited for.
                let len = read.place.len - bytes.len();
                let offset = read.place.offset + bytes.len() as u64;
                let operation = IoOperation::Read { file, offset, buffer: vec![0; len], len };
                let request = IoRequest { id: RequestId(1), operation };
                let done = self.disk.perform_at_once(request, self.report);
                let IoBuffer::Owned(buffer) = done.buffer else { unreachable!("a read's buffer comes back") };
                match done.result {
                    Err(error) => break Err(error),
                    Ok(len) => {
                        let whole = len - len % BLOCK_BYTES;
                        bytes.extend_from_slice(&buffer[..whole]);
                        if whole == 0 || bytes.len() == read.place.len {
                            break Ok(bytes.len());
                        }
                    }
                }
            };
            shard.replay_take(read, &mut bytes, result).map_err(|error| {
                self.report.count(format!("refused {}", refusals::of_replay(error.problem)));
                let by_error = !matches!(error.problem, ColdReadProblem::Damaged);
                Down::Refused { why: error.to_string(), by_error }
            })?;
        }
        Ok(())
    }

    /// Has shards write extents and drop them until all take no more memory than they may, as far as that goes.
    fn make_room(&mut self, shards: &mut [ShardOf], rooms: &mut [RoomOf]) -> Result<(), Down> {
        let Some(bound) = self.storage.memory_bytes_max else { return Ok(()) };
        let bound = bound * u64::from(self.worker_count);
        let is_over = |shards: &[ShardOf]| shards.iter().map(Shard::memory_bytes).sum::<u64>() > bound;
        for (position, room) in rooms.iter_mut().enumerate() {
            while is_over(shards) {
                match room.step(&mut shards[position], self.now, &mut HeapPool) {
                    RoomStep::Freed => {}
                    RoomStep::Perform(request) => {
                        self.perform_for_room(request, room, &mut shards[position])?;
                    }
                    RoomStep::Stuck => break,
                }
            }
        }
        // The disk is never full at a start here: only what cannot leave memory is left.
        let may_leave = |shard: &ShardOf| shard.extents().allocated_bytes() > shard.extents().open_bytes();
        if !rooms.is_empty() && is_over(shards) && shards.iter().any(may_leave) {
            return Err(refused("a replay takes more memory than it may".into()));
        }
        Ok(())
    }

    fn perform_for_room(
        &mut self,
        request: IoRequest<HeapPool>,
        room: &mut RoomOf,
        shard: &mut ShardOf,
    ) -> Result<(), Down> {
        self.report.count("requests of a replay that makes room");
        if let Some(left) = &mut self.crash_after {
            if *left == 0 {
                return Err(Down::Crashed);
            }
            *left -= 1;
        }
        // The log's own reads are in flight meanwhile: this one is waited for.
        let done = self.disk.perform_at_once(request, self.report);
        room.on_io(done, shard, &mut HeapPool).map_err(failed)
    }

    /// What was begun to make room is ended; manifests are those on disk now.
    fn settle(
        &mut self,
        rooms: &mut [RoomOf],
        shards: &mut [ShardOf],
        manifests: &mut [ShardManifest],
    ) -> Result<(), Down> {
        for ((room, shard), manifest) in rooms.iter_mut().zip(shards).zip(manifests) {
            while let Some(request) = room.settle() {
                self.perform_for_room(request, room, shard)?;
            }
            *manifest = room.manifest().clone();
        }
        Ok(())
    }

    fn drop_obsolete_eras(
        &mut self,
        manifest: &mut StoreManifest,
        shards: &[ShardManifest],
    ) -> Result<(), Down> {
        let made_in = |of: &ShardManifest| of.snapshot.as_ref().map(|snapshot| snapshot.log);
        let oldest = shards.iter().map(made_in).min().flatten();
        if oldest.is_some_and(|oldest| manifest.drop_eras_before(oldest)) {
            self.report.count("eras dropped");
            self.write_manifest(manifest, false)?;
        }
        self.disk.remove_old_logs(manifest.first_log());
        Ok(())
    }

    fn load_manifest(&mut self) -> Result<StoreManifest, Down> {
        let mut load = StoreManifestLoad::new(HeapPool);
        let found = loop {
            let done = self.step(|| load.next_io())?;
            match load.on_io(done) {
                Ok(None) => {}
                Ok(Some(found)) => break found,
                // Creation writes the manifest before any other file: without others there never was a store.
                Err(StoreManifestError::Damaged) if !self.has_logs() => break StoreManifestFound::None,
                Err(error) => {
                    self.report.count_store_refusal(&error);
                    let by_error = matches!(error, StoreManifestError::Io(_));
                    return Err(Down::Refused { why: error.to_string(), by_error });
                }
            }
        };
        match found {
            StoreManifestFound::Manifest { manifest, repaired } => {
                if repaired {
                    self.report.count("rule StoreManifestRepaired");
                }
                Ok(manifest)
            }
            StoreManifestFound::None if self.has_logs() => {
                self.report.count("refused StoreManifestMissing");
                Err(refused("log files without a store manifest".into()))
            }
            StoreManifestFound::None => {
                let (shards, workers) = (self.shard_count, self.worker_count);
                let mut manifest = StoreManifest::create(UUID, SEED, self.now, shards, workers);
                if !self.wal {
                    manifest = manifest.without_log();
                }
                self.write_manifest(&manifest, true)?;
                Ok(manifest)
            }
        }
    }

    /// Counts a refusal of the store manifest.
    fn judge_store(&mut self, judged: Result<(), StoreManifestError>) -> Result<(), Down> {
        judged.map_err(|error| {
            self.report.count_store_refusal(&error);
            refused(error.to_string())
        })
    }

    fn has_logs(&self) -> bool {
        let is_log =
            |file: &FileId| !matches!(file, FileId::StoreManifest(ManifestCopy::A | ManifestCopy::B));
        self.disk.files.keys().any(is_log)
    }

    fn write_manifest(&mut self, manifest: &StoreManifest, create: bool) -> Result<(), Down> {
        let mut write = StoreManifestWrite::new(manifest, create, HeapPool);
        loop {
            let done = self.step(|| write.next_io())?;
            if write.on_io(done).map_err(failed)? {
                return Ok(());
            }
        }
    }

    /// Recovers one log into the shards.
    fn recover(
        &mut self,
        start: RecoveryStart,
        shards: &mut [ShardOf],
        rooms: &mut [RoomOf],
        term: &mut Term,
    ) -> Result<Option<Log<HeapPool>>, Down> {
        let hasher = KeyHasher::new(SEED);
        let mut scratch = Vec::new();
        let present = self.disk.segment_files(start.identity.log);
        let mut recovery = LogRecovery::new(start, self.config, present, HeapPool);
        loop {
            while let Some(event) = recovery.next_event() {
                match event {
                    RecoveryEvent::Floor(floor) => {
                        shards[usize::from(floor.shard.0)]
                            .take_floor(floor)
                            .map_err(|error| refused(error.to_string()))?;
                    }
                    RecoveryEvent::Record { record, bytes } => {
                        let Some(shard) = shards.get_mut(usize::from(record.shard.0)) else {
                            return Err(refused("a record of a shard that is none".into()));
                        };
                        self.read_back(&record, &hasher, shard)?;
                        shard
                            .apply(&record, &hasher.key(record.key), bytes, &mut HeapPool, &mut scratch)
                            .map_err(|error| refused(error.to_string()))?;
                        self.make_room(shards, rooms)?;
                    }
                }
            }
            if recovery.is_finished() {
                break;
            }
            let done = self.step(|| recovery.next_io())?;
            recovery.on_io(done);
        }
        match recovery.finish() {
            Ok(recovered) => {
                self.report.count_rules(&recovered.report);
                *term = (*term).max(recovered.report.term);
                Ok(recovered.log)
            }
            Err(error) => {
                self.report.count_refusal(&error);
                let by_error = matches!(error, RefuseToStart::Io(_) | RefuseToStart::ReadFailed { .. });
                Err(Down::Refused { why: error.to_string(), by_error })
            }
        }
    }

    /// Ends the era and begins one with another number of workers.
    fn change_workers(
        &mut self,
        logs: Vec<Log<HeapPool>>,
        manifest: &mut StoreManifest,
        shards: &mut [ShardOf],
        term: &mut Term,
    ) -> Result<Vec<Log<HeapPool>>, Down> {
        let mut ends = Vec::new();
        for mut log in logs {
            log.begin_shutdown();
            while !log.is_shut_down() {
                let done = self.step(|| log.next_io())?;
                log.on_io(done).map_err(failed)?;
            }
            ends.push(log.end());
        }
        manifest.begin_era(&ends, self.worker_count);
        self.report.count("eras begun");
        self.write_manifest(manifest, false)?;
        let first_term = Term(term.0 + 1);
        let mut logs = Vec::new();
        for entry in manifest.current_era().logs.clone() {
            let Some(identity) = manifest.identity_of(entry.log) else { unreachable!("just made") };
            let start = RecoveryStart { identity, mode: RecoveryMode::Create, first_term };
            logs.extend(self.recover(start, shards, &mut [], term)?);
        }
        manifest.mark_open();
        self.write_manifest(manifest, false)?;
        Ok(logs)
    }

    /// Performs I/O until there is a completion.
    fn step(
        &mut self,
        mut next: impl FnMut() -> Option<IoRequest<HeapPool>>,
    ) -> Result<IoDone<HeapPool>, Down> {
        while let Some(request) = next() {
            self.disk.submit(0, request);
        }
        if let Some(left) = &mut self.crash_after {
            if *left == 0 {
                return Err(Down::Crashed);
            }
            *left -= 1;
        }
        match self.disk.complete_one(self.report) {
            Some((_, done)) => Ok(done),
            None => Err(refused("the start hangs: it waits and nothing is in flight".into())),
        }
    }
}

fn refused(why: String) -> Down {
    Down::Refused { why, by_error: false }
}

fn failed(error: Fatal) -> Down {
    Down::Refused { why: error.to_string(), by_error: true }
}
