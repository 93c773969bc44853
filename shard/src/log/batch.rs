//! The batch: the unit of group commit, as bytes in a segment.
//!
//! A batch starts on a multiple of 4096, is padded with zeros to one, and holds whole records. Its checksum covers
//! everything after itself, padding included, and is seeded with a secret of the store, so that neither a foreign
//! file nor bytes that a client stored as a value can pass for a batch. Layout of the header (little-endian):
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | magic | `OBAT` |
//! | 4 | 4 | checksum | CRC-32 (IEEE), seeded, of bytes 8 to the end of the padding |
//! | 8 | 4 | byte length | header, payload and padding; a multiple of 4096 |
//! | 12 | 4 | payload length | bytes of records that follow the header |
//! | 16 | 4 | record count | records in the payload, fragments counted one by one |
//! | 20 | 4 | log | id of the worker log |
//! | 24 | 8 | generation | of the segment it was written to |
//! | 32 | 8 | number | dense over the life of the log, from 1 |
//! | 40 | 8 | known durable | highest batch number known to be durable when this one was submitted |
//! | 48 | 4 | previous checksum | checksum of the batch with the number before; 0 for number 1 |
//! | 52 | 4 | position | offset in the segment in units of 4096: a misdirected write is noticed |
//! | 56 | 4 | flags | 1 seal (empty, after going idle), 2 clean (empty, last act of a clean shutdown) |
//! | 60 | 4 | reserved | 0 |
//! | 64 | | payload | records, one after the other |

use crate::io::BLOCK_BYTES;
use crate::limits::LOG_BATCH_BYTES_LIMIT;
use crate::log::fields::{FieldReader, is_zero};
use crate::types::{BatchNumber, LogId};

/// Bytes before the payload.
pub const BATCH_HEADER_BYTES: usize = 64;
/// First bytes of every batch.
pub const BATCH_MAGIC: [u8; 4] = *b"OBAT";

const FLAG_SEAL: u32 = 1;
const FLAG_CLEAN: u32 = 2;

/// Why a batch was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchKind {
    /// Holds records.
    Records,
    /// Holds nothing: written after going idle, so that a rot of the batch before it can be proved.
    Seal,
    /// Holds nothing: everything before it was durable and nothing else in flight, and the process ended.
    Clean,
}

impl BatchKind {
    const fn flags(self) -> u32 {
        match self {
            Self::Records => 0,
            Self::Seal => FLAG_SEAL,
            Self::Clean => FLAG_CLEAN,
        }
    }

    const fn from_flags(flags: u32) -> Option<Self> {
        match flags {
            0 => Some(Self::Records),
            FLAG_SEAL => Some(Self::Seal),
            FLAG_CLEAN => Some(Self::Clean),
            _ => None,
        }
    }
}

/// Fields of a batch header that are not derived from the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Why it was written.
    pub kind: BatchKind,
    /// Bytes of records.
    pub payload_len: u32,
    /// Number of records, fragments counted one by one.
    pub record_count: u32,
    /// The log it belongs to.
    pub log: LogId,
    /// Generation of its segment.
    pub generation: u64,
    /// Its number.
    pub number: BatchNumber,
    /// Highest batch number known durable when it was submitted.
    pub known_durable: BatchNumber,
    /// Checksum of the batch before it.
    pub previous_crc: u32,
    /// Offset in the segment in units of [`BLOCK_BYTES`].
    pub position: u32,
}

impl BatchHeader {
    /// Bytes of the batch: header, payload and padding.
    #[must_use]
    pub const fn byte_len(&self) -> usize {
        batch_byte_len(self.payload_len as usize)
    }
}

/// Bytes that a batch with this much payload takes in its segment.
#[must_use]
pub const fn batch_byte_len(payload_len: usize) -> usize {
    (BATCH_HEADER_BYTES + payload_len).next_multiple_of(BLOCK_BYTES)
}

/// Why bytes are no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// They do not start like one; zeros do neither.
    Magic,
    /// The bytes end before the batch does: with more of them it may be one.
    Short {
        /// Bytes that it needs.
        needed: usize,
    },
    /// Checksum, or a field that the encoder never writes.
    Invalid,
}

/// Finishes a batch in place: `buffer` has the payload at [`BATCH_HEADER_BYTES`]; this zeroes the padding and
/// writes the header. Returns the batch's bytes and its checksum.
///
/// # Panics
/// When the header contradicts itself: what is asserted here is what [`decode`] demands.
pub fn finish(buffer: &mut [u8], header: &BatchHeader, seed: u32) -> (usize, u32) {
    let byte_len = header.byte_len();
    let payload_end = BATCH_HEADER_BYTES + header.payload_len as usize;
    assert!(
        byte_len <= buffer.len() && byte_len <= LOG_BATCH_BYTES_LIMIT,
        "a batch fits its buffer and the limit"
    );
    assert!(header.known_durable < header.number, "a batch is not durable before it is written");
    assert!((header.record_count == 0) == (header.payload_len == 0), "records have bytes");
    assert!(
        (header.kind == BatchKind::Records) == (header.record_count > 0),
        "marks are empty, others are not"
    );

    let (bytes, _) = buffer.split_at_mut(byte_len);
    bytes[payload_end..].fill(0);
    let mut at = 0;
    let mut put = |field: &[u8]| {
        bytes[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    };
    put(&BATCH_MAGIC);
    put(&[0; 4]);
    put(&len_field(byte_len));
    put(&header.payload_len.to_le_bytes());
    put(&header.record_count.to_le_bytes());
    put(&header.log.0.to_le_bytes());
    put(&header.generation.to_le_bytes());
    put(&header.number.0.to_le_bytes());
    put(&header.known_durable.0.to_le_bytes());
    put(&header.previous_crc.to_le_bytes());
    put(&header.position.to_le_bytes());
    put(&header.kind.flags().to_le_bytes());
    put(&[0; 4]);
    assert_eq!(at, BATCH_HEADER_BYTES, "the header has its size");
    let crc = checksum(&bytes[8..], seed);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    (byte_len, crc)
}

/// Decodes and verifies the batch at the start of `bytes`; with it comes its checksum.
///
/// # Errors
/// [`BatchError`]; bytes that could be a batch if there were more of them are [`BatchError::Short`].
pub fn decode(bytes: &[u8], seed: u32) -> Result<(BatchHeader, u32), BatchError> {
    let mut fields = FieldReader::new(bytes);
    let short = BatchError::Short { needed: BLOCK_BYTES };
    if fields.array().ok_or(short)? != BATCH_MAGIC {
        return Err(BatchError::Magic);
    }
    let crc = fields.u32().ok_or(short)?;
    let byte_len = fields.u32().ok_or(short)? as usize;
    let payload_len = fields.u32().ok_or(short)?;
    let record_count = fields.u32().ok_or(short)?;
    let log = LogId(fields.u32().ok_or(short)?);
    let generation = fields.u64().ok_or(short)?;
    let number = BatchNumber(fields.u64().ok_or(short)?);
    let known_durable = BatchNumber(fields.u64().ok_or(short)?);
    let previous_crc = fields.u32().ok_or(short)?;
    let position = fields.u32().ok_or(short)?;
    let flags = fields.u32().ok_or(short)?;
    let reserved = fields.u32().ok_or(short)?;

    // The length decides how many bytes are summed, so it is bounded before it is believed.
    let consistent = byte_len <= LOG_BATCH_BYTES_LIMIT
        && byte_len == batch_byte_len(payload_len as usize)
        && known_durable < number
        && (record_count == 0) == (payload_len == 0)
        && reserved == 0;
    let kind = BatchKind::from_flags(flags).ok_or(BatchError::Invalid)?;
    if !consistent || (kind == BatchKind::Records) != (record_count > 0) {
        return Err(BatchError::Invalid);
    }
    let batch = bytes.get(..byte_len).ok_or(BatchError::Short { needed: byte_len })?;
    let payload_end = BATCH_HEADER_BYTES + payload_len as usize;
    if checksum(&batch[8..], seed) != crc || !is_zero(&batch[payload_end..]) {
        return Err(BatchError::Invalid);
    }
    let header = BatchHeader {
        kind,
        payload_len,
        record_count,
        log,
        generation,
        number,
        known_durable,
        previous_crc,
        position,
    };
    Ok((header, crc))
}

fn checksum(bytes: &[u8], seed: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

#[expect(clippy::cast_possible_truncation, reason = "asserted: at most LOG_BATCH_BYTES_LIMIT")]
fn len_field(len: usize) -> [u8; 4] {
    assert!(len <= LOG_BATCH_BYTES_LIMIT, "a batch has a bound");
    (len as u32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(payload_len: u32) -> BatchHeader {
        BatchHeader {
            kind: if payload_len == 0 { BatchKind::Seal } else { BatchKind::Records },
            payload_len,
            record_count: u32::from(payload_len > 0),
            log: LogId(7),
            generation: 3,
            number: BatchNumber(0x0102),
            known_durable: BatchNumber(0x0100),
            previous_crc: 0xaabb_ccdd,
            position: 2,
        }
    }

    #[test]
    fn golden_bytes_of_a_batch() {
        let mut buffer = vec![0xff; 4096];
        buffer[64..67].copy_from_slice(b"abc");
        let (len, crc) = finish(&mut buffer, &header(3), 0x1234_5678);
        let expected = [
            b'O', b'B', b'A', b'T', 0, 0, 0, 0, // magic, checksum (below)
            0x00, 0x10, 0, 0, 3, 0, 0, 0, // byte length 4096, payload length 3
            1, 0, 0, 0, 7, 0, 0, 0, // one record, log 7
            3, 0, 0, 0, 0, 0, 0, 0, // generation 3
            2, 1, 0, 0, 0, 0, 0, 0, // number 0x0102
            0, 1, 0, 0, 0, 0, 0, 0, // known durable 0x0100
            0xdd, 0xcc, 0xbb, 0xaa, 2, 0, 0, 0, // previous checksum, position 2
            0, 0, 0, 0, 0, 0, 0, 0, // flags, reserved
            b'a', b'b', b'c', 0,
        ];
        assert_eq!(len, 4096);
        assert_eq!(buffer[..4], expected[..4]);
        assert_eq!(buffer[8..68], expected[8..68]);
        assert!(is_zero(&buffer[67..]), "padding is zeros");
        // Bitwise CRC-32 as a second opinion: reflected, polynomial 0xEDB88320, both ends inverted, seeded.
        let mut state: u32 = !0x1234_5678;
        for &byte in &buffer[8..] {
            state ^= u32::from(byte);
            for _ in 0..8 {
                state = (state >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(state & 1));
            }
        }
        assert_eq!(crc, !state);
        assert_eq!(buffer[4..8], crc.to_le_bytes());
    }

    #[test]
    fn every_single_bit_flip_is_noticed() {
        let mut buffer = vec![0; 4096];
        buffer[64..67].copy_from_slice(b"abc");
        finish(&mut buffer, &header(3), 1);
        for bit in 0..buffer.len() * 8 {
            buffer[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&buffer, 1).is_err(), "bit {bit}");
            buffer[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(decode(&buffer, 1).is_ok());
        assert_eq!(decode(&buffer, 2), Err(BatchError::Invalid), "another store's secret");
    }

    #[test]
    fn a_batch_that_goes_on_behind_the_bytes_says_how_many_it_needs() {
        let mut buffer = vec![0; 8192];
        finish(&mut buffer, &header(5000), 1);
        assert_eq!(decode(&buffer[..4096], 1), Err(BatchError::Short { needed: 8192 }));
        assert_eq!(decode(&[0; 4096], 1), Err(BatchError::Magic));
    }

    proptest! {
        #[test]
        fn decode_of_finish_is_the_header(
            payload in proptest::collection::vec(any::<u8>(), 0..9000), number in 1u64.., behind in any::<u64>(),
            generation in any::<u64>(), previous_crc in any::<u32>(), position in any::<u32>(), seed in any::<u32>(),
        ) {
            let mut buffer = vec![0xee; 12288];
            buffer[64..64 + payload.len()].copy_from_slice(&payload);
            let header = BatchHeader {
                number: BatchNumber(number), known_durable: BatchNumber(number - 1 - behind % number),
                generation, previous_crc, position, ..header(u32::try_from(payload.len()).unwrap())
            };
            let (len, crc) = finish(&mut buffer, &header, seed);
            prop_assert_eq!(decode(&buffer, seed), Ok((header, crc)));
            prop_assert_eq!(len, header.byte_len());
            prop_assert_eq!(&buffer[64..64 + payload.len()], &payload[..]);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, 0);
            if bytes.len() > 4 {
                bytes[..4].copy_from_slice(&BATCH_MAGIC);
                let _ = decode(&bytes, 0);
            }
        }
    }
}
