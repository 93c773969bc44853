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
/// Index tables take one part in so many more memory than they ask for: what an allocator rounds up.
pub const INDEX_ROUNDING_PART: usize = 13;
/// Splits of one table's hash range at most: beyond it all 32 stored bits are used up.
pub const TABLE_DEPTH_MAX: u8 = 24;
/// Databases a store has.
pub const DATABASE_COUNT: u8 = 16;
/// Index tables of a dropped keyspace that one step frees at most.
pub const DROP_TABLES_PER_STEP: usize = 16;
/// Extents that one step frees at most.
pub const EXTENTS_FREED_PER_STEP: usize = 512;
/// Empty slots that one SCAN call passes over at most.
pub const SCAN_SLOTS_PER_CALL: usize = 4096;
/// Keys that one SCAN call visits at most, whatever `COUNT` says: others wait for it.
pub const SCAN_KEYS_PER_CALL: usize = 10_000;
/// Bytes of their records at most, of one that may be larger, where records may have to be read from disk.
pub const SCAN_BYTES_PER_CALL: u64 = 4 << 20;

/// One free place of a data file keeps its disk space for so many used ones: about what comes free with a checkpoint, so
/// that space does not come and go.
pub const FREE_PLACES_SHARE: usize = 16;
/// Free places that were used a little while ago keep it too, one for so many used ones: a drive has more to do with space
/// that comes and goes than with what is written into it.
pub const FREE_PLACES_SHARE_MAX: usize = 2;
/// How long places are free before they count as not used, in milliseconds.
pub const FREE_PLACES_WINDOW_MS: u64 = 10_000;
/// Places whose space a data file gives back in that time at most, unless the disk is full: clients wait for a drive that is
/// busy with it.
pub const FREE_PLACES_PER_WINDOW: usize = 32;
/// Free places of a data file that keep their disk space beside those.
pub const FREE_PLACES_KEPT: usize = 2;
/// Places whose space one request gives back at most.
pub const FREE_PLACES_PER_STEP: u32 = 4;
/// Bytes of one write to a data file at most: larger ones hold up the log's writes on the same drive for longer.
pub const DATA_WRITE_BYTES_MAX: usize = 256 << 10;
/// Writes to one data file that fly at once at most.
pub const DATA_WRITES_IN_FLIGHT_MAX: usize = 1;
/// Sealed extents of one shard that wait in memory for a checkpoint at most; beyond it the oldest are written.
pub const DIRTY_EXTENTS_MAX: usize = 16;
/// Bytes in emptied extents below which no checkpoint is made to free them.
pub const EMPTIED_BYTES_MIN: u64 = 4 << 20;
/// Extent numbers that a start, or a checkpoint, sets aside: so many may be used before the next checkpoint is
/// published, which is asked for in time.
pub const EXTENT_NUMBERS_AHEAD: u32 = 4096;
/// Of the free places of a data file, so many are for compaction only: with an open extent and one more it can always
/// empty another.
pub const PLACES_FOR_COMPACTION: u64 = 1;
/// Places of a data file, beside those that extents in memory will take, that are kept free at least: that for compaction,
/// and two for extents that are opened while more are being taken.
pub const PLACES_KEPT_MIN: u32 = 3;
/// Places of a data file, beside those that extents in memory will take, that are kept free for compaction at most.
pub const PLACES_KEPT_MAX: u32 = 16;
/// Places that a data file grows by at once at most, unless more are owed.
pub const PLACES_GROWN_MAX: u32 = 32;
/// How long nothing is tried again that a full disk has refused, in milliseconds.
pub const SPACE_RETRY_MS: u64 = 250;
/// Index tables that one step of a checkpoint copies at most.
pub const COPY_TABLES_PER_STEP: usize = 8;
/// Chunks of records, 256 KiB each, that one checkpoint has on their way to the tail of its snapshot at most, beside what
/// one turn adds: beyond it writes to the store wait.
pub const TAIL_CHUNKS_MAX: usize = 16;
/// Commands of one worker that may wait for records on disk; more are held back at their connections.
pub const COLD_TICKETS_MAX: usize = 4096;
/// Reads of records from disk that one worker has in flight at most, whatever the drive takes: about where drives stop gaining.
pub const COLD_READS_IN_FLIGHT_MAX: usize = 256;
/// Bytes of them at most, of one that may be larger.
pub const COLD_READ_BYTES_IN_FLIGHT_MAX: usize = 64 << 20;
/// And no more than this part of the memory bound, as one over this: they come on top of what it counts.
pub const COLD_READ_BYTES_PART: u64 = 32;

/// Buckets that the deadlines of one extent are kept in at most.
pub const DEADLINE_BUCKETS_MAX: usize = 16;
/// Extents that one step looks at because something in them has ended, at most.
pub const EXPIRY_EVENTS_PER_STEP: usize = 64;
/// Extents of one worker that are emptied at once because what is in them has ended, at most: each takes an extent's memory
/// when it has to be read.
pub const EXPIRY_VICTIMS_MAX: usize = 2;
/// Bytes of extents that one worker walks over a second at least, and at most, because what is in them has ended; in between,
/// as many as empty what is waiting in [`EXPIRY_SPREAD_S`].
pub const EXPIRY_BYTES_PER_S_MIN: u64 = 16 << 20;
/// See [`EXPIRY_BYTES_PER_S_MIN`].
pub const EXPIRY_BYTES_PER_S_MAX: u64 = 64 << 20;
/// Seconds over which the work of emptying extents in which much has ended at once is spread, about.
pub const EXPIRY_SPREAD_S: u64 = 40;
/// Records that are looked at in an extent for each key that a turn may expire.
pub const EXPIRY_RECORDS_PER_KEY: usize = 1;

/// Records that compaction looks at in a turn without writes for each key that the turn may expire: where clients are served
/// they wait for the turn's end.
pub const COMPACTION_RECORDS_PER_KEY: usize = 4;
/// Bytes that compaction reads at once at most: larger reads hold up those that clients wait for.
pub const COMPACTION_READ_BYTES_MAX: usize = 128 << 10;
/// Steps that compaction makes in one turn of a worker at most.
pub const COMPACTION_STEPS_PER_TURN: usize = 16;

/// Time between two extents of one shard that a scrub begins to read by itself at least, in milliseconds: 10 MiB a second,
/// six TiB in seven days.
pub const SCRUB_INTERVAL_MS_MIN: u64 = 100;
/// Time from a start to the first extent that is read at most, and between two looks at a shard with nothing on disk, in
/// milliseconds: so that a process that is often started anew reads something too.
pub const SCRUB_FIRST_MS: u64 = 60_000;
/// Longest round of a scrub: what a day more would change nobody would notice.
pub const SCRUB_PERIOD_MS_MAX: u64 = 3650 * 24 * 60 * 60 * 1000;
/// A scrub of which no shard wants a step is looked at again after this long, in nanoseconds: far below the shortest interval.
pub const SCRUB_REST_NS: u64 = 10_000_000;
/// Extents that one step of a scrub looks at to find those that lie first in the file.
pub const SCRUB_WEIGHED_PER_STEP: usize = 2048;
/// Extents that one pass finds, in the order of their places.
pub const SCRUB_CHOSEN_MAX: usize = 64;
/// Bytes whose checksums one step of a scrub computes at most, but for the record it ends in.
pub const SCRUB_STEP_BYTES: usize = 64 << 10;
/// Bytes behind damage in which the next intact record is looked for.
pub const SCRUB_SEARCH_BYTES: usize = 64 << 10;
/// Bytes whose checksums are computed at most to find it: what looks like a record of damaged length may be long.
pub const SCRUB_SEARCH_HASHED_MAX: usize = 4 << 20;
/// Damaged extents of one shard that are kept in mind.
pub const SCRUB_DAMAGED_MAX: usize = 1024;

/// Steps of making room that one command waits for at most, beside those for its own bytes.
pub const EVICTION_STEPS_MAX: usize = 64;
/// Steps of making room that one turn makes at most without a command.
pub const EVICTION_STEPS_PER_TURN: usize = 8;

/// Entries of the timing wheel above twice the keys with a deadline at which it is rebuilt: they are out of date.
pub const WHEEL_SLACK: usize = 4096;
/// A wall clock that is set back by at most so much is waited for; beyond that what looks after deadlines begins anew.
pub const CLOCK_BACK_MS: u64 = 10_000;
/// Entries of the timing wheel that one step looks at to take out those of records that have left memory.
pub const WHEEL_SIFT_PER_STEP: usize = 16;
/// Entries that it looks at beside them for each that came since the step before, so that it ends.
pub const WHEEL_SIFT_PER_NEW: usize = 2;
/// Blocks of entries that one step gives back of a timing wheel that was rebuilt.
pub const WHEEL_CHUNKS_PER_STEP: usize = 16;
/// Index slots that one step of a wheel rebuild visits at most.
pub const WHEEL_REBUILD_SLOTS_PER_STEP: usize = 4;

/// Largest batch that recovery accepts, whatever the options of the run that wrote it.
pub const LOG_BATCH_BYTES_LIMIT: usize = 4 << 20;
/// Most batches that may be in flight at once.
pub const LOG_IN_FLIGHT_LIMIT: usize = 64;
/// Smallest segment file.
pub const LOG_SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Largest segment file: batch positions are counted in blocks as `u32`, and a segment is read in one pass.
pub const LOG_SEGMENT_BYTES_MAX: u64 = 64 << 30;
/// Largest log manifest: room for more than 40,000 segments.
pub const LOG_MANIFEST_BYTES_MAX: usize = 1 << 20;
/// Largest shard manifest.
pub const SHARD_MANIFEST_BYTES_MAX: usize = 64 << 10;
/// Largest store manifest.
pub const STORE_MANIFEST_BYTES_MAX: usize = 1 << 20;
/// Bytes of the log's last segment, when there is no space for another, that are kept for what is appended already.
pub const LOG_KEPT_BYTES_MAX: u64 = 1 << 20;
/// Free segment files a log keeps for reuse; more are deleted.
pub const LOG_FREE_FILES_MAX: usize = 4;
/// Bytes of records in one block of a dump.
pub const DUMP_BLOCK_BYTES: usize = 256 << 10;
/// Largest block of a dump that is read, whoever wrote it.
pub const DUMP_BLOCK_BYTES_LIMIT: usize = 1 << 20;
/// Bytes that wait in memory to be submitted to the log above which callers should hold writes back.
pub const LOG_QUEUED_BYTES_MAX: usize = 64 << 20;
/// The same above which keys that have ended wait to be deleted: a drive that stands still is no reason to gather records.
/// Writes of clients wait from half of that limit on; where they keep to it all the time, ends go on.
pub const LOG_QUEUED_FOR_ENDS_MAX: usize = LOG_QUEUED_BYTES_MAX / 4 * 3;

const _: () =
    assert!(LOG_BATCH_BYTES_LIMIT.is_multiple_of(4096) && LOG_SEGMENT_BYTES_MIN.is_multiple_of(4096));
const _: () = assert!(LOG_SEGMENT_BYTES_MAX / 4096 < u32::MAX as u64);
const _: () = assert!(EXTENT_BYTES.is_multiple_of(4096));
const _: () = assert!(TABLE_ENTRIES_MAX * 8 == 2048 * 7);
