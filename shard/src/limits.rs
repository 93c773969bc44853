//! Every bound of the core, in one place.

/// Longest key in bytes, as in Redis (512 MiB).
pub const KEY_BYTES_MAX: usize = 512 << 20;
/// Longest value in bytes, as in Redis (512 MiB).
pub const VALUE_BYTES_MAX: usize = 512 << 20;
/// Size of an extent: the unit in which record memory is filled, written and freed.
pub const EXTENT_BYTES: usize = 1 << 20;
/// Entries at which an index table is split in two: what a table of 2048 buckets holds at a load of 7/8, so that
/// both halves fill tables of 1024 buckets just as well.
pub const TABLE_ENTRIES_MAX: usize = 1792;
/// Splits of one table's hash range at most: beyond it all 32 stored bits are used up.
pub const TABLE_DEPTH_MAX: u8 = 24;
/// Databases a store has.
pub const DATABASE_COUNT: u8 = 16;
/// Index tables of a dropped keyspace that one step frees at most.
pub const DROP_TABLES_PER_STEP: usize = 16;
/// Empty slots that one SCAN call passes over at most.
pub const SCAN_SLOTS_PER_CALL: usize = 512;

/// Entries of the timing wheel above twice the keys with a deadline at which it is rebuilt: they are out of date.
pub const WHEEL_SLACK: usize = 4096;
/// Index slots that one step of a wheel rebuild visits at most.
pub const WHEEL_REBUILD_SLOTS_PER_STEP: usize = 4;

const _: () = assert!(EXTENT_BYTES.is_multiple_of(4096));
const _: () = assert!(TABLE_ENTRIES_MAX * 8 == 2048 * 7);
