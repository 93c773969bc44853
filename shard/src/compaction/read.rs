//! A victim that is on disk only: the whole extent is read, piece by piece, and whether what came is it.

use super::{DamageKind, Step, Walk, walk::EvictRule};
use crate::cold::{ExtentRead, Piece};
use crate::index::ExtentNumber;
use crate::io::{BLOCK_BYTES, BlockPool, IoDone, IoRequest, RequestId};
use crate::limits::EXTENT_BYTES;
use crate::record::Head;
use crate::shard::Shard;

/// Sealed extents that wait to be written above which no further victim is begun: the drive is behind.
pub(super) const DIRTY_EXTENTS_MAX: usize = 64;

/// A victim on its way into memory.
pub(super) struct Reading<P: BlockPool> {
    read: ExtentRead<P>,
    /// Where the walk over it goes on.
    offset: u32,
    rule: EvictRule,
    /// Bytes of it that are needed at least, beyond those that are read of any victim: a very long key.
    front: usize,
}

impl<P: BlockPool> Reading<P> {
    pub(super) const fn new(number: ExtentNumber, offset: u32, rule: EvictRule) -> Self {
        Self { read: ExtentRead::new(number), offset, rule, front: 0 }
    }

    /// Bytes that are needed of a victim of this size.
    fn needed(&self, used_bytes: u32) -> usize {
        read_bytes(used_bytes, self.rule).max(self.front)
    }

    /// All that was asked for is there. Whether more is needed: the key of the record that it begins with goes on behind it.
    fn needs_more(&mut self, used_bytes: u32, pool: &mut P) -> bool {
        let offset = self.offset as usize;
        let Some(Ok(head)) = self.read.bytes().get(offset..).map(Head::decode) else { return false };
        let front = (offset + head.record_len() - head.value_len()).min(used_bytes as usize);
        if front <= self.needed(used_bytes) {
            return false;
        }
        self.read.make_room(front.next_multiple_of(BLOCK_BYTES), pool);
        self.front = front;
        true
    }
}

impl<P: BlockPool> Shard<P> {
    /// The read that compaction wants, if any, under this id.
    pub(crate) fn next_compaction_io(&mut self, id: RequestId, pool: &mut P) -> Option<IoRequest<P>> {
        if !matches!(self.compaction.step, Step::Read(_)) {
            return None;
        }
        let Step::Read(mut reading) = std::mem::replace(&mut self.compaction.step, Step::Idle) else {
            unreachable!("just looked")
        };
        let Some(used_bytes) = self.extents.used_bytes(reading.read.number) else {
            // Nothing in it lives any more: it is empty without a read.
            reading.read.end(pool);
            return None;
        };
        let needed = reading.needed(used_bytes);
        let request = reading.read.request(&self.extents, id, needed, pool);
        self.compaction.step = Step::Reading(reading);
        Some(request)
    }

    /// The read has ended.
    pub(crate) fn on_compaction_io(&mut self, done: IoDone<P>, pool: &mut P) {
        let Step::Reading(mut reading) = std::mem::replace(&mut self.compaction.step, Step::Idle) else {
            panic!("a completion has its read")
        };
        let number = reading.read.number;
        let used_bytes = self.extents.used_bytes(number);
        let needed = reading.needed(used_bytes.unwrap_or(0));
        self.compaction.figures.read_bytes += done.result.unwrap_or(0) as u64;
        let piece = reading.read.on_piece(done, needed, pool);
        let Some(used_bytes) = used_bytes else {
            reading.read.end(pool);
            return;
        };
        let problem = match piece {
            Piece::Failed(problem) => Some(problem),
            Piece::More => {
                self.compaction.step = Step::Read(reading);
                return;
            }
            Piece::Whole if reading.needs_more(used_bytes, pool) => {
                self.compaction.step = Step::Read(reading);
                return;
            }
            Piece::Whole => {
                let seal = self.extents.identity().expect("what is on disk has a seal");
                let header = seal.read_header(number, self.extents.salt_of(number), reading.read.bytes());
                (header != Ok(used_bytes)).then_some(DamageKind::Header)
            }
        };
        let mut walk = Walk::new(number, reading.offset, used_bytes, reading.rule);
        walk.read = reading.read.into_buffer();
        match problem {
            Some(problem) => self.give_up(walk, problem, pool),
            None => self.compaction.step = Step::Walk(walk),
        }
    }
}

/// How much of a victim is read: all of it, but of a run that is not to be moved the front, in which the key begins. More is
/// read where the key is longer.
fn read_bytes(used_bytes: u32, rule: EvictRule) -> usize {
    let all = used_bytes as usize;
    if rule == EvictRule::EndedOnly { all.min(EXTENT_BYTES) } else { all }
}
