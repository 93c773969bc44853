//! The two questions recovery asks of bytes in a segment: is this the next batch, and, behind the first that is
//! not: what does this prove?

use crate::io::BLOCK_BYTES;
use crate::log::LogIdentity;
use crate::log::batch::{self, BatchError, BatchHeader, BatchKind};
use crate::log::fields::is_zero;
use crate::store_manifest::LogEnd;
use crate::types::BatchNumber;

/// Whether the bytes at an offset are the batch that must come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// They are.
    Valid(BatchHeader, u32),
    /// More bytes are needed to tell.
    NeedMore,
    /// They are not.
    Invalid,
}

/// What the bytes at an offset behind the end say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// Zeros: never written.
    Zero,
    /// No batch, or one of an earlier use of the file.
    Nothing,
    /// More bytes are needed to tell.
    NeedMore,
    /// An intact batch that was in flight with the missing one: it proves nothing.
    InFlight {
        /// Its length.
        byte_len: usize,
    },
    /// An intact batch that says the missing one was durable.
    Durable {
        /// The intact batch.
        number: BatchNumber,
        /// The last batch it knows to be durable.
        known: BatchNumber,
    },
    /// An intact batch that does not belong here.
    Misplaced {
        /// Its number.
        number: BatchNumber,
    },
}

/// A place in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Generation of the segment.
    pub(crate) generation: u64,
    /// Offset in the segment.
    pub(crate) offset: u64,
    /// Bytes from there to the end of the segment.
    pub(crate) remaining: u64,
}

impl Place {
    fn holds(&self, header: &BatchHeader) -> bool {
        u64::from(header.position) * BLOCK_BYTES as u64 == self.offset
    }
}

/// Asks whether `bytes`, which stand at `place`, are the batch after `last`.
pub(crate) fn next_batch(
    bytes: &[u8],
    place: Place,
    last: LogEnd,
    identity: &LogIdentity,
    check_chain: bool,
) -> Next {
    let (header, crc) = match batch::decode(bytes, identity.checksum_seed) {
        Ok(batch) => batch,
        Err(BatchError::Short { needed }) if needed as u64 <= place.remaining => return Next::NeedMore,
        Err(_) => return Next::Invalid,
    };
    let ours = header.log == identity.log && header.generation == place.generation && place.holds(&header);
    let follows = header.number == last.batch.next() && (header.previous_crc == last.crc || !check_chain);
    if ours && follows { Next::Valid(header, crc) } else { Next::Invalid }
}

/// Asks what `bytes`, which stand at `place` at or behind the place of the missing batch `missing`, prove.
pub(crate) fn evidence(bytes: &[u8], place: Place, missing: BatchNumber, identity: &LogIdentity) -> Evidence {
    let Some(block) = bytes.get(..BLOCK_BYTES) else { return Evidence::NeedMore };
    let header = match batch::decode(bytes, identity.checksum_seed) {
        Ok((header, _)) => header,
        Err(BatchError::Short { needed }) if needed as u64 <= place.remaining => return Evidence::NeedMore,
        Err(_) => return if is_zero(block) { Evidence::Zero } else { Evidence::Nothing },
    };
    let misplaced = Evidence::Misplaced { number: header.number };
    if header.log != identity.log || header.generation > place.generation {
        // Only a write that went astray, or swapped files, bring it here; what stood here before is not known.
        return misplaced;
    }
    if header.generation < place.generation {
        return Evidence::Nothing;
    }
    if !place.holds(&header) {
        // A duplicate of a batch that is in its place too is harmless; one that is missing there is not.
        return if header.number >= missing { misplaced } else { Evidence::Nothing };
    }
    if header.number <= missing {
        // In its place, intact, and yet not the next: what it follows is not what stands before it.
        return misplaced;
    }
    if header.known_durable >= missing || header.kind == BatchKind::Clean {
        let known = header.known_durable.max(missing);
        return Evidence::Durable { number: header.number, known };
    }
    Evidence::InFlight { byte_len: header.byte_len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LogId, ShardId};

    const IDENTITY: LogIdentity = LogIdentity {
        uuid: [1; 16],
        log: LogId(1),
        checksum_seed: 7,
        first_shard: ShardId(0),
        shard_count: 1,
    };
    const LAST: LogEnd = LogEnd { batch: BatchNumber(9), crc: 99 };

    fn place() -> Place {
        Place { generation: 5, offset: 8192, remaining: 65536 }
    }

    fn image(change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
        let mut header = BatchHeader {
            kind: BatchKind::Seal,
            payload_len: 0,
            record_count: 0,
            log: LogId(1),
            generation: 5,
            number: BatchNumber(10),
            known_durable: BatchNumber(8),
            previous_crc: 99,
            position: 2,
        };
        change(&mut header);
        let mut bytes = vec![0; 4096];
        batch::finish(&mut bytes, &header, 7);
        bytes
    }

    fn is_next(change: impl FnOnce(&mut BatchHeader)) -> bool {
        matches!(next_batch(&image(change), place(), LAST, &IDENTITY, true), Next::Valid(..))
    }

    #[test]
    fn only_the_batch_that_follows_in_every_field_is_the_next() {
        assert!(is_next(|_| {}));
        assert!(!is_next(|header| header.number = BatchNumber(11)));
        assert!(!is_next(|header| header.previous_crc = 98));
        assert!(!is_next(|header| header.generation = 4));
        assert!(!is_next(|header| header.log = LogId(2)));
        assert!(!is_next(|header| header.position = 3));
        assert_eq!(next_batch(&[0; 4096], place(), LAST, &IDENTITY, true), Next::Invalid);
        assert_eq!(next_batch(&[0; 100][..0], place(), LAST, &IDENTITY, true), Next::NeedMore);
    }

    fn proves(change: impl FnOnce(&mut BatchHeader)) -> Evidence {
        evidence(&image(change), place(), BatchNumber(10), &IDENTITY)
    }

    #[test]
    fn a_later_batch_proves_a_loss_only_when_it_knew_the_missing_one_durable() {
        let number = BatchNumber(12);
        let later = |known: u64| {
            move |header: &mut BatchHeader| {
                (header.number, header.known_durable) = (BatchNumber(12), BatchNumber(known));
            }
        };
        assert_eq!(proves(later(9)), Evidence::InFlight { byte_len: 4096 });
        assert_eq!(proves(later(10)), Evidence::Durable { number, known: BatchNumber(10) });
        assert_eq!(proves(later(11)), Evidence::Durable { number, known: BatchNumber(11) });
        let clean = proves(|header| {
            later(9)(header);
            header.kind = BatchKind::Clean;
        });
        assert_eq!(clean, Evidence::Durable { number, known: BatchNumber(10) });
    }

    #[test]
    fn what_an_earlier_use_of_the_file_left_proves_nothing() {
        assert_eq!(proves(|header| header.generation = 4), Evidence::Nothing);
        assert_eq!(evidence(&[0; 4096], place(), BatchNumber(10), &IDENTITY), Evidence::Zero);
        assert_eq!(evidence(&[7; 4096], place(), BatchNumber(10), &IDENTITY), Evidence::Nothing);
    }

    #[test]
    fn a_batch_out_of_its_place_is_noticed() {
        let misplaced = |number| Evidence::Misplaced { number: BatchNumber(number) };
        assert_eq!(proves(|header| header.position = 3), misplaced(10));
        assert_eq!(proves(|header| header.log = LogId(2)), misplaced(10));
        assert_eq!(proves(|header| header.generation = 6), misplaced(10));
        assert_eq!(proves(|header| header.previous_crc = 1), misplaced(10), "in place, but not the next");
        let duplicate = proves(|header| {
            (header.position, header.number, header.known_durable) = (3, BatchNumber(9), BatchNumber(1))
        });
        assert_eq!(duplicate, Evidence::Nothing);
    }
}
