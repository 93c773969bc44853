//! Work of the storage that somebody asked for and waits for: a checkpoint of all shards, the log's next segment, a
//! log with nothing in it that is not needed, a full compaction, a round of the scrub.
//!
//! A task is begun once and looked at after every turn; the turns do the work. It waits for nothing that another
//! task could hold back, so any number of them may run at a time.

use super::ShardSet;
use crate::checkpoint::ShardFiles;
use crate::io::BlockPool;
use crate::log::{Log, LogSpace};
use crate::types::BatchNumber;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// A checkpoint of every shard that begins after the request: everything written before is in it.
    Checkpoint,
    /// The log goes on in its next segment, unless the current one holds nothing.
    RotateLog,
    /// As both, and then every segment file that no shard needs is deleted. Nothing is lost.
    ClearLog,
    /// A full compaction of every shard.
    Compact,
    /// Everything in the data file of every shard is read back and verified.
    Scrub,
    /// All that is appended to the log survives power loss, whatever the sync policy.
    FlushLog,
}

/// Why a task cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// There is nothing on disk.
    #[error("the store is in memory only: there is nothing to save to")]
    NoStorage,
    /// There is no log.
    #[error("there is no write-ahead log")]
    NoLog,
    /// There is no room for the next segment.
    #[error("the disk is too full for another log segment: free space on the file system of the store")]
    NoSpace,
    /// There is no room for a snapshot, and no log holds what it was to hold.
    #[error("the disk is too full for a snapshot: free space on the file system of the store")]
    NoSpaceForSnapshot,
    /// The store is being closed.
    #[error("the store is being closed")]
    Closing,
}

/// What a task waits for.
#[derive(Debug)]
enum Wait {
    /// Each shard has published so many checkpoints. So many had been given up before.
    Checkpoints(Vec<u64>, u64),
    /// The log is in this segment, or a later one.
    Segment(u64),
    /// The full compactions have ended.
    Compaction,
    /// The rounds of the scrub that were asked for have ended.
    Scrub,
    /// The log is durable up to this batch.
    Durable(BatchNumber),
    /// Segments before this one have left the log's manifest, no file is free, and what went is deleted.
    Dropped(u64),
    /// Nothing.
    Nothing,
}

/// A task under way.
#[derive(Debug)]
pub struct StorageTask {
    kind: TaskKind,
    wait: Wait,
    /// The segment that the log was to go on in.
    segment: u64,
}

impl StorageTask {
    /// Begins a task.
    ///
    /// # Errors
    /// When there is nothing it could be done to.
    pub fn begin<P: BlockPool>(kind: TaskKind, set: &mut ShardSet<P>) -> Result<Self, TaskError> {
        if set.is_closing() || set.log.as_ref().is_some_and(Log::is_shutting_down) {
            return Err(TaskError::Closing);
        }
        let mut segment = 0;
        let wait = match kind {
            TaskKind::Checkpoint => set.ask_for_checkpoints()?,
            TaskKind::Compact => {
                set.compact_all();
                Wait::Compaction
            }
            TaskKind::Scrub => {
                set.storage.as_ref().ok_or(TaskError::NoStorage)?;
                set.scrub_all();
                Wait::Scrub
            }
            TaskKind::FlushLog => {
                let log = set.log.as_mut().ok_or(TaskError::NoLog)?;
                log.want_durable(log.appended());
                Wait::Durable(log.appended())
            }
            TaskKind::RotateLog | TaskKind::ClearLog => {
                let log = set.log.as_mut().ok_or(TaskError::NoLog)?;
                segment = log.generation() + u64::from(log.has_batches());
                log.rotate();
                Wait::Segment(segment)
            }
        };
        Ok(Self { kind, wait, segment })
    }

    /// Looks at it after a turn. Whether it is done.
    ///
    /// # Errors
    /// When it cannot go on; what was done of it stays.
    pub fn step<P: BlockPool>(&mut self, set: &mut ShardSet<P>) -> Result<bool, TaskError> {
        if matches!(self.wait, Wait::Dropped(_))
            && let Some(log) = &mut set.log
        {
            // Again and again: another task that has ended has let files be kept.
            log.drop_free_files(true);
        }
        if let Wait::Segment(next) = self.wait
            && let Some(log) = set.log.as_mut().filter(|log| log.generation() < next)
        {
            // Again: what found no room is given up, and there may be room now.
            log.rotate();
        }
        if let Wait::Checkpoints(wanted, _) = &self.wait
            && set.log.is_some()
        {
            // Again: one that found no room was given up, and there may be room now.
            set.ask_for_missing_checkpoints(wanted);
        }
        // One step leads to the next within a turn where nothing has to be waited for.
        while self.is_over(set)? {
            self.wait = match (self.kind, &self.wait) {
                (TaskKind::ClearLog, Wait::Segment(_)) => {
                    if let Some(log) = &mut set.log {
                        // The segment of the batch at a floor is kept: so that none is the last of the one before.
                        log.seal();
                    }
                    set.ask_for_checkpoints()?
                }
                (TaskKind::ClearLog, Wait::Checkpoints(..)) => Wait::Dropped(self.segment),
                (TaskKind::ClearLog, Wait::Dropped(_)) => {
                    if let Some(log) = &mut set.log {
                        log.drop_free_files(false);
                    }
                    Wait::Nothing
                }
                _ => return Ok(true),
            };
        }
        Ok(false)
    }

    fn is_over<P: BlockPool>(&self, set: &ShardSet<P>) -> Result<bool, TaskError> {
        let log = set.log.as_ref();
        Ok(match &self.wait {
            Wait::Nothing => true,
            Wait::Durable(batch) => log.is_none_or(|log| log.durable() >= *batch),
            Wait::Compaction => set.compaction_figures().full_total == 0,
            Wait::Scrub => set.scrub_figures().asked == 0,
            // With a log nothing is lost: it holds on until a checkpoint finds room.
            Wait::Checkpoints(_, given_up) if log.is_none() && set.given_up() > *given_up => {
                return Err(TaskError::NoSpaceForSnapshot);
            }
            Wait::Checkpoints(wanted, _) => {
                set.files().iter().zip(wanted).all(|(files, wanted)| files.figures().published >= *wanted)
            }
            Wait::Segment(next) => match log {
                Some(log) if log.generation() >= *next && log.has_start_file() => true,
                Some(log) if matches!(log.space(), LogSpace::Low { .. }) => return Err(TaskError::NoSpace),
                Some(log) if log.is_shutting_down() => return Err(TaskError::Closing),
                _ => false,
            },
            Wait::Dropped(first) => {
                let is_clear = |log: &Log<P>| {
                    log.oldest_generation() >= *first && !log.has_free_files() && !log.is_deleting()
                };
                log.is_none_or(is_clear)
            }
        })
    }
}

impl<P: BlockPool> ShardSet<P> {
    /// Asks for a checkpoint of every shard: what that waits for.
    fn ask_for_checkpoints(&mut self) -> Result<Wait, TaskError> {
        let given_up = self.given_up();
        let storage = self.storage.as_mut().ok_or(TaskError::NoStorage)?;
        let wanted = storage.files.iter_mut().map(ShardFiles::want_checkpoint).collect();
        Ok(Wait::Checkpoints(wanted, given_up))
    }

    /// Asks once more for checkpoints that were given up, of shards that have published fewer than these, but not all
    /// the time.
    fn ask_for_missing_checkpoints(&mut self, wanted: &[u64]) {
        let Some(storage) = self.storage.as_mut().filter(|storage| !storage.rests()) else { return };
        for (files, wanted) in storage.files.iter_mut().zip(wanted) {
            if !files.is_busy() && files.figures().published < *wanted {
                files.want_checkpoint();
            }
        }
    }

    /// Checkpoints that were given up since the start.
    fn given_up(&self) -> u64 {
        self.files().iter().map(|files| files.figures().given_up).sum()
    }

    /// Records that no snapshot holds yet, over all shards: what a store without a log would lose now.
    #[must_use]
    pub fn changes_since_checkpoint(&self) -> u64 {
        let ends = self.files().iter().map(|files| files.end_lsn().unwrap_or_default());
        self.shards.iter().zip(ends).map(|(shard, end)| shard.lsn().0.saturating_sub(end.0)).sum()
    }
}
