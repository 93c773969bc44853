//! The table of a shard's extents by number: two levels, so that numbers may grow for ever while memory follows
//! what is there.

use crate::index::ExtentNumber;

/// Extents whose places in the table are allocated together.
const PAGE: usize = 256;

type Page<T> = Box<[Option<T>]>;

/// Values by extent number.
#[derive(Debug)]
pub(super) struct ExtentTable<T> {
    pages: Vec<Option<Page<T>>>,
    /// No page before this one is there.
    first_page: usize,
    next: u32,
    count: usize,
}

impl<T> Default for ExtentTable<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), first_page: 0, next: 0, count: 0 }
    }
}

impl<T> ExtentTable<T> {
    /// Extents held.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The smallest number not given out yet.
    pub(super) const fn next(&self) -> u32 {
        self.next
    }

    /// Numbers from here on are given out next.
    pub(super) fn skip_to(&mut self, number: u32) {
        assert!(number >= self.next, "a number is never given out twice");
        self.next = number;
    }

    /// Puts a value under the next number.
    pub(super) fn add(&mut self, value: T) -> ExtentNumber {
        let number = ExtentNumber(self.next);
        self.insert(number, value);
        number
    }

    /// Puts a value under a number that no other had: as it stood in a snapshot.
    pub(super) fn insert(&mut self, number: ExtentNumber, value: T) {
        self.next = self
            .next
            .max(number.0.checked_add(1).expect("2^32 extents of 1 MiB are 4 PiB written by one shard"));
        let (page, slot) = Self::split(number);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        self.first_page = self.first_page.min(page);
        let page = self.pages[page].get_or_insert_with(|| (0..PAGE).map(|_| None).collect());
        assert!(page[slot].is_none(), "a number is never given out twice");
        page[slot] = Some(value);
        self.count += 1;
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, number: ExtentNumber) -> T {
        let (page_number, slot) = Self::split(number);
        let Some(page) = &mut self.pages[page_number] else { unreachable!("page of an extent") };
        let value = page[slot].take().expect("an extent is freed once");
        self.count -= 1;
        // A page whose numbers are all given out and gone is not needed again.
        if page.iter().all(Option::is_none) && self.next as usize >= (page_number + 1) * PAGE {
            self.pages[page_number] = None;
            while self.first_page < self.pages.len() && self.pages[self.first_page].is_none() {
                self.first_page += 1;
            }
        }
        value
    }

    #[inline]
    const fn split(number: ExtentNumber) -> (usize, usize) {
        (number.0 as usize / PAGE, number.0 as usize % PAGE)
    }

    /// The value of a number, if there is one.
    #[inline]
    pub(super) fn find(&self, number: ExtentNumber) -> Option<&T> {
        let (page, slot) = Self::split(number);
        self.pages.get(page)?.as_ref()?[slot].as_ref()
    }

    /// The value of a number.
    ///
    /// # Panics
    /// When there is none: the index points at an extent that is gone.
    #[inline]
    pub(super) fn get(&self, number: ExtentNumber) -> &T {
        let (page, slot) = Self::split(number);
        self.pages[page].as_ref().and_then(|page| page[slot].as_ref()).expect("the extent is there")
    }

    /// As [`Self::get`], to change it.
    #[inline]
    pub(super) fn get_mut(&mut self, number: ExtentNumber) -> &mut T {
        let (page, slot) = Self::split(number);
        self.pages[page].as_mut().and_then(|page| page[slot].as_mut()).expect("the extent is there")
    }

    /// Extents from a number on, by number.
    pub(super) fn iter_from(&self, number: ExtentNumber) -> impl Iterator<Item = (ExtentNumber, &T)> {
        let (page, slot) = Self::split(number);
        let (first, skip) = if page < self.first_page { (self.first_page, 0) } else { (page, slot) };
        let pages = self.pages.get(first..).unwrap_or_default();
        let places = (first..).zip(pages).filter_map(|(page, slots)| Some((page, slots.as_ref()?)));
        places.flat_map(move |(page, slots)| {
            let skip = if page == first { skip } else { 0 };
            (skip..).zip(&slots[skip..]).filter_map(move |(slot, value)| {
                let number = u32::try_from(page * PAGE + slot).ok()?;
                Some((ExtentNumber(number), value.as_ref()?))
            })
        })
    }

    /// All extents, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ExtentNumber, &T)> {
        self.pages.iter().enumerate().filter_map(|(page, slots)| Some((page, slots.as_ref()?))).flat_map(
            |(page, slots)| {
                slots.iter().enumerate().filter_map(move |(slot, value)| {
                    let number = u32::try_from(page * PAGE + slot).ok()?;
                    Some((ExtentNumber(number), value.as_ref()?))
                })
            },
        )
    }

    #[cfg(test)]
    pub(super) fn page_count(&self) -> usize {
        self.pages.iter().filter(|page| page.is_some()).count()
    }
}
