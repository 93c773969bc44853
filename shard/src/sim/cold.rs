//! Bringing records into memory before an operation looks at them, as the daemon does with commands.

use crate::cold::{Admission, ColdReadError, ColdReadProblem, Need};
use crate::shard_set::{ScanCursor, ShardSet};
use crate::sim::disk::SimDisk;
use crate::sim::driver::Driver;
use crate::sim::model::ModelKey;
use crate::sim::report::SimReport;
use crate::testing::HeapPool;
use crate::types::Db;

/// Completions within which a read must come.
const READ_STEPS_MAX: u64 = 100_000;

impl Driver {
    /// Brings what an operation on these keys looks at into memory. False: it is not to run, because a read failed for a
    /// reason, or the process has to end.
    pub(super) fn bring(&mut self, worker: usize, keys: &[&ModelKey]) -> Result<bool, String> {
        let set = &mut self.workers[worker];
        let needs: Vec<Need> = keys
            .iter()
            .map(|key| {
                let full = set.key(&key.1);
                Need::Key { db: Db(key.0), slot: full.slot, hash: full.hash }
            })
            .collect();
        if set.admit(0, needs.iter().copied()) == Admission::Run {
            return Ok(true);
        }
        self.report.count("operations that waited for reads");
        self.submit_all();
        for _ in 0..READ_STEPS_MAX {
            if let Some((ticket, _, result)) = self.workers[worker].next_called() {
                if let Err(error) = result {
                    self.workers[worker].finish(ticket);
                    return self.excuse(error).map(|()| false);
                }
                self.ticket = Some((worker, ticket));
                return Ok(true);
            }
            match self.complete_one() {
                Ok(true) => {}
                Ok(false) => return Err("a read hangs: nothing is in flight".into()),
                Err(_) => {
                    self.must_abort = true;
                    return Ok(false);
                }
            }
        }
        Err("a read does not end".into())
    }

    /// Whether a record may be unreadable: the drive said so, or a write was lost or went astray.
    fn excuse(&mut self, error: ColdReadError) -> Result<(), String> {
        self.report.count("operations answered with a read error");
        let faulty = matches!(error.problem, ColdReadProblem::Io(_)) || !self.disk.truth.is_empty();
        if faulty { Ok(()) } else { Err(format!("a record cannot be read back: {error}")) }
    }
}

/// Brings what a scan from `cursor` on looks at into memory, on a disk that does nothing else.
pub(super) fn bring_scan(
    set: &mut ShardSet<HeapPool>,
    owner: usize,
    disk: &mut SimDisk,
    report: &mut SimReport,
    (db, cursor, count): (Db, ScanCursor, usize),
) -> Result<(), ColdReadError> {
    loop {
        let needs = set.scan_needs(db, cursor, count);
        if bring_needs(set, owner, disk, report, &needs)? {
            return Ok(());
        }
    }
}

/// Brings these into memory, on a disk that does nothing else. True: they were there already.
pub(super) fn bring_needs(
    set: &mut ShardSet<HeapPool>,
    owner: usize,
    disk: &mut SimDisk,
    report: &mut SimReport,
    needs: &[Need],
) -> Result<bool, ColdReadError> {
    if set.admit(0, needs.iter().copied()) == Admission::Run {
        return Ok(true);
    }
    loop {
        if let Some((ticket, _, result)) = set.next_called() {
            set.finish(ticket);
            return result.map(|()| false);
        }
        while let Some(request) = set.next_read() {
            disk.submit(owner, request);
        }
        let Some((of, done)) = disk.complete_one(report) else { unreachable!("a read is in flight") };
        assert_eq!(of, owner, "nothing else is in flight");
        set.on_io(done).expect("a read is never fatal");
    }
}
