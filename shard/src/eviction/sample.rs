//! Keys with a deadline, drawn from the timing wheel: the best of a few goes.

use super::EvictionPolicy;
use crate::index::Entry;
use crate::io::BlockPool;
use crate::planted::{self, PlantedBug};
use crate::record::Head;
use crate::shard::{EntryPlace, Shard, low_bits};
use crate::shard_set::{GoneWhy, ShardSet};
use crate::types::{StoredDb, UnixMs};
use crate::wheel::WheelEntry;

/// Keys drawn for each that goes: Redis's default of `maxmemory-samples`.
const SAMPLES: usize = 5;
/// Draws for those at most: an entry of the wheel may be out of date.
const DRAWS_MAX: usize = 40;

/// A key that may go.
#[derive(Clone, Copy)]
struct Candidate {
    entry: EntryPlace,
    uses: u32,
    deadline: UnixMs,
}

impl Candidate {
    /// The lower, the sooner it goes.
    fn rank(&self, policy: EvictionPolicy) -> (u64, u32) {
        match policy {
            EvictionPolicy::VolatileTtl => (self.deadline.0, 0),
            EvictionPolicy::VolatileRandom => (0, 0),
            // Of those used alike, the one written longest ago.
            _ => (u64::from(self.uses), self.entry.location.extent.0),
        }
    }
}

impl<P: BlockPool> Shard<P> {
    /// The key that an entry of the wheel stands for, if it still has a deadline.
    fn candidate_of(&mut self, drawn: WheelEntry) -> Option<Candidate> {
        let local = self.local(drawn.slot);
        let Self { databases, extents, .. } = self;
        for (db, database) in (0u8..).zip(databases.iter_mut()) {
            if low_bits(database.keyspace) != drawn.keyspace_low {
                continue;
            }
            let table = database.slots.get_mut(local).and_then(|slot| slot.table_mut(drawn.hash));
            let may_go =
                |entry: &Entry| entry.has_deadline() || planted::is(PlantedBug::EvictsWithoutDeadline);
            let Some(entry) = table.and_then(|table| table.find_mut(drawn.hash, may_go)) else {
                continue;
            };
            let head = Head::decode(extents.find(entry.location())?).ok()?;
            let undated = || planted::is(PlantedBug::EvictsWithoutDeadline).then_some(UnixMs(0));
            let uses = entry.uses();
            // Passed over once more: a use less.
            entry.set_uses(uses.saturating_sub(1));
            let place = EntryPlace {
                db: StoredDb(db),
                slot: drawn.slot,
                hash: drawn.hash,
                location: entry.location(),
            };
            return Some(Candidate { entry: place, uses, deadline: head.deadline.or_else(undated)? });
        }
        None
    }
}

impl<P: BlockPool> ShardSet<P> {
    /// Evicts one key with a deadline of a shard. False when none was found.
    pub(super) fn evict_drawn(&mut self, position: usize, policy: EvictionPolicy) -> bool {
        let mut best: Option<Candidate> = None;
        let mut found = 0;
        for _ in 0..DRAWS_MAX {
            let random = self.room.draw();
            let Some(drawn) = self.shards[position].draw_from_wheels(random) else { break };
            let Some(candidate) = self.shards[position].candidate_of(drawn) else { continue };
            if best.is_none_or(|best| candidate.rank(policy) < best.rank(policy)) {
                best = Some(candidate);
            }
            found += 1;
            if found == SAMPLES {
                break;
            }
        }
        let Some(victim) = best else { return false };
        let mut name = std::mem::take(&mut self.departures.keys);
        name.clear();
        let bytes = self.shards[position].extents.bytes_at(victim.entry.location);
        let key = Head::decode(bytes).ok().and_then(|head| head.key(bytes)).expect("a record has its key");
        name.extend_from_slice(key);
        let barrier = self.barrier;
        self.let_go(position, victim.entry, &name, GoneWhy::Evicted);
        self.barrier = barrier;
        name.clear();
        self.departures.keys = name;
        true
    }
}
