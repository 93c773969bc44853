//! Starts the workers: one pinned thread each, with its ring made on that thread, linked with all others.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;

use ring::{Registered, Ring, RingConfig, RingError, Waker};

use crate::Shards;
use crate::files::Files;
use crate::mailbox::{Link, Sleep};
use crate::pool::Pool;
use crate::ring_io::RingIo;
use crate::worker::{Service, Worker, WorkerError, WorkerParts};

/// What one worker starts from.
pub struct WorkerSeed {
    /// Its shards and its log.
    pub shards: Shards,
    /// The files of its log, open and locked; `None` without a log.
    pub files: Option<Files>,
    /// Its buffers, to register those for batches with its ring.
    pub pool: Pool,
    /// The CPU it is pinned to; `None`: wherever the system puts it.
    pub cpu: Option<usize>,
}

/// How to reach a worker now and then: from the control plane, or from another worker.
pub struct ControlSender<C> {
    sender: Sender<C>,
    waker: Waker,
}

impl<C> Clone for ControlSender<C> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), waker: self.waker.clone() }
    }
}

impl<C> ControlSender<C> {
    /// Sends a message. A worker that is gone needs none.
    pub fn send(&self, message: C) {
        if self.sender.send(message).is_ok() {
            self.waker.wake();
        }
    }

    /// Makes the worker take a turn.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

/// Why the workers could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// io_uring is not to be had, or not enough of it.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The thread could not be started.
    #[error("starting worker {index}: {source}")]
    Thread {
        /// Number of the worker.
        index: usize,
        /// The error.
        source: std::io::Error,
    },
    /// The thread could not be pinned.
    #[error("pinning worker {index} to CPU {cpu}: {source}; give --cpus a list of CPUs this process may use")]
    Pin {
        /// Number of the worker.
        index: usize,
        /// The CPU.
        cpu: usize,
        /// The error.
        source: std::io::Error,
    },
}

/// How a worker ended out of order.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It could not go on.
    #[error(transparent)]
    Worker(WorkerError),
    /// An invariant was broken; the panic's message says which.
    #[error("a worker thread panicked: a bug; its message is where panics of this process go")]
    Panicked,
}

/// Running workers.
pub struct Workers<C> {
    /// How to reach each of them.
    pub control: Vec<ControlSender<C>>,
    threads: Vec<JoinHandle<Result<(), WorkerError>>>,
}

/// A worker's links to all workers, by number.
type Links<S> = Vec<Option<Link<<S as Service>::Request, <S as Service>::Reply>>>;

/// What a worker's thread is given once all rings are there.
struct Wiring<S: Service> {
    links: Links<S>,
    control: Vec<ControlSender<S::Control>>,
    sleep: Arc<Sleep>,
}

impl<C: Send + 'static> Workers<C> {
    /// Starts one worker per seed. `make` builds each worker's service, on its thread. `failed` is called on the
    /// thread of a worker that cannot go on, before anything else: it ends the process.
    ///
    /// # Errors
    /// When a ring or a thread cannot be made; no worker serves then.
    pub fn start<S>(
        seeds: Vec<WorkerSeed>,
        ring: &RingConfig,
        make: impl Fn(usize, Vec<ControlSender<C>>) -> S + Send + Sync + 'static,
        failed: fn(usize, &WorkerError),
    ) -> Result<Self, StartError>
    where
        S: Service<Control = C> + 'static,
        S::Request: 'static,
        S::Reply: 'static,
    {
        let make = Arc::new(make);
        let (ready, rings) = channel();
        let (mut threads, mut wirings, mut senders) = (Vec::new(), Vec::new(), Vec::new());
        for (index, seed) in seeds.into_iter().enumerate() {
            let (wiring, wired) = sync_channel::<Wiring<S>>(1);
            let (sender, control) = channel();
            let (ready, ring, make) = (ready.clone(), ring.clone(), Arc::clone(&make));
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    let result = run(index, seed, &ring, &ready, &wired, control, make.as_ref());
                    if let Err(error) = &result {
                        failed(index, error);
                    }
                    result
                })
                .map_err(|source| StartError::Thread { index, source })?;
            threads.push(thread);
            wirings.push(wiring);
            senders.push(sender);
        }
        let mut wakers: Vec<Option<Waker>> = vec![None; threads.len()];
        for _ in 0..threads.len() {
            // Every thread says one thing, or has panicked and taken its sender along.
            let Ok((index, made)) = rings.recv() else { break };
            wakers[index] = Some(made?);
        }
        let wakers: Vec<Waker> = wakers.into_iter().flatten().collect();
        assert_eq!(wakers.len(), threads.len(), "every worker has a ring or said why not");
        let control: Vec<ControlSender<C>> = senders
            .into_iter()
            .zip(&wakers)
            .map(|(sender, waker)| ControlSender { sender, waker: waker.clone() })
            .collect();
        for (wiring, parts) in wirings.into_iter().zip(wire::<S>(&wakers, &control)) {
            // A worker that is gone shows when it is joined.
            let _ = wiring.send(parts);
        }
        Ok(Self { control, threads })
    }

    /// As [`Self::join`], for a process that outlives its workers: a worker's panic is an answer, not a panic.
    ///
    /// # Errors
    /// The first worker that did not stop in order.
    pub fn join_caught(self) -> Result<(), JoinError> {
        let mut first = Ok(());
        for thread in self.threads {
            let result = match thread.join() {
                Ok(result) => result.map_err(JoinError::Worker),
                Err(_) => Err(JoinError::Panicked),
            };
            first = first.and(result);
        }
        first
    }

    /// Waits until all workers have stopped.
    ///
    /// # Errors
    /// The first error of a worker.
    pub fn join(self) -> Result<(), WorkerError> {
        let mut first = Ok(());
        for thread in self.threads {
            match thread.join() {
                Ok(result) => first = first.and(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        first
    }
}

fn wire<S: Service>(wakers: &[Waker], control: &[ControlSender<S::Control>]) -> Vec<Wiring<S>> {
    let count = wakers.len();
    let sleeps: Vec<Arc<Sleep>> = (0..count).map(|_| Arc::new(Sleep::default())).collect();
    let mut links: Vec<Links<S>> = (0..count).map(|_| (0..count).map(|_| None).collect()).collect();
    for a in 0..count {
        for b in a + 1..count {
            let (of_a, of_b) = Link::pair((&wakers[a], &sleeps[a]), (&wakers[b], &sleeps[b]));
            links[a][b] = Some(of_a);
            links[b][a] = Some(of_b);
        }
    }
    links
        .into_iter()
        .zip(sleeps)
        .map(|(links, sleep)| Wiring { links, control: control.to_vec(), sleep })
        .collect()
}

fn run<S: Service>(
    index: usize,
    seed: WorkerSeed,
    config: &RingConfig,
    ready: &Sender<(usize, Result<Waker, StartError>)>,
    wired: &Receiver<Wiring<S>>,
    control: Receiver<S::Control>,
    make: &(impl Fn(usize, Vec<ControlSender<S::Control>>) -> S + ?Sized),
) -> Result<(), WorkerError> {
    let ring = match open_ring(index, &seed, config) {
        Ok(ring) => ring,
        Err(error) => {
            // Nobody listens when another worker has failed first.
            let _ = ready.send((index, Err(error)));
            return Ok(());
        }
    };
    if ready.send((index, Ok(ring.waker()))).is_err() {
        return Ok(());
    }
    // Another worker failed to start: there is nothing to serve.
    let Ok(wiring) = wired.recv() else { return Ok(()) };
    let parts = WorkerParts {
        index,
        ring,
        shards: seed.shards,
        links: wiring.links,
        io: seed.files.map(RingIo::new),
        control,
        sleep: wiring.sleep,
    };
    let mut service = make(index, wiring.control);
    Worker::new(parts).run(&mut service)
}

fn open_ring(index: usize, seed: &WorkerSeed, config: &RingConfig) -> Result<Ring, StartError> {
    if let Some(cpu) = seed.cpu {
        ring::pin_current_thread(cpu).map_err(|source| StartError::Pin { index, cpu, source })?;
    }
    let mut ring = Ring::new(config)?;
    if let Some(batches) = seed.pool.batches()
        && let Registered::No(reason) = ring.register_blocks(batches)
    {
        tracing::warn!(
            worker = index,
            %reason,
            "log buffers are not registered with the ring: the locked-memory limit is too small (ulimit -l, \
             LimitMEMLOCK=); going on with unregistered ones, at a little more CPU per batch"
        );
    }
    Ok(ring)
}
