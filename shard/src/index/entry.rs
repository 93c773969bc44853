//! One index entry: 12 bytes that name a candidate record.

use crate::record::RECORD_BYTES_MAX;

/// Number of an extent within its shard. Never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtentNumber(pub u32);

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The extent that holds it.
    pub extent: ExtentNumber,
    /// Byte offset of the record in the extent, below 2^20.
    pub offset: u32,
}

/// Bits of an offset: an extent has 1 MiB.
const OFFSET_BITS: u32 = 20;
const OFFSET_MASK: u32 = (1 << OFFSET_BITS) - 1;
const CLASS_BITS: u32 = 8;
const FLAG_IN_WHEEL: u32 = 1 << (OFFSET_BITS + CLASS_BITS);
const FLAG_HAS_DEADLINE: u32 = FLAG_IN_WHEEL << 1;
const USES_SHIFT: u32 = OFFSET_BITS + CLASS_BITS + 2;
const FLAGS: u32 = FLAG_IN_WHEEL | FLAG_HAS_DEADLINE | (USES_MAX << USES_SHIFT);

/// Most uses that an entry counts.
pub const USES_MAX: u32 = 3;

const _: () = assert!(crate::limits::EXTENT_BYTES == 1 << OFFSET_BITS);
const _: () = assert!(size_of::<Entry>() == 12);
const _: () = assert!(USES_SHIFT + 2 == u32::BITS);

/// An upper bound of a record's length in 8 bits, within 1/8 of it: what one read must cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LengthClass(pub u8);

impl LengthClass {
    /// The smallest class that covers `len` bytes, as many as the longest record has at most.
    #[must_use]
    #[inline]
    pub fn of(len: usize) -> Self {
        assert!(len <= RECORD_BYTES_MAX, "no record is that long");
        if len < 8 {
            return Self(u8::try_from(len).unwrap_or(7));
        }
        // The exponent and the three bits behind the leading one, rounded up.
        let exponent = len.ilog2();
        let step = 1usize << (exponent - 3);
        let eighths = len.div_ceil(step);
        let class = (exponent as usize - 2) * 8 + (eighths - 8);
        Self(u8::try_from(class).unwrap_or(u8::MAX))
    }

    /// Most bytes that a record of this class has.
    #[must_use]
    pub fn bytes_max(self) -> usize {
        let class = usize::from(self.0);
        if class < 8 {
            return class;
        }
        let exponent = class / 8 + 2;
        (class % 8 + 8) << (exponent - 3)
    }
}

/// Hash bits, location, length class and flags of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    hash: u32,
    extent: u32,
    packed: u32,
}

impl Entry {
    /// An entry for a record of `record_len` bytes at `location`.
    #[must_use]
    #[inline]
    pub fn new(hash: u32, location: Location, record_len: usize) -> Self {
        let mut entry = Self { hash, extent: 0, packed: 0 };
        entry.move_to(location, record_len);
        entry
    }

    /// The entry as it stands in a snapshot.
    #[must_use]
    pub const fn to_words(self) -> [u32; 3] {
        [self.hash, self.extent, self.packed]
    }

    /// The entry that stands in a snapshot as these words.
    #[must_use]
    pub const fn from_words([hash, extent, packed]: [u32; 3]) -> Self {
        Self { hash, extent, packed }
    }

    /// Points the entry at another place; the flags stay.
    #[inline]
    pub fn move_to(&mut self, location: Location, record_len: usize) {
        assert!(location.offset <= OFFSET_MASK, "offset within an extent");
        let class = u32::from(LengthClass::of(record_len).0);
        self.extent = location.extent.0;
        self.packed = (self.packed & FLAGS) | (class << OFFSET_BITS) | location.offset;
    }

    /// The stored hash bits.
    #[must_use]
    #[inline]
    pub fn hash(&self) -> u32 {
        self.hash
    }

    /// Where the record is.
    #[must_use]
    #[inline]
    pub fn location(&self) -> Location {
        Location { extent: ExtentNumber(self.extent), offset: self.packed & OFFSET_MASK }
    }

    /// Length class of the record.
    #[must_use]
    pub fn length_class(&self) -> LengthClass {
        let class = (self.packed >> OFFSET_BITS) & 0xff;
        LengthClass(u8::try_from(class).unwrap_or(u8::MAX))
    }

    /// How often the key was used lately, 0 to [`USES_MAX`]; counted only where keys may be evicted.
    #[must_use]
    #[inline]
    pub fn uses(&self) -> u32 {
        self.packed >> USES_SHIFT
    }

    /// Sets how often the key was used lately.
    #[inline]
    pub fn set_uses(&mut self, uses: u32) {
        assert!(uses <= USES_MAX, "two bits");
        self.packed = (self.packed & !(USES_MAX << USES_SHIFT)) | (uses << USES_SHIFT);
    }

    /// Whether the key has a deadline.
    #[must_use]
    #[inline]
    pub fn has_deadline(&self) -> bool {
        self.packed & FLAG_HAS_DEADLINE != 0
    }

    /// Notes whether the key has a deadline.
    #[inline]
    pub fn set_has_deadline(&mut self, has_deadline: bool) {
        if has_deadline {
            self.packed |= FLAG_HAS_DEADLINE;
        } else {
            self.packed &= !FLAG_HAS_DEADLINE;
        }
    }

    /// Whether the timing wheel holds an entry for this key, no later than its deadline.
    #[must_use]
    #[inline]
    pub fn in_wheel(&self) -> bool {
        self.packed & FLAG_IN_WHEEL != 0
    }

    /// Notes whether the timing wheel holds an entry for this key.
    #[inline]
    pub fn set_in_wheel(&mut self, in_wheel: bool) {
        if in_wheel {
            self.packed |= FLAG_IN_WHEEL;
        } else {
            self.packed &= !FLAG_IN_WHEEL;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_class_covers_every_length_within_an_eighth() {
        let mut len = 0usize;
        loop {
            let most = LengthClass::of(len).bytes_max();
            assert!(most >= len && (most - len) * 8 <= len, "{len} -> {most}");
            if len == RECORD_BYTES_MAX {
                break;
            }
            len = RECORD_BYTES_MAX.min(len + 1 + len / 1000);
        }
    }

    #[test]
    fn fields_do_not_touch_each_other() {
        let place = Location { extent: ExtentNumber(u32::MAX), offset: OFFSET_MASK };
        let mut entry = Entry::new(0xdead_beef, place, 513);
        assert_eq!((entry.hash(), entry.location(), entry.in_wheel()), (0xdead_beef, place, false));
        entry.set_in_wheel(true);
        entry.set_has_deadline(true);
        entry.set_uses(2);
        let other = Location { extent: ExtentNumber(1), offset: 0 };
        entry.move_to(other, 7);
        assert_eq!((entry.location(), entry.in_wheel(), entry.length_class()), (other, true, LengthClass(7)));
        entry.set_in_wheel(false);
        assert_eq!((entry.has_deadline(), entry.in_wheel(), entry.hash()), (true, false, 0xdead_beef));
        assert_eq!((entry.uses(), entry.location()), (2, other));
    }
}
