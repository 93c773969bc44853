//! Brings a store up, as the engine does: store manifest, logs of all eras, a new era when the number of workers
//! changed. May be cut short by a crash after any completion.
//!
//! Here is the order of a start; `boot/shards.rs` opens the shards, `boot/replay.rs` replays the logs, `boot/eras.rs` reads and
//! changes the store manifest.

mod eras;
mod replay;
mod shards;

pub(super) use shards::empty_shards;

use crate::checkpoint::{ReplayRoom, ShardFiles};
use crate::io::{Fatal, IoDone, IoRequest};
use crate::key::KeyHasher;
use crate::log::recovery::RecoveryStart;
use crate::log::{Log, LogConfig};
use crate::shard::Shard;
use crate::shard_manifest::ShardManifest;
use crate::shard_open::check_reached;
use crate::shard_set::{ShardSet, StorageConfig, first_request_id};
use crate::sim::disk::SimDisk;
use crate::sim::report::SimReport;
use crate::store_manifest::{EraState, StoreManifest};
use crate::testing::HeapPool;
use crate::types::{Term, UnixMs};

/// Identity and secret of every simulated store.
const UUID: [u8; 16] = *b"simulated store!";
const SEED: [u8; 16] = *b"simulated secret";

/// Why a store is not up.
#[derive(Debug)]
pub enum Down {
    /// A crash came in between.
    Crashed,
    /// It refuses: the text, and whether a fault of the disk during the start is the reason.
    Refused {
        /// Why.
        why: String,
        /// An error that the disk reported during this very start, and not what it holds.
        by_error: bool,
    },
}

/// A store that is up.
pub struct Up {
    /// The store manifest as it is on disk.
    pub on_disk: StoreManifest,
    /// Its workers, in the order of their logs.
    pub workers: Vec<ShardSet<HeapPool>>,
    /// Its manifest.
    pub manifest: StoreManifest,
}

/// One start.
pub struct Boot<'a> {
    /// The disk.
    pub disk: &'a mut SimDisk,
    /// What is counted.
    pub report: &'a mut SimReport,
    /// How logs work.
    pub config: LogConfig,
    /// Whether the store, should it be created, has logs.
    pub wal: bool,
    /// Completions before a crash, if there is to be one.
    pub crash_after: Option<u64>,
    /// Workers to run with.
    pub worker_count: u16,
    /// Shards, should the store be created.
    pub shard_count: u16,
    /// The time.
    pub now: UnixMs,
    /// When storage does things of its own accord.
    pub storage: StorageConfig,
    /// Salt of the extents that this run makes.
    pub salt: u32,
    /// Bytes at which extents are sealed.
    pub extent_fill_bytes: usize,
}

type ShardOf = Shard<HeapPool>;
type RoomOf = ReplayRoom<HeapPool>;

impl Boot<'_> {
    /// Checksum seed of the simulated stores' batches.
    #[must_use]
    pub fn checksum_seed() -> u32 {
        let manifest = Self::manifest(UnixMs(0), 1, 1);
        manifest.identity_of(manifest.eras[0].logs[0].log).map_or(0, |identity| identity.checksum_seed)
    }

    /// The manifest of a new store.
    pub(super) fn manifest(now: UnixMs, shards: u16, workers: u16) -> StoreManifest {
        StoreManifest::create(UUID, SEED, now, shards, workers)
    }

    /// What all simulated stores hash keys with.
    pub(super) fn hasher() -> KeyHasher {
        KeyHasher::new(SEED)
    }

    /// Brings the store up.
    ///
    /// # Errors
    /// It is down.
    pub fn run(mut self) -> Result<Up, Down> {
        let mut manifest = self.load_manifest()?;
        self.judge_store(manifest.check_files(self.disk.files.keys().copied()))?;
        let (mut shards, shard_manifests) = self.open_shards(&manifest)?;
        self.judge_store(manifest.check_shards(shard_manifests.iter().map(Option::as_ref)))?;
        let created = |of: Option<ShardManifest>, shard: &ShardOf| {
            of.unwrap_or_else(|| ShardManifest::create(manifest.uuid, shard.id()))
        };
        let new: Vec<bool> = shard_manifests.iter().map(Option::is_none).collect();
        let shard_manifests: Vec<ShardManifest> =
            shard_manifests.into_iter().zip(&shards).map(|(of, shard)| created(of, shard)).collect();
        if manifest.without_log {
            return self.run_without_log(manifest, shards, (shard_manifests, new));
        }
        let mut shard_manifests = shard_manifests;
        // Without a manifest on disk a shard writes nothing yet.
        let mut rooms: Vec<RoomOf> = Vec::new();
        if manifest.shard_manifests {
            let of = |(shard, own): (&ShardOf, &ShardManifest)| {
                ReplayRoom::new(own.clone(), manifest.extent_seal(shard.id()), shard)
            };
            rooms = shards.iter().zip(&shard_manifests).map(of).collect();
        }
        let mut logs = Vec::new();
        let mut term = Term(0);
        for era in manifest.eras.clone() {
            let first_term = Term(term.0 + 1);
            for entry in &era.logs {
                let Some(start) = RecoveryStart::of(&manifest, entry.log, first_term) else {
                    return Err(refused("an era names a log that is none".into()));
                };
                let log = self.recover(start, &mut shards, &mut rooms, &mut term)?;
                logs.extend(log);
            }
        }
        self.settle(&mut rooms, &mut shards, &mut shard_manifests)?;
        for (entry, log) in manifest.current_era().logs.iter().zip(&logs) {
            let own = usize::from(entry.first_shard.0)..usize::from(entry.first_shard.0 + entry.shard_count);
            for (shard, of) in shards[own.clone()].iter().zip(&shard_manifests[own]) {
                check_reached(shard, of, (entry.log, log.appended())).map_err(|error| {
                    self.report.count_shard_refusal(&error);
                    refused(error.to_string())
                })?;
            }
        }
        if !manifest.shard_manifests {
            self.create_shard_manifests(&shard_manifests, &new)?;
            manifest.note_shard_manifests();
            self.write_manifest(&manifest, false)?;
        }
        if manifest.current_era().state == EraState::Opening {
            manifest.mark_open();
            self.write_manifest(&manifest, false)?;
        }
        self.drop_obsolete_eras(&mut manifest, &shard_manifests)?;
        self.disk.remove_obsolete_snapshots(&shard_manifests);
        if logs.len() != usize::from(self.worker_count) {
            logs = self.change_workers(logs, &mut manifest, &mut shards, &mut term)?;
        }
        for (entry, log) in manifest.current_era().logs.iter().zip(&logs) {
            let own = usize::from(entry.first_shard.0)..usize::from(entry.first_shard.0 + entry.shard_count);
            for shard in &mut shards[own] {
                shard.set_term(log.term().max(shard.term()));
            }
        }
        let logs = logs.into_iter().map(Some);
        Ok(self.share_out(manifest, shards, &shard_manifests, logs))
    }

    /// A store without logs: what the shards' snapshots hold is all there is.
    fn run_without_log(
        mut self,
        mut manifest: StoreManifest,
        mut shards: Vec<ShardOf>,
        (shard_manifests, new): (Vec<ShardManifest>, Vec<bool>),
    ) -> Result<Up, Down> {
        if !manifest.shard_manifests {
            self.create_shard_manifests(&shard_manifests, &new)?;
            manifest.note_shard_manifests();
            self.write_manifest(&manifest, false)?;
        }
        self.disk.remove_old_logs(manifest.first_log());
        self.disk.remove_obsolete_snapshots(&shard_manifests);
        let on_disk = manifest.clone();
        manifest.share_out(self.worker_count);
        for shard in &mut shards {
            shard.set_term(Term(shard.term().0 + 1));
        }
        self.report.count("starts without a log");
        let logs = std::iter::repeat_with(|| None);
        let up = self.share_out(manifest, shards, &shard_manifests, logs);
        Ok(Up { on_disk, ..up })
    }

    /// Hands the shards to the workers.
    fn share_out(
        self,
        manifest: StoreManifest,
        shards: Vec<ShardOf>,
        shard_manifests: &[ShardManifest],
        logs: impl Iterator<Item = Option<Log<HeapPool>>>,
    ) -> Up {
        let hasher = KeyHasher::new(manifest.seed);
        let mut shards = shards.into_iter();
        let mut workers = Vec::new();
        for (entry, log) in manifest.current_era().logs.iter().zip(logs) {
            let own: Vec<ShardOf> = shards.by_ref().take(usize::from(entry.shard_count)).collect();
            let files = own.iter().enumerate().map(|(position, shard)| {
                let own = shard_manifests[usize::from(shard.id().0)].clone();
                let seal = manifest.extent_seal(shard.id());
                let mut files = ShardFiles::new(own, seal, first_request_id(position));
                if shard.extents().place_end() > 0 {
                    files.adopt_data_file();
                }
                files
            });
            let files = files.collect();
            let mut set = ShardSet::new(own, hasher, HeapPool, log);
            set.keep_files(files, self.storage);
            set.show_databases(manifest.databases);
            workers.push(set);
        }
        Up { workers, on_disk: manifest.clone(), manifest }
    }

    /// Performs I/O until there is a completion.
    fn step(
        &mut self,
        mut next: impl FnMut() -> Option<IoRequest<HeapPool>>,
    ) -> Result<IoDone<HeapPool>, Down> {
        while let Some(request) = next() {
            self.disk.submit(0, request);
        }
        if let Some(left) = &mut self.crash_after {
            if *left == 0 {
                return Err(Down::Crashed);
            }
            *left -= 1;
        }
        match self.disk.complete_one(self.report) {
            _ if self.disk.is_down() => Err(Down::Crashed),
            Some((_, done)) => Ok(done),
            None => Err(refused("the start hangs: it waits and nothing is in flight".into())),
        }
    }
}

fn refused(why: String) -> Down {
    Down::Refused { why, by_error: false }
}

fn failed(error: Fatal) -> Down {
    Down::Refused { why: error.to_string(), by_error: true }
}
