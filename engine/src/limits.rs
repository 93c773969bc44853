//! Every bound of the engine, in one place.

use shard::limits::EXTENT_BYTES;

/// Commands that one worker may have under way at another: places reserved in the reply ring, so that a reply can
/// always be pushed and two full workers cannot wait for each other.
pub const CREDITS_PER_LINK: usize = 8192;
/// Due keys that a worker expires in one turn at most, shared by its shards: each costs a few cache misses, and a
/// reply waits for the turn's end.
pub const EXPIRE_BUDGET_PER_TURN: usize = 64;
/// The same in a turn that serves clients.
pub const EXPIRE_BUDGET_PER_BUSY_TURN: usize = 16;
/// Pooled buffers for log batches of one worker: those in flight, the one being filled, and some to spare.
pub const BATCH_BUFFER_COUNT: u32 = 16;
/// How long a worker that has only work nobody waits for rests between two steps of it, in nanoseconds.
pub const BACKGROUND_REST_NS: u64 = 100_000;
/// A turn's storage work is looked at again after this long at the latest, in nanoseconds.
pub const HOUSEKEEPING_NS: u64 = 100_000_000;
/// How long to wait for the I/O of a killed predecessor that still holds a file, in milliseconds.
pub const LOCK_WAIT_MS: u64 = 5_000;
/// How long to wait for the store's own lock before saying that another daemon has it, in milliseconds.
pub const STORE_LOCK_WAIT_MS: u64 = 500;
/// Messages of the control plane waiting for one worker.
pub const CONTROL_QUEUE: usize = 1024;

/// Size of a segment that a recovery in memory would begin.
pub(crate) const LOG_SEGMENT_BYTES_READ_ONLY: u64 = 1 << 20;
/// Bytes of one read of a data file when all its records are read in order.
pub(crate) const SWEEP_READ_BYTES: usize = 1 << 20;
/// Bytes of a dump that are read or written at once.
pub(crate) const DUMP_PIECE_BYTES: usize = 1 << 20;
/// Records that a restore puts into one log batch's turn at most.
pub(crate) const RESTORE_RECORDS_PER_TURN: usize = 512;
/// Bytes of records that a restore puts into one turn, about.
pub(crate) const RESTORE_BYTES_PER_TURN: usize = 1 << 20;

/// Bytes of records that wait to be a chunk during replay, over all shards of one log, at most.
pub(crate) const REPLAY_FILLING_BYTES_MAX: usize = 8 << 20;
/// The same where memory is small.
pub(crate) const REPLAY_FILLING_BYTES_MIN: usize = 256 << 10;
/// Largest chunk of records of one shard that replay hands to a thread, but for a record that is larger.
pub(crate) const REPLAY_CHUNK_BYTES_MAX: usize = 512 << 10;
/// Smallest chunk, whatever the number of shards.
pub(crate) const REPLAY_CHUNK_BYTES_MIN: usize = 16 << 10;
/// Threads that read records back for one thread of replay: about the depth at which drives stop gaining.
pub(crate) const REPLAY_READERS: usize = 16;
/// Bytes that one thread of replay reads back in one pass at most, but for a record that is larger.
pub(crate) const REPLAY_READ_BYTES_MAX: usize = 2 << 20;
/// The same where memory is small.
pub(crate) const REPLAY_READ_BYTES_MIN: usize = 64 << 10;
/// Bytes of records read back that one shard keeps from pass to pass.
pub(crate) const REPLAY_KEPT_BYTES: usize = 2 << 20;
/// Chunks under way to one thread of replay.
pub(crate) const REPLAY_CHUNKS_AHEAD: usize = 8;

/// Records that one step of a scan of the library looks at, about.
pub(crate) const DB_SCAN_RECORDS: usize = 256;
/// Bytes of records above which a batch of a scan leaves the values out: they are fetched one by one.
pub(crate) const DB_SCAN_BYTES: usize = 1 << 20;
/// Steps of a scan that finds nothing in one turn.
pub(crate) const DB_SCAN_ROUNDS: usize = 4;
/// Largest buffer that is kept by its size: those of reads of records.
pub(crate) const SMALL_BUFFER_BYTES_MAX: usize = 32 << 10;
/// Bytes of small buffers that are kept: as many as there are reads in flight, of the usual sizes.
pub(crate) const SMALL_BUFFERS_KEPT_BYTES: usize = 3 << 20;
/// Largest buffer that is kept for its next use: an extent. What is larger is rare enough to be mapped anew.
pub(crate) const LARGE_BUFFER_BYTES_MAX: usize = EXTENT_BYTES;
/// Bytes of buffers above the small ones that are kept: what a worker's shards free and take in turn.
pub(crate) const LARGE_BUFFERS_KEPT_BYTES: usize = 4 << 20;
