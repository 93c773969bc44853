//! SWAPDB in the simulated store: the manifest is written while everything else goes on, crashes included, and the databases
//! change their numbers when it is durable. What came up shows them as they were last, or, of a swap that was under way, as
//! they were to be.
//!
//! The model knows databases as they are stored; operations ask for them by the number that shows them now.

use crate::databases::DatabaseMap;
use crate::io::{Fatal, FileId, IoDone, ManifestCopy};
use crate::limits::DATABASE_COUNT;
use crate::sim::disk::Files;
use crate::sim::driver::Driver;
use crate::store_manifest::StoreManifest;
use crate::store_manifest_change::{ChangeOutcome, StoreManifestChange};
use crate::testing::HeapPool;
use crate::types::{Db, StoredDb};

/// Who asks the disk for the store manifest's writes.
pub(super) const STORE: usize = usize::MAX;

/// A swap that is being written.
pub(super) struct Swap {
    change: StoreManifestChange<HeapPool>,
    next: StoreManifest,
}

impl Driver {
    /// The number that shows a stored database.
    pub(super) fn db(&self, stored: u8) -> Db {
        self.databases.shown_as(StoredDb(stored))
    }

    /// Begins a swap of two databases, now and then.
    pub(super) fn maybe_swap(&mut self) {
        if self.swap.is_some() || !self.swap_rng.chance(self.options.swaps) {
            return;
        }
        // Operations use few databases: most swaps concern one of them.
        let first = if self.swap_rng.chance(700) { self.db(0) } else { self.any_db() };
        let second = self.any_db();
        let Some(now) = self.on_disk.clone() else { return };
        let mut next = now.clone();
        next.swap_databases(first, second);
        let change = StoreManifestChange::new(&now, &next, self.stale_manifest, HeapPool);
        self.swap = Some(Swap { change, next });
        self.submit_swap();
    }

    fn any_db(&mut self) -> Db {
        Db(u8::try_from(self.swap_rng.below(u64::from(DATABASE_COUNT))).unwrap_or(0))
    }

    fn submit_swap(&mut self) {
        let Some(swap) = &mut self.swap else { return };
        while let Some(request) = swap.change.next_io() {
            self.disk.submit(STORE, request);
        }
    }

    /// A write or sync of the store manifest has ended.
    pub(super) fn on_swap_io(&mut self, done: IoDone<HeapPool>) -> Result<(), Fatal> {
        let Some(swap) = &mut self.swap else { unreachable!("nobody else writes it") };
        let Some(outcome) = swap.change.on_io(done)? else {
            self.submit_swap();
            return Ok(());
        };
        let Some(Swap { next, .. }) = self.swap.take() else { unreachable!("looked at above") };
        if let ChangeOutcome::Kept { stale, .. } = outcome {
            self.stale_manifest = stale;
            self.report.count(format!("swaps that met a full disk, a copy damaged: {}", stale.is_some()));
            return Ok(());
        }
        self.stale_manifest = None;
        self.databases = next.databases;
        for worker in &mut self.workers {
            worker.show_databases(next.databases);
        }
        self.on_disk = Some(next);
        self.report.count("swaps");
        Ok(())
    }

    /// Whether what came up may show databases like this.
    pub(super) fn check_databases(&self, came_up: DatabaseMap) -> Result<(), String> {
        let under_way = self.swap.as_ref().map(|swap| swap.next.databases);
        if came_up == self.databases || under_way == Some(came_up) {
            return Ok(());
        }
        Err(format!("databases came up as {came_up:?}, not {:?} or {under_way:?}", self.databases))
    }

    /// Whether at least one copy of the store manifest is as it should be.
    pub(super) fn has_store_manifest(&self, is: &Files) -> bool {
        let mut copies = [ManifestCopy::A, ManifestCopy::B].into_iter();
        copies.any(|copy| {
            let file = &FileId::StoreManifest(copy);
            let bytes = |files: &Files| files.get(file).map(|file| file.bytes());
            self.stale_manifest != Some(copy) && bytes(is).is_some() && bytes(is) == bytes(&self.disk.files)
        })
    }

    /// What came up is what counts: a swap that was under way is done, or never was.
    pub(super) fn take_databases(&mut self, on_disk: StoreManifest) -> Result<(), String> {
        self.check_databases(on_disk.databases)?;
        if let Some(swap) = self.swap.take() {
            let outcome = if on_disk.databases == swap.next.databases { "done" } else { "undone" };
            self.report.count(format!("swaps that a crash cut: {outcome}"));
        }
        self.databases = on_disk.databases;
        self.on_disk = Some(on_disk);
        self.stale_manifest = None;
        Ok(())
    }
}
