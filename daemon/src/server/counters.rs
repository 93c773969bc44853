//! A worker's figures as the worker keeps them: plain numbers that only it touches. Once per turn they are
//! published ([`super::WorkerStats::publish`]) for the others to read.

use shard::limits::DATABASE_COUNT;

use super::latency::{LATENCY_BUCKETS, LatencyHistogram, bucket_of};
use crate::commands::{COMMAND_COUNT, CommandId};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident => $text:literal $kind:ident,)*) => {
        /// A figure of a worker.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter {
            $($(#[$doc])* $name,)*
        }

        impl Counter {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Its name for metrics: lower case, units last.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether it may fall and is not set back by CONFIG RESETSTAT; otherwise it only grows.
            #[must_use]
            pub const fn is_gauge(self) -> bool {
                match self { $(Self::$name => counters!(@gauge $kind),)* }
            }
        }
    };
    (@gauge gauge) => { true };
    (@gauge total) => { false };
}

counters! {
    /// Commands run.
    Commands => "commands" total,
    /// Error replies.
    Errors => "error_replies" total,
    /// Connections accepted.
    ConnectionsAccepted => "connections_accepted" total,
    /// Connections refused because there were too many.
    ConnectionsRefused => "connections_refused" total,
    /// TLS handshakes done.
    TlsHandshakes => "tls_handshakes" total,
    /// TLS connections closed because of what their client sent or showed.
    TlsErrors => "tls_errors" total,
    /// Connections closed because of too much unsent output.
    OutputLimitClosed => "output_limit_closed" total,
    /// Connections closed because of a request that was too large.
    QueryLimitClosed => "query_limit_closed" total,
    /// Connections now open.
    Connections => "connections" gauge,
    /// Bytes received from clients.
    BytesIn => "net_input_bytes" total,
    /// Bytes sent to clients.
    BytesOut => "net_output_bytes" total,
    /// Receives completed.
    Receives => "receives" total,
    /// Sends completed.
    Sends => "sends" total,
    /// Look-ups by reading commands that found their key.
    Hits => "keyspace_hits" total,
    /// Look-ups by reading commands that did not.
    Misses => "keyspace_misses" total,
    /// Records read from disk for commands.
    DiskReads => "disk_reads" total,
    /// Bytes that those reads brought.
    DiskReadBytes => "disk_read_bytes" total,
    /// Commands that had to wait for records on disk.
    DiskWaits => "disk_waits" total,
    /// Records read from disk that are kept in memory.
    CachedRecords => "cached_records" gauge,
    /// Bytes of memory that they take.
    CachedBytes => "cached_bytes" gauge,
    /// Bytes of memory of what is known of the deadlines of records on disk.
    DeadlineBytes => "deadline_bytes" gauge,
    /// Keys deleted because their time had come.
    Expired => "expired_keys" total,
    /// Keys deleted to make room.
    Evicted => "evicted_keys" total,
    /// Extents that compaction emptied.
    CompactionExtents => "compaction_extents" total,
    /// Bytes of records that it moved.
    CompactionMovedBytes => "compaction_moved_bytes" total,
    /// Bytes that it won back.
    CompactionReclaimedBytes => "compaction_reclaimed_bytes" total,
    /// Bytes that it read from data files.
    CompactionReadBytes => "compaction_read_bytes" total,
    /// Extents that it found damaged.
    CompactionDamaged => "compaction_damaged_extents" gauge,
    /// Shards that are being compacted.
    CompactionRunning => "compaction_running_shards" gauge,
    /// Extents that the full compaction under way has looked at.
    CompactionFullDone => "compaction_full_done_extents" gauge,
    /// Extents that it is to look at; 0 when none is under way.
    CompactionFullTotal => "compaction_full_total_extents" gauge,
    /// Bytes of memory of the timing wheels.
    WheelBytes => "wheel_bytes" gauge,
    /// Keys there are, in all databases.
    Keys => "keys" gauge,
    /// Keys with a deadline.
    KeysWithDeadline => "keys_with_deadline" gauge,
    /// Bytes of memory of the index.
    IndexBytes => "index_bytes" gauge,
    /// Bytes of memory that the allocator adds to the index.
    IndexRoundingBytes => "index_rounding_bytes" gauge,
    /// Bytes of memory of workers beside their shards: buffers, connections, what waits for the log.
    WorkerBytes => "worker_bytes" gauge,
    /// Bytes of memory of records.
    RecordBytes => "record_bytes" gauge,
    /// Commands that waited for a record on disk.
    ColdWaits => "cold_waits" total,
    /// Reads of records from data files.
    ColdReads => "cold_reads" total,
    /// Bytes they read.
    ColdReadBytes => "cold_read_bytes" total,
    /// Records kept in memory because they were read.
    /// Bytes of memory that they take.
    CacheBytes => "cache_bytes" gauge,
    /// Checkpoints of shards published.
    Checkpoints => "checkpoints" total,
    /// Shards of which a checkpoint runs.
    CheckpointsRunning => "checkpoints_running" gauge,
    /// Bytes written to data files.
    DataWrittenBytes => "data_written_bytes" total,
    /// Bytes of data files, free places within them included.
    DataFileBytes => "data_file_bytes" gauge,
    /// Bytes of those free places.
    DataFreeBytes => "data_free_bytes" gauge,
    /// Bytes of data files in emptied extents that wait for a checkpoint.
    DataEmptiedBytes => "data_emptied_bytes" gauge,
    /// Bytes of those records that are live.
    LiveBytes => "record_live_bytes" gauge,
    /// Messages given to those who listen to their channel.
    MessagesDelivered => "messages_delivered" total,
    /// Keys that clients have read and cache.
    TrackedKeys => "tracking_keys" gauge,
    /// The same, each as often as there are clients that have read it.
    TrackedItems => "tracking_items" gauge,
    /// Commands sent on to the worker that owns their key.
    HopsOut => "hops_out" total,
    /// Commands run for other workers' clients.
    HopsIn => "hops_in" total,
    /// Turns of the loop.
    Turns => "turns" total,
    /// Wake-ups sent to other workers.
    Wakes => "wakes" total,
    /// Batches written to the log.
    LogBatches => "log_batches" total,
    /// Records written to the log.
    LogRecords => "log_records" total,
    /// Bytes written to the log, padding included.
    LogBytes => "log_bytes" total,
    /// Time that log writes took, added up, in microseconds.
    LogWriteUs => "log_write_us" total,
    /// Longest of them since the figures were set back, in microseconds.
    LogWriteMaxUs => "log_write_max_us" total,
    /// Batches now in flight.
    LogInFlight => "log_in_flight" gauge,
    /// Segment files of the log.
    LogSegments => "log_segments" gauge,
    /// Number of the last batch that is durable.
    LogDurableBatch => "log_durable_batch" gauge,
    /// Age of the oldest batch not yet durable, in milliseconds.
    LogOldestUnflushedMs => "log_oldest_unflushed_ms" gauge,
    /// Workers that refuse writes because the disk is full.
    DiskLow => "disk_low_workers" gauge,
    /// Bytes of disk space kept for the day the disk is full.
    DiskReserveBytes => "disk_reserve_bytes" gauge,
    /// Checkpoints given up because the disk was full.
    CheckpointsGivenUp => "checkpoints_given_up" gauge,
    /// Wall clock of the last turn, Unix milliseconds: how the others know that it is alive.
    HeartbeatMs => "heartbeat_ms" gauge,
}

/// The first word of an error reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum ErrorCode {
    /// `ERR`
    Err,
    /// `WRONGTYPE`
    WrongType,
    /// `NOPROTO`
    NoProto,
    /// `NOAUTH`
    NoAuth,
    /// `WRONGPASS`
    WrongPass,
    /// `OOM`
    OutOfMemory,
    /// `MISCONF`
    MisConf,
    /// `LOADING`
    Loading,
    /// Any other.
    Other,
}

impl ErrorCode {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Err,
        Self::WrongType,
        Self::NoProto,
        Self::NoAuth,
        Self::WrongPass,
        Self::OutOfMemory,
        Self::MisConf,
        Self::Loading,
        Self::Other,
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The word itself.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Err => "ERR",
            Self::WrongType => "WRONGTYPE",
            Self::NoProto => "NOPROTO",
            Self::NoAuth => "NOAUTH",
            Self::WrongPass => "WRONGPASS",
            Self::OutOfMemory => "OOM",
            Self::MisConf => "MISCONF",
            Self::Loading => "LOADING",
            Self::Other => "OTHER",
        }
    }

    /// The code of an error reply, which starts with `-`.
    #[must_use]
    pub fn of_reply(reply: &[u8]) -> Self {
        let word = reply.get(1..).unwrap_or_default();
        let word = word.split(|&byte| matches!(byte, b' ' | b'\r')).next().unwrap_or_default();
        Self::ALL.into_iter().find(|code| code.name().as_bytes() == word).unwrap_or(Self::Other)
    }
}

/// Figures of one command.
#[derive(Clone, Copy, Debug)]
pub struct CommandCounters {
    /// Times it ran.
    pub calls: u64,
    /// Time it took, added up, in nanoseconds.
    pub duration_ns: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it answered an error.
    pub failed: u64,
    /// How long it took.
    pub latency: LatencyHistogram,
}

impl CommandCounters {
    /// Never run.
    pub const ZERO: Self =
        Self { calls: 0, duration_ns: 0, rejected: 0, failed: 0, latency: [0; LATENCY_BUCKETS] };
}

/// Figures of one worker, as it keeps them.
#[derive(Debug)]
pub struct WorkerCounters {
    pub(super) values: [u64; Counter::COUNT],
    /// What the totals were when they were last set back: some are copied here from totals that never are.
    pub(super) base: [u64; Counter::COUNT],
    pub(super) errors: [u64; ErrorCode::COUNT],
    pub(super) commands: Box<[CommandCounters; COMMAND_COUNT]>,
    /// One bit per command: it has changed since it was last published.
    pub(super) dirty: [u128; DIRTY_WORDS],
    /// They were set back, and that is not published yet.
    pub(crate) is_set_back: bool,
    /// They were, and the run of commands at hand is not counted anew yet.
    is_run_set_back: bool,
    /// Keys of each database, and those with a deadline.
    pub databases: [DatabaseFigures; DATABASE_COUNT as usize],
}

/// Figures of one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseFigures {
    /// Its keys.
    pub keys: u64,
    /// Those of them with a deadline.
    pub deadlines: u64,
}

/// Words of one bit for each command.
pub(super) const DIRTY_WORDS: usize = COMMAND_COUNT.div_ceil(128);

impl Default for WorkerCounters {
    fn default() -> Self {
        Self {
            values: [0; Counter::COUNT],
            base: [0; Counter::COUNT],
            errors: [0; ErrorCode::COUNT],
            commands: Box::new([CommandCounters::ZERO; COMMAND_COUNT]),
            dirty: [0; DIRTY_WORDS],
            is_set_back: false,
            is_run_set_back: false,
            databases: Default::default(),
        }
    }
}

impl WorkerCounters {
    /// Adds to a figure.
    #[inline]
    pub fn add(&mut self, counter: Counter, amount: u64) {
        let value = &mut self.values[counter as usize];
        *value = value.wrapping_add(amount);
    }

    /// Sets a figure.
    #[inline]
    pub fn set(&mut self, counter: Counter, value: u64) {
        self.values[counter as usize] = value;
    }

    /// Raises a figure to at least `value`.
    #[inline]
    pub fn raise(&mut self, counter: Counter, value: u64) {
        let old = &mut self.values[counter as usize];
        *old = value.max(*old);
    }

    /// A figure, since it was last set back.
    #[must_use]
    pub const fn get(&self, counter: Counter) -> u64 {
        self.values[counter as usize].wrapping_sub(self.base[counter as usize])
    }

    /// Counts a look-up of a reading command.
    #[inline]
    pub fn note_lookup(&mut self, found: bool) {
        self.add(if found { Counter::Hits } else { Counter::Misses }, 1);
    }

    /// Counts `calls` runs of a command that took so long together. One reading of the clock may cover a run of
    /// commands: each is then taken to have had an equal part.
    #[inline]
    pub fn note_calls(&mut self, command: CommandId, calls: u64, duration_ns: u64) {
        debug_assert!(calls > 0, "nothing ran");
        self.add(Counter::Commands, calls);
        let figures = &mut self.commands[command.index()];
        figures.calls += calls;
        figures.duration_ns += duration_ns;
        figures.latency[bucket_of(duration_ns / calls.max(1) / 1000)] += calls;
        self.note_dirty(command);
    }

    #[inline]
    fn note_dirty(&mut self, command: CommandId) {
        self.dirty[command.index() / 128] |= 1 << (command.index() % 128);
    }

    /// Counts a command that was refused before it ran, and its error.
    pub fn note_rejected(&mut self, command: CommandId, reply: &[u8]) {
        self.commands[command.index()].rejected += 1;
        self.note_dirty(command);
        self.note_error(reply);
    }

    /// Counts an error that a command answered. `reply` is the reply, if it starts with `-`.
    #[inline]
    pub fn note_reply(&mut self, command: CommandId, reply: &[u8]) {
        if reply.first() == Some(&b'-') {
            self.commands[command.index()].failed += 1;
            self.note_dirty(command);
            self.note_error(reply);
        }
    }

    /// Counts an error reply that no command gave: an unknown command, a protocol error.
    pub fn note_error(&mut self, reply: &[u8]) {
        self.add(Counter::Errors, 1);
        self.errors[ErrorCode::of_reply(reply) as usize] += 1;
    }

    /// Takes whether they were set back since it was last asked.
    pub fn take_set_back(&mut self) -> bool {
        std::mem::take(&mut self.is_run_set_back)
    }

    /// Sets back to 0 what CONFIG RESETSTAT sets back. Totals that are copied from elsewhere count from what they were when
    /// they were last copied.
    pub fn reset(&mut self) {
        (self.is_set_back, self.is_run_set_back) = (true, true);
        for &counter in Counter::ALL {
            let value = &mut self.values[counter as usize];
            match counter {
                // A highest one starts anew.
                Counter::LogWriteMaxUs => *value = 0,
                _ if counter.is_gauge() => {}
                _ => self.base[counter as usize] = *value,
            }
        }
        self.errors = [0; ErrorCode::COUNT];
        self.commands.fill(CommandCounters::ZERO);
        self.dirty = [u128::MAX; DIRTY_WORDS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_counted_under_its_first_word() {
        assert_eq!(ErrorCode::of_reply(b"-ERR syntax error\r\n"), ErrorCode::Err);
        assert_eq!(ErrorCode::of_reply(b"-NOPROTO unsupported\r\n"), ErrorCode::NoProto);
        assert_eq!(ErrorCode::of_reply(b"-WHAT\r\n"), ErrorCode::Other);
        assert_eq!(ErrorCode::of_reply(b""), ErrorCode::Other);
    }

    #[test]
    fn reset_keeps_gauges_only() {
        let mut counters = WorkerCounters::default();
        counters.add(Counter::Commands, 3);
        counters.set(Counter::Connections, 7);
        counters.note_calls(CommandId(0), 2, 4000);
        counters.note_reply(CommandId(0), b"-ERR x\r\n");
        counters.set(Counter::LogBytes, 100);
        counters.reset();
        assert_eq!((counters.get(Counter::Commands), counters.get(Counter::Connections)), (0, 7));
        counters.set(Counter::LogBytes, 130);
        assert_eq!(counters.get(Counter::LogBytes), 30, "a total that is copied counts from then on");
        assert_eq!((counters.commands[0].calls, counters.errors[0]), (0, 0));
    }
}
