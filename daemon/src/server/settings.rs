//! What CONFIG SET may change while the server runs. Read by workers on the way, so each is one relaxed load.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};

use shard::eviction::EvictionPolicy;
use shard::types::Db;

use super::output_limit::{ClientClass, OutputLimits, SharedOutputLimit};
use crate::options::{AppendFsync, LogLevel, Options};
use crate::pubsub::{EventClasses, EventKind};

/// Position of a policy among all of them.
fn policy_number(policy: EvictionPolicy) -> u8 {
    (0..).zip(EvictionPolicy::ALL).find(|(_, other)| *other == policy).map_or(0, |(number, _)| number)
}

/// Beside the bits of the classes of events: somebody tracks keys, so that every change of one is noted.
const TRACKS: u32 = 1 << 31;

/// What CONFIG SET may change.
#[derive(Debug)]
pub struct Settings {
    max_clients: AtomicU32,
    timeout_seconds: AtomicU32,
    request_timeout_seconds: AtomicU32,
    tcp_keepalive_seconds: AtomicU32,
    shutdown_timeout_seconds: AtomicU32,
    bulk_bytes_max: AtomicU64,
    query_bytes_max: AtomicU64,
    max_memory: AtomicU64,
    max_memory_policy: AtomicU8,
    output_limits: [SharedOutputLimit; 3],
    notified_events: AtomicU32,
    log_level: AtomicU8,
    append_fsync: AtomicU8,
    acl_log_len_max: AtomicU32,
    slow_log_us: AtomicI64,
    slow_log_len_max: AtomicU64,
    latency_threshold_ms: AtomicU64,
    tracking_keys_max: AtomicU64,
    databases: u8,
}

/// Reader and writer of one setting.
macro_rules! setting {
    ($(#[$doc:meta])* $name:ident, $set:ident, $kind:ty) => {
        $(#[$doc])*
        #[must_use]
        #[inline]
        pub fn $name(&self) -> $kind {
            self.$name.load(Ordering::Relaxed)
        }

        /// Changes it.
        pub fn $set(&self, value: $kind) {
            self.$name.store(value, Ordering::Relaxed);
        }
    };
}

impl Settings {
    /// As the options say.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self {
            max_clients: AtomicU32::new(options.max_clients),
            timeout_seconds: AtomicU32::new(options.timeout_seconds),
            request_timeout_seconds: AtomicU32::new(options.request_timeout_seconds),
            tcp_keepalive_seconds: AtomicU32::new(options.tcp_keepalive_seconds),
            shutdown_timeout_seconds: AtomicU32::new(options.shutdown_timeout_seconds),
            bulk_bytes_max: AtomicU64::new(options.bulk_bytes_max),
            query_bytes_max: AtomicU64::new(options.query_bytes_max),
            max_memory: AtomicU64::new(options.max_memory),
            max_memory_policy: AtomicU8::new(policy_number(options.max_memory_policy)),
            output_limits: options.output_limits.0.map(SharedOutputLimit::new),
            notified_events: AtomicU32::new(options.notified_events.bits()),
            log_level: AtomicU8::new(options.log_level as u8),
            append_fsync: AtomicU8::new(options.append_fsync as u8),
            acl_log_len_max: AtomicU32::new(options.acl_log_len_max),
            slow_log_us: AtomicI64::new(options.slow_log_us),
            slow_log_len_max: AtomicU64::new(options.slow_log_len_max),
            latency_threshold_ms: AtomicU64::new(options.latency_threshold_ms),
            tracking_keys_max: AtomicU64::new(options.tracking_keys_max),
            databases: options.databases,
        }
    }

    setting!(
        /// Most clients at one time.
        max_clients, set_max_clients, u32
    );
    setting!(
        /// Seconds without a word after which a client is disconnected; 0 is never.
        timeout_seconds, set_timeout_seconds, u32
    );
    setting!(
        /// Seconds without progress after which a client whose request is half there is disconnected; at least 1.
        request_timeout_seconds, set_request_timeout_seconds, u32
    );
    setting!(
        /// Seconds between TCP keep-alive probes of a silent client; 0 is none.
        tcp_keepalive_seconds, set_tcp_keepalive_seconds, u32
    );
    setting!(
        /// Seconds that an orderly stop waits for clients.
        shutdown_timeout_seconds, set_shutdown_timeout_seconds, u32
    );
    setting!(
        /// Longest argument and longest value, in bytes.
        bulk_bytes_max, set_bulk_bytes_max, u64
    );
    setting!(
        /// Bytes of one client's request under way at most.
        query_bytes_max, set_query_bytes_max, u64
    );

    setting!(
        /// Entries of the log of refusals at most.
        acl_log_len_max, set_acl_log_len_max, u32
    );
    setting!(
        /// Microseconds from which on a command is noted as slow; below 0 none is.
        slow_log_us, set_slow_log_us, i64
    );
    setting!(
        /// Entries of the slow log at most.
        slow_log_len_max, set_slow_log_len_max, u64
    );
    setting!(
        /// Keys that are tracked at most, over all workers; 0 is no limit.
        tracking_keys_max, set_tracking_keys_max, u64
    );
    setting!(
        /// Milliseconds from which on LATENCY tells of a command; 0 is never.
        latency_threshold_ms, set_latency_threshold_ms, u64
    );
    setting!(
        /// Bytes of memory that the store may take; 0 is no limit.
        max_memory, set_max_memory, u64
    );

    /// Entries of the slow log at most, as a count.
    #[must_use]
    pub fn slow_log_len(&self) -> usize {
        usize::try_from(self.slow_log_len_max()).unwrap_or(usize::MAX)
    }

    /// Nanoseconds from which on somebody is to be told of a command; the largest number where nobody is.
    #[must_use]
    pub fn slow_ns(&self) -> u64 {
        let logged = match u64::try_from(self.slow_log_us()) {
            Ok(us) if self.slow_log_len_max() > 0 => us.saturating_mul(1000),
            _ => u64::MAX,
        };
        match self.latency_threshold_ms() {
            0 => logged,
            ms => logged.min(ms.saturating_mul(1_000_000)),
        }
    }

    /// The database of a number; none when there is no such.
    #[must_use]
    pub fn database(&self, number: i64) -> Option<Db> {
        u8::try_from(number).ok().filter(|number| *number < self.databases).map(Db)
    }

    /// What happens when that memory is used up.
    #[must_use]
    pub fn max_memory_policy(&self) -> EvictionPolicy {
        let number = usize::from(self.max_memory_policy.load(Ordering::Relaxed));
        EvictionPolicy::ALL.get(number).copied().unwrap_or_default()
    }

    /// Changes it.
    pub fn set_max_memory_policy(&self, policy: EvictionPolicy) {
        self.max_memory_policy.store(policy_number(policy), Ordering::Relaxed);
    }

    /// How much output of one client of a class may wait.
    #[must_use]
    pub fn output_limit(&self, class: ClientClass) -> super::OutputLimit {
        self.output_limits[class as usize].get()
    }

    /// That of all classes.
    #[must_use]
    pub fn output_limits(&self) -> OutputLimits {
        OutputLimits(ClientClass::ALL.map(|class| self.output_limit(class)))
    }

    /// Changes that of all classes.
    pub fn set_output_limits(&self, limits: &OutputLimits) {
        for class in ClientClass::ALL {
            self.output_limits[class as usize].set(limits.of(class));
        }
    }

    /// Which events of keys are told.
    #[must_use]
    #[inline]
    pub fn notified_events(&self) -> EventClasses {
        EventClasses::from_bits(self.notified_events.load(Ordering::Relaxed) & !TRACKS)
    }

    /// Changes it. Every worker has to be told afterwards; see `Execution::Configure`.
    pub fn set_notified_events(&self, classes: EventClasses) {
        let keep = |old: u32| Some(old & TRACKS | classes.bits());
        let set = self.notified_events.fetch_update(Ordering::Relaxed, Ordering::Relaxed, keep);
        assert!(set.is_ok(), "classes are always taken");
    }

    /// Whether an event is to be noted: somebody is told of it, or tracks the key that it changes. One load.
    #[must_use]
    #[inline]
    pub fn wants_event(&self, kind: EventKind) -> bool {
        let bits = self.notified_events.load(Ordering::Relaxed);
        (bits & TRACKS != 0 && kind.changes_key())
            || EventClasses::from_bits(bits & !TRACKS).tell(kind.class())
    }

    /// Whether anybody tracks keys.
    #[must_use]
    #[inline]
    pub fn tracks(&self) -> bool {
        self.notified_events.load(Ordering::Relaxed) & TRACKS != 0
    }

    /// Says whether anybody does. Every worker has to be told afterwards; see `Execution::Track`.
    pub fn set_tracks(&self, tracks: bool) {
        if tracks {
            self.notified_events.fetch_or(TRACKS, Ordering::AcqRel);
        } else {
            self.notified_events.fetch_and(!TRACKS, Ordering::AcqRel);
        }
    }

    /// What replies wait for: in force on a worker as soon as it has been told.
    #[must_use]
    pub fn append_fsync(&self) -> AppendFsync {
        AppendFsync::from_number(self.append_fsync.load(Ordering::Acquire))
    }

    /// Changes it. Every worker has to be told afterwards; see `Execution::Configure`.
    pub fn set_append_fsync(&self, value: AppendFsync) {
        self.append_fsync.store(value as u8, Ordering::Release);
    }

    /// How much is logged.
    #[must_use]
    pub fn log_level(&self) -> LogLevel {
        LogLevel::from_number(self.log_level.load(Ordering::Relaxed))
    }

    /// Changes it.
    pub fn set_log_level(&self, level: LogLevel) {
        self.log_level.store(level as u8, Ordering::Relaxed);
    }
}
