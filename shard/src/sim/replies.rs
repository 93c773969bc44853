//! Replies that wait until what they say is durable.

use std::collections::VecDeque;

use crate::types::{BatchNumber, Lsn, ShardId};

/// A reply that waits for its batch.
pub(super) struct Reply {
    pub(super) barrier: BatchNumber,
    /// What it acknowledges or reveals.
    pub(super) tells: Vec<(ShardId, Lsn)>,
    /// Whether it promises that this survives power loss.
    pub(super) strict: bool,
}

/// The replies of one worker that wait. Batches become durable far less often than operations are made, so those that
/// have been looked at are looked at again only when the worker has released more.
#[derive(Default)]
pub(super) struct Replies {
    waiting: VecDeque<Reply>,
    looked_at: usize,
    released: BatchNumber,
}

impl Replies {
    pub(super) fn push(&mut self, reply: Reply) {
        self.waiting.push_back(reply);
    }

    /// The one that was pushed last, unless it has gone out.
    pub(super) fn last_mut(&mut self) -> Option<&mut Reply> {
        self.looked_at = self.looked_at.min(self.waiting.len().saturating_sub(1));
        self.waiting.back_mut()
    }

    /// Sends those whose batch the worker has released: hands each to `send`.
    pub(super) fn deliver(&mut self, released: BatchNumber, mut send: impl FnMut(&Reply)) {
        if self.released != released {
            (self.released, self.looked_at) = (released, 0);
        }
        let new = self.waiting.split_off(self.looked_at);
        for reply in new {
            if reply.barrier <= released {
                send(&reply);
            } else {
                self.waiting.push_back(reply);
            }
        }
        self.looked_at = self.waiting.len();
    }
}
