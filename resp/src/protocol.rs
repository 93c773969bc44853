//! The version of the protocol that a connection speaks, agreed by `HELLO`.

/// Version of the reply encoding. Requests are the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What a connection speaks until it says `HELLO 3`.
    #[default]
    Resp2,
    /// Typed replies: maps, sets, doubles, booleans, nulls, pushes.
    Resp3,
}

impl Protocol {
    /// The version that `HELLO <number>` asks for; `None` is the client's `-NOPROTO` error.
    #[must_use]
    pub const fn from_version(version: i64) -> Option<Self> {
        match version {
            2 => Some(Self::Resp2),
            3 => Some(Self::Resp3),
            _ => None,
        }
    }

    /// The number that `HELLO` and `CLIENT INFO` show.
    #[must_use]
    pub const fn version(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Protocol;

    #[test]
    fn only_versions_two_and_three_exist() {
        for version in [i64::MIN, -1, 0, 1, 4, i64::MAX] {
            assert_eq!(Protocol::from_version(version), None);
        }
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            assert_eq!(Protocol::from_version(protocol.version()), Some(protocol));
        }
    }
}
