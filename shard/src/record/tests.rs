//! What is promised of the encoding: golden bytes, and that decoding is its opposite.

use super::*;
use proptest::prelude::*;

fn record<'a>(key: &'a [u8], effect: Effect<'a>) -> Record<'a> {
    Record {
        shard: ShardId(3),
        term: Term(1),
        lsn: Lsn(300),
        keyspace: KeyspaceId(0),
        group_continues: false,
        key,
        effect,
    }
}

#[test]
fn golden_bytes_of_a_put_and_a_delete() {
    let mut bytes = Vec::new();
    record(b"k1", Effect::Put { value: b"hello", deadline: None }).encode_to(&mut bytes);
    // kind 1, key 2, value 5, shard 3, term 1, LSN 300 = 0xAC 0x02
    let body = [1, 2, 5, 3, 1, 0xac, 0x02, b'k', b'1', b'h', b'e', b'l', b'l', b'o'];
    assert_eq!(&bytes[4..], &body);
    assert_eq!(bytes[..4], crc32fast::hash(&body).to_le_bytes());

    bytes.clear();
    record(b"k", Effect::Expire { deadline: Some(UnixMs(128)) }).encode_to(&mut bytes);
    assert_eq!(&bytes[4..], &[0x13, 1, 0, 3, 1, 0xac, 0x02, 0x80, 0x01, b'k']);
}

#[test]
fn golden_bytes_of_all_other_kinds() {
    fn check(record: Record<'_>, body: &[u8]) {
        let mut bytes = Vec::new();
        record.encode_to(&mut bytes);
        assert_eq!(&bytes[4..], body, "{record:?}");
        assert_eq!(bytes[..4], crc32fast::hash(body).to_le_bytes());
    }
    // kind, key length, value length, shard 3, term 1, LSN 300 = 0xAC 0x02
    check(record(b"k", Effect::Delete), &[2, 1, 0, 3, 1, 0xac, 0x02, b'k']);
    let patch = Effect::Patch { offset: 3, total_len: 130, bytes: b"ab" };
    check(record(b"k", patch), &[4, 1, 2, 3, 1, 0xac, 0x02, 3, 0x82, 0x01, b'k', b'a', b'b']);
    let mut pairs = Vec::new();
    KeyspaceChanges::encode(&mut pairs, StoredDb(7), KeyspaceId(0x0403_0201));
    let changes = KeyspaceChanges::new(&pairs).expect("whole pairs");
    check(record(b"", Effect::Keyspaces(changes)), &[5, 0, 5, 3, 1, 0xac, 0x02, 7, 1, 2, 3, 4]);
    for (part, kind) in [(FragmentPart::First, 6), (FragmentPart::Middle, 7), (FragmentPart::Last, 8)] {
        let piece = Effect::Fragment { part, bytes: b"xy" };
        check(record(b"", piece), &[kind, 0, 2, 3, 1, 0xac, 0x02, b'x', b'y']);
    }
    check(record(b"", Effect::GroupEnd), &[9, 0, 0, 3, 1, 0xac, 0x02]);
    // Flags: has deadline 0x10, has keyspace 0x20, group continues 0x40; deadline 128, keyspace 16.
    let put = Effect::Put { value: b"v", deadline: Some(UnixMs(128)) };
    let flagged = Record { keyspace: KeyspaceId(16), group_continues: true, ..record(b"k", put) };
    check(flagged, &[0x71, 1, 1, 3, 1, 0xac, 0x02, 0x80, 0x01, 16, b'k', b'v']);
}

#[test]
fn head_of_a_small_record_takes_twelve_bytes() {
    let encoder = record(b"0123456789abcdef", Effect::Put { value: &[0; 64], deadline: None }).encoder();
    assert_eq!(encoder.len(), 11 + 16 + 64);
}

#[test]
fn every_single_bit_flip_is_noticed() {
    let mut bytes = Vec::new();
    record(b"key", Effect::Patch { offset: 3, total_len: 9, bytes: b"abcdef" }).encode_to(&mut bytes);
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::decode(&bad, 0).is_err(), "bit {bit}");
    }
    assert!(Record::decode(&bytes, 1).is_err(), "another place");
    assert!(Record::decode(&bytes, 0).is_ok());
}

proptest! {
    #[test]
    fn decode_of_encode_is_the_record(
        shard in any::<u16>(), term in 1u32.., lsn in 1u64.., keyspace in any::<u32>(), group in any::<bool>(),
        key in proptest::collection::vec(any::<u8>(), 0..40), value in proptest::collection::vec(any::<u8>(), 0..200),
        deadline in proptest::option::of(any::<u64>()), kind in 0..6, offset in 0u32..1000,
    ) {
        let deadline = deadline.map(UnixMs);
        let mut pairs = Vec::new();
        KeyspaceChanges::encode(&mut pairs, StoredDb(7), KeyspaceId(keyspace));
        let effect = match kind {
            0 => Effect::Put { value: &value, deadline },
            1 => Effect::Delete,
            2 => Effect::Expire { deadline },
            3 => Effect::Patch { offset, total_len: offset + 200, bytes: &value },
            4 => Effect::Fragment { part: FragmentPart::Middle, bytes: &value },
            _ => Effect::Keyspaces(KeyspaceChanges::new(&pairs).unwrap()),
        };
        let key = if kind == 5 { &[][..] } else { &key };
        let record = Record {
            shard: ShardId(shard), term: Term(term), lsn: Lsn(lsn), keyspace: KeyspaceId(keyspace),
            group_continues: group, key, effect,
        };
        let mut bytes = vec![9; 3];
        record.encode_to(&mut bytes);
        bytes.push(77);
        let (decoded, len) = Record::decode(&bytes[3..], 0).unwrap();
        prop_assert_eq!(decoded, record);
        prop_assert_eq!(len, bytes.len() - 4);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Record::decode(&bytes, 0);
    }
}
