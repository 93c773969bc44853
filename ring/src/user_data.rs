//! The 64 bits that travel with an entry and come back with its completion: an index and a generation, no pointer.
//!
//! Low half: the slot in the operation table, or one of the ring's own tags above all slots. High half: the slot's
//! generation, or the argument of the tag.

use crate::completion::OperationId;
use crate::limits::OPERATIONS_MAX;

const TAG_FIRST: u32 = 0xFFFF_FF00;
const TIMER: u32 = TAG_FIRST;
const EVENT: u32 = TAG_FIRST + 1;
const WOKEN: u32 = TAG_FIRST + 2;
const MESSAGE: u32 = TAG_FIRST + 3;
const IGNORED: u32 = TAG_FIRST + 4;

const _: () = assert!(OPERATIONS_MAX < 0xFFFF_FF00);

/// Whose completion it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserData {
    /// An operation of the caller.
    Operation(OperationId),
    /// The ring's timer.
    Timer,
    /// The poll of the ring's event counter.
    Event,
    /// A message from another ring.
    Woken,
    /// The failure of a message to the ring with this id.
    Message(u32),
    /// A cancel or timer change whose outcome shows elsewhere.
    Ignored,
}

impl UserData {
    pub(crate) fn encode(self) -> u64 {
        let (low, high) = match self {
            Self::Operation(id) => (id.index, id.generation),
            Self::Timer => (TIMER, 0),
            Self::Event => (EVENT, 0),
            Self::Woken => (WOKEN, 0),
            Self::Message(ring) => (MESSAGE, ring),
            Self::Ignored => (IGNORED, 0),
        };
        u64::from(high) << 32 | u64::from(low)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the word")]
    pub(crate) fn decode(word: u64) -> Self {
        let (low, high) = (word as u32, (word >> 32) as u32);
        match low {
            TIMER => Self::Timer,
            EVENT => Self::Event,
            WOKEN => Self::Woken,
            MESSAGE => Self::Message(high),
            IGNORED => Self::Ignored,
            index => Self::Operation(OperationId { index, generation: high }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_comes_back_as_it_went() {
        let operation = OperationId { index: 7, generation: u32::MAX };
        for data in [
            UserData::Operation(operation),
            UserData::Timer,
            UserData::Event,
            UserData::Woken,
            UserData::Message(9),
            UserData::Ignored,
        ] {
            assert_eq!(UserData::decode(data.encode()), data);
        }
    }
}
