//! Messages between two workers: bounded single-producer, single-consumer rings, one per direction and kind.
//!
//! A request is sent only with credits, one for each answer it asks for: reserved places in the reply ring. So a
//! reply can always be pushed, and two full workers cannot wait for each other. The receiver is woken only when it
//! says that it sleeps, once per turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use ring::{Ring, Waker};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::limits::CREDITS_PER_LINK;

/// Whether a worker waits in its ring, or is about to.
#[derive(Debug, Default)]
pub struct Sleep(AtomicBool);

impl Sleep {
    /// The worker is about to wait: from here on senders wake it. It looks at its mail once more after this.
    pub fn announce(&self) {
        self.0.store(true, Ordering::Relaxed);
        // Pairs with the fence of the sender: either it sees the flag, or the worker sees the message.
        fence(Ordering::SeqCst);
    }

    /// The worker is awake and looks at its mail by itself.
    pub fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_announced(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker needs of another: rings both ways, and how to wake it.
pub struct Link<Q, R> {
    requests_out: Producer<Q>,
    replies_in: Consumer<R>,
    requests_in: Consumer<Q>,
    replies_out: Producer<R>,
    credits: usize,
    peer: Waker,
    peer_sleep: Arc<Sleep>,
    /// Something was pushed since the peer was last looked after.
    pushed: bool,
}

impl<Q, R> Link<Q, R> {
    /// The two ends of a connection between the workers behind the wakers.
    #[must_use]
    pub fn pair(a: (&Waker, &Arc<Sleep>), b: (&Waker, &Arc<Sleep>)) -> (Self, Self) {
        let (a_requests, b_serves) = RingBuffer::new(CREDITS_PER_LINK);
        let (b_requests, a_serves) = RingBuffer::new(CREDITS_PER_LINK);
        let (a_answers, b_replies) = RingBuffer::new(CREDITS_PER_LINK);
        let (b_answers, a_replies) = RingBuffer::new(CREDITS_PER_LINK);
        let end =
            |requests_out, replies_in, requests_in, replies_out, (peer, sleep): (&Waker, &Arc<Sleep>)| Self {
                requests_out,
                replies_in,
                requests_in,
                replies_out,
                credits: CREDITS_PER_LINK,
                peer: peer.clone(),
                peer_sleep: Arc::clone(sleep),
                pushed: false,
            };
        (
            end(a_requests, a_replies, a_serves, a_answers, b),
            end(b_requests, b_replies, b_serves, b_answers, a),
        )
    }

    /// Answers that may still be asked for.
    #[must_use]
    pub fn credits(&self) -> usize {
        self.credits
    }

    /// Sends a request that asks for `answers` answers.
    ///
    /// # Panics
    /// When there are fewer credits: the caller looks first.
    pub fn send(&mut self, request: Q, answers: usize) {
        assert!(answers > 0 && answers <= self.credits, "a request is sent only with credits");
        self.credits -= answers;
        // At most as many requests as answers are under way, and the ring holds as many as there are credits.
        assert!(self.requests_out.push(request).is_ok(), "credits bound the request ring");
        self.pushed = true;
    }

    /// Sends replies.
    pub fn reply(&mut self, reply: R) {
        assert!(self.replies_out.push(reply).is_ok(), "a reply has a place reserved");
        self.pushed = true;
    }

    /// The next replies of the peer. They return `answers` credits once the caller has counted them.
    pub fn next_reply(&mut self, answers: impl FnOnce(&R) -> usize) -> Option<R> {
        let reply = self.replies_in.pop().ok()?;
        self.credits += answers(&reply);
        assert!(self.credits <= CREDITS_PER_LINK, "no more answers than were asked for");
        Some(reply)
    }

    /// The next request of the peer.
    pub fn next_request(&mut self) -> Option<Q> {
        self.requests_in.pop().ok()
    }

    /// Whether mail waits.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        !self.replies_in.is_empty() || !self.requests_in.is_empty()
    }

    /// Wakes the peer if something was pushed and it sleeps. Once per turn. Whether it did.
    pub fn wake_peer(&mut self, ring: &mut Ring) -> bool {
        let wake = std::mem::take(&mut self.pushed) && self.peer_sleep.is_announced();
        if wake {
            ring.wake(&self.peer);
        }
        wake
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::RingConfig;

    #[test]
    fn credits_bound_what_is_under_way_and_come_back_with_replies() {
        let rings: Vec<Ring> = (0..2).map(|_| Ring::new(&RingConfig::default()).unwrap()).collect();
        let wakers: Vec<Waker> = rings.iter().map(Ring::waker).collect();
        let sleeps = [Arc::new(Sleep::default()), Arc::new(Sleep::default())];
        let (mut a, mut b) = Link::<u32, u32>::pair((&wakers[0], &sleeps[0]), (&wakers[1], &sleeps[1]));
        for round in 0..3 {
            let mut sent = 0;
            while a.credits() > 0 {
                a.send(sent, 1);
                sent += 1;
            }
            assert_eq!(sent as usize, CREDITS_PER_LINK, "round {round}");
            while let Some(request) = b.next_request() {
                b.reply(request + 1);
            }
            for expected in 1..=sent {
                assert_eq!(a.next_reply(|_| 1), Some(expected));
            }
            assert_eq!(a.credits(), CREDITS_PER_LINK);
        }
    }

    #[test]
    fn a_sleeping_peer_is_woken_and_an_awake_one_is_not() {
        let mut a_ring = Ring::new(&RingConfig::default()).unwrap();
        let mut b_ring = Ring::new(&RingConfig::default()).unwrap();
        let sleeps = [Arc::new(Sleep::default()), Arc::new(Sleep::default())];
        let (a_waker, b_waker) = (a_ring.waker(), b_ring.waker());
        let (mut a, mut b) = Link::<u32, u32>::pair((&a_waker, &sleeps[0]), (&b_waker, &sleeps[1]));
        let mut out = Vec::new();
        a.send(1, 1);
        a.wake_peer(&mut a_ring);
        a_ring.submit_and_wait(false, &mut out).unwrap();
        b_ring.submit_and_wait(false, &mut out).unwrap();
        assert!(out.is_empty(), "nobody was woken: {out:?}");
        sleeps[1].announce();
        assert!(b.has_mail(), "the last look before sleeping finds it");
        a.send(2, 1);
        a.wake_peer(&mut a_ring);
        a_ring.submit_and_wait(false, &mut out).unwrap();
        b_ring.submit_and_wait(true, &mut out).unwrap();
        assert!(matches!(out[..], [ring::Completion::Woken]));
        assert_eq!((b.next_request(), b.next_request()), (Some(1), Some(2)));
    }
}
