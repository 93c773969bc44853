//! What runs did: counts of operations, crashes, faults that fired and rules of recovery that were taken.

use std::collections::BTreeMap;

use crate::log::recovery::{RecoveryReport, RecoveryRule, RefuseToStart};

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
    /// Everything else that was counted.
    pub counts: BTreeMap<String, u64>,
}

impl SimReport {
    /// Counts one more.
    pub fn count(&mut self, name: impl Into<String>) {
        *self.counts.entry(name.into()).or_insert(0) += 1;
    }

    /// Counts the rules that a recovery took.
    pub fn count_rules(&mut self, report: &RecoveryReport) {
        for rule in RecoveryRule::ALL {
            let times = report.count(rule);
            if times > 0 {
                *self.counts.entry(format!("rule {rule:?}")).or_insert(0) += times;
            }
        }
    }

    /// Counts a refusal by its kind.
    pub fn count_refusal(&mut self, refused: &RefuseToStart) {
        let text = format!("{refused:?}");
        let kind = text.split([' ', '(', '{']).next().unwrap_or("");
        let proof = match refused {
            RefuseToStart::BatchesLost { proof, .. } => {
                let text = format!("{proof:?}");
                format!(" by {}", text.split([' ', '(', '{']).next().unwrap_or(""))
            }
            _ => String::new(),
        };
        self.count(format!("refused {kind}{proof}"));
    }

    /// Adds another report.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.operations += other.operations;
        self.replies += other.replies;
        self.crashes += other.crashes;
        self.checks += other.checks;
        for (name, times) in &other.counts {
            *self.counts.entry(name.clone()).or_insert(0) += times;
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        use std::fmt::Write;
        let mut out = String::from("{\n  \"format\": 1,\n");
        let fields = [
            ("seeds", self.seeds),
            ("operations", self.operations),
            ("replies", self.replies),
            ("crashes", self.crashes),
            ("checks", self.checks),
        ];
        for (name, value) in fields {
            let _ = writeln!(out, "  \"{name}\": {value},");
        }
        out.push_str("  \"counts\": {\n");
        let last = self.counts.len();
        for (position, (name, value)) in (1..).zip(&self.counts) {
            let comma = if position == last { "" } else { "," };
            let _ = writeln!(out, "    \"{name}\": {value}{comma}");
        }
        out.push_str("  }\n}\n");
        out
    }
}
