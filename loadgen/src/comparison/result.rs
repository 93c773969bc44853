//! What a comparison found, as reports hold it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metric::Metric;
use crate::report::Tool;

/// A report of `loadgen compare`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonReport {
    /// As in reports of runs.
    pub schema_version: String,
    /// `compare`.
    pub kind: String,
    /// The program that compared.
    pub tool: Tool,
    /// When.
    pub started_at: String,
    /// The command line.
    pub argv: Vec<String>,
    /// Chance of any false alarm in one comparison.
    pub alpha: f64,
    /// The comparisons: one, or one for each cell that two matrices share.
    pub comparisons: Vec<Comparison>,
}

/// Two groups held against each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What is compared, for people; null for plain runs.
    pub title: Option<String>,
    /// Name of the first group.
    pub baseline: String,
    /// Name of the second group.
    pub candidate: String,
    /// Runs of the first group.
    pub baseline_runs: usize,
    /// Runs of the second group.
    pub candidate_runs: usize,
    /// The test: `signed_rank` over pairs or `rank_sum` over groups.
    pub test: Test,
    /// The main figure, which spends half of the level; absent when it was not judged, and in reports before 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<Metric>,
    /// Why these groups must not be compared; when there is a reason, nothing is judged.
    pub refusals: Vec<String>,
    /// What the reader should know although there is a verdict.
    pub notes: Vec<String>,
    /// Each figure.
    pub metrics: Vec<MetricResult>,
}

/// The test that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Over the differences of pairs.
    SignedRank,
    /// Over two groups.
    RankSum,
}

impl Test {
    /// Its name for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::SignedRank => "exact Wilcoxon signed-rank test over pairs",
            Self::RankSum => "exact Mann-Whitney test",
        }
    }
}

/// One figure of both groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricResult {
    /// Which figure.
    pub metric: Metric,
    /// The figure of each run of the first group.
    pub baseline: Vec<f64>,
    /// The figure of each run of the second group.
    pub candidate: Vec<f64>,
    /// Median of the first group.
    pub baseline_median: f64,
    /// Median of the second group.
    pub candidate_median: f64,
    /// Second group by first (Hodges-Lehmann); 1 is no change.
    pub ratio: f64,
    /// Confidence interval of the ratio at level `1 - alpha`.
    pub ratio_low: Option<f64>,
    /// Its upper end.
    pub ratio_high: Option<f64>,
    /// Probability of such a difference by chance.
    pub p: f64,
    /// The same, corrected for the number of figures judged (Holm).
    pub p_corrected: f64,
    /// The change that matters, as a share; the noise floor where that is higher.
    pub threshold: f64,
    /// The noise floor that was known, as a share.
    pub noise_floor: Option<f64>,
    /// The word.
    pub verdict: Verdict,
    /// The true difference is at least this one: the better group was held back by the generator.
    pub at_least: bool,
    /// Why the figure cannot be judged, or how the word came about.
    pub reasons: Vec<String>,
}

/// The word for a difference. `faster` is better also where less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The second group is better by at least the threshold.
    Faster,
    /// It is worse by at least the threshold.
    Slower,
    /// The difference is smaller than the threshold.
    Same,
    /// The runs do not tell.
    Inconclusive,
    /// The figures cannot be trusted.
    Invalid,
}

impl Verdict {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::Same => "same",
            Self::Inconclusive => "inconclusive",
            Self::Invalid => "invalid",
        }
    }
}

impl Comparison {
    /// How many figures have each word.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.metrics.iter().filter(|metric| metric.verdict == verdict).count()
    }
}

/// Exit status of a comparison, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Nothing is slower, everything was judged.
    Fine,
    /// Something is slower.
    Regression,
    /// Refused, or something could not be judged.
    Inconclusive,
}

impl ExitStatus {
    /// 0, 3 or 4.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Regression => 3,
            Self::Inconclusive => 4,
        }
    }

    /// The status of all comparisons together: a regression outweighs what could not be judged.
    #[must_use]
    pub fn of(comparisons: &[Comparison]) -> Self {
        let any = |wanted: &[Verdict]| {
            comparisons.iter().any(|comparison| wanted.iter().any(|&verdict| comparison.count(verdict) > 0))
        };
        if any(&[Verdict::Slower]) {
            return Self::Regression;
        }
        let refused = comparisons
            .iter()
            .any(|comparison| !comparison.refusals.is_empty() || comparison.metrics.is_empty());
        if comparisons.is_empty() || refused || any(&[Verdict::Inconclusive, Verdict::Invalid]) {
            return Self::Inconclusive;
        }
        Self::Fine
    }
}

/// Noise floors by figure, as shares.
pub type Floors = BTreeMap<Metric, f64>;
