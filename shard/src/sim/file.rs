//! A file of the simulated disk: what reads see, what would survive power loss, and which sectors are in between.
//!
//! Both states are rows of shared blocks, so that a copy of a whole store costs a pointer a block: copies are made for
//! every start that is tried with damaged files, and every power cut falls back to what is durable.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use crate::io::BLOCK_BYTES;
use crate::sim::rng::Rng;

/// What a power cut tears at.
pub const SECTOR_BYTES: usize = 512;

const SECTORS_PER_BLOCK: usize = BLOCK_BYTES / SECTOR_BYTES;

type Block = [u8; BLOCK_BYTES];

static ZEROS: Block = [0; BLOCK_BYTES];

/// Bytes in shared blocks; `None`: zeros.
#[derive(Clone, Debug, Default)]
struct Content {
    blocks: Vec<Option<Rc<Block>>>,
    len: usize,
}

impl Content {
    fn block(&self, block: usize) -> &Block {
        self.blocks.get(block).and_then(Option::as_deref).unwrap_or(&ZEROS)
    }

    /// Is at least `len` bytes long from now on, zeros where nothing was.
    fn grow(&mut self, len: usize) {
        if len > self.len {
            self.len = len;
            self.blocks.resize(len.div_ceil(BLOCK_BYTES), None);
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.grow(offset + bytes.len());
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (block, start) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
            let (part, after) = rest.split_at(rest.len().min(BLOCK_BYTES - start));
            let place = &mut self.blocks[block];
            match <&Block>::try_from(part) {
                Ok(whole) if *whole == ZEROS => *place = None,
                Ok(whole) => *place = Some(Rc::new(*whole)),
                Err(_) => {
                    let own = Rc::make_mut(place.get_or_insert_with(|| Rc::new(ZEROS)));
                    own[start..start + part.len()].copy_from_slice(part);
                }
            }
            at += part.len();
            rest = after;
        }
    }

    fn read(&self, offset: usize, out: &mut [u8]) -> usize {
        let len = out.len().min(self.len.saturating_sub(offset));
        let mut done = 0;
        while done < len {
            let (block, start) = ((offset + done) / BLOCK_BYTES, (offset + done) % BLOCK_BYTES);
            let part = (len - done).min(BLOCK_BYTES - start);
            out[done..done + part].copy_from_slice(&self.block(block)[start..start + part]);
            done += part;
        }
        len
    }

    fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.len = len;
        self.blocks.truncate(len.div_ceil(BLOCK_BYTES));
        if !len.is_multiple_of(BLOCK_BYTES)
            && let Some(Some(last)) = self.blocks.last_mut()
        {
            Rc::make_mut(last)[len % BLOCK_BYTES..].fill(0);
        }
    }
}

/// A file.
#[derive(Clone, Debug, Default)]
pub struct SimFile {
    /// What reads see.
    current: Content,
    /// What survives power loss, but for the dirty sectors, of which anything may.
    durable: Content,
    /// Blocks with sectors that are not synced: the time of the last write of each; 0 where it is synced.
    dirty: BTreeMap<usize, [u64; SECTORS_PER_BLOCK]>,
    /// Whether its name survives power loss.
    pub(super) named: bool,
}

impl SimFile {
    /// A durable file with this content.
    #[must_use]
    pub fn holding(bytes: &[u8]) -> Self {
        let mut file = Self { named: true, ..Self::default() };
        file.write(0, bytes, None);
        file
    }

    /// Bytes that reads see.
    #[must_use]
    pub fn len(&self) -> usize {
        self.current.len
    }

    /// Whether reads see nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.current.len == 0
    }

    /// A copy of what reads see.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_in(0..self.len()).unwrap_or_default()
    }

    /// A copy of a part of what reads see; `None` where the file ends before.
    #[must_use]
    pub fn bytes_in(&self, range: Range<usize>) -> Option<Vec<u8>> {
        if range.end > self.len() || range.start > range.end {
            return None;
        }
        let mut bytes = vec![0; range.len()];
        self.current.read(range.start, &mut bytes);
        Some(bytes)
    }

    /// Reads; returns how many bytes there were.
    pub fn read(&self, offset: usize, out: &mut [u8]) -> usize {
        self.current.read(offset, out)
    }

    /// What reads see of a block, zeros behind the end.
    #[must_use]
    pub fn block(&self, block: usize) -> &[u8] {
        self.current.block(block)
    }

    /// Blocks that hold anything but zeros.
    pub fn used_blocks(&self) -> impl Iterator<Item = usize> + '_ {
        let blocks = self.current.blocks.iter().enumerate();
        blocks.filter(|(_, block)| block.is_some()).map(|(block, _)| block)
    }

    /// Whether reads see the same in a range of two files.
    #[must_use]
    pub fn is_same(&self, other: &Self, range: Range<usize>) -> bool {
        let both = range.end.min(self.len()) == range.end.min(other.len());
        both && (range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES)).all(|block| {
            let of = |file: &Self| file.current.blocks.get(block).and_then(Option::as_ref).map(Rc::as_ptr);
            let first = block * BLOCK_BYTES;
            let part = range.start.saturating_sub(first)..(range.end - first).min(BLOCK_BYTES);
            of(self) == of(other) || self.block(block)[part.clone()] == other.block(block)[part]
        })
    }

    /// Someone changes a part of the file behind the store's back: durable at once.
    pub fn tamper(&mut self, offset: usize, bytes: &[u8]) {
        self.write(offset, bytes, None);
    }

    /// Flips bits of one byte, durable at once.
    ///
    /// # Panics
    /// When the file ends before.
    pub fn flip(&mut self, at: usize, bits: u8) {
        let byte = self.bytes_in(at..at + 1).expect("the byte is there")[0];
        for content in [&mut self.current, &mut self.durable] {
            content.write(at, &[byte ^ bits]);
        }
    }

    /// Cuts the file, durable at once.
    pub fn truncate(&mut self, len: usize) {
        self.current.truncate(len);
        self.durable.truncate(len);
        self.dirty.split_off(&len.div_ceil(BLOCK_BYTES));
    }

    /// Is at least so long, unsynced.
    pub(super) fn extend(&mut self, len: usize) {
        self.current.grow(len);
    }

    /// Is cut, unsynced: what was durable behind may be back after a power cut.
    pub(super) fn cut_unsynced(&mut self, len: usize) {
        self.current.truncate(len);
        self.dirty.split_off(&len.div_ceil(BLOCK_BYTES));
    }

    /// All that reads see is durable from now on.
    pub fn settle(&mut self) {
        self.durable.clone_from(&self.current);
        self.dirty.clear();
    }

    /// Writes whole sectors: durable without a time, else unsynced as of the time.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8], unsynced: Option<u64>) {
        self.current.write(offset, bytes);
        let range = offset..offset + bytes.len();
        match unsynced {
            None => self.make_durable(range),
            Some(time) => {
                assert!(time > 0 && range.start.is_multiple_of(SECTOR_BYTES), "time 0 means clean");
                for sector in range.start / SECTOR_BYTES..range.end.div_ceil(SECTOR_BYTES) {
                    self.dirty.entry(sector / SECTORS_PER_BLOCK).or_default()[sector % SECTORS_PER_BLOCK] =
                        time;
                }
            }
        }
    }

    fn make_durable(&mut self, range: Range<usize>) {
        self.durable.grow(range.end);
        for block in range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES) {
            let first = block * BLOCK_BYTES;
            let part = range.start.max(first) - first..range.end.min(first + BLOCK_BYTES) - first;
            let whole = part.len() == BLOCK_BYTES;
            if whole {
                self.durable.blocks[block].clone_from(&self.current.blocks[block]);
            } else {
                let bytes = &self.current.block(block)[part.clone()];
                self.durable.write(first + part.start, bytes);
            }
            if let Some(times) = self.dirty.get_mut(&block) {
                times[part.start / SECTOR_BYTES..part.end.div_ceil(SECTOR_BYTES)].fill(0);
                if *times == [0; SECTORS_PER_BLOCK] {
                    self.dirty.remove(&block);
                }
            }
        }
    }

    /// Whether something is not synced.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The sectors last written up to a time and not synced.
    fn dirty_sectors(&self, before: u64) -> Vec<usize> {
        let blocks = self.dirty.iter().flat_map(|(block, times)| {
            let own = times.iter().enumerate().filter(|(_, time)| (1..=before).contains(*time));
            own.map(move |(sector, _)| block * SECTORS_PER_BLOCK + sector)
        });
        blocks.collect()
    }

    fn sector(sector: usize) -> Range<usize> {
        sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES
    }

    /// What was written up to a time survives power loss.
    pub(super) fn sync(&mut self, before: u64) {
        let whole: Vec<usize> = self
            .dirty
            .iter()
            .filter(|(_, times)| times.iter().all(|time| *time <= before))
            .map(|(block, _)| *block)
            .collect();
        for block in whole {
            // Clean sectors are durable as they are: the whole block may be taken over.
            let end = ((block + 1) * BLOCK_BYTES).min(self.current.len);
            self.make_durable(block * BLOCK_BYTES..end);
        }
        for sector in self.dirty_sectors(before) {
            self.make_durable(Self::sector(sector));
        }
    }

    /// A sync failed: what the drive dropped is gone, and it will not say so again.
    pub(super) fn fail_sync(&mut self, rng: &mut Rng) {
        for sector in self.dirty_sectors(u64::MAX) {
            if rng.chance(500) {
                self.make_durable(Self::sector(sector));
            } else {
                let mut old = [0; SECTOR_BYTES];
                self.durable.read(sector * SECTOR_BYTES, &mut old);
                self.current.write(sector * SECTOR_BYTES, &old);
            }
        }
        self.dirty.clear();
    }

    /// What is left after power loss: of the unsynced sectors some are new, some garbage.
    pub(super) fn cut(&mut self, rng: &mut Rng, new: u64, garbage: u64) {
        for sector in self.dirty_sectors(u64::MAX) {
            if rng.chance(garbage) {
                let mut bytes = [0; SECTOR_BYTES];
                for piece in bytes.chunks_exact_mut(8) {
                    piece.copy_from_slice(&rng.draw().to_le_bytes());
                }
                self.durable.write(sector * SECTOR_BYTES, &bytes);
            } else if rng.chance(new) {
                self.make_durable(Self::sector(sector));
            }
        }
        self.fall_back();
    }

    /// Nothing of what is not synced is left.
    pub(super) fn fall_back(&mut self) {
        self.current.clone_from(&self.durable);
        self.dirty.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_synced_survives_and_what_is_not_may_be_old() {
        let mut file = SimFile::default();
        file.write(0, &[1; 8192], None);
        file.write(4096, &[2; 4096], Some(5));
        file.write(0, &[3; 512], Some(7));
        file.sync(6);
        assert!(file.is_dirty());
        file.cut(&mut Rng::new(1), 0, 0);
        assert_eq!(file.bytes_in(0..512), Some(vec![1; 512]));
        assert_eq!(file.bytes_in(4096..8192), Some(vec![2; 4096]));
        assert!(!file.is_dirty());
    }

    #[test]
    fn an_unsynced_extension_is_gone_after_power_loss() {
        let mut file = SimFile::holding(&[1; 4096]);
        file.write(8192, &[2; 4096], Some(1));
        assert_eq!((file.len(), file.block(1)), (12288, &[0; 4096][..]));
        let copy = file.clone();
        file.cut(&mut Rng::new(1), 0, 0);
        assert_eq!(file.len(), 4096);
        assert!(copy.is_same(&file, 0..4096) && !copy.is_same(&file, 0..8192));
    }

    #[test]
    fn a_cut_file_reads_zeros_when_it_grows_again() {
        let mut file = SimFile::holding(&[1; 8192]);
        file.truncate(512);
        file.write(4096, &[2; 512], None);
        assert_eq!(file.bytes_in(512..4096), Some(vec![0; 3584]));
        assert_eq!(file.bytes_in(0..4609), None);
        file.flip(0, 3);
        assert_eq!(file.bytes_in(0..1), Some(vec![2]));
    }
}
