//! Options that must agree with each other and with the machine.

use shard::eviction::EvictionPolicy;

use super::command_line::OptionsError;
use super::values::Storage;
use super::{Machine, Options};

/// Shards of a new store when nobody says.
pub(super) const SHARDS_DEFAULT: u16 = 16;
/// Smallest and largest log segment.
const WAL_SEGMENT_BYTES: std::ops::RangeInclusive<u64> = (1 << 20)..=(4 << 30);
/// Smallest and largest bound of an argument. The lower one is Redis's.
const BULK_BYTES_MAX: std::ops::RangeInclusive<u64> = (1 << 20)..=(512 << 20);
/// Smallest bound of a request. Redis's.
const QUERY_BYTES_MAX_LEAST: u64 = 1 << 20;
/// What a Unix socket's address has room for, with its final 0.
const UNIX_PATH_BYTES_MAX: usize = 107;
/// A log batch and its alignment.
const BLOCK_BYTES: u64 = 4096;

fn refuse(message: String) -> Result<(), OptionsError> {
    Err(OptionsError::Conflict(message))
}

/// Refuses what cannot be served.
pub(super) fn check(options: &Options) -> Result<(), OptionsError> {
    check_storage(options)?;
    check_listeners(options)?;
    if !BULK_BYTES_MAX.contains(&options.bulk_bytes_max) {
        return refuse(format!(
            "--proto-max-bulk-len {}: it must lie between 1mb and 512mb, the longest value a store holds",
            options.bulk_bytes_max
        ));
    }
    if options.query_bytes_max < QUERY_BYTES_MAX_LEAST {
        return refuse(format!(
            "--client-query-buffer-limit {}: it must be 1mb or more",
            options.query_bytes_max
        ));
    }
    if usize::from(options.shards) < options.workers {
        return refuse(format!(
            "--workers {} with --shards {}: a worker would own no shard; ask for fewer workers, or for more shards \
             when the store is created",
            options.workers, options.shards
        ));
    }
    Ok(())
}

fn check_storage(options: &Options) -> Result<(), OptionsError> {
    if options.storage == Storage::Memory && options.wal {
        return refuse(
            "--storage memory with --wal yes: a store in memory writes no file, so it has no log; use --wal no, \
             or --storage disk to keep the data"
                .into(),
        );
    }
    if options.storage == Storage::Disk && options.max_memory_policy != EvictionPolicy::NoEviction {
        return refuse(format!(
            "--maxmemory-policy {} with --storage disk: what is on disk is never dropped to save memory; use \
             noeviction, or --storage memory for a cache",
            options.max_memory_policy
        ));
    }
    let size = options.wal_segment_bytes;
    if !WAL_SEGMENT_BYTES.contains(&size) || !size.is_multiple_of(BLOCK_BYTES) {
        return refuse(format!(
            "--wal-segment-bytes {size}: it must be a multiple of {BLOCK_BYTES} between 1mb and 4gb"
        ));
    }
    Ok(())
}

fn check_listeners(options: &Options) -> Result<(), OptionsError> {
    if options.unix_socket.is_none() && options.port == 0 && options.tls_port == 0 {
        return refuse(
            "none of --unixsocket, --port and --tls-port: no client could ever connect; leave --unixsocket at its \
             default or give a port"
                .into(),
        );
    }
    if let Some(path) = &options.unix_socket
        && path.as_os_str().len() > UNIX_PATH_BYTES_MAX
    {
        return refuse(format!(
            "--unixsocket {}: the path has {} bytes, a socket's may have {UNIX_PATH_BYTES_MAX}; give a shorter one",
            path.display(),
            path.as_os_str().len()
        ));
    }
    if options.bind.is_empty() {
        return refuse("--bind needs an address; use --port 0 to switch TCP off".into());
    }
    if options.tls_port != 0 && options.tls_port == options.port {
        return refuse(format!("--tls-port {0} and --port {0}: give each a port of its own", options.port));
    }
    let has_password = !options.require_password.is_empty() || options.acl_file.is_some();
    if let Some(open) = options.bind.iter().find(|bind| !bind.address.is_loopback())
        && !has_password
        && (options.tls_port == 0 || options.is_exposed(options.tls.auth_clients))
    {
        return refuse(format!(
            "--bind {}: that is not a loopback address, so anyone who reaches it would own the data; set a password \
             with --requirepass or users with --aclfile, serve TLS only with --tls-auth-clients yes, or bind \
             127.0.0.1 or ::1",
            open.address
        ));
    }
    Ok(())
}

/// How many workers there are, and the CPU of each.
pub(super) fn place_workers(
    workers: Option<usize>,
    cpus: Option<&[usize]>,
    shards: u16,
    machine: &Machine,
) -> Result<(usize, Vec<usize>), OptionsError> {
    let mut chosen = cpus.unwrap_or(&machine.allowed_cpus).to_vec();
    if let Some(cpu) = chosen.iter().find(|cpu| !machine.allowed_cpus.contains(cpu)) {
        return Err(OptionsError::Conflict(format!(
            "--cpus: CPU {cpu} is not among those this process may use ({})",
            list(&machine.allowed_cpus)
        )));
    }
    // A worker without a shard would have nothing to do: unless asked for, there are no more than shards.
    let workers = workers.unwrap_or_else(|| chosen.len().min(usize::from(shards)));
    if workers > chosen.len() {
        return Err(OptionsError::Conflict(format!(
            "--workers {workers}: there are {} CPUs for them ({}), and two workers on one CPU only get in each \
             other's way; ask for at most {}",
            chosen.len(),
            list(&chosen),
            chosen.len()
        )));
    }
    chosen.truncate(workers);
    Ok((workers, chosen))
}

fn list(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}
