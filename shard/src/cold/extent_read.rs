//! An extent on its way from the data file into memory, piece by piece: one large read would hold up those that clients
//! wait for. Shared by compaction, which reads its victims so, and the scrub, which reads everything.
//!
//! A read that is cut short goes on behind the last whole block that came; one that brings no block is the end of the
//! file. Whether what came is the extent is the reader's to ask.

use crate::compaction::DamageKind;
use crate::extent::Extents;
use crate::index::ExtentNumber;
use crate::io::{BLOCK_BYTES, BlockPool, FileId, IoBuffer, IoDone, IoOperation, IoRequest, RequestId};
use crate::limits::COMPACTION_READ_BYTES_MAX;

/// What the end of one piece's read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Another piece is to be asked for.
    More,
    /// All that is needed is there.
    Whole,
    /// It cannot be had; what came before it is there.
    Failed(DamageKind),
}

/// A window of an extent that is being read: all of it, or of a run a part.
pub(crate) struct ExtentRead<P: BlockPool> {
    /// The extent.
    pub(crate) number: ExtentNumber,
    /// Offset in the extent at which the window begins: a multiple of [`BLOCK_BYTES`].
    start: usize,
    /// Room for the window, once its first piece is asked for.
    room: Option<P::Buffer>,
    /// Bytes of it that are there; a multiple of [`BLOCK_BYTES`] until all are.
    done: usize,
}

impl<P: BlockPool> ExtentRead<P> {
    /// A window that begins with the extent.
    pub(crate) const fn new(number: ExtentNumber) -> Self {
        Self { number, start: 0, room: None, done: 0 }
    }

    /// The next piece, `needed` being the bytes of the window that are wanted: above what is there.
    pub(crate) fn request(
        &mut self,
        extents: &Extents<P>,
        id: RequestId,
        needed: usize,
        pool: &mut P,
    ) -> IoRequest<P> {
        assert!(self.done < needed, "a piece is asked for when something is missing");
        let whole = needed.next_multiple_of(BLOCK_BYTES);
        // As large as an extent, so that it is one that was used before.
        let room = whole.max(extents.usual_bytes());
        self.room.get_or_insert_with(|| pool.take(room));
        let len = (whole - self.done).min(COMPACTION_READ_BYTES_MAX);
        let shard = extents.identity().expect("what is on disk has a seal").shard;
        let offset = extents.file_offset(self.number) + (self.start + self.done) as u64;
        let file = FileId::ShardData { shard };
        let operation = IoOperation::Read { file, offset, buffer: pool.take(len), len };
        IoRequest { id, operation }
    }

    /// The read of a piece has ended. `needed`: as it was asked for.
    pub(crate) fn on_piece(&mut self, done: IoDone<P>, needed: usize, pool: &mut P) -> Piece {
        let IoBuffer::Owned(piece) = done.buffer else { panic!("a read gives its buffer back") };
        let room = self.room.as_mut().expect("made for the first piece").as_mut();
        let asked = needed.next_multiple_of(BLOCK_BYTES).saturating_sub(self.done);
        let came = done.result.as_ref().map_or(0, |&bytes| bytes.min(asked).min(COMPACTION_READ_BYTES_MAX));
        room[self.done..self.done + came].copy_from_slice(&piece.as_ref()[..came]);
        pool.put(piece);
        match done.result {
            Err(error) => Piece::Failed(DamageKind::Io(error)),
            Ok(_) if self.done + came >= needed => {
                self.done += came;
                Piece::Whole
            }
            Ok(_) => {
                let blocks = came - came % BLOCK_BYTES;
                self.done += blocks;
                if blocks > 0 { Piece::More } else { Piece::Failed(DamageKind::Short) }
            }
        }
    }

    /// What is there of the window.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.room.as_ref().map_or(&[], |room| &room.as_ref()[..self.done])
    }

    /// Makes the window longer, to `bytes`, a multiple of [`BLOCK_BYTES`]; what is there stays.
    pub(crate) fn make_room(&mut self, bytes: usize, pool: &mut P) {
        let mut longer = pool.take(bytes);
        // Reads go on at a block: what was read of the last one comes again.
        self.done -= self.done % BLOCK_BYTES;
        longer.as_mut()[..self.done].copy_from_slice(self.bytes());
        if let Some(short) = self.room.replace(longer) {
            pool.put(short);
        }
    }

    /// Moves the window on to the next bytes of the extent, in the same room. What is there is forgotten; all of it was
    /// whole blocks.
    pub(crate) fn move_on(&mut self) {
        assert!(self.done.is_multiple_of(BLOCK_BYTES), "a window in the middle of a run is whole blocks");
        self.start += self.done;
        self.done = 0;
    }

    /// Offset in the extent at which the window begins.
    pub(crate) const fn start(&self) -> usize {
        self.start
    }

    /// The room, to be given back to the pool.
    pub(crate) fn into_buffer(self) -> Option<P::Buffer> {
        self.room
    }

    /// Gives the room back.
    pub(crate) fn end(self, pool: &mut P) {
        if let Some(room) = self.room {
            pool.put(room);
        }
    }
}
