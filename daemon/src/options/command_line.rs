//! The command line, and how it and the file become [`Options`]: the file's lines are put before the command line's
//! words, and of an option given twice the last one counts.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use shard::eviction::EvictionPolicy;

use super::values::{
    AdminAddress, AppendFsync, BindAddress, DebugCommand, LogLevel, Storage, WalSync, parse_cpu_list,
    parse_days, parse_output_limits, parse_policy, parse_size,
};
use super::{Machine, Options, check, config_file};
use crate::pubsub::EventClasses;
use crate::server::OutputLimits;
use crate::tls::{TlsAuthClients, TlsFiles};

/// Why options are refused.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The command line, or a request for help: prints itself, with its exit code.
    #[error("{0}")]
    CommandLine(#[from] clap::Error),
    /// A line of the file.
    #[error("{file}:{line}: {message}")]
    File {
        /// The file.
        file: String,
        /// Its line, from 1; 0 when the file cannot be read.
        line: usize,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// Options that do not go together, or that this machine cannot serve.
    #[error("{0}")]
    Conflict(String),
}

const YES_NO: [&str; 2] = ["yes", "no"];

/// A key-value daemon on io_uring that speaks RESP, the protocol of Redis: any Redis client talks to it.
///
/// Nothing is acknowledged before it is on disk, unless --appendfsync says otherwise. Sizes take Redis's units:
/// 1k is 1000 bytes, 1kb 1024, likewise m, mb, g, gb. Every option may stand in a file (--config) as
/// `name value`, one a line; the command line wins.
#[derive(Debug, Parser)]
#[command(name = "ourod", version, args_override_self = true, max_term_width = 100)]
pub(super) struct CommandLine {
    /// File to read options from: lines of `name value` as in redis.conf
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the store; made when it is missing
    #[arg(long, value_name = "PATH", default_value = "./ouro-data")]
    dir: PathBuf,

    /// Unix socket to listen on; "" for none [default: <dir>/ouro.sock]
    #[arg(long, value_name = "PATH", value_parser = OsStringValueParser::new().map(PathBuf::from),
        help_heading = "Clients")]
    unixsocket: Option<PathBuf>,
    /// Mode of the Unix socket, octal
    #[arg(long, value_name = "MODE", default_value = "600", value_parser = parse_mode, help_heading = "Clients")]
    unixsocketperm: u32,
    /// TCP port to listen on; 0 for none
    #[arg(long, value_name = "PORT", default_value_t = 0, help_heading = "Clients")]
    port: u16,
    /// Addresses to open the TCP ports on; others than loopback need a password, or TLS with client certificates only. With a leading '-' one that may be missing
    #[arg(long, value_name = "ADDRESSES", default_value = "127.0.0.1 -::1", value_parser = parse_bind,
        allow_hyphen_values = true, help_heading = "Clients")]
    bind: BindList,
    /// Most clients at one time
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Clients")]
    maxclients: u32,
    /// Databases that clients may SELECT
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=16),
        help_heading = "Clients")]
    databases: u8,
    /// Seconds without a word after which a client is disconnected; 0 for never
    #[arg(long, value_name = "SECONDS", default_value_t = 0, help_heading = "Clients")]
    timeout: u32,
    /// Seconds without progress after which a client whose request is only half there is disconnected
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Clients")]
    request_timeout: u32,
    /// Seconds between TCP keep-alive probes of a silent client; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 300, help_heading = "Clients")]
    tcp_keepalive: u32,
    /// Connections that may wait to be accepted
    #[arg(long, value_name = "COUNT", default_value_t = 511, value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Clients")]
    tcp_backlog: u32,
    /// Longest argument and longest value, in bytes
    #[arg(long, value_name = "SIZE", default_value = "512mb", value_parser = parse_size, help_heading = "Clients")]
    proto_max_bulk_len: u64,
    /// Bytes of one client's request under way at most; a client that sends more is disconnected
    #[arg(long, value_name = "SIZE", default_value = "1gb", value_parser = parse_size, help_heading = "Clients")]
    client_query_buffer_limit: u64,
    /// Output of one client that may wait, as "CLASS HARD SOFT SECONDS": bytes it never exceeds, bytes it does not exceed
    /// for long, and how many seconds that is; beyond it the client is disconnected, 0 for no limit. Classes: normal,
    /// replica, pubsub; several may be given, others keep "normal 1gb 256mb 60", "pubsub 32mb 8mb 60"
    #[arg(long, value_name = "LIMITS", value_parser = check_output_limits, action = clap::ArgAction::Append,
        help_heading = "Clients")]
    client_output_buffer_limit: Vec<String>,
    /// Keys that are remembered for clients that cache what they read, over all workers; 0 for no limit
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, help_heading = "Clients")]
    tracking_table_max_keys: u64,
    /// Events of keys that are published, by Redis's letters: K and E for the channel, then g$xenm or A; "" for none
    #[arg(long, value_name = "LETTERS", default_value = "", hide_default_value = true,
        value_parser = EventClasses::parse, help_heading = "Clients")]
    notify_keyspace_events: EventClasses,

    /// Password that clients log in with as the user `default`; "" for none
    #[arg(
        long,
        value_name = "PASSWORD",
        default_value = "",
        hide_default_value = true,
        help_heading = "Access"
    )]
    requirepass: String,
    /// File of users, lines of `user name rule ...` as in Redis; ACL SAVE writes it
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from),
        help_heading = "Access")]
    aclfile: Option<PathBuf>,
    /// Channels that a new user may use: allchannels or resetchannels
    #[arg(long, value_name = "RULE", default_value = "resetchannels",
        value_parser = ["allchannels", "resetchannels"], ignore_case = true, help_heading = "Access")]
    acl_pubsub_default: String,

    /// TCP port to listen on for TLS 1.2 and 1.3; 0 for none
    #[arg(long, value_name = "PORT", default_value_t = 0, help_heading = "TLS")]
    tls_port: u16,
    /// Certificate of the server and those between it and a root, PEM. Read again when it is set, and at SIGHUP
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from),
        help_heading = "TLS")]
    tls_cert_file: Option<PathBuf>,
    /// Private key of that certificate, PEM, not encrypted
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from),
        help_heading = "TLS")]
    tls_key_file: Option<PathBuf>,
    /// Certificates that those of clients must lead to, PEM
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from),
        help_heading = "TLS")]
    tls_ca_cert_file: Option<PathBuf>,
    /// Whether TLS clients show a certificate
    #[arg(
        long,
        value_enum,
        value_name = "WHETHER",
        default_value = "yes",
        ignore_case = true,
        help_heading = "TLS"
    )]
    tls_auth_clients: TlsAuthClients,

    /// When a write is acknowledged
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value = "always",
        ignore_case = true,
        help_heading = "Storage"
    )]
    appendfsync: AppendFsync,
    /// Where records live
    #[arg(
        long,
        value_enum,
        value_name = "WHERE",
        default_value = "disk",
        ignore_case = true,
        help_heading = "Storage"
    )]
    storage: Storage,
    /// Whether writes go to a log [default: yes on disk, no in memory]. On disk without one nothing is durable but at
    /// checkpoints; a store keeps the mode that it was made in
    #[arg(long, value_name = "YES", value_parser = YES_NO, ignore_case = true, help_heading = "Storage")]
    wal: Option<String>,
    /// Size of a log segment file, in bytes
    #[arg(long, value_name = "SIZE", default_value = "64mb", value_parser = parse_size, help_heading = "Storage")]
    wal_segment_bytes: u64,
    /// Log bytes of one worker that a start may have to read, about, or with --wal no bytes of records that a crash may
    /// take, about: within so many written, every shard gets a checkpoint;
    /// more where the store is large, so that checkpoints stay a small part of what is written
    #[arg(long, value_name = "SIZE", default_value = "1gb", value_parser = parse_size, help_heading = "Storage")]
    checkpoint_log_bytes: u64,
    /// With --wal no on disk: seconds after the first change of a shard that no snapshot holds within which it gets a
    /// checkpoint, one shard after the other; 0 for never by time. With a log it means nothing
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = "Storage")]
    checkpoint_seconds: u32,
    /// On disk: days, a fraction too, within which everything in the data files is read back and verified, again and again;
    /// 0 for only when OURO.SCRUB asks
    #[arg(long, value_name = "DAYS", default_value = "7", value_parser = parse_days, help_heading = "Storage")]
    scrub_days: u64,
    /// How the log is made durable
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "auto",
        ignore_case = true,
        help_heading = "Storage"
    )]
    wal_sync: WalSync,
    /// Memory that records, index and timing wheels may take, over all workers; 0 for no limit. On disk, records beyond it
    /// leave memory and are read back when asked for. What connections hold is not counted
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size, help_heading = "Storage")]
    maxmemory: u64,
    /// What happens with --storage memory when that memory is used up: noeviction refuses writes; allkeys-lru, allkeys-lfu, allkeys-random
    /// evict any key, volatile-lru, volatile-lfu, volatile-random, volatile-ttl keys that have a deadline
    #[arg(long, value_name = "POLICY", default_value = "noeviction", value_parser = parse_policy,
        help_heading = "Storage")]
    maxmemory_policy: EvictionPolicy,
    /// Number of shards when the store is created, 1 to 1024; fixed for its life [default: 16]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "Storage")]
    shards: Option<u16>,

    /// Number of workers, one thread and one log each [default: one per CPU, at most one per shard]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "Machine")]
    workers: Option<u16>,
    /// CPUs the workers are pinned to, one each, like 0,2-3 [default: those the process may use]
    #[arg(long, value_name = "LIST", value_parser = parse_cpus, help_heading = "Machine")]
    cpus: Option<CpuList>,

    /// Address that serves GET /health and GET /metrics: a path, or a loopback address:port [default: off]
    #[arg(long, value_name = "ADDRESS", help_heading = "Operation")]
    admin: Option<AdminAddress>,
    /// How much is logged
    #[arg(
        long,
        value_enum,
        value_name = "LEVEL",
        default_value = "notice",
        ignore_case = true,
        help_heading = "Operation"
    )]
    loglevel: LogLevel,
    /// Who may use DEBUG
    #[arg(
        long,
        value_enum,
        value_name = "WHO",
        default_value = "no",
        ignore_case = true,
        help_heading = "Operation"
    )]
    enable_debug_command: DebugCommand,
    /// Microseconds from which on a command is noted in SLOWLOG; 0 for all commands, below 0 for none
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 10_000, allow_negative_numbers = true,
        value_parser = clap::value_parser!(i64).range(-1..), help_heading = "Operation")]
    slowlog_log_slower_than: i64,
    /// Entries of SLOWLOG at most
    #[arg(long, value_name = "COUNT", default_value_t = 128, help_heading = "Operation")]
    slowlog_max_len: u64,
    /// Entries of ACL LOG at most
    #[arg(long, value_name = "COUNT", default_value_t = 128, help_heading = "Operation")]
    acllog_max_len: u32,
    /// Milliseconds from which on LATENCY tells of a command; 0 for never
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0, help_heading = "Operation")]
    latency_monitor_threshold: u64,
    /// Seconds that an orderly stop waits for clients
    #[arg(long, value_name = "SECONDS", default_value_t = 10, help_heading = "Operation")]
    shutdown_timeout: u32,
}

/// Addresses of `--bind`: a type of its own, or clap would take one address a word.
type BindList = std::sync::Arc<[BindAddress]>;
/// CPUs of `--cpus`.
type CpuList = std::sync::Arc<[usize]>;

fn parse_mode(text: &str) -> Result<u32, String> {
    let octal = (3..=4).contains(&text.len()).then(|| u32::from_str_radix(text, 8).ok()).flatten();
    octal
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!("'{text}' is no mode: write it in octal, like 600"))
}

fn parse_bind(text: &str) -> Result<BindList, String> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let addresses = words.map(str::parse).collect::<Result<Vec<BindAddress>, String>>()?;
    Ok(addresses.into())
}

fn parse_cpus(text: &str) -> Result<CpuList, String> {
    parse_cpu_list(text).map(Into::into)
}

/// The command line as clap knows it: for its help and for the names of the options.
#[must_use]
pub fn command_line() -> clap::Command {
    CommandLine::command().after_help(crate::tools::tools_help())
}

/// Reads options from a command line, its first word the program's name, and from the file it names.
pub fn parse(args: impl Iterator<Item = OsString>, machine: &Machine) -> Result<Options, OptionsError> {
    let args: Vec<OsString> = args.collect();
    let first = command_line().try_get_matches_from(&args)?;
    let (matches, file) = match first.get_one::<PathBuf>("config") {
        None => (first, None),
        Some(file) => {
            let mut words = args;
            words.splice(1..1, config_file::read(file)?);
            (command_line().try_get_matches_from(&words)?, std::path::absolute(file).ok())
        }
    };
    build(&matches, file, machine)
}

/// Reads limits as [`build`] will: all lines of a file and all words of a command line, one after the other.
fn check_output_limits(text: &str) -> Result<String, String> {
    parse_output_limits(text, OutputLimits::default()).map(|_| text.to_owned())
}

fn build(matches: &ArgMatches, file: Option<PathBuf>, machine: &Machine) -> Result<Options, OptionsError> {
    let line = CommandLine::from_arg_matches(matches)?;
    let wal = match line.wal.as_deref() {
        None => line.storage == Storage::Disk,
        Some(word) => word.eq_ignore_ascii_case("yes"),
    };
    let unix_socket = match line.unixsocket {
        None => Some(line.dir.join("ouro.sock")),
        Some(path) => Some(path).filter(|path| !path.as_os_str().is_empty()),
    };
    let mut output_limits = OutputLimits::default();
    for text in &line.client_output_buffer_limit {
        output_limits = parse_output_limits(text, output_limits).expect("each was read before");
    }
    let named = |file: Option<PathBuf>| file.filter(|file| !file.as_os_str().is_empty());
    let tls = TlsFiles {
        cert_file: named(line.tls_cert_file),
        key_file: named(line.tls_key_file),
        ca_cert_file: named(line.tls_ca_cert_file),
        auth_clients: line.tls_auth_clients,
    };
    let shards = line.shards.unwrap_or(check::SHARDS_DEFAULT);
    let (workers, cpus) =
        check::place_workers(line.workers.map(usize::from), line.cpus.as_deref(), shards, machine)?;
    let options = Options {
        dir: line.dir,
        unix_socket,
        unix_socket_mode: line.unixsocketperm,
        port: line.port,
        tls_port: line.tls_port,
        tls,
        bind: line.bind.to_vec(),
        append_fsync: line.appendfsync,
        max_clients: line.maxclients,
        databases: line.databases,
        log_level: line.loglevel,
        workers,
        cpus,
        shards,
        shards_given: line.shards.is_some(),
        storage: line.storage,
        wal,
        wal_segment_bytes: line.wal_segment_bytes,
        checkpoint_log_bytes: line.checkpoint_log_bytes,
        checkpoint_seconds: line.checkpoint_seconds,
        scrub_ms: line.scrub_days,
        wal_sync: line.wal_sync,
        admin: line.admin,
        require_password: line.requirepass,
        acl_file: line.aclfile,
        max_memory: line.maxmemory,
        max_memory_policy: line.maxmemory_policy,
        bulk_bytes_max: line.proto_max_bulk_len,
        query_bytes_max: line.client_query_buffer_limit,
        output_limits,
        notified_events: line.notify_keyspace_events,
        new_users_have_all_channels: line.acl_pubsub_default.eq_ignore_ascii_case("allchannels"),
        timeout_seconds: line.timeout,
        request_timeout_seconds: line.request_timeout,
        tcp_keepalive_seconds: line.tcp_keepalive,
        tcp_backlog: line.tcp_backlog,
        shutdown_timeout_seconds: line.shutdown_timeout,
        slow_log_us: line.slowlog_log_slower_than,
        slow_log_len_max: line.slowlog_max_len,
        acl_log_len_max: line.acllog_max_len,
        latency_threshold_ms: line.latency_monitor_threshold,
        tracking_keys_max: line.tracking_table_max_keys,
        debug_command: line.enable_debug_command,
        config_file: file,
    };
    check::check(&options)?;
    Ok(options)
}
