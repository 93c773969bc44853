//! The noise floor of a machine: what runs that are all alike differ by.
//!
//! Runs of one server under one load are split at random into two groups, many times. What the two differ by is noise,
//! and the size that it exceeds in one of twenty splits is the floor: no smaller difference between two servers is worth
//! a word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::wall_clock_rfc3339;
use crate::comparison::comparable::differences;
use crate::comparison::groups::MeasuredRun;
use crate::comparison::judge::estimate;
use crate::comparison::metric::Metric;
use crate::comparison::result::Floors;
use crate::environment::Environment;
use crate::limits::GROUP_RUNS_MIN;
use crate::number::{floor_u64, index};
use crate::report::{Config, SCHEMA_VERSION, Tool};
use crate::rng::Rng;
use crate::statistics::estimate::sort;
use crate::statistics::splits::{pick, split};

/// A report of `loadgen noise`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseReport {
    /// As in reports of runs.
    pub schema_version: String,
    /// `noise`.
    pub kind: String,
    /// The program that judged.
    pub tool: Tool,
    /// When.
    pub started_at: String,
    /// The command line.
    pub argv: Vec<String>,
    /// Where the runs were made.
    pub env: Environment,
    /// How the runs were made.
    pub config: Config,
    /// The server that all runs measured, with its version.
    pub server: Option<String>,
    /// Number of runs.
    pub runs: usize,
    /// Runs on each side of a split.
    pub group_size: usize,
    /// Splits that were made.
    pub splits: usize,
    /// Share of the splits that stay below the floor.
    pub level: f64,
    /// Runs that were not valid, by reason.
    pub invalid_runs: BTreeMap<String, usize>,
    /// Each figure.
    pub metrics: Vec<NoiseOfMetric>,
}

/// The noise of one figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseOfMetric {
    /// Which figure.
    pub metric: Metric,
    /// Its value in each run, in the order in which they were made.
    pub values: Vec<f64>,
    /// Largest by smallest of them, less one.
    pub spread: f64,
    /// The noise floor, as a share.
    pub floor: f64,
}

impl NoiseReport {
    /// Judges runs that are all alike.
    ///
    /// # Errors
    /// A sentence for the user when they are not, or are too few.
    pub fn of(runs: &[MeasuredRun], group_size: Option<usize>, argv: Vec<String>) -> Result<Self, String> {
        let all: Vec<&MeasuredRun> = runs.iter().collect();
        if let [first, ..] = differences(&all).as_slice() {
            return Err(format!("the runs are not alike: {}", first.text));
        }
        let largest = runs.len() / 2;
        let group_size = group_size.unwrap_or_else(|| GROUP_SIZE_DEFAULT.min(largest));
        if group_size < GROUP_RUNS_MIN || group_size > largest {
            return Err(format!(
                "{} runs: groups of {group_size} need at least {} of them (and {GROUP_RUNS_MIN} a group)",
                runs.len(),
                2 * group_size.max(GROUP_RUNS_MIN)
            ));
        }
        let first = &runs[0].report;
        let mut invalid_runs = BTreeMap::new();
        for reason in runs.iter().flat_map(|run| &run.report.validity.reasons) {
            *invalid_runs.entry(reason.code.clone()).or_insert(0) += 1;
        }
        let server = first.server.name.as_ref();
        Ok(Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            kind: "noise".to_owned(),
            tool: Tool::this(),
            started_at: wall_clock_rfc3339(),
            argv,
            env: first.env.clone(),
            config: first.config.clone(),
            server: server.map(|name| format!("{name} {}", first.server.version.as_deref().unwrap_or(""))),
            runs: runs.len(),
            group_size,
            splits: SPLITS,
            level: LEVEL,
            invalid_runs,
            metrics: Metric::ALL
                .into_iter()
                .filter_map(|metric| noise_of(metric, runs, group_size))
                .collect(),
        })
    }

    /// The floors.
    #[must_use]
    pub fn floors(&self) -> Floors {
        self.metrics.iter().map(|noise| (noise.metric, noise.floor)).collect()
    }

    /// For the terminal.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!(
            "noise of {} over {} runs, in groups of {}\n\n{:<26}{:>12}{:>12}\n",
            self.server.as_deref().unwrap_or("the server"),
            self.runs,
            self.group_size,
            "figure",
            "spread",
            "floor"
        );
        for noise in &self.metrics {
            text.push_str(&format!(
                "{:<26}{:>11.1}%{:>11.1}%\n",
                noise.metric.title(),
                100.0 * noise.spread,
                100.0 * noise.floor
            ));
        }
        for (code, count) in &self.invalid_runs {
            text.push_str(&format!("note: {count} of {} runs are not valid: {code}\n", self.runs));
        }
        text
    }
}

fn noise_of(metric: Metric, runs: &[MeasuredRun], group_size: usize) -> Option<NoiseOfMetric> {
    let values: Option<Vec<f64>> = runs.iter().map(|run| metric.of(&run.report)).collect();
    let values = values?;
    let (least, most) =
        values.iter().fold((f64::MAX, 0.0_f64), |(low, high), &value| (low.min(value), high.max(value)));
    Some(NoiseOfMetric { metric, spread: most / least - 1.0, floor: floor_of(&values, group_size), values })
}

/// The change that one of twenty random splits exceeds.
#[must_use]
pub fn floor_of(values: &[f64], group_size: usize) -> f64 {
    let mut rng = Rng::new(SEED, 0);
    let mut sizes: Vec<f64> = (0..SPLITS)
        .map(|_| {
            let (left, right) = split(values.len(), group_size, &mut rng);
            estimate(&pick(values, &left), &pick(values, &right), None, 0.05).shift.abs()
        })
        .collect();
    sort(&mut sizes);
    let place = index(floor_u64((LEVEL * SPLITS as f64).ceil())) - 1;
    sizes[place].exp_m1()
}

/// Splits are the same for the same runs, so that a floor can be repeated.
const SEED: u64 = 0x000A_A115;
const SPLITS: usize = 1000;
const LEVEL: f64 = 0.95;
const GROUP_SIZE_DEFAULT: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_grows_with_the_noise_and_shrinks_with_the_groups() {
        let mut rng = Rng::new(1, 0);
        let noisy = |share: f64, rng: &mut Rng| -> Vec<f64> {
            (0..40).map(|_| 1000.0 * (1.0 + share * (rng.unit() - 0.5))).collect()
        };
        let (calm, rough) = (noisy(0.02, &mut rng), noisy(0.2, &mut rng));
        assert!(floor_of(&calm, 8) < 0.02);
        assert!(floor_of(&rough, 8) > 3.0 * floor_of(&calm, 8));
        assert!(floor_of(&rough, 20) < floor_of(&rough, 4));
        assert!(floor_of(&[5.0; 40], 8).abs() < 1e-12);
    }
}
