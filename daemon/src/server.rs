//! What all workers share: the options in force, the settings that CONFIG SET may change, and each worker's figures.
//! Nothing here is written on the hot path by more than one thread, and nothing is locked there.

mod counters;
mod latency;
mod latency_events;
mod output_limit;
mod pause;
mod rates;
mod saves;
mod settings;
mod shutdown;
mod slow_log;
mod swaps;
mod worker_stats;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use shard::scrub::ScrubFigures;
use shard::types::UnixMs;

pub use self::counters::{CommandCounters, Counter, ErrorCode, WorkerCounters};
pub use self::latency::{LATENCY_BUCKETS, LatencyHistogram, bucket_of, bucket_upper_us, percentile_us};
pub use self::latency_events::{LatencyEvents, LatencySample, LatencySeries};
pub use self::output_limit::{ClientClass, OutputLimit, OutputLimits};
pub use self::pause::{Pause, PauseKind};
use self::rates::RateMeter;
pub use self::rates::Rates;
pub use self::saves::{SaveStatus, Saves};
pub use self::settings::Settings;
pub use self::shutdown::{ShutdownRequest, ShutdownSwitch};
pub use self::slow_log::{SlowEntry, SlowLogs};
pub use self::swaps::{Swap, SwapStep, Swaps};
pub use self::worker_stats::{CommandSnapshot, WorkerSnapshot, WorkerStats};
use crate::acl::Acl;
use crate::options::{Options, Storage};
use crate::pubsub::PubSubTotals;
use crate::tls::{TlsError, TlsSettings};
use crate::tracking::Onlookers;

/// The version of Redis whose commands, replies and error texts these are.
pub const REDIS_VERSION: &str = "7.2.0";
/// Our own version.
pub const OURO_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the server is doing, as the health answer tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ServerState {
    /// Opening files and sockets.
    Starting = 0,
    /// Reading the log.
    Recovering = 1,
    /// Serving clients.
    Serving = 2,
    /// Finishing what was begun.
    Stopping = 3,
}

/// What all workers share.
#[derive(Debug)]
pub struct Server {
    /// The options it was started with.
    pub options: Options,
    /// What CONFIG SET may change.
    pub settings: Settings,
    /// Figures of each worker, in the order of the workers.
    pub workers: Box<[WorkerStats]>,
    /// Saves of the whole store.
    pub saves: Saves,
    /// Databases that change their numbers.
    pub swaps: Swaps,
    /// Who may do what.
    pub acl: Acl,
    /// What workers know of each other's subscriptions.
    pub pubsub: PubSubTotals,
    /// Certificates, and what new TLS connections get.
    pub tls: TlsSettings,
    /// What workers know of each other's clients that track or look on.
    pub onlookers: Onlookers,
    /// Commands that took long.
    pub slow_logs: SlowLogs,
    /// What took too long, and when.
    pub latency: LatencyEvents,
    /// Whether commands wait (CLIENT PAUSE).
    pub pause: Pause,
    /// The way to stop.
    pub shutdown: ShutdownSwitch,
    /// Held while the file of options is rewritten.
    pub rewriting: Mutex<()>,
    run_id: String,
    started: UnixMs,
    state: AtomicU8,
    next_client_id: AtomicU64,
    sync_text: std::sync::OnceLock<String>,
    compactions: AtomicU64,
    scrubs: AtomicU64,
    rates: RateMeter,
}

impl Server {
    /// A server with these options, started `now`; `seed` makes its run id. Requests to stop come out of the receiver.
    #[must_use]
    pub fn new(options: Options, seed: [u8; 20], now: UnixMs) -> (Self, Receiver<ShutdownRequest>) {
        let (shutdown, requests) = ShutdownSwitch::new();
        let workers = (0..options.workers).map(|_| WorkerStats::default()).collect();
        let server = Self {
            settings: Settings::new(&options),
            workers,
            saves: Saves::new(options.workers),
            swaps: Swaps::new(options.workers),
            acl: Acl::new(options.new_users_have_all_channels),
            pubsub: PubSubTotals::new(options.workers),
            tls: TlsSettings::new(options.tls.clone()),
            onlookers: Onlookers::new(options.workers),
            slow_logs: SlowLogs::new(options.workers),
            latency: LatencyEvents::default(),
            pause: Pause::default(),
            shutdown,
            rewriting: Mutex::default(),
            run_id: seed.iter().map(|byte| format!("{byte:02x}")).collect(),
            started: now,
            state: AtomicU8::new(ServerState::Starting as u8),
            next_client_id: AtomicU64::new(1),
            sync_text: std::sync::OnceLock::new(),
            compactions: AtomicU64::new(0),
            scrubs: AtomicU64::new(0),
            rates: RateMeter::default(),
            options,
        };
        (server, requests)
    }

    /// Forty hexadecimal digits, other ones at each start.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// When it was started.
    #[must_use]
    pub const fn started(&self) -> UnixMs {
        self.started
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> ServerState {
        match self.state.load(Ordering::Acquire) {
            0 => ServerState::Starting,
            1 => ServerState::Recovering,
            2 => ServerState::Serving,
            _ => ServerState::Stopping,
        }
    }

    /// Says what it is doing. A server that is stopping goes on stopping.
    pub fn set_state(&self, state: ServerState) {
        self.state.fetch_max(state as u8, Ordering::AcqRel);
    }

    /// Reads the files of TLS, where it is served: connections accepted from now on get what is in them.
    ///
    /// # Errors
    /// What is wrong with them; new connections get what they got before.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        if self.options.tls_port == 0 {
            return Ok(());
        }
        let exposed = self.options.is_exposed(self.tls.files().auth_clients);
        self.tls.load(exposed && self.acl.is_open())
    }

    /// An id no other client of this run has.
    pub fn next_client_id(&self) -> u64 {
        self.next_client_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether there is a write-ahead log.
    #[must_use]
    pub fn has_log(&self) -> bool {
        self.options.storage == Storage::Disk && self.options.wal
    }

    /// Whether requests have to be looked at one by one: there is a pause, or somebody looks on. Two relaxed loads.
    #[must_use]
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.pause.is_set() || self.onlookers.is_monitored()
    }

    /// Asks every worker for a full compaction: each begins it in its next turn.
    pub fn ask_for_compaction(&self) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a full compaction was asked for.
    #[must_use]
    pub fn compactions_asked(&self) -> u64 {
        self.compactions.load(Ordering::Relaxed)
    }

    /// Asks every worker to read back and verify its data files: each begins in its next turn.
    pub fn ask_for_scrub(&self) {
        self.scrubs.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was asked for.
    #[must_use]
    pub fn scrubs_asked(&self) -> u64 {
        self.scrubs.load(Ordering::Relaxed)
    }

    /// How the scrub stands, over all workers, as of the last turn of each.
    #[must_use]
    pub fn scrub_figures(&self) -> ScrubFigures {
        let of_workers = self.workers.iter().filter_map(|worker| worker.figures().scrub());
        let sum = of_workers.reduce(|mut sum, figures| {
            sum.add(&figures);
            sum
        });
        sum.unwrap_or_default()
    }

    /// Says, once at start, how the log makes writes durable: its sync method and what it measured.
    pub fn set_sync_text(&self, text: String) {
        // Only the first one counts: the log is opened once.
        let _ = self.sync_text.set(text);
    }

    /// What replies wait for, and how that is made durable, for people; empty until the log is open.
    #[must_use]
    pub fn durability_text(&self) -> String {
        match (self.options.storage, self.sync_text.get()) {
            (Storage::Memory, _) => "none: memory only".to_owned(),
            (Storage::Disk, _) if !self.options.wal => match self.options.checkpoint_seconds {
                0 => "checkpoints only: no log, and time makes none".to_owned(),
                seconds => format!("checkpoints only: no log; {seconds} s after a change at the latest"),
            },
            (Storage::Disk, None) => String::new(),
            (Storage::Disk, Some(sync)) => format!("appendfsync {} by {sync}", self.settings.append_fsync()),
        }
    }

    /// The figures of all workers, added up.
    #[must_use]
    pub fn totals(&self) -> WorkerSnapshot {
        let mut sum = WorkerSnapshot::default();
        for worker in &self.workers {
            sum.add(&worker.snapshot());
        }
        sum
    }

    /// How much happens per second, since this was last asked; `totals` are those of now.
    #[must_use]
    pub fn rates(&self, now_ms: u64, totals: &WorkerSnapshot) -> Rates {
        self.rates.read(self.started.0, now_ms, totals)
    }
}
