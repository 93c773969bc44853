//! Figures of a log, for INFO and metrics.

use crate::histogram::Histogram;

/// Counters and gauges of one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Batches durable since the start, seals included.
    pub batches: u64,
    /// Records in submitted batches, fragments counted one by one.
    pub records: u64,
    /// Bytes of records in submitted batches.
    pub payload_bytes: u64,
    /// Bytes of submitted batches with headers and padding.
    pub written_bytes: u64,
    /// Empty batches written after going idle.
    pub seals: u64,
    /// Times the log went on in a new segment.
    pub rotations: u64,
    /// Syncs issued for batches.
    pub syncs: u64,
    /// Files deleted because enough were free.
    pub deleted: u64,
    /// Segments given back for reuse.
    pub recycled: u64,
    /// Batches in flight now.
    pub in_flight: usize,
    /// From submission of a batch to the completion of its write and, where it needs one, its sync.
    pub flush: FlushLatency,
    /// Sizes of submitted batches with headers and padding, in KiB.
    pub batch_kib: Histogram,
}

/// Summary of a latency in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushLatency {
    /// Observations.
    pub count: u64,
    /// Sum of all.
    pub sum_ns: u64,
    /// Shortest; 0 when there is none.
    pub min_ns: u64,
    /// Longest.
    pub max_ns: u64,
    /// Exponentially weighted mean: each new one counts an eighth.
    pub recent_ns: u64,
    /// All of them, in microseconds.
    pub histogram_us: Histogram,
}

impl FlushLatency {
    /// Mean of all; 0 when there is none.
    #[must_use]
    pub fn mean_ns(&self) -> u64 {
        self.sum_ns.checked_div(self.count).unwrap_or(0)
    }

    pub(crate) fn note(&mut self, ns: u64) {
        self.min_ns = if self.count == 0 { ns } else { self.min_ns.min(ns) };
        self.recent_ns = if self.count == 0 { ns } else { self.recent_ns - self.recent_ns / 8 + ns / 8 };
        self.max_ns = self.max_ns.max(ns);
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.histogram_us.note(ns / 1000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_keeps_the_shortest_the_longest_and_the_mean() {
        let mut latency = FlushLatency::default();
        assert_eq!(latency.mean_ns(), 0);
        for ns in [80, 40, 120] {
            latency.note(ns);
        }
        assert_eq!((latency.min_ns, latency.max_ns, latency.mean_ns()), (40, 120, 80));
        assert!(latency.recent_ns > 40 && latency.recent_ns < 120);
        assert_eq!(latency.histogram_us.count(), 3);
    }
}
