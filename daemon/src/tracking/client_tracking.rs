//! What one client wants to be told of the keys that it reads.

/// Which keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrackingMode {
    /// All that it reads.
    #[default]
    All,
    /// Those that it reads with the request after CLIENT CACHING YES.
    OptIn,
    /// All that it reads but with the request after CLIENT CACHING NO.
    OptOut,
    /// All that begin with one of its prefixes, whoever reads them.
    Broadcast,
}

/// What a client with CLIENT TRACKING ON has asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTracking {
    /// Which keys it is told of.
    pub mode: TrackingMode,
    /// It is not told of what it writes itself.
    pub no_loop: bool,
    /// The client that is told in its place, by id.
    pub redirect: Option<u64>,
    /// That client is gone.
    pub is_redirect_broken: bool,
    /// With [`TrackingMode::Broadcast`]: not empty, sorted, and none begins with another but with the empty one.
    pub prefixes: Vec<Box<[u8]>>,
    /// CLIENT CACHING was called: the next request is the exception.
    pub is_caching_given: bool,
}

impl ClientTracking {
    /// Whether the keys of a reading request are to be remembered.
    #[must_use]
    pub const fn remembers(&self) -> bool {
        match self.mode {
            TrackingMode::All => true,
            TrackingMode::OptIn => self.is_caching_given,
            TrackingMode::OptOut => !self.is_caching_given,
            TrackingMode::Broadcast => false,
        }
    }
}

/// Whether a key begins with one of a client's prefixes ([`ClientTracking::prefixes`]). What it begins with stands just
/// before it: every write asks this, and a client may have very many.
#[must_use]
pub fn begins_with_one_of(prefixes: &[Box<[u8]>], key: &[u8]) -> bool {
    let is_all = prefixes.first().is_some_and(|first| first.is_empty());
    let place = prefixes.partition_point(|prefix| **prefix <= *key);
    is_all || (place > 0 && key.starts_with(&prefixes[place - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_any_of_the_prefixes() {
        let check = |prefixes: &[&str], key: &str| {
            let mut boxed: Vec<Box<[u8]>> = prefixes.iter().map(|prefix| prefix.as_bytes().into()).collect();
            boxed.sort_unstable();
            let expected = prefixes.iter().any(|prefix| key.starts_with(prefix));
            assert_eq!(begins_with_one_of(&boxed, key.as_bytes()), expected, "{prefixes:?} {key}");
        };
        let keys = ["", "a", "ab", "abc", "b", "ba", "bb", "bbz", "c", "user:1", "user", "user:", "zz"];
        for prefixes in
            [&[][..], &[""], &["", "b"], &["a"], &["ab", "bb", "user:"], &["aa", "c", "user:1", "z"]]
        {
            keys.iter().for_each(|key| check(prefixes, key));
        }
    }
}
