//! Where a reply goes that was made here: to the output, or behind earlier ones that are still missing; and what it waits
//! for.

use engine::worker::Worker;
use resp::ReplyWriter;
use shard::types::BatchNumber;

use super::connection::Client;
use super::core::Core;
use super::limits::KEPT_BUFFER_BYTES;
use super::reply_slots::SlotBytes;
use super::service::Service;

impl Core {
    /// Writes a reply that waits for nothing.
    pub(crate) fn answer(
        &mut self,
        worker: &Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        write: impl FnOnce(&mut Self, ReplyWriter<'_>),
    ) {
        let protocol = client.session.protocol;
        if client.slots.is_empty() {
            write(self, ReplyWriter::new(client.output.bytes_mut(), protocol));
        } else {
            let mut out = std::mem::take(&mut self.scratch);
            write(self, ReplyWriter::new(&mut out, protocol));
            self.scratch = out;
            self.written(worker, client, me, 0, BatchNumber::ZERO);
        }
    }

    /// A reply was written: to the output from `start` on, or to the scratch buffer when earlier ones are missing.
    #[inline]
    pub(super) fn written(
        &mut self,
        worker: &Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        start: usize,
        barrier: BatchNumber,
    ) {
        if client.slots.is_empty() {
            if barrier > worker.shards.released() && client.output.wait_from(start, barrier) {
                self.waiting.add(barrier, me);
            }
            return;
        }
        if !self.scratch.is_empty() {
            client.slots.push_ready(SlotBytes::from_slice(&self.scratch), barrier);
            self.scratch.clear();
            self.scratch.shrink_to(KEPT_BUFFER_BYTES);
        }
    }

    /// Moves the longest finished prefix of replies to the output.
    pub(crate) fn drain_slots(&mut self, worker: &Worker<Service>, client: &mut Client, me: (u32, u32)) {
        while let Some((bytes, barrier)) = client.slots.pop_ready() {
            if client.drops_replies {
                continue;
            }
            let start = client.output.appended_len();
            client.output.bytes_mut().extend_from_slice(&bytes);
            if barrier > worker.shards.released() && client.output.wait_from(start, barrier) {
                self.waiting.add(barrier, me);
            }
        }
        if client.slots.is_empty() {
            client.blocked = client.changing.is_some();
            client.drops_replies = false;
        }
    }
}
