//! The store as the handlers see it: one name for it, in one place.

pub use engine::Shards as Store;
pub use shard::shard::Found;
pub use shard::shard_set::ScanCursor;
