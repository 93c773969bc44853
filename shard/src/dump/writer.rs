//! Writes a dump: takes records, gives out bytes.

use super::format::{
    BLOCK_HEADER_BYTES, BLOCK_MAGIC, DUMP_FORMAT, DUMP_HEADER_BYTES, DUMP_MAGIC, DumpCounts, DumpRecord,
    FLAG_HAS_DEADLINE, KIND_END, KIND_RECORDS, checksum,
};
use crate::limits::{DATABASE_COUNT, DUMP_BLOCK_BYTES, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::log::fields::FieldWriter;
use crate::types::UnixMs;

/// Writes one dump. What it has finished waits in [`Self::output`] for the caller to take.
pub struct DumpWriter {
    output: Vec<u8>,
    payload: Vec<u8>,
    previous: u32,
    number: u64,
    counts: DumpCounts,
}

impl DumpWriter {
    /// Begins the dump of a store.
    #[must_use]
    pub fn new(uuid: [u8; 16], created: UnixMs) -> Self {
        let mut fields = FieldWriter::default();
        fields.bytes(&DUMP_MAGIC).u32(0).u32(DUMP_FORMAT).u64(created.0).bytes(&uuid);
        let mut output = fields.finish(DUMP_HEADER_BYTES);
        assert_eq!(output.len(), DUMP_HEADER_BYTES, "the header has its size");
        let previous = crc32fast::hash(&output[12..]);
        output[8..12].copy_from_slice(&previous.to_le_bytes());
        let counts = DumpCounts::default();
        Self { output, payload: Vec::with_capacity(DUMP_BLOCK_BYTES), previous, number: 0, counts }
    }

    /// Bytes that are finished: the caller writes them out and clears them.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// What was written so far.
    #[must_use]
    pub const fn counts(&self) -> &DumpCounts {
        &self.counts
    }

    /// Adds a record.
    ///
    /// # Panics
    /// When it is beyond a bound: what is asserted here is what the reader demands.
    pub fn push(&mut self, record: &DumpRecord<'_>) {
        assert!(record.db.0 < DATABASE_COUNT, "a database has a number");
        let key_len = length_field(record.key.len(), KEY_BYTES_MAX);
        let value_len = length_field(record.value.len(), VALUE_BYTES_MAX);
        let flags = if record.deadline.is_some() { FLAG_HAS_DEADLINE } else { 0 };
        let mut head = FieldWriter::default();
        head.u8(flags).u8(record.db.0).u16(0).u32(key_len).u32(value_len);
        if let Some(deadline) = record.deadline {
            head.u64(deadline.0);
        }
        let head = head.finish(1);
        self.counts.note(record, head.len() + record.key.len() + record.value.len());
        for part in [&head[..], record.key, record.value] {
            self.push_bytes(part);
        }
    }

    fn push_bytes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = DUMP_BLOCK_BYTES - self.payload.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.payload.extend_from_slice(now);
            bytes = later;
            if self.payload.len() == DUMP_BLOCK_BYTES {
                self.close_block(KIND_RECORDS);
            }
        }
    }

    fn close_block(&mut self, kind: u32) {
        assert!(!self.payload.is_empty(), "a block has a payload");
        let start = self.output.len();
        let mut fields = FieldWriter::default();
        let payload_len = length_field(self.payload.len(), DUMP_BLOCK_BYTES);
        fields.bytes(&BLOCK_MAGIC).u32(0).u32(kind).u32(payload_len).u64(self.number).u64(0);
        let header = fields.finish(1);
        assert_eq!(header.len(), BLOCK_HEADER_BYTES, "the header has its size");
        self.output.extend_from_slice(&header);
        self.output.extend_from_slice(&self.payload);
        self.previous = checksum(self.previous, &self.output[start + 8..]);
        self.output[start + 4..start + 8].copy_from_slice(&self.previous.to_le_bytes());
        self.payload.clear();
        self.number += 1;
        if kind == KIND_RECORDS {
            self.counts.blocks += 1;
        }
    }

    /// Ends the dump: with the bytes that are in [`Self::output`] now it is whole.
    pub fn finish(&mut self) {
        if !self.payload.is_empty() {
            self.close_block(KIND_RECORDS);
        }
        self.payload = self.counts.encode();
        self.close_block(KIND_END);
    }
}

fn length_field(len: usize, most: usize) -> u32 {
    assert!(len <= most, "lengths have bounds");
    let Ok(len) = u32::try_from(len) else { unreachable!("bounds are below 4 GiB") };
    len
}
