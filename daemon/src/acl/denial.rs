//! What a user may not do, and how it is said.

use super::log::LogReason;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// The command.
    Command,
    /// The key at this argument.
    Key(usize),
    /// The channel at this argument.
    Channel(usize),
}

impl Denial {
    /// Index of the argument that is refused: the key's or the channel's; 0, the command, otherwise.
    #[must_use]
    pub const fn position(self) -> usize {
        match self {
            Self::Command => 0,
            Self::Key(at) | Self::Channel(at) => at,
        }
    }

    /// How the log of refusals names it.
    #[must_use]
    pub const fn reason(self) -> LogReason {
        match self {
            Self::Command => LogReason::Command,
            Self::Key(_) => LogReason::Key,
            Self::Channel(_) => LogReason::Channel,
        }
    }

    /// What its client is told, after `NOPERM `.
    #[must_use]
    pub fn text(self, user: &[u8], command: &str) -> Vec<u8> {
        match self {
            Self::Command => {
                [b"User ", user, b" has no permissions to run the '", command.as_bytes(), b"' command"]
                    .concat()
            }
            Self::Key(_) => b"No permissions to access a key".to_vec(),
            Self::Channel(_) => b"No permissions to access a channel".to_vec(),
        }
    }

    /// What ACL DRYRUN answers: it names the key or channel too.
    #[must_use]
    pub fn dry_run_text(self, user: &[u8], command: &str, object: &[u8]) -> Vec<u8> {
        let kind: &[u8] = match self {
            Self::Command => return self.text(user, command),
            Self::Key(_) => b"key",
            Self::Channel(_) => b"channel",
        };
        [b"User ", user, b" has no permissions to access the '", object, b"' ", kind].concat()
    }
}
