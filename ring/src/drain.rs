//! The end of a ring: cancel what is in flight, wait for the last completions, close.
//!
//! Rule: memory that the kernel may still write is never freed. A ring dropped with operations in flight waits for
//! them; if they do not end in time (a frozen drive), their memory is leaked on purpose.

use std::mem;

use crate::completion::Completion;
use crate::error::RingError;
use crate::limits::DROP_DRAIN_NS;
use crate::ring::Ring;
use crate::sys;

impl Ring {
    /// Cancels all operations and appends their completions to `out` until none is in flight (true) or `deadline_ns`
    /// of [`monotonic_ns`](crate::monotonic_ns) has passed (false; try again or drop the ring). Writes that are
    /// under way finish and report their results. The ring's timer is off afterwards.
    pub fn drain(&mut self, deadline_ns: u64, out: &mut Vec<Completion>) -> Result<bool, RingError> {
        for id in self.operations.ids() {
            self.cancel(id);
        }
        self.set_timer(Some(deadline_ns));
        self.wait_for_all(out)
    }

    /// Turns until nothing is in flight or the timer fires, which is then off.
    fn wait_for_all(&mut self, out: &mut Vec<Completion>) -> Result<bool, RingError> {
        while self.in_flight() > 0 {
            let known = out.len();
            self.turn(1, out)?;
            let new = &out[known..];
            if let Some(place) = new.iter().position(|completion| matches!(completion, Completion::Timer)) {
                out.remove(known + place);
                break;
            }
        }
        self.set_timer(None);
        Ok(self.in_flight() == 0)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.waker.close();
        let deadline = sys::monotonic_ns().saturating_add(DROP_DRAIN_NS);
        let drained = self.in_flight() == 0 || {
            let mut ignored = Vec::new();
            self.drain(deadline, &mut ignored).unwrap_or(false)
        };
        if drained {
            self.queue.forget_recv_buffers();
            if self.registered.has_table() {
                self.queue.forget_buffer_table();
            }
            return;
        }
        tracing::error!(
            operations = self.in_flight(),
            "operations did not end before their ring was closed; their memory is leaked to keep it safe"
        );
        mem::forget(mem::take(&mut self.operations));
        mem::forget(self.recv_buffers.take());
        mem::forget(mem::take(&mut self.registered));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blocks, Fd, HugePages, RingConfig};

    #[test]
    fn drain_gives_up_at_its_deadline_and_succeeds_later() {
        let mut ring = Ring::new(&RingConfig::default()).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let pipe = Fd::from(std::os::fd::OwnedFd::from(reader));
        ring.read_at(&pipe, Blocks::zeroed(4096, HugePages::No).unwrap(), 1, 0, 1);
        ring.submit_and_wait(false, &mut Vec::new()).unwrap();
        // Without a cancel the read stands for one that the kernel cannot cancel.
        let mut out = Vec::new();
        ring.set_timer(Some(sys::monotonic_ns() + 5_000_000));
        assert!(!ring.wait_for_all(&mut out).unwrap());
        assert!(out.is_empty(), "{out:?}");
        drop(writer);
        assert!(ring.drain(sys::monotonic_ns() + DROP_DRAIN_NS, &mut out).unwrap());
        assert!(matches!(out[..], [Completion::Read { .. }]), "{out:?}");
    }
}
