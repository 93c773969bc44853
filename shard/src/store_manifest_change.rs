//! A store manifest that is changed while the store serves, and goes on serving when the disk has no space for that.
//!
//! Before each write and after the last one both copies are read, as a start would do, and what was written is synced before:
//! what is written next is a copy that is not what counts. So at every moment one copy is whole and durable, was seen to be,
//! and is not being written. Otherwise a copy whose write the drive once lost, here or when a start repaired it, would be the
//! version before the last, intact, and would count again as soon as a power cut tears the write of the other: a change that
//! was acknowledged would come undone, and nothing would tell of it.
//!
//! Where files are never written in place (copy on write), writing a copy that is there already can meet a full disk. Where
//! a start would find the manifest as it was, the change has come to nothing and the store goes on. Anything else is the end
//! of the process, as a write that fails for another reason and a sync that fails are everywhere: also a change that only
//! one copy has, which one rotten bit would undo after it was acknowledged, and a copy that cannot be read once something
//! was written, which may say anything the next time.

use std::collections::VecDeque;

use crate::io::{
    BLOCK_BYTES, BlockPool, Fatal, FileId, IoDone, IoError, IoErrorKind, IoRequest, ManifestCopy,
};
use crate::limits::STORE_MANIFEST_BYTES_MAX;
use crate::log::copies::{CopiesLoad, Loaded, TwoCopies};
use crate::log::pending_write::{Advance, PendingWrite, RequestIds};
use crate::store_files::FILES;
use crate::store_manifest::StoreManifest;

/// Writes of one change: of a drive that loses more than two of them no further one is asked for.
const WRITES_MAX: usize = 4;

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It is durable in both copies, and was read back from both.
    Changed {
        /// The copy that was not as it should be before the change.
        stale: Option<ManifestCopy>,
        /// It took more than two writes: the drive had acknowledged one and not done it.
        again: bool,
    },
    /// All is as it was, durably: the disk had no space, or a copy could not be read and nothing was written.
    Kept {
        /// The copy that is not as it was, if one is not: damaged. It is written first next time.
        stale: Option<ManifestCopy>,
        /// The write or the read that failed.
        why: Fatal,
    },
}

enum Step {
    /// What is there now?
    Look(Box<CopiesLoad<StoreManifest>>),
    Write(PendingWrite),
}

/// Writes both copies of a store manifest in the place of another. Step it by `next_io` and `on_io` until `on_io` has an
/// outcome.
pub struct StoreManifestChange<P: BlockPool> {
    pool: P,
    ids: RequestIds,
    requests: VecDeque<IoRequest<P>>,
    from: StoreManifest,
    to: StoreManifest,
    step: Step,
    /// The copy that was not as it should be at the first look.
    stale: Option<ManifestCopy>,
    /// Writes that were begun.
    writes: usize,
    /// The write that met a full disk.
    failed: Option<Fatal>,
}

impl<P: BlockPool> StoreManifestChange<P> {
    /// Starts. `from`: what counts now.
    #[must_use]
    pub fn new(from: &StoreManifest, to: &StoreManifest, mut pool: P) -> Self {
        assert!(from.agrees_with(to) && from.sequence < to.sequence, "it is made of what counts now");
        let (mut ids, mut requests) = (RequestIds::new(), VecDeque::new());
        let load =
            CopiesLoad::again(FILES, STORE_MANIFEST_BYTES_MAX, None, &mut pool, &mut ids, &mut requests);
        let step = Step::Look(Box::new(load));
        let (from, to) = (from.clone(), to.clone());
        Self { pool, ids, requests, from, to, step, stale: None, writes: 0, failed: None }
    }

    /// The next I/O to perform.
    #[must_use]
    pub fn next_io(&mut self) -> Option<IoRequest<P>> {
        self.requests.pop_front()
    }

    /// Takes a completion; the outcome is there when nothing is left to do.
    ///
    /// # Errors
    /// What is on disk is unknown: the process must stop.
    pub fn on_io(&mut self, done: IoDone<P>) -> Result<Option<ChangeOutcome>, Fatal> {
        let Self { pool, ids, requests, .. } = self;
        match &mut self.step {
            Step::Write(write) => {
                let file = write.file;
                let load = match write.advance(done, ids) {
                    Ok(Advance::Continue(request)) => {
                        requests.push_back(request);
                        return Ok(None);
                    }
                    Ok(Advance::Written(buffer)) => {
                        pool.reclaim(buffer);
                        CopiesLoad::again(FILES, STORE_MANIFEST_BYTES_MAX, Some(file), pool, ids, requests)
                    }
                    Err(why) if why.error.kind == IoErrorKind::NoSpace => {
                        self.failed = Some(why);
                        CopiesLoad::start(FILES, STORE_MANIFEST_BYTES_MAX, ids, requests)
                    }
                    Err(fatal) => return Err(fatal),
                };
                self.step = Step::Look(Box::new(load));
                Ok(None)
            }
            Step::Look(load) => {
                let Some(found) = load.on_io(done, pool, ids, requests)? else { return Ok(None) };
                let unreadable = load.unreadable();
                self.judge(found, unreadable)
            }
        }
    }

    /// What comes of what both copies say.
    fn judge(
        &mut self,
        found: Loaded<StoreManifest>,
        unreadable: Option<(FileId, IoError)>,
    ) -> Result<Option<ChangeOutcome>, Fatal> {
        if let Some((file, error)) = unreadable {
            let what = "reading the store manifest";
            let why = self.failed.unwrap_or(Fatal { what, file, offset: 0, error });
            let kept = ChangeOutcome::Kept { stale: None, why };
            return if self.writes == 0 { Ok(Some(kept)) } else { Err(why) };
        }
        let another_in = |copy: ManifestCopy| Fatal {
            what: "finding the store manifest as it was written",
            file: FILES[copy as usize],
            offset: 0,
            error: IoError { kind: IoErrorKind::Other, code: 0 },
        };
        let unknown = self.failed.unwrap_or_else(|| another_in(ManifestCopy::A));
        let Loaded::Manifest { manifest, stale, missing: [false, false] } = found else {
            return Err(unknown);
        };
        let stale = match stale {
            [false, false] => None,
            [true, false] => Some(ManifestCopy::A),
            [false, true] => Some(ManifestCopy::B),
            [true, true] => unreachable!("what counts is one of them"),
        };
        if self.writes == 0 {
            self.stale = stale;
        }
        let is_as_it_was = manifest == self.from;
        if !is_as_it_was && manifest != self.to {
            return Err(unknown);
        }
        match self.failed {
            Some(why) if is_as_it_was => return Ok(Some(ChangeOutcome::Kept { stale, why })),
            Some(why) => return Err(why),
            None => {}
        }
        let next = if is_as_it_was { Some(stale.unwrap_or(ManifestCopy::A)) } else { stale };
        let Some(copy) = next else {
            let again = self.writes > FILES.len();
            return Ok(Some(ChangeOutcome::Changed { stale: self.stale, again }));
        };
        if self.writes == WRITES_MAX {
            return Err(another_in(copy));
        }
        self.write(copy);
        Ok(None)
    }

    fn write(&mut self, copy: ManifestCopy) {
        self.writes += 1;
        let bytes = self.to.encode();
        assert!(bytes.len().is_multiple_of(BLOCK_BYTES), "manifests are whole blocks");
        let mut buffer = self.pool.take(bytes.len());
        buffer.as_mut()[..bytes.len()].copy_from_slice(&bytes);
        let write = PendingWrite {
            id: self.ids.next(),
            file: FILES[copy as usize],
            offset: 0,
            range: 0..bytes.len(),
            // Synced by the look at it: a full disk is told from a sync that failed.
            durable: false,
            what: "writing the store manifest",
        };
        self.requests.push_back(write.request(self.pool.freeze(buffer)));
        self.step = Step::Write(write);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::io::{IoBuffer, IoOperation};
    use crate::store_files::{StoreManifestFound, StoreManifestLoad};
    use crate::testing::HeapPool;
    use crate::types::{Db, UnixMs};

    /// What a write that fails for want of space leaves in its copy.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Left {
        Untouched,
        Torn,
        Whole,
    }

    /// Both copies, with what is written while the drive has not been told to sync.
    struct Disk {
        copies: [Vec<u8>; 2],
        /// Writes from now on that succeed before one fails, how, and what that leaves.
        fails: Option<(usize, IoErrorKind, Left)>,
        sync_fails: bool,
        unreadable: Option<usize>,
        /// No copy can be read from this write on.
        unreadable_after: Option<usize>,
        written: Vec<usize>,
        /// By number, the writes of a change that are acknowledged and not done.
        loses: BTreeSet<usize>,
        /// What a start may find if there is a power cut now.
        may_be: Vec<StoreManifest>,
    }

    impl Disk {
        fn of(manifest: &StoreManifest) -> Self {
            let bytes = manifest.encode();
            Self {
                copies: [bytes.clone(), bytes],
                fails: None,
                sync_fails: false,
                unreadable: None,
                unreadable_after: None,
                written: Vec::new(),
                loses: BTreeSet::new(),
                may_be: vec![manifest.clone()],
            }
        }

        fn perform(&mut self, request: IoRequest<HeapPool>) -> IoDone<HeapPool> {
            let at = |file: FileId| FILES.iter().position(|&one| one == file).unwrap();
            let error = |kind| Err(IoError { kind, code: 28 });
            let (result, buffer) = match request.operation {
                IoOperation::Write { file, offset, buffer, range, durable } => {
                    assert!(offset == 0 && !durable);
                    let (copy, bytes) = (at(file), &buffer.as_ref()[range]);
                    self.check_power_cut(copy, bytes);
                    self.written.push(copy);
                    let left = match &mut self.fails {
                        Some((0, kind, left)) => Some((*kind, *left)),
                        Some((count, ..)) => {
                            *count -= 1;
                            None
                        }
                        None => None,
                    };
                    let whole = bytes.to_vec();
                    let result = match left {
                        None if self.loses.contains(&(self.written.len() - 1)) => Ok(whole.len()),
                        None => {
                            let len = whole.len();
                            self.copies[copy] = whole;
                            Ok(len)
                        }
                        Some((kind, left)) => {
                            match left {
                                Left::Untouched => {}
                                Left::Torn => self.copies[copy][..60].copy_from_slice(&whole[..60]),
                                Left::Whole => self.copies[copy] = whole,
                            }
                            error(kind)
                        }
                    };
                    (result, IoBuffer::Frozen(buffer))
                }
                IoOperation::SyncFile { .. } if self.sync_fails => {
                    (error(IoErrorKind::NoSpace), IoBuffer::None)
                }
                IoOperation::SyncFile { .. } | IoOperation::SyncDirectory => (Ok(0), IoBuffer::None),
                IoOperation::Read { file, buffer, .. }
                    if self.unreadable == Some(at(file))
                        || self.unreadable_after.is_some_and(|count| self.written.len() >= count) =>
                {
                    (error(IoErrorKind::Other), IoBuffer::Owned(buffer))
                }
                IoOperation::Read { file, offset, mut buffer, len } => {
                    let rest = self.copies[at(file)].get(usize::try_from(offset).unwrap()..).unwrap_or(&[]);
                    let len = len.min(rest.len());
                    buffer[..len].copy_from_slice(&rest[..len]);
                    (Ok(len), IoBuffer::Owned(buffer))
                }
                _ => panic!("nothing else is asked for"),
            };
            IoDone { id: request.id, result, buffer }
        }

        fn change(&mut self, from: &StoreManifest, to: &StoreManifest) -> Result<ChangeOutcome, Fatal> {
            self.written.clear();
            self.may_be = vec![from.clone(), to.clone()];
            let mut change = StoreManifestChange::new(from, to, HeapPool);
            loop {
                let request = change.next_io().expect("it goes on until there is an outcome");
                let done = self.perform(request);
                if let Some(outcome) = change.on_io(done)? {
                    return Ok(outcome);
                }
            }
        }

        /// A power cut tears this write.
        fn check_power_cut(&self, copy: usize, bytes: &[u8]) {
            let mut torn = Self::of(&manifest());
            torn.copies = self.copies.clone();
            torn.copies[copy][..60].copy_from_slice(&bytes[..60]);
            let found = torn.start();
            assert!(self.may_be.contains(&found), "what was acknowledged comes undone");
        }

        /// What a start would find, which may repair a copy.
        fn start(&self) -> StoreManifest {
            let mut disk = Self::of(&manifest());
            disk.copies = self.copies.clone();
            let mut load = StoreManifestLoad::new(HeapPool);
            loop {
                let Some(request) = load.next_io() else { panic!("a start ends") };
                let IoRequest { id, operation } = request;
                let done = match operation {
                    IoOperation::Write { file, buffer, range, .. } => {
                        let copy = FILES.iter().position(|&one| one == file).unwrap();
                        disk.copies[copy] = buffer.as_ref()[range.clone()].to_vec();
                        IoDone { id, result: Ok(range.len()), buffer: IoBuffer::Frozen(buffer) }
                    }
                    operation => disk.perform(IoRequest { id, operation }),
                };
                match load.on_io(done).unwrap() {
                    Some(StoreManifestFound::Manifest { manifest, .. }) => return manifest,
                    Some(StoreManifestFound::None) => panic!("a manifest is there"),
                    None => {}
                }
            }
        }

        fn is_intact(&self, copy: ManifestCopy, manifest: &StoreManifest) -> bool {
            self.copies[copy as usize] == manifest.encode()
        }
    }

    fn manifest() -> StoreManifest {
        StoreManifest::create([1; 16], [2; 16], UnixMs(3), 4, 2)
    }

    fn swapped(of: &StoreManifest, first: u8, second: u8) -> StoreManifest {
        let mut next = of.clone();
        next.swap_databases(Db(first), Db(second));
        next
    }

    #[test]
    fn a_change_writes_one_copy_after_the_other_and_one_that_is_not_what_counts_first() {
        let old = manifest();
        let from = swapped(&old, 2, 3);
        let to = swapped(&from, 0, 1);
        for (stale, order) in
            [(None, [0, 1]), (Some(ManifestCopy::A), [0, 1]), (Some(ManifestCopy::B), [1, 0])]
        {
            for found in [old.encode(), vec![7; old.encode().len()]] {
                let mut disk = Disk::of(&from);
                if let Some(copy) = stale {
                    // The drive has lost the write of it, or something lies over it.
                    disk.copies[copy as usize] = found;
                }
                assert_eq!(disk.change(&from, &to), Ok(ChangeOutcome::Changed { stale, again: false }));
                assert_eq!(disk.written, order);
                assert!(disk.copies.iter().all(|copy| *copy == to.encode()) && disk.start() == to);
            }
        }
    }

    /// What is answered is in both copies, whatever the drive has lost; if it loses too much, nothing is answered.
    #[test]
    fn a_write_that_the_drive_acknowledged_and_lost_is_done_again() {
        let mut ends = 0;
        for number in 0..1_u32 << WRITES_MAX {
            let (mut now, mut disk) = (manifest(), Disk::of(&manifest()));
            disk.loses = (0..WRITES_MAX).filter(|at| number >> at & 1 == 1).collect();
            for round in 1..4 {
                let next = swapped(&now, 0, round);
                match disk.change(&now, &next) {
                    Ok(ChangeOutcome::Changed { stale: None, again }) => {
                        assert_eq!(again, disk.written.len() > 2);
                        assert!(disk.copies.iter().all(|copy| *copy == next.encode()));
                        now = next;
                    }
                    other => {
                        assert!(disk.loses.len() > WRITES_MAX - 2 && other.is_err(), "{number:b}: {other:?}");
                        assert!([now, next].contains(&disk.start()));
                        ends += 1;
                        break;
                    }
                }
            }
        }
        assert_eq!(ends, 5, "three of four, or all");
    }

    /// Whatever a write leaves that met a full disk: what is answered is what a start finds, now and after further changes
    /// that meet one, and the copy that counts is never the one that is written first.
    #[test]
    fn of_a_full_disk_the_outcome_is_what_a_start_would_find_and_the_next_change_heals_it() {
        let lefts = [Left::Untouched, Left::Torn, Left::Whole];
        let faults: Vec<_> = (0..2).flat_map(|at| lefts.map(|left| Some((at, left)))).chain([None]).collect();
        let mut seen = BTreeSet::new();
        for number in 0..faults.len().pow(3) {
            let mut now = manifest();
            let mut disk = Disk::of(&now);
            let mut stale = None;
            let mut ended = false;
            for round in 0..3 {
                let fault = faults[number / faults.len().pow(round) % faults.len()];
                disk.fails = fault.map(|(at, left)| (at, IoErrorKind::NoSpace, left));
                let next = swapped(&now, 0, u8::try_from(round).unwrap() + 1);
                let whole = stale.map_or(ManifestCopy::B, ManifestCopy::other);
                assert!(disk.is_intact(whole, &now));
                let was_stale = stale;
                let outcome = disk.change(&now, &next);
                assert_ne!(disk.written[0], whole as usize, "the copy that counts is not touched first");
                match outcome {
                    Ok(outcome @ ChangeOutcome::Changed { .. }) => {
                        assert_eq!(outcome, ChangeOutcome::Changed { stale: was_stale, again: false });
                        (now, stale) = (next, None);
                    }
                    Ok(ChangeOutcome::Kept { stale: is_stale, why }) => {
                        assert_eq!(why.error.kind, IoErrorKind::NoSpace);
                        stale = is_stale;
                        seen.insert(stale.map(|copy| copy as usize));
                    }
                    Err(_) => {
                        let (at, left) = fault.unwrap();
                        assert!(at == 1 || left == Left::Whole, "{fault:?}: it could go on");
                        assert!(disk.start() == next, "one copy has it");
                        ended = true;
                        break;
                    }
                }
                assert!(disk.start() == now, "{fault:?} in round {round}");
                for copy in [ManifestCopy::A, ManifestCopy::B] {
                    assert_eq!(disk.is_intact(copy, &now), stale != Some(copy), "{fault:?}");
                }
            }
            if ended {
                continue;
            }
            disk.fails = None;
            let next = swapped(&now, 4, 5);
            assert_eq!(disk.change(&now, &next), Ok(ChangeOutcome::Changed { stale, again: false }));
            assert!(disk.copies.iter().all(|copy| *copy == next.encode()));
        }
        assert_eq!(seen, BTreeSet::from([None, Some(0)]));
    }

    #[test]
    fn any_other_error_and_a_sync_that_fails_are_the_end() {
        let from = manifest();
        let to = swapped(&from, 0, 1);
        for at in 0..2 {
            let mut disk = Disk::of(&from);
            disk.fails = Some((at, IoErrorKind::Other, Left::Untouched));
            assert_eq!(disk.change(&from, &to).unwrap_err().error.kind, IoErrorKind::Other);
        }
        let mut disk = Disk::of(&from);
        disk.sync_fails = true;
        assert!(disk.change(&from, &to).is_err(), "also for want of space");
        disk.fails = Some((0, IoErrorKind::NoSpace, Left::Untouched));
        assert!(disk.change(&from, &to).is_err(), "nor is what is there decided without one");
        let mut disk = Disk::of(&from);
        disk.unreadable = Some(0);
        let outcome = disk.change(&from, &to);
        assert!(matches!(outcome, Ok(ChangeOutcome::Kept { stale: None, .. })) && disk.written.is_empty());
        let mut disk = Disk::of(&from);
        disk.unreadable_after = Some(1);
        assert!(disk.change(&from, &to).is_err(), "who cannot be read may say anything later");
        let mut disk = Disk::of(&from);
        disk.copies = [&to, &to].map(StoreManifest::encode);
        assert!(disk.change(&from, &swapped(&from, 2, 3)).is_err(), "it is not what counts");
        assert!(disk.written.is_empty());
        let mut disk = Disk::of(&from);
        disk.unreadable_after = Some(1);
        disk.fails = Some((0, IoErrorKind::NoSpace, Left::Whole));
        assert!(disk.change(&from, &to).is_err(), "who cannot be read may say anything later");
        let mut disk = Disk::of(&from);
        disk.copies = [vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]];
        assert!(disk.change(&from, &to).is_err(), "neither copy is whole");
        assert!(disk.written.is_empty());
    }
}
