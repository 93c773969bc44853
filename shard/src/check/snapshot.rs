//! One shard's snapshot: every chunk, their chain, the footer; and whether index and extent table make sense.

use super::problem::CheckReport;
use super::source::{Source, Window};
use crate::extent::ExtentOnDisk;
use crate::index::Entry;
use crate::io::{BLOCK_BYTES, FileId};
use crate::limits::EXTENT_BYTES;
use crate::record::Record;
use crate::shard_manifest::PublishedSnapshot;
use crate::snapshot::chunk::{
    CHUNK_BYTES, CHUNK_HEADER_BYTES, ChunkError, ChunkKind, Footer, SnapshotIdentity, TablePiece, open,
    split_extent,
};
use crate::snapshot::{TailCounts, TailRecords};
use crate::types::{KeyspaceId, ShardId, Slot};

/// An entry of the index, and where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) keyspace: KeyspaceId,
    pub(super) slot: Slot,
    pub(super) entry: Entry,
}

/// What a snapshot holds.
#[derive(Default)]
pub(super) struct Content {
    /// By place: extent, then offset.
    pub(super) entries: Vec<Indexed>,
    /// By place in the data file.
    pub(super) extents: Vec<ExtentOnDisk>,
    /// The bytes of the tail, and what it comes to.
    pub(super) tail: Vec<u8>,
    pub(super) tail_counts: TailCounts,
}

/// Reads it all. `None`: it is not whole; the report says where. `each` is shown the records of its tail.
pub(super) fn read_snapshot(
    source: &mut dyn Source,
    identity: SnapshotIdentity,
    published: &PublishedSnapshot,
    report: &mut CheckReport,
    each: &mut dyn FnMut(&Record<'_>),
) -> Option<Content> {
    let file = FileId::ShardSnapshot { shard: identity.shard, number: identity.number };
    report.looked.files += 1;
    match source.len(file) {
        Ok(Some(len)) if len < published.bytes => {
            report.damage(&file, "short", format!("it has {len} bytes and should have {}", published.bytes));
            return None;
        }
        Ok(Some(_)) => {}
        Ok(None) => {
            report.damage(&file, "missing", "it is missing, and the shard's manifest names it".to_owned());
            return None;
        }
        Err(error) => {
            report.damage(&file, "unreadable", format!("it cannot be read: {error}"));
            return None;
        }
    }
    let mut window = Window::new(file, 0, published.bytes);
    let (mut content, mut counts, mut previous, mut whole) =
        (Content::default(), Footer::default(), Some(0), true);
    let (mut ended, mut tail) = (false, TailRecords::default());
    while window.remaining() > 0 {
        let offset = window.offset();
        let bytes = match window.bytes(source, CHUNK_BYTES) {
            Ok(bytes) => bytes,
            Err(error) => {
                report.damage(&file, "unreadable", format!("it cannot be read at offset {offset}: {error}"));
                return None;
            }
        };
        // Behind a damaged chunk its checksum is not known: what the next one says of it is believed.
        let stated = bytes.get(40..44).and_then(|field| field.try_into().ok()).map_or(0, u32::from_le_bytes);
        let after_damage = previous.is_none();
        let header = match open(&identity, offset, previous.unwrap_or(stated), bytes) {
            Ok(header) => header,
            Err(error) => {
                if !after_damage {
                    let what = match error {
                        ChunkError::Newer(format) => {
                            format!("it has format {format}, newer than this program reads")
                        }
                        _ => "a chunk is damaged, or of another snapshot: index entries are lost".to_owned(),
                    };
                    report.damage(&file, &format!("chunk-{offset}"), what);
                }
                (previous, whole) = (None, false);
                window.consume(BLOCK_BYTES);
                continue;
            }
        };
        let payload = &bytes[CHUNK_HEADER_BYTES..CHUNK_HEADER_BYTES + header.payload];
        let sound = match header.kind {
            ChunkKind::Entries => take_entries(payload, &mut content, &mut counts),
            ChunkKind::Extents => take_extents(header.format, payload, &mut content, &mut counts),
            ChunkKind::Footer => {
                ended = true;
                let is_last = offset + header.bytes as u64 == published.bytes;
                !whole
                    || header.crc == published.crc
                        && is_last
                        && Footer::read(header.format, payload)
                            .is_some_and(|footer| is_end(&footer, &counts, published, &tail))
            }
            ChunkKind::Records if whole => {
                counts.tail.bytes += payload.len() as u64;
                content.tail.extend_from_slice(payload);
                take_records(payload, identity.shard, &mut tail, each)
            }
            // What continues a record of a damaged chunk tells nothing.
            ChunkKind::Records => true,
        };
        if !sound {
            whole = false;
            let what = "an intact chunk does not fit the rest: another snapshot's, or counts that are wrong";
            report.damage(&file, &format!("chunk-{offset}"), what.to_owned());
        }
        if header.kind != ChunkKind::Footer {
            counts.chunks += 1;
        }
        previous = Some(header.crc);
        window.consume(header.bytes);
    }
    if whole && !ended {
        whole = false;
        report.damage(&file, "footer", "it has no footer".to_owned());
    }
    content.tail_counts = published.tail(counts.tail.bytes);
    report.looked.bytes += published.bytes;
    content.entries.sort_unstable_by_key(|indexed| {
        let at = indexed.entry.location();
        (at.extent, at.offset)
    });
    content.extents.sort_unstable_by_key(|extent| extent.place);
    whole.then_some(content)
}

fn take_entries(mut payload: &[u8], content: &mut Content, counts: &mut Footer) -> bool {
    while !payload.is_empty() {
        let Some((piece, rest)) = TablePiece::split(payload) else { return false };
        let (keyspace, slot) = (piece.keyspace, piece.slot);
        counts.entries += piece.entries().len() as u64;
        content.entries.extend(piece.entries().map(|entry| Indexed { keyspace, slot, entry }));
        payload = rest;
    }
    true
}

fn take_extents(format: u32, mut payload: &[u8], content: &mut Content, counts: &mut Footer) -> bool {
    while !payload.is_empty() {
        let Some((extent, rest)) = split_extent(format, payload) else { return false };
        counts.extents += 1;
        content.extents.push(extent);
        payload = rest;
    }
    true
}

fn take_records(
    payload: &[u8],
    shard: ShardId,
    tail: &mut TailRecords,
    each: &mut dyn FnMut(&Record<'_>),
) -> bool {
    let mut own = true;
    let taken = tail.take(payload, |record, _| {
        own &= record.shard == shard;
        each(record);
    });
    taken.is_ok() && own
}

/// Whether the footer of a snapshot counts what there is.
fn is_end(footer: &Footer, counts: &Footer, published: &PublishedSnapshot, tail: &TailRecords) -> bool {
    let counted = Footer { tail: TailCounts { bytes: counts.tail.bytes, ..footer.tail }, ..*counts };
    *footer == counted
        && footer.tail == published.tail(counts.tail.bytes)
        && tail.finish(&footer.tail).is_ok()
}

/// Whether the parts of a snapshot fit each other.
pub(super) fn check_content(
    file: FileId,
    content: &Content,
    published: &PublishedSnapshot,
    slots: std::ops::Range<u16>,
    report: &mut CheckReport,
) {
    let mut end = 0;
    let mut numbers: Vec<u32> = content.extents.iter().map(|extent| extent.number.0).collect();
    numbers.sort_unstable();
    for extent in &content.extents {
        let number = extent.number.0;
        let place = format!("extent-{number}");
        let room = u64::from(extent.place_count) * EXTENT_BYTES as u64;
        if extent.place < end {
            report.damage(&file, &place, format!("extent {number} has its place in common with another one"));
        }
        if u64::from(extent.used_bytes) > room || extent.place_count == 0 {
            report.damage(&file, &place, format!("extent {number} does not fit the places it has"));
        }
        end = extent.place.saturating_add(extent.place_count);
    }
    if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
        report.damage(&file, "extents", "two extents have one number".to_owned());
    }
    let (mut strangers, mut foreign, mut twice) = (0u64, 0u64, 0u64);
    for indexed in &content.entries {
        strangers += u64::from(numbers.binary_search(&indexed.entry.location().extent.0).is_err());
        foreign += u64::from(!slots.contains(&indexed.slot.0));
    }
    for pair in content.entries.windows(2) {
        twice += u64::from(pair[0].entry.location() == pair[1].entry.location());
    }
    if strangers > 0 {
        report.damage(
            &file,
            "entries",
            format!("{strangers} entries point into extents that it does not name"),
        );
    }
    if foreign > 0 {
        report.damage(&file, "slots", format!("{foreign} entries are of slots of another shard"));
    }
    if twice > 0 {
        report.damage(&file, "doubles", format!("{twice} entries point where another one does"));
    }
    let unknown =
        content.entries.iter().filter(|it| !published.start.keyspaces.contains(&it.keyspace)).count();
    if unknown > 0 {
        let what =
            format!("{unknown} entries are of keyspaces that no database shows: a start passes over them");
        report.note(&file, "keyspaces", what);
    }
}
