//! A batch that is being filled, or is full and waits for its turn to fly.

use crate::log::batch::{BATCH_HEADER_BYTES, BatchHeader, BatchKind, batch_byte_len, finish};
use crate::types::BatchNumber;

/// Its generation, position and predecessor are settled when it is submitted, not before.
pub(crate) struct OpenBatch<B> {
    buffer: B,
    number: BatchNumber,
    kind: BatchKind,
    payload_len: usize,
    record_count: u32,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> OpenBatch<B> {
    /// An empty batch with its number, which it keeps.
    pub(crate) fn new(buffer: B, number: BatchNumber, kind: BatchKind) -> Self {
        assert!(buffer.as_ref().len() > BATCH_HEADER_BYTES, "a batch has room");
        assert!(number > BatchNumber::ZERO, "batch numbers start at 1");
        Self { buffer, number, kind, payload_len: 0, record_count: 0 }
    }

    pub(crate) const fn number(&self) -> BatchNumber {
        self.number
    }

    pub(crate) const fn kind(&self) -> BatchKind {
        self.kind
    }

    pub(crate) const fn payload_len(&self) -> usize {
        self.payload_len
    }

    pub(crate) const fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Bytes it will take in its segment.
    pub(crate) const fn byte_len(&self) -> usize {
        batch_byte_len(self.payload_len)
    }

    /// Bytes of records that still fit.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.buffer.as_ref().len() - BATCH_HEADER_BYTES - self.payload_len
    }

    /// The place of the next record of `len` bytes, which fits.
    #[inline]
    pub(crate) fn push(&mut self, len: usize) -> &mut [u8] {
        assert!(self.kind == BatchKind::Records && len > 0 && len <= self.room(), "a record fits its batch");
        let start = BATCH_HEADER_BYTES + self.payload_len;
        self.payload_len += len;
        self.record_count += 1;
        &mut self.buffer.as_mut()[start..start + len]
    }

    /// Writes header and padding: the batch is what will be on disk. Returns its checksum with the buffer.
    pub(crate) fn finish(mut self, header: &BatchHeader, seed: u32) -> (B, u32) {
        assert!(
            header.payload_len as usize == self.payload_len && header.number == self.number,
            "its own header"
        );
        let (_, crc) = finish(self.buffer.as_mut(), header, seed);
        (self.buffer, crc)
    }
}
