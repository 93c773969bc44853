//! Replies to other workers that wait for this worker's log. They are pushed when their batch is durable, so a reply
//! that crosses cores needs no watermark of another worker.

use shard::types::BatchNumber;

use super::message::Replies;

/// Replies by the worker they go to and the batch they wait for.
#[derive(Debug, Default)]
pub(crate) struct HeldReplies {
    held: Vec<(usize, BatchNumber, Box<Replies>)>,
    #[expect(clippy::vec_box, reason = "what travels between workers is the box")]
    spare: Vec<Box<Replies>>,
    /// Bytes of memory of those.
    spare_bytes: usize,
}

impl HeldReplies {
    /// The message for `worker` that waits for `batch` (`ZERO`: for nothing).
    pub(crate) fn message(&mut self, worker: usize, batch: BatchNumber) -> &mut Replies {
        let position = self.held.iter().position(|&(to, barrier, _)| to == worker && barrier == batch);
        let position = position.unwrap_or_else(|| {
            let fresh = self.spare.pop().unwrap_or_default();
            self.spare_bytes -= fresh.memory_bytes();
            self.held.push((worker, batch, fresh));
            self.held.len() - 1
        });
        &mut self.held[position].2
    }

    /// The next message that may leave.
    pub(crate) fn pop(&mut self, durable: BatchNumber) -> Option<(usize, Box<Replies>)> {
        let position = self.held.iter().position(|&(_, batch, _)| batch <= durable)?;
        let (worker, _, replies) = self.held.remove(position);
        Some((worker, replies))
    }

    /// Takes a message back for reuse.
    pub(crate) fn recycle(&mut self, mut replies: Box<Replies>) {
        replies.clear();
        let bytes = replies.memory_bytes();
        if self.spare_bytes + bytes <= super::limits::KEPT_MESSAGES_BYTES_MAX {
            self.spare_bytes += bytes;
            self.spare.push(replies);
        }
    }

    /// Bytes of memory of messages that wait for their next use.
    pub(crate) const fn spare_bytes(&self) -> usize {
        self.spare_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}
