//! The daemon's life: check, open the store, serve, stop.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use engine::start::{StartError, Workers};
use engine::store::{OpenStore, random_bytes, slot_owners};
use engine::worker::WorkerError;
use ring::{Fd, RingConfig};

use crate::connection::SlotMap;
use crate::connection::limits::{RECV_BUFFER_BYTES, RECV_BUFFERS};
use crate::connection::message::Control;
use crate::connection::service::{Listener, Service, Shared};
use crate::control::{ExitCode, start_error_code};
use crate::listeners::{BoundListener, Listeners};
use crate::open_store::open_store;
use crate::server::{Server, ServerState, ShutdownRequest};

/// Sizes of a worker's ring.
fn ring_config() -> RingConfig {
    RingConfig {
        entries: 1024,
        cq_entries: 8192,
        recv_buffer_count: RECV_BUFFERS,
        recv_buffer_bytes: RECV_BUFFER_BYTES,
        ..RingConfig::default()
    }
}

/// Serves until told to stop. What goes wrong is logged; the code says which kind it was.
pub fn run(server: &Arc<Server>, stops: &Receiver<ShutdownRequest>) -> ExitCode {
    match serve(server, stops) {
        Ok(()) => ExitCode::Ok,
        Err((code, message)) => {
            tracing::error!("{message}");
            code
        }
    }
}

type Failure = (ExitCode, String);

fn failure(code: ExitCode) -> impl Fn(&dyn std::fmt::Display) -> Failure {
    move |error| (code, error.to_string())
}

fn serve(server: &Arc<Server>, stops: &Receiver<ShutdownRequest>) -> Result<(), Failure> {
    crate::control::probe_io_uring().map_err(|error| (ExitCode::from(&error), error.to_string()))?;
    let control = crate::control::start(Arc::clone(server))
        .map_err(|error| (start_error_code(&error), error.to_string()))?;
    load_users(server)?;
    load_certificates(server)?;
    let mut store = open_store(server)?;
    if let Some(keeper) = store.open.keeper.take() {
        server.swaps.keep_in(keeper);
    }
    crate::file_limit::fit_clients_to_file_limit(server);
    let listeners =
        Listeners::bind(&server.options).map_err(|error| failure(ExitCode::Unavailable)(&error))?;
    let addresses = listeners.addresses.join(", ");
    let socket_file = listeners.socket_file;
    let _lock = store.lock;
    let workers = start(server, store.open, listeners.by_worker)?;
    server.set_state(ServerState::Serving);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        workers = server.options.workers,
        durability = server.durability_text(),
        "ready for connections at {addresses}"
    );
    let stop = stops.recv().unwrap_or(ShutdownRequest { now: true, force: false });
    server.set_state(ServerState::Stopping);
    tracing::info!("stopping: no new connections; finishing what was begun");
    for worker in &workers.control {
        worker.send(Control::Stop(stop));
    }
    workers.join().map_err(|error| (code_of(&error), error.to_string()))?;
    drop(socket_file);
    control.stop();
    tracing::info!("stopped");
    Ok(())
}

/// Users and passwords, before any socket is opened.
fn load_users(server: &Server) -> Result<(), Failure> {
    let options = &server.options;
    if !options.require_password.is_empty() {
        server.acl.require_password(&options.require_password);
    }
    if let Some(path) = &options.acl_file {
        server.acl.load_file(path).map_err(|error| {
            let text =
                format!("--aclfile: {error}; mend the file, or start without it (a file may be empty)");
            (ExitCode::Usage, text)
        })?;
    }
    if options.is_exposed(options.tls.auth_clients) && server.acl.is_open() {
        let text = "--bind has an address that is not loopback, and the users of --aclfile let anyone log in as \
                    `default` without a password: give that user a password, or switch it off";
        return Err((ExitCode::Usage, text.to_owned()));
    }
    Ok(())
}

/// Certificate and key, before any socket is opened.
fn load_certificates(server: &Server) -> Result<(), Failure> {
    if server.options.tls_port == 0 {
        return Ok(());
    }
    server.reload_tls().map_err(|error| failure(ExitCode::Usage)(&error))
}

fn start(
    server: &Arc<Server>,
    store: OpenStore,
    listeners: Vec<Vec<BoundListener>>,
) -> Result<Workers<Control>, Failure> {
    let (owners, shards) = slot_owners(&store.manifest);
    let map = SlotMap { owners: owners.into(), shards: shards.into() };
    let shared = Arc::new(Shared::default());
    let listeners = Mutex::new(listeners);
    let for_services = Arc::clone(server);
    let random = u64::from_le_bytes(random_bytes().map_err(|error| failure(ExitCode::System)(&error))?);
    let make = move |index: usize, control| {
        let mine = listeners.lock().map(|mut all| std::mem::take(&mut all[index])).unwrap_or_default();
        let mine = mine
            .into_iter()
            .map(|bound| Listener { socket: Fd::from(bound.socket), peer: bound.peer, accepting: false })
            .collect();
        let seed = random.wrapping_add(index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Service::new(Arc::clone(&for_services), Arc::clone(&shared), &map, control, mine, seed)
    };
    Workers::start(store.seeds, &ring_config(), make, worker_failed).map_err(|error| {
        let code = match &error {
            StartError::Ring(error) => ExitCode::from(error),
            StartError::Thread { .. } | StartError::Pin { .. } => ExitCode::System,
        };
        (code, error.to_string())
    })
}

fn code_of(error: &WorkerError) -> ExitCode {
    match error {
        WorkerError::Storage(_) => ExitCode::Storage,
        WorkerError::Ring(error) => ExitCode::from(error),
    }
}

/// A worker cannot go on: nothing may be acknowledged any more, by any worker.
fn worker_failed(index: usize, error: &WorkerError) {
    tracing::error!(worker = index, "{error}");
    code_of(error).exit();
}
