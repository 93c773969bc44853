//! A worker's thread: pinned, with a ring of its own, told which phases to carry out.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::thread::{Builder, JoinHandle};

use ring::{Fd, Ring, RingConfig, RingError, SetupMode, Waker};
use thiserror::Error;

use crate::generator::Generator;
use crate::limits::{RECV_BUFFER_BYTES, RECV_BUFFERS_MAX, RECV_BUFFERS_MIN, RING_ENTRIES};
use crate::phase::{Phase, PhaseOutcome};
use crate::series::Interval;
use crate::tls::TlsSession;
use crate::verify_share::Sampler;
use crate::worker::{Worker, WorkerSignals};

/// Why a worker cannot work.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// Its ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// Its processor.
    #[error("cannot run on processor {cpu}: {source} (see --cpus)")]
    Pin {
        /// Number of the processor.
        cpu: usize,
        /// The system's error.
        source: io::Error,
    },
    /// Its thread.
    #[error("cannot start a thread: {0}")]
    Spawn(#[source] io::Error),
    /// It ended without a word: a bug, its message is on the terminal.
    #[error("a worker thread ended unexpectedly")]
    Gone,
}

/// What a worker starts with.
#[derive(Debug)]
pub struct WorkerSetup {
    /// Its processor, if it is pinned.
    pub cpu: Option<usize>,
    /// Connections, introduced to the server.
    pub sockets: Vec<(OwnedFd, Option<TlsSession>)>,
    /// Its requests.
    pub generator: Generator,
    /// Chooses the answers that are looked into, when any are.
    pub sampler: Option<Sampler>,
    /// Deepest pipeline of its phases.
    pub pipeline_max: usize,
    /// Where closed intervals go.
    pub intervals: SyncSender<Interval>,
}

/// The coordinator's side of a worker.
#[derive(Debug)]
pub struct WorkerThread {
    /// Progress, and the way to stop it.
    pub signals: Arc<WorkerSignals>,
    /// Mode of its ring.
    pub mode: SetupMode,
    waker: Waker,
    phases: Option<Sender<Phase>>,
    outcomes: Receiver<Result<PhaseOutcome, WorkerError>>,
    thread: Option<JoinHandle<()>>,
}

impl WorkerThread {
    /// Starts a worker and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot work.
    pub fn start(number: u32, setup: WorkerSetup) -> Result<Self, WorkerError> {
        let signals = Arc::new(WorkerSignals::default());
        let (phases, phases_received) = channel();
        let (outcomes_sent, outcomes) = channel();
        let (ready_sent, ready) = channel();
        let worker_signals = Arc::clone(&signals);
        let body = move || match open(setup, worker_signals) {
            Ok(worker) => {
                let is_heard = ready_sent.send(Ok(worker.introduction())).is_ok();
                if is_heard {
                    serve(worker, &phases_received, &outcomes_sent);
                }
            }
            Err(error) => {
                // Nobody listens any more only when the run is over.
                let _ = ready_sent.send(Err(error));
            }
        };
        let thread =
            Builder::new().name(format!("worker-{number}")).spawn(body).map_err(WorkerError::Spawn)?;
        let (waker, mode) = ready.recv().map_err(|_| WorkerError::Gone)??;
        Ok(Self { signals, mode, waker, phases: Some(phases), outcomes, thread: Some(thread) })
    }

    /// Tells the worker to carry out a phase.
    ///
    /// # Errors
    /// When the worker has ended.
    pub fn begin(&self, phase: Phase) -> Result<(), WorkerError> {
        let phases = self.phases.as_ref().ok_or(WorkerError::Gone)?;
        phases.send(phase).map_err(|_| WorkerError::Gone)
    }

    /// The outcome of the phase, when it is there.
    ///
    /// # Errors
    /// When the worker failed or has ended.
    pub fn try_outcome(&self) -> Result<Option<PhaseOutcome>, WorkerError> {
        use std::sync::mpsc::TryRecvError;
        match self.outcomes.try_recv() {
            Ok(outcome) => outcome.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(WorkerError::Gone),
        }
    }

    /// Ends the phase under way and all later ones.
    pub fn stop(&self) {
        self.signals.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        self.stop();
        self.phases = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the worker has been reported on the terminal already.
            let _ = thread.join();
        }
    }
}

fn open(setup: WorkerSetup, signals: Arc<WorkerSignals>) -> Result<Worker, WorkerError> {
    if let Some(cpu) = setup.cpu {
        ring::pin_current_thread(cpu).map_err(|source| WorkerError::Pin { cpu, source })?;
    }
    let ring = Ring::new(&RingConfig {
        entries: RING_ENTRIES,
        recv_buffer_count: recv_buffer_count(setup.sockets.len()),
        recv_buffer_bytes: RECV_BUFFER_BYTES,
        ..RingConfig::default()
    })?;
    let (sockets, sessions): (Vec<OwnedFd>, Vec<_>) = setup.sockets.into_iter().unzip();
    let sockets = sockets.into_iter().map(Fd::from).collect();
    let mut worker = Worker::new(
        ring,
        sockets,
        setup.generator,
        setup.pipeline_max,
        setup.sampler,
        signals,
        setup.intervals,
    );
    for (number, session) in sessions.into_iter().enumerate() {
        if let Some(session) = session {
            worker.encrypt(number, session);
        }
    }
    Ok(worker)
}

fn serve(mut worker: Worker, phases: &Receiver<Phase>, outcomes: &Sender<Result<PhaseOutcome, WorkerError>>) {
    while let Ok(phase) = phases.recv() {
        let outcome = worker.run(phase).map_err(WorkerError::Ring);
        let failed = outcome.is_err();
        if outcomes.send(outcome).is_err() || failed {
            return;
        }
    }
}

/// Enough for every connection to have a reply at once, and few enough to stay in the cache.
fn recv_buffer_count(connections: usize) -> u16 {
    let wanted = connections.saturating_mul(2).checked_next_power_of_two().unwrap_or(usize::MAX);
    u16::try_from(wanted).unwrap_or(RECV_BUFFERS_MAX).clamp(RECV_BUFFERS_MIN, RECV_BUFFERS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receive_buffers_grow_with_the_connections_within_bounds() {
        assert_eq!(recv_buffer_count(1), RECV_BUFFERS_MIN);
        assert_eq!(recv_buffer_count(50), 128);
        assert_eq!(recv_buffer_count(100_000), RECV_BUFFERS_MAX);
        for connections in 0..3000 {
            assert!(recv_buffer_count(connections).is_power_of_two());
        }
    }
}
