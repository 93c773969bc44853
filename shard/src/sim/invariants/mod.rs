//! What must always be true of a store, one invariant a file. Each returns what was broken, in words.

pub(super) mod content;
pub(super) mod excuses;
pub(super) mod order;
pub(super) mod published;
pub(super) mod reads;
pub(super) mod watermarks;
