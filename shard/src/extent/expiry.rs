//! Which extents on disk hold records that have ended, and which of them are worth emptying for that.
//!
//! An extent's deadlines are noted while it is filled (`deadlines.rs`) and never change once it is frozen. From then on it
//! stands in a queue by the next second at which something in it ends; when that has come, what ended counts as dead in
//! the extent's fill, and an extent that is mostly dead by then is *ripe*: compaction empties it before any other.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::deadlines::Deadlines;
use super::extent::{Disk, Extent, Memory};
use super::{Extents, class_bytes};
use crate::index::{ExtentNumber, LengthClass};
use crate::io::BlockPool;
use crate::limits::{CLOCK_BACK_MS, EXPIRY_EVENTS_PER_STEP, EXTENT_BYTES};
use crate::types::UnixMs;

/// An extent is ripe when this share of it, in percent, is dead or has ended.
const RIPE_PERCENT: u64 = 50;
/// Seconds after which an extent is looked at again in which something that has ended was left.
const LOOK_AGAIN_S: u32 = 2;
/// Ripe extents that one look considers.
const RIPE_LOOKED_AT: usize = 64;
/// Entries of the queue above twice the extents at which those of extents that are gone are taken out.
const QUEUE_SLACK: usize = 64;

/// Extents by the second at which something in them ends next.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// The second that has begun, as far as the extents were told.
    pub(super) now_s: u32,
    queue: BinaryHeap<Reverse<(u32, ExtentNumber)>>,
    ripe: VecDeque<ExtentNumber>,
    /// Extents whose deadlines an older snapshot did not tell.
    unknown: VecDeque<ExtentNumber>,
    /// What live records that have ended count as, an estimate, over all extents.
    pub(super) ended_bytes: u64,
    /// Records with a deadline that were placed in extents which are in memory.
    pub(super) in_memory: u64,
    /// Bytes of memory of all deadlines.
    ledger_bytes: usize,
}

impl<P: BlockPool> Extents<P> {
    /// A record with a deadline was placed in an extent that is not frozen yet.
    #[inline]
    pub fn note_deadline(&mut self, number: ExtentNumber, class: LengthClass, deadline: Option<UnixMs>) {
        if let (Some(deadline), Some(_)) = (deadline, self.seal) {
            self.table.get_mut(number).deadline_records += 1;
            self.expiry.in_memory += 1;
            self.add_deadline(number, class, deadline);
        }
    }

    fn add_deadline(&mut self, number: ExtentNumber, class: LengthClass, deadline: UnixMs) {
        let now_s = self.expiry.now_s;
        let deadlines = &mut self.table.get_mut(number).deadlines;
        let before = allocated(deadlines);
        deadlines.get_or_insert_with(|| Box::new(Deadlines::new(now_s))).add(deadline, class_bytes(class));
        self.expiry.ledger_bytes += allocated(deadlines);
        self.expiry.ledger_bytes -= before;
    }

    /// The record in an extent that is not frozen yet was overwritten in place.
    #[inline]
    pub fn change_deadline(
        &mut self,
        number: ExtentNumber,
        class: LengthClass,
        old: Option<UnixMs>,
        new: Option<UnixMs>,
    ) {
        if old == new || self.seal.is_none() {
            return;
        }
        if let (Some(old), Some(deadlines)) = (old, &mut self.table.get_mut(number).deadlines) {
            deadlines.take_back(old, class_bytes(class));
        }
        self.note_deadline(number, class, new);
    }

    /// What is frozen is watched from here on.
    pub(super) fn watch(&mut self, number: ExtentNumber) {
        let from_s = self.table.get(number).counted_s;
        let next = self.table.get(number).deadlines.as_ref().and_then(|known| known.next_end(from_s));
        let Some(end_s) = next else { return };
        if self.expiry.queue.len() > 2 * self.table.count() + QUEUE_SLACK {
            let Self { expiry, table, .. } = self;
            expiry.queue.retain(|Reverse((_, number))| table.find(*number).is_some());
        }
        self.expiry.queue.push(Reverse((end_s, number)));
    }

    /// An extent that was taken over is watched, or is to be learned when records with a deadline are in it.
    pub(super) fn watch_adopted(&mut self, number: ExtentNumber, has_deadlines: bool) {
        let extent = self.table.get_mut(number);
        extent.is_unknown &= has_deadlines;
        if extent.is_unknown {
            self.expiry.unknown.push_back(number);
        } else {
            self.watch(number);
        }
    }

    /// Counts the memory of what a snapshot told of an extent.
    pub(super) fn count_ledger(&mut self, number: ExtentNumber) {
        self.expiry.ledger_bytes += allocated(&self.table.get(number).deadlines);
    }

    /// Adds a record of an extent of which nothing is known to what is learned of it.
    pub(crate) fn learn(&self, learned: &mut Deadlines, class: LengthClass, deadline: UnixMs) {
        if learned.buckets().is_empty() {
            *learned = Deadlines::new(self.expiry.now_s);
        }
        learned.add(deadline, class_bytes(class));
    }

    /// All records of an extent were looked at: if nothing was known of it, this is known now.
    pub(crate) fn on_learned(&mut self, number: ExtentNumber, learned: Deadlines) {
        if self.table.find(number).is_none_or(|extent| extent.emptied.is_some() || !extent.is_unknown) {
            return;
        }
        let extent = self.table.get_mut(number);
        assert!(extent.deadlines.is_none(), "nothing was known of it");
        extent.is_unknown = false;
        if !learned.buckets().is_empty() {
            extent.deadlines = Some(Box::new(learned));
        }
        self.count_ledger(number);
        self.watch(number);
    }

    /// Memory of an extent's deadlines is given back.
    pub(super) fn forget_deadlines(&mut self, number: ExtentNumber) {
        let extent = self.table.get_mut(number);
        self.expiry.ledger_bytes -= allocated(&extent.deadlines);
        extent.deadlines = None;
        self.expiry.ended_bytes -= u64::from(std::mem::take(&mut extent.ended_bytes));
    }

    /// Tells the extents the time, in bounded work. Returns whether there is more to do.
    pub fn note_time(&mut self, now: UnixMs) -> bool {
        let now_s = u32::try_from(now.0 / 1000).unwrap_or(u32::MAX - 1).min(u32::MAX - 1);
        if u64::from(self.expiry.now_s.saturating_sub(now_s)) * 1000 > CLOCK_BACK_MS {
            self.rewind(now_s);
        }
        self.expiry.now_s = self.expiry.now_s.max(now_s);
        for _ in 0..EXPIRY_EVENTS_PER_STEP {
            match self.expiry.queue.peek() {
                Some(&Reverse((end_s, number))) if end_s <= self.expiry.now_s => {
                    self.expiry.queue.pop();
                    self.on_end(number);
                }
                _ => return false,
            }
        }
        true
    }

    /// The clock was ahead and has been set back: what counted as ended has not, and is waited for anew.
    fn rewind(&mut self, now_s: u32) {
        self.expiry.now_s = now_s;
        self.expiry.queue.clear();
        self.expiry.ripe.clear();
        let is_watched = |extent: &Extent<P>| extent.deadlines.is_some() && extent.emptied.is_none();
        let is_frozen = |extent: &Extent<P>| !matches!(extent.memory, Memory::Owned(_));
        let all = self.table.iter().filter(|(_, extent)| is_watched(extent) && is_frozen(extent));
        let watched: Vec<ExtentNumber> = all.map(|(number, _)| number).collect();
        for number in watched {
            let extent = self.table.get_mut(number);
            extent.counted_s = 0;
            self.expiry.ended_bytes -= u64::from(std::mem::take(&mut extent.ended_bytes));
            self.watch(number);
        }
    }

    /// Something in the extent has ended, if it is still there.
    fn on_end(&mut self, number: ExtentNumber) {
        let now_s = self.expiry.now_s;
        if self.table.find(number).is_none_or(|extent| extent.emptied.is_some()) {
            return;
        }
        let extent = self.table.get_mut(number);
        let Some(deadlines) = &extent.deadlines else { return };
        // Of what was placed with these deadlines as much lives as of all that was placed.
        let placed = deadlines.ended_between(extent.counted_s, now_s);
        let has_more = deadlines.next_end(extent.counted_s).is_some_and(|end_s| end_s <= now_s);
        extent.counted_s = now_s;
        let ended = u64::from(extent.live_bytes) * placed / u64::from(extent.placed_bytes.max(1));
        let most = extent.live_bytes - extent.ended_bytes;
        let ended = u32::try_from(ended).unwrap_or(u32::MAX).min(most);
        extent.ended_bytes += ended;
        self.expiry.ended_bytes += u64::from(ended);
        let is_run = extent.used_bytes as usize > EXTENT_BYTES;
        let fill = self.fill_of(number);
        let is_mostly_dead = fill.dead_bytes() * 100 >= fill.held_bytes * RIPE_PERCENT;
        if self.table.get(number).ended_bytes > 0 && (is_run || is_mostly_dead) {
            self.expiry.ripe.push_back(number);
        }
        // Where nothing more has ended it is only looked at again, and what ends next is waited for already.
        if has_more {
            self.watch(number);
        }
    }

    /// Records with a deadline in extents that are in memory, dead ones included: the others need no place in a wheel.
    #[must_use]
    pub fn deadlines_in_memory(&self) -> u64 {
        self.expiry.in_memory
    }

    /// Whether an extent is ripe, or one is to be looked at because nothing is known of it.
    #[must_use]
    #[inline]
    pub fn has_ripe(&self) -> bool {
        !self.expiry.ripe.is_empty() || !self.expiry.unknown.is_empty()
    }

    /// What live records that have ended count as, an estimate: what is to be emptied.
    #[must_use]
    #[inline]
    pub fn ended_bytes(&self) -> u64 {
        self.expiry.ended_bytes
    }

    /// The next extent to look at for what has ended in it, and whether nothing is known of it: then it is to be learned. One
    /// that is being written waits until it is. `wholly`: only one of which nothing may live on, for all that is estimated.
    pub(crate) fn next_ripe(&mut self, wholly: bool) -> Option<(ExtentNumber, bool)> {
        let fits = |number| {
            self.table
                .find(number)
                .is_none_or(|extent| (!wholly || is_wholly_ended(extent)) && extent.disk != Disk::Writing)
        };
        let looked_at = self.expiry.ripe.len().min(RIPE_LOOKED_AT);
        let at = self.expiry.ripe.iter().take(looked_at).position(|&number| fits(number));
        let ripe = at.and_then(|at| self.expiry.ripe.remove(at)).map(|number| (number, false));
        if ripe.is_none() {
            self.expiry.ripe.rotate_left(looked_at);
        }
        ripe.or_else(|| self.expiry.unknown.pop_front().map(|number| (number, true)))
    }

    /// Whether nothing is known yet of the deadlines in an extent.
    #[must_use]
    pub(crate) fn is_unknown(&self, number: ExtentNumber) -> bool {
        self.table.find(number).is_some_and(|extent| extent.is_unknown)
    }

    /// What has ended in an extent was left in it: it is looked at again a little later.
    pub(crate) fn look_again(&mut self, number: ExtentNumber) {
        if self.table.find(number).is_some_and(|extent| extent.emptied.is_none() && extent.ended_bytes > 0) {
            self.expiry.queue.push(Reverse((self.expiry.now_s + LOOK_AGAIN_S, number)));
        }
    }

    /// Bytes of memory that is kept of all extents' deadlines.
    #[must_use]
    pub fn deadline_bytes(&self) -> usize {
        self.expiry.ledger_bytes
            + self.expiry.queue.capacity() * size_of::<(u32, ExtentNumber)>()
            + (self.expiry.ripe.capacity() + self.expiry.unknown.capacity()) * size_of::<ExtentNumber>()
    }
}

/// Whether about all that lives has ended: records count as their class, and a part is rounded down for each second.
fn is_wholly_ended<P: BlockPool>(extent: &Extent<P>) -> bool {
    u64::from(extent.ended_bytes) * 16 >= u64::from(extent.live_bytes) * 15
}

fn allocated(deadlines: &Option<Box<Deadlines>>) -> usize {
    deadlines.as_ref().map_or(0, |deadlines| deadlines.allocated_bytes())
}
