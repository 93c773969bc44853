//! What a worker does about memory each turn: its part of `maxmemory`, full compactions and scrubs that were
//! asked for, and damage that they met.
//!
//! The limit is the whole store's. A worker may use what the others do not, but where keys are evicted never less
//! than an equal part: so one that grows takes room back from one that has more.

use std::sync::atomic::Ordering;

use engine::worker::Worker;
use shard::eviction::{EvictionPolicy, MemoryLimit};
use shard::types::UnixMs;

use super::core::Core;
use super::limits::{LOG_QUEUE_BYTES_MAX, WORKER_BYTES};
use super::service::Service;
use crate::commands::{Command, Flags};
use crate::options::Storage;

pub(crate) const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
pub(crate) const OUT_OF_MEMORY_REPLY: &[u8] = b"-OOM";

/// Bytes that a record takes beside its key and value, its part of the index included.
const RECORD_OVERHEAD_BYTES: u64 = 40;

/// Whether so much waits for the log that writes have to.
#[inline]
pub(super) fn is_log_full(worker: &Worker<Service>) -> bool {
    worker.shards.log().is_some_and(|log| log.queued_bytes() > LOG_QUEUE_BYTES_MAX)
}

impl Core {
    /// The turn's look at it.
    pub(super) fn look_after_memory(&mut self, worker: &mut Worker<Service>) {
        let asked = self.server.compactions_asked();
        if asked != self.compactions_begun {
            self.compactions_begun = asked;
            worker.shards.compact_all();
        }
        let asked = self.server.scrubs_asked();
        if asked != self.scrubs_begun {
            self.scrubs_begun = asked;
            worker.shards.scrub_all();
        }
        while let Some(damaged) = worker.shards.next_damaged_extent() {
            tracing::error!("{damaged}; keep the data file and restore the keys from a copy");
        }
        while let Some(finding) = worker.shards.next_scrub_finding() {
            tracing::error!("{finding}; keep the data file and restore the keys from a copy");
        }
        let limit = self.server.settings.max_memory();
        if self.server.options.storage == Storage::Disk {
            // What is over its part leaves memory: nothing is dropped, so the parts need no balance.
            let part = limit.div_ceil(self.server.workers.len() as u64);
            // However much clients hold, records keep half of it.
            worker.shards.set_memory_bound(part - self.own_bytes.min(part / 2));
        }
        self.has_memory_limit = limit > 0 && self.server.options.storage == Storage::Memory;
        if self.has_memory_limit || self.had_memory_limit {
            self.had_memory_limit = self.has_memory_limit;
            self.share_limit(worker, limit);
        }
    }

    /// Bytes of memory that the worker takes beside its shards: buffers, whether in use or kept for their next use,
    /// connections, and what waits for the log or for records on disk.
    pub(super) fn count_own_bytes(&self, worker: &Worker<Service>) -> u64 {
        let queued = worker.shards.log().map_or(0, |log| log.queued_bytes());
        let kept = self.spare_bytes() + worker.shards.pool().kept_bytes();
        WORKER_BYTES + (kept + queued + self.parked.bytes()) as u64 + self.connection_bytes
    }

    fn share_limit(&self, worker: &mut Worker<Service>, limit: u64) {
        let all = &self.server.workers;
        all[worker.index].memory_bytes.store(worker.shards.memory_bytes(), Ordering::Relaxed);
        let others = (0..).zip(all.iter()).filter(|(index, _)| *index != worker.index);
        let used: u64 = others.map(|(_, stats)| stats.memory_bytes.load(Ordering::Relaxed)).sum();
        let policy = self.server.settings.max_memory_policy();
        let least = if policy == EvictionPolicy::NoEviction { 1 } else { limit / all.len() as u64 };
        let bytes = if limit == 0 { 0 } else { limit.saturating_sub(used).max(least) };
        worker.shards.set_memory_limit(MemoryLimit { bytes, policy });
    }

    /// Whether there is no memory for what this command, of so many bytes, would write.
    #[inline]
    pub(super) fn lacks_memory(
        &self,
        worker: &mut Worker<Service>,
        command: &Command,
        request_bytes: impl FnOnce() -> usize,
        now: UnixMs,
    ) -> bool {
        self.has_memory_limit
            && command.flags.contains(Flags::DENYOOM)
            && !worker.shards.make_room(request_bytes() as u64 + RECORD_OVERHEAD_BYTES, now)
    }
}
