//! Empties a victim: walks over its records, moves those that live, and names those that are to be deleted.

use std::ops::Range;

use super::{Compaction, DamageKind, DamagedExtent, Full, Reading, Step, Worked, victim};
use crate::extent::{Deadlines, Stream, Weight};
use crate::index::{Entry, ExtentNumber, Location};
use crate::io::BlockPool;
use crate::key::{Key, KeyHasher};
use crate::limits::EXTENT_BYTES;
use crate::planted::{self, PlantedBug};
use crate::record::{Head, Record, mix_checksum};
use crate::shard::{EntryPlace, Shard};
use crate::types::{Slot, StoredDb, UnixMs};

/// Work that a look at all extents counts as, in bytes.
const CHOICE_BYTES: u64 = 4096;
/// Records whose index entries are brought into the cache together: misses that wait for each other cost more than all else
/// that is done for a record.
const WARMED_RECORDS: usize = 8;

/// Whether live records of a victim are evicted instead of moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EvictRule {
    /// None is.
    #[default]
    Keep,
    /// All are.
    All,
    /// Those that were not used since they were last passed; a use is taken off the others.
    Unused,
    /// None is, and none is moved: those that have ended go, the others stay where they are. For an extent of whose
    /// deadlines nothing is known, and for a record larger than an extent.
    EndedOnly,
    /// As `Unused`, but only every second one that stays loses a use: frequent use counts longer.
    Rare,
}

/// A victim being walked over.
pub(crate) struct Walk<P: BlockPool> {
    pub(super) number: ExtentNumber,
    /// Where the next record starts.
    pub(super) offset: u32,
    /// The index entries of the records before this offset were brought into the cache.
    warmed: u32,
    /// Its bytes, when they had to be read.
    pub(super) read: Option<P::Buffer>,
    pub(super) rule: EvictRule,
    used_bytes: u32,
    moved_bytes: u64,
    /// Deadlines of records that stay where they are.
    learned: Deadlines,
}

impl<P: BlockPool> Walk<P> {
    pub(super) fn new(number: ExtentNumber, offset: u32, used_bytes: u32, rule: EvictRule) -> Self {
        let learned = Deadlines::default();
        Self { number, offset, warmed: offset, read: None, rule, used_bytes, moved_bytes: 0, learned }
    }
}

/// A key that is to be deleted: its record is not moved.
#[derive(Clone, Debug)]
pub(crate) struct Departure {
    pub(crate) entry: EntryPlace,
    /// Its bytes in [`Departures::keys`].
    pub(crate) key: Range<usize>,
    /// Its deadline has passed; otherwise it is evicted.
    pub(crate) expired: bool,
}

/// Keys that one step found to be deleted. Whoever drives the steps deletes them before the next one.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    pub(crate) list: Vec<Departure>,
    pub(crate) keys: Vec<u8>,
    /// A record on its way.
    scratch: Vec<u8>,
}

impl Departures {
    fn add(&mut self, db: StoredDb, key: &Key<'_>, location: Location, expired: bool) {
        let start = self.keys.len();
        self.keys.extend_from_slice(key.bytes);
        let name = start..self.keys.len();
        let entry = EntryPlace { db, slot: key.slot, hash: key.hash, location };
        self.list.push(Departure { entry, key: name, expired });
    }
}

/// What passing one record came to.
enum Passed {
    /// It has so many bytes.
    Record(u32),
    /// The victim has left memory.
    Absent,
    /// It cannot be read, so nobody knows where the next one starts.
    Damaged,
    /// It lives, and the disk has no place for one more extent of survivors.
    NoPlace,
}

/// What one step is given.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    pub(crate) hasher: &'a KeyHasher,
    pub(crate) now: UnixMs,
    /// Whether what has ended may be deleted now. Otherwise it is moved with the rest.
    pub(crate) may_delete: bool,
    /// Bytes to walk over at most, but for the record it ends in.
    pub(crate) bytes_max: usize,
    /// Records to look at, at most.
    pub(crate) records_max: usize,
}

impl<P: BlockPool> Shard<P> {
    /// Begins a full compaction: all that is dead now in extents that are full, or wasteful, goes.
    pub(crate) fn begin_full_compaction(&mut self) {
        if self.extents.identity().is_none() {
            self.extents.close_wasteful(64 << 10);
        }
        let mut total = 0;
        let count = self.extents.count();
        self.extents.weigh_from(ExtentNumber(0), count, |weight| {
            total += u64::from(victim::is_worthwhile(&weight));
        });
        self.compaction.full =
            Some(Full { next: ExtentNumber(0), end: self.extents.next_number(), done: 0, total });
    }

    /// One bounded step.
    pub(crate) fn compaction_step(
        &mut self,
        how: How<'_>,
        pool: &mut P,
        departures: &mut Departures,
    ) -> Worked {
        assert!(departures.list.is_empty(), "keys of the last step are gone");
        match std::mem::replace(&mut self.compaction.step, Step::Idle) {
            Step::Idle => self.next_victim(how),
            Step::Choose(choice) => self.choose(choice, how.now),
            step @ (Step::Read(_) | Step::Reading(_)) => {
                self.compaction.step = step;
                Worked::Waits
            }
            Step::Walk(walk) => self.walk(walk, how, pool, departures),
        }
    }

    fn next_victim(&mut self, how: How<'_>) -> Worked {
        if self.extents.dirty_count() > super::read::DIRTY_EXTENTS_MAX {
            // What was moved is on its way to disk: no more until it is there.
            return Worked::Waits;
        }
        let is_full = self.extents.is_out_of_places();
        // What has ended waits for the time when it may be deleted.
        let had_ripe = how.may_delete && self.extents.has_ripe();
        while how.may_delete
            && let Some((number, is_unknown)) = self.extents.next_ripe(is_full)
        {
            if let Some(weight) = self.extents.weigh(number) {
                let stays = is_unknown || weight.is_run;
                self.begin_victim(number, if stays { EvictRule::EndedOnly } else { EvictRule::Keep });
                self.compaction.is_ended_victim = true;
                return Worked::Bytes(0);
            }
        }
        if is_full {
            // Survivors of anything else could find no place on disk.
            return Worked::Nothing;
        }
        if had_ripe {
            return Worked::Bytes(0);
        }
        while let Some(number) = self.compaction.chosen.pop() {
            if self.extents.weigh(number).is_some_and(|weight| victim::is_worthwhile(&weight)) {
                self.begin_victim(number, EvictRule::Keep);
                return Worked::Bytes(0);
            }
        }
        let Some(full) = self.compaction.full else {
            self.compaction.step = Step::Choose(super::Choice::new());
            return Worked::Bytes(CHOICE_BYTES);
        };
        let worked = self.next_of_full(full);
        if self.compaction.full.is_none() {
            self.compaction.rests_since = Some(how.now);
            return Worked::Nothing;
        }
        worked
    }

    /// Goes on to the next extent that has something dead in it. One on its way to disk is waited for.
    fn next_of_full(&mut self, full: Full) -> Worked {
        let mut found = None;
        let next = self.extents.weigh_from(full.next, victim::WEIGHED_PER_STEP, |weight| {
            if found.is_none() && weight.number < full.end && victim::is_worthwhile(&weight) {
                found = Some(weight);
            }
        });
        self.compaction.full = match (found, next) {
            (Some(Weight { number, is_moving: true, .. }), _) => {
                self.compaction.full = Some(Full { next: number, ..full });
                return Worked::Waits;
            }
            (Some(Weight { number, .. }), _) => {
                self.begin_victim(number, EvictRule::Keep);
                let done = (full.done + 1).min(full.total);
                Some(Full { next: ExtentNumber(number.0 + 1), done, ..full })
            }
            (None, Some(next)) if next < full.end => Some(Full { next, ..full }),
            (None, _) => None,
        };
        Worked::Bytes(CHOICE_BYTES)
    }

    fn choose(&mut self, mut choice: super::Choice, now: UnixMs) -> Worked {
        let youngest = self.extents.next_number();
        let next = self.extents.weigh_from(choice.next, victim::WEIGHED_PER_STEP, |weight| {
            choice.consider(&weight, youngest);
        });
        if let Some(next) = next {
            choice.next = next;
            self.compaction.step = Step::Choose(choice);
            return Worked::Bytes(CHOICE_BYTES);
        }
        self.compaction.chosen = choice.into_chosen();
        if self.compaction.chosen.is_empty() {
            self.compaction.rests_since = Some(now);
            return Worked::Nothing;
        }
        Worked::Bytes(CHOICE_BYTES)
    }

    /// An extent that may be emptied is the victim from here on.
    pub(crate) fn begin_victim(&mut self, number: ExtentNumber, rule: EvictRule) {
        let weight = self.extents.weigh(number).expect("a victim may be emptied");
        assert!(!self.compaction.has_victim(), "one victim at a time");
        assert!(
            matches!(rule, EvictRule::Keep | EvictRule::EndedOnly) || self.extents.identity().is_none(),
            "what is on disk is not evicted"
        );
        self.compaction.pacing.note_victim(weight.fill);
        self.compaction.is_ended_victim = false;
        let offset = self.extents.first_offset();
        self.compaction.step = if weight.is_cold {
            Step::Read(Reading::new(number, offset, rule))
        } else {
            let used_bytes = self.extents.used_bytes(number).unwrap_or(0);
            Step::Walk(Walk::new(number, offset, used_bytes, rule))
        };
    }

    /// Walks over some records of the victim.
    fn walk(&mut self, mut walk: Walk<P>, how: How<'_>, pool: &mut P, departures: &mut Departures) -> Worked {
        if walk.rule == EvictRule::EndedOnly && !how.may_delete && !self.extents.is_unknown(walk.number) {
            self.leave(walk, pool);
            return Worked::Waits;
        }
        let (mut walked, mut records) = (0u64, 0);
        while walked < how.bytes_max as u64 && records < how.records_max {
            let Some(used_bytes) = self.extents.used_bytes(walk.number) else {
                self.finish_walk(walk, pool);
                return Worked::Bytes(walked);
            };
            if walk.offset >= used_bytes {
                if departures.list.is_empty() {
                    self.finish_walk(walk, pool);
                    return Worked::Bytes(walked);
                }
                // What lives there is about to be deleted.
                break;
            }
            if walk.offset >= walk.warmed {
                walk.warmed = self.warm_ahead(&walk, used_bytes, how.hasher);
            }
            match self.pass_record(&mut walk, used_bytes, how, pool, departures) {
                Passed::Record(len) => {
                    walk.offset += len;
                    walked += u64::from(len);
                    records += 1;
                }
                Passed::Absent => {
                    self.compaction.step = Step::Read(Reading::new(walk.number, walk.offset, walk.rule));
                    return Worked::Bytes(walked);
                }
                Passed::NoPlace if walked > 0 => break,
                Passed::NoPlace => {
                    // On a full disk another victim may need no place; otherwise space is on its way.
                    if self.compaction.pressed {
                        self.leave(walk, pool);
                    } else {
                        self.compaction.step = Step::Walk(walk);
                    }
                    return Worked::Waits;
                }
                Passed::Damaged => {
                    self.give_up(walk, DamageKind::Record, pool);
                    return Worked::Bytes(walked);
                }
            }
        }
        if departures.scratch.capacity() > EXTENT_BYTES {
            departures.scratch = Vec::new();
        }
        self.compaction.step = Step::Walk(walk);
        Worked::Bytes(walked)
    }

    /// The victim cannot be emptied now: it is left as it is by now. What has ended in it is looked at again.
    fn leave(&mut self, walk: Walk<P>, pool: &mut P) {
        self.extents.look_again(walk.number);
        if let Some(buffer) = walk.read {
            pool.put(buffer);
        }
    }

    /// Brings the index entries of the victim's next records into the cache. Returns up to which offset; changes nothing.
    fn warm_ahead(&self, walk: &Walk<P>, used_bytes: u32, hasher: &KeyHasher) -> u32 {
        let bytes = match &walk.read {
            Some(buffer) => buffer.as_ref(),
            None => self.extents.bytes_of(walk.number).unwrap_or_default(),
        };
        let end = bytes.len().min(used_bytes as usize);
        let (mut at, mut seen) = (walk.offset as usize, 0);
        for _ in 0..WARMED_RECORDS {
            // Where the walk will find damage, or the end, nothing is to be brought.
            let Some((head, key)) = bytes.get(at..end).and_then(|rest| whole_head(rest, true)) else { break };
            let key = hasher.key(key);
            seen ^= self.warm(head.keyspace, key.slot, key.hash);
            at += head.record_len();
        }
        std::hint::black_box(seen);
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// Looks at the victim's next record: one that lives is moved, or named to be deleted.
    fn pass_record(
        &mut self,
        walk: &mut Walk<P>,
        used_bytes: u32,
        how: How<'_>,
        pool: &mut P,
        departures: &mut Departures,
    ) -> Passed {
        let (Slot(first_slot), slot_count) = self.slots();
        let Self { extents, databases, .. } = self;
        let bytes = match &walk.read {
            Some(buffer) => &buffer.as_ref()[..buffer.as_ref().len().min(used_bytes as usize)],
            None => match extents.bytes_of(walk.number) {
                Some(bytes) => bytes,
                None => return Passed::Absent,
            },
        };
        let rest = &bytes[walk.offset as usize..];
        let is_partial = bytes.len() < used_bytes as usize;
        let Some((head, key)) = whole_head(rest, is_partial) else {
            assert!(walk.read.is_some(), "an extent in memory holds whole records, back to back");
            return Passed::Damaged;
        };
        let len = head.record_len();
        let passed = Passed::Record(u32::try_from(len).expect("a record is below 4 GiB: limits.rs"));
        let location = Location { extent: walk.number, offset: walk.offset };
        let key = how.hasher.key(key);
        let Some(db) = databases.iter().position(|database| database.keyspace == head.keyspace) else {
            return passed;
        };
        let local = key.slot.0.wrapping_sub(first_slot);
        let slot = databases[db].slots.get_mut(usize::from(local)).filter(|_| local < slot_count);
        let table = slot.and_then(|slot| slot.table_mut(key.hash));
        let entry = table.and_then(|table| table.find_mut(key.hash, |entry| entry.location() == location));
        let Some(entry) = entry else { return passed };
        let record = &rest[..len.min(rest.len())];
        // Of a run only the front was read: that the extent has ended is known from its deadlines too.
        let verified = || is_partial || Record::decode(record, extents.mask(location)).is_ok();
        if walk.read.is_some() && !verified() && !planted::is(PlantedBug::CompactUnverified) {
            return Passed::Damaged;
        }
        let expired = how.may_delete && head.deadline.is_some_and(|deadline| deadline <= how.now);
        if expired || is_evicted(walk.rule, entry) {
            let db = StoredDb(u8::try_from(db).unwrap_or(u8::MAX));
            departures.add(db, &key, location, expired);
            return passed;
        }
        if walk.rule == EvictRule::EndedOnly {
            if let Some(deadline) = head.deadline {
                extents.learn(&mut walk.learned, entry.length_class(), deadline);
            }
            return passed;
        }
        if extents.lacks_place_for_survivor(len) {
            return Passed::NoPlace;
        }
        departures.scratch.clear();
        departures.scratch.extend_from_slice(record);
        let to = move_record(extents, entry, location, &departures.scratch, pool);
        if !planted::is(PlantedBug::MoveKeepsOldLocation) {
            entry.move_to(to, len);
        }
        extents.note_deadline(to.extent, entry.length_class(), head.deadline);
        walk.moved_bytes += len as u64;
        passed
    }

    /// All records of the victim have been looked at, or nothing in it lives any more.
    fn finish_walk(&mut self, walk: Walk<P>, pool: &mut P) {
        let figures = &mut self.compaction.figures;
        figures.moved_bytes += walk.moved_bytes;
        if self.extents.used_bytes(walk.number).is_none() {
            figures.extents += 1;
            figures.reclaimed_bytes += u64::from(walk.used_bytes).saturating_sub(walk.moved_bytes);
        } else if walk.rule == EvictRule::EndedOnly {
            self.extents.on_learned(walk.number, walk.learned);
            // Where the clock went back a little since it was found to have ended, it has not.
            self.extents.look_again(walk.number);
        } else if walk.read.is_some() {
            // Dead records that are damaged led the walk past live ones.
            self.give_up(walk, DamageKind::Record, pool);
            return;
        } else {
            assert!(self.is_dropping(), "every live record of a victim was moved or deleted");
        }
        if let Some(buffer) = walk.read {
            pool.put(buffer);
        }
    }

    /// The victim cannot be read back whole: it is left as it is, and never chosen again.
    pub(super) fn give_up(&mut self, walk: Walk<P>, problem: DamageKind, pool: &mut P) {
        if let Some(buffer) = walk.read {
            pool.put(buffer);
        }
        if self.is_dropping() && problem == DamageKind::Record && walk.offset >= walk.used_bytes {
            // What lives there belongs to a keyspace that is being dropped.
            return;
        }
        self.extents.mark_damaged(walk.number);
        self.compaction.figures.damaged += 1;
        self.compaction.damaged.push(DamagedExtent {
            shard: self.id(),
            extent: walk.number.0,
            offset: walk.offset,
            problem,
        });
    }
}

/// Head and key of a record that lies whole in `bytes`, or the front of it.
#[inline]
fn whole_head(bytes: &[u8], is_partial: bool) -> Option<(Head, &[u8])> {
    let head = Head::decode(bytes).ok()?;
    let key = head.key(bytes)?;
    (is_partial || head.record_len() <= bytes.len()).then_some((head, key))
}

/// Whether a live record goes. Takes a use off one that stays.
#[inline]
fn is_evicted(rule: EvictRule, entry: &mut Entry) -> bool {
    match rule {
        EvictRule::Keep | EvictRule::EndedOnly => false,
        EvictRule::All => true,
        EvictRule::Unused | EvictRule::Rare => {
            let uses = entry.uses();
            let at = entry.location();
            // Where a record lies is as good as a coin: it lies elsewhere the next time.
            let spared = rule == EvictRule::Rare && (at.offset.wrapping_mul(0x9e37_79b1) >> 31) == 1;
            if uses > 0 && !spared {
                entry.set_uses(uses - 1);
            }
            uses == 0
        }
    }
}

/// Copies a record to the survivors; its old place is released. A run changes its number instead.
#[inline]
fn move_record<P: BlockPool>(
    extents: &mut crate::extent::Extents<P>,
    entry: &Entry,
    from: Location,
    record: &[u8],
    pool: &mut P,
) -> Location {
    if record.len() > EXTENT_BYTES {
        return extents.renumber_run(from);
    }
    let (to, bytes) = extents.allocate(Stream::Survivors, record.len(), pool);
    bytes.copy_from_slice(record);
    let mask = extents.mask(from) ^ extents.mask(to);
    if mask != 0 && !planted::is(PlantedBug::MoveKeepsOldChecksum) {
        mix_checksum(extents.bytes_at_mut(to, record.len()), mask);
    }
    extents.release(from, entry.length_class());
    to
}

impl<P: BlockPool> Compaction<P> {
    pub(super) fn wants_full(&self) -> bool {
        self.full.is_some()
    }
}
