//! The ring: one thread's connection to the kernel. Opened, fed with operations, turned, closed.
//!
//! Rule: used by the thread that made it. Queued operations reach the kernel at the next turn (`turn.rs`); what they
//! own stays in the operation table until their last completion.

use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};

use crate::completion::{OperationId, Token};
use crate::config::{RingConfig, SetupMode};
use crate::error::RingError;
use crate::fd::Fd;
use crate::memory::BlockPool;
use crate::operation::{EntryContext, Operation};
use crate::operation_table::OperationTable;
use crate::queue::Queue;
use crate::recv_buffers::{RecvBuffer, RecvBuffers};
use crate::registered_pools::{Registered, RegisteredPools};
use crate::timer::Timer;
use crate::user_data::UserData;
use crate::waker::{Peers, Waker};

/// Whether multishot receive exists (Linux 6.0). Learned from the first receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MultishotRecv {
    Untried,
    Works,
    Missing,
}

/// What a ring has done so far, for INFO and reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// System calls made (`io_uring_enter`).
    pub enters: u64,
    /// Completions taken from the kernel.
    pub completions: u64,
    /// Turns in which the kernel held completions back because the queue was full. None is lost.
    pub overflows: u64,
    /// Receives that ended for want of a buffer.
    pub starved_receives: u64,
}

/// One io_uring instance with the operations in flight on it. Stays on the thread that made it:
///
/// ```compile_fail,E0277
/// fn to_another_thread(ring: ring::Ring) -> impl Send { ring }
/// ```
pub struct Ring {
    // Closed first: after it the kernel starts nothing new on the memory below.
    pub(crate) queue: Queue,
    pub(crate) operations: OperationTable,
    pub(crate) recv_buffers: Option<Rc<RecvBuffers>>,
    pub(crate) registered: RegisteredPools,
    pub(crate) multishot_recv: MultishotRecv,
    pub(crate) timer: Timer,
    pub(crate) waker: Waker,
    pub(crate) peers: Peers,
    /// The kernel watches the waker's event counter.
    pub(crate) watching: bool,
    /// `wake` was called with this ring's own waker.
    pub(crate) woken_by_self: bool,
    /// The kernel takes messages to other rings.
    pub(crate) messages_work: bool,
    /// First attempts of sends whose completions are not taken yet: each is there when its submission ends.
    pub(crate) instant_sends: u32,
    /// Operations to submit again after this turn's completions.
    pub(crate) repeats: Vec<OperationId>,
    /// Descriptors named by entries that no operation owns, kept open until those are submitted.
    pub(crate) held: Vec<Fd>,
    pub(crate) counters: Counters,
    /// Not `Send`: the kernel accepts submissions from one thread only.
    _one_thread: PhantomData<Rc<()>>,
}

impl Ring {
    /// Makes a ring in the best mode the kernel has. The error text tells the operator what to do.
    pub fn new(config: &RingConfig) -> Result<Self, RingError> {
        config.check()?;
        let mut queue = Queue::open(config)?;
        let recv_buffers = match config.recv_buffer_count {
            0 => None,
            count => {
                let buffers = RecvBuffers::new(count, config.recv_buffer_bytes)
                    .map_err(|error| RingError::from_call("mmap (receive buffers)", error))?;
                queue.register_recv_buffers(&buffers)?;
                Some(buffers)
            }
        };
        let ring_fd = queue.duplicate().map_err(|error| RingError::from_call("dup", error))?;
        let waker = Waker::new(ring_fd).map_err(|error| RingError::from_call("eventfd", error))?;
        let capacity = usize::try_from(config.entries).expect("u32 fits usize on 64-bit Linux");
        Ok(Self {
            queue,
            operations: OperationTable::with_capacity(capacity),
            recv_buffers,
            registered: RegisteredPools::default(),
            multishot_recv: MultishotRecv::Untried,
            timer: Timer::new(),
            waker,
            peers: Peers::default(),
            watching: false,
            woken_by_self: false,
            messages_work: true,
            instant_sends: 0,
            repeats: Vec::new(),
            held: Vec::new(),
            counters: Counters::default(),
            _one_thread: PhantomData,
        })
    }

    /// The mode in force, for INFO and reports.
    pub fn mode(&self) -> SetupMode {
        self.queue.mode()
    }

    /// Submission and completion entries, at most those configured: fewer where the locked-memory limit is small.
    pub fn sizes(&self) -> (u32, u32) {
        self.queue.sizes()
    }

    /// What the ring has done so far.
    pub fn counters(&self) -> Counters {
        Counters { enters: self.queue.enters(), overflows: self.queue.overflows(), ..self.counters }
    }

    /// Operations whose last completion is still to come. The timer and wakers do not count.
    pub fn in_flight(&self) -> usize {
        self.operations.len()
    }

    /// Pins the pool's memory for the kernel, all of it at once, so that file operations on its buffers cost less.
    /// Without it, or where the memlock limit forbids it, they work the same.
    pub fn register_blocks(&mut self, pool: &BlockPool) -> Registered {
        self.registered.register(pool, &mut self.queue)
    }

    /// Makes the wait return at `deadline_ns` of [`monotonic_ns`](crate::monotonic_ns) with `Completion::Timer`,
    /// once; a time that has passed, at once. Replaces the former deadline; `None` turns it off. Cheap unless earlier.
    pub fn set_timer(&mut self, deadline_ns: Option<u64>) {
        self.timer.set(deadline_ns);
    }

    /// A handle that wakes this ring from any thread.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Wakes another ring with the next submission. Publish the work before this call.
    pub fn wake(&mut self, other: &Waker) {
        if other.is_closed() || !other.begin() {
            return;
        }
        if other.ring() == self.waker.ring() {
            self.woken_by_self = true;
        } else if self.messages_work {
            self.peers.remember(other);
            // SAFETY: the entry names no memory.
            unsafe { self.queue.push(&other.message_entry()) };
        } else {
            other.count();
        }
    }

    /// Asks the kernel to end one operation. It still completes: with `ECANCELED`, or as it would have if it was
    /// faster. Writes and reads of files under way on the drive are not interrupted. No effect after the end.
    pub fn cancel(&mut self, operation: OperationId) {
        if !self.operations.mark_cancelled(operation) {
            return;
        }
        let builder = types::CancelBuilder::user_data(UserData::Operation(operation).encode());
        self.push_cancel(builder);
    }

    /// Asks the kernel to end all operations on a socket. Each completes as after [`cancel`](Self::cancel).
    pub fn cancel_all_of(&mut self, socket: &Fd) {
        socket.set_cancelled(true);
        let builder = types::CancelBuilder::fd(types::Fd(socket.as_raw_fd())).all();
        self.push_cancel(builder);
        // The entry names the descriptor by number: nobody may re-use the number before it is submitted.
        self.held.push(socket.clone());
    }

    fn push_cancel(&mut self, builder: types::CancelBuilder) {
        let entry = opcode::AsyncCancel2::new(builder)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(UserData::Ignored.encode());
        // SAFETY: the entry names no memory.
        unsafe { self.queue.push(&entry) };
    }

    /// Ends both directions of a connection at once: receives see `Closed`, sends fail with `EPIPE`.
    /// A connection the peer has already ended is no error.
    pub fn shutdown_socket(socket: &Fd) {
        // ENOTCONN is all that can happen to an open socket, and then there is nothing to end.
        let _ = crate::sys::shutdown_both(std::os::fd::AsFd::as_fd(socket));
    }

    /// The bytes of a received buffer; the same as dereferencing it.
    pub fn received<'a>(&self, buffer: &'a RecvBuffer) -> &'a [u8] {
        buffer
    }

    /// Gives a received buffer back to the kernel; the same as dropping it.
    pub fn give_back(&mut self, buffer: RecvBuffer) {
        drop(buffer);
    }

    /// Receive buffers in the caller's hands at this moment.
    pub fn lent_buffers(&self) -> usize {
        self.recv_buffers.as_ref().map_or(0, |buffers| usize::from(buffers.lent()))
    }

    /// Starts an operation: it enters the table, its entry the queue.
    pub(crate) fn start(&mut self, token: Token, operation: Operation) -> OperationId {
        let id = self.operations.insert(token, operation);
        self.submit(id);
        id
    }

    /// Submits what is queued, without waiting; completions come with the next turn. For what gains by starting before the
    /// rest of the turn's work; everything else goes with the turn's one system call. An error shows again at the turn.
    pub fn submit_early(&mut self) {
        self.queue.submit_now();
    }

    /// Queues the entry of an operation in the table: its first, or for what is left of it.
    pub(crate) fn submit(&mut self, id: OperationId) {
        let context = EntryContext {
            registered: &self.registered,
            multishot_recv: self.multishot_recv != MultishotRecv::Missing,
        };
        let operation = self.operations.live(id).operation;
        self.instant_sends += u32::from(matches!(operation, Operation::Send { instant: true, .. }));
        let entry: Entry = operation.entry(&context);
        let entry = entry.user_data(UserData::Operation(id).encode());
        // SAFETY: the table owns all the entry names until the last completion; receive buffers are owned by the
        // ring until it is closed and drained.
        unsafe { self.queue.push(&entry) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Completion;

    #[test]
    fn without_messages_rings_wake_each_other_by_the_counter() {
        let mut ring = Ring::new(&RingConfig::default()).unwrap();
        let mut other = Ring::new(&RingConfig::default()).unwrap();
        other.messages_work = false;
        for _ in 0..3 {
            other.wake(&ring.waker());
            let mut out = Vec::new();
            ring.submit_and_wait(true, &mut out).unwrap();
            assert!(matches!(out[..], [Completion::Woken]), "{out:?}");
        }
        assert_eq!(other.counters().enters, 0, "no message was sent");
    }

    #[test]
    fn a_failed_message_is_repeated_by_the_counter() {
        let mut ring = Ring::new(&RingConfig::default()).unwrap();
        let mut other = Ring::new(&RingConfig::default()).unwrap();
        let waker = ring.waker();
        assert!(waker.begin());
        other.peers.remember(&waker);
        other.message_failed(waker.ring(), -libc::EINVAL);
        assert!(!other.messages_work);
        let mut out = Vec::new();
        ring.submit_and_wait(true, &mut out).unwrap();
        assert!(matches!(out[..], [Completion::Woken]), "{out:?}");
    }
}
