//! Golden bytes, the law of the round trip, and every way to spoil a dump.

use proptest::prelude::*;

use super::{DumpError, DumpReader, DumpRecord, DumpWriter};
use crate::limits::DUMP_BLOCK_BYTES;
use crate::types::{Db, UnixMs};

type Owned = (u8, Option<u64>, Vec<u8>, Vec<u8>);

fn dump(records: &[Owned]) -> Vec<u8> {
    let mut writer = DumpWriter::new(*b"0123456789abcdef", UnixMs(0x0102));
    for (db, deadline, key, value) in records {
        writer.push(&DumpRecord { db: Db(*db), deadline: deadline.map(UnixMs), key, value });
    }
    writer.finish();
    std::mem::take(writer.output())
}

fn read(bytes: &[u8], piece: usize) -> Result<Vec<Owned>, DumpError> {
    let (mut reader, mut found) = (DumpReader::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        reader.push(piece)?;
        while let Some(record) = reader.next_record()? {
            let deadline = record.deadline.map(|deadline| deadline.0);
            found.push((record.db.0, deadline, record.key.to_vec(), record.value.to_vec()));
        }
    }
    let counts = reader.finish()?;
    assert_eq!(counts.records, found.len() as u64);
    Ok(found)
}

/// CRC-32 bit by bit, as a second opinion.
fn crc(previous: u32, bytes: &[u8]) -> u32 {
    let mut state = !previous;
    for &byte in bytes {
        state ^= u32::from(byte);
        for _ in 0..8 {
            state = (state >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(state & 1));
        }
    }
    !state
}

#[test]
fn golden_bytes_of_a_dump() {
    let bytes =
        dump(&[(0, None, b"k".to_vec(), b"value".to_vec()), (3, Some(0x0506), b"ab".to_vec(), vec![])]);
    let mut header = b"OURODUMP\0\0\0\0\x01\0\0\0\x02\x01\0\0\0\0\0\0".to_vec();
    header.extend(b"0123456789abcdef");
    header.resize(64, 0);
    let first = crc(0, &header[12..]);
    header[8..12].copy_from_slice(&first.to_le_bytes());

    let mut records = b"ODBL\0\0\0\0\x01\0\0\0\x28\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    records.extend(b"\0\0\0\0\x01\0\0\0\x05\0\0\0kvalue");
    records.extend(b"\x01\x03\0\0\x02\0\0\0\0\0\0\0\x06\x05\0\0\0\0\0\0ab");
    assert_eq!(records.len(), 32 + 0x28);
    let second = crc(first, &records[8..]);
    records[4..8].copy_from_slice(&second.to_le_bytes());

    let mut end = b"ODBL\0\0\0\0\x02\0\0\0\x98\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    // Two records, 40 bytes, one block; one record each in databases 0 and 3.
    for count in [2u64, 40, 1, 1, 0, 0, 1] {
        end.extend(count.to_le_bytes());
    }
    end.resize(32 + 0x98, 0);
    let third = crc(second, &end[8..]);
    end[4..8].copy_from_slice(&third.to_le_bytes());
    assert_eq!(bytes, [header, records, end].concat());
}

fn sample() -> Vec<u8> {
    let large = vec![7; DUMP_BLOCK_BYTES + 500];
    dump(&[(0, None, b"key".to_vec(), b"value".to_vec()), (2, Some(9), b"large".to_vec(), large)])
}

#[test]
fn every_flipped_bit_is_noticed() {
    let whole = sample();
    let edges = 0..whole.len();
    for at in edges.filter(|at| at % 1009 == 0 || *at < 400 || at + 900 > whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(read(&bytes, 4096).is_err(), "byte {at}");
    }
}

#[test]
fn a_dump_cut_short_anywhere_is_refused_and_so_is_one_that_goes_on() {
    let whole = sample();
    for len in (0..whole.len()).filter(|len| len % 997 == 0 || len + 400 > whole.len() || *len < 200) {
        assert!(matches!(read(&whole[..len], 4096), Err(DumpError::Short(_))), "{len}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert_eq!(read(&longer, 4096), Err(DumpError::Trailing(whole.len() as u64)));
    assert!(read(&[whole.clone(), whole].concat(), 4096).is_err());
}

#[test]
fn blocks_of_another_dump_or_out_of_order_are_refused() {
    let (mine, other) = (sample(), dump(&[(0, None, b"other".to_vec(), vec![1; DUMP_BLOCK_BYTES * 2])]));
    // The first block of one behind the header of the other; both headers are alike, the chain is not.
    let block = 32 + DUMP_BLOCK_BYTES;
    let mixed = [&mine[..64 + block], &other[64 + block..]].concat();
    assert!(matches!(read(&mixed, 4096), Err(DumpError::Damaged { .. })));
    let skipped = [&other[..64], &other[64 + block..]].concat();
    assert!(matches!(read(&skipped, 4096), Err(DumpError::Damaged { .. })));
}

#[test]
fn what_is_no_dump_and_what_is_newer_say_so() {
    assert_eq!(read(b"REDIS0011", 4096), Err(DumpError::NoDump));
    let mut newer = sample();
    newer[12] = 2;
    let sum = crc(0, &newer[12..64]);
    newer[8..12].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(read(&newer, 4096), Err(DumpError::Newer(2)));
}

proptest! {
    #[test]
    fn reading_what_was_written_gives_the_same_records(
        records in proptest::collection::vec(
            (0u8..16, any::<Option<u64>>(), proptest::collection::vec(any::<u8>(), 0..40),
             proptest::collection::vec(any::<u8>(), 0..3000)), 0..40),
        piece in 1usize..9000,
    ) {
        prop_assert_eq!(read(&dump(&records), piece), Ok(records));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes, 64);
        let _ = read(&[&dump(&[])[..64], &bytes[..]].concat(), 64);
    }
}
