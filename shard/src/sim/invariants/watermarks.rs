//! Of every log: durable <= written <= submitted <= appended, none of them ever goes back, and under the strict policy
//! nothing is released that is not durable.

use crate::log::{Log, SyncPolicy};
use crate::testing::HeapPool;
use crate::types::BatchNumber;

/// The watermarks of one log as seen last.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sim) struct Watermarks {
    durable: BatchNumber,
    written: BatchNumber,
    submitted: BatchNumber,
    appended: BatchNumber,
}

impl Watermarks {
    /// Looks at them again.
    pub(in crate::sim) fn check(&mut self, log: &Log<HeapPool>) -> Result<(), String> {
        let now = Self {
            durable: log.durable(),
            written: log.written(),
            submitted: log.submitted(),
            appended: log.appended(),
        };
        let in_order =
            now.durable <= now.written && now.written <= now.submitted && now.submitted <= now.appended;
        let forward = self.durable <= now.durable
            && self.written <= now.written
            && self.submitted <= now.submitted
            && self.appended <= now.appended;
        let strict = log.config().policy != SyncPolicy::EveryBatch || log.acknowledgeable() <= now.durable;
        if !in_order || !forward || !strict {
            return Err(format!("watermarks {now:?} after {self:?}, released {:?}", log.acknowledgeable()));
        }
        *self = now;
        Ok(())
    }
}
