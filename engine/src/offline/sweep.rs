//! All live records of recovered shards: those in memory as they are met, those on disk in the order they lie there.

use shard::databases::DatabaseMap;
use shard::dump::DumpRecord;
use shard::extent::ColdPlace;
use shard::index::{Entry, Location};
use shard::io::{BlockPool, FileId};
use shard::limits::DATABASE_COUNT;
use shard::record::{Effect, Record};
use shard::types::{Db, ShardId, UnixMs};

use crate::Shard;
use crate::cold_reader::read_all;
use crate::files::Files;
use crate::limits::SWEEP_READ_BYTES;
use crate::pool::Pool;

/// Why not all records can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    /// A record is not what was written.
    #[error("shard {shard}: the record at offset {offset} of extent {extent} is damaged")]
    Damaged {
        /// Its shard.
        shard: ShardId,
        /// Its extent.
        extent: u32,
        /// Its offset there.
        offset: u32,
    },
    /// The data file cannot be read.
    #[error("{file} at offset {offset}: {source}")]
    Read {
        /// The file.
        file: FileId,
        /// Where.
        offset: u64,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Whoever takes the records cannot.
    #[error("{0}")]
    Visitor(std::io::Error),
}

/// Takes one record.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&DumpRecord<'_>) -> std::io::Result<()>;

/// Takes what lies at a place: from the record on, and the mask of its checksum.
type Each<'a> = &'a mut dyn FnMut(Location, &[u8], u32) -> Result<(), SweepError>;

/// Visits every record of a shard that has not ended by `now`, in the databases that the map shows.
pub(crate) fn sweep(
    shard: &Shard,
    databases: DatabaseMap,
    files: &mut Files,
    pool: &mut Pool,
    now: UnixMs,
    visit: Visit<'_>,
) -> Result<(), SweepError> {
    for db in (0..DATABASE_COUNT).map(Db) {
        let mut cold: Vec<(ColdPlace, Location)> = Vec::new();
        for entry in shard.entries(databases.stored(db)) {
            match shard.extents().find(entry.location()) {
                Some(bytes) => {
                    let mask = shard.extents().mask(entry.location());
                    hand_out(shard, db, (entry.location(), bytes, mask), now, visit)?;
                }
                None => cold.push((cold_place(shard, &entry), entry.location())),
            }
        }
        cold.sort_unstable_by_key(|(place, _)| (place.offset, place.start));
        let mut rest = &cold[..];
        while !rest.is_empty() {
            let (together, later) = rest.split_at(count_together(rest));
            rest = later;
            read_together(shard, (files, pool), together, &mut |location, bytes, mask| {
                hand_out(shard, db, (location, bytes, mask), now, visit)
            })?;
        }
    }
    Ok(())
}

fn cold_place(shard: &Shard, entry: &Entry) -> ColdPlace {
    let place = shard.extents().cold_place(entry.location(), entry.length_class());
    place.expect("what is not in memory is on disk")
}

fn end(place: &ColdPlace) -> u64 {
    place.offset + place.len as u64
}

/// How many of these, at least one, one read covers.
fn count_together(places: &[(ColdPlace, Location)]) -> usize {
    let limit = places[0].0.offset + SWEEP_READ_BYTES as u64;
    let fit = places.iter().take_while(|(place, _)| end(place) <= limit).count();
    fit.max(1)
}

fn read_together(
    shard: &Shard,
    (files, pool): (&mut Files, &mut Pool),
    places: &[(ColdPlace, Location)],
    each: Each<'_>,
) -> Result<(), SweepError> {
    let id = FileId::ShardData { shard: shard.id() };
    let first = places[0].0.offset;
    let last = places.iter().map(|(place, _)| end(place)).max().unwrap_or(first);
    let failed = |source| SweepError::Read { file: id, offset: first, source };
    let len = usize::try_from(last - first).map_err(|_| failed(std::io::ErrorKind::OutOfMemory.into()))?;
    let mut buffer = pool.take(len);
    let file = files.get(id).map_err(failed)?;
    let read = read_all(file, &mut buffer.as_mut()[..len], first).map_err(failed)?;
    for (place, location) in places {
        let start = usize::try_from(place.offset - first).unwrap_or(usize::MAX) + place.start;
        let stop = (start + place.len - place.start).min(read);
        let bytes = buffer.as_ref().get(start..stop).unwrap_or_default();
        each(*location, bytes, place.mask)?;
    }
    pool.put(buffer);
    Ok(())
}

fn hand_out(
    shard: &Shard,
    db: Db,
    (location, bytes, mask): (Location, &[u8], u32),
    now: UnixMs,
    visit: Visit<'_>,
) -> Result<(), SweepError> {
    let (extent, offset) = (location.extent.0, location.offset);
    let damaged = SweepError::Damaged { shard: shard.id(), extent, offset };
    let Ok((record, _)) = Record::decode(bytes, mask) else { return Err(damaged) };
    let Effect::Put { value, deadline } = record.effect else { return Err(damaged) };
    if record.shard != shard.id() {
        return Err(damaged);
    }
    if deadline.is_some_and(|deadline| deadline <= now) {
        return Ok(());
    }
    visit(&DumpRecord { db, deadline, key: record.key, value }).map_err(SweepError::Visitor)
}
