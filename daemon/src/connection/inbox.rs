//! What another worker has asked and this one has not done yet.
//!
//! A write that has to wait for the drive is put aside, so that what other connections ask goes on: a read of theirs is
//! answered however long the drive takes. The commands of one connection stay in their order: behind one that was put aside
//! all of them are. What is aside counts as under way until it is answered, which bounds it as it bounds messages.

use std::collections::{HashMap, VecDeque};

use super::allowance::Allowance;
use super::message::{RemoteCommand, Requests, Task};

/// Requests of one other worker.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) messages: VecDeque<Box<Requests>>,
    /// Commands of the first message that have run, or were put aside.
    pub(super) next: usize,
    /// What waits for the drive.
    pub(super) aside: Aside,
    /// What its connections may still get.
    pub(super) allowance: Allowance,
}

impl Inbox {
    /// Whether nothing in it is left to do.
    pub(super) fn is_empty(&self) -> bool {
        self.is_done() && self.allowance.is_empty()
    }

    /// Whether all that has come was done, or is put off until it is asked for.
    pub(super) fn is_done(&self) -> bool {
        self.messages.is_empty() && self.aside.requests.is_empty()
    }

    /// Whether there is something to do that waits for nothing.
    pub(super) fn has_work(&self) -> bool {
        !self.messages.is_empty() || self.aside.may_go_on()
    }
}

/// Requests that wait for the drive, and those behind them, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Aside {
    requests: VecDeque<Requests>,
    /// How many of each connection there are.
    counts: HashMap<(u32, u32), usize>,
    /// The first one has to wait, as far as is known.
    waits: bool,
}

const fn connection_of(request: &RemoteCommand) -> (u32, u32) {
    (request.address.connection, request.address.generation)
}

impl Aside {
    /// Whether a request that has just come has to keep its place behind one that is here.
    #[inline]
    pub(super) fn is_behind(&self, request: &RemoteCommand) -> bool {
        if self.requests.is_empty() {
            return false;
        }
        match request.task {
            // Done when they came.
            Task::Settle(_) | Task::Publish { .. } | Task::Invalidate | Task::Show => false,
            // Not told by its address: whose it is.
            Task::Hold(_) => true,
            Task::Run(_) | Task::Next { .. } | Task::Forget => {
                self.counts.contains_key(&connection_of(request))
            }
        }
    }

    /// Takes a request out of its message.
    pub(super) fn put(&mut self, requests: &Requests, request: &RemoteCommand) {
        self.waits |= self.requests.is_empty();
        *self.counts.entry(connection_of(request)).or_default() += 1;
        self.requests.push_back(requests.copy(request));
    }

    /// The first one, to see whether it can go on: it goes back, or is done and then ended.
    pub(super) fn take_first(&mut self) -> Option<Requests> {
        let first = self.requests.pop_front();
        self.waits = false;
        first
    }

    /// The first one still has to wait.
    pub(super) fn put_back(&mut self, first: Requests) {
        self.waits = true;
        self.requests.push_front(first);
    }

    /// The one that was taken is done.
    pub(super) fn end(&mut self, request: &RemoteCommand) {
        let key = connection_of(request);
        let count = self.counts.get_mut(&key).expect("each that is here was counted");
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&key);
        }
    }

    fn may_go_on(&self) -> bool {
        !self.waits && !self.requests.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::request;
    use super::*;

    fn of(connection: u32, words: &[&str]) -> Box<Requests> {
        let mut requests = request(words);
        requests.commands[0].address.connection = connection;
        requests
    }

    #[test]
    fn behind_a_request_put_aside_its_connection_keeps_its_order_and_others_go_on() {
        let mut aside = Aside::default();
        let (write, read) = (of(1, &["SET", "key", "value"]), of(1, &["GET", "key"]));
        let other = of(2, &["GET", "key"]);
        assert!(!aside.is_behind(&read.commands[0]), "nothing is here");
        aside.put(&write, &write.commands[0]);
        assert!(aside.is_behind(&read.commands[0]) && !aside.is_behind(&other.commands[0]));
        aside.put(&read, &read.commands[0]);
        assert!(!aside.may_go_on(), "the first one has to wait, it was said");

        let first = aside.take_first().unwrap();
        assert_eq!(
            first.args(&first.commands[0]).iter().collect::<Vec<_>>(),
            [&b"SET"[..], b"key", b"value"]
        );
        assert_eq!(first.commands[0].address, write.commands[0].address, "it is answered as it was asked");
        aside.put_back(first);
        assert!(!aside.may_go_on());

        for words in [write, read] {
            let next = aside.take_first().unwrap();
            assert!(next.args(&next.commands[0]).iter().eq(words.args(&words.commands[0]).iter()));
            aside.end(&next.commands[0]);
        }
        assert!(aside.take_first().is_none());
        assert!(!aside.is_behind(&other.commands[0]) && aside.counts.is_empty());
    }
}
