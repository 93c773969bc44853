//! The options of `ourod`: from the command line and from a file, checked against each other, with every refusal
//! saying what is allowed. The result, [`Options`], holds only what is possible.

mod check;
mod command_line;
mod config_file;
mod rewrite;
#[cfg(test)]
mod tests;
mod values;

use std::net::IpAddr;
use std::path::PathBuf;

use shard::eviction::EvictionPolicy;

pub use self::command_line::{OptionsError, command_line, parse};
pub use self::config_file::split_words;
pub(crate) use self::rewrite::{replace, rewritten};
pub use self::values::{
    AdminAddress, AppendFsync, BindAddress, DebugCommand, LogLevel, Storage, WalSync, format_days,
    format_output_limits, parse_cpu_list, parse_days, parse_output_limits, parse_policy, parse_size,
};
use crate::connection::message::Peer;
use crate::pubsub::EventClasses;
use crate::server::OutputLimits;
use crate::tls::{TlsAuthClients, TlsFiles};

/// What is known of the machine and decides defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// CPUs this process may run on, ascending.
    pub allowed_cpus: Vec<usize>,
}

impl Machine {
    /// This machine, as this process sees it.
    pub fn this() -> std::io::Result<Self> {
        let set = rustix::thread::sched_getaffinity(None)?;
        let allowed_cpus = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect();
        Ok(Self { allowed_cpus })
    }
}

/// Options in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The store's directory.
    pub dir: PathBuf,
    /// Path of the Unix socket; none when it is off.
    pub unix_socket: Option<PathBuf>,
    /// Its mode.
    pub unix_socket_mode: u32,
    /// TCP port; 0 is off.
    pub port: u16,
    /// TCP port for TLS; 0 is off.
    pub tls_port: u16,
    /// What TLS is made of at the start.
    pub tls: TlsFiles,
    /// Addresses the TCP ports are opened on.
    pub bind: Vec<BindAddress>,
    /// When a write is acknowledged.
    pub append_fsync: AppendFsync,
    /// Most clients at one time.
    pub max_clients: u32,
    /// Databases that clients may select: 1 to 16. A store has 16 whatever this says.
    pub databases: u8,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Number of workers, one thread each.
    pub workers: usize,
    /// The CPU of each worker.
    pub cpus: Vec<usize>,
    /// Number of shards of a store that is created now.
    pub shards: u16,
    /// Whether the shards were asked for: then an existing store must have as many.
    pub shards_given: bool,
    /// Where records live.
    pub storage: Storage,
    /// Whether writes go to a log.
    pub wal: bool,
    /// Size of a log segment file in bytes.
    pub wal_segment_bytes: u64,
    /// Log bytes of one worker above which a checkpoint is made.
    pub checkpoint_log_bytes: u64,
    /// Without a log: seconds after its first change that no snapshot holds within which a shard gets a checkpoint; 0:
    /// never by time.
    pub checkpoint_seconds: u32,
    /// Milliseconds within which everything in the data files is read back and verified; 0: only when asked.
    pub scrub_ms: u64,
    /// How the log is made durable.
    pub wal_sync: WalSync,
    /// Where health and metrics are served; none when they are not.
    pub admin: Option<AdminAddress>,
    /// Password of the user `default`; empty: none is asked for.
    pub require_password: String,
    /// File of users; none when they come from nowhere.
    pub acl_file: Option<PathBuf>,
    /// Bytes of memory that records, index and timing wheels may take; 0 is no limit.
    pub max_memory: u64,
    /// What happens when they are used up.
    pub max_memory_policy: EvictionPolicy,
    /// Longest argument and longest value in bytes.
    pub bulk_bytes_max: u64,
    /// Bytes of one client's request under way at most.
    pub query_bytes_max: u64,
    /// How much output of one client may wait, by class.
    pub output_limits: OutputLimits,
    /// Which events of keys are told.
    pub notified_events: EventClasses,
    /// Whether users made by ACL rules may use all channels unless the rules say otherwise.
    pub new_users_have_all_channels: bool,
    /// Seconds without a word after which a client is disconnected; 0 is never.
    pub timeout_seconds: u32,
    /// Seconds without progress after which a client whose request is half there is disconnected; at least 1.
    pub request_timeout_seconds: u32,
    /// Seconds between TCP keep-alive probes of a silent client; 0 is none.
    pub tcp_keepalive_seconds: u32,
    /// Connections that may wait to be accepted.
    pub tcp_backlog: u32,
    /// Seconds an orderly stop waits for clients.
    pub shutdown_timeout_seconds: u32,
    /// Microseconds from which on a command is noted as slow; below 0 none is.
    pub slow_log_us: i64,
    /// Entries of the slow log at most.
    pub slow_log_len_max: u64,
    /// Entries of the log of refused log-ins and commands at most.
    pub acl_log_len_max: u32,
    /// Milliseconds from which on LATENCY tells of a command; 0 is never.
    pub latency_threshold_ms: u64,
    /// Keys that are tracked for clients that cache at most, over all workers; 0 is no limit.
    pub tracking_keys_max: u64,
    /// Who may use DEBUG.
    pub debug_command: DebugCommand,
    /// The file the options came from, if any.
    pub config_file: Option<PathBuf>,
}

impl Options {
    /// The TCP addresses and ports to listen on, what is spoken there, and whether it is no error when the machine does
    /// not have the address; empty when TCP is off.
    pub fn tcp_addresses(&self) -> impl Iterator<Item = (IpAddr, u16, Peer, bool)> + '_ {
        let ports = [(self.port, Peer::Tcp), (self.tls_port, Peer::Tls)];
        let open = ports.into_iter().filter(|(port, _)| *port != 0);
        open.flat_map(|(port, peer)| {
            self.bind.iter().map(move |bind| (bind.address, port, peer, bind.optional))
        })
    }

    /// Whether others may reach an address at which no certificate of the client is asked for, while TLS clients are
    /// asked as `auth_clients` says.
    #[must_use]
    pub fn is_exposed(&self, auth_clients: TlsAuthClients) -> bool {
        let asks_nothing = self.port != 0 || (self.tls_port != 0 && auth_clients != TlsAuthClients::Yes);
        asks_nothing && self.bind.iter().any(|bind| !bind.address.is_loopback())
    }

    /// The defaults on a machine with one CPU, as memory-only: what tests start from.
    #[must_use]
    pub fn for_tests() -> Self {
        let machine = Machine { allowed_cpus: vec![0] };
        let args = ["ourod", "--storage", "memory", "--wal", "no"];
        parse(args.iter().map(Into::into), &machine)
            .unwrap_or_else(|error| panic!("defaults are valid: {error}"))
    }
}
