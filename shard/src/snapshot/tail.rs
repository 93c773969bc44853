//! The tail of a snapshot: what the shard wrote while its index was copied, where there is no log.
//!
//! The copy is fuzzy: it holds, table by table, states between the *start* of the checkpoint and its *end*. With all
//! records between the two, applied in their order, it is exactly the state at the end, because every record is an
//! absolute effect. The records stand in the snapshot file itself, in chunks between those of the tables: a row of
//! bytes that only the chunks cut. So their number is not bounded by memory, and one sync covers all of it.
//!
//! A start reads the file twice: first all of it, which loads index and extents and tells that it is whole, then from
//! the first chunk of records on, which are applied then. Nothing of it is handed out that was not verified.

use super::chunk::TailCounts;
use super::reader::{SnapshotError, SnapshotEvent, SnapshotReader};
use crate::io::{BlockPool, FileId, IoDone, IoRequest};
use crate::record::{Head, Record, RecordError};
use crate::types::Lsn;

/// Why the tail of a whole snapshot is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TailError {
    /// The file is not what it was when it was read first.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A record is none.
    #[error("the record of its tail behind record {0} is malformed")]
    Record(Lsn),
    /// Records are missing, or there are more than the footer says.
    #[error("its tail ends at record {found} and should end at {end}")]
    End {
        /// The last record found.
        found: Lsn,
        /// The last that there should be.
        end: Lsn,
    },
}

/// Records cut out of the bytes of a tail, each verified.
#[derive(Debug, Default)]
pub(crate) struct TailRecords {
    /// The beginning of a record whose end is to come.
    partial: Vec<u8>,
    /// Records so far, and the last of them.
    records: u64,
    last: Lsn,
}

impl TailRecords {
    /// Takes the next bytes of a tail and hands out the records that they complete.
    ///
    /// # Errors
    /// [`TailError::Record`].
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        mut visit: impl FnMut(&Record<'_>, &[u8]),
    ) -> Result<(), TailError> {
        self.partial.extend_from_slice(bytes);
        let mut rest = &self.partial[..];
        loop {
            match Head::decode(rest) {
                Ok(head) if head.record_len() <= rest.len() => {}
                // What does not suffice for a head, or for what the head announces, goes on in the next chunk.
                Ok(_) | Err(RecordError::Short) => break,
                Err(_) => return Err(TailError::Record(self.last)),
            }
            let (record, len) = Record::decode(rest, 0).map_err(|_| TailError::Record(self.last))?;
            if self.records > 0 && record.lsn != self.last.next() {
                return Err(TailError::Record(self.last));
            }
            (self.records, self.last) = (self.records + 1, record.lsn);
            let (raw, after) = rest.split_at(len);
            visit(&record, raw);
            rest = after;
        }
        let taken = self.partial.len() - rest.len();
        self.partial.drain(..taken);
        Ok(())
    }

    /// All bytes were taken: whether these are all records that there should be. An empty tail says nothing of its end.
    ///
    /// # Errors
    /// [`TailError::End`].
    pub(crate) fn finish(&self, counts: &TailCounts) -> Result<(), TailError> {
        let is_end = self.records == 0 || self.last == counts.end;
        if self.partial.is_empty() && self.records == counts.records && is_end {
            return Ok(());
        }
        Err(TailError::End { found: self.last, end: counts.end })
    }
}

/// Reads the records of a snapshot that was found whole. Step it by `next_io` and `on_io` until it is finished.
pub struct TailReader<P: BlockPool> {
    reader: SnapshotReader<P>,
    counts: TailCounts,
    records: TailRecords,
}

impl<P: BlockPool> TailReader<P> {
    /// Begins to read the tail of a snapshot that has just been read; `None`: it has none.
    #[must_use]
    pub(crate) fn new(read: SnapshotReader<P>) -> Option<Self> {
        let counts = read.tail();
        let reader = read.again_from_tail()?;
        Some(Self { reader, counts, records: TailRecords::default() })
    }

    /// The snapshot.
    #[must_use]
    pub fn file(&self) -> FileId {
        self.reader.file()
    }

    /// Whether every record was handed out, and they are all that there should be.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.reader.is_finished()
    }

    /// Bytes of the file read so far and to be read, for the progress shown.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        self.reader.progress()
    }

    /// The next I/O to perform: one at a time.
    #[must_use]
    pub fn next_io(&mut self) -> Option<IoRequest<P>> {
        self.reader.next_io()
    }

    /// Takes a completion and appends what it brought to `whole`: whole records, each verified, their LSNs dense, one
    /// behind the other.
    ///
    /// # Errors
    /// The tail is not what was written: the store must not be opened.
    pub fn on_io(&mut self, done: IoDone<P>, whole: &mut Vec<u8>) -> Result<(), TailError> {
        let Self { reader, counts, records } = self;
        reader.on_io(done, &mut |event| match event {
            SnapshotEvent::Records(bytes) => records.take(bytes, |_, raw| whole.extend_from_slice(raw)),
            SnapshotEvent::Entries { .. } | SnapshotEvent::Extent(_) => Ok(()),
        })?;
        if reader.is_finished() { records.finish(counts) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Effect;
    use crate::types::{KeyspaceId, ShardId, Term};
    use proptest::prelude::*;

    fn record(lsn: u64, value: &[u8], out: &mut Vec<u8>) {
        let effect = Effect::Put { value, deadline: None };
        let (shard, term, keyspace) = (ShardId(2), Term(1), KeyspaceId(0));
        Record { shard, term, lsn: Lsn(lsn), keyspace, group_continues: false, key: b"key", effect }
            .encode_to(out);
    }

    proptest! {
        #[test]
        fn records_come_out_whole_wherever_the_bytes_are_cut(
            lens in proptest::collection::vec(0usize..300, 1..20),
            cuts in proptest::collection::vec(1usize..100, 1..60),
        ) {
            let mut row = Vec::new();
            for (lsn, len) in (7..).zip(&lens) {
                record(lsn, &vec![1; *len], &mut row);
            }
            let (mut tail, mut found, mut rest) = (TailRecords::default(), Vec::new(), &row[..]);
            for cut in cuts.iter().cycle() {
                let (here, after) = rest.split_at(rest.len().min(*cut));
                tail.take(here, |_, raw| found.extend_from_slice(raw)).unwrap();
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(&found, &row);
            let records = lens.len() as u64;
            let counts = TailCounts { records, bytes: row.len() as u64, end: Lsn(6 + records) };
            prop_assert_eq!(tail.finish(&counts), Ok(()));
            let more = TailCounts { records: records + 1, ..counts };
            prop_assert!(tail.finish(&more).is_err());
            let later = TailCounts { end: Lsn(7 + records), ..counts };
            prop_assert!(tail.finish(&later).is_err());
        }
    }

    #[test]
    fn a_gap_a_flipped_bit_and_half_a_record_are_no_tail() {
        let mut row = Vec::new();
        record(1, b"a", &mut row);
        record(3, b"c", &mut row);
        let error = TailRecords::default().take(&row, |_, _| ()).unwrap_err();
        assert_eq!(error, TailError::Record(Lsn(1)), "record 2 is missing");
        let mut row = Vec::new();
        record(1, b"abc", &mut row);
        let last = row.len() - 1;
        row[last] ^= 1;
        assert_eq!(TailRecords::default().take(&row, |_, _| ()), Err(TailError::Record(Lsn(0))));
        row[last] ^= 1;
        let mut tail = TailRecords::default();
        tail.take(&row[..last], |_, _| ()).unwrap();
        let counts = TailCounts { records: 1, bytes: row.len() as u64, end: Lsn(1) };
        assert_eq!(tail.finish(&counts), Err(TailError::End { found: Lsn(0), end: Lsn(1) }));
    }
}
