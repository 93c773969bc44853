//! The segment header: says what a segment file holds under its present generation, and where the one before ended.
//!
//! It is written durably before the first batch of its generation and only when every batch of the generation
//! before is durable. It stands in block 0 and again in block 1; one intact copy is enough. The rest of the file,
//! from [`SEGMENT_HEADER_BYTES`] on, is batches. Layout of a copy (4096 bytes, little-endian):
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `OUROSEGM` |
//! | 8 | 4 | checksum | CRC-32 (IEEE) of bytes 12 to 4095 |
//! | 12 | 4 | format version | 1 |
//! | 16 | 16 | store | uuid |
//! | 32 | 4 | log | id of the worker log |
//! | 36 | 4 | file | number of the file in its log |
//! | 40 | 8 | generation | strictly increasing in the log, never reused |
//! | 48 | 8 | first batch | number of the first batch of this generation |
//! | 56 | 8 | file bytes | size of the file |
//! | 64 | 4 | previous end checksum | checksum of the batch before the first; 0 when there is none |
//! | 68 | 4 | term | of all records from here on |
//! | 72 | | reserved | zeros |

use crate::io::BLOCK_BYTES;
use crate::log::LogIdentity;
use crate::log::fields::{FieldReader, FieldWriter};
use crate::types::{BatchNumber, LogId, Term};

/// Bytes before the first batch: two copies of the header.
pub const SEGMENT_HEADER_BYTES: usize = 2 * BLOCK_BYTES;
/// First bytes of a segment file in use.
pub const SEGMENT_MAGIC: [u8; 8] = *b"OUROSEGM";
/// Version of the layout of segments and batches that this program writes, and the newest it reads.
pub const SEGMENT_FORMAT: u32 = 1;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The store it belongs to.
    pub uuid: [u8; 16],
    /// The log it belongs to.
    pub log: LogId,
    /// Number of the file it was written to.
    pub file: u32,
    /// Its generation.
    pub generation: u64,
    /// Number of its first batch; the generation before ended with the number before.
    pub first_batch: BatchNumber,
    /// Size of the file.
    pub file_bytes: u64,
    /// Checksum of the last batch of the generation before.
    pub previous_end_crc: u32,
    /// Term of all records from here on.
    pub term: Term,
}

/// What one copy of a segment's header turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderCopy {
    /// Intact.
    Valid(SegmentHeader),
    /// Intact by its checksum, but of a later format version.
    Newer(u32),
    /// Never written, or damaged.
    Invalid,
}

impl SegmentHeader {
    /// Number of the last batch of the generation before.
    ///
    /// # Panics
    /// Never for a decoded header: batch numbers start at 1.
    #[must_use]
    pub fn previous_end(&self) -> BatchNumber {
        assert!(self.first_batch.0 > 0, "batch numbers start at 1");
        BatchNumber(self.first_batch.0 - 1)
    }

    /// Whether it belongs to this log of this store.
    #[must_use]
    pub fn belongs_to(&self, identity: &LogIdentity) -> bool {
        self.uuid == identity.uuid && self.log == identity.log
    }

    /// Writes both copies into the first [`SEGMENT_HEADER_BYTES`] of `out`.
    pub fn encode(&self, out: &mut [u8]) {
        assert!(self.first_batch.0 > 0 && self.generation > 0 && self.term > Term(0), "these count from 1");
        let mut fields = FieldWriter::default();
        fields
            .bytes(&SEGMENT_MAGIC)
            .u32(0)
            .u32(SEGMENT_FORMAT)
            .bytes(&self.uuid)
            .u32(self.log.0)
            .u32(self.file)
            .u64(self.generation)
            .u64(self.first_batch.0)
            .u64(self.file_bytes)
            .u32(self.previous_end_crc)
            .u32(self.term.0);
        let mut block = fields.finish(BLOCK_BYTES);
        assert_eq!(block.len(), BLOCK_BYTES, "a copy is one block");
        let crc = crc32fast::hash(&block[12..]);
        block[8..12].copy_from_slice(&crc.to_le_bytes());
        out[..BLOCK_BYTES].copy_from_slice(&block);
        out[BLOCK_BYTES..SEGMENT_HEADER_BYTES].copy_from_slice(&block);
    }

    /// Reads one copy from a block.
    #[must_use]
    pub fn decode(block: &[u8]) -> HeaderCopy {
        let Some(block) = block.get(..BLOCK_BYTES) else { return HeaderCopy::Invalid };
        Self::decode_fields(block).unwrap_or(HeaderCopy::Invalid)
    }

    fn decode_fields(block: &[u8]) -> Option<HeaderCopy> {
        let mut fields = FieldReader::new(block);
        let magic = fields.array::<8>()?;
        let crc = fields.u32()?;
        if magic != SEGMENT_MAGIC || crc != crc32fast::hash(&block[12..]) {
            return None;
        }
        let format = fields.u32()?;
        if format > SEGMENT_FORMAT {
            return Some(HeaderCopy::Newer(format));
        }
        let header = Self {
            uuid: fields.array()?,
            log: LogId(fields.u32()?),
            file: fields.u32()?,
            generation: fields.u64()?,
            first_batch: BatchNumber(fields.u64()?),
            file_bytes: fields.u64()?,
            previous_end_crc: fields.u32()?,
            term: Term(fields.u32()?),
        };
        let counted = header.first_batch.0 > 0 && header.generation > 0 && header.term > Term(0);
        (format == SEGMENT_FORMAT && counted && fields.rest_is_zero()).then_some(HeaderCopy::Valid(header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            uuid: *b"0123456789abcdef",
            log: LogId(2),
            file: 5,
            generation: 9,
            first_batch: BatchNumber(0x1234),
            file_bytes: 0x0400_0000,
            previous_end_crc: 0xdead_beef,
            term: Term(3),
        }
    }

    #[test]
    fn golden_bytes_of_a_segment_header() {
        let mut out = vec![0xff; SEGMENT_HEADER_BYTES];
        header().encode(&mut out);
        let mut expected = vec![0; BLOCK_BYTES];
        expected[..8].copy_from_slice(b"OUROSEGM");
        expected[12..16].copy_from_slice(&[1, 0, 0, 0]);
        expected[16..32].copy_from_slice(b"0123456789abcdef");
        expected[32..40].copy_from_slice(&[2, 0, 0, 0, 5, 0, 0, 0]);
        expected[40..48].copy_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0]);
        expected[48..56].copy_from_slice(&[0x34, 0x12, 0, 0, 0, 0, 0, 0]);
        expected[56..64].copy_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0]);
        expected[64..72].copy_from_slice(&[0xef, 0xbe, 0xad, 0xde, 3, 0, 0, 0]);
        let crc = crc32fast::hash(&expected[12..]).to_le_bytes();
        expected[8..12].copy_from_slice(&crc);
        assert_eq!(out[..BLOCK_BYTES], expected);
        assert_eq!(out[BLOCK_BYTES..], expected, "the second copy is the same");
    }

    #[test]
    fn decode_of_encode_is_the_header_and_a_flipped_bit_is_noticed() {
        let mut out = vec![0; SEGMENT_HEADER_BYTES];
        header().encode(&mut out);
        assert_eq!(SegmentHeader::decode(&out), HeaderCopy::Valid(header()));
        for bit in 0..BLOCK_BYTES * 8 {
            out[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&out), HeaderCopy::Invalid, "bit {bit}");
            out[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut out = vec![0; SEGMENT_HEADER_BYTES];
        header().encode(&mut out);
        out[12] = 2;
        let crc = crc32fast::hash(&out[12..BLOCK_BYTES]).to_le_bytes();
        out[8..12].copy_from_slice(&crc);
        assert_eq!(SegmentHeader::decode(&out), HeaderCopy::Newer(2));
        assert_eq!(SegmentHeader::decode(&[]), HeaderCopy::Invalid);
        assert_eq!(SegmentHeader::decode(&[0; BLOCK_BYTES]), HeaderCopy::Invalid);
    }
}
