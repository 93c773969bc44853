//! Changes of the log manifest: copy A, then copy B, each durable, one change at a time.

use crate::io::{BlockPool, Fatal, FileId, IoDone, IoRequest, ManifestCopy, RequestId};
use crate::log::manifest::LogManifest;
use crate::log::pending_write::{Advance, PendingWrite, RequestIds};

/// A change on its way to disk.
struct Change {
    next: LogManifest,
    bytes: Vec<u8>,
    copy: ManifestCopy,
    write: PendingWrite,
}

/// The manifest as both copies on disk have it, and the change being written, if any.
pub(crate) struct ManifestWriter {
    current: LogManifest,
    change: Option<Change>,
}

/// What a completion led to.
pub(crate) enum ManifestStep<P: BlockPool> {
    /// More to write.
    Request(IoRequest<P>),
    /// Both copies are durable: the change counts.
    Published,
}

impl ManifestWriter {
    /// `current` is durable in both copies.
    pub(crate) const fn new(current: LogManifest) -> Self {
        Self { current, change: None }
    }

    /// What both copies on disk say.
    pub(crate) const fn current(&self) -> &LogManifest {
        &self.current
    }

    pub(crate) const fn is_idle(&self) -> bool {
        self.change.is_none()
    }

    /// Starts a change to `next`, the successor of the current version.
    pub(crate) fn start<P: BlockPool>(
        &mut self,
        next: LogManifest,
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> IoRequest<P> {
        assert!(self.change.is_none(), "one change at a time");
        assert_eq!(next.sequence, self.current.sequence + 1, "one version follows the other");
        let bytes = next.encode();
        let (write, request) = write_copy(&next, &bytes, ManifestCopy::A, pool, ids);
        self.change = Some(Change { next, bytes, copy: ManifestCopy::A, write });
        request
    }

    pub(crate) fn owns(&self, id: RequestId) -> bool {
        self.change.as_ref().is_some_and(|change| change.write.id == id)
    }

    /// Takes the completion of a write that it [owns](Self::owns).
    pub(crate) fn on_io<P: BlockPool>(
        &mut self,
        done: IoDone<P>,
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> Result<ManifestStep<P>, Fatal> {
        let Some(change) = &mut self.change else { unreachable!("a completion goes to its change") };
        match change.write.advance(done, ids)? {
            Advance::Continue(request) => return Ok(ManifestStep::Request(request)),
            Advance::Written(buffer) => pool.reclaim(buffer),
        }
        if change.copy == ManifestCopy::A {
            let (write, request) = write_copy(&change.next, &change.bytes, ManifestCopy::B, pool, ids);
            (change.copy, change.write) = (ManifestCopy::B, write);
            return Ok(ManifestStep::Request(request));
        }
        if let Some(change) = self.change.take() {
            self.current = change.next;
        }
        Ok(ManifestStep::Published)
    }
}

/// The durable write of one copy.
pub(crate) fn write_copy<P: BlockPool>(
    manifest: &LogManifest,
    bytes: &[u8],
    copy: ManifestCopy,
    pool: &mut P,
    ids: &mut RequestIds,
) -> (PendingWrite, IoRequest<P>) {
    let mut buffer = pool.take(bytes.len());
    buffer.as_mut()[..bytes.len()].copy_from_slice(bytes);
    let file = FileId::LogManifest { log: manifest.log, copy };
    let what = "writing the log manifest";
    let write = PendingWrite { id: ids.next(), file, offset: 0, range: 0..bytes.len(), durable: true, what };
    let request = write.request(pool.freeze(buffer));
    (write, request)
}
