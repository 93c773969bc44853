//! Open extents: records are placed in them one behind the other; one that is full is sealed, and frozen when it is to be
//! written.

use super::extent::{Disk, Extent, Memory, Uses, touched_bytes};
use super::{DIRTY_SLACK, Extents, Stream, class_bytes};
use crate::index::{ExtentNumber, LengthClass, Location};
use crate::io::{BLOCK_BYTES, BlockPool};
use crate::limits::EXTENT_BYTES;

impl<P: BlockPool> Extents<P> {
    /// Bytes of the buffer of an extent, but of a run.
    pub(crate) fn usual_bytes(&self) -> usize {
        self.fill_bytes.next_multiple_of(BLOCK_BYTES)
    }

    /// Makes room for a record of `len` bytes, counts it as live, and returns where it goes.
    #[inline]
    pub fn allocate(&mut self, stream: Stream, len: usize, pool: &mut P) -> (Location, &mut [u8]) {
        self.seal_run();
        let number = if len > EXTENT_BYTES - self.head_bytes() {
            let run = self.add(pool.take((self.head_bytes() + len).next_multiple_of(BLOCK_BYTES)));
            self.open_run = Some(run);
            run
        } else {
            let open = self.open[stream as usize];
            match open {
                Some(number) if self.table.get(number).used_bytes as usize + len <= self.fill_bytes => number,
                _ => {
                    self.seal_open(stream);
                    // As large as what will be in it: an extent, but in tests of small stores.
                    let bytes =
                        self.usual_bytes().max((self.head_bytes() + len).next_multiple_of(BLOCK_BYTES));
                    let number = self.add(pool.take(bytes));
                    self.open[stream as usize] = Some(number);
                    number
                }
            }
        };
        let location = self.place_in(number, len);
        if self.open_run == Some(number) {
            self.take_run(number);
        }
        if stream == Stream::Fresh {
            self.fresh_bytes += u64::from(class_bytes(LengthClass::of(len)));
        }
        (location, self.room_of(location, len))
    }

    /// Takes the places of a run, if there are as many in a row. There may be none yet: at a start.
    fn take_run(&mut self, number: ExtentNumber) {
        let extent = self.table.get_mut(number);
        if self.seal.is_some()
            && let Some(place) = self.places.take(extent.place_count())
        {
            (extent.place, extent.has_place) = (place, true);
        }
    }

    /// Counts `len` more bytes in an extent and tells where they start.
    #[inline]
    fn place_in(&mut self, number: ExtentNumber, len: usize) -> Location {
        let class = class_bytes(LengthClass::of(len));
        let len = u32::try_from(len).expect("a record is shorter than 4 GiB: limits.rs");
        self.live_bytes += u64::from(class);
        self.placed_bytes += u64::from(class);
        self.held_bytes += u64::from(len);
        let extent = self.table.get_mut(number);
        let offset = extent.used_bytes;
        extent.used_bytes += len;
        extent.live_bytes += class;
        extent.placed_bytes += class;
        self.memory_bytes += touched_bytes(extent.used_bytes) - touched_bytes(offset);
        Location { extent: number, offset }
    }

    #[inline]
    fn room_of(&mut self, location: Location, len: usize) -> &mut [u8] {
        let start = location.offset as usize;
        match &mut self.table.get_mut(location.extent).memory {
            Memory::Owned(buffer) => &mut buffer.as_mut()[start..start + len],
            Memory::Frozen(_) | Memory::Absent => unreachable!("records are placed in open extents"),
        }
    }

    pub(super) fn add(&mut self, buffer: P::Buffer) -> ExtentNumber {
        let used_bytes = u32::try_from(self.head_bytes()).unwrap_or(0);
        self.memory_bytes += touched_bytes(used_bytes);
        self.held_bytes += u64::from(used_bytes);
        self.table.add(Extent {
            memory: Memory::Owned(buffer),
            used_bytes,
            live_bytes: 0,
            tail_bytes: 0,
            salt: self.salt,
            placed_bytes: 0,
            damaged: false,
            place: 0,
            has_place: false,
            disk: Disk::None,
            uses: None,
            is_unknown: false,
            deadlines: None,
            deadline_records: 0,
            counted_s: 0,
            ended_bytes: 0,
            emptied: None,
        })
    }

    pub(super) fn seal_open(&mut self, stream: Stream) {
        if let Some(number) = self.open[stream as usize].take() {
            self.seal(number);
        }
    }

    /// An extent takes no more records.
    pub(super) fn seal(&mut self, number: ExtentNumber) {
        let (seal, runs) = (self.seal, self.checkpoint_runs);
        let extent = self.table.get_mut(number);
        assert_eq!(extent.disk, Disk::None, "an extent is sealed once");
        if extent.live_bytes == 0 && !(seal.is_some() && runs) {
            self.forget(number);
            return;
        }
        if seal.is_none() {
            return;
        }
        extent.disk = Disk::Dirty;
        let is_dead = extent.live_bytes == 0;
        if self.dirty.len() > 2 * self.dirty_count + DIRTY_SLACK {
            let Self { dirty, table, .. } = self;
            dirty.retain(|number| table.find(*number).is_some_and(|extent| extent.disk == Disk::Dirty));
        }
        self.dirty_places += u64::from(self.table.get(number).places_owed());
        self.dirty.push_back(number);
        self.dirty_count += 1;
        if is_dead {
            // The copy that is being made may point into it: it goes to disk all the same.
            self.note_emptied(number);
        }
    }

    /// From here on nothing in a sealed extent changes: it is about to be written, or a snapshot counts on it.
    pub(super) fn freeze(&mut self, number: ExtentNumber, pool: &mut P) {
        let Some(seal) = self.seal else { unreachable!("only what goes to disk is frozen") };
        let extent = self.table.get_mut(number);
        assert_eq!(extent.disk, Disk::Dirty, "what is written is frozen already");
        let Memory::Owned(mut buffer) = std::mem::replace(&mut extent.memory, Memory::Absent) else {
            unreachable!("the caller looked")
        };
        let used = extent.used_bytes as usize;
        buffer.as_mut()[used..used.next_multiple_of(BLOCK_BYTES)].fill(0);
        seal.write_header(number, extent.salt, extent.used_bytes, buffer.as_mut());
        extent.memory = Memory::Frozen(pool.freeze(buffer));
        extent.uses = (used <= EXTENT_BYTES).then(|| Uses::new(extent.used_bytes));
        self.watch(number);
    }
}
