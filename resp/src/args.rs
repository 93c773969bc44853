//! The arguments of one request: ranges of a buffer, so that no byte is copied and nothing is allocated.

use std::ops::Index;

/// Where one argument lies in the bytes of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgRange {
    /// Offset of the first byte.
    pub start: usize,
    /// Length in bytes.
    pub len: usize,
}

/// The arguments of one request, the command's name first. Borrows the buffer they arrived in.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    ranges: &'a [ArgRange],
}

impl<'a> Args<'a> {
    /// Arguments at `ranges` of `bytes`. A range outside `bytes` panics when it is read.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8], ranges: &'a [ArgRange]) -> Self {
        Self { bytes, ranges }
    }

    /// Count of arguments, the command's name included.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Where the arguments lie in their buffer.
    #[inline]
    #[must_use]
    pub const fn ranges(&self) -> &'a [ArgRange] {
        self.ranges
    }

    /// Whether there is no argument. Never so for a request of the parser.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Argument `index`, counted from 0.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.ranges.get(index).map(|range| slice(self.bytes, *range))
    }

    /// Argument `index`, for callers that have checked the count of arguments.
    ///
    /// # Panics
    /// When there is no such argument.
    #[inline]
    #[must_use]
    pub fn at(&self, index: usize) -> &'a [u8] {
        slice(self.bytes, self.ranges[index])
    }

    /// All arguments in order.
    #[inline]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        let bytes = self.bytes;
        self.ranges.iter().map(move |range| slice(bytes, *range))
    }

    /// The arguments from `first` on; none when there are fewer.
    #[inline]
    #[must_use]
    pub fn tail(&self, first: usize) -> Args<'a> {
        Args { bytes: self.bytes, ranges: self.ranges.get(first..).unwrap_or_default() }
    }
}

#[inline]
fn slice(bytes: &[u8], range: ArgRange) -> &[u8] {
    &bytes[range.start..range.start + range.len]
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        self.at(index)
    }
}

impl std::fmt::Debug for Args<'_> {
    // Values and passwords are never logged: only the shape is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ranges.iter().map(|range| range.len)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{ArgRange, Args};

    const RANGES: [ArgRange; 3] =
        [ArgRange { start: 0, len: 3 }, ArgRange { start: 3, len: 0 }, ArgRange { start: 4, len: 2 }];

    #[test]
    fn arguments_are_the_bytes_of_their_ranges() {
        let args = Args::new(b"SET_kv", &RANGES);
        assert_eq!(args.len(), 3);
        assert!(!args.is_empty());
        assert_eq!(args.iter().collect::<Vec<_>>(), [&b"SET"[..], b"", b"kv"]);
        assert_eq!(&args[2], b"kv");
        assert_eq!(args.at(0), b"SET");
        assert_eq!(args.get(3), None);
    }

    #[test]
    fn tail_ends_where_the_arguments_end() {
        let args = Args::new(b"SET_kv", &RANGES);
        assert_eq!(args.tail(2).iter().collect::<Vec<_>>(), [b"kv"]);
        assert!(args.tail(3).is_empty());
        assert!(args.tail(4).is_empty());
    }

    #[test]
    fn debug_shows_no_content() {
        assert_eq!(format!("{:?}", Args::new(b"SET_kv", &RANGES)), "[3, 0, 2]");
    }
}
