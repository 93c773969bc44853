//! Descriptors: room for every client that `maxclients` promises, and for what the daemon opens itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::server::Server;

/// Descriptors kept for files, rings, listeners and the control plane, besides those of each worker.
const RESERVED: u64 = 128;
/// Descriptors of one worker: its ring, its wake-up counter, its log's files.
const PER_WORKER: u64 = 32;

/// Raises the limit of open files as far as `maxclients` needs and the system allows; where that is not enough,
/// lowers `maxclients` and says so, as Redis does.
pub fn fit_clients_to_file_limit(server: &Server) {
    let workers = u64::try_from(server.options.workers).unwrap_or(u64::MAX);
    let own = RESERVED.saturating_add(workers.saturating_mul(PER_WORKER));
    let wanted = own.saturating_add(u64::from(server.settings.max_clients()));
    let limit = getrlimit(Resource::Nofile);
    // No limit at all is `None`.
    let Some(current) = limit.current.filter(|&current| current < wanted) else { return };
    let most = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(current);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
    let available = if raised.is_ok() { most } else { current };
    if available >= wanted {
        return;
    }
    let clients = u32::try_from(available.saturating_sub(own).max(1)).unwrap_or(u32::MAX);
    server.settings.set_max_clients(clients);
    tracing::warn!(
        open_files = available,
        maxclients = clients,
        "the limit of open files is too low for the maxclients asked for, which is lowered; raise it (ulimit -n, \
         LimitNOFILE=)"
    );
}
