//! One turn of the ring: submit everything, wait, hand out every completion there is.
//!
//! Rule: one system call a turn. Each completion is matched to its operation by index and generation; the last one of
//! an operation frees its slot and returns what it owned. Interrupted operations and short sends go on from here
//! without the caller's help.

use std::io;

use io_uring::cqueue;

use crate::completion::{Completion, OperationId, Received};
use crate::error::RingError;
use crate::fd::Fd;
use crate::limits::TRANSIENT_RETRIES_MAX;
use crate::operation::{Operation, byte_count, is_transient};
use crate::ring::{MultishotRecv, Ring};
use crate::sys;
use crate::user_data::UserData;

/// What the kernel says at one completion.
#[derive(Clone, Copy)]
struct Outcome {
    result: i32,
    flags: u32,
}

impl Outcome {
    fn more(self) -> bool {
        cqueue::more(self.flags)
    }
}

impl Ring {
    /// Submits what is queued and appends all available completions to `out`. With `wait`, does not return before at
    /// least one is appended. An error is final for the ring: what is in flight is unknown.
    pub fn submit_and_wait(&mut self, wait: bool, out: &mut Vec<Completion>) -> Result<(), RingError> {
        self.submit_and_wait_for(u32::from(wait), out)
    }

    /// As [`submit_and_wait`](Self::submit_and_wait) with `wait`, but sends that end at once do not end the wait: their
    /// completions come with the next event. Saves a system call per turn to a caller that wants nothing of them but
    /// their buffers. A send that has to wait for room ends the wait when it is done, as ever.
    pub fn submit_and_wait_past_sends(&mut self, out: &mut Vec<Completion>) -> Result<(), RingError> {
        let sends = self.instant_sends;
        self.submit_and_wait_for(1 + sends, out)
    }

    fn submit_and_wait_for(&mut self, want: u32, out: &mut Vec<Completion>) -> Result<(), RingError> {
        let wait = want > 0;
        let known = out.len();
        loop {
            if !self.watching {
                self.watch_counter();
            }
            if self.woken_by_self {
                self.woken_by_self = false;
                self.report_woken(out);
            }
            self.turn(if out.len() == known { want } else { 0 }, out)?;
            if !wait || out.len() > known {
                return Ok(());
            }
        }
    }

    /// One system call and its completions; may bring nothing for the caller.
    pub(crate) fn turn(&mut self, want: u32, out: &mut Vec<Completion>) -> Result<(), RingError> {
        if let Some(entry) = self.timer.next_entry() {
            // SAFETY: the time named by the entry is owned by the ring; the kernel reads it at submission only.
            unsafe { self.queue.push(&entry) };
        }
        self.queue.enter(want)?;
        if !self.held.is_empty() && self.queue.all_submitted() {
            self.held.clear();
        }
        self.instant_sends = 0;
        self.reap(out);
        self.queue.check_overflow()?;
        self.repeat_unfinished();
        Ok(())
    }

    fn watch_counter(&mut self) {
        // SAFETY: the entry names no memory.
        unsafe { self.queue.push(&self.waker.watch_entry()) };
        self.watching = true;
    }

    fn report_woken(&mut self, out: &mut Vec<Completion>) {
        if self.waker.end() {
            out.push(Completion::Woken);
        }
    }

    fn reap(&mut self, out: &mut Vec<Completion>) {
        // The iterator holds the queue, and finishing an operation needs the rest of the ring: take one at a time.
        while let Some(completion) = self.queue.next_completion() {
            self.counters.completions += 1;
            let outcome = Outcome { result: completion.result(), flags: completion.flags() };
            match UserData::decode(completion.user_data()) {
                UserData::Operation(id) => self.finish(id, outcome, out),
                UserData::Woken => self.report_woken(out),
                UserData::Event => {
                    self.watching &= outcome.more();
                    self.report_woken(out);
                }
                UserData::Timer => {
                    if self.timer.fired(sys::monotonic_ns()) {
                        out.push(Completion::Timer);
                    }
                }
                UserData::Message(ring) => self.message_failed(ring, outcome.result),
                UserData::Ignored => {}
            }
        }
    }

    pub(crate) fn message_failed(&mut self, ring: u32, result: i32) {
        if result == -libc::EINVAL || result == -libc::EOPNOTSUPP {
            self.messages_work = false;
        }
        if let Some(peer) = self.peers.find(ring) {
            peer.count();
        }
    }

    /// Handles one completion of a caller's operation.
    fn finish(&mut self, id: OperationId, outcome: Outcome, out: &mut Vec<Completion>) {
        let live = self.operations.live(id);
        let token = live.token;
        match live.operation {
            Operation::Recv { .. } => self.finish_recv(id, outcome, out),
            Operation::Accept { .. } => {
                if !outcome.more() && self.repeat_if_transient(id, outcome.result) {
                    return;
                }
                let more = outcome.more();
                // SAFETY: a result that is not negative is a descriptor the kernel has just opened for us.
                let adopt = |_| Fd::from_blocking(unsafe { sys::adopt(outcome.result) });
                let result = byte_count(outcome.result).map(adopt);
                if !more {
                    drop(self.operations.remove(id));
                }
                out.push(Completion::Accepted { token, result, more });
            }
            Operation::Send { socket, bytes, sent, instant }
                if outcome.result >= 0 || (*instant && outcome.result == -libc::EAGAIN) =>
            {
                // Negative: the socket had no room at all.
                *sent += usize::try_from(outcome.result).unwrap_or(0);
                assert!(*sent <= bytes.len(), "the kernel sends what it was given");
                let unfinished = *sent < bytes.len();
                let goes_on = outcome.result != 0 && !live.cancelled && !socket.is_cancelled();
                if unfinished && goes_on {
                    *instant = false;
                    self.repeats.push(id);
                    return;
                }
                let result = if unfinished { -libc::ECANCELED } else { outcome.result };
                out.push(self.operations.remove(id).into_completion(token, result));
            }
            _ => {
                if self.repeat_if_transient(id, outcome.result) {
                    return;
                }
                out.push(self.operations.remove(id).into_completion(token, outcome.result));
            }
        }
    }

    fn finish_recv(&mut self, id: OperationId, outcome: Outcome, out: &mut Vec<Completion>) {
        let token = self.operations.live(id).token;
        let more = outcome.more();
        let buffers = self.recv_buffers.as_ref().expect("receives need receive buffers");
        let picked = cqueue::buffer_select(outcome.flags);
        let result = match (outcome.result, picked) {
            (bytes @ 1.., Some(buffer)) => Ok(Received::Data(buffers.lend(buffer, bytes.unsigned_abs()))),
            (1.., None) => unreachable!("bytes come in one of the provided buffers"),
            (unfilled, picked) => {
                if let Some(buffer) = picked {
                    buffers.reclaim(buffer);
                }
                match -unfilled {
                    0 => Ok(Received::Closed),
                    libc::ENOBUFS => {
                        self.counters.starved_receives += 1;
                        Ok(Received::NoBuffers)
                    }
                    libc::EINVAL if self.multishot_recv == MultishotRecv::Untried => {
                        // Linux before 6.0: receive piece by piece, the caller arms each.
                        self.multishot_recv = MultishotRecv::Missing;
                        self.repeats.push(id);
                        return;
                    }
                    errno => Err(io::Error::from_raw_os_error(errno)),
                }
            }
        };
        if more {
            self.multishot_recv = MultishotRecv::Works;
        } else {
            if self.repeat_if_transient(id, outcome.result) {
                return;
            }
            drop(self.operations.remove(id));
        }
        out.push(Completion::Received { token, result, more });
    }

    /// Notes an operation for repetition if the kernel did nothing and may do it next time.
    fn repeat_if_transient(&mut self, id: OperationId, result: i32) -> bool {
        let live = self.operations.live(id);
        if !is_transient(result) || *live.retries >= TRANSIENT_RETRIES_MAX {
            return false;
        }
        if live.cancelled || live.operation.socket_cancelled() {
            return false;
        }
        *live.retries += 1;
        self.repeats.push(id);
        true
    }

    fn repeat_unfinished(&mut self) {
        for index in 0..self.repeats.len() {
            self.submit(self.repeats[index]);
        }
        self.repeats.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::RingConfig;

    #[test]
    fn without_multishot_receive_each_piece_is_armed_by_the_caller() {
        let mut ring = Ring::new(&RingConfig::default()).unwrap();
        ring.multishot_recv = MultishotRecv::Missing;
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = Fd::from(ours);
        for round in 0..3u8 {
            ring.recv(&socket, 1);
            theirs.write_all(&[round]).unwrap();
            let mut out = Vec::new();
            ring.submit_and_wait(true, &mut out).unwrap();
            match &out[..] {
                [Completion::Received { result: Ok(Received::Data(bytes)), more: false, .. }] => {
                    assert_eq!(bytes[..], [round]);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ring.in_flight(), 0);
    }

    #[test]
    fn a_wait_past_sends_ends_with_the_next_event_and_never_hangs_on_a_full_socket() {
        let mut ring = Ring::new(&RingConfig::default()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut far, near) = UnixStream::pair().unwrap();
        let (full, other) = (Fd::from(ours), Fd::from(near));
        ring.recv(&other, 1);
        ring.send(&other, b"quick".to_vec(), 2);
        far.write_all(b"x").unwrap();
        let mut out = Vec::new();
        ring.submit_and_wait_past_sends(&mut out).unwrap();
        assert_eq!(out.len(), 2, "the send and the event: {out:?}");
        out.clear();
        // More than the socket takes: the first attempt ends short, the rest waits for room that nobody makes.
        ring.send(&full, vec![7; 16 << 20], 3);
        far.write_all(b"y").unwrap();
        while !out.iter().any(|completion| matches!(completion, Completion::Received { .. })) {
            ring.submit_and_wait_past_sends(&mut out).unwrap();
        }
        assert!(!out.iter().any(|completion| matches!(completion, Completion::Sent { token: 3, .. })));
        drop(theirs);
        out.clear();
        ring.submit_and_wait_past_sends(&mut out).unwrap();
        assert!(matches!(&out[..], [Completion::Sent { token: 3, result: Err(_), .. }]), "{out:?}");
    }

    #[test]
    fn interrupted_operations_are_repeated_a_bounded_number_of_times() {
        let mut ring = Ring::new(&RingConfig::default()).unwrap();
        let file = Fd::from(tempfile::tempfile().unwrap());
        let id = ring.operations.insert(7, Operation::Sync { file, data_only: true });
        let interrupted = Outcome { result: -libc::EINTR, flags: 0 };
        let mut out = Vec::new();
        for _ in 0..TRANSIENT_RETRIES_MAX {
            ring.finish(id, interrupted, &mut out);
            assert!(out.is_empty());
            assert_eq!(ring.repeats.drain(..).collect::<Vec<_>>(), [id]);
        }
        ring.finish(id, interrupted, &mut out);
        assert!(matches!(&out[..], [Completion::Synced { token: 7, result: Err(_) }]), "{out:?}");
        assert_eq!((ring.in_flight(), ring.repeats.len()), (0, 0));
    }

    #[test]
    fn a_short_send_of_a_cancelled_socket_is_not_continued() {
        let mut ring = Ring::new(&RingConfig::default()).unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let socket = Fd::from(ours);
        let send = Operation::Send { socket: socket.clone(), bytes: vec![1; 10], sent: 0, instant: false };
        let id = ring.operations.insert(7, send);
        let mut out = Vec::new();
        let short = Outcome { result: 4, flags: 0 };
        ring.finish(id, short, &mut out);
        assert_eq!(ring.repeats.drain(..).collect::<Vec<_>>(), [id], "4 of 10 bytes: goes on");
        ring.cancel_all_of(&socket);
        ring.finish(id, short, &mut out);
        match &out[..] {
            [Completion::Sent { result: Err(error), buffer, .. }] => {
                assert_eq!((error.raw_os_error(), buffer.len()), (Some(libc::ECANCELED), 10));
            }
            other => panic!("{other:?}"),
        }
    }
}
