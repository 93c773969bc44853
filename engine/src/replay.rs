//! Applies what recovery hands out to the shards, a few records at a time, so that their index misses overlap.

use std::ops::Range;

use shard::key::KeyHasher;
use shard::log::recovery::RecoveryEvent;
use shard::record::{Head, Record};
use shard::shard::ApplyError;
use shard::types::{ShardId, Term};

use crate::Shard;
use crate::clock::unix_ms;
use crate::pool::Pool;

/// Records applied together at most.
const RECORDS: usize = 32;
/// Bytes of records applied together at most.
const BYTES: usize = 256 << 10;

/// Records that wait to be applied.
pub(crate) struct Replay {
    /// Number of the first of the shards.
    first: ShardId,
    bytes: Vec<u8>,
    /// Position of the shard, and where in `bytes` the record lies.
    records: Vec<(usize, Range<usize>)>,
    scratch: Vec<u8>,
}

impl Replay {
    pub(crate) fn new(first: ShardId) -> Self {
        Self { first, bytes: Vec::new(), records: Vec::with_capacity(RECORDS), scratch: Vec::new() }
    }

    fn position(&self, shard: ShardId) -> usize {
        usize::from(shard.0) - usize::from(self.first.0)
    }

    /// Takes an event; a floor takes effect at once, records with others.
    ///
    /// # Errors
    /// When records do not fit together.
    pub(crate) fn take(
        &mut self,
        event: RecoveryEvent<'_>,
        shards: &mut [Shard],
        hasher: &KeyHasher,
        pool: &mut Pool,
    ) -> Result<(), ApplyError> {
        match event {
            RecoveryEvent::Floor(floor) => {
                self.flush(shards, hasher, pool)?;
                // What earlier eras have brought is of no use any more: everything was emptied since.
                let shard = &mut shards[self.position(floor.shard)];
                let (slot, count) = shard.slots();
                *shard = Shard::new(floor.shard, slot.0..slot.0 + count, Term(1), unix_ms());
                shard.start_at(floor);
            }
            RecoveryEvent::Record { record, bytes } => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                self.records.push((self.position(record.shard), start..self.bytes.len()));
                if self.records.len() >= RECORDS || self.bytes.len() >= BYTES {
                    self.flush(shards, hasher, pool)?;
                }
            }
        }
        Ok(())
    }

    /// Applies what waits.
    ///
    /// # Errors
    /// When records do not fit together.
    pub(crate) fn flush(
        &mut self,
        shards: &mut [Shard],
        hasher: &KeyHasher,
        pool: &mut Pool,
    ) -> Result<(), ApplyError> {
        let decode = |range: &Range<usize>| {
            let raw = &self.bytes[range.clone()];
            let record = Head::decode(raw).and_then(|head| Record::from_head(&head, raw));
            (record.expect("recovery hands out what it has verified"), raw)
        };
        let mut seen = 0;
        for (position, range) in &self.records {
            let (record, _) = decode(range);
            let key = hasher.key(record.key);
            seen ^= shards[*position].warm(record.keyspace, key.slot, key.hash);
        }
        std::hint::black_box(seen);
        for (position, range) in &self.records {
            let (record, raw) = decode(range);
            shards[*position].apply(&record, raw, hasher, pool, &mut self.scratch)?;
        }
        self.records.clear();
        self.bytes.clear();
        self.bytes.shrink_to(2 * BYTES);
        Ok(())
    }
}
