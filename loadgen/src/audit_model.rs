//! What a key may hold, as the client that alone writes it knows: the last acknowledged state, and the states of
//! writes whose fate is open.
//!
//! The rule that is checked: an acknowledged write is never undone, and nothing is read that was never written.
//! A write without an answer may have happened or not, until the key is read or a later write is acknowledged.

use std::fmt;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Nothing.
    Absent,
    /// The value of this version.
    Version(u64),
}

impl fmt::Display for KeyState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => formatter.write_str("no value"),
            Self::Version(version) => write!(formatter, "version {version}"),
        }
    }
}

/// The states of one key.
#[derive(Clone, Debug)]
pub struct KeyHistory {
    acknowledged: KeyState,
    /// Sent, not answered, in order.
    pending: Vec<KeyState>,
    /// Not acknowledged and no longer waited for.
    in_doubt: Vec<KeyState>,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What kind, in one word.
    pub kind: ViolationKind,
    /// In words, without the key.
    pub text: String,
}

/// Kinds of broken promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    /// The key has no value although one was acknowledged.
    Lost,
    /// The key holds an older state than the acknowledged one.
    RolledBack,
    /// The key holds what was never written, or a damaged value.
    Invented,
}

impl KeyHistory {
    /// A key known to be absent.
    #[must_use]
    pub const fn absent() -> Self {
        Self { acknowledged: KeyState::Absent, pending: Vec::new(), in_doubt: Vec::new() }
    }

    /// A write was sent.
    pub fn send(&mut self, state: KeyState) {
        self.pending.push(state);
    }

    /// The oldest write without an answer was acknowledged.
    ///
    /// # Panics
    /// When none is pending: answers are matched with requests before.
    pub fn acknowledge(&mut self) {
        self.acknowledged = self.pending.remove(0);
        // What is acknowledged later in order stands above all earlier ones.
        self.in_doubt.clear();
    }

    /// The oldest write without an answer was refused; it should not have happened, but that is not promised.
    ///
    /// # Panics
    /// When none is pending.
    pub fn refuse(&mut self) {
        self.in_doubt.push(self.pending.remove(0));
    }

    /// The connection has ended: nothing more will be answered.
    pub fn give_up(&mut self) {
        self.in_doubt.append(&mut self.pending);
    }

    /// Writes whose fate is open.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.in_doubt.len() + self.pending.len()
    }

    /// The key was read after everything answered so far and before anything pending. What is found stands from now
    /// on: a reply has revealed it.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn observe(&mut self, found: KeyState) -> Result<(), Violation> {
        let outcome = self.judge(found);
        self.acknowledged = found;
        self.in_doubt.clear();
        outcome
    }

    fn judge(&self, found: KeyState) -> Result<(), Violation> {
        if found == self.acknowledged || self.in_doubt.contains(&found) {
            return Ok(());
        }
        let kind = match (self.acknowledged, found) {
            (KeyState::Version(_), KeyState::Absent) => ViolationKind::Lost,
            (KeyState::Version(acknowledged), KeyState::Version(found)) if found > acknowledged => {
                ViolationKind::Invented
            }
            _ => ViolationKind::RolledBack,
        };
        let open = match self.in_doubt.len() {
            0 => String::new(),
            count => format!(" ({count} later writes were not answered)"),
        };
        Err(Violation {
            kind,
            text: format!("{} was acknowledged{open}, {found} was found", self.acknowledged),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use KeyState::{Absent, Version};

    fn history(acknowledged: &[KeyState], open: &[KeyState]) -> KeyHistory {
        let mut history = KeyHistory::absent();
        for state in acknowledged {
            history.send(*state);
            history.acknowledge();
        }
        open.iter().for_each(|state| history.send(*state));
        history.give_up();
        history
    }

    fn check(acknowledged: &[KeyState], open: &[KeyState], found: KeyState, kind: Option<ViolationKind>) {
        let outcome = history(acknowledged, open).observe(found);
        assert_eq!(
            outcome.err().map(|violation| violation.kind),
            kind,
            "{acknowledged:?} {open:?} {found:?}"
        );
    }

    #[test]
    fn the_acknowledged_state_or_a_later_open_one_may_be_found() {
        check(&[Version(1)], &[], Version(1), None);
        check(&[Version(1)], &[Version(2), Absent, Version(3)], Version(2), None);
        check(&[Version(1)], &[Absent], Absent, None);
        check(&[], &[], Absent, None);
    }

    #[test]
    fn what_was_acknowledged_may_not_be_undone() {
        check(&[Version(1)], &[], Absent, Some(ViolationKind::Lost));
        check(&[Version(1), Version(2)], &[Version(3)], Version(1), Some(ViolationKind::RolledBack));
        check(&[Version(1), Absent], &[], Version(1), Some(ViolationKind::RolledBack));
        check(&[Version(1)], &[], Version(9), Some(ViolationKind::Invented));
    }

    #[test]
    fn what_was_read_once_stands() {
        let mut history = history(&[Version(1)], &[Version(2)]);
        assert_eq!(history.observe(Version(2)), Ok(()));
        assert_eq!(history.observe(Version(1)).unwrap_err().kind, ViolationKind::RolledBack);
    }

    #[test]
    fn a_refused_write_is_open_until_the_next_acknowledged_one() {
        let mut history = history(&[Version(1)], &[]);
        history.send(Version(2));
        history.refuse();
        assert_eq!(history.open_count(), 1);
        assert!(history.clone().observe(Version(2)).is_ok());
        history.send(Version(3));
        history.acknowledge();
        assert_eq!(history.observe(Version(2)).unwrap_err().kind, ViolationKind::RolledBack);
    }
}
