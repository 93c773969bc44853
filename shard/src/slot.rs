//! Hash slots: from a key to its slot, as Redis Cluster computes it. Which shard a slot belongs to stands in the
//! store's manifest.
//!
//! Source: the Redis Cluster specification, "Key distribution model" (CRC16/XMODEM, hash tags).

use crate::types::{SLOT_COUNT, Slot};

/// CRC16/XMODEM (polynomial 0x1021, start 0), four tables so that four bytes go in one step.
static CRC16_TABLES: [[u16; 256]; 4] = crc16_tables();

const fn crc16_tables() -> [[u16; 256]; 4] {
    let mut tables = [[0u16; 256]; 4];
    let mut byte = 0u16;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        tables[0][byte as usize] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 4 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before << 8) ^ tables[0][(before >> 8) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// CRC16/XMODEM of `bytes`.
#[must_use]
#[inline]
pub fn crc16(bytes: &[u8]) -> u16 {
    let [t0, t1, t2, t3] = &CRC16_TABLES;
    let mut crc = 0u16;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        let [high, low] = crc.to_be_bytes();
        crc = t3[usize::from(high ^ chunk[0])]
            ^ t2[usize::from(low ^ chunk[1])]
            ^ t1[usize::from(chunk[2])]
            ^ t0[usize::from(chunk[3])];
    }
    for &byte in chunks.remainder() {
        let [high, low] = crc.to_be_bytes();
        crc = (u16::from(low) << 8) ^ t0[usize::from(high ^ byte)];
    }
    crc
}

/// The part of a key that decides its slot: what stands between the first `{` and the next `}`, if anything does.
#[must_use]
#[inline]
pub fn hashed_part(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        None | Some(0) => key,
        Some(close) => &rest[..close],
    }
}

/// The slot of a key.
#[must_use]
#[inline]
pub fn slot_of(key: &[u8]) -> Slot {
    Slot(crc16(hashed_part(key)) % SLOT_COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc16_has_the_published_check_value() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn crc16_by_four_equals_crc16_by_one() {
        let bytes: Vec<u8> = (0..100u8).map(|i| i.wrapping_mul(37)).collect();
        for end in 0..bytes.len() {
            let mut crc = 0u16;
            for &byte in &bytes[..end] {
                crc ^= u16::from(byte) << 8;
                for _ in 0..8 {
                    crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
                }
            }
            assert_eq!(crc16(&bytes[..end]), crc, "{end} bytes");
        }
    }

    #[test]
    fn slots_are_those_of_redis_cluster() {
        // redis-cli CLUSTER KEYSLOT of the same keys.
        assert_eq!(slot_of(b"foo"), Slot(12182));
        assert_eq!(slot_of(b"somekey"), Slot(11058));
        assert_eq!(slot_of(b"foo{hash_tag}"), Slot(2515));
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"foo{}{bar}"), Slot(crc16(b"foo{}{bar}") % 16384));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
    }
}
