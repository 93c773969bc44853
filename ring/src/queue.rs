//! The submission and completion queues shared with the kernel: set-up, pushing entries, one `io_uring_enter` a turn.
//!
//! Rule: an entry is never dropped. If the submission queue is full it is submitted at once; if even that is refused
//! (the kernel is out of memory), entries wait here in order.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use io_uring::squeue::Entry;
use io_uring::{IoUring, cqueue};

use crate::config::{RingConfig, SetupMode};
use crate::error::{RingError, kernel_release};
use crate::limits::{OPERATIONS_MAX, SUBMIT_RETRIES_MAX};
use crate::memory::Mapping;
use crate::recv_buffers::{self, RecvBuffers};
use crate::{setup, sys};

/// `IORING_ENTER_GETEVENTS` of the kernel's interface.
const ENTER_GETEVENTS: u32 = 1;

/// Looks between two readings of the clock while spinning.
const SPIN_LOOKS: u32 = 16;

pub(crate) struct Queue {
    uring: IoUring,
    /// Entries the kernel had no memory for, oldest first. Empty in all but broken times.
    backlog: VecDeque<Entry>,
    /// Registered receive buffers: what came back is shown to the kernel before every submission.
    recv_buffers: Option<Rc<RecvBuffers>>,
    /// How long a wait looks for completions before it sleeps.
    spin_ns: u64,
    mode: SetupMode,
    /// System calls made.
    enters: u64,
    /// Turns that found the completion queue overflown (nothing is lost, the kernel holds the rest).
    overflows: u64,
}

impl Queue {
    /// Makes the kernel's side as `setup` says.
    pub(crate) fn open(config: &RingConfig) -> Result<Self, RingError> {
        let (uring, mode) = setup::open(config)?;

        if !uring.params().is_feature_nodrop() || !uring.params().is_feature_submit_stable() {
            let feature = "completions that are never dropped (IORING_FEAT_NODROP)";
            return Err(RingError::TooOld { kernel: kernel_release(), feature });
        }
        Ok(Self {
            uring,
            backlog: VecDeque::new(),
            recv_buffers: None,
            spin_ns: config.spin_ns,
            mode,
            enters: 0,
            overflows: 0,
        })
    }

    /// Submission and completion entries the kernel has given.
    pub(crate) fn sizes(&self) -> (u32, u32) {
        (self.uring.params().sq_entries(), self.uring.params().cq_entries())
    }

    pub(crate) fn mode(&self) -> SetupMode {
        self.mode
    }

    pub(crate) fn enters(&self) -> u64 {
        self.enters
    }

    pub(crate) fn overflows(&self) -> u64 {
        self.overflows
    }

    /// A second descriptor of the ring, for messages from other rings.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        sys::duplicate(self.uring.as_raw_fd())
    }

    /// Queues an entry for the next submission.
    ///
    /// # Safety
    /// All memory the entry names stays valid, and unshared if the kernel writes it, until the last completion of
    /// the entry, or until it is submitted where the kernel reads it only then.
    pub(crate) unsafe fn push(&mut self, entry: &Entry) {
        if self.backlog.is_empty() {
            // SAFETY: forwarded to the caller.
            if unsafe { self.try_push(entry) } {
                return;
            }
            self.submit_now();
            // SAFETY: forwarded to the caller.
            if unsafe { self.try_push(entry) } {
                return;
            }
        }
        assert!(self.backlog.len() < 2 * OPERATIONS_MAX, "at most one operation and one cancel each wait");
        self.backlog.push_back(entry.clone());
    }

    /// # Safety
    /// As for `push`.
    unsafe fn try_push(&mut self, entry: &Entry) -> bool {
        let mut submission = self.uring.submission();
        // SAFETY: forwarded to the caller.
        unsafe { submission.push(entry) }.is_ok()
    }

    /// Submits without waiting. An error shows again at the next `enter`, where it is handled.
    pub(crate) fn submit_now(&mut self) {
        self.publish_recv_buffers();
        let queued = u32::try_from(self.uring.submission().len()).expect("at most ENTRIES_MAX");
        self.enters += 1;
        // SAFETY: `queued` entries were pushed under the promise of `push`; no argument is passed.
        let _ = unsafe { self.uring.submitter().enter::<libc::sigset_t>(queued, 0, 0, None) };
    }

    fn publish_recv_buffers(&self) {
        // A receive takes a buffer before it looks for bytes: without this, it would end for want of one.
        if let Some(buffers) = &self.recv_buffers {
            buffers.publish();
        }
    }

    fn refill(&mut self) {
        while let Some(entry) = self.backlog.front().cloned() {
            // SAFETY: `push` was promised the memory until completion, and the entry has not been submitted yet.
            if !unsafe { self.try_push(&entry) } {
                return;
            }
            self.backlog.pop_front();
        }
    }

    /// Submits everything queued and waits until `want` completions are there.
    /// May return earlier with nothing: after a signal, or if the kernel is short of memory.
    pub(crate) fn enter(&mut self, want: u32) -> Result<(), RingError> {
        self.publish_recv_buffers();
        if want > 0 && self.spin_ns > 0 && self.spin() {
            return Ok(());
        }
        let mut refusals = 0;
        loop {
            if !self.backlog.is_empty() {
                self.refill();
            }
            let submission = self.uring.submission();
            let queued = u32::try_from(submission.len()).expect("at most ENTRIES_MAX");
            let idle = queued == 0 && !submission.taskrun() && !submission.cq_overflow();
            drop(submission);
            let want = if self.backlog.is_empty() { want } else { 0 };
            if want == 0 && idle {
                return Ok(());
            }
            self.enters += 1;
            // GETEVENTS also without waiting: it runs the deferred work that produces completions.
            // SAFETY: `queued` entries were pushed under the promise of `push`; no argument is passed.
            let result = unsafe {
                self.uring.submitter().enter::<libc::sigset_t>(queued, want, ENTER_GETEVENTS, None)
            };
            match result.map_err(|error| (error.raw_os_error(), error)) {
                Ok(_) if self.backlog.is_empty() => return Ok(()),
                Ok(_) => {}
                Err((Some(libc::EINTR), _)) => {}
                Err((Some(libc::EAGAIN | libc::EBUSY), error)) => {
                    refusals += 1;
                    if !self.uring.completion().is_empty() {
                        return Ok(());
                    }
                    if refusals > SUBMIT_RETRIES_MAX {
                        return Err(RingError::from_call("io_uring_enter", error));
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                Err((Some(libc::EBADR), _)) => return Err(RingError::CompletionsLost(self.dropped())),
                Err((_, error)) => return Err(RingError::from_call("io_uring_enter", error)),
            }
        }
    }

    /// Submits, then looks for completions for `spin_ns` without sleeping. True if there are some.
    /// Costs no system call while it looks: the kernel flags deferred work in shared memory.
    fn spin(&mut self) -> bool {
        if !self.uring.submission().is_empty() {
            self.enter_without_waiting();
        }
        let start = sys::monotonic_ns();
        loop {
            for _ in 0..SPIN_LOOKS {
                if self.uring.submission().taskrun() {
                    self.enter_without_waiting();
                }
                if !self.uring.completion().is_empty() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if sys::monotonic_ns() - start >= self.spin_ns {
                return false;
            }
        }
    }

    /// Submits and runs deferred work. An error shows again at the next `enter`, where it is handled.
    fn enter_without_waiting(&mut self) {
        let queued = u32::try_from(self.uring.submission().len()).expect("at most ENTRIES_MAX");
        self.enters += 1;
        // SAFETY: `queued` entries were pushed under the promise of `push`; no argument is passed.
        let _ = unsafe { self.uring.submitter().enter::<libc::sigset_t>(queued, 0, ENTER_GETEVENTS, None) };
    }

    /// Whether all entries pushed so far are with the kernel.
    pub(crate) fn all_submitted(&mut self) -> bool {
        self.backlog.is_empty() && self.uring.submission().is_empty()
    }

    /// The next completion available now.
    pub(crate) fn next_completion(&mut self) -> Option<cqueue::Entry> {
        self.uring.completion().next()
    }

    /// Counts an overflow and fails if a completion was dropped for good. Once a turn, after reaping.
    pub(crate) fn check_overflow(&mut self) -> Result<(), RingError> {
        if self.uring.submission().cq_overflow() {
            self.overflows += 1;
        }
        match self.dropped() {
            0 => Ok(()),
            dropped => Err(RingError::CompletionsLost(dropped)),
        }
    }

    fn dropped(&mut self) -> u32 {
        self.uring.completion().overflow()
    }

    /// Registers the provided receive buffers and keeps them mapped as long as the queue.
    pub(crate) fn register_recv_buffers(&mut self, buffers: &Rc<RecvBuffers>) -> Result<(), RingError> {
        let address = buffers.entries_address();
        let submitter = self.uring.submitter();
        // SAFETY: the entries are mapped, page-aligned and `count` long. This handle keeps them until the owner of
        // the queue has unregistered them with nothing in flight, or leaked another handle.
        let result = setup::with_memory_retries(|| unsafe {
            submitter.register_buf_ring_with_flags(address, buffers.count(), recv_buffers::GROUP, 0)
        });
        result.map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => {
                RingError::TooOld { kernel: kernel_release(), feature: "rings of provided buffers" }
            }
            _ => RingError::from_call("io_uring_register (receive buffers)", error),
        })?;
        self.recv_buffers = Some(Rc::clone(buffers));
        Ok(())
    }

    /// Takes the provided buffers from the kernel. Called when nothing receives any more.
    pub(crate) fn forget_recv_buffers(&mut self) {
        if self.recv_buffers.take().is_some() {
            // It fails only for a group that is not registered.
            let result = self.uring.submitter().unregister_buf_ring(recv_buffers::GROUP);
            debug_assert!(result.is_ok(), "{result:?}");
        }
    }

    /// Makes an empty table of registered buffers.
    pub(crate) fn make_buffer_table(&mut self, slots: u32) -> Result<(), RingError> {
        let result = self.uring.submitter().register_buffers_sparse(slots);
        result.map_err(|error| RingError::from_call("io_uring_register (buffer table)", error))
    }

    /// Fills slots from `slot_first` on with pieces of at most `slot_bytes` of `mapping`. All or nothing.
    ///
    /// # Safety
    /// `mapping` lives until `forget_buffer_table` or until the ring is gone.
    pub(crate) unsafe fn register_mapping(
        &mut self,
        slot_first: u32,
        mapping: &Mapping,
        slot_bytes: usize,
    ) -> Result<(), RingError> {
        let (mut slot, mut offset) = (slot_first, 0);
        while offset < mapping.bytes() {
            let bytes = slot_bytes.min(mapping.bytes() - offset);
            // SAFETY: offset is inside the mapping.
            let start = unsafe { mapping.start().add(offset) };
            let piece = libc::iovec { iov_base: start.as_ptr().cast(), iov_len: bytes };
            // One piece a call: of several, the kernel may take some and not say which it refused.
            // SAFETY: the piece lies inside the mapping; forwarded to the caller for how long.
            let result = unsafe { self.uring.submitter().register_buffers_update(slot, &[piece], None) };
            if let Err(error) = result {
                self.empty_slots(slot_first..slot);
                return Err(RingError::from_call("io_uring_register (buffers)", error));
            }
            offset += bytes;
            slot += 1;
        }
        Ok(())
    }

    fn empty_slots(&mut self, slots: Range<u32>) {
        for slot in slots {
            let nothing = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
            // SAFETY: an empty piece names no memory. Its failure leaves pages pinned, which costs memory only.
            let _ = unsafe { self.uring.submitter().register_buffers_update(slot, &[nothing], None) };
        }
    }

    /// Unpins all registered buffers. Called when no operation uses them any more.
    pub(crate) fn forget_buffer_table(&mut self) {
        // It fails only if there is no table.
        let result = self.uring.submitter().unregister_buffers();
        debug_assert!(result.is_ok(), "{result:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_uring::opcode::Nop;

    fn queue(entries: u32) -> Queue {
        Queue::open(&RingConfig { entries, cq_entries: entries, ..RingConfig::default() }).unwrap()
    }

    fn reap(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.next_completion()).map(|completion| completion.user_data()).collect()
    }

    #[test]
    fn a_full_queue_is_submitted_and_filled_again() {
        let mut queue = queue(4);
        for number in 0..100 {
            // SAFETY: a no-op names no memory.
            unsafe { queue.push(&Nop::new().build().user_data(number)) };
        }
        assert!(queue.enters() >= 24, "{} system calls", queue.enters());
        let mut seen = Vec::new();
        while seen.len() < 100 {
            queue.enter(1).unwrap();
            seen.extend(reap(&mut queue));
            queue.check_overflow().unwrap();
        }
        assert_eq!(seen, (0..100).collect::<Vec<_>>(), "none lost, though the completion queue overflows");
        assert!(queue.overflows() > 0);
    }

    #[test]
    fn entries_the_kernel_refused_go_out_later_in_order() {
        let mut queue = queue(4);
        for number in 0..10 {
            queue.backlog.push_back(Nop::new().build().user_data(number));
        }
        // SAFETY: a no-op names no memory.
        unsafe { queue.push(&Nop::new().build().user_data(10)) };
        assert!(!queue.all_submitted());
        let mut seen = Vec::new();
        while seen.len() < 11 {
            queue.enter(1).unwrap();
            seen.extend(reap(&mut queue));
        }
        assert_eq!(seen, (0..11).collect::<Vec<_>>());
        assert!(queue.all_submitted());
    }

    #[test]
    fn a_turn_with_nothing_to_do_makes_no_system_call() {
        let mut queue = queue(4);
        queue.enter(0).unwrap();
        assert_eq!(queue.enters(), 0);
    }
}
