//! Values that prove themselves: the key they belong to, a version, and a checksum over all of it.
//!
//! Layout, little endian: `0..4` magic `LGV1`, `4..8` CRC-32 of all bytes from 8 on, `8..16` key number, `16..24`
//! version, then any bytes. A value of another key, a torn one, or one that nobody wrote is told apart from a good
//! one; the version says which write it is.

/// Bytes of the head: the shortest value that can be verified.
pub const VERIFIED_BYTES_MIN: usize = 24;
const MAGIC: [u8; 4] = *b"LGV1";

/// Writes the head over the first bytes of a value.
///
/// # Panics
/// When the value is shorter than [`VERIFIED_BYTES_MIN`].
pub fn seal(value: &mut [u8], key: u64, version: u64) {
    assert!(value.len() >= VERIFIED_BYTES_MIN, "a sealed value holds its head");
    value[..4].copy_from_slice(&MAGIC);
    value[8..16].copy_from_slice(&key.to_le_bytes());
    value[16..24].copy_from_slice(&version.to_le_bytes());
    let checksum = crc32fast::hash(&value[8..]);
    value[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// It has no head: somebody else wrote it, or it was written without `--verify`.
    #[error("a value without the mark of this program ({bytes} bytes): load with the same --verify options")]
    Foreign {
        /// Its length.
        bytes: usize,
    },
    /// Its checksum does not hold.
    #[error("a damaged value: its checksum is {stored:08x}, its bytes give {computed:08x}")]
    Damaged {
        /// In the value.
        stored: u32,
        /// Of its bytes.
        computed: u32,
    },
    /// It is intact and belongs to another key.
    #[error("the value of key number {found} was answered for key number {asked}")]
    OtherKey {
        /// The key asked for.
        asked: u64,
        /// The key in the value.
        found: u64,
    },
}

/// The version of a value of `key`.
///
/// # Errors
/// What is wrong with it.
pub fn check(value: &[u8], key: u64) -> Result<u64, BadValue> {
    let word =
        |at: usize| value.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    let (Some(head), Some(found), Some(version)) = (word(0), word(8), word(16)) else {
        return Err(BadValue::Foreign { bytes: value.len() });
    };
    let head = head.to_le_bytes();
    if head[..4] != MAGIC {
        return Err(BadValue::Foreign { bytes: value.len() });
    }
    let stored = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let computed = crc32fast::hash(&value[8..]);
    if stored != computed {
        return Err(BadValue::Damaged { stored, computed });
    }
    if found != key {
        return Err(BadValue::OtherKey { asked: key, found });
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn the_layout_is_the_documented_one() {
        let mut value = *b"xxxxxxxxxxxxxxxxxxxxxxxxend";
        seal(&mut value, 0x0102, 7);
        assert_eq!(&value[..4], b"LGV1");
        assert_eq!(&value[8..], b"\x02\x01\0\0\0\0\0\0\x07\0\0\0\0\0\0\0end");
        // CRC-32 (IEEE) of the nineteen bytes above, computed with zlib.
        assert_eq!(u32::from_le_bytes(value[4..8].try_into().unwrap()), GOLDEN_CRC);
    }

    const GOLDEN_CRC: u32 = 0x9768_865F;

    proptest! {
        #[test]
        fn a_sealed_value_checks_and_any_flipped_bit_is_found(
            mut value in prop::collection::vec(any::<u8>(), VERIFIED_BYTES_MIN..200),
            key in any::<u64>(), version in any::<u64>(), flip in any::<prop::sample::Index>()
        ) {
            seal(&mut value, key, version);
            prop_assert_eq!(check(&value, key), Ok(version));
            let other = key.wrapping_add(1);
            prop_assert_eq!(check(&value, other), Err(BadValue::OtherKey { asked: other, found: key }));
            let bit = flip.index(value.len() * 8);
            value[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(check(&value, key).is_err());
        }
    }

    #[test]
    fn short_and_foreign_values_are_told() {
        assert_eq!(check(b"value", 1), Err(BadValue::Foreign { bytes: 5 }));
        assert_eq!(check(&[b'x'; 64], 1), Err(BadValue::Foreign { bytes: 64 }));
    }
}
