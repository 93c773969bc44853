//! SWAPDB: two databases change their numbers, one swap at a time, in steps that all workers take part in.
//!
//! A step is over when every worker has done its part; only then does the next one begin. So while numbers change no
//! command that looks at a database is under way anywhere, and none begins before every worker shows the new ones:
//! whoever has seen the swap on one worker finds it on all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use engine::manifest_keeper::{KeeperError, ManifestKeeper};
use shard::databases::DatabaseMap;
use shard::types::Db;

/// How far a swap has come, and what the workers do in each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum SwapStep {
    /// There is none under way, or it has not begun to hold commands up. After one every worker first goes on with what it
    /// had held up: however many swaps are asked for, others have their turn between them.
    Idle = 0,
    /// No command on a database is started any more, and what is for other workers is sent to them.
    Stop,
    /// What was started runs to its end, and the log is durable up to there.
    Finish,
    /// The store's manifest is written. The worker that leads sees to that, the others wait.
    Write,
    /// Numbers show what they are to show from here on.
    Take,
}

/// Steps of a swap, [`SwapStep::Idle`] included.
const STEPS: u64 = 5;

/// What is being swapped, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap {
    /// One database.
    pub first: Db,
    /// The other one.
    pub second: Db,
    /// The worker that leads: its connection asked for it.
    pub leader: usize,
}

#[derive(Debug, Default)]
struct State {
    /// The swap under way; claimed before its first step.
    swap: Option<Swap>,
    /// Parts of the step at hand that are not done.
    missing: usize,
    /// What is shown when it has been taken.
    map: Option<DatabaseMap>,
    /// Why it does not come to that, as a reply.
    error: Option<String>,
    keeper: Option<ManifestKeeper>,
}

/// The swap under way, if any. A few touches a swap: a lock is cheap enough.
#[derive(Debug)]
pub struct Swaps {
    workers: usize,
    state: Mutex<State>,
    /// Steps that have begun since the start, for every turn of every worker to look at.
    number: AtomicU64,
}

impl Swaps {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers, state: Mutex::default(), number: AtomicU64::new(0) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has swaps written to the manifest of the store; without, they last as long as the process.
    pub fn keep_in(&self, keeper: ManifestKeeper) {
        self.with(|state| state.keeper = Some(keeper));
    }

    /// The number of the step at hand: another one than before means that something is to be done.
    #[must_use]
    #[inline]
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// What a step is.
    #[must_use]
    pub const fn step_of(number: u64) -> SwapStep {
        match number % STEPS {
            0 => SwapStep::Idle,
            1 => SwapStep::Stop,
            2 => SwapStep::Finish,
            3 => SwapStep::Write,
            _ => SwapStep::Take,
        }
    }

    /// Claims the one swap there may be. False: another one is under way, or what it held up has not had its turn.
    #[must_use]
    pub fn claim(&self, swap: Swap) -> bool {
        self.with(|state| {
            let is_free = state.swap.is_none() && state.missing == 0;
            if is_free {
                (state.swap, state.map, state.error) = (Some(swap), None, None);
            }
            is_free
        })
    }

    /// The swap under way.
    #[must_use]
    pub fn at_hand(&self) -> Option<Swap> {
        self.with(|state| state.swap)
    }

    /// Begins the first step of the swap that was claimed.
    pub fn start(&self) {
        self.with(|state| {
            assert!(state.swap.is_some(), "a swap is claimed first");
            self.go_to(state, SwapStep::Stop);
        });
    }

    /// A worker has done its part of the step with this number, or cannot. True: it was the last part, and the next step has
    /// begun, or another swap may be claimed.
    ///
    /// # Panics
    /// When that is not the step at hand, or all parts of it are done.
    pub fn end_part(&self, number: u64, result: Result<(), String>) -> bool {
        self.with(|state| {
            assert_eq!(number, self.number(), "a part is of the step at hand");
            state.error = state.error.take().or(result.err());
            assert!(state.missing > 0, "a step has as many parts as there are workers");
            state.missing -= 1;
            if state.missing > 0 {
                return false;
            }
            let next = match Self::step_of(number) {
                SwapStep::Idle => return true,
                _ if state.error.is_some() => SwapStep::Idle,
                SwapStep::Stop => SwapStep::Finish,
                SwapStep::Finish => SwapStep::Write,
                SwapStep::Write => SwapStep::Take,
                SwapStep::Take => SwapStep::Idle,
            };
            self.go_to(state, next);
            true
        })
    }

    fn go_to(&self, state: &mut State, step: SwapStep) {
        let now = self.number();
        let in_this_swap = now - now % STEPS + step as u64;
        let next = if in_this_swap > now { in_this_swap } else { in_this_swap + STEPS };
        assert_eq!(Self::step_of(next), step, "a number says which step it is");
        state.missing = if step == SwapStep::Write { 1 } else { self.workers };
        self.number.store(next, Ordering::Release);
    }

    /// Makes the swap durable, in the step for that: what every number is to show then. `shown`: what it shows now. Waits
    /// for the drive.
    ///
    /// # Errors
    /// As [`ManifestKeeper::swap_databases`]: the step is not ended.
    pub fn write(&self, shown: DatabaseMap) -> Result<(), KeeperError> {
        let (swap, keeper) = self.with(|state| (state.swap, state.keeper.take()));
        let swap = swap.expect("a swap is under way");
        let next = shown.swapped(swap.first, swap.second);
        let Some(mut keeper) = keeper else {
            self.with(|state| state.map = Some(next));
            return Ok(());
        };
        // Not under the lock: workers look at the state meanwhile.
        let written = keeper.swap_databases(swap.first, swap.second);
        self.with(|state| state.keeper = Some(keeper));
        let written = written?;
        assert_eq!(written, next, "the manifest says what is shown");
        self.with(|state| state.map = Some(next));
        Ok(())
    }

    /// Whether swaps are written to a manifest.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.with(|state| state.keeper.is_some())
    }

    /// What numbers are to show, in the step in which workers take it.
    #[must_use]
    pub fn map(&self) -> Option<DatabaseMap> {
        self.with(|state| state.map)
    }

    /// Ends the swap that was claimed, whose last step is over or whose first one never began: another one may be claimed.
    /// The error to reply with, if it came to nothing.
    pub fn release(&self) -> Result<(), String> {
        self.with(|state| {
            state.swap = None;
            state.error.take().map_or(Ok(()), Err)
        })
    }

    /// Gives a swap up that holds no commands up yet. What waits for its end is told by another number.
    pub fn give_up(&self) {
        self.with(|state| {
            assert_eq!(Self::step_of(self.number()), SwapStep::Idle, "no step has begun");
            state.swap = None;
            self.go_to(state, SwapStep::Idle);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWAP: Swap = Swap { first: Db(0), second: Db(3), leader: 1 };

    fn step(swaps: &Swaps) -> SwapStep {
        Swaps::step_of(swaps.number())
    }

    #[test]
    fn a_step_begins_when_all_workers_have_ended_the_one_before_and_swaps_go_one_after_the_other() {
        let swaps = Swaps::new(2);
        for _ in 0..2 {
            assert!(swaps.claim(SWAP) && !swaps.claim(SWAP));
            assert_eq!((step(&swaps), swaps.at_hand()), (SwapStep::Idle, Some(SWAP)));
            swaps.start();
            for expected in [SwapStep::Stop, SwapStep::Finish] {
                assert_eq!(step(&swaps), expected);
                assert!(!swaps.end_part(swaps.number(), Ok(())) && swaps.end_part(swaps.number(), Ok(())));
            }
            assert_eq!(step(&swaps), SwapStep::Write);
            swaps.write(DatabaseMap::default()).unwrap();
            assert!(swaps.end_part(swaps.number(), Ok(())), "the leader's part alone");
            assert_eq!(swaps.map(), Some(DatabaseMap::default().swapped(Db(0), Db(3))));
            assert!(!swaps.end_part(swaps.number(), Ok(())) && swaps.end_part(swaps.number(), Ok(())));
            assert_eq!(step(&swaps), SwapStep::Idle);
            assert!(!swaps.claim(SWAP), "until it is released");
            assert_eq!(swaps.release(), Ok(()));
            assert!(!swaps.end_part(swaps.number(), Ok(())) && !swaps.claim(SWAP), "others have their turn");
            assert!(swaps.end_part(swaps.number(), Ok(())));
        }
    }

    #[test]
    fn a_part_that_fails_ends_the_swap_with_nothing_changed() {
        let swaps = Swaps::new(2);
        assert!(swaps.claim(SWAP));
        swaps.start();
        assert!(!swaps.end_part(swaps.number(), Ok(())) && swaps.end_part(swaps.number(), Ok(())));
        assert!(!swaps.end_part(swaps.number(), Err("it is late".into())), "the other one has its part");
        let number = swaps.number();
        assert!(swaps.end_part(number, Ok(())));
        assert_eq!((step(&swaps), swaps.map()), (SwapStep::Idle, None));
        assert!(swaps.number() > number, "numbers never come again");
        assert_eq!(swaps.release(), Err("it is late".into()));
        assert!(!swaps.end_part(swaps.number(), Ok(())) && swaps.end_part(swaps.number(), Ok(())));
        assert!(swaps.claim(SWAP));
    }

    #[test]
    fn a_swap_that_is_given_up_before_its_first_step_makes_way_and_is_noticed() {
        let swaps = Swaps::new(1);
        assert!(swaps.claim(SWAP));
        let number = swaps.number();
        swaps.give_up();
        assert!(swaps.number() > number && step(&swaps) == SwapStep::Idle && !swaps.claim(SWAP));
        assert!(swaps.end_part(swaps.number(), Ok(())) && swaps.claim(SWAP));
    }
}
