//! Every bound of the generator in one place. A run that would pass one is refused with the option that
//! asks for it; a queue that reaches one is counted and reported, never grown.

/// Connections of one run over all threads.
pub const CONNECTIONS_MAX: u32 = 100_000;
/// Worker threads of one run.
pub const THREADS_MAX: u32 = 256;
/// Requests in flight on one connection.
pub const PIPELINE_MAX: u32 = 10_000;
/// Requests in flight over all connections, so that the table of outstanding requests stays small.
pub const OUTSTANDING_MAX: u64 = 16_000_000;
/// Request bytes that may wait or fly at the same time over all connections.
pub const OUTSTANDING_BYTES_MAX: u64 = 8 << 30;
/// Requests in flight on one connection while keys are loaded; loading is not measured, so it is deep.
pub const PREFILL_PIPELINE: u32 = 128;
/// Request bytes in flight over all connections while keys are loaded: large values are loaded less deep.
pub const PREFILL_BYTES_IN_FLIGHT: u64 = 256 << 20;
/// Keys of one key space.
pub const KEYS_MAX: u64 = 1 << 40;
/// Length of a key.
pub const KEY_BYTES_MAX: usize = 4096;
/// Length of a value, the limit of the protocol.
pub const VALUE_BYTES_MAX: usize = 512 << 20;
/// Random bytes that values are cut from, before the length of one value is added.
pub const VALUE_POOL_BYTES: usize = 256 << 10;
/// Inserts that may be made while an earlier one has no answer, before it is no longer waited for.
pub const INSERT_WINDOW: u64 = 1 << 22;
/// Memory of one trace.
pub const TRACE_BYTES_MAX: usize = 8 << 30;
/// Keys of one scan.
pub const SCAN_KEYS_MAX: usize = 10_000;
/// Highest rate that can be asked for, in requests per second.
pub const RATE_MAX: f64 = 100_000_000.0;
/// Longest latency a histogram holds, one hour in nanoseconds. Longer ones are clipped and counted.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
/// Significant digits of the histograms of the whole run.
pub const RUN_HISTOGRAM_DIGITS: u8 = 3;
/// Significant digits of the histograms of one interval of the series.
pub const INTERVAL_HISTOGRAM_DIGITS: u8 = 2;
/// Length of one interval of the series in nanoseconds.
pub const INTERVAL_NS: u64 = 1_000_000_000;
/// Finished intervals of all workers that wait for the coordinator.
pub const INTERVAL_QUEUE: usize = 4096;
/// Intervals of the series that are kept: a day and a half of seconds.
pub const SERIES_INTERVALS_MAX: usize = 131_072;
/// Kinds of errors told apart in one run; further kinds are counted as `other`.
pub const ERROR_KINDS_MAX: usize = 32;
/// Length of the example text kept of one kind of error.
pub const ERROR_TEXT_BYTES_MAX: usize = 200;
/// Bytes of one unfinished reply kept for a connection.
pub const REPLY_BYTES_MAX: usize = VALUE_BYTES_MAX + 64;
/// Fewest receive buffers of one worker's ring.
pub const RECV_BUFFERS_MIN: u16 = 64;
/// Most receive buffers of one worker's ring.
pub const RECV_BUFFERS_MAX: u16 = 1024;
/// Size of one receive buffer.
pub const RECV_BUFFER_BYTES: u32 = 16 << 10;
/// Entries of one worker's submission queue.
pub const RING_ENTRIES: u32 = 1024;
/// Send buffers of one worker that keep their memory while unused.
pub const SPARE_BUFFERS_MAX: usize = 1024;
/// Requests claimed at once from a budget that all workers share.
pub const REQUEST_CLAIM: u64 = 64;
/// Time allowed to open one connection and to get one answer on the control connection.
pub const CONTROL_TIMEOUT_S: u64 = 10;
/// Longest answer on the control connection.
pub const CONTROL_REPLY_BYTES_MAX: usize = 16 << 20;
/// Fewest runs on a side of a comparison, whatever the level: below, no exact test reaches 0.05.
pub const GROUP_RUNS_MIN: usize = 4;
/// Most runs on a side of a comparison: the exact tests count all ways to deal them out.
pub const GROUP_RUNS_MAX: usize = 100;

const _: () = assert!(RECV_BUFFERS_MIN.is_power_of_two() && RECV_BUFFERS_MAX.is_power_of_two());
const _: () = assert!(REPLY_BYTES_MAX > VALUE_BYTES_MAX);

/// Most requests that start at once under `--arrival burst:N`.
pub const BURST_MAX: u32 = 1_000_000;
