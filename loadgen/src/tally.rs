//! What one worker counts in one phase, merged over all workers at the end.

use crate::error_counts::ErrorCounts;
use crate::latency::LatencyHistogram;
use crate::operations::OperationTable;

/// Latencies of one kind of request.
#[derive(Clone, Debug, Default)]
pub struct OperationTally {
    /// From the send to the reply.
    pub service: LatencyHistogram,
    /// From the intended start to the reply; empty in a closed loop.
    pub corrected: LatencyHistogram,
    /// From the intended start to the send; empty in a closed loop.
    pub slip: LatencyHistogram,
    /// Halves of other operations are in no total.
    pub is_part: bool,
}

/// Counts of the requests that started in the measured window.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Latencies of successful requests by `OperationId::index`.
    pub operations: Vec<OperationTally>,
    /// Answers looked into.
    pub checked: u64,
    /// Answers that were not what was written.
    pub bad: u64,
    /// What was wrong with the first of them.
    pub bad_example: Option<String>,
    /// Failed requests.
    pub errors: ErrorCounts,
    /// GETs that found a value.
    pub hits: u64,
    /// GETs that found none.
    pub misses: u64,
    /// Requests sent more than [`LATE_NS`] after their intended start.
    pub late: u64,
    /// Requests started more than [`WAITED_NS`] after their intended start.
    pub waited: u64,
    /// Those of them for which every connection was full when they were due.
    pub held_back: u64,
    /// Requests due or sent in the window that were never answered.
    pub dropped: u64,
    /// Bytes sent in the window.
    pub bytes_sent: u64,
    /// Bytes received in the window.
    pub bytes_received: u64,
    /// Operations answered while the window was watched, those that started in the warm-up too: what CPU time went to.
    pub window_answers: u64,
    /// Those of them that succeeded.
    pub window_successes: u64,
    /// Latest intended start of a measured request, 0 without one.
    pub last_start_ns: u64,
    /// Time of the last counted reply, 0 without one.
    pub last_reply_ns: u64,
    /// Intervals that the coordinator had no room for.
    pub intervals_lost: u64,
}

/// From here on a request counts as late.
pub const LATE_NS: u64 = 1_000_000;

/// A start that waited longer is asked for the cause: less is the turn of a worker.
pub const WAITED_NS: u64 = 100_000;

impl Tally {
    /// Nothing counted yet, of each kind of request.
    #[must_use]
    pub fn new(table: &OperationTable) -> Self {
        let operations = table
            .entries()
            .iter()
            .map(|entry| OperationTally { is_part: entry.is_part(), ..OperationTally::default() })
            .collect();
        Self { operations, ..Self::default() }
    }

    /// Successful operations.
    #[must_use]
    pub fn successes(&self) -> u64 {
        self.whole().map(|operation| operation.service.count()).sum()
    }

    fn whole(&self) -> impl Iterator<Item = &OperationTally> {
        self.operations.iter().filter(|operation| !operation.is_part)
    }

    /// Adds the counts of another worker.
    pub fn merge(&mut self, other: &Self) {
        for (place, theirs) in other.operations.iter().enumerate() {
            if place == self.operations.len() {
                self.operations.push(OperationTally { is_part: theirs.is_part, ..OperationTally::default() });
            }
            let mine = &mut self.operations[place];
            mine.service.merge(&theirs.service);
            mine.corrected.merge(&theirs.corrected);
            mine.slip.merge(&theirs.slip);
        }
        self.checked += other.checked;
        self.bad += other.bad;
        if self.bad_example.is_none() {
            self.bad_example.clone_from(&other.bad_example);
        }
        self.errors.merge(&other.errors);
        self.hits += other.hits;
        self.misses += other.misses;
        self.late += other.late;
        self.waited += other.waited;
        self.held_back += other.held_back;
        self.dropped += other.dropped;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.window_answers += other.window_answers;
        self.window_successes += other.window_successes;
        self.last_start_ns = self.last_start_ns.max(other.last_start_ns);
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

    /// The slips of all kinds together.
    #[must_use]
    pub fn all_slip(&self) -> LatencyHistogram {
        self.together(|operation| &operation.slip)
    }

    fn together(&self, part: impl Fn(&OperationTally) -> &LatencyHistogram) -> LatencyHistogram {
        let mut all = LatencyHistogram::default();
        self.whole().for_each(|operation| all.merge(part(operation)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_adds_every_count() {
        let kinds = |count| vec![OperationTally::default(); count];
        let mut left =
            Tally { hits: 1, window_answers: 6, last_reply_ns: 9, operations: kinds(1), ..Tally::default() };
        left.operations[0].service.record(10);
        let mut right = Tally {
            hits: 2,
            misses: 3,
            late: 4,
            dropped: 5,
            window_answers: 1,
            window_successes: 1,
            last_start_ns: 3,
            last_reply_ns: 7,
            operations: kinds(2),
            ..Tally::default()
        };
        right.operations[0].service.record(20);
        right.operations[1].service.record(30);
        right.errors.record_reply(b"ERR x");
        left.merge(&right);
        assert_eq!(left.successes(), 3);
        assert_eq!((left.hits, left.misses, left.late, left.dropped), (3, 3, 4, 5));
        assert_eq!((left.window_answers, left.window_successes), (7, 1));
        assert_eq!((left.last_start_ns, left.last_reply_ns, left.errors.total()), (3, 9, 1));
        assert_eq!(left.all_service().count(), 3);
        assert_eq!(left.all_service().max(), 30);
        assert_eq!(left.all_corrected().count(), 0);
    }
}
