//! A store manifest that is changed while the store serves, and goes on serving when the disk has no space for that.
//!
//! Where files are never written in place (copy on write), writing a copy that is there already can meet a full disk. Then
//! nothing is guessed: both copies are synced and read, as a start would do. Where a start would find the manifest as it
//! was, the change has come to nothing and the store goes on. Anything else is the end of the process, as a write that fails
//! for another reason and a sync that fails are everywhere: also a change that only one copy has, which one rotten bit would
//! undo after it was acknowledged, and a copy that cannot be read, which may say anything the next time.
//!
//! Rules kept here: a copy is durable before the other is begun; the copy that differs from what counts is written first.
//! So at every moment one copy is whole and durable, and is not being written.

use std::collections::VecDeque;

use crate::io::{
    BLOCK_BYTES, BlockPool, Fatal, IoDone, IoErrorKind, IoOperation, IoRequest, ManifestCopy, RequestId,
};
use crate::limits::STORE_MANIFEST_BYTES_MAX;
use crate::log::copies::{CopiesLoad, Loaded, TwoCopies};
use crate::log::pending_write::{Advance, PendingWrite, RequestIds};
use crate::store_files::FILES;
use crate::store_manifest::StoreManifest;

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It is durable in both copies.
    Changed,
    /// All is as it was, durably: the disk had no space.
    Kept {
        /// The copy that is not as it was, if one is not: damaged. It is to be written first next time.
        stale: Option<ManifestCopy>,
        /// The write that failed.
        why: Fatal,
    },
}

enum Step {
    Write(PendingWrite),
    Sync(RequestId),
    /// A write failed for want of space: what is there now?
    Look(Box<CopiesLoad<StoreManifest>>, Fatal),
}

/// Writes both copies of a store manifest in the place of another. Step it by `next_io` and `on_io` until `on_io` has an
/// outcome.
pub struct StoreManifestChange<P: BlockPool> {
    pool: P,
    ids: RequestIds,
    requests: VecDeque<IoRequest<P>>,
    from: StoreManifest,
    bytes: Vec<u8>,
    /// The copy at hand.
    copy: ManifestCopy,
    /// The copy that is written first.
    first: ManifestCopy,
    step: Step,
}

impl<P: BlockPool> StoreManifestChange<P> {
    /// Starts. `from`: what counts now; `stale`: the copy that is not that.
    #[must_use]
    pub fn new(from: &StoreManifest, to: &StoreManifest, stale: Option<ManifestCopy>, pool: P) -> Self {
        assert!(from.agrees_with(to) && from.sequence < to.sequence, "it is made of what counts now");
        let first = stale.unwrap_or(ManifestCopy::A);
        let mut change = Self {
            pool,
            ids: RequestIds::new(),
            requests: VecDeque::new(),
            from: from.clone(),
            bytes: to.encode(),
            copy: first,
            first,
            step: Step::Sync(RequestId(0)),
        };
        change.write_copy();
        change
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
        match &mut self.step {
            Step::Write(write) => match write.advance(done, &mut self.ids) {
                Ok(Advance::Continue(request)) => self.requests.push_back(request),
                Ok(Advance::Written(buffer)) => {
                    self.pool.reclaim(buffer);
                    let (id, file) = (self.ids.next(), FILES[self.copy as usize]);
                    self.step = Step::Sync(id);
                    let operation = IoOperation::SyncFile { file, data_only: true };
                    self.requests.push_back(IoRequest { id, operation });
                }
                Err(why) if why.error.kind == IoErrorKind::NoSpace => {
                    let load =
                        CopiesLoad::start(FILES, STORE_MANIFEST_BYTES_MAX, &mut self.ids, &mut self.requests);
                    self.step = Step::Look(Box::new(load), why);
                }
                Err(fatal) => return Err(fatal),
            },
            Step::Sync(id) => {
                assert_eq!(done.id, *id, "a completion goes to its request");
                let file = FILES[self.copy as usize];
                let failed = |error| Fatal { what: "syncing the store manifest", file, offset: 0, error };
                done.result.map_err(failed)?;
                if self.copy != self.first {
                    return Ok(Some(ChangeOutcome::Changed));
                }
                self.copy = self.first.other();
                self.write_copy();
            }
            Step::Look(load, why) => {
                let why = *why;
                let found = load.on_io(done, &mut self.pool, &mut self.ids, &mut self.requests)?;
                if found.is_some() && load.has_unreadable() {
                    return Err(why);
                }
                return found.map(|found| self.judge(found, why)).transpose();
            }
        }
        Ok(None)
    }

    /// What both copies say after a write that failed.
    fn judge(&self, found: Loaded<StoreManifest>, why: Fatal) -> Result<ChangeOutcome, Fatal> {
        let Loaded::Manifest { manifest, stale, missing: [false, false] } = found else { return Err(why) };
        if manifest != self.from {
            return Err(why);
        }
        let stale = match stale {
            [false, false] => None,
            [true, false] => Some(ManifestCopy::A),
            [false, true] => Some(ManifestCopy::B),
            [true, true] => unreachable!("what counts is one of them"),
        };
        Ok(ChangeOutcome::Kept { stale, why })
    }

    fn write_copy(&mut self) {
        assert!(self.bytes.len().is_multiple_of(BLOCK_BYTES), "manifests are whole blocks");
        let mut buffer = self.pool.take(self.bytes.len());
        buffer.as_mut()[..self.bytes.len()].copy_from_slice(&self.bytes);
        let write = PendingWrite {
            id: self.ids.next(),
            file: FILES[self.copy as usize],
            offset: 0,
            range: 0..self.bytes.len(),
            // Synced by itself: a full disk is told from a sync that failed.
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
    use crate::io::{FileId, IoBuffer, IoError};
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
        written: Vec<usize>,
    }

    impl Disk {
        fn of(manifest: &StoreManifest) -> Self {
            let bytes = manifest.encode();
            Self {
                copies: [bytes.clone(), bytes],
                fails: None,
                sync_fails: false,
                unreadable: None,
                written: Vec::new(),
            }
        }

        fn perform(&mut self, request: IoRequest<HeapPool>) -> IoDone<HeapPool> {
            let at = |file: FileId| FILES.iter().position(|&one| one == file).unwrap();
            let error = |kind| Err(IoError { kind, code: 28 });
            let (result, buffer) = match request.operation {
                IoOperation::Write { file, offset, buffer, range, durable } => {
                    assert!(offset == 0 && !durable);
                    let (copy, bytes) = (at(file), &buffer.as_ref()[range]);
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
                IoOperation::Read { file, buffer, .. } if self.unreadable == Some(at(file)) => {
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

        fn change(
            &mut self,
            from: &StoreManifest,
            to: &StoreManifest,
            stale: Option<ManifestCopy>,
        ) -> Result<ChangeOutcome, Fatal> {
            self.written.clear();
            let mut change = StoreManifestChange::new(from, to, stale, HeapPool);
            loop {
                let request = change.next_io().expect("it goes on until there is an outcome");
                let done = self.perform(request);
                if let Some(outcome) = change.on_io(done)? {
                    return Ok(outcome);
                }
            }
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
    fn a_change_writes_one_copy_after_the_other_and_a_stale_one_first() {
        let from = manifest();
        let to = swapped(&from, 0, 1);
        for (stale, order) in
            [(None, [0, 1]), (Some(ManifestCopy::A), [0, 1]), (Some(ManifestCopy::B), [1, 0])]
        {
            let mut disk = Disk::of(&from);
            assert_eq!(disk.change(&from, &to, stale), Ok(ChangeOutcome::Changed));
            assert_eq!(disk.written, order);
            assert!(disk.copies.iter().all(|copy| *copy == to.encode()) && disk.start() == to);
        }
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
                let outcome = disk.change(&now, &next, stale);
                assert_ne!(disk.written[0], whole as usize, "the copy that counts is not touched first");
                match outcome {
                    Ok(ChangeOutcome::Changed) => (now, stale) = (next, None),
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
            assert_eq!(disk.change(&now, &next, stale), Ok(ChangeOutcome::Changed));
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
            assert_eq!(disk.change(&from, &to, None).unwrap_err().error.kind, IoErrorKind::Other);
        }
        let mut disk = Disk::of(&from);
        disk.sync_fails = true;
        assert!(disk.change(&from, &to, None).is_err(), "also for want of space");
        disk.fails = Some((0, IoErrorKind::NoSpace, Left::Untouched));
        assert!(disk.change(&from, &to, None).is_err(), "nor is what is there decided without one");
        let mut disk = Disk::of(&from);
        disk.copies[1].fill(0);
        disk.fails = Some((0, IoErrorKind::NoSpace, Left::Torn));
        assert!(disk.change(&from, &to, None).is_err(), "neither copy is whole");
        let mut disk = Disk::of(&from);
        disk.unreadable = Some(0);
        disk.fails = Some((0, IoErrorKind::NoSpace, Left::Whole));
        assert!(disk.change(&from, &to, None).is_err(), "who cannot be read may say anything later");
    }
}
