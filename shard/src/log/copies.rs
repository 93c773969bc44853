//! Manifests in two copies: loading the one that counts, repairing the other, writing both.
//!
//! Rules kept here: everything is synced before it is read, so that no decision rests on what was never durable;
//! the highest intact copy counts, unless the other is intact and not the version it was made of; a copy that differs from it is rewritten before anything else happens; copy A is
//! durable before copy B is begun.

use crate::io::{
    BLOCK_BYTES, BlockPool, Fatal, FileId, IoBuffer, IoDone, IoError, IoErrorKind, IoOperation, IoRequest,
    RequestId,
};
use crate::log::manifest::envelope::checksum_of;
use crate::log::manifest::{LogManifest, ManifestRead};
use crate::log::pending_write::{Advance, PendingWrite, RequestIds};
use crate::planted::{self, PlantedBug};
use crate::shard_manifest::ShardManifest;
use crate::store_manifest::StoreManifest;

/// Bytes of one read of a manifest.
const READ_BYTES: usize = 64 << 10;

/// A manifest that is kept in two copies.
pub(crate) trait TwoCopies: Clone + PartialEq {
    fn decode(bytes: &[u8]) -> ManifestRead<Self>;
    fn encode(&self) -> Vec<u8>;
    fn sequence(&self) -> u64;
    /// Checksum of the version before this one; `None`: its format does not say.
    fn parent(&self) -> Option<u32>;

    /// Checksum of this version, as its successor carries it.
    fn checksum(&self) -> u32 {
        checksum_of(&self.encode())
    }

    /// Whether two intact copies may stand beside each other: they are one version, or the newer was made of the older.
    /// Anything else is two histories: each may hold what the other lacks.
    fn agrees_with(&self, other: &Self) -> bool {
        if self.sequence() == other.sequence() {
            return self == other;
        }
        let (older, newer) = if self.sequence() < other.sequence() { (self, other) } else { (other, self) };
        newer.parent().is_none_or(|parent| parent == older.checksum())
            || planted::is(PlantedBug::ParentNotChecked)
    }
}

impl TwoCopies for LogManifest {
    fn decode(bytes: &[u8]) -> ManifestRead<Self> {
        Self::decode(bytes)
    }

    fn encode(&self) -> Vec<u8> {
        self.encode()
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn parent(&self) -> Option<u32> {
        self.known_parent()
    }
}

impl TwoCopies for StoreManifest {
    fn decode(bytes: &[u8]) -> ManifestRead<Self> {
        Self::decode(bytes)
    }

    fn encode(&self) -> Vec<u8> {
        self.encode()
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn parent(&self) -> Option<u32> {
        self.known_parent()
    }
}

impl TwoCopies for ShardManifest {
    fn decode(bytes: &[u8]) -> ManifestRead<Self> {
        Self::decode(bytes)
    }

    fn encode(&self) -> Vec<u8> {
        self.encode()
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn parent(&self) -> Option<u32> {
        self.known_parent()
    }
}

/// What one copy turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CopyState<M> {
    /// Intact.
    Valid(M),
    /// Written by a later version of the program.
    Newer(u32),
    /// There, but never finished, or damaged.
    Damaged,
    /// There, but the drive does not give it back.
    Unreadable(IoError),
    /// Not there.
    Missing,
}

/// What the two copies amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Loaded<M> {
    /// This is the manifest; `stale[i]`: copy i differs and must be rewritten, `missing[i]`: it is not even there.
    Manifest { manifest: M, stale: [bool; 2], missing: [bool; 2] },
    /// Neither copy is there.
    Missing,
    /// Neither copy is intact.
    Damaged,
    /// No intact copy, and one of them cannot be read.
    Unreadable(FileId, IoError),
    /// A later version of the program wrote this format.
    Newer(u32),
    /// Two intact copies say different things, and neither is the version before the other.
    Contradiction,
}

/// Loads a manifest: syncs, then reads both copies.
pub(crate) struct CopiesLoad<M> {
    files: [FileId; 2],
    bytes_max: usize,
    syncs: Vec<(RequestId, Option<usize>)>,
    reads: Vec<(RequestId, usize)>,
    /// What was read of each copy so far.
    bytes: [Vec<u8>; 2],
    copies: [CopyState<M>; 2],
}

impl<M: TwoCopies> CopiesLoad<M> {
    /// Starts; the requests go to `out`.
    pub(crate) fn start<P: BlockPool>(
        files: [FileId; 2],
        bytes_max: usize,
        ids: &mut RequestIds,
        out: &mut impl Extend<IoRequest<P>>,
    ) -> Self {
        let mut syncs = Vec::new();
        for (copy, &file) in files.iter().enumerate() {
            let id = ids.next();
            syncs.push((id, Some(copy)));
            out.extend([IoRequest { id, operation: IoOperation::SyncFile { file, data_only: false } }]);
        }
        let id = ids.next();
        syncs.push((id, None));
        out.extend([IoRequest { id, operation: IoOperation::SyncDirectory }]);
        let copies = [CopyState::Damaged, CopyState::Damaged];
        Self { files, bytes_max, syncs, reads: Vec::new(), bytes: [Vec::new(), Vec::new()], copies }
    }

    /// Starts, of copies that are there and durable, but for one that was just written in place, if one was.
    pub(crate) fn again<P: BlockPool>(
        files: [FileId; 2],
        bytes_max: usize,
        written: Option<FileId>,
        pool: &mut P,
        ids: &mut RequestIds,
        out: &mut impl Extend<IoRequest<P>>,
    ) -> Self {
        let copies = [CopyState::Damaged, CopyState::Damaged];
        let bytes = [Vec::new(), Vec::new()];
        let mut this = Self { files, bytes_max, syncs: Vec::new(), reads: Vec::new(), bytes, copies };
        match files.iter().position(|&file| Some(file) == written) {
            Some(copy) => {
                let (id, file) = (ids.next(), files[copy]);
                this.syncs.push((id, Some(copy)));
                out.extend([IoRequest { id, operation: IoOperation::SyncFile { file, data_only: true } }]);
            }
            None => this.start_reads(pool, ids, out),
        }
        this
    }

    /// Takes a completion. The result is there when all are in.
    pub(crate) fn on_io<P: BlockPool>(
        &mut self,
        done: IoDone<P>,
        pool: &mut P,
        ids: &mut RequestIds,
        out: &mut impl Extend<IoRequest<P>>,
    ) -> Result<Option<Loaded<M>>, Fatal> {
        if let Some(at) = self.syncs.iter().position(|(id, _)| *id == done.id) {
            let (_, copy) = self.syncs.swap_remove(at);
            match (done.result, copy) {
                (Ok(_), _) => {}
                (Err(error), Some(copy)) if error.kind == IoErrorKind::NotFound => {
                    self.copies[copy] = CopyState::Missing;
                }
                (Err(error), copy) => {
                    let file = self.files[copy.unwrap_or(0)];
                    return Err(Fatal {
                        what: "syncing a manifest before reading it",
                        file,
                        offset: 0,
                        error,
                    });
                }
            }
            if self.syncs.is_empty() {
                self.start_reads(pool, ids, out);
            }
        } else if let Some(at) = self.reads.iter().position(|(id, _)| *id == done.id) {
            let (_, copy) = self.reads.swap_remove(at);
            let IoBuffer::Owned(buffer) = done.buffer else {
                unreachable!("a read's buffer comes back with it")
            };
            // A copy that cannot be read is as good as a damaged one: the other decides, and this is rewritten.
            match done.result {
                // A read may be cut short anywhere; only a read of nothing is the end of the file.
                Ok(len) if len >= BLOCK_BYTES && self.bytes[copy].len() < self.bytes_max => {
                    self.bytes[copy].extend_from_slice(&buffer.as_ref()[..len - len % BLOCK_BYTES]);
                    self.read_on(copy, buffer, ids, out);
                    return Ok(None);
                }
                Ok(_) => {
                    self.copies[copy] = match M::decode(&self.bytes[copy]) {
                        ManifestRead::Valid(manifest) => CopyState::Valid(manifest),
                        ManifestRead::Newer(format) => CopyState::Newer(format),
                        ManifestRead::Invalid => CopyState::Damaged,
                    };
                }
                Err(IoError { kind: IoErrorKind::NotFound, .. }) => self.copies[copy] = CopyState::Missing,
                Err(error) => self.copies[copy] = CopyState::Unreadable(error),
            }
            pool.put(buffer);
        } else {
            unreachable!("a completion goes to its request");
        }
        Ok((self.syncs.is_empty() && self.reads.is_empty()).then(|| self.judge()))
    }

    fn start_reads<P: BlockPool>(
        &mut self,
        pool: &mut P,
        ids: &mut RequestIds,
        out: &mut impl Extend<IoRequest<P>>,
    ) {
        for copy in 0..self.files.len() {
            if self.copies[copy] != CopyState::Missing {
                let buffer = pool.take(self.bytes_max.min(READ_BYTES));
                self.read_on(copy, buffer, ids, out);
            }
        }
    }

    /// Reads what follows what was read of a copy.
    fn read_on<P: BlockPool>(
        &mut self,
        copy: usize,
        buffer: P::Buffer,
        ids: &mut RequestIds,
        out: &mut impl Extend<IoRequest<P>>,
    ) {
        let (id, file) = (ids.next(), self.files[copy]);
        self.reads.push((id, copy));
        let (offset, len) = (self.bytes[copy].len() as u64, buffer.as_ref().len());
        out.extend([IoRequest { id, operation: IoOperation::Read { file, offset, buffer, len } }]);
    }

    /// A copy that was not given back by the drive, and why: it may be anything.
    pub(crate) fn unreadable(&self) -> Option<(FileId, IoError)> {
        self.files.iter().zip(&self.copies).find_map(|(file, copy)| match copy {
            CopyState::Unreadable(error) => Some((*file, *error)),
            _ => None,
        })
    }

    fn judge(&self) -> Loaded<M> {
        for copy in &self.copies {
            if let CopyState::Newer(format) = copy {
                return Loaded::Newer(*format);
            }
        }
        let [a, b] = self.copies.each_ref().map(|copy| match copy {
            CopyState::Valid(manifest) => Some(manifest),
            _ => None,
        });
        let manifest = match (a, b) {
            (Some(a), Some(b)) if !a.agrees_with(b) => return Loaded::Contradiction,
            (Some(a), Some(b)) => {
                if a.sequence() >= b.sequence() {
                    a
                } else {
                    b
                }
            }
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) if self.copies.iter().all(|copy| *copy == CopyState::Missing) => {
                return Loaded::Missing;
            }
            (None, None) => {
                return self
                    .unreadable()
                    .map_or(Loaded::Damaged, |(file, error)| Loaded::Unreadable(file, error));
            }
        };
        let stale = [a, b].map(|copy| copy != Some(manifest));
        let missing = self.copies.each_ref().map(|copy| *copy == CopyState::Missing);
        Loaded::Manifest { manifest: manifest.clone(), stale, missing }
    }
}

/// What is left of writing copies.
enum WriteStep {
    Create(RequestId),
    Write(PendingWrite),
    SyncDirectory(RequestId),
}

/// Writes chosen copies of a manifest, one after the other, each durable before the next.
pub(crate) struct CopiesWrite {
    files: [FileId; 2],
    bytes: Vec<u8>,
    write: [bool; 2],
    create: [bool; 2],
    copy: usize,
    step: WriteStep,
}

impl CopiesWrite {
    /// Starts; at least one copy is to be written. `create` says which files do not exist yet.
    pub(crate) fn start<P: BlockPool>(
        manifest: &impl TwoCopies,
        files: [FileId; 2],
        write: [bool; 2],
        create: [bool; 2],
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> (Self, IoRequest<P>) {
        assert!(write[0] || write[1], "something is to be written");
        let copy = usize::from(!write[0]);
        let step = WriteStep::SyncDirectory(RequestId(0));
        let mut this = Self { files, bytes: manifest.encode(), write, create, copy, step };
        let request = this.begin_copy(pool, ids);
        (this, request)
    }

    fn begin_copy<P: BlockPool>(&mut self, pool: &mut P, ids: &mut RequestIds) -> IoRequest<P> {
        if self.create[self.copy] {
            let id = ids.next();
            self.step = WriteStep::Create(id);
            let operation =
                IoOperation::CreateFile { file: self.files[self.copy], bytes: self.bytes.len() as u64 };
            return IoRequest { id, operation };
        }
        self.write_copy(pool, ids)
    }

    fn write_copy<P: BlockPool>(&mut self, pool: &mut P, ids: &mut RequestIds) -> IoRequest<P> {
        assert!(self.bytes.len().is_multiple_of(BLOCK_BYTES), "manifests are whole blocks");
        let mut buffer = pool.take(self.bytes.len());
        buffer.as_mut()[..self.bytes.len()].copy_from_slice(&self.bytes);
        let write = PendingWrite {
            id: ids.next(),
            file: self.files[self.copy],
            offset: 0,
            range: 0..self.bytes.len(),
            durable: true,
            what: "writing a manifest",
        };
        let request = write.request(pool.freeze(buffer));
        self.step = WriteStep::Write(write);
        request
    }

    /// Takes a completion; `None` when all copies are durable, else the next request.
    pub(crate) fn on_io<P: BlockPool>(
        &mut self,
        done: IoDone<P>,
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> Result<Option<IoRequest<P>>, Fatal> {
        let file = self.files[self.copy];
        let failed = |what, error| Fatal { what, file, offset: 0, error };
        match &mut self.step {
            WriteStep::Create(id) => {
                assert_eq!(done.id, *id, "a completion goes to its request");
                done.result.map_err(|error| failed("creating a manifest", error))?;
                Ok(Some(self.write_copy(pool, ids)))
            }
            WriteStep::Write(write) => {
                match write.advance(done, ids)? {
                    Advance::Continue(request) => return Ok(Some(request)),
                    Advance::Written(buffer) => pool.reclaim(buffer),
                }
                if self.create[self.copy] {
                    let id = ids.next();
                    self.step = WriteStep::SyncDirectory(id);
                    return Ok(Some(IoRequest { id, operation: IoOperation::SyncDirectory }));
                }
                Ok(self.next_copy(pool, ids))
            }
            WriteStep::SyncDirectory(id) => {
                assert_eq!(done.id, *id, "a completion goes to its request");
                done.result.map_err(|error| failed("syncing the store directory", error))?;
                Ok(self.next_copy(pool, ids))
            }
        }
    }

    fn next_copy<P: BlockPool>(&mut self, pool: &mut P, ids: &mut RequestIds) -> Option<IoRequest<P>> {
        if self.copy == 0 && self.write[1] {
            self.copy = 1;
            return Some(self.begin_copy(pool, ids));
        }
        None
    }
}
