//! The log of refusals: the newest of them, like ones within a minute told as one.

use std::collections::VecDeque;

use shard::types::UnixMs;

/// Refusals alike are one entry when they come within this time.
const ALIKE_MS: u64 = 60_000;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogReason {
    /// A command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// A login.
    Auth,
}

impl LogReason {
    /// Its name in ACL LOG.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Key => "key",
            Self::Channel => "channel",
            Self::Auth => "auth",
        }
    }
}

/// One refusal, or several alike.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// How many.
    pub count: u64,
    /// What was refused.
    pub reason: LogReason,
    /// The command, key, channel or user name.
    pub object: Vec<u8>,
    /// Who was refused.
    pub user: Vec<u8>,
    /// The client's line of CLIENT LIST, at the last of them.
    pub client: Vec<u8>,
    /// Number of the entry, never given twice.
    pub id: u64,
    /// When the first came.
    pub created: UnixMs,
    /// When the last came.
    pub updated: UnixMs,
}

/// The newest refusals.
#[derive(Debug, Default)]
pub struct AclLog {
    /// Newest first.
    entries: VecDeque<LogEntry>,
    next_id: u64,
}

impl AclLog {
    /// Notes a refusal; at most `len_max` entries are kept.
    pub fn note(
        &mut self,
        reason: LogReason,
        object: &[u8],
        user: &[u8],
        client: Vec<u8>,
        now: UnixMs,
        len_max: usize,
    ) {
        let alike = self.entries.iter().position(|entry| {
            entry.reason == reason
                && entry.object == object
                && entry.user == user
                && now.0.saturating_sub(entry.updated.0) <= ALIKE_MS
        });
        let mut entry = alike.and_then(|at| self.entries.remove(at)).unwrap_or_else(|| {
            self.next_id += 1;
            LogEntry {
                count: 0,
                reason,
                object: object.to_vec(),
                user: user.to_vec(),
                client: Vec::new(),
                id: self.next_id - 1,
                created: now,
                updated: now,
            }
        });
        entry.count += 1;
        entry.client = client;
        entry.updated = now;
        self.entries.push_front(entry);
        self.entries.truncate(len_max);
    }

    /// Newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}
