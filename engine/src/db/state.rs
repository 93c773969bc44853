//! What all handles and workers of one store know of it: whether it is closed, or has failed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::error::DbError;

/// What they share.
#[derive(Debug)]
pub(super) struct State {
    closed: AtomicBool,
    failure: OnceLock<Arc<str>>,
    /// Memory of each worker's shards, as of its last turn.
    pub(super) memory_bytes: Box<[AtomicU64]>,
    /// Bytes that a store in memory may take; 0: no limit.
    pub(super) memory_limit: u64,
}

impl State {
    pub(super) fn new(workers: usize, memory_limit: u64) -> Self {
        Self {
            closed: AtomicBool::new(false),
            failure: OnceLock::new(),
            memory_bytes: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            memory_limit,
        }
    }

    /// From here on no call is acknowledged. The first reason stays.
    pub(super) fn fail(&self, reason: &str) {
        if self.failure.set(reason.into()).is_ok() {
            tracing::error!("the store has failed and answers nothing more: {reason}");
        }
    }

    /// Says that it is closed.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The error that every call gets, when there is one.
    pub(super) fn check(&self) -> Result<(), DbError> {
        self.check_failed()?;
        if self.closed.load(Ordering::Acquire) { Err(DbError::Closed) } else { Ok(()) }
    }

    /// The error that every call gets after a failure.
    pub(super) fn check_failed(&self) -> Result<(), DbError> {
        match self.failure.get() {
            Some(reason) => Err(DbError::Failed { reason: Arc::clone(reason) }),
            None => Ok(()),
        }
    }

    /// The error of a call that got no answer: its worker is gone.
    pub(super) fn no_answer(&self) -> DbError {
        self.check()
            .err()
            .unwrap_or_else(|| DbError::Failed { reason: "a worker thread has ended: a bug".into() })
    }

    /// Bytes that a worker may use: what the others leave of the limit. 0: no limit.
    pub(super) fn memory_share(&self, worker: usize) -> u64 {
        if self.memory_limit == 0 {
            return 0;
        }
        let others = self.memory_bytes.iter().enumerate().filter(|(index, _)| *index != worker);
        let used: u64 = others.map(|(_, bytes)| bytes.load(Ordering::Relaxed)).sum();
        self.memory_limit.saturating_sub(used).max(1)
    }
}
