//! The control plane: what is not on the hot path, on one thread with a `tokio-uring` runtime of its own.
//!
//! It hears signals (`signals`), tells the service manager how things stand (`service_manager`), serves GET /health and GET /metrics at the admin address (`admin`), and holds
//! what the start and the end of the process need: the log (`logging`), the question whether io_uring is to be had
//! ([`probe_io_uring`]) and the exit codes ([`exit_code`]). It reads what workers publish in [`Server`] and asks them
//! for nothing; a worker that hangs is seen here, and hangs nothing.
//!
//! The order of a start: options, [`Server::new`], [`log_to_stderr`], [`probe_io_uring`], [`start`] (from now on
//! signals are orders and /health tells how the start goes on), store, workers. The order of an end: workers, store,
//! and last [`ControlHandle::stop`], right before the process ends: until then a second signal must be heard.

mod admin;
mod admin_socket;
pub mod exit_code;
mod exposition;
#[cfg(test)]
mod exposition_check;
mod health;
mod http_request;
mod http_response;
mod io_uring_probe;
mod limits;
mod log_line;
mod logging;
mod metrics;
mod process_figures;
#[cfg(test)]
mod process_tests;
mod service_manager;
mod signals;
mod storage_metrics;
#[cfg(test)]
mod tests;
mod unix_socket;

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

pub use self::exit_code::{ExitCode, end_process_on_panic};
pub use self::io_uring_probe::probe_io_uring;
pub use self::logging::{level_filter, log_to_stderr};
pub use self::unix_socket::{SocketFile, bind_unix_socket};

use self::admin_socket::{AdminListener, BoundAddress};
use self::limits::{AdminLimits, RING_ENTRIES};
use self::service_manager::ServiceManager;
use self::signals::Signals;
use crate::options::AdminAddress;
use crate::server::Server;

/// The control thread.
#[derive(Debug)]
pub struct ControlHandle {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    address: Option<AdminAddress>,
}

/// Starts the control thread, with the admin address of the options if there is one. When it returns, the address
/// listens and signals are heard.
///
/// # Errors
/// The text says what failed: the admin address ([`ExitCode::Unavailable`]), or else the thread, its signals or its
/// ring ([`ExitCode::System`]); [`start_error_code`] tells which.
pub fn start(server: Arc<Server>) -> io::Result<ControlHandle> {
    start_with(server, AdminLimits::default())
}

/// With what code the process ends when [`start`] has failed.
#[must_use]
pub fn start_error_code(error: &io::Error) -> ExitCode {
    if error.get_ref().is_some_and(|inner| inner.is::<AdminAddressError>()) {
        ExitCode::Unavailable
    } else {
        ExitCode::System
    }
}

/// The admin address cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("--admin {0}")]
struct AdminAddressError(io::Error);

fn start_with(server: Arc<Server>, limits: AdminLimits) -> io::Result<ControlHandle> {
    let admin_error = |error: io::Error| io::Error::new(error.kind(), AdminAddressError(error));
    let bound = server.options.admin.as_ref().map(BoundAddress::bind).transpose().map_err(admin_error)?;
    let address = bound.as_ref().map(BoundAddress::address).transpose().map_err(admin_error)?;
    let (stop, stopped) = watch::channel(false);
    let (report, started) = mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name("control".into())
        .spawn(move || run(bound, server, limits, stopped, &report))
        .map_err(|error| io::Error::new(error.kind(), format!("control thread: {error}")))?;
    let mut handle = ControlHandle { stop, thread: Some(thread), address };
    match started.recv() {
        Ok(Ok(())) => {
            if let Some(address) = &handle.address {
                tracing::info!(%address, "admin address is open");
            }
            Ok(handle)
        }
        Ok(Err(error)) => {
            handle.end();
            Err(error)
        }
        Err(mpsc::RecvError) => {
            handle.end();
            Err(io::Error::other("control thread: it ended while it was starting"))
        }
    }
}

/// The control thread, from its start to its end.
fn run(
    bound: Option<BoundAddress>,
    server: Arc<Server>,
    limits: AdminLimits,
    mut stopped: watch::Receiver<bool>,
    report: &mpsc::SyncSender<io::Result<()>>,
) {
    let context = |what: &'static str| {
        move |error: io::Error| io::Error::new(error.kind(), format!("control thread: {what}: {error}"))
    };
    let mut builder = tokio_uring::builder();
    builder.entries(RING_ENTRIES);
    let runtime = match tokio_uring::Runtime::new(&builder).map_err(context("its ring")) {
        Ok(runtime) => runtime,
        Err(error) => {
            // It fails only when nobody waits, and then nobody wants to know.
            let _ = report.send(Err(error));
            return;
        }
    };
    runtime.block_on(async move {
        let prepared = Signals::listen().map_err(context("signals")).and_then(|signals| {
            let listener = bound.map(AdminListener::new).transpose().map_err(context("admin address"))?;
            let manager = ServiceManager::of_environment().map_err(context("NOTIFY_SOCKET"))?;
            Ok((signals, listener, manager))
        });
        let (signals, listener, mut manager) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let _ = report.send(Err(error));
                return;
            }
        };
        let _ = report.send(Ok(()));
        let admin = async {
            match listener {
                Some(listener) => admin::serve(listener, Arc::clone(&server), limits, stopped).await,
                // An error is a handle that has gone, which is a stop too.
                None => drop(stopped.wait_for(|stop| *stop).await),
            }
        };
        let notify = async {
            match &mut manager {
                Some(manager) => manager.serve(&server).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = signals.serve(&server) => {}
            () = admin => {}
            () = notify => {}
        }
        // A stop that was quicker than a tick.
        if let Some(manager) = &mut manager {
            manager.tell(&server);
        }
    });
}

impl ControlHandle {
    /// Where health and metrics are served; of port 0 the one that was chosen.
    #[must_use]
    pub const fn admin_address(&self) -> Option<&AdminAddress> {
        self.address.as_ref()
    }

    /// Closes the admin address, lets answers under way end (at most a second), and ends the thread. Signals that ask
    /// for a stop are swallowed from then on: to be called right before the process ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("control thread: it ended in a panic");
        }
    }
}

impl Drop for ControlHandle {
    fn drop(&mut self) {
        self.end();
    }
}
