//! Reports as JSON: of one range of seeds, and of several together.

use std::ops::Range;

use serde_json::{Map, Value, json};
use shard::sim::report::SimReport;

use crate::arguments::{Arguments, range};

/// What was counted, and over what.
pub(crate) struct Recorded {
    /// The counts.
    pub(crate) report: SimReport,
    /// Seeds, in ranges that do not overlap.
    ranges: Vec<Range<u64>>,
    /// What all its seeds have in common: operations of a seed, operations of a calm seed, the commit.
    common: (u64, u64, String),
}

impl Recorded {
    /// Of a run.
    pub(crate) fn new(arguments: &Arguments, report: SimReport) -> Self {
        let common = (arguments.operations, arguments.calm_operations, arguments.commit.clone());
        Self { report, ranges: vec![arguments.seeds.clone()], common }
    }

    /// Adds another.
    pub(crate) fn join(&mut self, other: Self) -> Result<(), String> {
        if self.common != other.common {
            return Err(format!("it is of {:?}, and those before are of {:?}", other.common, self.common));
        }
        let overlaps = |a: &Range<u64>, b: &Range<u64>| a.start < b.end && b.start < a.end;
        if self.ranges.iter().any(|own| other.ranges.iter().any(|range| overlaps(own, range))) {
            return Err("it counts seeds that are counted already".into());
        }
        self.report.add(&other.report);
        self.ranges.extend(other.ranges);
        self.ranges.sort_by_key(|range| range.start);
        Ok(())
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> String {
        let ranges: Vec<String> =
            self.ranges.iter().map(|range| format!("{}..{}", range.start, range.end)).collect();
        let (operations, calm, commit) = &self.common;
        let mut value = json!({
            "format": 2,
            "commit": commit,
            "seed_ranges": ranges,
            "operations_per_seed": operations,
            "operations_per_calm_seed": calm,
        });
        for (name, total) in self.report.totals() {
            value[name] = total.into();
        }
        value["counts"] = self
            .report
            .by_name()
            .into_iter()
            .map(|(name, count)| (name, Value::from(count)))
            .collect::<Map<_, _>>()
            .into();
        format!("{value:#}\n")
    }

    /// From JSON.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if value["format"] != 2 {
            return Err("not a report of format 2".into());
        }
        let number = |name: &str| value[name].as_u64().ok_or(format!("no number {name}"));
        let ranges = value["seed_ranges"].as_array().ok_or("no seed_ranges")?;
        let ranges: Option<Vec<Range<u64>>> =
            ranges.iter().map(|text| text.as_str().and_then(range)).collect();
        let commit = value["commit"].as_str().ok_or("no commit")?.to_owned();
        let mut report = SimReport::default();
        for (name, _) in SimReport::default().totals() {
            report.take_back(name, number(name)?);
        }
        for (name, count) in value["counts"].as_object().ok_or("no counts")? {
            report.take_back_count(name, count.as_u64().ok_or(format!("no number {name}"))?);
        }
        let common = (number("operations_per_seed")?, number("operations_per_calm_seed")?, commit);
        Ok(Self { report, ranges: ranges.ok_or("a seed range that is none")?, common })
    }
}
