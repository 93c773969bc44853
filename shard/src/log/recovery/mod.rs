//! Recovery of one log: from the files a crash left to records in order and a log open for appending.
//!
//! The steps, each durable before the next: load the manifest and repair a bad copy (`copies.rs`); sync every segment
//! and read its header (`segments.rs`); replay batch by batch and look at what lies behind the end (`walk.rs`, with
//! the two questions in `judge.rs`); open a new generation under a new term, or go on where nothing was in flight
//! (`opening.rs`). Nothing is changed before all is judged, but redundant copies of manifests. It may be cut short by
//! another crash anywhere: it only repairs copies and adds, so the next recovery comes to the same end.

pub(crate) mod judge;
mod opening;
mod reader;
mod records;
mod refuse;
mod report;
mod segments;
mod walk;

use std::collections::VecDeque;

pub use refuse::{Proof, RefuseToStart};
pub use report::{CutTail, RecoveryReport, RecoveryRule};

use crate::io::{BlockPool, FileId, IoBuffer, IoDone, IoRequest, ManifestCopy};
use crate::limits::LOG_MANIFEST_BYTES_MAX;
use crate::log::copies::{CopiesLoad, CopiesWrite, Loaded};
use crate::log::manifest::LogManifest;
use crate::log::pending_write::RequestIds;
use crate::log::{Log, LogConfig, LogIdentity};
use crate::record::{Head, Record};
use crate::shard::ShardFloor;
use crate::store_manifest::{EraState, LogEnd, StoreManifest};
use crate::types::{LogId, Term};

use opening::{Opened, Opening};
use records::RecordAssembler;
use segments::SegmentsOpen;
use walk::{Ready, Tail, Walk};

/// How far the life of a log is, as the store manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryMode {
    /// It is being created: it may be missing or half there, nothing in it was ever acknowledged.
    Create,
    /// It is written to.
    Open,
    /// It ended for good, with this batch: it is read, nothing is opened.
    Final(LogEnd),
}

/// Which log to recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryStart {
    /// Which log.
    pub identity: LogIdentity,
    /// How far its life is.
    pub mode: RecoveryMode,
    /// Term of the log's first generation, should it be created: above all terms of the logs of earlier eras
    /// ([`RecoveryReport::term`]), 1 when there are none.
    pub first_term: Term,
}

impl RecoveryStart {
    /// What the store manifest says of a log; `None` when no era has it.
    #[must_use]
    pub fn of(store: &StoreManifest, log: LogId, first_term: Term) -> Option<Self> {
        let identity = store.identity_of(log)?;
        let (era, entry) = store
            .eras
            .iter()
            .find_map(|era| era.logs.iter().find(|entry| entry.log == log).map(|entry| (era, entry)))?;
        let mode = match era.state {
            EraState::Opening => RecoveryMode::Create,
            EraState::Open => RecoveryMode::Open,
            EraState::Final => RecoveryMode::Final(entry.end),
        };
        Some(Self { identity, mode, first_term })
    }
}

/// What recovery hands out on its way, in the order of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryEvent<'a> {
    /// The shard starts from here; comes before all records.
    Floor(&'a ShardFloor),
    /// A whole record, decoded from `bytes`; complete groups follow each other without a gap in their shard.
    Record {
        /// What it says.
        record: Record<'a>,
        /// Its encoding.
        bytes: &'a [u8],
    },
}

/// What recovery ends with.
pub struct Recovered<P: BlockPool> {
    /// Open for appending; `None` for a log whose era is over.
    pub log: Option<Log<P>>,
    /// What was found.
    pub report: RecoveryReport,
}

/// The step recovery is at.
enum Step<P: BlockPool> {
    LoadManifest(CopiesLoad<LogManifest>),
    RepairManifest(CopiesWrite),
    OpenSegments(SegmentsOpen),
    Walk(Walk<P>),
    Tail(Tail<P>),
    Open(Box<Opening<P>>),
    Done(Option<Box<Opened<P>>>),
    Refused(RefuseToStart),
}

/// Recovers one log. Until [`Self::is_finished`]: take events until there is none, perform I/O, hand in completions.
pub struct LogRecovery<P: BlockPool> {
    start: RecoveryStart,
    config: LogConfig,
    pool: P,
    ids: RequestIds,
    requests: VecDeque<IoRequest<P>>,
    outstanding: usize,
    step: Step<P>,
    manifest: Option<LogManifest>,
    floors_handed_out: usize,
    assembler: RecordAssembler,
    /// The record handed out last, when it is not in the window.
    assembled: Vec<u8>,
    /// Numbers of the segment files that are there.
    present: Vec<u32>,
    /// Of those, what nothing names and nothing needs.
    left_over: Vec<u32>,
    /// Of the free ones, those that were never used.
    unused: Vec<u32>,
    /// The replay has passed the batch that the manifest knows as durable.
    passed_reached: bool,
    report: RecoveryReport,
    bytes_done: u64,
    bytes_total: u64,
}

impl<P: BlockPool> LogRecovery<P> {
    /// Starts. `present`: the numbers of all segment files of this log that the directory has, named or not.
    ///
    /// # Panics
    /// When sizes in the configuration are not in proportion.
    #[must_use]
    pub fn new(start: RecoveryStart, config: LogConfig, present: Vec<u32>, pool: P) -> Self {
        config.check();
        let mut ids = RequestIds::new();
        let mut requests = VecDeque::new();
        let files = manifest_files(start.identity.log);
        let load = CopiesLoad::start(files, LOG_MANIFEST_BYTES_MAX, &mut ids, &mut requests);
        Self {
            start,
            config,
            pool,
            ids,
            requests,
            outstanding: 0,
            step: Step::LoadManifest(load),
            manifest: None,
            floors_handed_out: 0,
            assembler: RecordAssembler::default(),
            assembled: Vec::new(),
            present,
            left_over: Vec::new(),
            unused: Vec::new(),
            passed_reached: false,
            report: RecoveryReport::default(),
            bytes_done: 0,
            bytes_total: 0,
        }
    }

    /// The next I/O to perform.
    #[must_use]
    pub fn next_io(&mut self) -> Option<IoRequest<P>> {
        let request = match self.requests.pop_front() {
            Some(request) => request,
            None => match &mut self.step {
                Step::OpenSegments(open) => open.next_io(&mut self.pool, &mut self.ids)?,
                Step::Walk(walk) => walk.reader.next_read(&self.config, &mut self.pool, &mut self.ids)?,
                Step::Tail(tail) => tail.reader.next_read(&self.config, &mut self.pool, &mut self.ids)?,
                _ => return None,
            },
        };
        self.outstanding += 1;
        Some(request)
    }

    /// A completion of what [`Self::next_io`] gave out. Take events afterwards.
    ///
    /// # Panics
    /// When the completion belongs to no request.
    pub fn on_io(&mut self, done: IoDone<P>) {
        assert!(self.outstanding > 0, "a completion has its request");
        self.outstanding -= 1;
        if let Err(refused) = self.dispatch(done) {
            self.refuse(refused);
        }
    }

    fn dispatch(&mut self, done: IoDone<P>) -> Result<(), RefuseToStart> {
        let Self { pool, ids, requests, config, .. } = self;
        match &mut self.step {
            Step::LoadManifest(load) => {
                if let Some(loaded) = load.on_io(done, pool, ids, requests)? {
                    self.on_manifest_loaded(loaded)?;
                }
            }
            Step::RepairManifest(repair) => match repair.on_io(done, pool, ids)? {
                Some(request) => requests.push_back(request),
                None => self.open_segments(),
            },
            Step::OpenSegments(open) => {
                open.on_io(done, pool)?;
                if open.is_finished() {
                    self.on_segments_open()?;
                }
            }
            Step::Walk(Walk { reader, .. }) | Step::Tail(Tail { reader, .. }) => {
                if reader.owns(done.id) {
                    requests.extend(reader.on_io(done, config, pool, ids)?);
                } else {
                    discard(done, pool);
                }
            }
            Step::Open(opening) if opening.owns(done.id) => self.on_opening_io(done)?,
            // Reads ahead of what turned out to be the end of a segment come back late.
            Step::Open(_) | Step::Done(_) | Step::Refused(_) => discard(done, pool),
        }
        Ok(())
    }

    fn refuse(&mut self, refused: RefuseToStart) {
        self.requests.clear();
        self.step = Step::Refused(refused);
    }

    fn on_manifest_loaded(&mut self, loaded: Loaded<LogManifest>) -> Result<(), RefuseToStart> {
        let log = self.start.identity.log;
        let (manifest, stale, missing) = match loaded {
            Loaded::Missing | Loaded::Damaged if self.start.mode == RecoveryMode::Create => {
                self.create();
                return Ok(());
            }
            Loaded::Missing => return Err(RefuseToStart::ManifestMissing { log }),
            Loaded::Damaged => return Err(RefuseToStart::ManifestDamaged { log }),
            Loaded::Unreadable(file, error) => {
                let bytes = LOG_MANIFEST_BYTES_MAX as u64;
                return Err(RefuseToStart::ReadFailed { file, offset: 0, bytes, error });
            }
            Loaded::Contradiction => return Err(RefuseToStart::ManifestContradiction { log }),
            Loaded::Newer(format) => {
                let file = FileId::LogManifest { log, copy: ManifestCopy::A };
                return Err(RefuseToStart::Newer { file, format });
            }
            Loaded::Manifest { manifest, stale, missing } => (manifest, stale, missing),
        };
        if !manifest.belongs_to(&self.start.identity) {
            return Err(RefuseToStart::ManifestForeign { log });
        }
        if stale == [false; 2] {
            self.manifest = Some(manifest);
            self.open_segments();
            return Ok(());
        }
        self.report.took(RecoveryRule::ManifestRepaired);
        let Self { pool, ids, .. } = self;
        let (write, request) = CopiesWrite::start(&manifest, manifest_files(log), stale, missing, pool, ids);
        self.requests.push_back(request);
        self.manifest = Some(manifest);
        self.step = Step::RepairManifest(write);
        Ok(())
    }

    fn open_segments(&mut self) {
        let Some(manifest) = &self.manifest else { unreachable!("just loaded") };
        self.step = Step::OpenSegments(SegmentsOpen::new(self.start.identity, manifest, &self.present));
    }

    /// The next floor or record, if there is one before more I/O is done.
    pub fn next_event(&mut self) -> Option<RecoveryEvent<'_>> {
        let ready = match self.advance() {
            Ok(ready) => ready?,
            Err(refused) => {
                self.refuse(refused);
                return None;
            }
        };
        // What is handed out was checked before: a record of a batch with it, an assembled one by its own checksum.
        let (head, bytes) = match (&self.step, ready) {
            (_, Ready::Floor(at)) => {
                return Some(RecoveryEvent::Floor(&self.manifest.as_ref()?.floors[at].floor));
            }
            (Step::Walk(walk), Ready::Window(head, range)) => (Ok(head), &walk.reader.available()[range]),
            _ => (Head::decode(&self.assembled), &self.assembled[..]),
        };
        let record = head.and_then(|head| Record::from_head(&head, bytes));
        let Ok(record) = record else { unreachable!("records are checked before they are handed out") };
        Some(RecoveryEvent::Record { record, bytes })
    }

    /// Whether [`Self::finish`] has its answer. I/O still under way must be completed first.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.step, Step::Done(_) | Step::Refused(_)) && self.outstanding == 0
    }

    /// Bytes of the log that are replayed, and that there are: for a progress line.
    #[must_use]
    pub const fn progress(&self) -> (u64, u64) {
        (self.bytes_done, self.bytes_total)
    }

    /// The log, open for appending, and what was found.
    ///
    /// # Errors
    /// The store must not be opened; the text says why and what to do.
    ///
    /// # Panics
    /// Before [`Self::is_finished`].
    pub fn finish(self) -> Result<Recovered<P>, RefuseToStart> {
        assert!(self.is_finished(), "recovery goes on until it is finished");
        match self.step {
            Step::Refused(refused) => Err(refused),
            Step::Done(opened) => {
                let log = opened
                    .map(|opened| opened.into_log(self.start.identity, self.config, self.pool, self.ids));
                Ok(Recovered { log, report: self.report })
            }
            _ => unreachable!("finished"),
        }
    }
}

fn manifest_files(log: LogId) -> [FileId; 2] {
    [ManifestCopy::A, ManifestCopy::B].map(|copy| FileId::LogManifest { log, copy })
}

/// Gives back the buffer of a completion that nobody waits for.
fn discard<P: BlockPool>(done: IoDone<P>, pool: &mut P) {
    match done.buffer {
        IoBuffer::Owned(buffer) => pool.put(buffer),
        IoBuffer::Frozen(buffer) => pool.reclaim(buffer),
        IoBuffer::None => {}
    }
}
