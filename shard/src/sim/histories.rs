//! Two intact copies of a manifest of which neither was made of the other: a start must refuse, and change neither, for
//! it cannot know which of them is the store's own.

use crate::io::FileId;
use crate::log::copies::TwoCopies;
use crate::log::manifest::{LogManifest, ManifestRead};
use crate::shard_manifest::ShardManifest;
use crate::sim::damage::other_copy;
use crate::sim::disk::Files;
use crate::store_manifest::StoreManifest;

/// Whether the bytes of two copies are of two histories.
type Differ = fn(&[u8], &[u8]) -> bool;

/// The other copy of this manifest, when both are intact and of two histories.
pub(super) fn other_of_two_histories(files: &Files, name: FileId) -> Option<FileId> {
    let differ: Differ = match name {
        FileId::StoreManifest(_) => differ::<StoreManifest>,
        FileId::LogManifest { .. } => differ::<LogManifest>,
        _ => differ::<ShardManifest>,
    };
    let copy = other_copy(name)?;
    differ(&files.get(&name)?.bytes(), &files.get(&copy)?.bytes()).then_some(copy)
}

/// Whether the other copy of this manifest is intact.
pub(super) fn has_other_copy<M: TwoCopies>(files: &Files, name: FileId) -> bool {
    let other = other_copy(name).and_then(|copy| files.get(&copy));
    other.is_some_and(|file| matches!(M::decode(&file.bytes()), ManifestRead::Valid(_)))
}

fn differ<M: TwoCopies>(one: &[u8], other: &[u8]) -> bool {
    let (ManifestRead::Valid(one), ManifestRead::Valid(other)) = (M::decode(one), M::decode(other)) else {
        return false;
    };
    let (older, newer) = if one.sequence() <= other.sequence() { (one, other) } else { (other, one) };
    older != newer && (older.sequence() == newer.sequence() || newer.parent() != Some(older.checksum()))
}
