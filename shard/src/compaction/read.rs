//! A victim that is on disk only: the whole extent is read, piece by piece, and whether what came is it.

use super::{DamageKind, Step, Walk, walk::EvictRule};
use crate::index::ExtentNumber;
use crate::io::{BLOCK_BYTES, BlockPool, FileId, IoBuffer, IoDone, IoOperation, IoRequest, RequestId};
use crate::limits::{COMPACTION_READ_BYTES_MAX, EXTENT_BYTES};
use crate::record::Head;
use crate::shard::Shard;

/// Sealed extents that wait to be written above which no further victim is begun: the drive is behind.
pub(super) const DIRTY_EXTENTS_MAX: usize = 64;

/// A victim on its way into memory, piece by piece: one large read would hold up those that clients wait for.
pub(super) struct Reading<P: BlockPool> {
    number: ExtentNumber,
    /// Where the walk over it goes on.
    offset: u32,
    rule: EvictRule,
    /// Room for all that is to be read, once the first piece is asked for.
    all: Option<P::Buffer>,
    /// Bytes of it that are there.
    done: usize,
    /// Bytes of it that are needed at least, beyond those that are read of any victim: a very long key.
    front: usize,
}

impl<P: BlockPool> Reading<P> {
    pub(super) const fn new(number: ExtentNumber, offset: u32, rule: EvictRule) -> Self {
        Self { number, offset, rule, all: None, done: 0, front: 0 }
    }

    /// Bytes that are needed of a victim of this size.
    fn needed(&self, used_bytes: u32) -> usize {
        read_bytes(used_bytes, self.rule).max(self.front)
    }

    /// All that was asked for is there. Whether more is needed: the key of the record that it begins with goes on behind it.
    fn needs_more(&mut self, used_bytes: u32, pool: &mut P) -> bool {
        let Some(all) = self.all.as_ref() else { return false };
        let offset = self.offset as usize;
        let head = all.as_ref().get(offset..).map(Head::decode);
        let Some(Ok(head)) = head else { return false };
        let front = (offset + head.record_len() - head.value_len()).min(used_bytes as usize);
        if front <= self.needed(used_bytes) {
            return false;
        }
        let mut longer = pool.take(front.next_multiple_of(BLOCK_BYTES));
        // Reads go on at a block: what was read of the last one comes again.
        self.done -= self.done % BLOCK_BYTES;
        longer.as_mut()[..self.done].copy_from_slice(&all.as_ref()[..self.done]);
        self.front = front;
        if let Some(short) = self.all.replace(longer) {
            pool.put(short);
        }
        true
    }

    fn end(self, pool: &mut P) {
        if let Some(all) = self.all {
            pool.put(all);
        }
    }
}

impl<P: BlockPool> Shard<P> {
    /// The read that compaction wants, if any: of the shard's data file, under this id.
    pub(crate) fn next_compaction_io(
        &mut self,
        file: FileId,
        id: RequestId,
        pool: &mut P,
    ) -> Option<IoRequest<P>> {
        if !matches!(self.compaction.step, Step::Read(_)) {
            return None;
        }
        let Step::Read(mut reading) = std::mem::replace(&mut self.compaction.step, Step::Idle) else {
            unreachable!("just looked")
        };
        let Some(used_bytes) = self.extents.used_bytes(reading.number) else {
            // Nothing in it lives any more: it is empty without a read.
            reading.end(pool);
            return None;
        };
        let whole = reading.needed(used_bytes).next_multiple_of(BLOCK_BYTES);
        // As large as an extent, so that it is one that was used before.
        let room = whole.max(self.extents.usual_bytes());
        reading.all.get_or_insert_with(|| pool.take(room));
        let len = (whole - reading.done).min(COMPACTION_READ_BYTES_MAX);
        let offset = self.extents.file_offset(reading.number) + reading.done as u64;
        self.compaction.step = Step::Reading(reading);
        let operation = IoOperation::Read { file, offset, buffer: pool.take(len), len };
        Some(IoRequest { id, operation })
    }

    /// The read has ended.
    pub(crate) fn on_compaction_io(&mut self, done: IoDone<P>, pool: &mut P) {
        let Step::Reading(mut reading) = std::mem::replace(&mut self.compaction.step, Step::Idle) else {
            panic!("a completion has its read")
        };
        let IoBuffer::Owned(piece) = done.buffer else { panic!("a read gives its buffer back") };
        let Some(used_bytes) = self.extents.used_bytes(reading.number) else {
            pool.put(piece);
            reading.end(pool);
            return;
        };
        let needed = reading.needed(used_bytes);
        let all = reading.all.as_mut().expect("made for the first piece");
        let asked = (needed.next_multiple_of(BLOCK_BYTES) - reading.done).min(COMPACTION_READ_BYTES_MAX);
        let came = done.result.as_ref().map_or(0, |&bytes| bytes.min(asked));
        all.as_mut()[reading.done..reading.done + came].copy_from_slice(&piece.as_ref()[..came]);
        pool.put(piece);
        self.compaction.figures.read_bytes += came as u64;
        reading.done += came;
        let is_all = reading.done >= needed;
        let problem = match done.result {
            Err(error) => Some(DamageKind::Io(error)),
            Ok(_) if came < asked && !is_all => Some(DamageKind::Short),
            Ok(_) if !is_all => {
                self.compaction.step = Step::Read(reading);
                return;
            }
            Ok(_) if reading.needs_more(used_bytes, pool) => {
                self.compaction.step = Step::Read(reading);
                return;
            }
            Ok(_) => {
                let seal = self.extents.identity().expect("what is on disk has a seal");
                let salt = self.extents.salt_of(reading.number);
                let all = reading.all.as_ref().expect("what was read is there");
                let header = seal.read_header(reading.number, salt, all.as_ref());
                (header != Ok(used_bytes)).then_some(DamageKind::Header)
            }
        };
        let mut walk = Walk::new(reading.number, reading.offset, used_bytes, reading.rule);
        walk.read = reading.all;
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
