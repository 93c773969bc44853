//! Hash slots: from a key to its slot, as Redis Cluster computes it, and from slots to shards.
//!
//! Source: the Redis Cluster specification, "Key distribution model" (CRC16/XMODEM, hash tags).

use crate::types::{SLOT_COUNT, ShardId, Slot};

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

/// First slot of a shard, when `shard_count` shards share the slots as contiguous ranges whose sizes differ by
/// one at most. `shard` may be `shard_count`: the end of the last range.
#[must_use]
pub fn first_slot(shard: ShardId, shard_count: u16) -> u16 {
    assert!(shard_count > 0 && shard_count <= SLOT_COUNT && shard.0 <= shard_count, "shard count");
    let first = u32::from(shard.0) * u32::from(SLOT_COUNT) / u32::from(shard_count);
    u16::try_from(first).unwrap_or(SLOT_COUNT)
}

/// The shard that owns a slot, when `shard_count` shards share the slots.
#[must_use]
pub fn shard_of(slot: Slot, shard_count: u16) -> ShardId {
    assert!(slot.0 < SLOT_COUNT, "slot");
    let guess = u32::from(slot.0) * u32::from(shard_count) / u32::from(SLOT_COUNT);
    let mut shard = u16::try_from(guess).unwrap_or(shard_count - 1);
    while first_slot(ShardId(shard + 1), shard_count) <= slot.0 {
        shard += 1;
    }
    ShardId(shard)
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

    #[test]
    fn ranges_are_contiguous_and_shard_of_agrees() {
        for count in [1, 2, 3, 7, 16, 255, 1000, 16_384] {
            for slot in 0..SLOT_COUNT {
                let shard = shard_of(Slot(slot), count);
                assert!(first_slot(shard, count) <= slot && slot < first_slot(ShardId(shard.0 + 1), count));
            }
        }
    }
}
