//! Bringing records into memory on a disk that does nothing else, as a start does.

use crate::cold::{Admission, ColdReadError, Need};
use crate::shard_set::{ScanCursor, ShardSet};
use crate::sim::disk::SimDisk;
use crate::sim::report::SimReport;
use crate::testing::HeapPool;
use crate::types::Db;

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
