//! What may happen to one request out of all that a life asks for: a crash, an error, a short transfer.
//!
//! Requests are counted as the disk performs them; what is asked for while the disk is quiet, to look at what came up, does
//! not count.

use crate::io::{BLOCK_BYTES, IoBuffer, IoDone, IoError, IoOperation, RequestId};
use crate::sim::disk::{SECTOR_BYTES, SimDisk};
use crate::sim::report::SimReport;
use crate::sim::rng::Rng;
use crate::sim::site::{Action, Site};
use crate::testing::HeapPool;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// Times that a process may end itself before somebody mends the disk.
const ENDED_PROCESSES_MAX: u32 = 3;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    /// A crash before it takes effect.
    CrashBefore(End),
    /// A crash after it took effect and before anybody is told.
    CrashAfter(End),
    /// A crash with part of it done: any sectors of a write, the front of a range.
    CrashTorn(End),
    /// EIO, this once. Part of a write may be done; what a sync was for may be gone.
    ErrorOnce,
    /// EIO, for this site from now on, until somebody mends the disk.
    ErrorHere,
    /// EIO, for everything from now on, until somebody mends the disk.
    ErrorForAll,
    /// ENOSPC, this once.
    FullOnce,
    /// ENOSPC, and the disk is full from now on, until somebody makes room.
    FullFromNowOn,
    /// Less is moved than asked for, and said so.
    Short,
}

/// What ends at a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The process.
    Process,
    /// Power.
    Power,
}

impl Blow {
    /// Crashes.
    pub const CRASHES: [Self; 6] = [
        Self::CrashBefore(End::Process),
        Self::CrashBefore(End::Power),
        Self::CrashAfter(End::Process),
        Self::CrashAfter(End::Power),
        Self::CrashTorn(End::Process),
        Self::CrashTorn(End::Power),
    ];

    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::CRASHES[0],
        Self::CRASHES[1],
        Self::CRASHES[2],
        Self::CRASHES[3],
        Self::CRASHES[4],
        Self::CRASHES[5],
        Self::ErrorOnce,
        Self::ErrorHere,
        Self::ErrorForAll,
        Self::FullOnce,
        Self::FullFromNowOn,
        Self::Short,
    ];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CrashBefore(End::Process) => "killed before",
            Self::CrashBefore(End::Power) => "power cut before",
            Self::CrashAfter(End::Process) => "killed after",
            Self::CrashAfter(End::Power) => "power cut after",
            Self::CrashTorn(End::Process) => "killed, torn",
            Self::CrashTorn(End::Power) => "power cut, torn",
            Self::ErrorOnce => "EIO once",
            Self::ErrorHere => "EIO at this site from now on",
            Self::ErrorForAll => "EIO from now on",
            Self::FullOnce => "ENOSPC once",
            Self::FullFromNowOn => "ENOSPC from now on",
            Self::Short => "short",
        }
    }

    /// What ends, if it is a crash.
    #[must_use]
    pub const fn crash(self) -> Option<End> {
        match self {
            Self::CrashBefore(end) | Self::CrashAfter(end) | Self::CrashTorn(end) => Some(end),
            Self::ErrorOnce
            | Self::ErrorHere
            | Self::ErrorForAll
            | Self::FullOnce
            | Self::FullFromNowOn
            | Self::Short => None,
        }
    }

    /// Whether it can happen to such a request.
    #[must_use]
    pub const fn fits(self, site: Site) -> bool {
        match self {
            Self::CrashTorn(_) => matches!(site.action, Action::Write | Action::Allocate | Action::FreeSpace),
            Self::FullOnce | Self::FullFromNowOn => {
                matches!(site.action, Action::Create | Action::Write | Action::Allocate)
            }
            Self::Short => matches!(site.action, Action::Write | Action::Read),
            Self::CrashBefore(_)
            | Self::CrashAfter(_)
            | Self::ErrorOnce
            | Self::ErrorHere
            | Self::ErrorForAll => true,
        }
    }
}

/// One blow.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    /// The request that it hits, counted from 1.
    pub at: u64,
    /// What happens.
    pub blow: Blow,
}

/// Counts requests, and knows which is hit.
#[derive(Clone, Debug, Default)]
pub(super) struct Strikes {
    armed: Option<Strike>,
    /// Requests so far, and their sites in order.
    pub(super) seen: Vec<Site>,
    /// Where it hit.
    pub(super) hit: Option<Site>,
    /// The error that requests meet from now on: at one site, or at all.
    broken: Option<(Blow, Site)>,
    /// The crash has come, and nobody has noticed.
    down: Option<End>,
    /// An error that must end the process and has not yet.
    unanswered: Option<Site>,
    /// One after which the process went on.
    pub(super) survived: Option<Site>,
    /// The disk becomes full as soon as something was asked for here.
    pub(super) fill_after: Option<Site>,
    fills_next: bool,
    /// Times that the process has ended itself.
    ended_processes: u32,
    /// Whether space was refused that there is.
    refused_space: bool,
    /// Reads that were cut short.
    pub(super) short_reads: u64,
}

impl Strikes {
    /// What happens to this request.
    fn next(&mut self, site: Site) -> Option<Blow> {
        self.seen.push(site);
        if self.down.is_some() {
            return Some(Blow::ErrorOnce);
        }
        match self.armed {
            Some(strike) if self.seen.len() as u64 == strike.at => {
                self.hit = Some(site);
                if matches!(strike.blow, Blow::ErrorHere | Blow::ErrorForAll) {
                    self.broken = Some((strike.blow, site));
                }
                return Some(strike.blow);
            }
            _ => {}
        }
        let (blow, of) = self.broken?;
        (blow == Blow::ErrorForAll || of == site).then_some(Blow::ErrorOnce)
    }
}

impl SimDisk {
    /// From now on requests are counted, and one may be hit.
    pub(super) fn arm(&mut self, strike: Option<Strike>) {
        self.strikes = Some(Box::new(Strikes { armed: strike, ..Strikes::default() }));
    }

    /// Whether the crash has come: what is asked for goes nowhere.
    pub(super) fn is_down(&self) -> bool {
        self.strikes.as_ref().is_some_and(|strikes| strikes.down.is_some())
    }

    /// The crash is noticed: what has ended.
    pub(super) fn take_down(&mut self) -> Option<End> {
        let strikes = self.strikes.as_mut()?;
        strikes.unanswered = None;
        strikes.down.take()
    }

    /// The process has ended itself after an error. Somebody mends the disk when that does not stop.
    pub(super) fn has_ended_process(&mut self) {
        let Some(strikes) = &mut self.strikes else { return };
        strikes.ended_processes += 1;
        if strikes.ended_processes == ENDED_PROCESSES_MAX {
            self.mend();
        }
    }

    /// Somebody has mended the disk.
    pub(super) fn mend(&mut self) {
        if let Some(strikes) = &mut self.strikes {
            (strikes.broken, strikes.unanswered) = (None, None);
        }
    }

    /// A completion was taken, or a start came through, and the process goes on.
    pub(super) fn goes_on(&mut self) {
        if let Some(strikes) = &mut self.strikes
            && let Some(site) = strikes.unanswered.take()
        {
            strikes.survived = strikes.survived.or(Some(site));
        }
    }

    /// Whether a read was cut short.
    pub(super) fn has_cut_short(&self) -> bool {
        self.strikes.as_ref().is_some_and(|strikes| strikes.short_reads > 0)
    }

    /// Whether it has said that it is full, be it once, and was not.
    pub(super) fn has_refused_space(&self) -> bool {
        self.strikes.as_ref().is_some_and(|strikes| strikes.refused_space)
    }

    /// Counts a request; what happens to it, if anything does.
    pub(super) fn struck(&mut self, operation: &IoOperation<HeapPool>) -> Option<Blow> {
        if self.quiet {
            return None;
        }
        let site = Site::of(operation);
        let strikes = self.strikes.as_mut()?;
        if strikes.fill_after.take_if(|fills| *fills == site).is_some() {
            strikes.fills_next = true;
        } else if std::mem::take(&mut strikes.fills_next) {
            self.full = true;
        }
        strikes.next(site)
    }

    /// What is left of a request that is hit.
    pub(super) fn strike(
        &mut self,
        blow: Blow,
        (id, operation, submitted): (RequestId, IoOperation<HeapPool>, u64),
        report: &mut SimReport,
    ) -> IoDone<HeapPool> {
        let site = Site::of(&operation);
        if let Some(end) = blow.crash() {
            match blow {
                Blow::CrashTorn(_) => self.do_part(&operation),
                Blow::CrashAfter(_) => drop(self.carry_out(id, operation, submitted, report)),
                _ => {}
            }
            if let Some(strikes) = &mut self.strikes {
                strikes.down = Some(end);
            }
            return answer(id, None, Err(EIO));
        }
        match blow {
            Blow::Short => return self.cut_short(id, operation, submitted, report),
            Blow::FullFromNowOn => self.fill(),
            _ if self.is_down() => return answer(id, Some(operation), Err(EIO)),
            _ => {}
        }
        let code = if matches!(blow, Blow::FullOnce | Blow::FullFromNowOn) { ENOSPC } else { EIO };
        if let Some(strikes) = &mut self.strikes {
            strikes.refused_space |= code == ENOSPC;
            if code == EIO && site.must_end_on_error() {
                strikes.unanswered = Some(site);
            }
        }
        if let IoOperation::SyncFile { file, .. } = &operation {
            let Self { files, rng, .. } = self;
            if let Some(file) = files.get_mut(file) {
                file.fail_sync(rng);
            }
        } else if site.action == Action::Write || code == ENOSPC {
            self.do_part(&operation);
        }
        answer(id, Some(operation), Err(code))
    }

    /// Some of a request's effect.
    fn do_part(&mut self, operation: &IoOperation<HeapPool>) {
        match operation {
            IoOperation::Write { file, offset, buffer, range, .. } => {
                let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
                self.tear(*file, offset, &buffer.as_ref()[range.clone()]);
            }
            IoOperation::Allocate { file, offset, bytes } => {
                // Only files that are there grow.
                let _ = self.resize(*file, offset + half(*bytes), true);
            }
            IoOperation::FreeSpace { file, offset, bytes } => self.free_space(*file, *offset, half(*bytes)),
            IoOperation::CreateFile { .. }
            | IoOperation::SyncFile { .. }
            | IoOperation::SyncDirectory
            | IoOperation::Read { .. }
            | IoOperation::DeleteFile { .. }
            | IoOperation::Truncate { .. } => {}
        }
    }

    /// The front of a write or a read is done: of more than a block at least that, and perhaps no whole block more.
    fn cut_short(
        &mut self,
        id: RequestId,
        operation: IoOperation<HeapPool>,
        submitted: u64,
        report: &mut SimReport,
    ) -> IoDone<HeapPool> {
        let front = |len: usize, rng: &mut Rng| {
            let least = if len > BLOCK_BYTES { BLOCK_BYTES / SECTOR_BYTES } else { 0 };
            (least + rng.position(len / SECTOR_BYTES - least)) * SECTOR_BYTES
        };
        match operation {
            IoOperation::Write { file, offset, buffer, range, durable } => {
                let moved = front(range.len(), &mut self.rng);
                let bytes = &buffer.as_ref()[range.start..range.start + moved];
                let result = self.write(file, offset, bytes, durable, report);
                IoDone { id, result: result.map_err(IoError::from_errno), buffer: IoBuffer::Frozen(buffer) }
            }
            IoOperation::Read { file, offset, mut buffer, len } => {
                let moved = front(len, &mut self.rng);
                let result = self.read(file, offset, &mut buffer[..moved], report);
                if let Some(strikes) = &mut self.strikes {
                    strikes.short_reads += 1;
                }
                IoDone { id, result: result.map_err(IoError::from_errno), buffer: IoBuffer::Owned(buffer) }
            }
            other => self.carry_out(id, other, submitted, report),
        }
    }
}

/// Half of a range, in whole blocks.
const fn half(bytes: u64) -> u64 {
    let block = BLOCK_BYTES as u64;
    bytes / 2 / block * block
}

/// The completion of a request that did not do what it was asked to.
fn answer(
    id: RequestId,
    operation: Option<IoOperation<HeapPool>>,
    result: Result<usize, i32>,
) -> IoDone<HeapPool> {
    let buffer = match operation {
        Some(IoOperation::Write { buffer, .. }) => IoBuffer::Frozen(buffer),
        Some(IoOperation::Read { buffer, .. }) => IoBuffer::Owned(buffer),
        _ => IoBuffer::None,
    };
    IoDone { id, result: result.map_err(IoError::from_errno), buffer }
}
