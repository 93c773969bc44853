//! Waking a ring that waits: by a message from another ring, or by an event counter from any thread.
//!
//! Rule: whoever publishes work wakes afterwards; the woken ring clears `pending` before it reports `Woken`, and
//! looks for work after that. So no wake is lost, and any number of wakes before the report costs one.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types;

use crate::sys;
use crate::user_data::UserData;

/// Source of ring ids, unique in the process until four billion rings were made.
static NEXT_RING: AtomicU32 = AtomicU32::new(0);

/// Wakes one ring; may be copied to any thread. Outlives the ring harmlessly.
#[derive(Clone)]
pub struct Waker {
    target: Arc<Target>,
}

struct Target {
    ring: u32,
    /// The ring's descriptor, a copy: messages never reach a stranger that got the number.
    ring_fd: OwnedFd,
    counter: File,
    /// A wake is under way and not yet reported.
    pending: AtomicBool,
    /// The ring is gone.
    closed: AtomicBool,
}

impl Waker {
    pub(crate) fn new(ring_fd: OwnedFd) -> io::Result<Self> {
        let target = Target {
            ring: NEXT_RING.fetch_add(1, Ordering::Relaxed),
            ring_fd,
            counter: sys::event_counter()?,
            pending: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        };
        Ok(Self { target: Arc::new(target) })
    }

    /// Makes the ring's wait return with `Completion::Woken`. From a thread that has a ring,
    /// [`Ring::wake`](crate::Ring::wake) is cheaper.
    pub fn wake(&self) {
        if self.begin() {
            self.count();
        }
    }

    /// Claims the wake. False: one is under way already and will be reported after what the caller has published.
    pub(crate) fn begin(&self) -> bool {
        // AcqRel: what the caller wrote before is visible to the ring when it clears the flag.
        !self.target.pending.swap(true, Ordering::AcqRel)
    }

    /// Ends the wake on the woken side. True if it is to be reported.
    pub(crate) fn end(&self) -> bool {
        self.target.pending.swap(false, Ordering::AcqRel)
    }

    /// Wakes through the event counter.
    pub(crate) fn count(&self) {
        // The counter is never read, only polled for its changes; it would take 2^64 wakes to fill it.
        let result = (&self.target.counter).write(&1u64.to_ne_bytes());
        debug_assert!(result.is_ok(), "{result:?}");
    }

    pub(crate) fn ring(&self) -> u32 {
        self.target.ring
    }

    pub(crate) fn counter_fd(&self) -> RawFd {
        self.target.counter.as_raw_fd()
    }

    pub(crate) fn close(&self) {
        self.target.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.target.closed.load(Ordering::Acquire)
    }

    /// The entry that posts a completion into the ring. Reports only its failure. Names no memory.
    pub(crate) fn message_entry(&self) -> Entry {
        opcode::MsgRingData::new(
            types::Fd(self.target.ring_fd.as_raw_fd()),
            0,
            UserData::Woken.encode(),
            None,
        )
        .build()
        .flags(Flags::SKIP_SUCCESS)
        .user_data(UserData::Message(self.target.ring).encode())
    }

    /// The entry that watches the event counter of the ring itself. Names no memory.
    pub(crate) fn watch_entry(&self) -> Entry {
        let events = u32::try_from(libc::POLLIN).expect("a small positive flag");
        opcode::PollAdd::new(types::Fd(self.counter_fd()), events)
            .multi(true)
            .build()
            .user_data(UserData::Event.encode())
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Waker(ring {})", self.target.ring)
    }
}

/// The rings this one has sent messages to: kept so that a failed message can be repeated through the counter, and
/// so that the descriptor named by a queued message stays open.
#[derive(Default)]
pub(crate) struct Peers {
    wakers: Vec<Waker>,
}

impl Peers {
    pub(crate) fn remember(&mut self, waker: &Waker) {
        if self.find(waker.ring()).is_none() {
            self.wakers.retain(|peer| !peer.is_closed());
            self.wakers.push(waker.clone());
        }
    }

    pub(crate) fn find(&self, ring: u32) -> Option<&Waker> {
        self.wakers.iter().find(|peer| peer.ring() == ring)
    }
}
