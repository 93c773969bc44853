//! The disk space of a shard's data file: taken before extents need it.
//!
//! Free places without space are filled first, one by one; then the file grows, by many places with one request, or, where
//! the disk refuses that, by those that are needed. While it refuses those too the shard is *low*: whoever would write more
//! is told so, and it is tried again now and then. Nothing is ever lost by a full disk: extents stay in memory, their
//! records in the log. Space that is not needed is given back by `shard_files/data_life.rs`.

use crate::extent::{Extents, Growth};
use crate::io::{BlockPool, Fatal, FileId, IoDone, IoErrorKind, IoOperation, IoRequest, RequestId};
use crate::limits::{EXTENT_BYTES, PLACES_GROWN_MAX, SPACE_RETRY_MS};
use crate::log::pending_write::RequestIds;
use crate::types::UnixMs;

/// Whether a write may be taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceFor {
    /// There is space.
    Ready,
    /// Space is being taken: ask again soon.
    Soon,
    /// The disk is full.
    None,
}

/// How the worker stands with its disk, as far as a data file has to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pressure {
    /// The reserve is not held: what space there is belongs to it, to the log and to checkpoints.
    pub(crate) is_held_back: bool,
    /// The disk refuses the reserve, or the log.
    pub(crate) is_short: bool,
    /// The disk is low for some shard: what is not needed is given back at once.
    pub(crate) is_low: bool,
    /// The reserve is being cut for a checkpoint: what a snapshot wrote before that would find no space.
    pub(crate) awaits_reserve: bool,
}

/// What is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    Nothing,
    /// Space is being taken; `exact`: for no more than is needed.
    Taking {
        id: RequestId,
        growth: Growth,
        exact: bool,
    },
    /// What was found before the disk was full is being given back.
    Undoing(RequestId),
}

/// The disk refused so many places at this time.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    at: UnixMs,
    places: u32,
}

/// How a data file stands with its disk space.
#[derive(Debug)]
pub(super) struct DataSpace {
    file: FileId,
    flight: Flight,
    /// Places that a record is waiting for, beyond those wanted.
    asked: u32,
    refusal: Option<Refusal>,
    /// The disk refused to give ahead: it is asked for what is needed only.
    exact: bool,
    pressure: Pressure,
    now: UnixMs,
    /// When space was taken last.
    taken_at: UnixMs,
}

impl DataSpace {
    /// Of a file whose space nobody knows yet.
    pub(super) fn new(file: FileId) -> Self {
        Self {
            file,
            flight: Flight::Nothing,
            asked: 0,
            refusal: None,
            exact: false,
            pressure: Pressure::default(),
            now: UnixMs(0),
            taken_at: UnixMs(0),
        }
    }

    /// How the worker stands with its disk.
    pub(super) const fn press(&mut self, pressure: Pressure, now: UnixMs) {
        (self.pressure, self.now) = (pressure, now);
    }

    /// Whether what is not needed is to be given back at once.
    pub(super) const fn is_pressed(&self) -> bool {
        self.pressure.is_low
    }

    /// Whether a snapshot is to wait for the reserve, which is on its way.
    pub(super) const fn awaits_reserve(&self) -> bool {
        self.pressure.awaits_reserve
    }

    /// Whether nothing is being taken.
    pub(super) fn is_idle(&self) -> bool {
        self.flight == Flight::Nothing
    }

    /// Whether space that is not needed may be given back: none that a large record has just been waiting for, which
    /// nothing in memory tells until the record is placed.
    pub(super) fn may_give_back(&self) -> bool {
        self.is_idle() && self.asked == 0 && self.now.0.abs_diff(self.taken_at.0) >= SPACE_RETRY_MS
    }

    /// Whether there is something to take and it is time to try.
    pub(super) fn is_due<P: BlockPool>(&self, extents: &Extents<P>, now: UnixMs) -> bool {
        let wants = extents.places_short() > 0 || self.asked > 0;
        let rests = self.refusal.is_some_and(|refusal| now.0.abs_diff(refusal.at.0) < SPACE_RETRY_MS);
        // What the file may have already is taken from nobody.
        let may = extents.has_unsure_place() || !(rests || self.pressure.is_held_back);
        wants && may && self.flight == Flight::Nothing
    }

    /// Whether the disk refuses what extents in memory are going to need.
    pub(super) fn is_low<P: BlockPool>(&self, extents: &Extents<P>) -> bool {
        (self.refusal.is_some() || self.pressure.is_short) && extents.places_short() > 0
    }

    /// So many places were refused.
    pub(super) fn on_refused(&mut self, places: u32) {
        self.refusal = Some(Refusal { at: self.now, places });
        self.asked = 0;
    }

    /// Whether a record of this size may be placed.
    pub(super) fn space_for<P: BlockPool>(&mut self, extents: &Extents<P>, bytes: usize) -> SpaceFor {
        if self.is_low(extents) {
            return SpaceFor::None;
        }
        let is_large = bytes > EXTENT_BYTES / 2;
        let short = if is_large { extents.places_short_for(bytes) } else { 0 };
        let short = short.max(extents.is_out_of_places_to_write().into());
        if short == 0 {
            if is_large {
                // It may have to wait for the log: its places are not given back meanwhile.
                self.taken_at = self.now;
            }
            return SpaceFor::Ready;
        }
        let refused =
            |refusal: Refusal| refusal.places <= short && self.now.0.abs_diff(refusal.at.0) < SPACE_RETRY_MS;
        if self.refusal.is_some_and(refused) {
            return SpaceFor::None;
        }
        self.asked = self.asked.max(short);
        SpaceFor::Soon
    }

    /// The next request, for a file that is there.
    pub(super) fn next_io<P: BlockPool>(
        &mut self,
        extents: &Extents<P>,
        now: UnixMs,
        ids: &mut RequestIds,
    ) -> Option<IoRequest<P>> {
        self.now = now;
        if extents.places_short() == 0 && self.asked == 0 {
            if self.refusal.is_some_and(|refusal| now.0.abs_diff(refusal.at.0) >= SPACE_RETRY_MS) {
                self.refusal = None;
            }
            return None;
        }
        if !self.is_due(extents, now) {
            return None;
        }
        let exact = self.exact || self.refusal.is_some();
        let ahead = if exact { 0 } else { (extents.place_end() / 8).clamp(1, PLACES_GROWN_MAX) };
        let growth = extents.next_growth(self.asked, ahead, exact || self.pressure.is_held_back);
        let id = ids.next();
        self.flight = Flight::Taking { id, growth, exact };
        let (offset, bytes) = growth.range();
        Some(IoRequest { id, operation: IoOperation::Allocate { file: self.file, offset, bytes } })
    }

    /// Whether a completion is of this file's space.
    pub(super) fn owns(&self, id: RequestId) -> bool {
        match self.flight {
            Flight::Nothing => false,
            Flight::Taking { id: own, .. } | Flight::Undoing(own) => own == id,
        }
    }

    /// Takes a completion. `Some`: go on with this.
    ///
    /// # Errors
    /// Anything but a full disk: the process must stop.
    pub(super) fn on_io<P: BlockPool>(
        &mut self,
        done: &IoDone<P>,
        extents: &mut Extents<P>,
        ids: &mut RequestIds,
    ) -> Result<Option<IoRequest<P>>, Fatal> {
        let kind = done.result.as_ref().err().map(|error| error.kind);
        match std::mem::replace(&mut self.flight, Flight::Nothing) {
            Flight::Nothing => unreachable!("a completion has its request"),
            // Where nothing can be given back it stays with the file.
            Flight::Undoing(_) if kind == Some(IoErrorKind::Unsupported) => return Ok(None),
            Flight::Undoing(_) => {}
            Flight::Taking { growth, exact, .. } if kind == Some(IoErrorKind::NoSpace) => {
                return Ok(Some(self.undo(growth, exact, extents, ids)));
            }
            Flight::Taking { growth, .. } if kind.is_none() => {
                extents.got_space(growth);
                self.taken_at = self.now;
                self.asked = self.asked.saturating_sub(growth.count());
                (self.refusal, self.exact) = (None, false);
            }
            Flight::Taking { .. } => {}
        }
        let what = "taking or giving back space of a data file";
        let failed = |error| Fatal { what, file: self.file, offset: 0, error };
        done.result.map(|_| None).map_err(failed)
    }

    /// The disk was full: ext4 keeps what it had found until then, which goes back to whoever can use it.
    fn undo<P: BlockPool>(
        &mut self,
        growth: Growth,
        exact: bool,
        extents: &mut Extents<P>,
        ids: &mut RequestIds,
    ) -> IoRequest<P> {
        if !extents.has_no_space(growth) {
            if exact {
                self.on_refused(extents.places_short().max(self.asked));
            }
            self.exact = true;
        }
        let id = ids.next();
        self.flight = Flight::Undoing(id);
        let (offset, bytes) = growth.range();
        let operation = match growth {
            Growth::Hole(_) => IoOperation::FreeSpace { file: self.file, offset, bytes },
            Growth::End { .. } => IoOperation::Truncate { file: self.file, bytes: offset },
        };
        IoRequest { id, operation }
    }
}
