//! How much of a damaged extent lives.
//!
//! Done in one go, so that nothing changes meanwhile, and rarely: only where something does not verify. What verifies is
//! looked up in the index by its key and its place. What does not may have lost its key or its length; so what the live
//! records that verify count as is compared with what the extent's live records count as: if something is missing, it lies
//! in the damage.

use super::look::{intact_len, offset_of};
use crate::extent::EXTENT_HEADER_BYTES;
use crate::index::{ExtentNumber, Location};
use crate::io::BlockPool;
use crate::key::KeyHasher;
use crate::limits::{SCRUB_SEARCH_BYTES, SCRUB_SEARCH_HASHED_MAX};
use crate::record::{Head, RECORD_BYTES_MIN};
use crate::shard::Shard;

/// What of a damaged extent lives and does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Keys.
    pub(super) keys: u32,
    /// Whether there may be more.
    pub(super) is_least: bool,
    /// Where the damage begins.
    pub(super) offset: u32,
}

impl<P: BlockPool> Shard<P> {
    /// Judges an extent of so many used bytes, of which these are there.
    pub(super) fn judge_extent(
        &self,
        hasher: &KeyHasher,
        number: ExtentNumber,
        used_bytes: u32,
        bytes: &[u8],
    ) -> Verdict {
        let used = used_bytes as usize;
        let bytes = &bytes[..bytes.len().min(used)];
        let (mut at, mut keys, mut known_bytes) = (EXTENT_HEADER_BYTES, 0, 0u64);
        let mut first = None;
        while at < used {
            let rest = bytes.get(at..).unwrap_or_default();
            let head = Head::decode(rest).ok();
            let lives = head.and_then(|head| {
                let location = Location { extent: number, offset: offset_of(at) };
                self.live_class_bytes(hasher, &head, head.key(rest)?, location)
            });
            known_bytes += lives.unwrap_or(0);
            if let Some(len) = intact_len(&self.extents, number, bytes, at) {
                at += len;
                continue;
            }
            first.get_or_insert(at);
            // The hash is keyed: a key that fits it is the key, whatever became of the rest.
            keys += u32::from(lives.is_some());
            let claimed = head.map_or(0, |head| head.record_len());
            match self
                .next_intact(number, bytes, at, claimed)
                .filter(|next| *next < used || bytes.len() == used)
            {
                Some(next) => at = next,
                None => break,
            }
        }
        let is_least = self.extents.live_bytes_of(number) > known_bytes;
        let offset = offset_of(first.unwrap_or(bytes.len()));
        Verdict { keys: keys + u32::from(is_least), is_least, offset }
    }

    /// What the record at a location counts as, if it lives: if the index points at it.
    fn live_class_bytes(&self, hasher: &KeyHasher, head: &Head, key: &[u8], at: Location) -> Option<u64> {
        let key = hasher.key(key);
        let db = self.db_of(head.keyspace).filter(|_| self.holds(key.slot))?;
        let slots = &self.databases[usize::from(db.0)].slots;
        let table = slots.get(self.local(key.slot))?.table(key.hash)?;
        let entry = table.find(key.hash, |entry| entry.location() == at)?;
        Some(entry.length_class().bytes_max() as u64)
    }

    /// Where behind the damaged record at an offset, which claims to be so long, the next one begins, or the end;
    /// `None`: it is not found.
    fn next_intact(&self, number: ExtentNumber, bytes: &[u8], at: usize, claimed: usize) -> Option<usize> {
        let is_record = |at: usize| intact_len(&self.extents, number, bytes, at).is_some();
        let next = at.checked_add(claimed).filter(|_| claimed >= RECORD_BYTES_MIN)?;
        if next == bytes.len() || is_record(next) {
            return Some(next);
        }
        let shard = self.id();
        let mut hashed = 0;
        let last = bytes.len().min(at + SCRUB_SEARCH_BYTES);
        for next in at + 1..last {
            let rest = &bytes[next..];
            let fits = |head: &Head| head.shard == shard && head.record_len() <= rest.len();
            let Some(head) = Head::decode(rest).ok().filter(fits) else { continue };
            hashed += head.record_len();
            if hashed > SCRUB_SEARCH_HASHED_MAX {
                return None;
            }
            if is_record(next) {
                return Some(next);
            }
        }
        None
    }
}
