//! What the next request is: all keys in order while loading, else drawn by weight and distribution.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::keys::KeyPicker;
use crate::limits::REQUEST_CLAIM;
use crate::number::low_u32;
use crate::plan::Workload;
use crate::requests::{Operation, RequestWriter};
use crate::rng::Rng;
use crate::values::ValuePool;

/// Writes the requests of one worker, one after the other. Allocates nothing per request.
#[derive(Clone, Debug)]
pub struct Generator {
    writer: RequestWriter,
    picker: KeyPicker,
    rng: Rng,
    /// A draw of 32 bits below this is a SET.
    set_below: u64,
    /// Keys still to be loaded, in order; `None` in a measured phase.
    loading: Option<Range<u64>>,
}

impl Generator {
    /// The generator of worker `worker`.
    #[must_use]
    pub fn new(workload: &Workload, values: ValuePool, worker: u32) -> Self {
        let weights = u64::from(workload.ratio.set) + u64::from(workload.ratio.get);
        assert!(weights > 0, "one kind of request has a weight");
        Self {
            writer: RequestWriter::new(&workload.key_format, workload.keys, values),
            picker: KeyPicker::new(workload.distribution, workload.keys, workload.seed),
            rng: Rng::new(workload.seed, u64::from(worker)),
            set_below: (u64::from(workload.ratio.set) << 32) / weights,
            loading: None,
        }
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

    /// Appends the next request, or gives nothing when all keys are loaded.
    pub fn write_next(&mut self, out: &mut Vec<u8>) -> Option<Operation> {
        let word = self.rng.next_u64();
        let (operation, key) = match &mut self.loading {
            Some(keys) => (Operation::Set, keys.next()?),
            None => {
                let operation = if word >> 32 < self.set_below { Operation::Set } else { Operation::Get };
                (operation, self.picker.pick(&mut self.rng))
            }
        };
        self.writer.write(out, operation, key, low_u32(word));
        Some(operation)
    }
}

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
    use crate::cli::Ratio;
    use crate::keys::{KeyDistribution, KeyFormat};

    fn generator(set: u32, get: u32, worker: u32) -> Generator {
        let workload = Workload {
            ratio: Ratio { set, get },
            keys: 1000,
            distribution: KeyDistribution::Uniform,
            key_format: KeyFormat::new("key:", 16, 1000).unwrap(),
            key_prefix: "key:".to_owned(),
            value_bytes: 8,
            seed: 42,
        };
        Generator::new(&workload, ValuePool::new(8, 42), worker)
    }

    fn sets_of(generator: &mut Generator, draws: u32) -> u32 {
        let mut out = Vec::new();
        (0..draws)
            .map(|_| {
                out.clear();
                u32::from(generator.write_next(&mut out) == Some(Operation::Set))
            })
            .sum()
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
            (0..100).for_each(|_| assert!(generator.write_next(&mut out).is_some()));
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
            while let Some(operation) = generator.write_next(&mut out) {
                assert_eq!(operation, Operation::Set);
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
