//! Files beyond the next segment: the one that a start goes on in when the disk is full, and those that a large record is
//! going to fill.
//!
//! After a crash a log goes on in a new generation, so a start needs a file. The segment ahead is one, but on a full disk it
//! is the last: the next crash would find none. So one of the free files that the manifest names is kept for a start, and
//! nothing is appended while there is none: whatever a crash leaves, the next start has where to go on, or goes on in a
//! generation that nothing was appended to. That is told by the zeros behind its header, so the file kept has never been a
//! segment before. It is made as small as a segment can be, before all else.
//!
//! A record that is larger than what is left of the current segment and the one ahead may be appended when the files for all
//! of it are there: else a disk that is full could never take the rest of it, and all that comes after it.
//!
//! Files are prepared as the next segment is (`standby.rs`), one at a time, and then named in the manifest as free.

use crate::checkpoint::SpaceFor;
use crate::io::{BLOCK_BYTES, BlockPool, Fatal, IoDone, RequestId};
use crate::limits::{LOG_FREE_FILES_MAX, LOG_KEPT_BYTES_MAX, LOG_SEGMENT_BYTES_MIN};
use crate::log::LogConfig;
use crate::log::batch::BATCH_HEADER_BYTES;
use crate::log::group_commit::Log;
use crate::log::manifest::{FreeFile, LogManifest, SegmentEntry};
use crate::log::segment::SEGMENT_HEADER_BYTES;
use crate::log::standby::{LogSpace, RETRY_AFTER_NS, Standby};
use crate::record::HEAD_BYTES_MAX;

/// How long files for a large record are kept for whoever asked for them, and may not have come back.
const ASKED_FOR_NS: u64 = 2 * RETRY_AFTER_NS;

/// Batches that a large record is waiting for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    batches: u64,
    at_ns: u64,
}

/// The files of a log that wait beyond its next segment.
pub(super) struct Spares<P: BlockPool> {
    /// The one being prepared.
    making: Option<Standby<P>>,
    /// When the disk refused the last one; `None` since one was made.
    refused_at_ns: Option<u64>,
    asked: Option<Asked>,
    /// What was made for a record that found no room in the end goes.
    gives_back: bool,
    /// The free file that is kept for the next start: full of zeros.
    start: Option<FreeFile>,
}

impl<P: BlockPool> Spares<P> {
    pub(super) const fn new(start: Option<FreeFile>) -> Self {
        Self { making: None, refused_at_ns: None, asked: None, gives_back: false, start }
    }

    pub(super) fn owns(&self, id: RequestId) -> bool {
        self.making.as_ref().is_some_and(|making| making.owns(id))
    }

    /// The number of the file being prepared.
    pub(super) fn file_number(&self) -> Option<u32> {
        self.making.as_ref().map(|making| making.entry().file)
    }

    fn rests(&self, now_ns: u64) -> bool {
        self.refused_at_ns.is_some_and(|at| now_ns.saturating_sub(at) < RETRY_AFTER_NS)
    }
}

/// Bytes of the smallest file that a log can go on in: one batch fits.
pub(super) fn start_file_bytes(config: &LogConfig) -> u64 {
    let needed = (SEGMENT_HEADER_BYTES + config.batch_bytes_max + BLOCK_BYTES) as u64;
    needed.max(LOG_SEGMENT_BYTES_MIN)
}

/// Whether a free file can serve as a segment.
pub(super) fn fits(free: &FreeFile, config: &LogConfig) -> bool {
    free.file_bytes >= (SEGMENT_HEADER_BYTES + config.batch_bytes_max + BLOCK_BYTES) as u64
}

/// The free file that is kept for a start: the smallest that can serve of those that were never used.
pub(super) fn start_file(manifest: &LogManifest, unused: &[u32], config: &LogConfig) -> Option<FreeFile> {
    let may = |free: &FreeFile| fits(free, config) && unused.contains(&free.file);
    manifest.free.iter().copied().filter(may).min_by_key(|free| (free.file_bytes, free.file))
}

/// Batches of the largest size that fit so many bytes of a segment, the block for the clean-shutdown mark being kept.
const fn batches_in(bytes: u64, config: &LogConfig) -> u64 {
    bytes.saturating_sub(BLOCK_BYTES as u64) / config.batch_bytes_max as u64
}

impl<P: BlockPool> Log<P> {
    /// Whether a record of about so many bytes may be appended: there is a file for the next start, and there are files for
    /// all of the record if it is a large one. `Soon`: they are being made, ask again; `None`: the disk is full.
    pub fn space_for(&mut self, bytes: usize) -> SpaceFor {
        if self.space() != LogSpace::Ok {
            return SpaceFor::None;
        }
        if !self.has_start_file() {
            return SpaceFor::Soon;
        }
        if bytes <= self.config.batch_bytes_max / 2 {
            return SpaceFor::Ready;
        }
        let needed = self.batches_for(bytes);
        if needed <= self.batches_ahead() {
            self.spares.asked = None;
            return SpaceFor::Ready;
        }
        if self.is_disk_low || self.spares.rests(self.now_ns) {
            return SpaceFor::None;
        }
        let batches = self.spares.asked.map_or(0, |asked| asked.batches).max(needed);
        self.spares.asked = Some(Asked { batches, at_ns: self.now_ns });
        self.pump();
        SpaceFor::Soon
    }

    /// Whether the disk refuses the file that a start would go on in: then nothing at all may be appended.
    #[must_use]
    pub fn lacks_start_file(&self) -> bool {
        !self.has_start_file() && self.spares.refused_at_ns.is_some()
    }

    /// Whether the manifest names a file for the next start.
    #[must_use]
    pub const fn has_start_file(&self) -> bool {
        self.spares.start.is_some()
    }

    /// Its number.
    pub(super) fn start_file_number(&self) -> Option<u32> {
        self.spares.start.map(|free| free.file)
    }

    /// Batches that a record of so many bytes needs at most, behind what is appended already.
    fn batches_for(&self, bytes: usize) -> u64 {
        // Each holds a fragment; the first one may begin where another batch ends.
        let payload = self.config.batch_bytes_max - BATCH_HEADER_BYTES - HEAD_BYTES_MAX;
        let record = (bytes + HEAD_BYTES_MAX).div_ceil(payload) + 1;
        let kept = self.kept_bytes().div_ceil(self.config.batch_bytes_max as u64);
        (record + self.queue.len() + usize::from(self.open.is_some())) as u64 + kept
    }

    /// Batches that fit what is left of the current segment, the one ahead and the files behind it.
    fn batches_ahead(&self) -> u64 {
        let whole = |file_bytes: u64| batches_in(file_bytes - SEGMENT_HEADER_BYTES as u64, &self.config);
        let standby = self.standby.as_ref().filter(|standby| standby.is_ready()).map(Standby::entry);
        let free: u64 = self.files_behind().map(|free| whole(free.file_bytes)).sum();
        batches_in(self.current.bytes_left(), &self.config)
            + standby.map_or(0, |it| whole(it.file_bytes))
            + free
    }

    /// Free files that segments can be made of: all that fit, but the one kept for a start.
    fn files_behind(&self) -> impl Iterator<Item = FreeFile> {
        let manifest = self.manifest.current();
        let kept = self.start_file_number();
        let ahead = self.standby.as_ref().map(|standby| standby.entry().file);
        let is_there = move |free: &FreeFile| Some(free.file) != kept && Some(free.file) != ahead;
        let is_there = move |free: &FreeFile| is_there(free) && !self.unnamed.contains(&free.file);
        manifest.free.iter().copied().filter(move |free| is_there(free) && fits(free, &self.config))
    }

    /// Bytes of the last segment that are kept for what is appended already.
    #[must_use]
    pub fn kept_bytes(&self) -> u64 {
        (self.current.entry.file_bytes / 4).min(LOG_KEPT_BYTES_MAX)
    }

    /// The size of the next file that is wanted, if one is.
    fn wanted_spare(&self) -> Option<u64> {
        let start_bytes = start_file_bytes(&self.config);
        if self.spares.start.is_none_or(|free| free.file_bytes > start_bytes) {
            return Some(start_bytes);
        }
        // Files for a record are made when the segment ahead is there.
        let is_ready = self.standby.as_ref().is_some_and(Standby::is_ready);
        let asked = self.spares.asked.filter(|_| is_ready && !self.is_disk_low)?;
        (asked.batches > self.batches_ahead()).then_some(self.config.segment_bytes)
    }

    /// Begins to prepare the next file that is wanted.
    pub(super) fn pump_spares(&mut self) {
        let now_ns = self.now_ns;
        if self.spares.asked.is_some_and(|asked| now_ns.saturating_sub(asked.at_ns) > ASKED_FOR_NS) {
            self.spares.asked = None;
        }
        if self.spares.making.is_some() || self.spares.rests(now_ns) || !self.wants_standby() {
            return;
        }
        let Some(file_bytes) = self.wanted_spare() else {
            return;
        };
        let entry = SegmentEntry { generation: 0, file: self.next_file_number(), file_bytes };
        let mut making = Standby::new(self.identity.log, entry, self.config.zero_bytes);
        let request = making.start(now_ns, &mut self.ids);
        self.spares.making = Some(making);
        if let Some(request) = request {
            self.request(request);
        }
    }

    /// A file number that nothing has: what is being prepared is not named yet.
    pub(super) fn next_file_number(&self) -> u32 {
        let ahead = self.standby.as_ref().map(|standby| standby.entry().file);
        let unnamed = ahead.into_iter().chain(self.spares.file_number()).map(|file| file + 1);
        unnamed.fold(self.manifest.current().next_file, u32::max)
    }

    /// A completion of the preparation.
    pub(super) fn on_spare_io(&mut self, done: IoDone<P>) -> Result<(), Fatal> {
        let Self { spares, pool, ids, now_ns, .. } = self;
        let Some(making) = &mut spares.making else { unreachable!("the caller looked") };
        let request = making.on_io(done, *now_ns, pool, ids)?;
        if request.is_none() && making.is_out_of_space() {
            // The file stays, empty, until its number is used: it is made anew then.
            (spares.making, spares.refused_at_ns) = (None, Some(*now_ns));
            (spares.asked, spares.gives_back) = (None, self.manifest.current().free.len() > 1);
        }
        if let Some(request) = request {
            self.request(request);
        }
        Ok(())
    }

    /// When a file is to be tried again that the disk has refused.
    pub(super) fn spare_retry_at_ns(&self) -> Option<u64> {
        let is_due = !self.has_start_file() && self.spares.making.is_none();
        let at = self.spares.refused_at_ns.filter(|_| is_due)?;
        Some(at.saturating_add(RETRY_AFTER_NS))
    }

    /// A file that is prepared and not named yet.
    pub(super) fn prepared_spare(&self) -> Option<FreeFile> {
        let making = self.spares.making.as_ref().filter(|making| making.is_prepared())?;
        let SegmentEntry { file, file_bytes, .. } = making.entry();
        Some(FreeFile { file, file_bytes })
    }

    /// How many free files the manifest is to name at most, that for a start included.
    pub(super) fn free_files_max(&self) -> usize {
        // What is appended already was taken on because of these files.
        let is_needed = self.queue.len() as u64 > batches_in(self.current.bytes_left(), &self.config);
        if is_needed || (self.spares.asked.is_some() && !self.is_disk_low) {
            usize::MAX
        } else if self.is_disk_low || self.spares.gives_back || self.drops_free {
            1
        } else {
            1 + LOG_FREE_FILES_MAX
        }
    }

    /// Takes free files out of a manifest that are too many; never that for a start.
    pub(super) fn drop_free(&self, manifest: &mut LogManifest) {
        let max = self.free_files_max();
        if manifest.free.len() <= max {
            return;
        }
        let is_named = |file: &u32| manifest.free.iter().any(|free| free.file == *file);
        let kept = self.start_file_number().filter(is_named);
        let mut room = max - usize::from(kept.is_some());
        manifest.free.retain(|free| {
            let stays = Some(free.file) == kept || room > 0;
            room -= usize::from(stays && Some(free.file) != kept);
            stays
        });
    }

    /// The manifest is durable in both copies: what it names counts.
    pub(super) fn on_free_published(&mut self) {
        let manifest = self.manifest.current();
        self.spares.gives_back &= manifest.free.len() > 1;
        let made = self.spares.file_number();
        if let Some(&free) = manifest.free.iter().find(|free| Some(free.file) == made) {
            (self.spares.making, self.spares.refused_at_ns) = (None, None);
            if self.spares.start.is_none_or(|start| free.file_bytes < start.file_bytes) {
                self.spares.start = Some(free);
            }
        }
    }
}
