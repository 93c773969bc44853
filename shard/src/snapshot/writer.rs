//! Writes a snapshot file, fed table by table.
//!
//! The file is created, chunks are written one behind the other with a few in flight, and when the footer is there
//! too, file and directory are synced: only then it is finished. A full disk is no harm: the file counts for nothing
//! until it is published, so it is given up. Any other error is the end, as everywhere.
//!
//! Beside the tables it takes the records of the tail (`tail.rs`): the chunks of both alternate as they become full, so
//! that neither waits for the other and what is in memory stays bounded.

use std::collections::VecDeque;

use super::chunk::{
    CHUNK_BYTES, CHUNK_HEADER_BYTES, ChunkKind, ENTRY_BYTES, Footer, SnapshotIdentity, TABLE_HEAD_BYTES,
    extent_bytes, put_entry, put_extent, put_table_head, seal,
};
use crate::extent::ExtentOnDisk;
use crate::index::Entry;
use crate::io::{BlockPool, Fatal, FileId, IoBuffer, IoDone, IoErrorKind, IoOperation, IoRequest, RequestId};
use crate::limits::TAIL_CHUNKS_MAX;
use crate::log::pending_write::{Advance, PendingWrite, RequestIds};
use crate::planted::{self, PlantedBug};
use crate::types::{KeyspaceId, Lsn, Slot};

/// Chunks of tables and extents in flight above which the caller should feed no more of them.
const IN_FLIGHT_MAX: usize = 2;

/// A chunk being filled.
struct OpenChunk<B> {
    kind: ChunkKind,
    buffer: B,
    payload: usize,
}

/// A chunk handed in and not written yet.
struct Flight {
    write: PendingWrite,
    kind: ChunkKind,
}

/// What the end of the file waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// More is to come.
    Open,
    /// The last chunk is handed in.
    Closing,
    /// The file is being synced.
    SyncingFile(RequestId),
    /// The directory is being synced.
    SyncingDirectory(RequestId),
    /// All of it survives power loss.
    Finished,
}

/// Writes one snapshot.
pub struct SnapshotWriter<P: BlockPool> {
    identity: SnapshotIdentity,
    file: FileId,
    create: Option<RequestId>,
    is_created: bool,
    open: Option<OpenChunk<P::Buffer>>,
    /// The chunk of records being filled.
    tail: Option<OpenChunk<P::Buffer>>,
    /// Whether no more records come.
    tail_ended: bool,
    /// Chunks that wait for the file to be there.
    waiting: VecDeque<IoRequest<P>>,
    flights: Vec<Flight>,
    offset: u64,
    previous: u32,
    counts: Footer,
    end: End,
    /// The disk was too full for it.
    no_space: bool,
}

impl<P: BlockPool> SnapshotWriter<P> {
    /// Begins a snapshot: the file is created anew.
    #[must_use]
    pub fn new(identity: SnapshotIdentity) -> Self {
        assert!(identity.number > 0, "snapshots are numbered from 1");
        Self {
            identity,
            file: FileId::ShardSnapshot { shard: identity.shard, number: identity.number },
            create: None,
            is_created: false,
            open: None,
            tail: None,
            tail_ended: false,
            waiting: VecDeque::new(),
            flights: Vec::new(),
            offset: 0,
            previous: 0,
            counts: Footer::default(),
            end: End::Open,
            no_space: false,
        }
    }

    /// Whether the disk was too full for it: it can only be given up.
    #[must_use]
    pub fn has_no_space(&self) -> bool {
        self.no_space
    }

    /// Whether nothing of it is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        let syncing = matches!(self.end, End::SyncingFile(_) | End::SyncingDirectory(_));
        self.flights.is_empty() && self.create.is_none() && !syncing
    }

    /// The file, if it may be there.
    pub(crate) fn file_made(&self) -> Option<FileId> {
        self.is_created.then_some(self.file)
    }

    /// Nothing more is asked for: what is in flight ends, what waits never begins.
    pub(crate) fn give_up(&mut self, pool: &mut P) {
        self.no_space = true;
        for open in [self.open.take(), self.tail.take()].into_iter().flatten() {
            pool.put(open.buffer);
        }
        for request in self.waiting.drain(..) {
            self.flights.retain(|flight| flight.write.id != request.id);
            if let IoOperation::Write { buffer, .. } = request.operation {
                pool.reclaim(buffer);
            }
        }
    }

    /// Whether more tables or extents may be fed now. Chunks of records do not count: however many come, the copy goes on.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.flights.len() - self.tail_flights() < IN_FLIGHT_MAX && !self.no_space
    }

    /// Whether so many records wait to be written that whoever makes them should wait.
    #[must_use]
    pub fn is_tail_full(&self) -> bool {
        self.tail_flights() >= TAIL_CHUNKS_MAX
    }

    fn tail_flights(&self) -> usize {
        self.flights.iter().filter(|flight| flight.kind == ChunkKind::Records).count()
    }

    /// Whether all of it survives power loss.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.end == End::Finished
    }

    /// Length of the file and the checksum of its footer, once it is finished.
    #[must_use]
    pub fn summary(&self) -> (u64, u32) {
        assert!(self.is_finished(), "only what is finished is published");
        (self.offset, self.previous)
    }

    /// Adds a table.
    pub(crate) fn push_table(
        &mut self,
        keyspace: KeyspaceId,
        slot: Slot,
        count: usize,
        mut entries: impl Iterator<Item = Entry>,
        pool: &mut P,
        ids: &mut RequestIds,
    ) {
        let mut left = count;
        self.counts.entries += count as u64;
        while left > 0 {
            let chunk = self.chunk(ChunkKind::Entries, TABLE_HEAD_BYTES + ENTRY_BYTES, pool, ids);
            let room = CHUNK_BYTES - CHUNK_HEADER_BYTES - chunk.payload - TABLE_HEAD_BYTES;
            let here = left.min(room / ENTRY_BYTES);
            let start = CHUNK_HEADER_BYTES + chunk.payload;
            let out = &mut chunk.buffer.as_mut()[start..start + TABLE_HEAD_BYTES + here * ENTRY_BYTES];
            let (head, out) = out.split_at_mut(TABLE_HEAD_BYTES);
            put_table_head(keyspace, slot, here, head);
            for out in out.chunks_exact_mut(ENTRY_BYTES) {
                put_entry(entries.next().expect("as many entries as were announced"), out);
            }
            chunk.payload += TABLE_HEAD_BYTES + here * ENTRY_BYTES;
            left -= here;
        }
        assert!(entries.next().is_none(), "as many entries as were announced");
    }

    /// Adds an extent. Extents come after all tables.
    pub(crate) fn push_extent(&mut self, extent: &ExtentOnDisk, pool: &mut P, ids: &mut RequestIds) {
        self.counts.extents += 1;
        let bytes = extent_bytes(extent);
        let chunk = self.chunk(ChunkKind::Extents, bytes, pool, ids);
        let start = CHUNK_HEADER_BYTES + chunk.payload;
        put_extent(extent, &mut chunk.buffer.as_mut()[start..start + bytes]);
        chunk.payload += bytes;
    }

    /// Adds a whole record, as a log would hold it. They come in the order of their LSNs, while tables are fed.
    pub(crate) fn push_record(&mut self, record: &[u8], pool: &mut P, ids: &mut RequestIds) {
        assert!(!self.tail_ended, "no record comes behind the end of the tail");
        if self.no_space || planted::is(PlantedBug::TailRecordSkipped) && self.counts.tail.records == 1 {
            return;
        }
        self.counts.tail.records += 1;
        self.counts.tail.bytes += record.len() as u64;
        let mut rest = record;
        while !rest.is_empty() {
            let tail = self.tail.get_or_insert_with(|| OpenChunk {
                kind: ChunkKind::Records,
                buffer: pool.take(CHUNK_BYTES),
                payload: 0,
            });
            let start = CHUNK_HEADER_BYTES + tail.payload;
            let (here, after) = rest.split_at(rest.len().min(CHUNK_BYTES - start));
            tail.buffer.as_mut()[start..start + here.len()].copy_from_slice(here);
            tail.payload += here.len();
            rest = after;
            if start + here.len() == CHUNK_BYTES {
                self.close_tail_chunk(pool, ids);
            }
        }
    }

    /// The copy has ended, `end` is the last record of the shard: no more records come.
    pub(crate) fn end_tail(&mut self, end: Lsn, pool: &mut P, ids: &mut RequestIds) {
        assert!(!self.tail_ended, "a tail ends once");
        self.tail_ended = true;
        self.counts.tail.end = end;
        self.close_tail_chunk(pool, ids);
    }

    /// All is fed: the footer goes out, then everything is synced.
    pub(crate) fn finish(&mut self, pool: &mut P, ids: &mut RequestIds) {
        assert_eq!(self.end, End::Open, "a snapshot is finished once");
        assert!(self.tail.is_none(), "the tail ends before the snapshot does");
        self.close_chunk(pool, ids);
        let footer = self.counts;
        let chunk = self.chunk(ChunkKind::Footer, Footer::BYTES, pool, ids);
        footer.put(&mut chunk.buffer.as_mut()[CHUNK_HEADER_BYTES..]);
        chunk.payload = Footer::BYTES;
        self.close_chunk(pool, ids);
        self.end = End::Closing;
    }

    /// The open chunk of a kind, with so much room.
    fn chunk(
        &mut self,
        kind: ChunkKind,
        room: usize,
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> &mut OpenChunk<P::Buffer> {
        let fits = |open: &OpenChunk<P::Buffer>| {
            open.kind == kind && CHUNK_HEADER_BYTES + open.payload + room <= CHUNK_BYTES
        };
        if !self.open.as_ref().is_some_and(fits) {
            self.close_chunk(pool, ids);
            self.open = Some(OpenChunk { kind, buffer: pool.take(CHUNK_BYTES), payload: 0 });
        }
        let Some(open) = &mut self.open else { unreachable!("just opened") };
        open
    }

    fn close_chunk(&mut self, pool: &mut P, ids: &mut RequestIds) {
        if let Some(open) = self.open.take() {
            self.send(open, pool, ids);
        }
    }

    fn close_tail_chunk(&mut self, pool: &mut P, ids: &mut RequestIds) {
        if let Some(tail) = self.tail.take() {
            self.send(tail, pool, ids);
        }
    }

    /// Seals a chunk and sends it on its way, behind all before it.
    fn send(&mut self, mut open: OpenChunk<P::Buffer>, pool: &mut P, ids: &mut RequestIds) {
        let (bytes, crc) =
            seal(&self.identity, open.kind, open.payload, self.offset, self.previous, open.buffer.as_mut());
        let write = PendingWrite {
            id: ids.next(),
            file: self.file,
            offset: self.offset,
            range: 0..bytes,
            durable: false,
            what: "writing a snapshot",
        };
        self.waiting.push_back(write.request(pool.freeze(open.buffer)));
        self.flights.push(Flight { write, kind: open.kind });
        self.offset += bytes as u64;
        self.previous = crc;
        if open.kind != ChunkKind::Footer {
            self.counts.chunks += 1;
        }
    }

    /// The next I/O to perform.
    pub(crate) fn next_io(&mut self, ids: &mut RequestIds) -> Option<IoRequest<P>> {
        if self.no_space {
            return None;
        }
        if !self.is_created {
            if self.create.is_some() {
                return None;
            }
            let id = ids.next();
            self.create = Some(id);
            return Some(IoRequest { id, operation: IoOperation::CreateFile { file: self.file, bytes: 0 } });
        }
        if let Some(request) = self.waiting.pop_front() {
            return Some(request);
        }
        let is_open = |flight: &Flight| {
            flight.kind != ChunkKind::Records || !planted::is(PlantedBug::PublishBeforeTailWritten)
        };
        if self.end == End::Closing && !self.flights.iter().any(is_open) {
            let id = ids.next();
            if planted::is(PlantedBug::PublishBeforeSnapshotSync) {
                self.end = End::SyncingDirectory(id);
                return Some(IoRequest { id, operation: IoOperation::SyncDirectory });
            }
            self.end = End::SyncingFile(id);
            let operation = IoOperation::SyncFile { file: self.file, data_only: false };
            return Some(IoRequest { id, operation });
        }
        None
    }

    /// Whether a completion is of this snapshot's.
    pub(crate) fn owns(&self, id: RequestId) -> bool {
        self.create == Some(id)
            || self.end == End::SyncingFile(id)
            || self.end == End::SyncingDirectory(id)
            || self.flights.iter().any(|flight| flight.write.id == id)
    }

    /// Takes a completion.
    ///
    /// # Errors
    /// What is on disk is unknown: the process must stop.
    pub(crate) fn on_io(
        &mut self,
        done: IoDone<P>,
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> Result<Option<IoRequest<P>>, Fatal> {
        let file = self.file;
        let failed = |what, error| Fatal { what, file, offset: 0, error };
        if matches!(&done.result, Err(error) if error.kind == IoErrorKind::NoSpace) {
            self.on_no_space(done, pool);
            return Ok(None);
        }
        if self.create == Some(done.id) {
            done.result.map_err(|error| failed("creating a snapshot", error))?;
            (self.create, self.is_created) = (None, true);
            return Ok(None);
        }
        if self.end == End::SyncingFile(done.id) {
            done.result.map_err(|error| failed("syncing a snapshot", error))?;
            if planted::is(PlantedBug::PublishBeforeSnapshotNamed) {
                self.end = End::Finished;
                return Ok(None);
            }
            let id = ids.next();
            self.end = End::SyncingDirectory(id);
            return Ok(Some(IoRequest { id, operation: IoOperation::SyncDirectory }));
        }
        if self.end == End::SyncingDirectory(done.id) {
            done.result.map_err(|error| failed("syncing the store directory", error))?;
            self.end = End::Finished;
            return Ok(None);
        }
        let at = self.flights.iter().position(|flight| flight.write.id == done.id);
        let at = at.expect("a completion has its write");
        match self.flights[at].write.advance(done, ids)? {
            Advance::Continue(request) => Ok(Some(request)),
            Advance::Written(buffer) => {
                pool.reclaim(buffer);
                self.flights.swap_remove(at);
                Ok(None)
            }
        }
    }

    fn on_no_space(&mut self, done: IoDone<P>, pool: &mut P) {
        if self.create == Some(done.id) {
            self.create = None;
        } else if self.end == End::SyncingFile(done.id) || self.end == End::SyncingDirectory(done.id) {
            self.end = End::Closing;
        } else {
            self.flights.retain(|flight| flight.write.id != done.id);
        }
        if let IoBuffer::Frozen(buffer) = done.buffer {
            pool.reclaim(buffer);
        }
        self.give_up(pool);
    }
}
