//! Opens every shard as of its snapshot, with the tail of a store without a log.

use super::{Boot, Down, SEED, ShardOf, failed, refused};
use crate::io::FileId;
use crate::key::KeyHasher;
use crate::planted::{self, PlantedBug};
use crate::record::Record;
use crate::shard::Shard;
use crate::shard_manifest::ShardManifest;
use crate::shard_open::{ShardManifestWrite, ShardOpen, ShardOpenError};
use crate::snapshot::{SnapshotError, TailError, TailReader};
use crate::store_manifest::StoreManifest;
use crate::testing::HeapPool;
use crate::types::{SLOT_COUNT, ShardId, Term, UnixMs};

/// The shards of a store, with nothing in them.
pub(in crate::sim) fn empty_shards(manifest: &StoreManifest, now: UnixMs) -> Vec<ShardOf> {
    let firsts = manifest.first_slots.iter().map(|slot| slot.0);
    let ends = manifest.first_slots.iter().skip(1).map(|slot| slot.0).chain([SLOT_COUNT]);
    (0..)
        .zip(firsts.zip(ends))
        .map(|(id, (first, end))| Shard::new(ShardId(id), first..end, Term(1), now))
        .collect()
}

impl Boot<'_> {
    /// Opens every shard as of its snapshot.
    pub(super) fn open_shards(
        &mut self,
        manifest: &StoreManifest,
    ) -> Result<(Vec<ShardOf>, Vec<Option<ShardManifest>>), Down> {
        let mut shards = empty_shards(manifest, self.now);
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
    pub(super) fn replay_tail(
        &mut self,
        mut tail: TailReader<HeapPool>,
        shard: &mut ShardOf,
    ) -> Result<(), Down> {
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

    pub(super) fn create_shard_manifests(
        &mut self,
        manifests: &[ShardManifest],
        new: &[bool],
    ) -> Result<(), Down> {
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
}
