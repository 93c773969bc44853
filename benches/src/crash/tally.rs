//! What a run of cycles did, and what the server did meanwhile.

use serde::Serialize;

use crate::info::Info;

/// What was done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// SIGKILLs under load.
    pub kills: u64,
    /// SIGKILLs during recovery.
    pub kills_in_recovery: u64,
    /// Power cuts, with a kill each.
    pub power_cuts: u64,
    /// Orderly stops under load.
    pub stops: u64,
    /// Flushes of everything.
    pub flushes: u64,
    /// Operations sent.
    pub operations_sent: u64,
    /// Operations acknowledged.
    pub operations_acknowledged: u64,
    /// Operations under way when the server was killed.
    pub operations_in_flight: u64,
    /// Answers that readers got.
    pub sightings: u64,
    /// Keys asked for after restarts.
    pub keys_checked: u64,
    /// Longest time from start to serving.
    pub restart_ms_max: u64,
    /// What the server had done of its own by the end of each life, as its INFO told.
    pub server: Background,
}

/// Work of the server beside its requests; 0 for a server whose INFO does not tell.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Background {
    /// Checkpoints of a shard.
    pub checkpoints: u64,
    /// Bytes that compaction moved.
    pub compaction_moved_bytes: u64,
    /// Records read from the drive, as they were not in memory.
    pub cold_reads: u64,
}

impl Background {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters")]
    /// Adds what a life of the server had done by now.
    pub fn add(&mut self, info: &Info) {
        self.checkpoints += info.get("data.checkpoints") as u64;
        self.compaction_moved_bytes += info.get("compaction.moved_bytes") as u64;
        self.cold_reads += info.get("data.cold_reads") as u64;
    }
}
