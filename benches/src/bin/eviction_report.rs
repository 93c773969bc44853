//! Hit rates of eviction on one trace: Ouro's store in memory, Redis's sampled LRU, and exact LRU, each with room for
//! as many keys. Prints JSON.
//!
//! A client asks for keys drawn by a Zipf law and sets those that are missing, as one does with a cache. Ouro runs
//! under `--maxmemory`; the keys that it held on average are the room that the other two get, so that what is compared
//! is the choice of victims and not the memory that a key takes. Redis's clock is taken to be exact, which favours it:
//! the real one counts seconds. Source of its scheme: `evict.c` of Redis (a pool of 16, 5 samples per eviction).

#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::collections::{BTreeMap, HashMap};

use benches::rng::Rng;
use clap::Parser;
use serde::Serialize;
use shard::eviction::{EvictionPolicy, MemoryLimit};
use shard::key::KeyHasher;
use shard::shard::Shard;
use shard::shard_set::ShardSet;
use shard::testing::HeapPool;
use shard::types::{Db, SLOT_COUNT, ShardId, Term, UnixMs};

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const SHARDS: u16 = 8;

/// Compares hit rates of eviction policies on one trace.
#[derive(Parser)]
struct Arguments {
    /// Different keys
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Requests; the second half is counted
    #[arg(long, default_value_t = 6_000_000)]
    requests: u64,
    /// Bytes of a value
    #[arg(long, default_value_t = 200)]
    value_bytes: usize,
    /// Exponent of the Zipf law
    #[arg(long, default_value_t = 0.99)]
    zipf: f64,
    /// Memory limit in bytes
    #[arg(long, default_value_t = 32 << 20)]
    maxmemory: u64,
    /// Seed of the trace
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The popular keys are others after so many requests; 0 is never
    #[arg(long, default_value_t = 0)]
    shift_every: u64,
}

/// The trace: which key is asked for.
struct Trace {
    cumulative: Vec<f64>,
    rng: Rng,
    shift_every: u64,
    at: u64,
}

impl Trace {
    #[expect(clippy::cast_precision_loss, reason = "ranks are small numbers")]
    fn new(arguments: &Arguments) -> Self {
        let mut sum = 0.0;
        let weights = (1..=arguments.keys).map(|rank| (rank as f64).powf(-arguments.zipf));
        let cumulative = weights.map(|weight| {
            sum += weight;
            sum
        });
        let cumulative = cumulative.collect();
        Self { cumulative, rng: Rng::new(arguments.seed, 0), shift_every: arguments.shift_every, at: 0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits are enough of a random number")]
    fn next(&mut self) -> u64 {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let point = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
        let rank = self.cumulative.partition_point(|&sum| sum < point) as u64;
        let era = self.at.checked_div(self.shift_every).unwrap_or(0);
        self.at += 1;
        let count = self.cumulative.len() as u64;
        (rank + era * (count / 10)) % count
    }
}

/// Redis's approximation of LRU.
struct SampledLru {
    room: usize,
    slots: Vec<u64>,
    /// Place in `slots`, and when last used.
    keys: HashMap<u64, (usize, u64)>,
    /// (idle time when sampled, key), the most idle last.
    pool: Vec<(u64, u64)>,
    rng: Rng,
    now: u64,
}

const POOL: usize = 16;
const SAMPLES: usize = 5;

impl SampledLru {
    fn new(room: usize) -> Self {
        Self { room, slots: Vec::new(), keys: HashMap::new(), pool: Vec::new(), rng: Rng::new(7, 7), now: 0 }
    }

    fn ask(&mut self, key: u64) -> bool {
        self.now += 1;
        if let Some((_, used)) = self.keys.get_mut(&key) {
            *used = self.now;
            return true;
        }
        while self.slots.len() >= self.room {
            self.evict();
        }
        self.keys.insert(key, (self.slots.len(), self.now));
        self.slots.push(key);
        false
    }

    fn evict(&mut self) {
        loop {
            for _ in 0..SAMPLES {
                let at = usize::try_from(self.rng.below(self.slots.len() as u64)).unwrap_or(0);
                let key = self.slots[at];
                let idle = self.now - self.keys[&key].1;
                if self.pool.iter().any(|&(_, other)| other == key) {
                    continue;
                }
                let place = self.pool.partition_point(|&(other, _)| other < idle);
                if self.pool.len() == POOL {
                    if place == 0 {
                        continue;
                    }
                    self.pool.insert(place, (idle, key));
                    self.pool.remove(0);
                } else {
                    self.pool.insert(place, (idle, key));
                }
            }
            while let Some((_, key)) = self.pool.pop() {
                if let Some((place, _)) = self.keys.remove(&key) {
                    self.slots.swap_remove(place);
                    if let Some(&moved) = self.slots.get(place)
                        && let Some((at, _)) = self.keys.get_mut(&moved)
                    {
                        *at = place;
                    }
                    return;
                }
            }
        }
    }
}

/// LRU as it would be with unlimited bookkeeping.
struct ExactLru {
    room: usize,
    by_key: HashMap<u64, u64>,
    by_time: BTreeMap<u64, u64>,
    now: u64,
}

impl ExactLru {
    fn ask(&mut self, key: u64) -> bool {
        self.now += 1;
        let old = self.by_key.insert(key, self.now);
        if let Some(old) = old {
            self.by_time.remove(&old);
        } else if self.by_key.len() > self.room
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.by_key.remove(&oldest);
        }
        self.by_time.insert(self.now, key);
        old.is_some()
    }
}

#[derive(Serialize)]
struct Report {
    keys: u64,
    requests: u64,
    value_bytes: usize,
    zipf: f64,
    maxmemory: u64,
    seed: u64,
    shift_every: u64,
    results: Vec<Outcome>,
}

#[derive(Serialize)]
struct Outcome {
    policy: String,
    /// Keys that Ouro held, on average over the second half: the room of the other two.
    keys_held: u64,
    /// Most memory it took.
    memory_bytes_max: u64,
    hit_percent: f64,
    redis_sampled_lru_hit_percent: f64,
    exact_lru_hit_percent: f64,
}

#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn percent(hits: u64, of: u64) -> f64 {
    (hits as f64 * 10_000.0 / of as f64).round() / 100.0
}

fn count_hits(arguments: &Arguments, mut ask: impl FnMut(u64) -> bool) -> u64 {
    let mut trace = Trace::new(arguments);
    let half = arguments.requests / 2;
    (0..arguments.requests).map(|at| u64::from(ask(trace.next()) && at >= half)).sum()
}

fn run(arguments: &Arguments, policy: EvictionPolicy) -> Outcome {
    let width = SLOT_COUNT / SHARDS;
    let shards = (0..SHARDS).map(|id| Shard::new(ShardId(id), id * width..(id + 1) * width, Term(1), NOW));
    let mut set = ShardSet::new(shards.collect(), KeyHasher::new([3; 16]), HeapPool, None);
    set.set_memory_limit(MemoryLimit { bytes: arguments.maxmemory, policy });
    let value = vec![b'x'; arguments.value_bytes];
    let (mut at, mut held, mut looks, mut memory_bytes_max) = (0, 0, 0, 0);
    let hits = count_hits(arguments, |number| {
        at += 1;
        let name = format!("key:{number:012}");
        let key = set.key(name.as_bytes());
        let hit = set.lookup(Db(0), &key, NOW).is_some();
        if !hit && set.make_room(value.len() as u64 + 40, NOW) {
            set.put(Db(0), &key, &value, None);
        }
        let _ = set.take_barrier();
        if at % 32 == 0 {
            set.tick(NOW, 0, 8);
        }
        if at % 1_000 == 0 {
            memory_bytes_max = set.memory_bytes().max(memory_bytes_max);
            if at > arguments.requests / 2 {
                held += set.key_count(Db(0));
                looks += 1;
                let _ = set.take_barrier();
            }
        }
        hit
    });
    let keys_held = held / looks.max(1);
    let room = usize::try_from(keys_held).unwrap_or(usize::MAX);
    let mut redis = SampledLru::new(room);
    let redis_hits = count_hits(arguments, |key| redis.ask(key));
    let mut exact = ExactLru { room, by_key: HashMap::new(), by_time: BTreeMap::new(), now: 0 };
    let exact_hits = count_hits(arguments, |key| exact.ask(key));
    let counted = arguments.requests - arguments.requests / 2;
    Outcome {
        policy: policy.to_string(),
        keys_held,
        memory_bytes_max,
        hit_percent: percent(hits, counted),
        redis_sampled_lru_hit_percent: percent(redis_hits, counted),
        exact_lru_hit_percent: percent(exact_hits, counted),
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let policies = [EvictionPolicy::AllKeysLru, EvictionPolicy::AllKeysLfu, EvictionPolicy::AllKeysRandom];
    let results = policies.into_iter().map(|policy| run(&arguments, policy)).collect();
    let report = Report {
        keys: arguments.keys,
        requests: arguments.requests,
        value_bytes: arguments.value_bytes,
        zipf: arguments.zipf,
        maxmemory: arguments.maxmemory,
        seed: arguments.seed,
        shift_every: arguments.shift_every,
        results,
    };
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
