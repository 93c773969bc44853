//! Plays the clients that cache (`tracking.rs`) to both servers: after each pipeline both have to have told each client the
//! same. What is told comes in no order between keys of different workers; it is compared as it is without one (`told.rs`).

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::compare::same;
use super::generate::KEYS;
use super::ids::{Ids, MAIN, READER, RECEIVER};
use super::receiver::Receiver;
use super::told::{Told, with_null_of_who_is_told};
use super::tracking::{Tracking, has, is_change, is_kill};
use super::wire::{BROKEN, Wire};
use super::{Comparison, Mismatch, Tally, Words, words};

/// A database that no session uses.
const UNUSED_DATABASE: &str = "9";

/// Two readers, one at each server, and what both clients of a server have to have been told.
pub(super) struct Caches {
    tracking: Tracking,
    ours: Wire,
    theirs: Wire,
    /// Clients of each server.
    ids: [Ids; 2],
    /// Receivers, where there may be some.
    receivers: Option<[Receiver; 2]>,
    /// Has the other server tell what we tell of a swap.
    their_flusher: Wire,
    /// Who may have been told by prefix at some time: how often depends on how keys are put together.
    told_by_prefix: BTreeSet<Vec<u8>>,
}

/// Waits until all is told that was done before: what a worker tells another is there when the turn is over in which that
/// one answers; so it comes before the answer to what is asked next. To who is told in the place of another the worker of
/// that other one tells it: that client is settled first. `request`: what is asked. A client that listens may ask PING only;
/// one that tracks asks for what leaves an exception of CLIENT CACHING as it is.
pub(super) fn settle(wire: &mut Wire, request: &[&str]) -> Result<()> {
    for _ in 0..2 {
        wire.ask(&words(request))?;
    }
    Ok(())
}

fn ids_of(socket: &Path, main: Vec<u8>, reader: &mut Wire) -> Result<Ids> {
    let address = format!("{}:0", socket.display()).into_bytes();
    Ok(Ids { address, main, reader: reader.id()?, receivers: Vec::new() })
}

impl Caches {
    /// `mains`: ids of the first client at each server.
    pub(super) fn begin(comparison: &Comparison, tracking: &Tracking, mains: [Vec<u8>; 2]) -> Result<Self> {
        let (mut ours, mut theirs) = (Wire::connect(&comparison.ours)?, Wire::connect(&comparison.theirs)?);
        let [our_main, their_main] = mains;
        let ids = [
            ids_of(&comparison.ours, our_main, &mut ours)?,
            ids_of(&comparison.theirs, their_main, &mut theirs)?,
        ];
        let receivers = match &tracking.receiver {
            Some(_) => Some([Receiver::begin(&comparison.ours)?, Receiver::begin(&comparison.theirs)?]),
            None => None,
        };
        let mut their_flusher = Wire::connect(&comparison.theirs)?;
        their_flusher.ask(&words(&["SELECT", UNUSED_DATABASE]))?;
        Ok(Self {
            tracking: tracking.clone(),
            ours,
            theirs,
            ids,
            receivers,
            their_flusher,
            told_by_prefix: BTreeSet::new(),
        })
    }

    /// Turns it on for both clients of both servers.
    pub(super) fn set_up(&mut self, ours: &mut Wire, theirs: &mut Wire) -> Result<Option<Mismatch>> {
        if let Some(comes) = self.tracking.receiver.clone()
            && let Some(mismatch) = self.step(&comes)?
        {
            return Ok(Some(mismatch));
        }
        for wire in [&mut self.ours, &mut self.theirs] {
            wire.ask(&words(&["HELLO", "3"]))?;
        }
        self.note_change(&self.tracking.reader.clone(), READER);
        self.note_change(&self.tracking.main.clone(), MAIN);
        let readers = (&self.tracking.reader, &mut self.ours, &mut self.theirs);
        for (request, ours, theirs) in [readers, (&self.tracking.main, ours, theirs)] {
            let [our, their] = self.ids.each_ref().map(|ids| ids.filled(request));
            let (our, their) = (ours.ask(&our)?, theirs.ask(&their)?);
            if !same(request, &our, &their) {
                return Ok(Some(Mismatch { question: request.clone(), ours: our, theirs: their }));
            }
        }
        Ok(None)
    }

    /// Notes who may be told by prefix once a client has sent this.
    fn note_change(&mut self, request: &Words, sender: &[u8]) {
        if is_change(request) && has(request, "BCAST") {
            // That the one who is told in its place is gone is told to itself.
            let places = [MAIN, READER, RECEIVER].into_iter();
            let told = places.filter(|place| *place == sender || request.iter().any(|word| word == place));
            self.told_by_prefix.extend(told.map(<[u8]>::to_vec));
        }
    }

    /// The readers read every key there may be.
    pub(super) fn read_all(&mut self) -> Result<()> {
        let mut requests = Vec::new();
        if has(&self.tracking.reader, "OPTIN") {
            requests.push(words(&["CLIENT", "CACHING", "YES"]));
        }
        let keys = KEYS.iter().map(|key| key.to_vec());
        requests.push(std::iter::once(b"MGET".to_vec()).chain(keys).collect());
        for wire in [&mut self.ours, &mut self.theirs] {
            wire.send(&requests, None)?;
            for _ in &requests {
                wire.reply()?;
            }
        }
        Ok(())
    }

    /// Has receivers do at both servers what is no request.
    pub(super) fn step(&mut self, step: &Words) -> Result<Option<Mismatch>> {
        let Some([our, their]) = &mut self.receivers else { return Ok(None) };
        let [our_ids, their_ids] = &mut self.ids;
        let (ours, theirs) = (our.step(step, our_ids)?, their.step(step, their_ids)?);
        Ok((ours != theirs).then(|| Mismatch { question: step.clone(), ours, theirs }))
    }

    /// A pipeline as each server gets it.
    pub(super) fn filled(&self, pipeline: &[Words]) -> [Vec<Words>; 2] {
        self.ids.each_ref().map(|ids| pipeline.iter().map(|request| ids.filled(request)).collect())
    }

    /// Replies with names of clients instead of their ids.
    pub(super) fn named(&self, replies: [Vec<u8>; 2]) -> [Vec<u8>; 2] {
        let [ours, theirs] = &self.ids;
        [ours.named(&replies[0]), theirs.named(&replies[1])]
    }

    /// Does what a request of the first client brings with it, when both have given the same reply to it.
    pub(super) fn follow(&mut self, request: &Words, reply: &[u8]) -> Result<Option<Mismatch>> {
        self.note_change(request, MAIN);
        if request[0].eq_ignore_ascii_case(b"SWAPDB") && reply == b"+OK\r\n" && request[1] != request[2] {
            // Whose databases are exchanged is told of it by us as of a flush, and not by Redis: docs/DIFFERENCES.md.
            self.their_flusher.ask(&words(&["FLUSHDB"]))?;
        }
        if is_kill(request)
            && let Some([our, their]) = &mut self.receivers
        {
            let [our_ids, their_ids] = &self.ids;
            let (ours, theirs) = (our.see_killed(reply, our_ids)?, their.see_killed(reply, their_ids)?);
            if ours != theirs {
                return Ok(Some(Mismatch { question: request.clone(), ours, theirs }));
            }
        }
        Ok(None)
    }

    /// Compares what the clients were told since this was last done.
    pub(super) fn compare_told(
        &mut self,
        ours: &mut Wire,
        theirs: &mut Wire,
        tally: &mut Tally,
    ) -> Result<Option<Mismatch>> {
        // Twice: each may be told in the place of the other.
        for _ in 0..2 {
            for wire in [&mut *ours, &mut *theirs, &mut self.ours, &mut self.theirs] {
                settle(wire, &["CLIENT", "GETNAME"])?;
            }
        }
        let mut all = vec![
            (MAIN, [ours.take_pushed(), theirs.take_pushed()]),
            (READER, [self.ours.take_pushed(), self.theirs.take_pushed()]),
        ];
        if let Some([ours, theirs]) = &mut self.receivers {
            let told = [ours.take_told()?, theirs.take_told()?];
            tally.redirected += told[0].len() as u64;
            all.push((RECEIVER, told));
        }
        for (who, [ours, theirs]) in all {
            let is_broken = |push: &&Vec<u8>| push.starts_with(BROKEN);
            tally.broken += ours.iter().filter(is_broken).count() as u64;
            let theirs = theirs.into_iter().map(with_null_of_who_is_told).collect();
            let each_once = self.told_by_prefix.contains(who);
            let [our, their] = self.comparable([ours, theirs]).map(|pushed| Told::of(pushed, each_once));
            tally.told += our.keys.len() as u64;
            if our != their {
                let question = vec![b"what was told to".to_vec(), who.to_vec()];
                return Ok(Some(Mismatch { question, ours: our.text(), theirs: their.text() }));
            }
        }
        Ok(None)
    }

    /// What was told, with names of receivers where they are gone.
    fn comparable(&self, mut pushed: [Vec<Vec<u8>>; 2]) -> [Vec<Vec<u8>>; 2] {
        for (ids, pushed) in self.ids.iter().zip(&mut pushed) {
            for push in pushed.iter_mut().filter(|push| push.starts_with(BROKEN)) {
                *push = ids.named(push);
            }
        }
        pushed
    }

    /// Sees the receivers off: nobody finds them subscribed after that.
    pub(super) fn end(&mut self) -> Result<()> {
        let receivers = self.receivers.iter_mut().flatten().zip(&self.ids);
        receivers.into_iter().try_for_each(|(receiver, ids)| receiver.leave(ids))
    }
}
