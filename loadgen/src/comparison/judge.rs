//! The verdict on two groups of runs.
//!
//! Rules: a refusal names every condition that differs; too few runs are no verdict; a difference is called one only
//! when chance is an unlikely cause (after Holm's correction) and it is at least as large as the threshold; "same" is
//! said only when the whole confidence interval lies within the threshold.

use std::collections::{BTreeMap, BTreeSet};

use super::comparable::differences;
use super::groups::MeasuredRun;
use super::metric::Metric;
use super::result::{Comparison, Floors, MetricResult, Test, Verdict};
use crate::limits::{GROUP_RUNS_MAX, GROUP_RUNS_MIN};
use crate::number::ratio;
use crate::report::Mode;
use crate::statistics::estimate::{Estimate, median};
use crate::statistics::holm::holm;
use crate::statistics::{rank_sum, signed_rank};
use crate::verdict::REASONS_OF_CAPACITY;

/// How strict a comparison is.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Chance of any false alarm, over all figures of one comparison.
    pub alpha: f64,
    /// Figures to judge.
    pub metrics: Vec<Metric>,
    /// Whether the user named them: then a missing one is a refusal, else it is left out.
    pub metrics_named: bool,
    /// The main figure, when the user named one: it spends half of the level.
    pub primary: Option<Metric>,
    /// Changes that matter, as shares, where not the defaults.
    pub thresholds: BTreeMap<Metric, f64>,
    /// Noise floors, as shares.
    pub floors: Floors,
    /// Aspects that may differ.
    pub ignored: Vec<String>,
    /// Whether runs are pairs.
    pub pairing: Pairing,
    /// Judge also the figures of invalid runs.
    pub allow_invalid: bool,
}

/// Whether runs are compared one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Runs of one block of a matrix are pairs when there are enough of them; others are not.
    Auto,
    /// By block, or in the order given.
    Paired,
    /// Never.
    Unpaired,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            alpha: ALPHA_DEFAULT,
            metrics: Metric::DEFAULT.to_vec(),
            metrics_named: false,
            primary: None,
            thresholds: BTreeMap::new(),
            floors: Floors::new(),
            ignored: Vec::new(),
            pairing: Pairing::Auto,
            allow_invalid: false,
        }
    }
}

/// Chance of any false alarm when the user names none.
pub const ALPHA_DEFAULT: f64 = 0.05;

/// Runs with their group's name.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Name for people.
    pub name: &'a str,
    /// The runs.
    pub runs: &'a [&'a MeasuredRun],
}

/// Compares two groups.
#[must_use]
pub fn compare(title: Option<String>, baseline: Side<'_>, candidate: Side<'_>, rules: &Rules) -> Comparison {
    let mut comparison = Comparison {
        title,
        baseline: baseline.name.to_owned(),
        candidate: candidate.name.to_owned(),
        baseline_runs: baseline.runs.len(),
        candidate_runs: candidate.runs.len(),
        test: Test::RankSum,
        primary: None,
        refusals: Vec::new(),
        notes: Vec::new(),
        metrics: Vec::new(),
    };
    hold_conditions(baseline, candidate, rules, &mut comparison);
    let judged = judged_metrics(baseline, candidate, rules, &mut comparison);
    let pairs = pairs(baseline, candidate, rules, &mut comparison);
    let primary = rules.primary.unwrap_or_else(|| primary_of(baseline, candidate));
    let weights = weights(&judged, primary);
    comparison.test = match choose_test(baseline, candidate, pairs.as_ref(), &weights, rules) {
        Ok(test) => test,
        Err(sentence) => {
            comparison.refusals.push(sentence);
            Test::RankSum
        }
    };
    if !comparison.refusals.is_empty() {
        return comparison;
    }
    let test = comparison.test;
    let mut results: Vec<MetricResult> = judged
        .iter()
        .map(|&metric| measure(metric, baseline, candidate, pairs.as_deref(), test, rules))
        .collect();
    let corrected = holm(&results.iter().map(|result| result.p).collect::<Vec<_>>(), &weights);
    for (result, p) in results.iter_mut().zip(corrected) {
        result.p_corrected = p;
        decide(result, rules);
        hold_validity(result, baseline, candidate, rules);
    }
    comparison.metrics = results;
    comparison.primary = judged.contains(&primary).then_some(primary);
    comparison
}

/// What a comparison is mostly about, where the user does not say: in closed loops the throughput; in open ones, whose
/// throughput is the rate that was asked for, the tail of latency. The way of measuring decides it, never what the runs
/// show.
fn primary_of(baseline: Side<'_>, candidate: Side<'_>) -> Metric {
    let is_open = baseline.runs.iter().chain(candidate.runs).any(|run| run.report.config.mode == Mode::Open);
    if is_open { Metric::P99 } else { Metric::OpsS }
}

/// Shares of the level: half for the primary figure, the rest evenly for the others. Any fixed shares keep the level;
/// these let eight pairs, or five runs a side, judge four figures.
#[must_use]
pub fn weights(judged: &[Metric], primary: Metric) -> Vec<f64> {
    if judged.len() < 2 || !judged.contains(&primary) {
        return vec![1.0; judged.len()];
    }
    let others = (judged.len() - 1) as f64;
    judged.iter().map(|&metric| if metric == primary { others } else { 1.0 }).collect()
}

/// What must not differ, does not differ; what may, is told.
fn hold_conditions(baseline: Side<'_>, candidate: Side<'_>, rules: &Rules, comparison: &mut Comparison) {
    let all: Vec<&MeasuredRun> = baseline.runs.iter().chain(candidate.runs).copied().collect();
    for difference in differences(&all) {
        if rules.ignored.iter().any(|aspect| aspect == difference.aspect) {
            comparison.notes.push(format!("ignored: {}", difference.text));
        } else {
            let how = format!("{} (--ignore {} to compare all the same)", difference.text, difference.aspect);
            comparison.refusals.push(how);
        }
    }
    let mut ids = BTreeSet::new();
    if let Some(twice) = all.iter().find(|run| !ids.insert(&run.report.run_id)) {
        comparison.refusals.push(format!("{}: the same run is given twice", twice.source));
    }
    if let Some(unmeasured) = all.iter().find(|run| run.report.result.is_none()) {
        comparison
            .refusals
            .push(format!("{}: only keys were loaded, nothing was measured", unmeasured.source));
    }
}

/// The figures that all runs have. A named one that is missing is a refusal.
fn judged_metrics(
    baseline: Side<'_>,
    candidate: Side<'_>,
    rules: &Rules,
    comparison: &mut Comparison,
) -> Vec<Metric> {
    let mut judged = Vec::new();
    for &metric in &rules.metrics {
        let mut all = baseline.runs.iter().chain(candidate.runs);
        let Some(without) = all.find(|run| metric.of(&run.report).is_none()) else {
            judged.push(metric);
            continue;
        };
        let text =
            format!("{metric} is not in {} (too few requests, or a server on another host)", without.source);
        if rules.metrics_named { &mut comparison.refusals } else { &mut comparison.notes }.push(text);
    }
    judged
}

/// Places of runs that belong together, where there are such.
fn pairs(
    baseline: Side<'_>,
    candidate: Side<'_>,
    rules: &Rules,
    comparison: &mut Comparison,
) -> Option<Vec<(usize, usize)>> {
    if rules.pairing == Pairing::Unpaired {
        return None;
    }
    let place = |side: Side<'_>, block: u32| side.runs.iter().position(|run| run.block == Some(block));
    let blocks = |side: Side<'_>| side.runs.iter().filter_map(|run| run.block).collect::<BTreeSet<u32>>();
    let (left, right) = (blocks(baseline), blocks(candidate));
    let all_have_blocks = left.len() == baseline.runs.len() && right.len() == candidate.runs.len();
    if all_have_blocks && left == right {
        return left.iter().map(|&block| Some((place(baseline, block)?, place(candidate, block)?))).collect();
    }
    if rules.pairing == Pairing::Auto {
        return None;
    }
    if baseline.runs.len() != candidate.runs.len() {
        comparison.refusals.push(format!(
            "pairs need as many runs on both sides: {} and {}",
            baseline.runs.len(),
            candidate.runs.len()
        ));
        return None;
    }
    Some((0..baseline.runs.len()).map(|place| (place, place)).collect())
}

/// The test that can reach the level with so many runs and figures. It is chosen by these numbers alone, never by
/// what the runs show.
fn choose_test(
    baseline: Side<'_>,
    candidate: Side<'_>,
    pairs: Option<&Vec<(usize, usize)>>,
    weights: &[f64],
    rules: &Rules,
) -> Result<Test, String> {
    let (left, right) = (baseline.runs.len(), candidate.runs.len());
    let metrics = weights.len();
    if metrics == 0 {
        return Err("the runs have no figure in common".to_owned());
    }
    if left.max(right) > GROUP_RUNS_MAX {
        return Err(format!(
            "at most {GROUP_RUNS_MAX} runs a side are compared: {left} and {right} are given"
        ));
    }
    // What the figure with the smallest share may spend when no other is answered.
    let least = weights.iter().copied().fold(f64::MAX, f64::min);
    let level = rules.alpha * ratio(least, weights.iter().sum());
    if let Some(pairs) = pairs
        && signed_rank::least_p(pairs.len()) <= level
    {
        return Ok(Test::SignedRank);
    }
    let is_enough = left.min(right) >= GROUP_RUNS_MIN && rank_sum::least_p(left, right) <= level;
    if rules.pairing != Pairing::Paired && is_enough {
        return Ok(Test::RankSum);
    }
    let paired = rules.pairing == Pairing::Paired;
    let needed = runs_needed(level, paired);
    let what = if paired { "pairs" } else { "runs a side" };
    Err(format!(
        "too few runs: {left} and {right}, and at least {needed} {what} are needed to judge {metrics} figure(s) at alpha \
         {} (more runs, or fewer figures with --metric)",
        rules.alpha
    ))
}

/// The fewest runs a side that can reach a level.
#[must_use]
pub fn runs_needed(level: f64, paired: bool) -> usize {
    let reaches = |count: &usize| {
        let p = if paired { signed_rank::least_p(*count) } else { rank_sum::least_p(*count, *count) };
        p <= level
    };
    (GROUP_RUNS_MIN..=GROUP_RUNS_MAX).find(reaches).unwrap_or(GROUP_RUNS_MAX)
}

fn measure(
    metric: Metric,
    baseline: Side<'_>,
    candidate: Side<'_>,
    pairs: Option<&[(usize, usize)]>,
    test: Test,
    rules: &Rules,
) -> MetricResult {
    let values = |side: Side<'_>| -> Vec<f64> {
        side.runs.iter().map(|run| metric.of(&run.report).expect("judged figures are in all runs")).collect()
    };
    let (left, right) = (values(baseline), values(candidate));
    let estimate = estimate(&left, &right, pairs.filter(|_| test == Test::SignedRank), rules.alpha);
    let asked = rules.thresholds.get(&metric).copied().unwrap_or_else(|| metric.default_threshold());
    let noise_floor = rules.floors.get(&metric).copied();
    MetricResult {
        metric,
        baseline_median: median(&left),
        candidate_median: median(&right),
        baseline: left,
        candidate: right,
        ratio: estimate.shift.exp(),
        ratio_low: estimate.interval.map(|(low, _)| low.exp()),
        ratio_high: estimate.interval.map(|(_, high)| high.exp()),
        p: estimate.p,
        p_corrected: estimate.p,
        threshold: asked.max(noise_floor.unwrap_or(0.0)),
        noise_floor,
        verdict: Verdict::Inconclusive,
        at_least: false,
        reasons: Vec::new(),
    }
}

/// The test itself, on logarithms: ratios of runs are alike where differences are not.
#[must_use]
pub fn estimate(left: &[f64], right: &[f64], pairs: Option<&[(usize, usize)]>, alpha: f64) -> Estimate {
    let logs = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<f64>>();
    let (left, right) = (logs(left), logs(right));
    match pairs {
        Some(pairs) => {
            let differences: Vec<f64> = pairs.iter().map(|&(from, to)| right[to] - left[from]).collect();
            signed_rank::signed_rank(&differences, alpha)
        }
        None => rank_sum::rank_sum(&left, &right, alpha),
    }
}

/// The word, from the figures alone.
pub fn decide(result: &mut MetricResult, rules: &Rules) {
    let limit = result.threshold.ln_1p();
    let shift = result.ratio.ln();
    let within = |ratio: Option<f64>| ratio.is_some_and(|ratio| ratio.ln().abs() <= limit);
    let is_significant = result.p_corrected <= rules.alpha;
    let is_better = (shift > 0.0) == result.metric.more_is_better();
    result.verdict = if is_significant && shift.abs() >= limit {
        if is_better { Verdict::Faster } else { Verdict::Slower }
    } else if within(result.ratio_low) && within(result.ratio_high) {
        Verdict::Same
    } else {
        result.reasons.push(if is_significant {
            "there is a difference, but it is not surely above the threshold".to_owned()
        } else {
            format!(
                "chance alone makes such a difference with probability {:.2}: more runs",
                result.p_corrected
            )
        });
        Verdict::Inconclusive
    };
}

/// What speaks against the runs themselves. A generator at its limit hides how good the better server is, so that a
/// difference in its favour stands, as a lower bound; everything else is invalid.
fn hold_validity(result: &mut MetricResult, baseline: Side<'_>, candidate: Side<'_>, rules: &Rules) {
    if rules.allow_invalid {
        return;
    }
    let mut against = [Against::Nothing; 2];
    for (side, found) in [baseline, candidate].into_iter().zip(&mut against) {
        *found = against_side(result, side);
    }
    let better_is_held_back =
        |better: usize| against[better] == Against::Capacity && against[1 - better] == Against::Nothing;
    result.at_least = match result.verdict {
        Verdict::Faster => better_is_held_back(1),
        Verdict::Slower => better_is_held_back(0),
        _ => false,
    };
    if against.iter().any(|found| *found != Against::Nothing) && !result.at_least {
        result.verdict = Verdict::Invalid;
    }
}

/// What speaks against a figure of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Against {
    Nothing,
    /// The generator or the machine was at its limit.
    Capacity,
    /// Anything else.
    Everything,
}

fn against_side(result: &mut MetricResult, side: Side<'_>) -> Against {
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    for run in side.runs {
        let hit = run.report.validity.reasons.iter().filter(|reason| result.metric.is_hit_by(reason));
        for code in hit.map(|reason| reason.code.as_str()).collect::<BTreeSet<_>>() {
            *codes.entry(code).or_default() += 1;
        }
    }
    let mut against = Against::Nothing;
    for (code, count) in codes {
        let is_of_capacity = REASONS_OF_CAPACITY.contains(&code);
        // Ranks bear a few disturbed runs; they bear no lost request.
        let is_rare = is_of_capacity && ratio(count as f64, side.runs.len() as f64) <= DISTURBED_SHARE_MAX;
        let text = format!("{count} of {} runs of {}: {code}", side.runs.len(), side.name);
        result.reasons.push(if is_rare { format!("{text} (few enough to be borne)") } else { text });
        against = match (is_rare, is_of_capacity) {
            (true, _) => against,
            (false, true) if against == Against::Nothing => Against::Capacity,
            (false, true) => against,
            (false, false) => Against::Everything,
        };
    }
    against
}

/// Share of the runs of a group that may have been at the limit of generator or machine.
const DISTURBED_SHARE_MAX: f64 = 0.25;
