//! One read from a data file: what is asked for, and whether what came is the record.

use crate::extent::{ColdPlace, ExtentSeal};
use crate::index::Location;
use crate::io::IoError;
use crate::planted::{self, PlantedBug};
use crate::record::{Head, Record, mix_checksum};
use crate::types::ShardId;

/// A record that could not be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shard {shard}: record at offset {offset} of extent {extent}: {problem}")]
pub struct ColdReadError {
    /// Its shard.
    pub shard: ShardId,
    /// Its extent.
    pub extent: u32,
    /// Its offset in the extent.
    pub offset: u32,
    /// Why not.
    pub problem: ColdReadProblem,
}

/// Why a record could not be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColdReadProblem {
    /// The drive said so.
    #[error("read failed: {0}")]
    Io(IoError),
    /// Fewer bytes than the record has.
    #[error("the file ends inside it")]
    Short,
    /// Other bytes than were written there.
    #[error("its bytes are damaged, or of another place")]
    Damaged,
}

/// The record in what a read brought, as an extent in memory would hold it.
///
/// # Errors
/// When it is not the record that was written there.
pub(super) fn verify(
    seal: ExtentSeal,
    location: Location,
    place: ColdPlace,
    bytes: &mut [u8],
    read: Result<usize, IoError>,
) -> Result<&[u8], ColdReadError> {
    let failed = |problem| ColdReadError {
        shard: seal.shard,
        extent: location.extent.0,
        offset: location.offset,
        problem,
    };
    let read = read.map_err(|error| failed(ColdReadProblem::Io(error)))?;
    let bytes = bytes.get_mut(place.start..read.min(place.len)).ok_or(failed(ColdReadProblem::Short))?;
    let len = match Head::decode(bytes) {
        Ok(head) => head.record_len(),
        // Cut off inside the head, or no head at all.
        Err(_) if read < place.len => return Err(failed(ColdReadProblem::Short)),
        Err(_) => return Err(failed(ColdReadProblem::Damaged)),
    };
    if len > bytes.len() {
        let problem = if read < place.len { ColdReadProblem::Short } else { ColdReadProblem::Damaged };
        return Err(failed(problem));
    }
    let record = &mut bytes[..len];
    let mask = place.mask;
    mix_checksum(record, mask);
    let whole = matches!(Record::decode(record, 0), Ok((found, _)) if found.shard == seal.shard);
    mix_checksum(record, mask);
    if whole || planted::is(PlantedBug::ColdReadUnverified) {
        Ok(record)
    } else {
        Err(failed(ColdReadProblem::Damaged))
    }
}
