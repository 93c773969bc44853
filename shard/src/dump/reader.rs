//! Reads a dump: takes bytes, gives out records, and says at the end whether it was whole.
//!
//! Rule: no byte is looked at before the checksum of its block is right, nothing is allocated by a length that is only
//! claimed, and without the end block there is no dump.

use super::format::{
    BLOCK_HEADER_BYTES, BLOCK_MAGIC, DUMP_FORMAT, DUMP_HEADER_BYTES, DUMP_MAGIC, DumpCounts, DumpRecord,
    KIND_END, KIND_RECORDS, RecordHead, checksum,
};
use crate::limits::DUMP_BLOCK_BYTES_LIMIT;
use crate::log::fields::{FieldReader, is_zero};

/// Why bytes are no dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// It begins otherwise.
    #[error("this is no dump of ourod: it does not begin with OURODUMP")]
    NoDump,
    /// A later version wrote it.
    #[error(
        "the dump has format {0}, newer than this program reads; use the version that wrote it, or a later one"
    )]
    Newer(u32),
    /// Bytes are not those that were written.
    #[error("the dump is damaged at offset {offset}: {what}")]
    Damaged {
        /// Where the block starts, from the start of the dump.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// It ends before its end block.
    #[error("the dump is cut short: it ends at offset {0}, without its end mark")]
    Short(u64),
    /// Something follows its end.
    #[error("bytes follow the end of the dump at offset {0}: two files were joined")]
    Trailing(u64),
    /// The counts of its end block are others.
    #[error("the dump's end mark counts {expected} records, and there are {found}")]
    Counts {
        /// Records as the end block says.
        expected: u64,
        /// Records found.
        found: u64,
    },
}

/// Reads one dump. [`Self::push`] bytes, take records with [`Self::next_record`] until there is none, and so on;
/// [`Self::finish`] when the input has ended.
#[derive(Default)]
pub struct DumpReader {
    /// Bytes that are no whole block yet, from `offset` of the dump on.
    raw: Vec<u8>,
    offset: u64,
    /// Verified bytes of records, from `at` on not handed out.
    records: Vec<u8>,
    at: usize,
    /// Checksum before the next block; `None` before the header.
    previous: Option<u32>,
    number: u64,
    counts: DumpCounts,
    end: Option<DumpCounts>,
}

impl DumpReader {
    /// Before the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records handed out so far.
    #[must_use]
    pub const fn counts(&self) -> &DumpCounts {
        &self.counts
    }

    /// Takes the bytes that follow.
    ///
    /// # Errors
    /// They are not those of a dump.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DumpError> {
        self.records.drain(..self.at);
        self.at = 0;
        self.raw.extend_from_slice(bytes);
        let mut raw = std::mem::take(&mut self.raw);
        let mut at = 0;
        while let Some(len) = self.take(&raw[at..])? {
            at += len;
            self.offset += len as u64;
        }
        raw.drain(..at);
        self.raw = raw;
        Ok(())
    }

    /// Takes the header or one block off the front of `bytes`; `None`: it is not all there.
    fn take(&mut self, bytes: &[u8]) -> Result<Option<usize>, DumpError> {
        let Some(previous) = self.previous else { return self.take_header(bytes) };
        if self.end.is_some() {
            return if bytes.is_empty() { Ok(None) } else { Err(DumpError::Trailing(self.offset)) };
        }
        let damaged = |what| DumpError::Damaged { offset: self.offset, what };
        let Some(header) = bytes.get(..BLOCK_HEADER_BYTES) else { return Ok(None) };
        let Some(fields) = BlockHeader::decode(header) else { return Err(damaged("no block begins here")) };
        let len = BLOCK_HEADER_BYTES + fields.payload_len;
        let Some(block) = bytes.get(..len) else { return Ok(None) };
        if checksum(previous, &block[8..]) != fields.checksum {
            return Err(damaged("the checksum of a block is wrong"));
        }
        if fields.number != self.number {
            return Err(damaged("a block is missing or out of its place"));
        }
        let payload = &block[BLOCK_HEADER_BYTES..];
        match fields.kind {
            KIND_RECORDS => {
                self.records.extend_from_slice(payload);
                self.counts.blocks += 1;
            }
            KIND_END => {
                let end = DumpCounts::decode(payload).ok_or_else(|| damaged("its end mark is malformed"))?;
                self.end = Some(end);
            }
            _ => return Err(damaged("a block of an unknown kind")),
        }
        (self.previous, self.number) = (Some(fields.checksum), self.number + 1);
        Ok(Some(len))
    }

    fn take_header(&mut self, bytes: &[u8]) -> Result<Option<usize>, DumpError> {
        let begun = bytes.len().min(DUMP_MAGIC.len());
        if bytes[..begun] != DUMP_MAGIC[..begun] {
            return Err(DumpError::NoDump);
        }
        let Some(header) = bytes.get(..DUMP_HEADER_BYTES) else { return Ok(None) };
        let mut fields = FieldReader::new(&header[DUMP_MAGIC.len()..]);
        let (Some(stated), Some(format)) = (fields.u32(), fields.u32()) else {
            unreachable!("the header is whole")
        };
        if stated != crc32fast::hash(&header[12..]) {
            return Err(DumpError::Damaged { offset: 0, what: "the checksum of its header is wrong" });
        }
        if format > DUMP_FORMAT {
            return Err(DumpError::Newer(format));
        }
        if format != DUMP_FORMAT || !is_zero(&header[40..]) {
            return Err(DumpError::Damaged { offset: 0, what: "its header is malformed" });
        }
        self.previous = Some(stated);
        Ok(Some(DUMP_HEADER_BYTES))
    }

    /// The next record that is all there.
    ///
    /// # Errors
    /// What should be a record is none.
    pub fn next_record(&mut self) -> Result<Option<DumpRecord<'_>>, DumpError> {
        let malformed = DumpError::Damaged { offset: self.offset, what: "a record is malformed" };
        let rest = &self.records[self.at..];
        let Some(head) = RecordHead::decode(rest).map_err(|()| malformed)? else { return Ok(None) };
        let len = head.record_len();
        let Some(bytes) = rest.get(..len) else { return Ok(None) };
        let (key, value) = bytes[head.len..].split_at(head.key_len);
        let record = DumpRecord { db: head.db, deadline: head.deadline, key, value };
        self.at += len;
        self.counts.note(&record, len);
        Ok(Some(record))
    }

    /// The input has ended, and every record was taken: whether the dump was whole, and what was in it.
    ///
    /// # Errors
    /// It was not.
    pub fn finish(&self) -> Result<DumpCounts, DumpError> {
        let Some(expected) = self.end else {
            return Err(DumpError::Short(self.offset + self.raw.len() as u64));
        };
        if self.at != self.records.len() || expected != self.counts {
            return Err(DumpError::Counts { expected: expected.records, found: self.counts.records });
        }
        Ok(expected)
    }
}

struct BlockHeader {
    checksum: u32,
    kind: u32,
    payload_len: usize,
    number: u64,
}

impl BlockHeader {
    fn decode(header: &[u8]) -> Option<Self> {
        let mut fields = FieldReader::new(header);
        let magic: [u8; 4] = fields.array()?;
        let (checksum, kind, payload_len) = (fields.u32()?, fields.u32()?, fields.u32()? as usize);
        let (number, reserved) = (fields.u64()?, fields.u64()?);
        let sound =
            magic == BLOCK_MAGIC && reserved == 0 && (1..=DUMP_BLOCK_BYTES_LIMIT).contains(&payload_len);
        sound.then_some(Self { checksum, kind, payload_len, number })
    }
}
