//! What extents promise, in memory and on their way to disk.

use super::extent::place_count;
use super::*;
use crate::limits::EXTENTS_FREED_PER_STEP;
use crate::testing::HeapPool;
use crate::types::ShardId;

const SEAL: ExtentSeal = ExtentSeal { store: 77, shard: ShardId(3) };

fn fill(extents: &mut Extents<HeapPool>, count: usize, len: usize) -> Vec<Location> {
    (0..count)
        .map(|_| {
            let (place, bytes) = extents.allocate(Stream::Fresh, len, &mut HeapPool);
            bytes.fill(7);
            place
        })
        .collect()
}

fn write_all(extents: &mut Extents<HeapPool>) -> Vec<(u64, usize)> {
    let mut writes = Vec::new();
    while extents.next_dirty().is_some() {
        let Some(write) = extents.next_write(&mut HeapPool) else {
            let first = extents.place_end();
            extents.got_space(Growth::End { first, end: first + 1 });
            continue;
        };
        writes.push((write.offset, write.len));
        extents.on_written(write.number);
    }
    writes
}

#[test]
fn memory_comes_back_when_nothing_in_an_extent_lives() {
    let mut extents = Extents::new(None, 0);
    let places = fill(&mut extents, 5_000, 1000);
    assert_eq!(extents.count(), 5);
    assert_eq!(extents.live_bytes(), 5_000 * 1024);
    for place in places {
        extents.release(place, LengthClass::of(1000));
    }
    assert_eq!((extents.count(), extents.live_bytes()), (1, 0), "only the open one stays");
    let _ = extents.allocate(Stream::Fresh, EXTENT_BYTES, &mut HeapPool);
    assert_eq!(extents.count(), 1, "sealing a dead extent frees it");
}

#[test]
fn a_record_larger_than_an_extent_has_a_run_of_its_own() {
    for seal in [None, Some(SEAL)] {
        let mut extents = Extents::new(seal, 5);
        let head = if seal.is_some() { 64 } else { 0 };
        let (small, _) = extents.allocate(Stream::Fresh, 10, &mut HeapPool);
        let (large, bytes) = extents.allocate(Stream::Fresh, EXTENT_BYTES * 3 + 1, &mut HeapPool);
        assert_eq!((bytes.len(), large.offset), (EXTENT_BYTES * 3 + 1, head));
        let (next, _) = extents.allocate(Stream::Fresh, 10, &mut HeapPool);
        assert_eq!((next.extent, next.offset), (small.extent, head + 10), "the open extent goes on");
        if seal.is_some() {
            assert_eq!(write_all(&mut extents), [(0, EXTENT_BYTES * 3 + 4096)]);
            assert_eq!(extents.file_bytes(), 4 << 20);
        }
        extents.release(large, LengthClass::of(EXTENT_BYTES * 3 + 1));
        assert_eq!(extents.count(), if seal.is_some() { 2 } else { 1 }, "on disk it waits for a checkpoint");
    }
}

#[test]
fn numbers_are_never_reused_and_emptied_pages_go() {
    let mut extents = Extents::<HeapPool>::new(None, 0);
    let mut last = None;
    for _ in 0..3 * 256 {
        let (place, _) = extents.allocate(Stream::Fresh, EXTENT_BYTES, &mut HeapPool);
        assert!(last < Some(place.extent));
        last = Some(place.extent);
        extents.release(place, LengthClass::of(EXTENT_BYTES));
    }
    assert_eq!(extents.count(), 1);
    assert!(extents.table.page_count() <= 1);
}

#[test]
fn a_place_is_used_again_only_after_a_checkpoint_that_began_after_its_extent_was_emptied() {
    let mut extents = Extents::new(Some(SEAL), 5);
    let first = fill(&mut extents, 10, 300_000);
    assert_eq!(write_all(&mut extents).len(), 3, "three are sealed, one is open");
    // A checkpoint runs; while it copies, the first extent is emptied.
    extents.begin_checkpoint();
    for &place in &first[..3] {
        extents.release(place, LengthClass::of(300_000));
    }
    let limit = extents.seal_all(&mut HeapPool);
    assert!(!extents.is_written_below(limit));
    write_all(&mut extents);
    assert!(extents.is_written_below(limit));
    assert_eq!(extents.on_disk_below(limit).count(), 4, "the copy may point into the emptied one");
    extents.on_published(limit);
    assert_eq!((extents.emptied_bytes(), extents.free_places()), (1 << 20, 0));
    // The next checkpoint began after the emptying.
    extents.begin_checkpoint();
    let limit = extents.seal_all(&mut HeapPool);
    assert_eq!(extents.free_places(), 0, "not before it is published");
    extents.on_published(limit);
    assert_eq!((extents.emptied_bytes(), extents.free_places(), extents.count()), (0, 1, 3));
    let second = fill(&mut extents, 4, 300_000);
    assert_eq!(write_all(&mut extents), [(0, 900_064usize.next_multiple_of(4096))]);
    assert!(second[0].extent.0 >= 4);
}

#[test]
fn an_extent_that_dies_before_it_is_written_never_goes_to_disk_unless_a_copy_points_into_it() {
    let mut extents = Extents::new(Some(SEAL), 5);
    let places = fill(&mut extents, 4, 300_000);
    for &place in &places[..3] {
        extents.release(place, LengthClass::of(300_000));
    }
    assert_eq!((write_all(&mut extents).len(), extents.count()), (0, 1));
    extents.begin_checkpoint();
    extents.release(places[3], LengthClass::of(300_000));
    let limit = extents.seal_all(&mut HeapPool);
    assert_eq!(write_all(&mut extents).len(), 1);
    extents.on_published(limit);
    assert_eq!(extents.count(), 1, "it stays until a later checkpoint");
}

#[test]
fn records_of_an_extent_that_left_memory_are_cold_until_they_are_remembered() {
    let mut extents = Extents::new(Some(SEAL), 5);
    let places = fill(&mut extents, 1_200, 1_000);
    write_all(&mut extents);
    let (at, class) = (places[5], LengthClass::of(1_000));
    assert!(extents.cold_place(at, class).is_none() && extents.is_in_memory(at.extent));
    let before = extents.allocated_bytes();
    assert!(extents.drop_oldest() && !extents.drop_oldest(), "the open extent stays");
    assert_eq!(extents.allocated_bytes(), before - (1 << 20));
    assert!(extents.find(at).is_none());
    let cold = extents.cold_place(at, class).unwrap();
    assert_eq!((cold.offset, cold.start), (4096, 64 + 5_000 - 4096));
    assert!(cold.len >= cold.start + 1_000 && cold.len.is_multiple_of(4096));
    extents.remember(at, &[7; 1_000]);
    assert_eq!(extents.find(at), Some(&[7; 1_000][..]));
    assert!(extents.is_writable(places[1_199]) && !extents.is_writable(at));
}

#[test]
fn what_a_snapshot_names_is_taken_over_and_the_dead_is_free() {
    let mut extents = Extents::<HeapPool>::new(Some(SEAL), 5);
    extents.adopt_file(6);
    let on_disk = |number, place, used_bytes| ExtentOnDisk {
        number: ExtentNumber(number),
        place,
        place_count: place_count(used_bytes),
        used_bytes,
        salt: 1,
        deadlines: None,
    };
    assert!(extents.adopt(on_disk(4, 1, 500_000)));
    assert!(extents.adopt(on_disk(9, 2, 3 << 20)));
    assert!(!extents.adopt(on_disk(10, 4, 70)), "a place has one extent");
    assert!(!extents.adopt(on_disk(9, 5, 70)), "so has a number");
    assert!(!extents.adopt(on_disk(11, 6, 70)), "and none lies beyond the end");
    let at = Location { extent: ExtentNumber(9), offset: 64 };
    extents.count_live(at, LengthClass::of(3 << 20), false);
    extents.finish_loading(ExtentNumber(100)).unwrap();
    assert_eq!((extents.count(), extents.free_places(), extents.next_number().0), (1, 3, 100));
    assert_eq!(extents.places_ready(), 0, "nobody knows yet which of them have disk space");
    let (fresh, _) = extents.allocate(Stream::Fresh, 10, &mut HeapPool);
    assert_eq!(fresh.extent.0, 100);

    let mut extents = Extents::<HeapPool>::new(Some(SEAL), 5);
    extents.adopt_file(1);
    assert!(extents.adopt(on_disk(4, 0, 500)));
    let beyond = Location { extent: ExtentNumber(4), offset: 500 };
    extents.count_live(beyond, LengthClass(9), false);
    assert_eq!(extents.finish_loading(ExtentNumber(9)), Err(beyond));
}

#[test]
fn a_row_of_places_that_a_run_was_let_in_for_is_nobody_elses() {
    const RUN: usize = EXTENT_BYTES * 5 / 2;
    let mut extents = Extents::new(Some(SEAL), 5);
    extents.got_space(Growth::End { first: 0, end: 4 });
    // What is sealed before it is written before it, and takes the lowest place.
    let _ = fill(&mut extents, 2, EXTENT_BYTES * 3 / 4);
    let (run, _) = extents.allocate(Stream::Fresh, RUN, &mut HeapPool);
    assert_eq!((extents.places_ready(), extents.places_owed()), (1, 2));
    assert!(extents.places_short_for(RUN) > 0, "there is no second row");
    extents.got_space(Growth::End { first: 4, end: 5 });
    extents.seal_run();
    extents.seal_open(Stream::Fresh);
    let writes = write_all(&mut extents);
    let places: Vec<u64> = writes.iter().map(|(offset, _)| offset >> 20).collect();
    assert_eq!(places, [3, 0, 4]);
    extents.release(run, LengthClass::of(RUN));
    extents.got_space(Growth::End { first: 5, end: 8 });
    let (run, _) = extents.allocate(Stream::Fresh, RUN, &mut HeapPool);
    assert_eq!(extents.places_ready(), 0);
    extents.release(run, LengthClass::of(RUN));
    extents.seal_run();
    assert_eq!(extents.places_ready(), 3, "one that was never written gives them back at once");
}

#[test]
fn of_very_many_emptied_extents_some_are_freed_at_a_time_and_all_before_the_next_checkpoint() {
    let mut extents = Extents::new(Some(SEAL), 5);
    extents.set_fill_bytes(4096);
    let all = fill(&mut extents, EXTENTS_FREED_PER_STEP * 3, 4000);
    extents.begin_checkpoint();
    let limit = extents.seal_all(&mut HeapPool);
    write_all(&mut extents);
    extents.on_published(limit);
    for location in all {
        extents.release(location, LengthClass::of(4000));
    }
    extents.begin_checkpoint();
    let limit = extents.seal_all(&mut HeapPool);
    extents.on_published(limit);
    assert_eq!(extents.count(), EXTENTS_FREED_PER_STEP * 2);
    assert!(extents.free_some(EXTENTS_FREED_PER_STEP));
    assert_eq!(extents.places_ready(), EXTENTS_FREED_PER_STEP as u64 * 2);
    extents.begin_checkpoint();
    assert_eq!((extents.count(), extents.on_disk_below(limit).count()), (0, 0));
    assert!(!extents.free_some(1));
}

#[test]
fn a_run_looks_for_its_row_in_the_file_of_an_earlier_run_only_where_space_is_scarce() {
    let mut extents = Extents::<HeapPool>::new(Some(SEAL), 5);
    extents.adopt_file_end(4);
    assert_eq!(extents.next_growth(3, 1, false), Growth::End { first: 4, end: 7 });
    for place in 0..4 {
        assert_eq!(extents.next_growth(3, 1, true), Growth::Hole(place));
        if place == 0 {
            assert!(extents.has_no_space(Growth::Hole(0)));
        } else {
            extents.got_space(Growth::Hole(place));
        }
    }
    // What is known to have none is no row, and nothing is asked of it again and again.
    assert_eq!(extents.next_growth(3, 1, true), Growth::End { first: 4, end: 7 });
    assert_eq!(extents.places_ready(), 3);
}
