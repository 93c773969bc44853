//! What comes from the server: replies, and the ends of connections.

use ring::{Received, Ring, Token};

use super::{Worker, connection_number, index};
use crate::connection::Outstanding;
use crate::error_counts::kind;
use crate::number::bytes;
use crate::operations::Verb;
use crate::phase_run::PhaseRun;
use crate::verify_share::Sampler;
use crate::walk::next_cursor;

impl Worker {
    pub(super) fn received(
        &mut self,
        run: &mut PhaseRun,
        token: Token,
        result: std::io::Result<Received>,
        more: bool,
        now: u64,
    ) {
        let number = connection_number(token);
        if !self.connections[index(number)].alive {
            return;
        }
        match result {
            Ok(Received::Data(buffer)) => self.settle(run, number, &buffer, now),
            Ok(Received::NoBuffers) => {}
            Ok(Received::Closed) => {
                self.fail(run, number, kind::CONNECTION_LOST, "the server closed the connection");
            }
            Err(error) => self.fail(run, number, kind::CONNECTION_LOST, &error.to_string()),
        }
        let connection = &self.connections[index(number)];
        if !more && connection.alive {
            self.ring.recv(&connection.socket, token);
        }
    }

    fn settle(&mut self, run: &mut PhaseRun, number: u32, received: &[u8], now: u64) {
        if run.is_in_window(now) {
            run.tally.bytes_received += bytes(received.len());
        }
        let connection = &mut self.connections[index(number)];
        let mut tls = connection.tls.take();
        let received = match tls.as_mut().map(|tls| tls.decrypt(received)) {
            None => received,
            Some(Ok(plain)) => plain,
            Some(Err(error)) => return self.fail(run, number, kind::PROTOCOL, &format!("TLS: {error}")),
        };
        let connection = &mut self.connections[index(number)];
        let before = connection.in_flight();
        let (operations, frontier, second_halves) =
            (&self.operations, &self.frontier, &mut self.second_halves);
        let (sampler, mut walks) = (&mut self.sampler, std::mem::take(&mut connection.walks));
        let outcome = connection.receive(received, |request, head, input| {
            if let Some(frontier) = frontier
                && operations.get(request.operation).verb == Verb::Insert
            {
                frontier.acknowledge(request.key);
            }
            if operations.get(request.operation).verb == Verb::Walk {
                // A walk that is over, or was answered with an error, begins again: 0 need not be kept.
                walks.extend(next_cursor(input).filter(|&cursor| cursor != 0));
            }
            if sampler.as_mut().is_some_and(Sampler::takes) {
                run.verify(&request, head, input);
            }
            let goes_on = if request.measured {
                run.count(request, head, input, now)
            } else {
                run.count_of_warm_up(&request, head, now)
            };
            if goes_on {
                second_halves.push(request);
            }
        });
        connection.walks = walks;
        self.in_flight -= before - connection.in_flight();
        let speaks = tls.as_ref().is_some_and(|tls| tls.wants_write());
        connection.tls = tls;
        if speaks && !std::mem::replace(&mut connection.dirty, true) {
            self.dirty.push(number);
        }
        self.write_second_halves(number);
        let connection = &mut self.connections[index(number)];
        if let Err(fault) = outcome {
            self.fail(run, number, kind::PROTOCOL, &fault.text());
        } else if !std::mem::replace(&mut connection.queued, true) {
            self.available.push_back(number);
        }
    }

    /// Gives a connection up: what was in flight on it is counted as failed.
    pub(super) fn fail(&mut self, run: &mut PhaseRun, number: u32, error_kind: &str, text: &str) {
        let connection = &mut self.connections[index(number)];
        let lost = connection.fail();
        self.in_flight -= lost.len();
        self.alive -= 1;
        Ring::shutdown_socket(&connection.socket);
        if let Some(frontier) = &self.frontier {
            let inserts =
                |request: &&Outstanding| self.operations.get(request.operation).verb == Verb::Insert;
            lost.iter().filter(inserts).for_each(|request| frontier.acknowledge(request.key));
        }
        let measured = lost.iter().filter(|request| request.measured).count();
        // A connection that breaks with nothing in flight is an error too, or nobody would learn of it.
        let count = bytes(measured.max(1));
        run.interval.errors += count;
        run.tally.errors.record(error_kind, text.as_bytes(), count);
    }
}
