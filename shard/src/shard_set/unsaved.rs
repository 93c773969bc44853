//! Without a log: how long changes have been in no snapshot, and which shard has waited long enough for one.
//!
//! Checkpoints that follow bytes alone would leave a store with few writes unsaved until somebody saves it. So a shard
//! gets one a bounded time after its first change that no snapshot holds. One shard at a time: each checkpoint syncs
//! files, which everybody who writes to the drive waits for.

use super::storage::Storage;
use crate::checkpoint::ShardFiles;
use crate::io::BlockPool;
use crate::limits::SPACE_RETRY_MS;
use crate::shard::Shard;
use crate::types::{Lsn, UnixMs};

/// What no snapshot of one shard holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unsaved {
    /// When its oldest change came, or earlier; `None`: the newest snapshot holds everything.
    since: Option<UnixMs>,
    /// Checkpoints of the shard that had been given up when it was saved last.
    given_up: u64,
}

impl Unsaved {
    /// A look at the shard. A change that came since the last look counts from now on.
    fn look(&mut self, holds_all: bool, now: UnixMs) {
        if holds_all {
            self.since = None;
        } else {
            self.since.get_or_insert(now);
        }
    }

    /// A checkpoint that began at this time is published. What came while it ran, and is not in it, came later than that.
    pub(super) fn on_published(&mut self, holds_all: bool, began: UnixMs, given_up: u64) {
        self.since = (!holds_all).then_some(began);
        self.given_up = given_up;
    }

    pub(super) const fn since(&self) -> Option<UnixMs> {
        self.since
    }

    /// For how many milliseconds. A clock that was set back makes it longer, never shorter for good.
    fn age_ms(&self, now: UnixMs) -> Option<u64> {
        self.since.map(|since| now.0.abs_diff(since.0))
    }
}

/// Whether the newest snapshot of a shard is what the shard holds.
pub(super) fn holds_all<P: BlockPool>(files: &ShardFiles<P>, shard: &Shard<P>) -> bool {
    files.end_lsn().unwrap_or(Lsn::ZERO) == shard.lsn()
}

impl<P: BlockPool> Storage<P> {
    /// Now and then: looks at every shard, and asks for a checkpoint of the one that has waited longest, when that is long
    /// enough.
    pub(super) fn ask_if_unsaved(&mut self, shards: &[Shard<P>], now: UnixMs) {
        for ((unsaved, files), shard) in self.unsaved.iter_mut().zip(&self.files).zip(shards) {
            unsaved.look(holds_all(files, shard), now);
        }
        let Some(unsaved_ms_max) = self.config.unsaved_ms_max else { return };
        let is_too_soon = |since: UnixMs| now.0.abs_diff(since.0) < SPACE_RETRY_MS;
        if self.files.iter().any(ShardFiles::is_busy) || self.rests_since.is_some_and(is_too_soon) {
            return;
        }
        let ages =
            self.unsaved.iter().enumerate().filter_map(|(at, unsaved)| Some((unsaved.age_ms(now)?, at)));
        let Some((_, at)) = ages.max().filter(|(age_ms, _)| *age_ms >= unsaved_ms_max) else { return };
        if self.files[at].figures().given_up > self.unsaved[at].given_up {
            // The disk was too full for the last one, and no log holds what it was to hold: the reserve is for this.
            self.reserve.lend();
        }
        self.asked_at[at] = self.changed_bytes;
        self.files[at].want_checkpoint();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_that_no_snapshot_holds_counts() {
        let mut unsaved = Unsaved::default();
        unsaved.look(true, UnixMs(1000));
        assert_eq!(unsaved.age_ms(UnixMs(9000)), None);
        unsaved.look(false, UnixMs(2000));
        unsaved.look(false, UnixMs(5000));
        assert_eq!(unsaved.age_ms(UnixMs(5000)), Some(3000), "from the first, not from the last");
        unsaved.on_published(false, UnixMs(4000), 0);
        assert_eq!(unsaved.age_ms(UnixMs(5000)), Some(1000), "what came meanwhile came after the beginning");
        unsaved.on_published(true, UnixMs(6000), 0);
        assert_eq!(unsaved.age_ms(UnixMs(7000)), None);
        unsaved.look(false, UnixMs(8000));
        assert_eq!(unsaved.age_ms(UnixMs(3000)), Some(5000), "a clock that is set back holds nothing up");
    }
}
