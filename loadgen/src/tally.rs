//! What one worker counts in one phase, merged over all workers at the end.

use crate::error_counts::ErrorCounts;
use crate::latency::LatencyHistogram;
use crate::requests::Operation;

/// Latencies of one kind of request.
#[derive(Clone, Debug, Default)]
pub struct OperationTally {
    /// From the send to the reply.
    pub service: LatencyHistogram,
    /// From the intended start to the reply; empty in a closed loop.
    pub corrected: LatencyHistogram,
}

/// Counts of the requests that started in the measured window.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Latencies of successful requests by `Operation::index`.
    pub operations: [OperationTally; Operation::ALL.len()],
    /// From the intended start to the send; empty in a closed loop.
    pub slip: LatencyHistogram,
    /// Failed requests.
    pub errors: ErrorCounts,
    /// GETs that found a value.
    pub hits: u64,
    /// GETs that found none.
    pub misses: u64,
    /// Requests sent more than [`LATE_NS`] after their intended start.
    pub late: u64,
    /// Requests due or sent in the window that were never answered.
    pub dropped: u64,
    /// Bytes sent in the window.
    pub bytes_sent: u64,
    /// Bytes received in the window.
    pub bytes_received: u64,
    /// Time of the last counted reply, 0 without one.
    pub last_reply_ns: u64,
    /// Intervals that the coordinator had no room for.
    pub intervals_lost: u64,
}

/// From here on a request counts as late.
pub const LATE_NS: u64 = 1_000_000;

impl Tally {
    /// Successful requests.
    #[must_use]
    pub fn successes(&self) -> u64 {
        self.operations.iter().map(|operation| operation.service.count()).sum()
    }

    /// Adds the counts of another worker.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.operations.iter_mut().zip(&other.operations) {
            mine.service.merge(&theirs.service);
            mine.corrected.merge(&theirs.corrected);
        }
        self.slip.merge(&other.slip);
        self.errors.merge(&other.errors);
        self.hits += other.hits;
        self.misses += other.misses;
        self.late += other.late;
        self.dropped += other.dropped;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.last_reply_ns = self.last_reply_ns.max(other.last_reply_ns);
        self.intervals_lost += other.intervals_lost;
    }

    /// The service latencies of all kinds together.
    #[must_use]
    pub fn all_service(&self) -> LatencyHistogram {
        self.together(|operation| &operation.service)
    }

    /// The corrected latencies of all kinds together.
    #[must_use]
    pub fn all_corrected(&self) -> LatencyHistogram {
        self.together(|operation| &operation.corrected)
    }

    fn together(&self, part: impl Fn(&OperationTally) -> &LatencyHistogram) -> LatencyHistogram {
        let mut all = LatencyHistogram::default();
        self.operations.iter().for_each(|operation| all.merge(part(operation)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_adds_every_count() {
        let mut left = Tally { hits: 1, last_reply_ns: 9, ..Tally::default() };
        left.operations[0].service.record(10);
        let mut right =
            Tally { hits: 2, misses: 3, late: 4, dropped: 5, last_reply_ns: 7, ..Tally::default() };
        right.operations[0].service.record(20);
        right.operations[1].service.record(30);
        right.errors.record_reply(b"ERR x");
        left.merge(&right);
        assert_eq!(left.successes(), 3);
        assert_eq!((left.hits, left.misses, left.late, left.dropped), (3, 3, 4, 5));
        assert_eq!((left.last_reply_ns, left.errors.total()), (9, 1));
        assert_eq!(left.all_service().count(), 3);
        assert_eq!(left.all_service().max(), 30);
        assert_eq!(left.all_corrected().count(), 0);
    }
}
