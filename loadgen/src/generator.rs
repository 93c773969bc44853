//! What the next request is: all keys in order while loading, else drawn by weight and distribution.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::insert_frontier::InsertFrontier;
use crate::key_picker::{KeyPicker, WorkerSeat};
use crate::limits::REQUEST_CLAIM;
use crate::number::low_u32;
use crate::operations::{OperationId, OperationTable, Verb};
use crate::plan::Workload;
use crate::requests::{Draw, RequestWriter};
use crate::rng::Rng;
use crate::sizes::Sizes;
use crate::trace::TraceShare;
use crate::values::ValuePool;

/// Writes the requests of one worker, one after the other. Allocates nothing per request.
#[derive(Clone, Debug)]
pub struct Generator {
    operations: Arc<OperationTable>,
    writer: RequestWriter,
    picker: KeyPicker,
    rng: Rng,
    scan_keys: Sizes,
    /// Keys of the space at the start; inserts come after them.
    key_count: u64,
    /// First key number that has no key of its own.
    key_limit: u64,
    frontier: Option<InsertFrontier>,
    /// Version of the next value: the worker above, a count below.
    version: u64,
    /// Keys still to be loaded, in order; `None` in a measured phase.
    loading: Option<Range<u64>>,
    /// The recorded requests to send, in place of drawn ones.
    replay: Option<TraceShare>,
}

/// A request that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its kind.
    pub operation: OperationId,
    /// Its key.
    pub key: u64,
}

impl Generator {
    /// The generator of one worker. A workload that inserts needs the frontier that all workers share.
    #[must_use]
    pub fn new(
        workload: &Workload,
        values: ValuePool,
        seat: WorkerSeat,
        frontier: Option<InsertFrontier>,
        inserts_expected: u64,
    ) -> Self {
        let format = &workload.key_format;
        let key_limit = if frontier.is_some() { format.capacity() } else { workload.keys };
        Self {
            operations: Arc::clone(&workload.operations),
            writer: RequestWriter::new(
                format,
                key_limit,
                values,
                workload.ttl_ms.clone(),
                workload.commands.clone(),
                workload.scan_keys.max(),
            ),
            picker: KeyPicker::new(
                workload.distribution,
                workload.keys,
                workload.seed,
                seat,
                frontier.clone(),
                inserts_expected,
            ),
            rng: Rng::new(workload.seed, seat.worker),
            scan_keys: workload.scan_keys.clone(),
            key_count: workload.keys,
            key_limit,
            frontier,
            version: seat.worker << VERSION_COUNT_BITS,
            loading: None,
            replay: None,
        }
    }

    /// Sends recorded requests from now on, in place of drawn ones.
    pub fn replay(&mut self, share: TraceShare) {
        self.replay = Some(share);
    }

    /// The connection that the next request must go to, where that is not free.
    #[must_use]
    pub fn pinned_connection(&self, connections: usize) -> Option<usize> {
        self.replay.as_ref()?.connection(connections)
    }

    /// The kinds of requests.
    #[must_use]
    pub fn operations(&self) -> Arc<OperationTable> {
        Arc::clone(&self.operations)
    }

    /// Where the numbers of inserted keys come from.
    #[must_use]
    pub fn frontier(&self) -> Option<InsertFrontier> {
        self.frontier.clone()
    }

    /// Writes the keys of a range from now on; `None` goes back to drawing.
    pub fn load(&mut self, keys: Option<Range<u64>>) {
        self.loading = keys;
    }

    /// Length of the longest request.
    #[must_use]
    pub fn request_bytes_max(&self) -> usize {
        self.writer.request_bytes_max()
    }

    /// Appends the next request, or gives nothing when all keys are loaded or no new key is left. A step of a walk takes
    /// the cursor of one from `walks`, and begins another one when there is none.
    pub fn write_next(&mut self, out: &mut Vec<u8>, walks: &mut Vec<u64>) -> Option<Written> {
        if let Some(replay) = &mut self.replay {
            let number = replay.write_next(out)?;
            return Some(Written { operation: self.operations.of(Verb::Command(number)), key: 0 });
        }
        let word = self.rng.next_u64();
        let (operation, key) = match &mut self.loading {
            Some(keys) => (self.operations.of(Verb::Set), keys.next()?),
            None => {
                let operation = self.operations.draw(low_u32(word >> 32));
                let key = match (&self.frontier, self.operations.get(operation).verb) {
                    (Some(frontier), Verb::Insert) => {
                        let key = frontier.take();
                        if key >= self.key_limit {
                            return None;
                        }
                        key
                    }
                    _ => self.picker.pick(&mut self.rng),
                };
                (operation, key)
            }
        };
        let verb = self.operations.get(operation).verb;
        let cursor = if verb == Verb::Walk { walks.pop().unwrap_or(0) } else { 0 };
        let key = self.write(out, (verb, key, cursor), low_u32(word));
        Some(Written { operation, key })
    }

    /// Appends the write of a read-modify-write whose read was answered.
    pub fn write_second_half(&mut self, out: &mut Vec<u8>, key: u64) {
        let word = low_u32(self.rng.next_u64());
        self.write(out, (Verb::RmwWrite, key, 0), word);
    }

    /// Appends a request and returns its (first) key.
    fn write(&mut self, out: &mut Vec<u8>, (verb, key, cursor): (Verb, u64, u64), word: u32) -> u64 {
        let scan_keys = match verb {
            Verb::Walk => self.scan_keys.pick(word) as u64,
            Verb::Scan => (self.scan_keys.pick(word) as u64).min(self.key_count),
            _ => 1,
        };
        // A scan near the end of the key space begins earlier, so that all its keys are there.
        let last = self.frontier.as_ref().map_or(self.key_count, InsertFrontier::acknowledged);
        let key = if verb == Verb::Scan { key.min(last - scan_keys) } else { key };
        self.version += 1;
        self.writer.write(out, &Draw { verb, key, scan_keys, cursor, version: self.version, word });
        key
    }
}

/// A worker writes fewer values than this many bits count.
const VERSION_COUNT_BITS: u32 = 48;

/// The keys that worker `worker` of `workers` loads: together all, none twice.
#[must_use]
pub fn load_share(keys: u64, worker: u64, workers: u64) -> Range<u64> {
    assert!(worker < workers);
    let border = |worker: u64| {
        let border = u128::from(keys) * u128::from(worker) / u128::from(workers);
        u64::try_from(border).expect("at most the number of keys")
    };
    border(worker)..border(worker + 1)
}

/// A number of requests shared by all workers, claimed in small lots so that the counter is rarely touched.
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Option<Arc<AtomicU64>>,
    claimed: u64,
}

impl Budget {
    /// No end.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { shared: None, claimed: 0 }
    }

    /// Claims from a counter of what is left.
    #[must_use]
    pub const fn shared(left: Arc<AtomicU64>) -> Self {
        Self { shared: Some(left), claimed: 0 }
    }

    /// So many requests, for one worker.
    #[must_use]
    pub fn of(count: u64) -> Self {
        Self::shared(Arc::new(AtomicU64::new(count)))
    }

    /// Requests not taken; nothing when there is no end of them.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        // Relaxed: as in `take`.
        self.shared.as_ref().map(|shared| self.claimed + shared.load(Ordering::Relaxed))
    }

    /// Takes one request, if one is left.
    pub fn take(&mut self) -> bool {
        let Some(shared) = &self.shared else { return true };
        if self.claimed == 0 {
            let claim = |left: u64| Some(left.saturating_sub(REQUEST_CLAIM));
            // Relaxed: the number alone matters, nothing is published with it.
            let before = shared.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).unwrap_or(0);
            self.claimed = before.min(REQUEST_CLAIM);
        }
        let taken = self.claimed > 0;
        self.claimed -= u64::from(taken);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::workload;

    fn generator(set: u32, get: u32, worker: u64) -> Generator {
        generator_of(&format!("--keys 1000 --value-size 8 --ratio {set}:{get}"), worker)
    }

    fn generator_of(line: &str, worker: u64) -> Generator {
        let workload = workload(line);
        let values = ValuePool::new(&workload.values, 42);
        let inserts = workload.operations.draws(Verb::Insert);
        let frontier = inserts.then(|| InsertFrontier::new(workload.keys, 64));
        Generator::new(&workload, values, WorkerSeat { worker, workers: 3 }, frontier, 0)
    }

    fn sets_of(generator: &mut Generator, draws: u32) -> u32 {
        let mut out = Vec::new();
        let set = generator.operations.of(Verb::Set);
        (0..draws)
            .map(|_| {
                out.clear();
                u32::from(generator.write_next(&mut out, &mut Vec::new()).unwrap().operation == set)
            })
            .sum()
    }

    #[test]
    fn inserts_name_new_keys_until_none_is_left() {
        let mut generator = generator_of("--keys 990 --key-size 7 --value-size 8 --mix insert=1", 0);
        let mut out = Vec::new();
        let keys: Vec<u64> = std::iter::from_fn(|| generator.write_next(&mut out, &mut Vec::new()))
            .map(|one| one.key)
            .collect();
        assert_eq!(keys, (990..1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_scan_near_the_end_stays_within_the_keys() {
        let mut generator = generator_of("--keys 10 --mix scan=1 --scan-keys 1..100", 0);
        for _ in 0..1000 {
            let mut out = Vec::new();
            generator.write_next(&mut out, &mut Vec::new()).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!text.contains("000000000010"), "{text}");
        }
    }

    #[test]
    fn kinds_are_drawn_by_weight() {
        assert_eq!(sets_of(&mut generator(0, 1, 0), 10_000), 0);
        assert_eq!(sets_of(&mut generator(1, 0, 0), 10_000), 10_000);
        // 1:10 of 110,000 draws: 10,000 with a standard deviation of 95.
        let sets = sets_of(&mut generator(1, 10, 0), 110_000);
        assert!(sets.abs_diff(10_000) < 400, "{sets}");
    }

    #[test]
    fn the_same_seed_sends_the_same_requests_and_workers_differ() {
        let bytes = |worker| {
            let mut generator = generator(1, 1, worker);
            let mut out = Vec::new();
            (0..100).for_each(|_| assert!(generator.write_next(&mut out, &mut Vec::new()).is_some()));
            out
        };
        assert_eq!(bytes(0), bytes(0));
        assert_ne!(bytes(0), bytes(1));
    }

    #[test]
    fn loading_writes_every_key_once_and_ends() {
        let mut written = Vec::new();
        for worker in 0..3 {
            let mut generator = generator(0, 1, 0);
            generator.load(Some(load_share(1000, worker, 3)));
            let mut out = Vec::new();
            while let Some(written_one) = generator.write_next(&mut out, &mut Vec::new()) {
                assert_eq!(written_one.operation, generator.operations.of(Verb::Set));
                written.push(String::from_utf8_lossy(&out[18..34]).into_owned());
                out.clear();
            }
        }
        written.sort();
        let all: Vec<String> = (0..1000).map(|number| format!("key:{number:012}")).collect();
        assert_eq!(written, all);
    }

    #[test]
    fn a_budget_is_taken_exactly_by_all_workers_together() {
        let left = Arc::new(AtomicU64::new(1000));
        let mut budgets = [Budget::shared(Arc::clone(&left)), Budget::shared(left)];
        let mut taken = 0;
        while budgets.iter_mut().any(Budget::take) {
            taken += 1;
        }
        assert_eq!(taken, 1000);
        assert!(Budget::unlimited().take());
    }
}
