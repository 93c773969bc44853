//! The scrub in the simulator: by itself, on demand in the middle of everything, and now and then a round that nothing
//! disturbs, after which all damage to what lives on disk must have been found.

use std::collections::BTreeSet;

use crate::extent::EXTENT_HEADER_BYTES;
use crate::index::Location;
use crate::io::{BLOCK_BYTES, Fatal, FileId};
use crate::limits::DATABASE_COUNT;
use crate::record::{HEAD_BYTES_MAX, Head};
use crate::shard::Shard;
use crate::sim::disk::SimDisk;
use crate::sim::driver::Driver;
use crate::sim::invariants::excuses;
use crate::sim::refusals;
use crate::testing::HeapPool;
use crate::types::{ShardId, StoredDb};

/// Turns within which a round that nobody disturbs must come to its end.
const QUIET_TURNS_MAX: u64 = 50_000;

/// How much scrubbing a run has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubRates {
    /// Per 1000 rounds: one is asked for.
    pub asked: u64,
    /// Per 1000 rounds: one is asked for that nothing disturbs.
    pub quiet: u64,
    /// As `quiet`, while something of a data file is damaged that no such round has looked at.
    pub quiet_when_damaged: u64,
}

impl Driver {
    /// Somebody asks for a round, now and then.
    pub(super) fn maybe_scrub(&mut self) {
        if self.scrub_rng.chance(self.options.scrub.asked) {
            let at = self.scrub_rng.position(self.workers.len());
            self.workers[at].scrub_all();
            self.report.count("scrub rounds asked for");
        }
    }

    /// Whether a round that nothing disturbs comes next.
    pub(super) fn draws_quiet_scrub(&mut self) -> bool {
        let of_data = |(file, _): &(FileId, usize)| matches!(file, FileId::ShardData { .. });
        let damaged = self.disk.truth.keys().filter(|of| of_data(of)).count();
        let is_damaged = damaged > 0 && damaged != self.damaged_blocks_scrubbed;
        let rates = self.options.scrub;
        let comes = self.scrub_rng.chance(if is_damaged { rates.quiet_when_damaged } else { rates.quiet });
        if comes || damaged == 0 {
            self.damaged_blocks_scrubbed = damaged;
        }
        comes
    }

    /// A whole round of all shards while the disk does nothing wrong and nobody asks for anything. `Ok(Err)`: what is on
    /// its way has failed.
    pub(super) fn scrub_quietly(&mut self) -> Result<Result<(), Fatal>, String> {
        self.disk.quiet = true;
        self.scrubbed.clear();
        for worker in &mut self.workers {
            worker.scrub_all();
        }
        let ended = self.scrub_to_the_end()?;
        self.disk.quiet = false;
        if ended.is_ok() {
            self.report.count("scrub rounds that nothing disturbed");
            self.check_found()?;
        }
        Ok(ended)
    }

    fn scrub_to_the_end(&mut self) -> Result<Result<(), Fatal>, String> {
        for _ in 0..QUIET_TURNS_MAX {
            if self.workers.iter().all(|worker| worker.scrub_figures().asked == 0) {
                return Ok(Ok(()));
            }
            for at in 0..self.workers.len() {
                self.workers[at].tick(self.now, self.now_ns, 4);
                self.follow(at)?;
                self.workers[at].end_turn(self.now, self.now_ns);
            }
            self.submit_all();
            while match self.complete_one() {
                Ok(any) => any,
                Err(fatal) => return Ok(Err(fatal)),
            } {}
            self.run_called()?;
            self.take_damaged()?;
            self.watch()?;
            self.deliver();
            (self.now.0, self.now_ns) = (self.now.0 + 1, self.now_ns + 1_000_000);
        }
        Err("a round of the scrub does not end".into())
    }

    /// Tells of what scrubs have found.
    pub(super) fn take_scrub_findings(&mut self) -> Result<(), String> {
        for worker in &mut self.workers {
            while let Some(finding) = worker.next_scrub_finding() {
                self.report.count(refusals::of_scrub(finding.problem));
                excuses::check_scrub(&self.disk, &finding)?;
                self.scrubbed.insert((finding.shard, finding.extent));
            }
        }
        Ok(())
    }

    /// After a round that nothing disturbed: each extent on disk with a live record in it that is not what was written
    /// there has been told of.
    fn check_found(&mut self) -> Result<(), String> {
        let shards = self.workers.iter().flat_map(|worker| worker.shards());
        let damaged: Vec<_> = shards.map(|shard| damaged_extents(shard, &self.disk)).collect();
        for of in damaged.into_iter().flatten() {
            if !self.scrubbed.contains(&of) {
                return Err(format!("a scrub did not find the damage in extent {} of shard {}", of.1, of.0));
            }
            self.report.count("damaged extents that a scrub had to find");
        }
        Ok(())
    }
}

/// Extents of a shard on disk in which a live record is damaged.
fn damaged_extents(shard: &Shard<HeapPool>, disk: &SimDisk) -> BTreeSet<(ShardId, u32)> {
    let file = FileId::ShardData { shard: shard.id() };
    if !disk.truth.keys().any(|(of, _)| *of == file) {
        return BTreeSet::new();
    }
    let entries = (0..DATABASE_COUNT).flat_map(|db| shard.entries(StoredDb(db)));
    let written = entries.map(|entry| entry.location()).filter(|at| is_damaged(shard, disk, *at));
    written.map(|at| (shard.id(), at.extent.0)).collect()
}

/// Whether the record at a location is on disk, and not as it was written.
fn is_damaged(shard: &Shard<HeapPool>, disk: &SimDisk, at: Location) -> bool {
    let extents = shard.extents();
    let Some(used_bytes) = extents.written_bytes(at.extent) else { return false };
    let file = FileId::ShardData { shard: shard.id() };
    let begin = usize::try_from(extents.file_offset(at.extent)).unwrap_or(usize::MAX);
    let (offset, used_bytes) = (at.offset as usize, used_bytes as usize);
    assert!((EXTENT_HEADER_BYTES..used_bytes).contains(&offset), "records lie behind the header");
    let start = begin + offset;
    let Ok(head) = Head::decode(&disk.true_bytes(file, start, HEAD_BYTES_MAX.min(used_bytes - offset)))
    else {
        return false;
    };
    let len = head.record_len();
    let mut blocks = start / BLOCK_BYTES..(start + len).div_ceil(BLOCK_BYTES);
    blocks.any(|block| disk.truth.contains_key(&(file, block)))
        && disk.bytes(file, start, len) != disk.true_bytes(file, start, len)
}
