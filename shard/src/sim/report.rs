//! What runs did: counts of operations, crashes, faults that fired and rules of recovery that were taken.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::io::FileId;
use crate::log::recovery::{RecoveryReport, RecoveryRule, RefuseToStart};
use crate::shard_open::ShardOpenError;
use crate::sim::fault::{Fault, FileClass};
use crate::sim::refusals;
use crate::store_files::StoreManifestError;

/// Counts by name, ordered by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimReport {
    /// Runs.
    pub seeds: u64,
    /// Client operations.
    pub operations: u64,
    /// Replies delivered.
    pub replies: u64,
    /// Crashes, those during a start included.
    pub crashes: u64,
    /// Stores brought up and compared with the model.
    pub checks: u64,
    /// Faults of each kind, by kind of file where they have one.
    faults: BTreeMap<(Fault, Option<FileClass>), u64>,
    /// Everything else that was counted.
    counts: BTreeMap<Cow<'static, str>, u64>,
}

impl SimReport {
    /// Counts one more.
    pub fn count(&mut self, name: impl Into<Cow<'static, str>>) {
        *self.counts.entry(name.into()).or_insert(0) += 1;
    }

    /// Counts some more.
    pub fn count_times(&mut self, name: &'static str, times: u64) {
        if times > 0 {
            *self.counts.entry(name.into()).or_insert(0) += times;
        }
    }

    /// A fault without a file.
    pub fn fault(&mut self, fault: Fault) {
        *self.faults.entry((fault, None)).or_insert(0) += 1;
    }

    /// A fault that hit a file.
    pub fn fault_of(&mut self, fault: Fault, file: FileId) {
        *self.faults.entry((fault, Some(FileClass::of(file)))).or_insert(0) += 1;
    }

    /// How often a kind of fault happened.
    #[must_use]
    pub fn faults(&self, fault: Fault) -> u64 {
        self.faults.iter().filter(|((of, _), _)| *of == fault).map(|(_, times)| times).sum()
    }

    /// How often something was counted.
    #[must_use]
    pub fn times(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// Counts the rules that a recovery took.
    pub fn count_rules(&mut self, report: &RecoveryReport) {
        for rule in RecoveryRule::ALL {
            let times = report.count(rule);
            if times > 0 {
                *self.counts.entry(format!("rule {rule:?}").into()).or_insert(0) += times;
            }
        }
    }

    /// Counts a refusal by its kind.
    pub fn count_refusal(&mut self, refused: &RefuseToStart) {
        self.count(format!("refused {}", refusals::of_log(refused)));
    }

    /// Counts a refusal of a shard's files by its kind.
    pub fn count_shard_refusal(&mut self, refused: &ShardOpenError) {
        self.count(format!("refused {}", refusals::of_shard(refused)));
    }

    /// Counts a refusal of the store manifest by its kind.
    pub fn count_store_refusal(&mut self, refused: &StoreManifestError) {
        self.count(format!("refused {}", refusals::of_store(refused)));
    }

    /// Rules of recovery, refusals and answers that were taken, and faults of each kind on each kind of file that
    /// happened, fewer times than this, and how often they were.
    #[must_use]
    pub fn rules_below(&self, minimum: u64) -> Vec<(String, u64)> {
        let rules = refusals::all().map(|name| {
            let times = self.times(&name);
            (name, times)
        });
        let by_class = Fault::ALL.iter().flat_map(|fault| {
            fault.classes().iter().map(|class| {
                let times = self.faults.get(&(*fault, Some(*class))).copied().unwrap_or(0);
                (fault_name(*fault, Some(*class)), times)
            })
        });
        rules.chain(by_class).filter(|(_, times)| *times < minimum).collect()
    }

    /// Kinds of faults that happened fewer times than this, and how often they did.
    #[must_use]
    pub fn faults_below(&self, minimum: u64) -> Vec<(String, u64)> {
        let all = Fault::ALL.iter().map(|fault| (fault_name(*fault, None), self.faults(*fault)));
        all.filter(|(_, times)| *times < minimum).collect()
    }

    /// Adds another report.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.operations += other.operations;
        self.replies += other.replies;
        self.crashes += other.crashes;
        self.checks += other.checks;
        for (fault, times) in &other.faults {
            *self.faults.entry(*fault).or_insert(0) += times;
        }
        for (name, times) in &other.counts {
            *self.counts.entry(name.clone()).or_insert(0) += times;
        }
    }

    /// The figures that are not counts of faults or events, by name.
    #[must_use]
    pub const fn totals(&self) -> [(&'static str, u64); 5] {
        [
            ("seeds", self.seeds),
            ("operations", self.operations),
            ("replies", self.replies),
            ("crashes", self.crashes),
            ("checks", self.checks),
        ]
    }

    /// All other counts, by name: faults of each kind, those by kind of file, and everything else.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for (&(fault, class), &times) in &self.faults {
            *all.entry(fault_name(fault, None)).or_insert(0) += times;
            if class.is_some() {
                all.insert(fault_name(fault, class), times);
            }
        }
        all.extend(self.counts.iter().map(|(name, times)| (name.clone().into_owned(), *times)));
        all
    }

    /// Takes a figure of [`Self::totals`] or a count of [`Self::by_name`] back in, as read from a report. False:
    /// there is no such total. The sum of a fault over its kinds of files is passed over.
    pub fn take_back(&mut self, name: &str, value: u64) -> bool {
        let total = match name {
            "seeds" => &mut self.seeds,
            "operations" => &mut self.operations,
            "replies" => &mut self.replies,
            "crashes" => &mut self.crashes,
            "checks" => &mut self.checks,
            _ => return false,
        };
        *total += value;
        true
    }

    /// Takes a count of [`Self::by_name`] back in. Kinds of faults that hit files are counted by kind of file only.
    pub fn take_back_count(&mut self, name: &str, value: u64) {
        for &fault in Fault::ALL {
            if name == fault_name(fault, None) {
                if fault.classes().is_empty() {
                    *self.faults.entry((fault, None)).or_insert(0) += value;
                }
                return;
            }
            for class in FileClass::ALL {
                if name == fault_name(fault, Some(class)) {
                    *self.faults.entry((fault, Some(class))).or_insert(0) += value;
                    return;
                }
            }
        }
        *self.counts.entry(name.to_owned().into()).or_insert(0) += value;
    }
}

fn fault_name(fault: Fault, class: Option<FileClass>) -> String {
    match class {
        Some(class) => format!("fault {}: {}", fault.name(), class.name()),
        None => format!("fault {}", fault.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ShardId;

    #[test]
    fn a_report_comes_back_from_its_names_as_it_was() {
        let mut report = SimReport { seeds: 3, operations: 7, ..SimReport::default() };
        report.fault(Fault::DiskFull);
        report.fault_of(Fault::RottenBit, FileId::ShardData { shard: ShardId(1) });
        report.fault_of(Fault::RottenBit, FileId::ShardSnapshot { shard: ShardId(1), number: 2 });
        report.count("flushes");
        let mut back = SimReport::default();
        for (name, value) in report.totals() {
            assert!(back.take_back(name, value));
        }
        for (name, value) in report.by_name() {
            back.take_back_count(&name, value);
        }
        assert_eq!(back, report);
        assert_eq!(report.faults(Fault::RottenBit), 2);
    }

    #[test]
    fn what_is_not_reached_is_named() {
        let mut report = SimReport::default();
        let below = |report: &SimReport, name: &str| report.rules_below(1).iter().any(|(of, _)| of == name);
        assert!(below(&report, "fault rotten bit: data file") && below(&report, "refused LogBehindSnapshot"));
        report.fault_of(Fault::RottenBit, FileId::ShardData { shard: ShardId(1) });
        report.count("refused LogBehindSnapshot");
        assert!(
            !below(&report, "fault rotten bit: data file") && !below(&report, "refused LogBehindSnapshot")
        );
        assert_eq!(report.faults_below(2).len(), Fault::ALL.len());
        assert_eq!(report.faults_below(1).len(), Fault::ALL.len() - 1);
    }
}
