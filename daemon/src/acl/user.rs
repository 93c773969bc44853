//! One user: whether they may log in, with which passwords, and what they may do.

use resp::Args;

use super::denial::Denial;
use super::password::PasswordHash;
use super::selector::Selector;
use crate::commands::Command;

/// A user as they are at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub(super) enabled: bool,
    /// Any password will do.
    pub(super) no_password: bool,
    /// What RESTORE is given is not looked at closely; kept because clients set it.
    pub(super) skip_sanitize_payload: bool,
    pub(super) passwords: Vec<PasswordHash>,
    pub(super) root: Selector,
    pub(super) selectors: Vec<Selector>,
}

impl Default for User {
    /// One who may not log in, and do nothing.
    fn default() -> Self {
        Self {
            enabled: false,
            no_password: false,
            skip_sanitize_payload: false,
            passwords: Vec::new(),
            root: Selector::default(),
            selectors: Vec::new(),
        }
    }
}

impl User {
    /// One who may not log in, and do nothing; but use all channels where that is the default.
    #[must_use]
    pub fn nobody(all_channels: bool) -> Self {
        Self { root: Selector::nothing(all_channels), ..Self::default() }
    }

    /// Whether a channel, or a pattern of channels, may be used by one of the sets of permissions.
    #[must_use]
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors().any(|selector| selector.allows_channel(channel, is_pattern))
    }

    /// Everybody, who may do everything: what `default` is when nobody says otherwise.
    #[must_use]
    pub fn everybody() -> Self {
        Self { enabled: true, no_password: true, root: Selector::everything(), ..Self::default() }
    }

    /// Whether they may log in.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether any password will do.
    #[must_use]
    pub const fn needs_no_password(&self) -> bool {
        self.no_password
    }

    /// Whether this is one of their passwords. Every one of them is compared, so that the time tells nothing.
    #[must_use]
    pub fn accepts(&self, password: &[u8]) -> bool {
        let given = PasswordHash::of(password);
        let mut same = false;
        for known in &self.passwords {
            same |= known.matches(&given);
        }
        self.enabled && (self.no_password || same)
    }

    /// Whether nothing is refused.
    #[must_use]
    pub fn may_do_everything(&self) -> bool {
        self.root.allows_everything()
    }

    /// All sets of permissions, the first one that of the user themself.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// Whether a request may run: one of the sets allows all of it. When not, what came closest.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn check(&self, command: &Command, args: Args<'_>) -> Result<(), Denial> {
        let mut closest = Denial::Command;
        for selector in self.selectors() {
            match selector.check(command, args) {
                Ok(()) => return Ok(()),
                Err(denial) => closest = closest.max(denial),
            }
        }
        Err(closest)
    }

    /// Names of what is set, in Redis's order.
    #[must_use]
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.no_password {
            flags.push("nopass");
        }
        flags.push(if self.skip_sanitize_payload { "skip-sanitize-payload" } else { "sanitize-payload" });
        flags
    }

    /// Their passwords, hashed, in hexadecimal digits.
    pub fn passwords(&self) -> impl ExactSizeIterator<Item = String> {
        self.passwords.iter().map(PasswordHash::to_hex)
    }

    /// The rules that make this user from nothing, as they stand in a file after the name.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let mut words: Vec<Vec<u8>> = self.flags().into_iter().map(|flag| flag.as_bytes().to_vec()).collect();
        words.extend(self.passwords().map(|hash| format!("#{hash}").into_bytes()));
        words.push(self.root.text());
        words.extend(self.selectors.iter().map(|selector| [b"(", &selector.text()[..], b")"].concat()));
        words.join(&b' ')
    }
}
