//! What every manifest begins with, of the store, of a shard and of a log: magic 8, checksum 4 of all that follows it, format
//! version 4, store 16, 4 of its own, byte length 4 with the padding. Whose it is shows in the magic; what follows is its own.

use crate::io::BLOCK_BYTES;
use crate::log::fields::{FieldReader, FieldWriter};

/// What one copy of a manifest turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestRead<M> {
    /// Intact.
    Valid(M),
    /// Intact by its checksum, but of a later format version.
    Newer(u32),
    /// Missing, never finished, or damaged.
    Invalid,
}

const CHECKSUM_AT: usize = 8;
const FORMAT_AT: usize = 12;
const LEN_AT: usize = 36;
/// Bytes of the shortest manifest before the padding.
const HEAD_BYTES: usize = 72;

/// The checksum of an encoded manifest, which its successor carries.
pub(crate) fn checksum_of(encoded: &[u8]) -> u32 {
    let field = encoded.get(CHECKSUM_AT..).and_then(|bytes| bytes.first_chunk());
    field.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Pads a manifest's fields to whole blocks and fills in its length and checksum, which were written as 0.
pub(crate) fn seal_manifest(fields: FieldWriter) -> Vec<u8> {
    let mut bytes = fields.finish(BLOCK_BYTES);
    let len = count_u32(bytes.len());
    bytes[LEN_AT..LEN_AT + 4].copy_from_slice(&len.to_le_bytes());
    let crc = crc32fast::hash(&bytes[FORMAT_AT..]);
    bytes[CHECKSUM_AT..FORMAT_AT].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a manifest: `decode` gets the format version and the fields behind it, and gives `None` for what was never written.
pub(crate) fn read_manifest<M>(
    bytes: &[u8],
    magic: &[u8; 8],
    newest_format: u32,
    decode: impl FnOnce(u32, FieldReader<'_>) -> Option<M>,
) -> ManifestRead<M> {
    let Some(bytes) = checked_manifest(bytes, magic) else { return ManifestRead::Invalid };
    let mut fields = FieldReader::new(&bytes[FORMAT_AT..]);
    match fields.u32() {
        Some(format) if format > newest_format => ManifestRead::Newer(format),
        Some(format) if format > 0 => {
            decode(format, fields).map_or(ManifestRead::Invalid, ManifestRead::Valid)
        }
        _ => ManifestRead::Invalid,
    }
}

/// The manifest's own bytes out of a file's, when magic, length and checksum agree.
fn checked_manifest<'a>(bytes: &'a [u8], magic: &[u8; 8]) -> Option<&'a [u8]> {
    let len = u32::from_le_bytes(*bytes.get(LEN_AT..)?.first_chunk()?) as usize;
    if bytes.get(..8)? != magic || !len.is_multiple_of(BLOCK_BYTES) || len < HEAD_BYTES {
        return None;
    }
    let bytes = bytes.get(..len)?;
    let crc = u32::from_le_bytes(*bytes.get(CHECKSUM_AT..)?.first_chunk()?);
    (crc == crc32fast::hash(&bytes[FORMAT_AT..])).then_some(bytes)
}

/// A count that a bound elsewhere keeps far below 2^32.
pub(crate) fn count_u32(count: usize) -> u32 {
    let Ok(count) = u32::try_from(count) else { unreachable!("bounded by the manifest's size") };
    count
}
