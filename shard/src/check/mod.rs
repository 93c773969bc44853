//! Checking a store that nobody has open: every file, every checksum, every chain, and the cross-references between
//! them; all that is wrong, not only the first.
//!
//! Nothing is changed and nothing is guessed: the rules are those of a start (`log/recovery/`, `shard_open.rs`), applied
//! to bytes that a [`Source`] brings. The path: store manifest -> shard manifests -> snapshots -> extents -> logs ->
//! files that nobody names. What a repair would do stands with each problem ([`Remedy`]); performing it is not done here.

mod copies;
mod extents;
mod log;
mod names;
mod problem;
mod rewrite;
mod segment;
mod snapshot;
mod source;
mod survey;
mod unnamed;

use std::collections::BTreeMap;

pub use problem::{CheckReport, Cut, Looked, LostEntry, Problem, Remedy, Severity};
pub use rewrite::{RewriteError, Rewritten, rewrite_snapshot};
pub use source::Source;

use crate::io::{FileId, ManifestCopy};
use crate::key::KeyHasher;
use crate::limits::{SHARD_MANIFEST_BYTES_MAX, STORE_MANIFEST_BYTES_MAX};
use crate::log::recovery::RecoveryStart;
use crate::record::{Effect, Record};
use crate::shard_manifest::ShardManifest;
use crate::snapshot::{SnapshotIdentity, TailRecords};
use crate::store_manifest::{EraState, StoreManifest};
use crate::types::{BatchNumber, KeyspaceId, LogId, Lsn, SLOT_COUNT, ShardId, Slot, Term};

use copies::check_copies;
use extents::ExtentCheck;
use log::{LogCheck, LogSummary};
use snapshot::{check_content, read_snapshot};

/// What a check is at: called before each file or extent of some size.
pub type OnFile<'a> = &'a mut dyn FnMut(&Looked);

/// Which records of the log come first for a damaged entry.
type Touched = BTreeMap<(ShardId, KeyspaceId, Slot, u32), Option<bool>>;

/// Checks a whole store. Without a store manifest there is nothing but that to report.
pub fn check_store(source: &mut dyn Source, on_file: OnFile<'_>) -> CheckReport {
    let mut report = CheckReport::default();
    let files = [ManifestCopy::A, ManifestCopy::B].map(FileId::StoreManifest);
    let store: Option<StoreManifest> =
        check_copies(source, files, STORE_MANIFEST_BYTES_MAX, true, &mut report);
    if let Some(store) = store {
        let mut check = StoreCheck {
            hasher: KeyHasher::new(store.seed),
            manifests: Vec::new(),
            touched: Touched::new(),
            store,
            report: &mut report,
        };
        check.run(source, on_file);
    }
    report
        .problems
        .sort_by(|a, b| a.file.cmp(&b.file).then(a.offset.cmp(&b.offset)).then(a.name.cmp(&b.name)));
    report
}

struct StoreCheck<'a> {
    store: StoreManifest,
    hasher: KeyHasher,
    manifests: Vec<Option<ShardManifest>>,
    touched: Touched,
    report: &'a mut CheckReport,
}

impl StoreCheck<'_> {
    fn run(&mut self, source: &mut dyn Source, on_file: OnFile<'_>) {
        for shard in (0..self.store.shard_count()).map(ShardId) {
            self.check_shard(source, shard, on_file);
        }
        // One that is damaged, which is reported already, says nothing.
        let all_read = self.manifests.iter().all(Option::is_some) || !self.store.shard_manifests;
        if all_read && let Err(error) = self.store.check_shards(self.manifests.iter().map(Option::as_ref)) {
            let file = FileId::StoreManifest(ManifestCopy::A);
            self.report.damage(&file, "shards", error.to_string());
        }
        let mut ends = BTreeMap::new();
        let mut lsns: BTreeMap<ShardId, Lsn> = BTreeMap::new();
        let mut all_whole = true;
        // Without a log the era tells only who has which shards.
        let eras = self.store.eras.iter().filter(|_| !self.store.without_log);
        let logs: Vec<_> = eras.flat_map(|era| &era.logs).map(|entry| entry.log).collect();
        for log in logs {
            on_file(&self.report.looked);
            let summary = self.check_log(source, log);
            let Some(LogSummary { whole, end, lsns: found }) = summary else {
                all_whole = false;
                continue;
            };
            all_whole &= whole;
            ends.insert(log, end);
            for (shard, lsn) in found {
                let last = lsns.entry(shard).or_default();
                *last = (*last).max(lsn);
            }
        }
        if all_whole {
            self.check_reached(&ends, &lsns);
        }
        self.refuse_patched();
        names::check_names(source, &self.store, &self.manifests, self.report);
    }

    fn check_shard(&mut self, source: &mut dyn Source, shard: ShardId, on_file: OnFile<'_>) {
        let files = ShardManifest::files(shard);
        let required = self.store.shard_manifests;
        let manifest: Option<ShardManifest> =
            check_copies(source, files, SHARD_MANIFEST_BYTES_MAX, required, self.report);
        let foreign = |manifest: &ShardManifest| manifest.uuid != self.store.uuid || manifest.shard != shard;
        if manifest.as_ref().is_some_and(foreign) {
            let what = "it belongs to another store or another shard: files were mixed up";
            self.report.damage(&files[0], "foreign", what.to_owned());
            self.manifests.push(None);
            return;
        }
        if let Some(published) = manifest.as_ref().and_then(|manifest| manifest.snapshot.as_ref()) {
            let seal = self.store.extent_seal(shard);
            let identity = SnapshotIdentity { store: seal.store, shard, number: published.number };
            on_file(&self.report.looked);
            if let Some(content) = read_snapshot(source, identity, published, self.report, &mut |_| ()) {
                let file = FileId::ShardSnapshot { shard, number: published.number };
                check_content(file, &content, published, self.slots_of(shard), self.report);
                self.check_extents(source, &content, seal, on_file);
                self.note_tail(&manifest, &content.tail);
            }
        }
        self.manifests.push(manifest);
    }

    /// Notes which damaged entries the tail of a snapshot, which is whole, touches first.
    fn note_tail(&mut self, manifest: &Option<ShardManifest>, tail: &[u8]) {
        if self.touched.is_empty() {
            return;
        }
        let of = |shard: ShardId| manifest.as_ref().filter(|manifest| manifest.shard == shard);
        let Self { touched, hasher, .. } = self;
        let each = |record: &Record<'_>, _: &[u8]| note_touched(touched, of(record.shard), hasher, record);
        let taken = TailRecords::default().take(tail, each);
        assert_eq!(taken, Ok(()), "the tail of a whole snapshot was read before");
    }

    fn check_extents(
        &mut self,
        source: &mut dyn Source,
        content: &snapshot::Content,
        seal: crate::extent::ExtentSeal,
        on_file: OnFile<'_>,
    ) {
        let file = FileId::ShardData { shard: seal.shard };
        if content.extents.is_empty() {
            return;
        }
        self.report.looked.files += 1;
        let file_bytes = match source.len(file) {
            Ok(Some(len)) => Some(len),
            Ok(None) => {
                let what = "it is missing, and the shard's snapshot points into it".to_owned();
                self.report.damage(&file, "missing", what);
                return;
            }
            Err(error) => {
                self.report.damage(&file, "unreadable", format!("it cannot be read: {error}"));
                return;
            }
        };
        let check = ExtentCheck { seal, hasher: self.hasher, file_bytes };
        let before = self.report.problems.len();
        for extent in &content.extents {
            on_file(&self.report.looked);
            let entries = &content.entries;
            let first = entries.partition_point(|it| it.entry.location().extent < extent.number);
            let count = entries[first..].partition_point(|it| it.entry.location().extent == extent.number);
            check.run(source, extent, &entries[first..first + count], self.report);
        }
        for problem in &self.report.problems[before..] {
            for lost in &problem.entries {
                self.touched.insert((seal.shard, lost.keyspace, lost.slot, lost.hash), None);
            }
        }
    }

    fn check_log(&mut self, source: &mut dyn Source, log: LogId) -> Option<LogSummary> {
        let start = RecoveryStart::of(&self.store, log, Term(1))?;
        let snapshots =
            self.manifests.iter().flatten().filter_map(|of| of.snapshot.as_ref().map(|it| (of.shard, it)));
        let needed = snapshots
            .filter(|(_, snapshot)| snapshot.log == log)
            .map(|(shard, snapshot)| (shard, snapshot.end_batch))
            .max_by_key(|(_, batch)| *batch);
        let Self { touched, manifests, hasher, report, .. } = self;
        let mut each = |record: &Record<'_>| {
            let manifest = manifests.get(usize::from(record.shard.0)).and_then(Option::as_ref);
            note_touched(touched, manifest, hasher, record);
        };
        LogCheck { source, start, needed, each: &mut each, report }.run()
    }

    /// The logs must reach what snapshots prove was durable in them.
    fn check_reached(&mut self, ends: &BTreeMap<LogId, BatchNumber>, lsns: &BTreeMap<ShardId, Lsn>) {
        let is_open = self.store.current_era().state == EraState::Open;
        for manifest in self.manifests.iter().flatten() {
            let Some(snapshot) = &manifest.snapshot else { continue };
            // A tail reaches the end without a log.
            let held = if snapshot.log == LogId(0) { snapshot.end } else { snapshot.start.lsn };
            let reached = lsns.get(&manifest.shard).copied().unwrap_or_default().max(held);
            let behind = ends.get(&snapshot.log).is_some_and(|end| *end < snapshot.end_batch);
            if is_open && (behind || reached < snapshot.end) {
                let what = format!(
                    "the snapshot holds records up to {} (log {}, batch {}), and the log ends before that (record {reached}): \
                     acknowledged data is lost, or an older log is mixed in",
                    snapshot.end, snapshot.log, snapshot.end_batch
                );
                self.report.damage(&ShardManifest::files(manifest.shard)[0], "log-behind", what);
            }
        }
    }

    /// A key whose record is gone and of which the log changes a part cannot be dropped: its value would be invented.
    fn refuse_patched(&mut self) {
        for problem in &mut self.report.problems {
            let Remedy::DropEntries { shard, .. } = problem.remedy else { continue };
            let patched = problem.entries.iter().any(|lost| {
                self.touched.get(&(shard, lost.keyspace, lost.slot, lost.hash)) == Some(&Some(true))
            });
            if patched {
                problem.remedy = Remedy::Impossible(
                    "the log changes a part of one of these values, and the rest of it would be invented: restore the file \
                     from a copy of the directory"
                        .to_owned(),
                );
            }
        }
    }

    fn slots_of(&self, shard: ShardId) -> std::ops::Range<u16> {
        let first = |shard: usize| self.store.first_slots.get(shard).map_or(SLOT_COUNT, |slot| slot.0);
        let shard = usize::from(shard.0);
        first(shard)..first(shard + 1)
    }
}

/// Notes the first record of the log that touches a damaged entry: whether it changes only a part of the value.
fn note_touched(
    touched: &mut Touched,
    manifest: Option<&ShardManifest>,
    hasher: &KeyHasher,
    record: &Record<'_>,
) {
    if touched.is_empty() {
        return;
    }
    let start = manifest.and_then(|of| of.snapshot.as_ref()).map_or(Lsn::ZERO, |snapshot| snapshot.start.lsn);
    if record.lsn <= start {
        return;
    }
    let (key, keyspace, patches) = match record.effect {
        Effect::Put { .. } | Effect::Delete => (record.key, record.keyspace, false),
        Effect::Patch { .. } => (record.key, record.keyspace, true),
        // The first piece of a large record begins with its head and its key.
        Effect::Fragment { part: crate::record::FragmentPart::First, bytes } => {
            match crate::record::Head::decode(bytes).map(|head| (head, head.key(bytes))) {
                Ok((head, Some(key))) => (key, head.keyspace, head.is_patch()),
                _ => return,
            }
        }
        _ => return,
    };
    let key = hasher.key(key);
    if let Some(first) = touched.get_mut(&(record.shard, keyspace, key.slot, key.hash)) {
        first.get_or_insert(patches);
    }
}
