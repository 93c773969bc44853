//! A snapshot without some of its entries, as bytes: the only repair that makes a new file.

use std::collections::BTreeSet;

use super::problem::CheckReport;
use super::snapshot::{Indexed, read_snapshot};
use super::source::Source;
use crate::io::FileId;
use crate::shard_manifest::{PublishedSnapshot, ShardManifest};
use crate::snapshot::SnapshotIdentity;
use crate::snapshot::chunk::{
    CHUNK_BYTES, CHUNK_HEADER_BYTES, ChunkKind, ENTRY_BYTES, Footer, TABLE_HEAD_BYTES, extent_bytes,
    put_entry, put_extent, put_table_head, seal,
};

/// A new snapshot, and the manifest that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The file to make.
    pub file: FileId,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The manifest to publish once it is durable.
    pub manifest: ShardManifest,
    /// The snapshot that was in force.
    pub replaced: FileId,
    /// Entries that were dropped.
    pub dropped: u64,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// The shard has no snapshot, or it is not whole.
    #[error("the shard's snapshot is not whole")]
    NotWhole,
}

/// Makes a shard's snapshot anew without the entries at these places (extent, offset). Extents that nothing points into
/// any more go with them.
///
/// # Errors
/// [`RewriteError::NotWhole`].
pub fn rewrite_snapshot(
    source: &mut dyn Source,
    store: u32,
    manifest: &ShardManifest,
    drop: &BTreeSet<(u32, u32)>,
) -> Result<Rewritten, RewriteError> {
    let published = manifest.snapshot.as_ref().ok_or(RewriteError::NotWhole)?;
    let shard = manifest.shard;
    let identity = SnapshotIdentity { store, shard, number: published.number };
    let mut unused = CheckReport::default();
    let mut content =
        read_snapshot(source, identity, published, &mut unused, &mut |_| ()).ok_or(RewriteError::NotWhole)?;
    let before = content.entries.len();
    content.entries.retain(|it| {
        let at = it.entry.location();
        !drop.contains(&(at.extent.0, at.offset))
    });
    let dropped = (before - content.entries.len()) as u64;
    let live: BTreeSet<u32> = content.entries.iter().map(|it| it.entry.location().extent.0).collect();
    content.extents.retain(|extent| live.contains(&extent.number.0));
    content.entries.sort_unstable_by_key(|it| (it.keyspace, it.slot, it.entry.hash()));

    let number = published.number.checked_add(1).ok_or(RewriteError::NotWhole)?;
    let mut out = Chunks::new(SnapshotIdentity { number, ..identity });
    for table in content.entries.chunk_by(|a, b| (a.keyspace, a.slot) == (b.keyspace, b.slot)) {
        out.push_table(table);
    }
    for piece in content.tail.chunks(CHUNK_BYTES - CHUNK_HEADER_BYTES) {
        out.room(ChunkKind::Records, piece.len()).copy_from_slice(piece);
    }
    out.counts.tail = content.tail_counts;
    for extent in &content.extents {
        put_extent(extent, out.room(ChunkKind::Extents, extent_bytes(extent)));
        out.counts.extents += 1;
    }
    let (bytes, crc) = out.finish();
    let snapshot = PublishedSnapshot { number, bytes: bytes.len() as u64, crc, ..published.clone() };
    let manifest = ShardManifest { snapshot: Some(snapshot), ..manifest.successor() };
    let file = FileId::ShardSnapshot { shard, number };
    let replaced = FileId::ShardSnapshot { shard, number: published.number };
    Ok(Rewritten { file, bytes, manifest, replaced, dropped })
}

/// Chunks being written one behind the other.
struct Chunks {
    identity: SnapshotIdentity,
    bytes: Vec<u8>,
    chunk: Vec<u8>,
    kind: ChunkKind,
    payload: usize,
    previous: u32,
    counts: Footer,
}

impl Chunks {
    fn new(identity: SnapshotIdentity) -> Self {
        let chunk = vec![0; CHUNK_BYTES];
        let (kind, counts) = (ChunkKind::Entries, Footer::default());
        Self { identity, bytes: Vec::new(), chunk, kind, payload: 0, previous: 0, counts }
    }

    /// The next `len` bytes of a chunk of this kind.
    fn room(&mut self, kind: ChunkKind, len: usize) -> &mut [u8] {
        if self.kind != kind || CHUNK_HEADER_BYTES + self.payload + len > CHUNK_BYTES {
            self.close();
            self.kind = kind;
        }
        let start = CHUNK_HEADER_BYTES + self.payload;
        self.payload += len;
        &mut self.chunk[start..start + len]
    }

    fn close(&mut self) {
        if self.payload == 0 {
            return;
        }
        let offset = self.bytes.len() as u64;
        let (len, crc) =
            seal(&self.identity, self.kind, self.payload, offset, self.previous, &mut self.chunk);
        self.bytes.extend_from_slice(&self.chunk[..len]);
        (self.previous, self.payload) = (crc, 0);
        if self.kind != ChunkKind::Footer {
            self.counts.chunks += 1;
        }
    }

    fn push_table(&mut self, table: &[Indexed]) {
        let most = (CHUNK_BYTES - CHUNK_HEADER_BYTES - TABLE_HEAD_BYTES) / ENTRY_BYTES;
        for piece in table.chunks(most) {
            let out = self.room(ChunkKind::Entries, TABLE_HEAD_BYTES + piece.len() * ENTRY_BYTES);
            let (head, out) = out.split_at_mut(TABLE_HEAD_BYTES);
            put_table_head(piece[0].keyspace, piece[0].slot, piece.len(), head);
            for (indexed, out) in piece.iter().zip(out.chunks_exact_mut(ENTRY_BYTES)) {
                put_entry(indexed.entry, out);
            }
            self.counts.entries += piece.len() as u64;
        }
    }

    fn finish(mut self) -> (Vec<u8>, u32) {
        self.close();
        let footer = self.counts;
        footer.put(self.room(ChunkKind::Footer, Footer::BYTES));
        self.close();
        (self.bytes, self.previous)
    }
}
