//! Operations of a writer: their request, their effect on the keys, the reply they call for.
//!
//! Every effect is known before the reply: a writer owns its keys, and an operation whose effect would depend on
//! whether a deadline has passed is not drawn for keys that end soon.

use std::fmt;
use std::sync::Arc;

use resp::Reply;

use super::key_state::{CLOCK_SLACK_MS, Deadline, Entry, KeyState, Shown, Sighting};

/// How long a reply may be under way at most: what widens a deadline that the server computes.
const REPLY_MS_MAX: u64 = 60_000;

/// A key of one writer, by its place in the writer's table.
pub type KeyIndex = usize;

/// One request of a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// SET, with PXAT where there is a deadline.
    Set {
        /// The key.
        key: KeyIndex,
        /// The whole value.
        value: Arc<[u8]>,
        /// Unix ms.
        deadline_ms: Option<u64>,
    },
    /// MSET of keys of one slot: all or nothing.
    SetMany {
        /// Keys and values.
        pairs: Vec<(KeyIndex, Arc<[u8]>)>,
    },
    /// DEL of keys of one slot: all or nothing.
    Delete {
        /// The keys.
        keys: Vec<KeyIndex>,
        /// Whether a deadline may decide how many are there.
        may_have_ended: bool,
    },
    /// APPEND.
    Append {
        /// The key.
        key: KeyIndex,
        /// What is added.
        suffix: Arc<[u8]>,
    },
    /// SETRANGE.
    SetRange {
        /// The key.
        key: KeyIndex,
        /// Where.
        offset: usize,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// INCRBY.
    Increment {
        /// The key.
        key: KeyIndex,
        /// By how much.
        by: i64,
    },
    /// EXPIRE, far ahead.
    Expire {
        /// The key.
        key: KeyIndex,
        /// Seconds.
        ttl_s: u64,
    },
    /// PERSIST.
    Persist {
        /// The key.
        key: KeyIndex,
    },
    /// GET of an own key.
    Get {
        /// The key.
        key: KeyIndex,
    },
}

/// The reply an operation calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// `+OK`.
    Ok,
    /// An integer from the first to the second.
    Integer(i64, i64),
    /// What the key is.
    State(KeyState),
}

impl Operation {
    /// The request, with the names of the writer's keys.
    #[must_use]
    pub fn request(&self, names: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let name = |key: KeyIndex| names[key].clone();
        match self {
            Self::Set { key, value, deadline_ms: None } => vec![b"SET".to_vec(), name(*key), value.to_vec()],
            Self::Set { key, value, deadline_ms: Some(ms) } => {
                vec![b"SET".to_vec(), name(*key), value.to_vec(), b"PXAT".to_vec(), decimal(ms)]
            }
            Self::SetMany { pairs } => {
                let pairs = pairs.iter().flat_map(|(key, value)| [name(*key), value.to_vec()]);
                std::iter::once(b"MSET".to_vec()).chain(pairs).collect()
            }
            Self::Delete { keys, .. } => {
                std::iter::once(b"DEL".to_vec()).chain(keys.iter().map(|key| name(*key))).collect()
            }
            Self::Append { key, suffix } => vec![b"APPEND".to_vec(), name(*key), suffix.to_vec()],
            Self::SetRange { key, offset, bytes } => {
                vec![b"SETRANGE".to_vec(), name(*key), decimal(offset), bytes.to_vec()]
            }
            Self::Increment { key, by } => vec![b"INCRBY".to_vec(), name(*key), decimal(by)],
            Self::Expire { key, ttl_s } => vec![b"EXPIRE".to_vec(), name(*key), decimal(ttl_s)],
            Self::Persist { key } => vec![b"PERSIST".to_vec(), name(*key)],
            Self::Get { key } => vec![b"GET".to_vec(), name(*key)],
        }
    }

    /// The key that decides where the operation goes; all others are in its slot.
    ///
    /// # Panics
    /// When the operation has no key.
    #[must_use]
    pub fn first_key(&self) -> KeyIndex {
        match self {
            Self::SetMany { pairs } => pairs[0].0,
            Self::Delete { keys, .. } => keys[0],
            Self::Set { key, .. }
            | Self::Append { key, .. }
            | Self::SetRange { key, .. }
            | Self::Increment { key, .. }
            | Self::Expire { key, .. }
            | Self::Persist { key }
            | Self::Get { key } => *key,
        }
    }

    /// What the keys are afterwards, `states` being what they were, and the reply that says so. `sent_ms` is just
    /// before the request leaves.
    ///
    /// # Panics
    /// When the operation does not fit the state of its key: the workload does not draw such.
    #[must_use]
    pub fn effect(&self, states: &[KeyState], sent_ms: u64) -> (Vec<(KeyIndex, KeyState)>, Expected) {
        match self {
            Self::Set { key, value, deadline_ms } => {
                let deadline = deadline_ms.map(Deadline::at);
                (vec![(*key, Some(Entry { value: Arc::clone(value), deadline }))], Expected::Ok)
            }
            Self::SetMany { pairs } => {
                let entry = |value: &Arc<[u8]>| Some(Entry { value: Arc::clone(value), deadline: None });
                (pairs.iter().map(|(key, value)| (*key, entry(value))).collect(), Expected::Ok)
            }
            Self::Delete { keys, may_have_ended } => {
                let there = keys.iter().filter(|key| states[**key].is_some()).count();
                let there = i64::try_from(there).expect("few keys");
                let least = if *may_have_ended { 0 } else { there };
                (keys.iter().map(|key| (*key, None)).collect(), Expected::Integer(least, there))
            }
            Self::Append { key, suffix } => {
                let mut value = states[*key].as_ref().map_or_else(Vec::new, |entry| entry.value.to_vec());
                value.extend_from_slice(suffix);
                changed_length(*key, states, value)
            }
            Self::SetRange { key, offset, bytes } => {
                let mut value = states[*key].as_ref().map_or_else(Vec::new, |entry| entry.value.to_vec());
                let end = offset + bytes.len();
                value.resize(value.len().max(end), 0);
                value[*offset..end].copy_from_slice(bytes);
                changed_length(*key, states, value)
            }
            Self::Increment { key, by } => {
                let before = states[*key].as_ref().map_or(0, |entry| parse(&entry.value));
                let after = before + by;
                let entry = Entry { value: decimal(&after).into(), deadline: deadline_of(&states[*key]) };
                (vec![(*key, Some(entry))], Expected::Integer(after, after))
            }
            Self::Expire { key, ttl_s } => match &states[*key] {
                None => (Vec::new(), Expected::Integer(0, 0)),
                Some(Entry { value, .. }) => {
                    let exact_ms = sent_ms + ttl_s * 1000;
                    let deadline = Some(Deadline {
                        first_ms: exact_ms.saturating_sub(CLOCK_SLACK_MS),
                        last_ms: exact_ms + REPLY_MS_MAX,
                    });
                    (
                        vec![(*key, Some(Entry { value: Arc::clone(value), deadline }))],
                        Expected::Integer(1, 1),
                    )
                }
            },
            Self::Persist { key } => match &states[*key] {
                Some(Entry { value, deadline: Some(_) }) => {
                    let entry = Entry { value: Arc::clone(value), deadline: None };
                    (vec![(*key, Some(entry))], Expected::Integer(1, 1))
                }
                _ => (Vec::new(), Expected::Integer(0, 0)),
            },
            Self::Get { key } => (Vec::new(), Expected::State(states[*key].clone())),
        }
    }
}

/// A changed value keeps its deadline; the reply is its length.
fn changed_length(
    key: KeyIndex,
    states: &[KeyState],
    value: Vec<u8>,
) -> (Vec<(KeyIndex, KeyState)>, Expected) {
    let length = i64::try_from(value.len()).expect("values are short");
    let entry = Entry { value: value.into(), deadline: deadline_of(&states[key]) };
    (vec![(key, Some(entry))], Expected::Integer(length, length))
}

fn deadline_of(state: &KeyState) -> Option<Deadline> {
    state.as_ref().and_then(|entry| entry.deadline)
}

fn decimal(number: &impl ToString) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn parse(value: &[u8]) -> i64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).expect("a counter holds a number")
}

impl Expected {
    /// Whether this reply is it.
    #[must_use]
    pub fn is(&self, reply: &Reply, asked_ms: u64, answered_ms: u64) -> bool {
        match (self, reply) {
            (Self::Ok, Reply::Simple(text)) => text == b"OK",
            (Self::Integer(first, last), Reply::Integer(number)) => (first..=last).contains(&number),
            (Self::State(state), reply) => match value_of(reply) {
                Some(value) => Sighting { value, deadline_ms: None, asked_ms, answered_ms }.can_be(state),
                None => false,
            },
            _ => false,
        }
    }
}

/// The value of a reply to GET; `None` when it is no such reply.
#[must_use]
pub fn value_of(reply: &Reply) -> Option<Option<Vec<u8>>> {
    match reply {
        Reply::Bulk(value) => Some(Some(value.clone())),
        Reply::Null => Some(None),
        _ => None,
    }
}

/// A reply in words.
pub struct ShownReply<'a>(pub &'a Reply);

impl fmt::Display for ShownReply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reply::Simple(text) => write!(f, "+{}", text.escape_ascii()),
            Reply::Error(text) | Reply::BulkError(text) => write!(f, "-{}", text.escape_ascii()),
            Reply::Integer(number) => write!(f, ":{number}"),
            Reply::Bulk(value) => write!(f, "{}", Shown(value)),
            Reply::Null => write!(f, "nil"),
            other => write!(f, "{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(value: &str) -> KeyState {
        Some(Entry { value: value.as_bytes().into(), deadline: None })
    }

    fn check(operation: Operation, before: KeyState, after: KeyState, expected: &Expected) {
        let (effects, reply) = operation.effect(std::slice::from_ref(&before), 1000);
        let last = effects.last().map_or(before, |(key, state)| {
            assert_eq!(*key, 0);
            state.clone()
        });
        assert_eq!((last, &reply), (after, expected), "{operation:?}");
    }

    #[test]
    fn effects_and_replies_are_those_of_the_commands() {
        let bytes = |text: &str| Arc::from(text.as_bytes());
        let until = |value: &str, first_ms, last_ms| {
            Some(Entry { value: bytes(value), deadline: Some(Deadline { first_ms, last_ms }) })
        };
        check(
            Operation::Append { key: 0, suffix: bytes("b") },
            state("a"),
            state("ab"),
            &Expected::Integer(2, 2),
        );
        check(Operation::Append { key: 0, suffix: bytes("b") }, None, state("b"), &Expected::Integer(1, 1));
        let far = Operation::SetRange { key: 0, offset: 2, bytes: bytes("x") };
        check(far, state("a"), state("a\0x"), &Expected::Integer(3, 3));
        let within = Operation::SetRange { key: 0, offset: 1, bytes: bytes("x") };
        check(within, state("abc"), state("axc"), &Expected::Integer(3, 3));
        check(Operation::Increment { key: 0, by: -5 }, state("3"), state("-2"), &Expected::Integer(-2, -2));
        check(Operation::Increment { key: 0, by: 7 }, None, state("7"), &Expected::Integer(7, 7));
        let expire = Operation::Expire { key: 0, ttl_s: 10 };
        check(
            expire.clone(),
            state("a"),
            until("a", 11_000 - CLOCK_SLACK_MS, 71_000),
            &Expected::Integer(1, 1),
        );
        check(expire, None, None, &Expected::Integer(0, 0));
        let persist = Operation::Persist { key: 0 };
        check(persist.clone(), until("a", 5, 6), state("a"), &Expected::Integer(1, 1));
        check(persist, state("a"), state("a"), &Expected::Integer(0, 0));
        let delete = |may_have_ended| Operation::Delete { keys: vec![0], may_have_ended };
        check(delete(false), state("a"), None, &Expected::Integer(1, 1));
        check(delete(true), state("a"), None, &Expected::Integer(0, 1));
        let append = Operation::Append { key: 0, suffix: bytes("b") };
        check(append, until("a", 5, 6), until("ab", 5, 6), &Expected::Integer(2, 2));
        let set = Operation::Set { key: 0, value: bytes("b"), deadline_ms: None };
        check(set, until("a", 5, 6), state("b"), &Expected::Ok);
    }

    #[test]
    fn a_reply_of_another_kind_is_wrong() {
        assert!(Expected::Ok.is(&Reply::Simple(b"OK".to_vec()), 1, 2));
        assert!(!Expected::Ok.is(&Reply::Error(b"ERR no".to_vec()), 1, 2));
        assert!(Expected::Integer(0, 1).is(&Reply::Integer(1), 1, 2));
        assert!(!Expected::Integer(0, 1).is(&Reply::Integer(2), 1, 2));
        assert!(Expected::State(None).is(&Reply::Null, 1, 2));
        assert!(!Expected::State(None).is(&Reply::Error(b"ERR no".to_vec()), 1, 2));
        assert!(!Expected::State(state("a")).is(&Reply::Bulk(b"b".to_vec()), 1, 2));
    }
}
