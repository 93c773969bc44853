//! Reads a snapshot file: everything is verified before it is handed out, the whole before it counts.
//!
//! Extents stand behind the tables that point into them, so a reader hands tables out as they come and the caller
//! keeps the entries aside, or reads in two passes: [`SnapshotReader`] is told which kind to hand out.

use std::collections::VecDeque;

use super::chunk::{
    CHUNK_BYTES, CHUNK_HEADER_BYTES, ChunkError, ChunkKind, Footer, SnapshotIdentity, TablePiece, TailCounts,
};
use super::chunk::{open, split_extent};
use crate::extent::ExtentOnDisk;
use crate::index::Entry;
use crate::io::{
    BLOCK_BYTES, BlockPool, FileId, IoBuffer, IoDone, IoError, IoErrorKind, IoOperation, IoRequest,
};
use crate::log::pending_write::RequestIds;
use crate::planted::{self, PlantedBug};
use crate::shard_manifest::PublishedSnapshot;
use crate::types::{KeyspaceId, Slot};

/// Bytes of one read.
const READ_BYTES: usize = 1 << 20;

/// Why a snapshot is not what the manifest names: the store must not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It is not there.
    #[error("{0} is missing, and the shard's manifest names it; restore it from a copy of the directory")]
    Missing(FileId),
    /// The drive does not give it back.
    #[error("{file} at offset {offset}: read failed: {error}")]
    Io {
        /// The file.
        file: FileId,
        /// Where.
        offset: u64,
        /// What the operating system said.
        error: IoError,
    },
    /// Shorter than the manifest says.
    #[error(
        "{file} ends at {bytes} bytes and should have {expected}; restore it from a copy of the directory"
    )]
    Short {
        /// The file.
        file: FileId,
        /// Bytes it has.
        bytes: u64,
        /// Bytes it should have.
        expected: u64,
    },
    /// Other bytes than were written.
    #[error(
        "{file} at offset {offset} is damaged, or is another store's, shard's or checkpoint's; restore it from a copy \
         of the directory"
    )]
    Damaged {
        /// The file.
        file: FileId,
        /// Where.
        offset: u64,
    },
    /// A later version wrote it.
    #[error(
        "{file} has format {format}, newer than this program reads; start the version that wrote it, or a later one"
    )]
    Newer {
        /// The file.
        file: FileId,
        /// Its format.
        format: u32,
    },
}

/// A piece of a snapshot.
pub enum SnapshotEvent<'a> {
    /// Entries of one table, or of a piece of it.
    Entries {
        /// Its keyspace.
        keyspace: KeyspaceId,
        /// Its slot.
        slot: Slot,
        /// The entries, all distinct.
        entries: &'a mut dyn ExactSizeIterator<Item = Entry>,
    },
    /// An extent.
    Extent(ExtentOnDisk),
    /// The next bytes of the tail: see [`super::TailReader`].
    Records(&'a [u8]),
}

/// Reads one snapshot, front to back.
pub struct SnapshotReader<P: BlockPool> {
    identity: SnapshotIdentity,
    file: FileId,
    expected_bytes: u64,
    expected_crc: u32,
    pool: P,
    ids: RequestIds,
    requests: VecDeque<IoRequest<P>>,
    synced: bool,
    /// Bytes read and not yet taken, from `offset` of the file on.
    bytes: Vec<u8>,
    offset: u64,
    read_bytes: u64,
    previous: u32,
    counts: Footer,
    /// Where the first chunk of the tail stands.
    tail_at: Option<ChunkPlace>,
    finished: bool,
}

/// A place between two chunks, and what has been seen before it.
#[derive(Clone, Copy, Debug)]
struct ChunkPlace {
    offset: u64,
    previous: u32,
    counts: Footer,
}

impl<P: BlockPool> SnapshotReader<P> {
    /// Begins to read the snapshot that a manifest names.
    #[must_use]
    pub fn new(identity: SnapshotIdentity, published: &PublishedSnapshot, pool: P) -> Self {
        assert_eq!(identity.number, published.number, "the manifest names the snapshot");
        let file = FileId::ShardSnapshot { shard: identity.shard, number: identity.number };
        let mut ids = RequestIds::new();
        // What was never made durable must not be decided on.
        let sync = IoRequest { id: ids.next(), operation: IoOperation::SyncFile { file, data_only: false } };
        Self {
            identity,
            file,
            expected_bytes: published.bytes,
            expected_crc: published.crc,
            pool,
            ids,
            requests: VecDeque::from([sync]),
            synced: false,
            bytes: Vec::new(),
            offset: 0,
            read_bytes: 0,
            previous: 0,
            counts: Footer::default(),
            tail_at: None,
            finished: false,
        }
    }

    /// Once all has been read: what the tail comes to.
    #[must_use]
    pub fn tail(&self) -> TailCounts {
        assert!(self.finished, "the footer, last, counts the tail");
        self.counts.tail
    }

    /// Reads it once more, from the first record of the tail on; `None` where there is no tail. Nothing is synced again.
    #[must_use]
    pub(super) fn again_from_tail(self) -> Option<Self> {
        assert!(self.finished, "it is read a second time when it was found whole");
        let ChunkPlace { offset, previous, counts } = self.tail_at?;
        let mut again = Self {
            requests: VecDeque::new(),
            bytes: Vec::new(),
            offset,
            read_bytes: offset,
            previous,
            counts,
            finished: false,
            ..self
        };
        again.read_on(None);
        Some(again)
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Whether all of it has been read and is as it should be.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Bytes read so far and to be read, for the progress shown.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.read_bytes, self.expected_bytes)
    }

    /// The next I/O to perform: one at a time.
    #[must_use]
    pub fn next_io(&mut self) -> Option<IoRequest<P>> {
        self.requests.pop_front()
    }

    fn read_on(&mut self, buffer: Option<P::Buffer>) {
        let left = self.expected_bytes - self.read_bytes;
        if left == 0 {
            if let Some(buffer) = buffer {
                self.pool.put(buffer);
            }
            return;
        }
        let len = usize::try_from(left.min(READ_BYTES as u64)).unwrap_or(READ_BYTES);
        // The first read is the longest: its buffer serves all that follow.
        let buffer = buffer.unwrap_or_else(|| self.pool.take(len));
        let operation = IoOperation::Read { file: self.file, offset: self.read_bytes, buffer, len };
        self.requests.push_back(IoRequest { id: self.ids.next(), operation });
    }

    /// Takes a completion and hands out what it brought.
    ///
    /// # Errors
    /// The snapshot is not what the manifest names, or `visit` said no.
    pub fn on_io<E: From<SnapshotError>>(
        &mut self,
        done: IoDone<P>,
        visit: &mut impl FnMut(SnapshotEvent<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let file = self.file;
        let read = done.result.map_err(|error| match error.kind {
            IoErrorKind::NotFound => SnapshotError::Missing(file),
            _ => SnapshotError::Io { file, offset: self.read_bytes, error },
        })?;
        if !self.synced {
            self.synced = true;
            self.read_on(None);
            return Ok(());
        }
        let IoBuffer::Owned(buffer) = done.buffer else { unreachable!("a read's buffer comes back with it") };
        let whole = read - read % BLOCK_BYTES;
        if whole == 0 {
            let (bytes, expected) = (self.read_bytes, self.expected_bytes);
            return Err(SnapshotError::Short { file, bytes, expected }.into());
        }
        self.bytes.extend_from_slice(&buffer.as_ref()[..whole]);
        self.read_bytes += whole as u64;
        self.take_chunks(visit)?;
        self.read_on(Some(buffer));
        Ok(())
    }

    fn take_chunks<E: From<SnapshotError>>(
        &mut self,
        visit: &mut impl FnMut(SnapshotEvent<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut at, file) = (0, self.file);
        while at < self.bytes.len() {
            let offset = self.offset + at as u64;
            let damaged = SnapshotError::Damaged { file, offset };
            if self.finished {
                return Err(damaged.into());
            }
            let header = match open(&self.identity, offset, self.previous, &self.bytes[at..]) {
                Ok(header) => header,
                Err(ChunkError::Short(needed)) if offset + needed as u64 <= self.expected_bytes => break,
                Err(ChunkError::Newer(format)) => return Err(SnapshotError::Newer { file, format }.into()),
                Err(ChunkError::Damaged | ChunkError::Short(_)) => return Err(damaged.into()),
            };
            let start = at + CHUNK_HEADER_BYTES;
            let payload = &self.bytes[start..start + header.payload];
            match header.kind {
                ChunkKind::Entries => {
                    let mut rest = payload;
                    while !rest.is_empty() {
                        let (piece, after) = TablePiece::split(rest).ok_or(damaged)?;
                        let mut entries = piece.entries();
                        self.counts.entries += entries.len() as u64;
                        let (keyspace, slot) = (piece.keyspace, piece.slot);
                        visit(SnapshotEvent::Entries { keyspace, slot, entries: &mut entries })?;
                        rest = after;
                    }
                }
                ChunkKind::Extents => {
                    let mut rest = payload;
                    while !rest.is_empty() {
                        let (extent, after) = split_extent(header.format, rest).ok_or(damaged)?;
                        self.counts.extents += 1;
                        visit(SnapshotEvent::Extent(extent))?;
                        rest = after;
                    }
                }
                ChunkKind::Records => {
                    let here = ChunkPlace { offset, previous: self.previous, counts: self.counts };
                    self.tail_at.get_or_insert(here);
                    self.counts.tail.bytes += header.payload as u64;
                    visit(SnapshotEvent::Records(payload))?;
                }
                ChunkKind::Footer => {
                    let is_last = offset + header.bytes as u64 == self.expected_bytes;
                    let footer = Footer::read(header.format, payload).ok_or(damaged)?;
                    // How many records there are shows when they are read.
                    let tail = TailCounts { bytes: self.counts.tail.bytes, ..footer.tail };
                    self.counts.tail = tail;
                    let is_it = footer == self.counts && header.crc == self.expected_crc && is_last;
                    if !is_it && !planted::is(PlantedBug::SnapshotEndUnverified) {
                        return Err(damaged.into());
                    }
                    self.finished = true;
                }
            }
            if header.kind != ChunkKind::Footer {
                self.counts.chunks += 1;
            }
            self.previous = header.crc;
            at += header.bytes;
        }
        self.bytes.drain(..at);
        self.offset += at as u64;
        if self.read_bytes == self.expected_bytes && !self.finished {
            return Err(SnapshotError::Damaged { file, offset: self.offset }.into());
        }
        assert!(self.bytes.len() < CHUNK_BYTES, "less than a chunk is left");
        Ok(())
    }
}
