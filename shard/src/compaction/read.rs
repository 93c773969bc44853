//! A victim that is on disk only: one read of the whole extent, and whether what came is it.

use super::{DamageKind, Step, Walk, walk::EvictRule};
use crate::io::{BLOCK_BYTES, BlockPool, FileId, IoBuffer, IoDone, IoOperation, IoRequest, RequestId};
use crate::limits::EXTENT_BYTES;
use crate::shard::Shard;

/// Sealed extents that wait to be written above which no further victim is begun: the drive is behind.
pub(super) const DIRTY_EXTENTS_MAX: usize = 64;

impl<P: BlockPool> Shard<P> {
    /// The read that compaction wants, if any: of the shard's data file, under this id.
    pub(crate) fn next_compaction_io(
        &mut self,
        file: FileId,
        id: RequestId,
        pool: &mut P,
    ) -> Option<IoRequest<P>> {
        let Step::Read { number, offset, rule } = self.compaction.step else { return None };
        let Some(used_bytes) = self.extents.used_bytes(number) else {
            // Nothing in it lives any more: it is empty without a read.
            self.compaction.step = Step::Idle;
            return None;
        };
        self.compaction.step = Step::Reading { number, offset, rule };
        let len = read_bytes(used_bytes, rule).next_multiple_of(BLOCK_BYTES);
        let operation =
            IoOperation::Read { file, offset: self.extents.file_offset(number), buffer: pool.take(len), len };
        Some(IoRequest { id, operation })
    }

    /// The read has ended.
    pub(crate) fn on_compaction_io(&mut self, done: IoDone<P>, pool: &mut P) {
        let Step::Reading { number, offset, rule } = std::mem::replace(&mut self.compaction.step, Step::Idle)
        else {
            panic!("a completion has its read")
        };
        let IoBuffer::Owned(buffer) = done.buffer else { panic!("a read gives its buffer back") };
        let Some(used_bytes) = self.extents.used_bytes(number) else {
            pool.put(buffer);
            return;
        };
        let problem = match done.result {
            Err(error) => Some(DamageKind::Io(error)),
            Ok(bytes) if bytes < read_bytes(used_bytes, rule) => Some(DamageKind::Short),
            Ok(_) => {
                let seal = self.extents.identity().expect("what is on disk has a seal");
                let header = seal.read_header(number, self.extents.salt_of(number), buffer.as_ref());
                (header != Ok(used_bytes)).then_some(DamageKind::Header)
            }
        };
        self.compaction.figures.read_bytes += read_bytes(used_bytes, rule) as u64;
        let mut walk = Walk::new(number, offset, used_bytes, rule);
        walk.read = Some(buffer);
        match problem {
            Some(problem) => self.give_up(walk, problem, pool),
            None => self.compaction.step = Step::Walk(walk),
        }
    }
}

/// How much of a victim is read: all of it, but of a run that is not to be moved the front, in which the key lies unless it
/// is very long.
fn read_bytes(used_bytes: u32, rule: EvictRule) -> usize {
    let all = used_bytes as usize;
    if rule == EvictRule::EndedOnly { all.min(EXTENT_BYTES) } else { all }
}
