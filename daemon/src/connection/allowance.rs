//! How much this worker answers a connection of another worker before it is asked for more.
//!
//! How large a reply is shows only when it is made, and a client may have asked for many and read none. So the owner
//! of the keys stops by itself: when it has made [`REMOTE_REPLY_BYTES`] for a connection, later commands of that
//! connection stay here, unrun and in their order, and its worker is told. That worker asks for the next ones when the
//! client has read what it has. Commands of other connections go on meanwhile, and what stays here holds no place in
//! the ring between the workers.

use std::collections::{BTreeMap, VecDeque};

use super::limits::{REMOTE_REPLY_BYTES, SMALL_REPLY_BYTES};
use super::message::{Address, Requests, Task};
use crate::commands::Command;

/// Commands of one connection that wait.
#[derive(Debug, Default)]
struct Deferred {
    commands: VecDeque<Requests>,
    /// Of those, so many were asked for since the allowance was last given, and did not get their turn.
    passed_over: usize,
}

/// What becomes of asking for the next command.
#[derive(Debug)]
pub(crate) enum NextCommand {
    /// It is to run now.
    Run(Requests),
    /// The ones before it have used the allowance up: its reply has to be asked for again.
    Later(Address),
    /// There is none: its connection was forgotten.
    None,
}

/// What connections of one other worker may still get.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    /// Bytes made since the connection last had room, by its number.
    made: Vec<u32>,
    deferred: BTreeMap<(u32, u32), Deferred>,
}

impl Allowance {
    /// Whether a command may run at once.
    #[inline]
    pub(crate) fn admits(&self, address: &Address) -> bool {
        let key = (address.connection, address.generation);
        !self.is_used_up(address.connection)
            && (self.deferred.is_empty() || !self.deferred.contains_key(&key))
    }

    #[inline]
    fn is_used_up(&self, connection: u32) -> bool {
        self.made.get(connection as usize).is_some_and(|&made| made as usize > REMOTE_REPLY_BYTES)
    }

    /// A reply of this size was made.
    #[inline]
    pub(crate) fn note_made(&mut self, connection: u32, bytes: usize) {
        if bytes <= SMALL_REPLY_BYTES {
            return;
        }
        let at = connection as usize;
        if at >= self.made.len() {
            self.made.resize(at + 1, 0);
        }
        self.made[at] = self.made[at].saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// A command waits until it is asked for.
    pub(crate) fn defer(&mut self, address: &Address, command: Requests) {
        let key = (address.connection, address.generation);
        self.deferred.entry(key).or_default().commands.push_back(command);
    }

    /// The connection asks for its next command. `has_room`: it has read what it was sent, so it is allowed as much
    /// again; without, this is one more of the same request.
    pub(crate) fn next(&mut self, address: &Address, has_room: bool) -> NextCommand {
        let key = (address.connection, address.generation);
        if has_room && let Some(made) = self.made.get_mut(address.connection as usize) {
            *made = 0;
        }
        let used_up = self.is_used_up(address.connection);
        let Some(deferred) = self.deferred.get_mut(&key) else { return NextCommand::None };
        if has_room {
            deferred.passed_over = 0;
        }
        if used_up || deferred.passed_over > 0 {
            deferred.passed_over += 1;
            let Some(waiting) = deferred.commands.get(deferred.passed_over - 1) else {
                unreachable!("each command is asked for once")
            };
            return NextCommand::Later(waiting.commands[0].address);
        }
        let Some(command) = deferred.commands.pop_front() else {
            unreachable!("an empty queue is taken out")
        };
        if deferred.commands.is_empty() {
            self.deferred.remove(&key);
        }
        NextCommand::Run(command)
    }

    /// The connection is gone: what it asked for is not run. Returns what that was.
    pub(crate) fn forget(&mut self, address: &Address) -> impl Iterator<Item = &'static Command> + use<> {
        let gone = self.deferred.remove(&(address.connection, address.generation));
        let commands = gone.into_iter().flat_map(|deferred| deferred.commands);
        commands.filter_map(|requests| match requests.commands.first().map(|request| request.task) {
            Some(Task::Run(command)) => Some(command),
            _ => None,
        })
    }

    /// Whether no command waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.deferred.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::lookup_command;
    use crate::connection::outbox::address;
    use resp::Protocol;
    use shard::types::Db;

    fn command(to: Address) -> Requests {
        let mut requests = Requests::default();
        let command = lookup_command(b"get").unwrap();
        let args = [&b"GET"[..], b"key"].into_iter();
        requests.push(to, command, (Db(0), Protocol::Resp2), false, args);
        requests
    }

    fn slots(allowance: &mut Allowance, to: &Address, count: usize, bytes: usize) -> Vec<Result<u64, u64>> {
        let asked = (0..count).map(|at| match allowance.next(to, at == 0) {
            NextCommand::Run(requests) => {
                allowance.note_made(to.connection, bytes);
                Ok(requests.commands[0].address.slot)
            }
            NextCommand::Later(address) => Err(address.slot),
            NextCommand::None => Err(u64::MAX),
        });
        asked.collect()
    }

    #[test]
    fn a_connection_gets_its_allowance_and_one_reply_and_then_what_it_asks_for_in_order() {
        let mut allowance = Allowance::default();
        let (slow, other) = (address((3, 7), 0, 0), address((4, 1), 0, 0));
        allowance.note_made(3, SMALL_REPLY_BYTES);
        allowance.note_made(3, REMOTE_REPLY_BYTES);
        assert!(allowance.admits(&slow), "as much as it may have");
        allowance.note_made(3, SMALL_REPLY_BYTES + 1);
        assert!(!allowance.admits(&slow) && allowance.admits(&other));
        for slot in 0..6 {
            let to = Address { slot, ..slow };
            allowance.defer(&to, command(to));
        }
        let half = REMOTE_REPLY_BYTES / 2 + 1;
        assert_eq!(slots(&mut allowance, &slow, 4, half), [Ok(0), Ok(1), Err(2), Err(3)]);
        assert!(!allowance.admits(&slow), "later ones go behind those that wait");
        assert_eq!(slots(&mut allowance, &slow, 4, 10), [Ok(2), Ok(3), Ok(4), Ok(5)]);
        assert!(allowance.admits(&slow) && allowance.is_empty());
    }

    #[test]
    fn a_connection_that_is_gone_leaves_nothing_behind() {
        let mut allowance = Allowance::default();
        let gone = address((0, 1), 0, 0);
        allowance.defer(&gone, command(gone));
        allowance.forget(&address((0, 2), 0, 0)).for_each(drop);
        assert!(!allowance.is_empty(), "another generation of the number");
        allowance.forget(&gone).for_each(drop);
        assert!(allowance.is_empty());
        assert_eq!(slots(&mut allowance, &gone, 1, 0), [Err(u64::MAX)]);
    }
}
