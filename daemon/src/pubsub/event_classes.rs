//! Which events are told: the letters of `notify-keyspace-events`. Source: `keyspaceEventsStringToFlags` and
//! `keyspaceEventsFlagsToString` of Redis 7.2.

use std::fmt;

/// A set of classes of events, and whether they are told by key, by event, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventClasses(u32);

/// Letters of the bits, lowest first: the order in which Redis lists them.
const LETTERS: &[u8; 14] = b"g$lshzxetdnKEm";

impl EventClasses {
    /// None.
    pub const NONE: Self = Self(0);
    /// Events of any key: `g`.
    pub const GENERIC: Self = Self(1);
    /// Events of strings: `$`.
    pub const STRING: Self = Self(1 << 1);
    /// Keys that end: `x`.
    pub const EXPIRED: Self = Self(1 << 6);
    /// Keys that go to make room: `e`.
    pub const EVICTED: Self = Self(1 << 7);
    /// Keys that come: `n`.
    pub const NEW: Self = Self(1 << 10);
    /// By key: `K`.
    pub const BY_KEY: Self = Self(1 << 11);
    /// By event: `E`.
    pub const BY_EVENT: Self = Self(1 << 12);
    /// Keys that are asked for and not there: `m`.
    pub const MISS: Self = Self(1 << 13);
    /// `A`: `g$lshzxetd`.
    const ALL: u32 = (1 << 10) - 1;
    /// A letter that is none, in Redis's words.
    pub const WRONG: &str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";

    /// The classes of a text.
    ///
    /// # Errors
    /// [`Self::WRONG`].
    pub fn parse(text: &str) -> Result<Self, String> {
        text.bytes().try_fold(Self::NONE, |classes, letter| {
            let bits = match letter {
                b'A' => Self::ALL,
                _ => 1 << LETTERS.iter().position(|known| *known == letter).ok_or(Self::WRONG)?,
            };
            Ok(Self(classes.0 | bits))
        })
    }

    /// From what [`Self::bits`] gave.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// As a number.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether one of these is in the other.
    #[must_use]
    #[inline]
    pub const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any event is told: none is without `K` or `E`.
    #[must_use]
    #[inline]
    pub const fn tell_anything(self) -> bool {
        self.overlaps(Self::BY_KEY.and(Self::BY_EVENT))
    }

    /// Whether events of a class are told.
    #[must_use]
    #[inline]
    pub const fn tell(self, class: Self) -> bool {
        self.overlaps(class) && self.tell_anything()
    }
}

impl fmt::Display for EventClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0 & Self::ALL == Self::ALL;
        if all {
            f.write_str("A")?;
        }
        for (bit, letter) in LETTERS.iter().enumerate() {
            // As in Redis `n` is not told beside `A`.
            if self.0 & (1 << bit) != 0 && !(all && bit <= 10) {
                write!(f, "{}", char::from(*letter))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_written_as_by_redis() {
        for (text, written) in [
            ("A", "A"),
            ("KEA", "AKE"),
            ("Kg", "gK"),
            ("g$lshzxetdn", "A"),
            ("AKEnm", "AKEm"),
            ("Kn", "nK"),
            ("KEg$x", "g$xKE"),
            ("", ""),
        ] {
            assert_eq!(EventClasses::parse(text).unwrap().to_string(), written, "{text}");
        }
        assert_eq!(EventClasses::parse("KQ"), Err(EventClasses::WRONG.to_owned()));
    }

    #[test]
    fn nothing_is_told_without_a_way_to_tell_it() {
        assert!(!EventClasses::parse("A").unwrap().tell(EventClasses::STRING));
        assert!(EventClasses::parse("AE").unwrap().tell(EventClasses::STRING));
        assert!(!EventClasses::parse("AE").unwrap().tell(EventClasses::NEW));
        assert!(EventClasses::parse("Kn").unwrap().tell(EventClasses::NEW));
    }
}
