//! One set of permissions: commands, key patterns and channel patterns. A user has one, and may have more of them
//! that each allow by themselves.

use resp::Args;

use crate::commands::{COMMAND_COUNT, Command, CommandId, Flags, glob};

use super::denial::Denial;

/// What may be done to keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyAccess {
    /// Values are read.
    pub read: bool,
    /// Keys are made, changed or deleted.
    pub write: bool,
}

impl KeyAccess {
    /// Both.
    pub const ALL: Self = Self { read: true, write: true };

    /// Whether this is enough for what is needed.
    #[must_use]
    pub const fn covers(self, needed: Self) -> bool {
        (self.read || !needed.read) && (self.write || !needed.write)
    }

    const fn with(self, other: Self) -> Self {
        Self { read: self.read || other.read, write: self.write || other.write }
    }

    /// What a command needs by the words of its key specification. Source: `ACLSelectorCheckKey`.
    #[must_use]
    pub fn needed(uses: &[&str]) -> Self {
        let writes = ["insert", "delete", "update"];
        Self { read: uses.contains(&"access"), write: uses.iter().any(|word| writes.contains(word)) }
    }
}

/// A pattern of keys and what may be done to those that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) pattern: Vec<u8>,
    pub(super) access: KeyAccess,
}

const WORDS: usize = COMMAND_COUNT.div_ceil(64);

/// A set of commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CommandSet([u64; WORDS]);

impl CommandSet {
    pub(super) const ALL: Self = Self([u64::MAX; WORDS]);

    pub(super) fn set(&mut self, id: CommandId, yes: bool) {
        let (word, bit) = (id.index() / 64, 1 << (id.index() % 64));
        if yes {
            self.0[word] |= bit;
        } else {
            self.0[word] &= !bit;
        }
    }

    pub(super) const fn has(&self, id: CommandId) -> bool {
        self.0[id.index() / 64] & (1 << (id.index() % 64)) != 0
    }
}

/// One set of permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    pub(super) commands: CommandSet,
    /// Commands that later versions bring are allowed too.
    pub(super) all_commands: bool,
    /// What was said about commands since all or none were allowed, in order, as `+name` and `-name`.
    pub(super) command_rules: Vec<String>,
    /// Commands without subcommands that are allowed with these first arguments only.
    pub(super) first_arguments: Vec<(CommandId, Vec<u8>)>,
    pub(super) all_keys: bool,
    pub(super) keys: Vec<KeyPattern>,
    pub(super) all_channels: bool,
    pub(super) channels: Vec<Vec<u8>>,
}

impl Selector {
    /// Allows everything.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            commands: CommandSet::ALL,
            all_commands: true,
            all_keys: true,
            all_channels: true,
            ..Self::default()
        }
    }

    /// Allows nothing, but all channels where that is the default.
    #[must_use]
    pub fn nothing(all_channels: bool) -> Self {
        Self { all_channels, ..Self::default() }
    }

    /// Whether nothing is refused.
    #[must_use]
    pub fn allows_everything(&self) -> bool {
        self.all_commands && self.commands == CommandSet::ALL && self.all_keys && self.all_channels
    }

    /// Whether a request may run. When not, what of it stands in the way.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn check(&self, command: &Command, args: Args<'_>) -> Result<(), Denial> {
        self.check_command(command, args)?;
        if !self.all_keys {
            for (at, uses) in command.keys_with_uses(args) {
                if !self.allows_key(args.at(at), KeyAccess::needed(uses)) {
                    return Err(Denial::Key(at));
                }
            }
        }
        if !self.all_channels {
            for (at, is_pattern) in command.channels(args) {
                if !self.allows_channel(args.at(at), is_pattern) {
                    return Err(Denial::Channel(at));
                }
            }
        }
        Ok(())
    }

    fn check_command(&self, command: &Command, args: Args<'_>) -> Result<(), Denial> {
        let is_free = command.flags.contains(Flags::NO_AUTH);
        if is_free || self.commands.has(command.id) {
            return Ok(());
        }
        let first = args.get(1).unwrap_or_default();
        let by_first =
            |(id, word): &(CommandId, Vec<u8>)| *id == command.id && word.eq_ignore_ascii_case(first);
        if self.first_arguments.iter().any(by_first) { Ok(()) } else { Err(Denial::Command) }
    }

    /// Whether a key may be used in this way.
    #[must_use]
    pub fn allows_key(&self, key: &[u8], needed: KeyAccess) -> bool {
        self.all_keys
            || self.keys.iter().any(|known| known.access.covers(needed) && glob::matches(&known.pattern, key))
    }

    /// Whether a channel, or a pattern of channels, may be used. A pattern must be allowed literally.
    #[must_use]
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let same = |known: &Vec<u8>| {
            if is_pattern { known == channel } else { glob::matches(known, channel) }
        };
        self.all_channels || self.channels.iter().any(same)
    }

    /// Allows a pattern of keys in this way, beside what is allowed.
    pub(super) fn add_keys(&mut self, pattern: &[u8], access: KeyAccess) {
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => known.access = known.access.with(access),
            None => self.keys.push(KeyPattern { pattern: pattern.to_vec(), access }),
        }
    }

    /// The rules about commands that make this set from nothing.
    #[must_use]
    pub fn commands_text(&self) -> String {
        let mut text = if self.all_commands { "+@all" } else { "-@all" }.to_owned();
        for rule in &self.command_rules {
            text.push(' ');
            text.push_str(rule);
        }
        text
    }

    /// The rules about keys.
    #[must_use]
    pub fn keys_text(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let one = |known: &KeyPattern| {
            let start: &[u8] = match (known.access.read, known.access.write) {
                (true, false) => b"%R~",
                (false, true) => b"%W~",
                _ => b"~",
            };
            [start, &known.pattern].concat()
        };
        self.keys.iter().map(one).collect::<Vec<_>>().join(&b' ')
    }

    /// The rules about channels.
    #[must_use]
    pub fn channels_text(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        self.channels.iter().map(|known| [b"&", &known[..]].concat()).collect::<Vec<_>>().join(&b' ')
    }

    /// All of it, as ACL LIST writes it.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let mut words = Vec::new();
        let keys = self.keys_text();
        if !keys.is_empty() {
            words.push(keys);
        }
        if !self.all_channels {
            words.push(b"resetchannels".to_vec());
        }
        let channels = self.channels_text();
        if !channels.is_empty() {
            words.push(channels);
        }
        words.push(self.commands_text().into_bytes());
        words.join(&b' ')
    }
}
