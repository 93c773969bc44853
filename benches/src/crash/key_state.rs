//! What a key is at one point of its history, and whether what somebody saw can be it.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// How far the server's clock may be behind: it is read once a turn. So long after its deadline a key may be seen.
pub const CLOCK_SLACK_MS: u64 = 250;

/// When a key ends: not exactly known where the server computed it, from a time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Earliest, Unix ms.
    pub first_ms: u64,
    /// Latest, Unix ms.
    pub last_ms: u64,
}

impl Deadline {
    /// A deadline known exactly.
    #[must_use]
    pub const fn at(ms: u64) -> Self {
        Self { first_ms: ms, last_ms: ms }
    }
}

/// A value with its deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The whole value.
    pub value: Arc<[u8]>,
    /// When it ends; `None`: never.
    pub deadline: Option<Deadline>,
}

/// What a key is: an entry, or nothing.
pub type KeyState = Option<Entry>;

/// What somebody saw of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The value, if there was one.
    pub value: Option<Vec<u8>>,
    /// The deadline (`None`: never), where it was asked for.
    pub deadline_ms: Option<Option<u64>>,
    /// When the question was sent, Unix ms.
    pub asked_ms: u64,
    /// When the answer was there, Unix ms.
    pub answered_ms: u64,
}

impl Sighting {
    /// Whether a key of this state can have been seen so.
    #[must_use]
    pub fn can_be(&self, state: &KeyState) -> bool {
        match (state, &self.value) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(entry), None) => {
                entry.deadline.is_some_and(|deadline| deadline.first_ms <= self.answered_ms)
            }
            (Some(entry), Some(value)) => {
                *entry.value == **value
                    && entry.deadline.is_none_or(|end| end.last_ms + CLOCK_SLACK_MS >= self.asked_ms)
                    && self.deadline_ms.is_none_or(|seen| match (seen, entry.deadline) {
                        (None, None) => true,
                        (Some(seen), Some(end)) => (end.first_ms..=end.last_ms).contains(&seen),
                        _ => false,
                    })
            }
        }
    }

    /// The state that is taken for the truth from now on.
    #[must_use]
    pub fn to_state(&self) -> KeyState {
        self.value.as_deref().map(|value| Entry {
            value: value.into(),
            deadline: self.deadline_ms.flatten().map(Deadline::at),
        })
    }
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => write!(f, "nothing")?,
            Some(value) => write!(f, "{}", Shown(value))?,
        }
        if let Some(Some(deadline_ms)) = self.deadline_ms {
            write!(f, " until {deadline_ms}")?;
        }
        write!(f, " (asked at {}, answered at {})", self.asked_ms, self.answered_ms)
    }
}

/// A state in words.
pub struct ShownState<'a>(pub &'a KeyState);

impl fmt::Display for ShownState<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => write!(f, "nothing"),
            Some(Entry { value, deadline: None }) => write!(f, "{}", Shown(value)),
            Some(Entry { value, deadline: Some(end) }) => {
                write!(f, "{} until {}..{}", Shown(value), end.first_ms, end.last_ms)
            }
        }
    }
}

/// Bytes for people: short ones whole, long ones by their start and length.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_BYTES_MAX: usize = 64;
        if self.0.len() <= SHOWN_BYTES_MAX {
            write!(f, "\"{}\"", self.0.escape_ascii())
        } else {
            write!(f, "\"{}\"... of {} bytes", self.0[..SHOWN_BYTES_MAX].escape_ascii(), self.0.len())
        }
    }
}

/// The time, Unix ms.
///
/// # Panics
/// When the clock stands before 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    u64::try_from(since.as_millis()).expect("the year is before 500,000,000")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: &str, deadline: Option<Deadline>) -> KeyState {
        Some(Entry { value: value.as_bytes().into(), deadline })
    }

    fn seen(value: Option<&str>, asked_ms: u64, answered_ms: u64) -> Sighting {
        let value = value.map(|value| value.as_bytes().to_vec());
        Sighting { value, deadline_ms: None, asked_ms, answered_ms }
    }

    #[test]
    fn a_sighting_is_of_the_same_value_or_of_none() {
        assert!(seen(Some("a"), 5, 6).can_be(&entry("a", None)));
        assert!(!seen(Some("b"), 5, 6).can_be(&entry("a", None)));
        assert!(!seen(None, 5, 6).can_be(&entry("a", None)));
        assert!(!seen(Some("a"), 5, 6).can_be(&None));
        assert!(seen(None, 5, 6).can_be(&None));
    }

    #[test]
    fn a_key_is_gone_from_its_deadline_on_and_no_sooner() {
        let state = entry("a", Some(Deadline { first_ms: 1000, last_ms: 1010 }));
        assert!(!seen(None, 990, 999).can_be(&state));
        assert!(seen(None, 990, 1000).can_be(&state));
        assert!(seen(Some("a"), 1010 + CLOCK_SLACK_MS, 2000).can_be(&state));
        assert!(!seen(Some("a"), 1011 + CLOCK_SLACK_MS, 2000).can_be(&state));
    }

    #[test]
    fn a_deadline_that_was_asked_for_counts() {
        let state = entry("a", Some(Deadline { first_ms: 1000, last_ms: 1010 }));
        let with = |deadline_ms| Sighting { deadline_ms, ..seen(Some("a"), 5, 6) };
        assert!(with(Some(Some(1005))).can_be(&state));
        assert!(!with(Some(Some(1011))).can_be(&state));
        assert!(!with(Some(None)).can_be(&state));
        assert!(!with(Some(Some(1005))).can_be(&entry("a", None)));
        assert!(with(None).can_be(&state));
        assert_eq!(with(Some(Some(1005))).to_state(), entry("a", Some(Deadline::at(1005))));
    }
}
