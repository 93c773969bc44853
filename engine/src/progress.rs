//! How far a recovery is, said once a second when it takes longer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes of logs replayed and to be replayed, over all threads.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    shown: AtomicBool,
}

impl Progress {
    pub(crate) fn advance(&self, seen: &mut (u64, u64), now: (u64, u64)) {
        self.done.fetch_add(now.0.saturating_sub(seen.0), Ordering::Relaxed);
        self.total.fetch_add(now.1.saturating_sub(seen.1), Ordering::Relaxed);
        *seen = now;
    }

    /// A line a second while it goes on.
    pub(crate) fn report_until(&self, what: &str, finished: impl Fn() -> bool) {
        let mut next = Instant::now() + Duration::from_secs(1);
        while !finished() {
            std::thread::sleep(Duration::from_millis(2));
            if Instant::now() >= next {
                next += Duration::from_secs(1);
                self.shown.store(true, Ordering::Relaxed);
                let done = self.done.load(Ordering::Relaxed);
                let total = self.total.load(Ordering::Relaxed).max(1);
                tracing::info!(
                    "{what}: {} of {} MiB, {} %",
                    done >> 20,
                    total >> 20,
                    (done * 100 / total).min(100)
                );
            }
        }
    }
}
