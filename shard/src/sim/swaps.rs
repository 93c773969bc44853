//! SWAPDB in the simulated store: the manifest is written while everything else goes on, crashes included, and the databases
//! change their numbers when it is durable. What came up shows them as they were last, or, of a swap that was under way, as
//! they were to be.
//!
//! The model knows databases as they are stored; operations ask for them by the number that shows them now.

use crate::databases::DatabaseMap;
use crate::io::{Fatal, FileId, IoDone, IoErrorKind, ManifestCopy};
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
        self.begin_swap(first, second);
    }

    /// Begins a swap of these two databases.
    pub(super) fn begin_swap(&mut self, first: Db, second: Db) {
        let Some(now) = self.on_disk.clone() else { return };
        let mut next = now.clone();
        next.swap_databases(first, second);
        let change = StoreManifestChange::new(&now, &next, HeapPool);
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
        match outcome {
            ChangeOutcome::Changed { stale, again } => {
                if stale.is_some() && self.stale_manifest.is_none() {
                    self.report.count("swaps that found a copy that was not as it had been written");
                }
                if again {
                    self.report.count("swaps of which a write was lost, and was done again");
                }
            }
            ChangeOutcome::Kept { why, .. } if why.error.kind != IoErrorKind::NoSpace => {
                self.report.count("swaps that could not read the store manifest");
                return Ok(());
            }
            ChangeOutcome::Kept { stale, .. } => {
                self.stale_manifest = stale;
                if let Some(now) = &self.on_disk {
                    self.disk.keep_store_manifest(&now.encode(), stale);
                }
                self.report.count(format!("swaps that met a full disk, a copy damaged: {}", stale.is_some()));
                return Ok(());
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::options::{Options, Rates};

    const COPIES: [FileId; 2] =
        [FileId::StoreManifest(ManifestCopy::A), FileId::StoreManifest(ManifestCopy::B)];

    /// A store that is up and in which nothing happens by itself, and a swap of two databases under way.
    fn swapping(seed: u64) -> Driver {
        let options = Options {
            swaps: 1000,
            memory_only: None,
            rates: Rates::default(),
            ..Options::draw(seed, 0, None)
        };
        let mut driver = Driver::new(options);
        driver.start(false).unwrap();
        driver.maybe_swap();
        let writes = |driver: &Driver| {
            driver
                .disk
                .in_flight()
                .is_some_and(|what| what.contains("writ") && what.contains("store.manifest-a"))
        };
        while !writes(&driver) {
            assert!(driver.complete_one().unwrap(), "both copies are looked at first");
        }
        driver
    }

    /// Runs the swap to its end; whether it has come to nothing, and the process goes on.
    fn comes_to_nothing(driver: &mut Driver) -> bool {
        let before = driver.databases;
        while driver.swap.is_some() {
            match driver.complete_one() {
                Ok(completed) => assert!(completed, "it waits for something"),
                Err(_) => return false,
            }
        }
        driver.databases == before
    }

    fn check_that_it_stays_undone(mut driver: Driver) {
        let before = driver.databases;
        driver.crash().unwrap();
        assert_eq!(driver.databases, before);
    }

    #[test]
    fn a_swap_that_a_full_disk_refused_stays_undone_where_its_first_write_was_lost() {
        let mut seen = 0;
        for seed in 0..20 {
            for lost in [true, false] {
                let mut driver = swapping(seed);
                let rates = &mut driver.disk.rates;
                *(if lost { &mut rates.lost_write } else { &mut rates.misdirected_write }) = 100_000;
                assert!(driver.complete_one().unwrap());
                assert!(driver.disk.truth.contains_key(&(COPIES[0], 0)));
                driver.disk.rates = Rates::default();
                driver.disk.toggle_full(&mut driver.report);
                if comes_to_nothing(&mut driver) {
                    seen += 1;
                    check_that_it_stays_undone(driver);
                }
            }
        }
        assert!(seen > 10, "too few: {seen}");
    }

    #[test]
    fn a_swap_that_a_full_disk_refused_stays_undone_where_something_lies_over_what_it_left() {
        let (mut seen, mut whole) = (0, 0);
        for seed in 0..40 {
            let mut driver = swapping(seed);
            driver.disk.toggle_full(&mut driver.report);
            assert!(driver.complete_one().unwrap());
            let Some(next) = driver.swap.as_ref().map(|swap| swap.next.encode()) else {
                unreachable!("begun")
            };
            let left = driver.disk.files[&COPIES[0]].bytes();
            // As a write of another file does that goes astray.
            driver.disk.remember_truth(COPIES[0], 0, &left);
            driver.disk.files.get_mut(&COPIES[0]).unwrap().tamper(0, &vec![7; left.len()]);
            if comes_to_nothing(&mut driver) {
                seen += 1;
                whole += usize::from(left == next);
                assert_eq!(driver.stale_manifest, Some(ManifestCopy::A));
                check_that_it_stays_undone(driver);
            }
        }
        assert!(seen > 10 && whole > 3, "too few: {seen}, {whole}");
    }

    /// What was right when it was looked at, and is covered before the swap has ended, is as it was before.
    #[test]
    fn a_copy_that_counts_should_be_as_it_was_and_a_damaged_one_anything() {
        let mut driver = swapping(0);
        let now = driver.on_disk.as_ref().unwrap().encode();
        for file in COPIES {
            driver.disk.remember_truth(file, 0, &vec![7; now.len()]);
        }
        driver.disk.keep_store_manifest(&now, Some(ManifestCopy::B));
        assert_eq!(driver.disk.truth.get(&(COPIES[0], 0)), Some(&now));
        assert_eq!(driver.disk.truth.len(), 1);
    }
}
