//! Requests that start: which connection the next one takes, and the second halves of read-modify-writes.

use super::{Worker, index};
use crate::connection::{Connection, Outstanding};
use crate::operations::Verb;
use crate::phase::PhasePace;
use crate::phase_run::PhaseRun;

impl Worker {
    /// Writes the requests that may start now.
    pub(super) fn generate(&mut self, run: &mut PhaseRun, now: u64) {
        if run.ended {
            return;
        }
        if now >= run.phase.window_end_ns && !matches!(run.phase.pace, PhasePace::Open(_)) {
            run.end(now);
            return;
        }
        self.is_blocked = false;
        loop {
            let Some(number) = self.next_connection(run) else {
                run.note_full(now);
                break;
            };
            let connection = &mut self.connections[index(number)];
            let Some(intended_ns) = run.next_start(now) else { break };
            run.has_begun = true;
            let measured = intended_ns >= run.phase.window_start_ns;
            if measured && !run.phase.budget.take() {
                run.end(now);
                break;
            }
            if connection.out.capacity() == 0 {
                connection.out = self.spare_buffers.pop().unwrap_or_default();
            }
            let Some(written) = self.generator.write_next(&mut connection.out, &mut connection.walks) else {
                run.end(now);
                break;
            };
            if measured {
                run.note_start(intended_ns, now);
            }
            connection.push(Outstanding::new(written.operation, written.key, intended_ns, measured));
            self.in_flight += 1;
            if !std::mem::replace(&mut connection.dirty, true) {
                self.dirty.push(number);
            }
            // An open loop spreads requests over the connections in turn; a closed one fills each.
            if matches!(run.phase.pace, PhasePace::Open(_)) && self.available.front() == Some(&number) {
                self.available.rotate_left(1);
            }
        }
    }

    /// A connection with room for the next request. Recorded requests have one of their own: while that is full, all
    /// wait, so that the order is kept.
    fn next_connection(&mut self, run: &PhaseRun) -> Option<u32> {
        let has_room = |connection: &Connection| connection.in_flight() < run.phase.pipeline;
        let count = self.connections.len();
        if let Some(wanted) = self.generator.pinned_connection(count) {
            // The requests of a broken connection go to the next one that lives.
            let number = (0..count)
                .map(|step| (wanted + step) % count)
                .find(|&number| self.connections[number].alive)?;
            self.is_blocked = !has_room(&self.connections[number]);
            return (!self.is_blocked).then(|| u32::try_from(number).expect("connections are bounded"));
        }
        while let Some(&number) = self.available.front() {
            let connection = &mut self.connections[index(number)];
            if connection.alive && has_room(connection) {
                return Some(number);
            }
            connection.queued = false;
            self.available.pop_front();
        }
        None
    }

    /// The writes of read-modify-writes follow their reads at once, on the same connection.
    pub(super) fn write_second_halves(&mut self, number: u32) {
        if self.second_halves.is_empty() {
            return;
        }
        let operation = self.operations.of(Verb::RmwWrite);
        let connection = &mut self.connections[index(number)];
        for read in self.second_halves.drain(..) {
            if connection.out.capacity() == 0 {
                connection.out = self.spare_buffers.pop().unwrap_or_default();
            }
            self.generator.write_second_half(&mut connection.out, read.key);
            connection.push(Outstanding { operation, begun_ns: read.sent_ns, ..read });
            self.in_flight += 1;
        }
        if !std::mem::replace(&mut connection.dirty, true) {
            self.dirty.push(number);
        }
    }
}
