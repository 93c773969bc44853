//! What makes an extent on disk recognisable: its header, and the mask its records' checksums are mixed with.
//!
//! Both name store, shard, extent number and salt, the mask the offset too. So bytes that are of another place, of an
//! earlier use of the same place, or were never written, are noticed when they are read. The salt is drawn at each
//! start: it tells extents of two copies of a store apart that went their own ways. Layout of the header
//! (little-endian), the first [`EXTENT_HEADER_BYTES`] of an extent, records following back to back:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | magic | `OEXT` |
//! | 4 | 4 | checksum | CRC-32 (IEEE) of bytes 8 to 63 |
//! | 8 | 4 | format | 1 |
//! | 12 | 4 | store | checksum seed of the store |
//! | 16 | 4 | extent number | |
//! | 20 | 2 | shard | |
//! | 22 | 2 | reserved | 0 |
//! | 24 | 4 | used bytes | header and records; zeros follow up to a multiple of 4096 |
//! | 28 | 4 | salt | |
//! | 32 | 32 | reserved | 0 |

use crate::index::{ExtentNumber, Location};
use crate::planted::{self, PlantedBug};
use crate::types::ShardId;

/// Bytes before the first record of an extent on disk.
pub const EXTENT_HEADER_BYTES: usize = 64;

const MAGIC: [u8; 4] = *b"OEXT";
const FORMAT: u32 = 1;

/// Whose extents these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentSeal {
    /// Checksum seed of the store: CRC-32 of its uuid and its secret.
    pub store: u32,
    /// The shard.
    pub shard: ShardId,
}

/// Why bytes are not the extent that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtentError {
    /// No extent at all, or a damaged header.
    #[error("its header is damaged")]
    Damaged,
    /// Written by a newer program.
    #[error("it has format {0}, newer than this program")]
    Newer(u32),
    /// An intact extent, but another one.
    #[error("extent {found} of shard {shard} lies there")]
    Foreign {
        /// Number of the extent found.
        found: u32,
        /// Shard of the extent found.
        shard: ShardId,
    },
}

impl ExtentSeal {
    /// What the checksum of the record at `location` is XORed with.
    #[inline]
    #[must_use]
    pub fn mask(&self, location: Location, salt: u32) -> u32 {
        if planted::is(PlantedBug::ColdReadWithoutIdentity) {
            return 0;
        }
        let place = ((location.extent.0 as u64) << 32) | location.offset as u64;
        // Fibonacci hashing: consecutive offsets and numbers land far apart.
        let mixed = (place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as u32 ^ salt ^ self.store ^ (self.shard.0 as u32).wrapping_mul(0x85eb_ca6b)
    }

    /// Writes the header of an extent.
    pub fn write_header(&self, number: ExtentNumber, salt: u32, used_bytes: u32, out: &mut [u8]) {
        let out = &mut out[..EXTENT_HEADER_BYTES];
        out.fill(0);
        out[..4].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[12..16].copy_from_slice(&self.store.to_le_bytes());
        out[16..20].copy_from_slice(&number.0.to_le_bytes());
        out[20..22].copy_from_slice(&self.shard.0.to_le_bytes());
        out[24..28].copy_from_slice(&used_bytes.to_le_bytes());
        out[28..32].copy_from_slice(&salt.to_le_bytes());
        let checksum = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Verifies the header of an extent and returns its used bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read_header(&self, number: ExtentNumber, salt: u32, bytes: &[u8]) -> Result<u32, ExtentError> {
        let header: &[u8; EXTENT_HEADER_BYTES] = bytes.first_chunk().ok_or(ExtentError::Damaged)?;
        let u32_at =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if header[..4] != MAGIC || u32_at(4) != crc32fast::hash(&header[8..]) {
            return Err(ExtentError::Damaged);
        }
        if u32_at(8) > FORMAT {
            return Err(ExtentError::Newer(u32_at(8)));
        }
        let shard = ShardId(u16::from_le_bytes([header[20], header[21]]));
        if u32_at(12) != self.store || u32_at(16) != number.0 || shard != self.shard || u32_at(28) != salt {
            return Err(ExtentError::Foreign { found: u32_at(16), shard });
        }
        let zeros = header[22..24].iter().chain(&header[32..]).all(|&byte| byte == 0);
        let used_bytes = u32_at(24);
        if u32_at(8) != FORMAT || !zeros || (used_bytes as usize) < EXTENT_HEADER_BYTES {
            return Err(ExtentError::Damaged);
        }
        Ok(used_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: ExtentSeal = ExtentSeal { store: 0x0403_0201, shard: ShardId(7) };

    #[test]
    fn golden_bytes_of_an_extent_header() {
        let mut bytes = [9; EXTENT_HEADER_BYTES];
        SEAL.write_header(ExtentNumber(0x0102), 0x0a0b_0c0d, 1000, &mut bytes);
        let mut expected =
            b"OEXT\0\0\0\0\x01\0\0\0\x01\x02\x03\x04\x02\x01\0\0\x07\0\0\0\xe8\x03\0\0\x0d\x0c\x0b\x0a"
                .to_vec();
        expected.resize(EXTENT_HEADER_BYTES, 0);
        let checksum = crc32fast::hash(&expected[8..]).to_le_bytes();
        expected[4..8].copy_from_slice(&checksum);
        assert_eq!(bytes[..], expected[..]);
        assert_eq!(SEAL.read_header(ExtentNumber(0x0102), 0x0a0b_0c0d, &bytes), Ok(1000));
    }

    #[test]
    fn another_extent_and_every_flipped_bit_are_noticed() {
        let mut bytes = [0; EXTENT_HEADER_BYTES];
        SEAL.write_header(ExtentNumber(5), 9, 4096, &mut bytes);
        assert!(matches!(
            SEAL.read_header(ExtentNumber(5), 8, &bytes),
            Err(ExtentError::Foreign { found: 5, .. })
        ));
        assert!(matches!(
            SEAL.read_header(ExtentNumber(6), 9, &bytes),
            Err(ExtentError::Foreign { found: 5, .. })
        ));
        let other = ExtentSeal { shard: ShardId(8), ..SEAL };
        assert!(matches!(other.read_header(ExtentNumber(5), 9, &bytes), Err(ExtentError::Foreign { .. })));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(SEAL.read_header(ExtentNumber(5), 9, &bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn golden_value_of_a_mask() {
        // With p = 2^32 + 64: the upper half of (p + 1) * 0x9E3779B97F4A7C15, and 7 * 0x85EBCA6B, computed elsewhere.
        let (upper, shard) = (0xab60_642e, 0xa972_88ed);
        let at = Location { extent: ExtentNumber(1), offset: 64 };
        assert_eq!(SEAL.mask(at, 9), upper ^ 9 ^ 0x0403_0201 ^ shard);
    }

    #[test]
    fn masks_of_places_differ() {
        let mut masks = std::collections::BTreeSet::new();
        for extent in 0..64 {
            for offset in (0..1 << 20).step_by(4096) {
                masks.insert(SEAL.mask(Location { extent: ExtentNumber(extent), offset }, 1));
            }
        }
        assert!(masks.len() >= 64 * 256 - 2, "{}", masks.len());
    }
}
