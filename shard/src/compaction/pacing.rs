//! How much compaction does per turn: as much as keeps up with what is written, more when it is behind.
//!
//! A victim of which the share u lives gives back 1 - u of what is walked over. So that as much comes back as is
//! written, 1 / (1 - u) bytes are to be walked for each byte written, of which u / (1 - u) are moved (Rosenblum and
//! Ousterhout, "The Design and Implementation of a Log-Structured File System", 1991).

use super::CompactionConfig;
use crate::extent::Fill;

/// Bytes of work owed are forgotten above this: a burst of writes leaves no longer a burst of work behind.
const OWED_BYTES_MAX: u64 = 8 << 20;
/// Times the pace of writing at which compaction works at most.
const URGENCY_MAX: u64 = 8;

/// Percent of dead bytes above what is allowed that add the pace of writing to that of compaction.
const PERCENT_PER_PACE: u64 = 4;

/// What is owed for what was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pacing {
    owed_bytes: u64,
    /// Fresh bytes of the shard when last looked at.
    fresh_seen: u64,
    /// Live share of the last victim, in percent.
    victim_percent: u64,
}

impl Pacing {
    /// Bytes that may be dead before compaction begins.
    pub(crate) fn allowed_dead(config: &CompactionConfig, fill: Fill) -> u64 {
        let dead_percent = u64::from(100 - config.fill_percent);
        (fill.held_bytes / 100 * dead_percent).max(config.dead_bytes_min)
    }

    /// Takes note of what was written since the last call. Returns whether anything was.
    pub(crate) fn note(&mut self, fresh_bytes: u64, dead_bytes: u64, allowed: u64) -> bool {
        let written = fresh_bytes - self.fresh_seen;
        self.fresh_seen = fresh_bytes;
        if dead_bytes <= allowed {
            self.owed_bytes = 0;
            return written > 0;
        }
        // A few percent above what is allowed double the pace, and so on.
        let behind = (dead_bytes - allowed) * (100 / PERCENT_PER_PACE) / allowed.max(1);
        let urgency = (1 + behind).min(URGENCY_MAX);
        let owed = written.saturating_mul(100) / (100 - self.victim_percent.min(95)) * urgency;
        self.owed_bytes = self.owed_bytes.saturating_add(owed).min(OWED_BYTES_MAX);
        written > 0
    }

    /// A victim with this live share was begun.
    pub(crate) fn note_victim(&mut self, fill: Fill) {
        self.victim_percent = fill.live_bytes * 100 / fill.held_bytes.max(1);
    }

    /// Bytes of work that are owed.
    pub(crate) const fn owed(&self) -> u64 {
        self.owed_bytes
    }

    /// So many bytes of work were done.
    pub(crate) fn pay(&mut self, bytes: u64) {
        self.owed_bytes = self.owed_bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_follows_what_is_written_and_hurries_when_it_is_behind() {
        let mut pacing = Pacing::default();
        pacing.note_victim(Fill { held_bytes: 100, live_bytes: 50 });
        assert!(pacing.note(1_000, 50, 100) && pacing.owed() == 0, "nothing is owed while enough lives");
        assert!(pacing.note(2_000, 10_001, 10_000));
        assert_eq!(pacing.owed(), 2_000, "of a half dead victim twice what is written");
        pacing.pay(2_000);
        assert!(!pacing.note(2_000, 20_000, 10_000) && pacing.owed() == 0);
        pacing.note(3_000, 20_000, 10_000);
        assert_eq!(pacing.owed(), 16_000);
        pacing.note(1 << 40, 20_000, 10_000);
        assert_eq!(pacing.owed(), OWED_BYTES_MAX);
    }
}
