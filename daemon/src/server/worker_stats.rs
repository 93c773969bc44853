//! A worker's figures as the others see them: atomics that only that worker stores into, once per turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use engine::figures::WorkerFigures;

use shard::limits::DATABASE_COUNT;

use super::counters::{CommandCounters, Counter, DatabaseFigures, ErrorCode, WorkerCounters};
use super::latency::{LATENCY_BUCKETS, LatencyHistogram};
use crate::commands::{COMMAND_COUNT, CommandId};

/// Figures of one command, published.
#[derive(Debug)]
struct CommandStats {
    calls: AtomicU64,
    duration_ns: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    latency: [AtomicU64; LATENCY_BUCKETS],
}

impl CommandStats {
    const fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            duration_ns: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            latency: [const { AtomicU64::new(0) }; LATENCY_BUCKETS],
        }
    }

    fn store(&self, from: &CommandCounters) {
        self.calls.store(from.calls, Ordering::Relaxed);
        self.duration_ns.store(from.duration_ns, Ordering::Relaxed);
        self.rejected.store(from.rejected, Ordering::Relaxed);
        self.failed.store(from.failed, Ordering::Relaxed);
        for (to, from) in self.latency.iter().zip(&from.latency) {
            to.store(*from, Ordering::Relaxed);
        }
    }
}

/// Figures of one worker, published. On cache lines of its own, so that publishing never slows a neighbour.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerStats {
    /// Bytes of memory that its shards take, as of its last turn.
    pub memory_bytes: AtomicU64,
    values: [AtomicU64; Counter::COUNT],
    errors: [AtomicU64; ErrorCode::COUNT],
    commands: Box<[CommandStats]>,
    /// Of its shards and its log: taken a few times a second, read by whoever asks.
    figures: Mutex<Arc<WorkerFigures>>,
    /// Keys and deadlines of each database.
    databases: [[AtomicU64; 2]; DATABASE_COUNT as usize],
}

impl Default for WorkerStats {
    fn default() -> Self {
        Self {
            memory_bytes: AtomicU64::new(0),
            values: [const { AtomicU64::new(0) }; Counter::COUNT],
            errors: [const { AtomicU64::new(0) }; ErrorCode::COUNT],
            commands: (0..COMMAND_COUNT).map(|_| CommandStats::new()).collect(),
            figures: Mutex::default(),
            databases: [const { [const { AtomicU64::new(0) }; 2] }; DATABASE_COUNT as usize],
        }
    }
}

impl WorkerStats {
    /// Publishes what the worker has counted. Called by that worker only, at most once per turn.
    pub fn publish(&self, counters: &mut WorkerCounters) {
        counters.is_set_back = false;
        for ((to, from), base) in self.values.iter().zip(&counters.values).zip(&counters.base) {
            to.store(from.wrapping_sub(*base), Ordering::Relaxed);
        }
        for (to, from) in self.errors.iter().zip(&counters.errors) {
            to.store(*from, Ordering::Relaxed);
        }
        for ([keys, deadlines], from) in self.databases.iter().zip(&counters.databases) {
            keys.store(from.keys, Ordering::Relaxed);
            deadlines.store(from.deadlines, Ordering::Relaxed);
        }
        for (word, dirty) in std::mem::take(&mut counters.dirty).iter_mut().enumerate() {
            while *dirty != 0 {
                let index = word * 128 + dirty.trailing_zeros() as usize;
                *dirty &= *dirty - 1;
                let Some(stats) = self.commands.get(index) else { break };
                stats.store(&counters.commands[index]);
            }
        }
    }

    /// Publishes what is known of its shards and its log.
    pub fn set_figures(&self, figures: WorkerFigures) {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(figures);
    }

    /// What is known of its shards and its log, as it was last published.
    #[must_use]
    pub fn figures(&self) -> Arc<WorkerFigures> {
        Arc::clone(&self.figures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One figure as it was last published.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.values[counter as usize].load(Ordering::Relaxed)
    }

    /// All figures as they were last published.
    #[must_use]
    pub fn snapshot(&self) -> WorkerSnapshot {
        let mut snapshot = WorkerSnapshot::default();
        for (to, from) in snapshot.values.iter_mut().zip(&self.values) {
            *to = from.load(Ordering::Relaxed);
        }
        for (to, from) in snapshot.errors.iter_mut().zip(&self.errors) {
            *to = from.load(Ordering::Relaxed);
        }
        for (to, from) in snapshot.commands.iter_mut().zip(&self.commands) {
            to.calls = from.calls.load(Ordering::Relaxed);
            to.duration_ns = from.duration_ns.load(Ordering::Relaxed);
            to.rejected = from.rejected.load(Ordering::Relaxed);
            to.failed = from.failed.load(Ordering::Relaxed);
            for (to, from) in to.latency.iter_mut().zip(&from.latency) {
                *to = from.load(Ordering::Relaxed);
            }
        }
        for (to, [keys, deadlines]) in snapshot.databases.iter_mut().zip(&self.databases) {
            to.keys = keys.load(Ordering::Relaxed);
            to.deadlines = deadlines.load(Ordering::Relaxed);
        }
        snapshot
    }
}

/// Figures of one command, read.
pub type CommandSnapshot = CommandCounters;

/// Figures of one worker, or of several added up, read at one time.
#[derive(Clone, Debug)]
pub struct WorkerSnapshot {
    values: [u64; Counter::COUNT],
    errors: [u64; ErrorCode::COUNT],
    commands: Vec<CommandSnapshot>,
    databases: [DatabaseFigures; DATABASE_COUNT as usize],
}

impl Default for WorkerSnapshot {
    fn default() -> Self {
        Self {
            values: [0; Counter::COUNT],
            errors: [0; ErrorCode::COUNT],
            commands: vec![CommandCounters::ZERO; COMMAND_COUNT],
            databases: Default::default(),
        }
    }
}

impl WorkerSnapshot {
    /// A figure.
    #[must_use]
    pub const fn get(&self, counter: Counter) -> u64 {
        self.values[counter as usize]
    }

    /// Error replies of a code.
    #[must_use]
    pub const fn errors(&self, code: ErrorCode) -> u64 {
        self.errors[code as usize]
    }

    /// Figures of each database, by its number.
    #[must_use]
    pub const fn databases(&self) -> &[DatabaseFigures] {
        &self.databases
    }

    /// Figures of a command.
    #[must_use]
    pub fn command(&self, id: CommandId) -> &CommandSnapshot {
        &self.commands[id.index()]
    }

    /// How long commands took, all together.
    #[must_use]
    pub fn latency(&self) -> LatencyHistogram {
        let mut sum = [0; LATENCY_BUCKETS];
        for command in &self.commands {
            for (to, from) in sum.iter_mut().zip(&command.latency) {
                *to += from;
            }
        }
        sum
    }

    /// Adds another worker's. Of figures that are a highest or an age the greater is kept.
    pub fn add(&mut self, other: &Self) {
        for &counter in Counter::ALL {
            let (to, from) = (&mut self.values[counter as usize], other.values[counter as usize]);
            *to = match counter {
                Counter::LogWriteMaxUs | Counter::LogOldestUnflushedMs | Counter::HeartbeatMs => {
                    from.max(*to)
                }
                _ => to.wrapping_add(from),
            };
        }
        for (to, from) in self.errors.iter_mut().zip(&other.errors) {
            *to += from;
        }
        for (to, from) in self.databases.iter_mut().zip(&other.databases) {
            to.keys += from.keys;
            to.deadlines += from.deadlines;
        }
        for (to, from) in self.commands.iter_mut().zip(&other.commands) {
            to.calls += from.calls;
            to.duration_ns += from.duration_ns;
            to.rejected += from.rejected;
            to.failed += from.failed;
            for (to, from) in to.latency.iter_mut().zip(&from.latency) {
                *to += from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_read_and_added_up() {
        let (stats, mut counters) = (WorkerStats::default(), WorkerCounters::default());
        counters.add(Counter::BytesIn, 10);
        counters.raise(Counter::LogWriteMaxUs, 70);
        counters.note_calls(CommandId(1), 2, 6000);
        counters.note_reply(CommandId(1), b"-ERR x\r\n");
        counters.note_rejected(CommandId(2), b"-WRONGTYPE x\r\n");
        stats.publish(&mut counters);
        let one = stats.snapshot();
        let mut sum = one.clone();
        sum.add(&one);
        assert_eq!((sum.get(Counter::BytesIn), sum.get(Counter::LogWriteMaxUs)), (20, 70));
        assert_eq!((sum.get(Counter::Commands), sum.get(Counter::Errors)), (4, 4));
        assert_eq!((sum.command(CommandId(1)).calls, sum.command(CommandId(1)).failed), (4, 2));
        assert_eq!((sum.command(CommandId(2)).rejected, sum.errors(ErrorCode::WrongType)), (2, 2));
        assert_eq!(sum.latency().iter().sum::<u64>(), 4);
    }

    #[test]
    fn totals_are_set_back_at_once_and_gauges_stay() {
        let (stats, mut counters) = (WorkerStats::default(), WorkerCounters::default());
        counters.note_calls(CommandId(3), 5, 1000);
        counters.set(Counter::Connections, 2);
        stats.publish(&mut counters);
        counters.note_calls(CommandId(3), 5, 1000);
        counters.reset();
        counters.note_calls(CommandId(4), 1, 1000);
        stats.publish(&mut counters);
        let seen = stats.snapshot();
        assert_eq!((seen.get(Counter::Commands), seen.get(Counter::Connections)), (1, 2));
        assert_eq!((seen.command(CommandId(3)).calls, seen.command(CommandId(4)).calls), (0, 1));
    }
}
