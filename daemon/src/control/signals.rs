//! Signals: the operator's and the service manager's word to the process.
//!
//! SIGTERM and SIGINT ask for an orderly stop, and the second one, whichever it is, ends the process at once: an
//! operator must never need more than patience or a second Ctrl-C. A SHUTDOWN command is not counted, so that a
//! service manager's SIGTERM after it does not cut it short. SIGHUP has the certificates read again. SIGXFSZ is logged
//! and the write that caused it fails with EFBIG. SIGPIPE is ignored from the start by Rust's own start-up code.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit_code::ExitCode;
use crate::server::{Server, ShutdownRequest};

/// SIGXFSZ has no name in tokio.
const FILE_SIZE_LIMIT: i32 = libc::SIGXFSZ;

/// The signals that are listened to, from the moment this is made to the end of the process.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    file_size: Signal,
}

impl Signals {
    /// Called on the control thread, inside its runtime.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            file_size: signal(SignalKind::from_raw(FILE_SIZE_LIMIT))?,
        })
    }

    /// Does what signals ask for. Ends only with the process, or when dropped.
    pub(super) async fn serve(mut self, server: &Server) {
        let mut stops = 0_u32;
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hangup.recv() => {
                    read_certificates(server);
                    continue;
                }
                _ = self.file_size.recv() => {
                    tracing::warn!("SIGXFSZ ignored: a file has reached the limit on file sizes (ulimit -f)");
                    continue;
                }
            };
            stops += 1;
            if stops > 1 {
                tracing::warn!("{name} again: ending at once; the next start recovers from the log");
                ExitCode::Interrupted.exit();
            }
            if server.shutdown.request(ShutdownRequest::default()) {
                tracing::info!("{name}: stopping in order; a second signal ends the process at once");
            } else {
                tracing::info!("{name}: it is stopping already; a second signal ends the process at once");
            }
        }
    }
}

/// Reads certificate and key again. A file of a few kilobytes: the control thread waits for it.
fn read_certificates(server: &Server) {
    let _changing = server.tls.change();
    match server.reload_tls() {
        _ if server.options.tls_port == 0 => {
            tracing::info!(
                "SIGHUP: no TLS, so no certificate to read again; options are read at the start only"
            );
        }
        Ok(()) => tracing::info!("SIGHUP: certificate and key are read again, for connections from now on"),
        Err(error) => tracing::warn!("SIGHUP: TLS stays as it was: {error}"),
    }
}
