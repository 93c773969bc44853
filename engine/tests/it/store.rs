//! A store on disk that a test writes to without a daemon: closed in order, or left as a crash leaves it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use engine::blocking_io::perform;
use engine::clock::{Clock, unix_ms};
use engine::disk_store::{self, DiskStoreConfig};
use engine::files::StoreLock;
use engine::manifest_keeper::ManifestKeeper;
use engine::start::WorkerSeed;
use engine::store::slot_owners;
use shard::log::{LogConfig, SyncMethod};
use shard::shard_set::{ScanCursor, StorageConfig};
use shard::types::{Db, UnixMs};

/// Keys by database: value and deadline.
pub(crate) type Content = BTreeMap<(u8, Vec<u8>), (Vec<u8>, Option<u64>)>;

/// An open store.
pub(crate) struct Store {
    seeds: Vec<WorkerSeed>,
    owners: Vec<u16>,
    keeper: ManifestKeeper,
    _lock: StoreLock,
    now_ns: u64,
}

pub(crate) fn config(directory: &Path, shards: u16, workers: u16) -> DiskStoreConfig {
    DiskStoreConfig {
        directory: directory.to_path_buf(),
        workers,
        cpus: Vec::new(),
        shards,
        shards_given: false,
        wal: true,
        log: LogConfig {
            segment_bytes: 128 << 10,
            batch_bytes_max: 64 << 10,
            zero_bytes: 64 << 10,
            read_bytes: 64 << 10,
            sync: SyncMethod::Fdatasync,
            ..LogConfig::default()
        },
        storage: StorageConfig::default(),
    }
}

impl Store {
    pub(crate) fn open(directory: &Path, shards: u16, workers: u16) -> Self {
        Self::try_open(directory, shards, workers).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_open(directory: &Path, shards: u16, workers: u16) -> Result<Self, String> {
        Self::try_open_as(&config(directory, shards, workers)).map(|(store, _)| store)
    }

    /// Opens a store whose shards may take so many bytes of memory together; how many they took at most while it was opened.
    pub(crate) fn open_within(directory: &Path, shards: u16, workers: u16, bytes: u64) -> (Self, u64) {
        let mut config = config(directory, shards, workers);
        config.storage.memory_bytes_max = Some(bytes / u64::from(workers));
        let (store, peak) = Self::try_open_as(&config).unwrap_or_else(|error| panic!("{error}"));
        (store, peak.expect("memory has a bound"))
    }

    /// A store without a log.
    pub(crate) fn open_without_log(directory: &Path, shards: u16, workers: u16) -> Self {
        let config = DiskStoreConfig { wal: false, ..config(directory, shards, workers) };
        Self::try_open_as(&config).map(|(store, _)| store).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_open_as(config: &DiskStoreConfig) -> Result<(Self, Option<u64>), String> {
        let lock = StoreLock::acquire(&config.directory).map_err(|error| error.to_string())?;
        let store = disk_store::open(config, &lock).map_err(|error| error.to_string())?;
        let (owners, _) = slot_owners(&store.open.manifest);
        let peak = store.recovery_memory_bytes_max;
        let (seeds, keeper) = (store.open.seeds, store.open.keeper.expect("a store on disk"));
        Ok((Self { seeds, owners, keeper, _lock: lock, now_ns: Clock::read().now_ns }, peak))
    }

    /// Bytes of memory that all shards take.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.seeds.iter().map(|seed| seed.shards.memory_bytes()).sum()
    }

    fn seed_of(&mut self, key: &[u8]) -> &mut WorkerSeed {
        let slot = shard::slot::slot_of(key);
        &mut self.seeds[usize::from(self.owners[usize::from(slot.0)])]
    }

    pub(crate) fn put(&mut self, db: u8, key: &[u8], value: &[u8], deadline: Option<u64>) {
        let shards = &mut self.seed_of(key).shards;
        let hasher = *shards.hasher();
        shards.put(Db(db), &hasher.key(key), value, deadline.map(UnixMs));
    }

    pub(crate) fn delete(&mut self, db: u8, key: &[u8]) {
        let shards = &mut self.seed_of(key).shards;
        let hasher = *shards.hasher();
        assert!(shards.delete(Db(db), &hasher.key(key), UnixMs(0)));
    }

    pub(crate) fn patch(&mut self, db: u8, key: &[u8], offset: u32, bytes: &[u8]) {
        let shards = &mut self.seed_of(key).shards;
        let hasher = *shards.hasher();
        shards.patch(Db(db), &hasher.key(key), offset, bytes, UnixMs(0));
    }

    /// Two databases change their numbers, durably.
    pub(crate) fn swap(&mut self, first: u8, second: u8) {
        let map = self.keeper.swap_databases(Db(first), Db(second)).unwrap_or_else(|error| panic!("{error}"));
        for seed in &mut self.seeds {
            seed.shards.show_databases(map);
        }
    }

    /// Everything so far is in the log, durably, in batches of its own.
    pub(crate) fn turn(&mut self) {
        self.now_ns += 1_000_000;
        for seed in &mut self.seeds {
            while seed.shards.end_turn(unix_ms(), self.now_ns) | perform_all(seed) {}
        }
    }

    /// Writes the seal: what came before is known to be durable.
    pub(crate) fn idle(&mut self) {
        self.turn();
        self.now_ns += 1_000_000_000;
        for seed in &mut self.seeds {
            seed.shards.log_mut().unwrap().tick(self.now_ns);
            perform_all(seed);
        }
    }

    pub(crate) fn checkpoint(&mut self) {
        for at in 0..self.seeds.len() {
            self.seeds[at].shards.checkpoint();
            while !self.seeds[at].shards.is_checkpointed() {
                self.turn();
            }
        }
        self.turn();
    }

    /// Extents count as full at so many bytes.
    pub(crate) fn fill_extents_to(&mut self, bytes: usize) {
        self.seeds.iter_mut().for_each(|seed| seed.shards.set_extent_fill_bytes(bytes));
    }

    /// Empties every extent with dead bytes; how many bytes of records were moved.
    pub(crate) fn compact(&mut self) -> u64 {
        let mut moved = 0;
        for at in 0..self.seeds.len() {
            self.seeds[at].shards.compact_all();
            while self.seeds[at].shards.compaction_figures().full_total > 0 {
                self.seeds[at].shards.tick(unix_ms(), self.now_ns, 64);
                self.turn();
            }
            moved += self.seeds[at].shards.compaction_figures().moved_bytes;
        }
        moved
    }

    /// A checkpoint of every shard, during which `write` is called again and again with what it has been called before.
    pub(crate) fn checkpoint_amid(&mut self, mut write: impl FnMut(&mut Self, usize)) {
        self.seeds.iter_mut().for_each(|seed| seed.shards.checkpoint());
        for step in 0.. {
            self.now_ns += 1_000_000;
            for seed in &mut self.seeds {
                seed.shards.end_turn(unix_ms(), self.now_ns);
                perform_all(seed);
            }
            if self.seeds.iter().all(|seed| seed.shards.is_checkpointed()) {
                return;
            }
            write(self, step);
        }
    }

    /// Records that the newest snapshots hold beyond their copies of the index.
    pub(crate) fn tail_records(&self) -> u64 {
        let manifests = self.seeds.iter().flat_map(|seed| seed.shards.files()).map(|files| files.manifest());
        let snapshots = manifests.filter_map(|manifest| manifest.snapshot.as_ref());
        snapshots.map(|snapshot| snapshot.end.0 - snapshot.start.lsn.0).sum()
    }

    pub(crate) fn close(mut self) {
        for at in 0..self.seeds.len() {
            self.turn();
            self.seeds[at].shards.begin_close();
            while !self.seeds[at].shards.is_closed() {
                self.turn();
            }
        }
    }

    /// All keys, as far as they are in memory: tests read small stores whole.
    pub(crate) fn content(&mut self) -> Content {
        let mut content = Content::new();
        for seed in &mut self.seeds {
            for db in 0..16 {
                let first = seed.shards.shards()[0].slots().0;
                let mut cursor = ScanCursor::at_slot(first.0);
                loop {
                    let needs = seed.shards.scan_needs(Db(db), cursor, 1000);
                    if seed.shards.admit(0, needs.iter().copied()) == shard::cold::Admission::Parked {
                        perform_all(seed);
                        let (ticket, _, read) = seed.shards.next_called().unwrap();
                        read.unwrap_or_else(|error| panic!("{error}"));
                        cursor = scan(seed, db, cursor, &mut content);
                        seed.shards.finish(ticket);
                    } else {
                        cursor = scan(seed, db, cursor, &mut content);
                    }
                    if cursor == ScanCursor(0) || !cursor.slot().is_some_and(|slot| seed.shards.owns(slot)) {
                        break;
                    }
                }
            }
        }
        content
    }
}

fn scan(seed: &mut WorkerSeed, db: u8, cursor: ScanCursor, content: &mut Content) -> ScanCursor {
    seed.shards.scan(Db(db), cursor, 1000, unix_ms(), &mut |key, found| {
        let deadline = found.deadline.map(|deadline| deadline.0);
        content.insert((db, key.to_vec()), (found.value.to_vec(), deadline));
    })
}

fn perform_all(seed: &mut WorkerSeed) -> bool {
    let mut any = false;
    while let Some(request) = seed.shards.next_io() {
        any = true;
        let done = perform(seed.files.as_mut().unwrap(), request);
        seed.shards.on_io(done).unwrap_or_else(|error| panic!("{error}"));
    }
    any
}

/// Content of several databases, with deadlines and a value above one extent.
pub(crate) fn mixed(keys: usize) -> Content {
    let far = unix_ms().0 + 1_000_000_000;
    let mut content = Content::new();
    for number in 0..keys {
        let db = u8::try_from(number % 3 * 7).unwrap();
        let deadline = number.is_multiple_of(5).then_some(far + number as u64);
        let value = vec![u8::try_from(number % 251).unwrap(); number % 977];
        content.insert((db, format!("key:{number}").into_bytes()), (value, deadline));
    }
    content.insert((15, b"".to_vec()), (b"the empty key".to_vec(), None));
    content.insert((1, b"large".to_vec()), ((0..3_000_000u32).map(|at| at.to_le_bytes()[0]).collect(), None));
    content
}

pub(crate) fn fill(store: &mut Store, content: &Content) {
    for (number, ((db, key), (value, deadline))) in content.iter().enumerate() {
        store.put(*db, key, value, *deadline);
        if number.is_multiple_of(10) {
            store.turn();
        }
    }
    store.turn();
}

/// Names, lengths, times of change and bytes of all files.
pub(crate) fn snapshot(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            (path.clone(), (fs::read(&path).unwrap(), modified))
        })
        .collect()
}
