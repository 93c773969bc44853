//! The search for the highest rate that keeps the limits: climb by a factor until it breaks, bisect between the last
//! that held and the first that broke, confirm.
//!
//! It knows no server: a closure measures one rate.

use serde::{Deserialize, Serialize};

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchOptions {
    /// First rate.
    pub min: f64,
    /// Highest rate that is tried.
    pub max: f64,
    /// Factor of the climb, above 1.
    pub factor: f64,
    /// The bisection ends when the bounds are this close, as a share.
    pub tolerance: f64,
    /// How often the rate found must hold again.
    pub confirm: u32,
}

/// Part of the search that a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchStage {
    /// Up until it breaks.
    Climb,
    /// Between the bounds.
    Bisect,
    /// Again at the rate found.
    Confirm,
}

/// One measured rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchStep {
    /// Part of the search.
    pub stage: SearchStage,
    /// Requests per second asked for.
    pub rate: f64,
    /// Requests per second answered.
    pub achieved_ops_s: f64,
    /// Median from the schedule.
    pub p50_ns: Option<u64>,
    /// 99th percentile from the schedule.
    pub p99_ns: Option<u64>,
    /// 99.9th percentile from the schedule.
    pub p99_9_ns: Option<u64>,
    /// 99th percentile of the delay of sending.
    pub slip_p99_ns: Option<u64>,
    /// Whether all limits held.
    pub held: bool,
    /// Why not.
    pub reasons: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchOutcome {
    /// The limits, in words.
    pub slo: Vec<String>,
    /// The highest rate that held and was confirmed; null when none did.
    pub knee_ops_s: Option<f64>,
    /// Whether the highest rate allowed was reached without a break: the knee lies higher.
    pub reached_max: bool,
    /// Every step in order.
    pub steps: Vec<SearchStep>,
}

const BISECTIONS_MAX: usize = 16;
const LOWERINGS_MAX: usize = 8;

/// Searches. `measure` gets the rate and the stage.
///
/// # Errors
/// Those of `measure`.
///
/// # Panics
/// When the options make no search: they are checked before.
pub fn search<E>(
    options: &SearchOptions,
    mut measure: impl FnMut(f64, SearchStage) -> Result<SearchStep, E>,
) -> Result<SearchOutcome, E> {
    assert!(
        options.min > 0.0 && options.min <= options.max && options.factor > 1.0 && options.tolerance > 0.0
    );
    let mut steps = Vec::new();
    let mut try_rate = |rate: f64, stage| -> Result<bool, E> {
        let step = measure(rate, stage)?;
        let held = step.held;
        steps.push(step);
        Ok(held)
    };
    let (mut low, mut high) = (None, None);
    let mut rate = options.min;
    while high.is_none() {
        if !try_rate(rate, SearchStage::Climb)? {
            high = Some(rate);
        } else {
            low = Some(rate);
            if rate >= options.max {
                break;
            }
            rate = (rate * options.factor).min(options.max);
        }
    }
    if let (Some(low), Some(high)) = (&mut low, &mut high) {
        for _ in 0..BISECTIONS_MAX {
            if *high / *low <= 1.0 + options.tolerance {
                break;
            }
            // The middle on the scale of ratios, as the tolerance is one.
            let middle = (*low * *high).sqrt();
            *(if try_rate(middle, SearchStage::Bisect)? { &mut *low } else { &mut *high }) = middle;
        }
    }
    let mut knee = None;
    let mut candidate = low;
    for _ in 0..LOWERINGS_MAX {
        let Some(rate) = candidate else { break };
        let mut held = true;
        for _ in 0..options.confirm {
            held = held && try_rate(rate, SearchStage::Confirm)?;
        }
        if held {
            knee = Some(rate);
            break;
        }
        let lower = rate / (1.0 + options.tolerance);
        candidate = (lower >= options.min).then_some(lower);
    }
    Ok(SearchOutcome { slo: Vec::new(), knee_ops_s: knee, reached_max: high.is_none(), steps })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const OPTIONS: SearchOptions =
        SearchOptions { min: 1000.0, max: 1e6, factor: 1.5, tolerance: 0.02, confirm: 3 };

    fn run(options: &SearchOptions, mut holds: impl FnMut(f64, SearchStage) -> bool) -> SearchOutcome {
        let outcome: Result<SearchOutcome, Infallible> = search(options, |rate, stage| {
            Ok(SearchStep {
                stage,
                rate,
                achieved_ops_s: rate,
                p50_ns: None,
                p99_ns: None,
                p99_9_ns: None,
                slip_p99_ns: None,
                held: holds(rate, stage),
                reasons: Vec::new(),
            })
        });
        let Ok(outcome) = outcome;
        outcome
    }

    #[test]
    fn the_knee_is_found_within_the_tolerance_wherever_it_is() {
        for knee in [1000.0, 1001.0, 12_345.0, 777_777.0, 999_999.0] {
            let outcome = run(&OPTIONS, |rate, _| rate <= knee);
            let found = outcome.knee_ops_s.unwrap();
            assert!(found <= knee && knee <= found * 1.02, "{found} for {knee}");
            assert!(outcome.steps.len() < 40 && !outcome.reached_max, "{knee}");
            let confirmed = outcome.steps.iter().filter(|step| step.stage == SearchStage::Confirm).count();
            assert_eq!(confirmed, 3, "{knee}");
        }
    }

    #[test]
    fn nothing_holds_and_everything_holds() {
        let none = run(&OPTIONS, |_, _| false);
        assert_eq!((none.knee_ops_s, none.steps.len()), (None, 1));
        let all = run(&OPTIONS, |_, _| true);
        assert_eq!((all.knee_ops_s, all.reached_max), (Some(1e6), true));
    }

    #[test]
    fn a_knee_that_is_not_confirmed_is_lowered() {
        // Luck lets the search pass above 10,000; confirmation is honest.
        let outcome = run(&OPTIONS, |rate, stage| {
            rate <= if stage == SearchStage::Confirm { 9_800.0 } else { 10_000.0 }
        });
        let found = outcome.knee_ops_s.unwrap();
        assert!((9_000.0..=9_800.0).contains(&found), "{found}");
        let hopeless = run(&OPTIONS, |rate, stage| rate <= 10_000.0 && stage != SearchStage::Confirm);
        assert_eq!(hopeless.knee_ops_s, None);
    }
}
