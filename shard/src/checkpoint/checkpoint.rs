//! One checkpoint of one shard, from its beginning to the removal of the snapshot before it.
//!
//! The order is the rule (the conditions are numbered; each has a test that fails without it):
//! 1. note where the log is: *start*;
//! 2. copy the index, table by table, while the shard goes on; no extent that the copy may point into is lost;
//! 3. seal the open extents and write all extents there are to their places;
//! 4. name them in the snapshot; sync the data file, then the snapshot;
//! 5. wait until the log is durable up to the end of the copy: what the copy holds beyond *start*, a replay reaches;
//! 6. publish the snapshot in both copies of the shard's manifest;
//! 7. only then: the log need not keep records up to *start*, places emptied before the checkpoint began are free,
//!    the snapshot before is removed.
//!
//! Without a log the records between the start and the end of the copy go into the snapshot itself (`snapshot/tail.rs`):
//! condition 4 makes them durable with it, and condition 5 waits for nothing.
//!
//! Source of fuzzy checkpoints: Gray and Reuter, "Transaction Processing", 11.3.

use super::data_file::DataFile;
use crate::extent::Extents;
use crate::index::ExtentNumber;
use crate::io::{BlockPool, IoRequest};
use crate::limits::COPY_TABLES_PER_STEP;
use crate::log::pending_write::RequestIds;
use crate::planted::{self, PlantedBug};
use crate::shard::{Shard, ShardFloor};
use crate::shard_copy::{CopyPlace, CopyStep};
use crate::snapshot::SnapshotWriter;
use crate::types::{BatchNumber, LogId, Lsn};

/// How far a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The index is being copied.
    Copy(CopyPlace),
    /// Extents below this one are being written.
    WriteExtents(ExtentNumber),
    /// The extents are being named in the snapshot: from this position in the table on.
    NameExtents(ExtentNumber, usize),
    /// The data file is being synced.
    SyncData(ExtentNumber),
    /// The snapshot's last bytes are being written, and synced.
    FinishSnapshot(ExtentNumber),
    /// The log is to become durable up to the end of the copy.
    AwaitLog(ExtentNumber),
    /// The manifest is to be written: the caller does it.
    Publish(ExtentNumber),
}

impl Step {
    /// In a word, for people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Copy(_) => "copy",
            Self::WriteExtents(_) => "write-extents",
            Self::NameExtents(..) => "name-extents",
            Self::SyncData(_) => "sync-data",
            Self::FinishSnapshot(_) => "finish-snapshot",
            Self::AwaitLog(_) => "await-log",
            Self::Publish(_) => "publish",
        }
    }
}

/// What the log has told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogState {
    /// Which log; 0: there is none.
    pub(crate) log: LogId,
    /// Highest batch number given out.
    pub(crate) appended: BatchNumber,
    /// Highest batch number that survives power loss.
    pub(crate) durable: BatchNumber,
}

/// A checkpoint under way.
pub(super) struct Checkpoint<P: BlockPool> {
    pub(super) number: u32,
    pub(super) start: ShardFloor,
    /// Highest batch number given out at the start: it may hold later records.
    pub(super) start_batch: BatchNumber,
    /// The last record that the copy may hold, once it is complete, and the batch that holds it.
    pub(super) end: (Lsn, BatchNumber),
    pub(super) step: Step,
    pub(super) writer: SnapshotWriter<P>,
    /// Whether there is no log: what is written while the copy runs goes into the snapshot.
    keeps_tail: bool,
    syncing: bool,
    pub(super) entries: u64,
}

impl<P: BlockPool> Checkpoint<P> {
    /// Condition 1.
    pub(super) fn begin(number: u32, shard: &mut Shard<P>, log: LogState, writer: SnapshotWriter<P>) -> Self {
        shard.extents_mut().begin_checkpoint();
        Self {
            number,
            start: shard.copy_start(),
            start_batch: log.appended,
            end: (Lsn::ZERO, BatchNumber::ZERO),
            step: Step::Copy(CopyPlace::default()),
            writer,
            keeps_tail: log.log == LogId(0),
            syncing: false,
            entries: 0,
        }
    }
}

/// What the files of a shard lend a checkpoint for a step.
pub(super) struct Tools<'a, P: BlockPool> {
    pub(super) data: &'a mut DataFile<P>,
    /// Whether there is a data file at all: a shard that never had a record has none.
    pub(super) has_data: bool,
    pub(super) ids: &'a mut RequestIds,
    pub(super) requests: &'a mut std::collections::VecDeque<IoRequest<P>>,
    pub(super) pool: &'a mut P,
}

impl<P: BlockPool> Checkpoint<P> {
    /// One bounded step. True: there is more to do at once; false: it waits for a completion, or for the log.
    pub(super) fn advance(&mut self, shard: &mut Shard<P>, log: LogState, tools: &mut Tools<'_, P>) -> bool {
        if self.writer.has_no_space() {
            return false;
        }
        match self.step {
            Step::Copy(place) => self.copy(shard, place, log, tools),
            Step::WriteExtents(limit) => {
                if !shard.extents().is_written_below(limit)
                    && !planted::is(PlantedBug::PublishBeforeExtentsWritten)
                {
                    return false;
                }
                self.step = Step::NameExtents(limit, 0);
                true
            }
            Step::NameExtents(limit, position) => self.name_extents(shard.extents(), limit, position, tools),
            Step::SyncData(_) => {
                if !tools.has_data || planted::is(PlantedBug::PublishBeforeDataSync) {
                    self.on_data_synced(tools.pool, tools.ids);
                    return true;
                }
                // Extents that were sealed since the copy ended may be under way: the sync waits for them too.
                if !self.syncing && tools.data.is_idle() {
                    self.syncing = true;
                    tools.requests.push_back(tools.data.sync(tools.ids));
                }
                false
            }
            Step::FinishSnapshot(limit) => {
                if !self.writer.is_finished() {
                    return false;
                }
                self.step = Step::AwaitLog(limit);
                true
            }
            Step::AwaitLog(limit) => {
                if log.durable < self.end.1 && !planted::is(PlantedBug::PublishBeforeLogDurable) {
                    return false;
                }
                self.step = Step::Publish(limit);
                true
            }
            Step::Publish(_) => false,
        }
    }

    /// Condition 2, and at its end condition 3.
    fn copy(
        &mut self,
        shard: &mut Shard<P>,
        mut place: CopyPlace,
        log: LogState,
        tools: &mut Tools<'_, P>,
    ) -> bool {
        for _ in 0..COPY_TABLES_PER_STEP {
            if !self.writer.is_ready() {
                self.step = Step::Copy(place);
                return false;
            }
            match shard.copy_step(&self.start, place) {
                CopyStep::Table(keyspace, slot, table, next) => {
                    self.entries += table.len() as u64;
                    let entries = table.iter().copied();
                    self.writer.push_table(keyspace, slot, table.len(), entries, tools.pool, tools.ids);
                    place = next;
                }
                CopyStep::Empty(next) => place = next,
                CopyStep::Done => {
                    self.end = (shard.lsn(), log.appended);
                    if self.keeps_tail {
                        self.writer.end_tail(shard.lsn(), tools.pool, tools.ids);
                    }
                    if planted::is(PlantedBug::ReplayFromEnd) {
                        self.start = shard.copy_start();
                    }
                    let limit = shard.extents_mut().seal_all(tools.pool);
                    self.step = Step::WriteExtents(limit);
                    return true;
                }
            }
        }
        self.step = Step::Copy(place);
        true
    }

    /// Condition 4, first half.
    fn name_extents(
        &mut self,
        extents: &Extents<P>,
        limit: ExtentNumber,
        position: usize,
        tools: &mut Tools<'_, P>,
    ) -> bool {
        const EXTENTS_PER_STEP: usize = 512;
        let mut position = position;
        for extent in extents.on_disk_below(limit).skip(position).take(EXTENTS_PER_STEP) {
            if !self.writer.is_ready() {
                self.step = Step::NameExtents(limit, position);
                return false;
            }
            self.writer.push_extent(&extent, tools.pool, tools.ids);
            position += 1;
        }
        let done = extents.on_disk_below(limit).nth(position).is_none();
        self.step = if done { Step::SyncData(limit) } else { Step::NameExtents(limit, position) };
        true
    }

    /// Whether a record that is written now belongs to what the snapshot promises, and no log holds it.
    pub(super) fn takes_records(&self) -> bool {
        self.keeps_tail && matches!(self.step, Step::Copy(_)) && !self.writer.has_no_space()
    }

    /// Whether it was given up, and nothing of it is in flight any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.writer.has_no_space() && self.writer.is_idle() && !self.syncing
    }

    /// Whether it waits for extents to be written.
    pub(super) fn awaits_extents(&self) -> bool {
        matches!(self.step, Step::WriteExtents(_))
    }

    /// The sync of the data file is done: now the snapshot may be finished, which syncs it.
    pub(super) fn on_data_synced(&mut self, pool: &mut P, ids: &mut RequestIds) {
        self.syncing = false;
        if self.writer.has_no_space() {
            return;
        }
        let Step::SyncData(limit) = self.step else { unreachable!("the sync was asked for in this step") };
        self.writer.finish(pool, ids);
        self.step = Step::FinishSnapshot(limit);
    }
}
