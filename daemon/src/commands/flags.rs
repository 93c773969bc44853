//! Sets of small names that COMMAND INFO shows: what a command is (flags) and which ACL categories it is in.
//!
//! Kept as bits in the order in which Redis lists the names, so that answers are in that order too.

use std::ops::BitOr;

/// What a command is and may do, by Redis's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

/// Names of the bits of [`Flags`], lowest first: the order of `CommandFlags` in Redis.
const FLAG_NAMES: [&str; 14] = [
    "write",
    "readonly",
    "denyoom",
    "admin",
    "pubsub",
    "noscript",
    "blocking",
    "loading",
    "stale",
    "fast",
    "no_auth",
    "no_async_loading",
    "no_multi",
    "allow_busy",
];

impl Flags {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// Changes data.
    pub const WRITE: Self = Self(1);
    /// Reads data and changes none.
    pub const READONLY: Self = Self(1 << 1);
    /// May make the data grow: refused when memory is full.
    pub const DENYOOM: Self = Self(1 << 2);
    /// Administers the server.
    pub const ADMIN: Self = Self(1 << 3);
    /// Concerns publish and subscribe.
    pub const PUBSUB: Self = Self(1 << 4);
    /// Not to be called by a script.
    pub const NOSCRIPT: Self = Self(1 << 5);
    /// May make its client wait.
    pub const BLOCKING: Self = Self(1 << 6);
    /// Allowed while the store is being recovered.
    pub const LOADING: Self = Self(1 << 7);
    /// Allowed on a replica whose data is old.
    pub const STALE: Self = Self(1 << 8);
    /// Constant or logarithmic time.
    pub const FAST: Self = Self(1 << 9);
    /// Allowed before the client has logged in.
    pub const NO_AUTH: Self = Self(1 << 10);
    /// Not allowed while a replica's data set is replaced.
    pub const NO_ASYNC_LOADING: Self = Self(1 << 11);
    /// Not allowed in a transaction.
    pub const NO_MULTI: Self = Self(1 << 12);
    /// Allowed while a script runs.
    pub const ALLOW_BUSY: Self = Self(1 << 13);

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    #[must_use]
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Redis's names of these, in its order.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        names_of(self.0, &FLAG_NAMES)
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

/// ACL categories a command is in, by Redis's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Categories(u32);

/// Names of the bits of [`Categories`], lowest first: Redis's order.
const CATEGORY_NAMES: [&str; 21] = [
    "@keyspace",
    "@read",
    "@write",
    "@set",
    "@sortedset",
    "@list",
    "@hash",
    "@string",
    "@bitmap",
    "@hyperloglog",
    "@geo",
    "@stream",
    "@pubsub",
    "@admin",
    "@fast",
    "@slow",
    "@blocking",
    "@dangerous",
    "@connection",
    "@transaction",
    "@scripting",
];

impl Categories {
    /// None beyond those that the flags imply.
    pub const NONE: Self = Self(0);
    /// Keys in general, whatever their type.
    pub const KEYSPACE: Self = Self(1);
    const READ: Self = Self(1 << 1);
    const WRITE: Self = Self(1 << 2);
    /// Values that are strings.
    pub const STRING: Self = Self(1 << 7);
    const PUBSUB: Self = Self(1 << 12);
    /// Administration of the server.
    pub const ADMIN: Self = Self(1 << 13);
    const FAST: Self = Self(1 << 14);
    const SLOW: Self = Self(1 << 15);
    const BLOCKING: Self = Self(1 << 16);
    /// Can do harm in wrong hands.
    pub const DANGEROUS: Self = Self(1 << 17);
    /// Bits of values.
    pub const BITMAP: Self = Self(1 << 8);
    /// The connection itself.
    pub const CONNECTION: Self = Self(1 << 18);
    /// Scripts and functions.
    pub const SCRIPTING: Self = Self(1 << 20);

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and those that flags imply. Source: `setImplicitACLCategories` of Redis.
    #[must_use]
    pub const fn implied_by(self, flags: Flags) -> Self {
        let mut all = self;
        if flags.contains(Flags::WRITE) {
            all = all.and(Self::WRITE);
        }
        if flags.contains(Flags::READONLY) {
            all = all.and(Self::READ);
        }
        if flags.contains(Flags::ADMIN) {
            all = all.and(Self::ADMIN).and(Self::DANGEROUS);
        }
        if flags.contains(Flags::PUBSUB) {
            all = all.and(Self::PUBSUB);
        }
        if flags.contains(Flags::BLOCKING) {
            all = all.and(Self::BLOCKING);
        }
        all.and(if flags.contains(Flags::FAST) { Self::FAST } else { Self::SLOW })
    }

    /// Redis's names of these, in its order.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        names_of(self.0, &CATEGORY_NAMES)
    }

    /// Names of all categories, without the `@`.
    pub fn all_names() -> impl Iterator<Item = &'static str> {
        CATEGORY_NAMES.iter().map(|name| name.trim_start_matches('@'))
    }

    /// The category of a name such as `read`, without the `@`, in any case.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let bit = CATEGORY_NAMES.iter().position(|known| known.as_bytes()[1..].eq_ignore_ascii_case(name))?;
        Some(Self(1 << bit))
    }
}

impl BitOr for Categories {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

fn names_of<const N: usize>(
    bits: u32,
    names: &'static [&'static str; N],
) -> impl Iterator<Item = &'static str> + Clone {
    names.iter().enumerate().filter(move |(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_name_themselves_in_the_order_of_redis() {
        let flags = Flags::FAST | Flags::WRITE | Flags::DENYOOM;
        assert_eq!(flags.names().collect::<Vec<_>>(), ["write", "denyoom", "fast"]);
        assert!(flags.contains(Flags::FAST) && !flags.contains(Flags::READONLY));
    }

    #[test]
    fn categories_follow_from_flags() {
        let all = Categories::STRING.implied_by(Flags::WRITE | Flags::FAST);
        assert_eq!(all.names().collect::<Vec<_>>(), ["@write", "@string", "@fast"]);
        let all = Categories::NONE.implied_by(Flags::ADMIN);
        assert_eq!(all.names().collect::<Vec<_>>(), ["@admin", "@slow", "@dangerous"]);
    }

    #[test]
    fn a_category_is_found_by_its_name_in_any_case() {
        assert_eq!(Categories::from_name(b"STRING"), Some(Categories::STRING));
        assert_eq!(Categories::from_name(b"@string"), None);
        assert_eq!(Categories::from_name(b""), None);
    }
}
