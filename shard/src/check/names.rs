//! Files that nobody names: left over, or put there by somebody.

use super::problem::{CheckReport, Problem, Remedy, Severity};
use super::source::Source;
use crate::io::FileId;
use crate::shard_manifest::ShardManifest;
use crate::store_manifest::StoreManifest;

/// Names that are no part of the store and no surprise.
const EXPECTED: [&str; 3] = ["ouro.lock", "ouro.sock", "lost+found"];

/// Notes every file that is unknown, or that a start would remove or pass over.
pub(super) fn check_names(
    source: &mut dyn Source,
    store: &StoreManifest,
    manifests: &[Option<ShardManifest>],
    report: &mut CheckReport,
) {
    let Ok(names) = source.names() else { return };
    for name in names {
        let Ok(file) = name.parse::<FileId>() else {
            if !EXPECTED.contains(&name.as_str()) && !name.starts_with("repair-") {
                report.note(&name, "unknown", "no part of a store; ourod leaves it alone".to_owned());
            }
            continue;
        };
        let named = match file {
            FileId::StoreManifest(_) => true,
            FileId::Reserve { log } => store.without_log || store.identity_of(log).is_some(),
            FileId::LogManifest { log, .. } | FileId::Segment { log, .. } => {
                !store.without_log && store.identity_of(log).is_some()
            }
            FileId::ShardManifest { shard, .. } | FileId::ShardData { shard } => {
                shard.0 < store.shard_count()
            }
            FileId::ShardSnapshot { shard, number } => {
                match manifests.get(usize::from(shard.0)).and_then(Option::as_ref) {
                    Some(of) => of.snapshot.as_ref().is_some_and(|snapshot| snapshot.number == number),
                    None => shard.0 < store.shard_count(),
                }
            }
        };
        if let FileId::LogManifest { log, .. } | FileId::Segment { log, .. } = file
            && log > store.last_log()
        {
            let what = "it is of a log that was begun after all that the store manifest names: the store manifest is older \
                        than the store, or from a copy of it that went its own way";
            let lost = format!("all of log {log} that is in it");
            let problem = Problem::new(Severity::Damage, &name, "not-named", what.to_owned());
            report.problems.push(problem.losing(lost).healed_by(Remedy::RemoveFile { file }));
            continue;
        }
        if !named {
            let what = "nothing names it: left over from what was being made when a process ended, or of another store";
            report.note(&name, "not-named", what.to_owned());
        }
    }
}
