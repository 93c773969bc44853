//! What the scrub sees of the extents: which lie on disk, and in which order.

use super::Extents;
use super::extent::{Disk, Extent};
use crate::index::ExtentNumber;
use crate::io::BlockPool;

/// An extent on disk with something live in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Its number.
    pub(crate) number: ExtentNumber,
    /// First of its places in the data file.
    pub(crate) place: u32,
}

fn is_to_be_read<P: BlockPool>(extent: &Extent<P>) -> bool {
    extent.disk == Disk::Written && extent.emptied.is_none() && extent.live_bytes > 0
}

impl<P: BlockPool> Extents<P> {
    /// Visits extents on disk with something live in them from a number on, looking at `count` extents at most. Returns
    /// where to go on, if there are more.
    pub(crate) fn written_from(
        &self,
        from: ExtentNumber,
        count: usize,
        mut visit: impl FnMut(Written),
    ) -> Option<ExtentNumber> {
        let mut all = self.table.iter_from(from);
        for (number, extent) in all.by_ref().take(count) {
            if is_to_be_read(extent) {
                visit(Written { number, place: extent.place });
            }
        }
        all.next().map(|(number, _)| number)
    }

    /// Used bytes of an extent on disk with something live in it; `None`: there is none of this number any more.
    #[must_use]
    pub(crate) fn written_bytes(&self, number: ExtentNumber) -> Option<u32> {
        self.table.find(number).filter(|extent| is_to_be_read(extent)).map(|extent| extent.used_bytes)
    }

    /// Salt of the extents that are made now: drawn at random at each start.
    #[must_use]
    pub(crate) const fn salt(&self) -> u32 {
        self.salt
    }

    /// What the live records of an extent count as, by their length classes.
    #[must_use]
    pub(crate) fn live_bytes_of(&self, number: ExtentNumber) -> u64 {
        self.table.find(number).map_or(0, |extent| extent.live_bytes.into())
    }
}
