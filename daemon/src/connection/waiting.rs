//! Which connections wait for which batch of the log.

use std::collections::VecDeque;

use shard::types::BatchNumber;

/// Connections by the batch they wait for, in the order of batches. Few batches are under way at one time.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    batches: VecDeque<(BatchNumber, Vec<(u32, u32)>)>,
    spare: Vec<Vec<(u32, u32)>>,
}

impl Waiting {
    /// A connection waits for a batch.
    #[inline]
    pub(crate) fn add(&mut self, batch: BatchNumber, connection: (u32, u32)) {
        if let Some((last, connections)) = self.batches.back_mut()
            && *last == batch
        {
            connections.push(connection);
            return;
        }
        let position = self.batches.partition_point(|&(other, _)| other < batch);
        if let Some((other, connections)) = self.batches.get_mut(position)
            && *other == batch
        {
            connections.push(connection);
            return;
        }
        let mut connections = self.spare.pop().unwrap_or_default();
        connections.push(connection);
        self.batches.insert(position, (batch, connections));
    }

    /// Moves those whose batch is released to `out`.
    pub(crate) fn take_released(&mut self, released: BatchNumber, out: &mut Vec<(u32, u32)>) {
        while self.batches.front().is_some_and(|&(batch, _)| batch <= released) {
            if let Some((_, mut connections)) = self.batches.pop_front() {
                out.append(&mut connections);
                self.spare.push(connections);
            }
        }
    }
}
