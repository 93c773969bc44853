//! One extent of a round: read piece by piece, then verified some records at a time.
//!
//! A run is read in windows of an extent's size, and its one record hashed as they come: a value of half a GiB takes no
//! more memory than any other.

use super::{ScrubFinding, Step, judge::Verdict};
use crate::cold::{ExtentRead, Piece};
use crate::compaction::DamageKind;
use crate::extent::{EXTENT_HEADER_BYTES, Extents, Written};
use crate::index::{ExtentNumber, Location};
use crate::io::{BlockPool, IoDone, IoRequest, RequestId};
use crate::key::KeyHasher;
use crate::limits::{EXTENT_BYTES, SCRUB_STEP_BYTES};
use crate::planted::{self, PlantedBug};
use crate::record::{Head, Record, stored_checksum};
use crate::shard::Shard;

/// An extent being looked at.
pub(super) struct Look<P: BlockPool> {
    read: ExtentRead<P>,
    /// The round that it belongs to.
    pub(super) round_number: u64,
    used_bytes: u32,
    /// Up to this offset in the extent all is verified, or of a run hashed.
    at: usize,
    /// The record of a run.
    sum: Option<RunSum>,
    /// What is wrong with it.
    problem: Option<DamageKind>,
}

/// The record of a run, as far as it was hashed.
struct RunSum {
    hasher: crc32fast::Hasher,
    /// What its hash must be.
    expected: u32,
}

/// What verifying came to.
enum Verified {
    /// There is more of it.
    Goes,
    /// The next window of a run is wanted.
    NextWindow,
    /// All of it is intact.
    Intact,
    /// This is wrong with it.
    Damaged(DamageKind),
}

impl<P: BlockPool> Look<P> {
    pub(super) fn new(of: Written, used_bytes: u32, round_number: u64) -> Self {
        Self { read: ExtentRead::new(of.number), round_number, used_bytes, at: 0, sum: None, problem: None }
    }

    const fn is_run(&self) -> bool {
        self.used_bytes as usize > EXTENT_BYTES
    }

    /// Bytes of the window that is being read.
    fn needed(&self) -> usize {
        (self.used_bytes as usize - self.read.start()).min(EXTENT_BYTES)
    }

    /// Verifies some of what is there.
    fn verify(&mut self, extents: &Extents<P>) -> Verified {
        if self.at == 0 {
            let seal = extents.identity().expect("what is on disk has a seal");
            let salt = extents.salt_of(self.read.number);
            if seal.read_header(self.read.number, salt, self.read.bytes()) != Ok(self.used_bytes) {
                return Verified::Damaged(DamageKind::Header);
            }
            self.at = EXTENT_HEADER_BYTES;
        }
        if self.is_run() { self.hash_run(extents) } else { self.verify_records(extents) }
    }

    fn verify_records(&mut self, extents: &Extents<P>) -> Verified {
        let bytes = &self.read.bytes()[..self.used_bytes as usize];
        let stop = self.at + SCRUB_STEP_BYTES;
        while self.at < bytes.len() && self.at < stop {
            let Some(len) = intact_len(extents, self.read.number, bytes, self.at) else {
                return Verified::Damaged(DamageKind::Record);
            };
            self.at += len;
        }
        if self.at < bytes.len() { Verified::Goes } else { Verified::Intact }
    }

    fn hash_run(&mut self, extents: &Extents<P>) -> Verified {
        let window = self.read.bytes();
        let from = self.at - self.read.start();
        let mut to = (from + SCRUB_STEP_BYTES).min(self.needed());
        if self.sum.is_none() {
            let record = &window[from..];
            let at = Location { extent: self.read.number, offset: offset_of(self.at) };
            let shard = extents.identity().map(|seal| seal.shard);
            let fits = |head: &Head| {
                head.record_len() == self.used_bytes as usize - EXTENT_HEADER_BYTES
                    && Some(head.shard) == shard
            };
            if !Head::decode(record).is_ok_and(|head| fits(&head)) {
                return Verified::Damaged(DamageKind::Record);
            }
            let expected = stored_checksum(record) ^ extents.mask(at);
            self.sum = Some(RunSum { hasher: crc32fast::Hasher::new(), expected });
            // The checksum is not of itself.
            self.at += size_of::<u32>();
            to = to.max(from + size_of::<u32>());
        }
        let sum = self.sum.as_mut().expect("begun above");
        sum.hasher.update(&window[self.at - self.read.start()..to]);
        self.at = self.read.start() + to;
        if self.at == self.used_bytes as usize {
            let is_intact = sum.hasher.clone().finalize() == sum.expected;
            let is_intact = is_intact || planted::is(PlantedBug::ScrubUnverified);
            return if is_intact { Verified::Intact } else { Verified::Damaged(DamageKind::Record) };
        }
        if to == self.needed() { Verified::NextWindow } else { Verified::Goes }
    }
}

/// Offset in an extent, as the index counts it.
pub(super) fn offset_of(at: usize) -> u32 {
    u32::try_from(at).expect("an extent is below 4 GiB: limits.rs")
}

/// Length of the record at an offset of an extent's bytes, if it verifies there.
pub(super) fn intact_len<P: BlockPool>(
    extents: &Extents<P>,
    number: ExtentNumber,
    bytes: &[u8],
    at: usize,
) -> Option<usize> {
    let rest = bytes.get(at..)?;
    if planted::is(PlantedBug::ScrubUnverified) {
        return Head::decode(rest).ok().map(|head| head.record_len()).filter(|len| *len <= rest.len());
    }
    let mask = extents.mask(Location { extent: number, offset: offset_of(at) });
    let (record, len) = Record::decode(rest, mask).ok()?;
    (Some(record.shard) == extents.identity().map(|seal| seal.shard)).then_some(len)
}

impl<P: BlockPool> Shard<P> {
    /// The read that the scrub wants, if any, under this id.
    pub(crate) fn next_scrub_io(&mut self, id: RequestId, pool: &mut P) -> Option<IoRequest<P>> {
        if !matches!(self.scrub.step, Step::Read(_)) {
            return None;
        }
        let Step::Read(mut look) = std::mem::replace(&mut self.scrub.step, Step::Idle) else {
            unreachable!("just looked")
        };
        if self.extents.written_bytes(look.read.number) != Some(look.used_bytes) {
            look.read.end(pool);
            return None;
        }
        let needed = look.needed();
        let request = look.read.request(&self.extents, id, needed, pool);
        self.scrub.step = Step::Reading(look);
        Some(request)
    }

    /// The read has ended.
    pub(crate) fn on_scrub_io(&mut self, done: IoDone<P>, pool: &mut P) {
        let Step::Reading(mut look) = std::mem::replace(&mut self.scrub.step, Step::Idle) else {
            panic!("a completion has its read")
        };
        self.scrub.figures.read_bytes += done.result.unwrap_or(0) as u64;
        let needed = look.needed();
        self.scrub.step = match look.read.on_piece(done, needed, pool) {
            Piece::More => Step::Read(look),
            Piece::Whole => Step::Verify(look),
            Piece::Failed(problem) => {
                look.problem = Some(problem);
                Step::Verify(look)
            }
        };
    }

    /// Goes on verifying an extent. Returns what came of it: `None` while it is not known.
    pub(super) fn verify_step(
        &mut self,
        mut look: Look<P>,
        hasher: &KeyHasher,
        pool: &mut P,
    ) -> Option<(u64, Option<ScrubFinding>)> {
        let (number, round_number) = (look.read.number, look.round_number);
        if self.extents.written_bytes(number) != Some(look.used_bytes) {
            // It was emptied meanwhile, and something else may lie there.
            look.read.end(pool);
            return Some((round_number, None));
        }
        let problem = match look.problem {
            Some(problem) => problem,
            None => match look.verify(&self.extents) {
                Verified::Goes => {
                    self.scrub.step = Step::Verify(look);
                    return None;
                }
                Verified::NextWindow => {
                    look.read.move_on();
                    self.scrub.step = Step::Read(look);
                    return None;
                }
                Verified::Intact => {
                    look.read.end(pool);
                    self.scrub.note(number, None);
                    return Some((round_number, None));
                }
                Verified::Damaged(problem) => problem,
            },
        };
        if self.is_dropping() {
            // What a dropped keyspace holds counts as live until it is taken apart: then it is judged.
            look.problem = Some(problem);
            self.scrub.step = Step::Verify(look);
            return None;
        }
        let verdict = if look.is_run() {
            let read = look.read.start() + look.read.bytes().len();
            let offset = if problem == DamageKind::Record { EXTENT_HEADER_BYTES } else { read };
            Verdict { keys: 1, is_least: false, offset: offset_of(offset) }
        } else {
            self.judge_extent(hasher, number, look.used_bytes, look.read.bytes())
        };
        look.read.end(pool);
        let offset = match problem {
            DamageKind::Header => 0,
            DamageKind::Record if verdict.keys == 0 => {
                // What is dead may rot.
                self.scrub.note(number, None);
                return Some((round_number, None));
            }
            DamageKind::Io(_) | DamageKind::Short | DamageKind::Record => verdict.offset,
        };
        let finding = ScrubFinding {
            shard: self.id(),
            extent: number.0,
            file_offset: self.extents.file_offset(number),
            offset,
            problem,
            keys: verdict.keys,
            is_least: verdict.is_least,
        };
        self.scrub.note(number, Some(finding));
        Some((round_number, Some(finding)))
    }
}
