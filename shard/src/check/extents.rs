//! The extents that a snapshot names, each from its place in the data file: header, every record, and whether the
//! index points at the records it means.

use super::problem::{CheckReport, LostEntry, Problem, Remedy, Severity};
use super::snapshot::Indexed;
use super::source::Source;
use crate::extent::{EXTENT_HEADER_BYTES, ExtentOnDisk, ExtentSeal};
use crate::index::{LengthClass, Location};
use crate::io::FileId;
use crate::key::KeyHasher;
use crate::limits::EXTENT_BYTES;
use crate::record::{Effect, Head, Record};

/// What records are judged by.
pub(super) struct ExtentCheck {
    pub(super) seal: ExtentSeal,
    pub(super) hasher: KeyHasher,
    /// Length of the data file; `None`: it is missing.
    pub(super) file_bytes: Option<u64>,
}

impl ExtentCheck {
    /// Checks one extent. `entries` are those that point into it, by offset.
    pub(super) fn run(
        &self,
        source: &mut dyn Source,
        extent: &ExtentOnDisk,
        entries: &[Indexed],
        report: &mut CheckReport,
    ) {
        let file = FileId::ShardData { shard: self.seal.shard };
        let offset = u64::from(extent.place) * EXTENT_BYTES as u64;
        let number = extent.number.0;
        report.looked.extents += 1;
        let mut bytes = vec![0; extent.used_bytes as usize];
        let read = match self.file_bytes {
            None => Ok(0),
            Some(_) => source.read(file, offset, &mut bytes),
        };
        let wrong = match read {
            Ok(read) if read == bytes.len() => None,
            Ok(read) => {
                bytes.truncate(read);
                Some(format!("the file ends {} bytes before it does", extent.used_bytes as usize - read))
            }
            Err(error) => {
                bytes.clear();
                Some(format!("it cannot be read: {error}"))
            }
        };
        report.looked.bytes += bytes.len() as u64;
        if let Err(error) = self.seal.read_header(extent.number, extent.salt, &bytes)
            && wrong.is_none()
        {
            let what = format!("extent {number}: {error}; its records are looked at one by one");
            report.note(&file, &format!("extent-{number}:header"), what);
        }
        let dead = self.walk(extent, &bytes, entries, report);
        let lost: Vec<LostEntry> = entries.iter().filter_map(|it| self.judge(extent, &bytes, it)).collect();
        report.looked.entries += (entries.len() - lost.len()) as u64;
        let place = format!("extent-{number}");
        if lost.is_empty() {
            if let Some(at) = dead {
                let what = format!(
                    "extent {number}: bytes at its offset {at} are damaged, and nothing points there"
                );
                let problem = Problem::new(Severity::Note, &file, &format!("{place}:dead"), what);
                report.problems.push(problem.at(offset + u64::from(at)));
            }
            return;
        }
        let why = wrong.unwrap_or_else(|| "their bytes are not those that were written there".to_owned());
        let known = lost.iter().filter(|entry| entry.key.is_some()).count();
        let what =
            format!("{} of {} live records in extent {number} are damaged: {why}", lost.len(), entries.len());
        let first = lost.iter().map(|entry| entry.offset).min().unwrap_or(0);
        let offsets = lost.iter().map(|entry| entry.offset).collect();
        let remedy = Remedy::DropEntries { shard: self.seal.shard, extent: number, offsets };
        let cost = format!(
            "{} keys, unless they were written again since ({known} of them can still be named)",
            lost.len()
        );
        let problem = Problem::new(Severity::Damage, &file, &place, what).at(offset + u64::from(first));
        report.problems.push(Problem { entries: lost, ..problem.losing(cost).healed_by(remedy) });
    }

    /// Goes through all records. What comes back is where the first damaged one lies that no entry points at.
    fn walk(
        &self,
        extent: &ExtentOnDisk,
        bytes: &[u8],
        entries: &[Indexed],
        report: &mut CheckReport,
    ) -> Option<u32> {
        let (mut at, mut dead) = (EXTENT_HEADER_BYTES, None);
        while at < bytes.len() {
            let Ok(offset) = u32::try_from(at) else { break };
            let mask = self.seal.mask(Location { extent: extent.number, offset }, extent.salt);
            if let Ok((_, len)) = Record::decode(&bytes[at..], mask) {
                report.looked.records += 1;
                at += len;
                continue;
            }
            let next = entries.partition_point(|it| it.entry.location().offset <= offset);
            let is_live = next > 0 && entries[next - 1].entry.location().offset == offset;
            if !is_live {
                dead = dead.or(Some(offset));
            }
            match entries.get(next) {
                Some(it) => at = it.entry.location().offset as usize,
                None => break,
            }
        }
        dead
    }

    /// Whether an entry points at the record it means; what comes back is lost.
    fn judge(&self, extent: &ExtentOnDisk, bytes: &[u8], indexed: &Indexed) -> Option<LostEntry> {
        let entry = indexed.entry;
        let at = entry.location();
        let mask = self.seal.mask(at, extent.salt);
        let rest = bytes.get(at.offset as usize..).unwrap_or_default();
        let meant = |key: &[u8]| {
            let key = self.hasher.key(key);
            key.slot == indexed.slot && key.hash == entry.hash()
        };
        if let Ok((record, len)) = Record::decode(rest, mask)
            && let Effect::Put { deadline, .. } = record.effect
            && record.shard == self.seal.shard
            && record.keyspace == indexed.keyspace
            && deadline.is_some() == entry.has_deadline()
            && LengthClass::of(len) == entry.length_class()
            && meant(record.key)
        {
            return None;
        }
        // The hash is keyed: a key that fits it is the key, whatever became of the value.
        let key = Head::decode(rest).ok().and_then(|head| head.key(rest)).filter(|key| meant(key));
        Some(LostEntry {
            keyspace: indexed.keyspace,
            slot: indexed.slot,
            hash: entry.hash(),
            offset: at.offset,
            key: key.map(<[u8]>::to_vec),
        })
    }
}
