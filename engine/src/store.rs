//! Opens a store: in memory, or from its directory with recovery of all logs, and shares its shards among workers.

use std::io;
use std::ops::Range;

use shard::key::KeyHasher;
use shard::shard_set::ShardSet;
use shard::store_manifest::StoreManifest;
use shard::types::{SLOT_COUNT, ShardId, Slot, Term};

use crate::Shard;
use crate::clock::unix_ms;
use crate::manifest_keeper::ManifestKeeper;
use crate::pool::Pool;
use crate::start::WorkerSeed;

/// Shards of a store, shared among workers.
pub struct OpenStore {
    /// What the store consists of, and how its shards are shared among the workers.
    pub manifest: StoreManifest,
    /// Changes the manifest while the store serves; none in memory.
    pub keeper: Option<ManifestKeeper>,
    /// What each worker starts from.
    pub seeds: Vec<WorkerSeed>,
}

/// Slots of a shard.
#[must_use]
pub fn slots_of(manifest: &StoreManifest, shard: ShardId) -> Range<u16> {
    let first = manifest.first_slots[usize::from(shard.0)].0;
    let end = manifest.first_slots.get(usize::from(shard.0) + 1).map_or(SLOT_COUNT, |slot| slot.0);
    first..end
}

/// The worker and the shard of each slot.
#[must_use]
pub fn slot_owners(manifest: &StoreManifest) -> (Vec<u16>, Vec<u16>) {
    let logs = &manifest.current_era().logs;
    (0..SLOT_COUNT)
        .map(|slot| {
            let shard = manifest.shard_of(Slot(slot));
            let owner = logs
                .iter()
                .position(|log| shard >= log.first_shard && shard.0 - log.first_shard.0 < log.shard_count);
            let owner = owner.expect("every shard is in one log of the era");
            (u16::try_from(owner).expect("workers are fewer than shards"), shard.0)
        })
        .unzip()
}

/// A store in memory: nothing of it survives the process, and there is no file.
///
/// # Errors
/// When there is no randomness for the key hash's seed.
pub fn open_in_memory(shard_count: u16, workers: u16, cpus: &[usize]) -> io::Result<OpenStore> {
    let manifest = StoreManifest::create(random_bytes()?, random_bytes()?, unix_ms(), shard_count, workers);
    let hasher = KeyHasher::new(manifest.seed);
    let seeds = manifest
        .current_era()
        .logs
        .iter()
        .enumerate()
        .map(|(index, log)| {
            let shards = (log.first_shard.0..log.first_shard.0 + log.shard_count)
                .map(|id| Shard::new(ShardId(id), slots_of(&manifest, ShardId(id)), Term(1), unix_ms()))
                .collect();
            let pool = Pool::new(0, 0)?;
            let shards = ShardSet::new(shards, hasher, pool.clone(), None);
            Ok(WorkerSeed { shards, files: None, pool, cpu: cpus.get(index).copied() })
        })
        .collect::<io::Result<Vec<_>>>()?;
    Ok(OpenStore { manifest, keeper: None, seeds })
}

/// Random bytes of the operating system.
///
/// # Errors
/// When there are none to be had.
pub fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    use std::io::Read;
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
