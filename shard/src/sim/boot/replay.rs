//! Replays logs into the shards, within the memory there is, and reads back what their records need.

use super::{Boot, Down, RoomOf, SEED, ShardOf, failed, refused};
use crate::checkpoint::RoomStep;
use crate::cold::ColdReadProblem;
use crate::io::{BLOCK_BYTES, FileId, IoBuffer, IoDone, IoOperation, IoRequest, RequestId};
use crate::key::KeyHasher;
use crate::log::Log;
use crate::log::recovery::{LogRecovery, RecoveryEvent, RecoveryStart, RefuseToStart};
use crate::record::Record;
use crate::shard::Shard;
use crate::shard_manifest::ShardManifest;
use crate::sim::refusals;
use crate::testing::HeapPool;
use crate::types::Term;

impl Boot<'_> {
    /// Recovers one log into the shards.
    pub(super) fn recover(
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
                let by_error = match error {
                    RefuseToStart::Io(_) | RefuseToStart::ReadFailed { .. } => true,
                    RefuseToStart::NoSpace { .. } => self.disk.has_refused_space(),
                    _ => false,
                };
                Err(Down::Refused { why: error.to_string(), by_error })
            }
        }
    }

    /// Reads back what applying a record needs.
    pub(super) fn read_back(
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
                let done = self.perform_at_once(request)?;
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
    pub(super) fn make_room(&mut self, shards: &mut [ShardOf], rooms: &mut [RoomOf]) -> Result<(), Down> {
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
        // Unless the disk has become full meanwhile, only what cannot leave memory is left.
        let may_leave = |shard: &ShardOf| shard.extents().allocated_bytes() > shard.extents().open_bytes();
        if !rooms.is_empty() && !self.disk.is_full() && is_over(shards) && shards.iter().any(may_leave) {
            return Err(refused("a replay takes more memory than it may".into()));
        }
        Ok(())
    }

    fn perform_at_once(&mut self, request: IoRequest<HeapPool>) -> Result<IoDone<HeapPool>, Down> {
        let done = self.disk.perform_at_once(request, self.report);
        if self.disk.is_down() { Err(Down::Crashed) } else { Ok(done) }
    }

    pub(super) fn perform_for_room(
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
        let done = self.perform_at_once(request)?;
        room.on_io(done, shard, &mut HeapPool).map_err(failed)
    }

    /// What was begun to make room is ended; manifests are those on disk now.
    pub(super) fn settle(
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
}
