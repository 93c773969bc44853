//! The search for the highest rate that keeps the limits: climb by a factor until it breaks, bisect between the last
//! that held and the first that broke, confirm.
//!
//! It knows no server: a closure measures one rate. A rate that broke because of the generator or the machine is tried
//! again: on a shared machine most such breaks pass.

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

/// Who made a rate break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The server: this is what a search is after.
    Server,
    /// The generator had no time to send, or to look at replies.
    Generator,
    /// Other processes, or other guests of the host.
    Machine,
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
    /// Who made it break; absent when it held, and in reports before 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
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
    /// Who made the lowest rate above it break; absent when none did, and in reports before 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<Blame>,
    /// Whether it was stopped before its end.
    #[serde(default)]
    pub interrupted: bool,
    /// Every step in order.
    pub steps: Vec<SearchStep>,
}

const BISECTIONS_MAX: usize = 16;
const LOWERINGS_MAX: usize = 8;
/// How often a rate is tried at most when it is not the server that makes it break.
const TRIES_MAX: usize = 3;

/// Searches. `measure` gets the rate and the stage; nothing from it ends the search with what was found so far.
///
/// # Errors
/// Those of `measure`.
///
/// # Panics
/// When the options make no search: they are checked before.
pub fn search<E>(
    options: &SearchOptions,
    measure: impl FnMut(f64, SearchStage) -> Result<Option<SearchStep>, E>,
) -> Result<SearchOutcome, E> {
    assert!(
        options.min > 0.0 && options.min <= options.max && options.factor > 1.0 && options.tolerance > 0.0
    );
    let mut searching = Searching { measure, steps: Vec::new(), stopped: false };
    let (mut low, mut high) = searching.climb(options)?;
    searching.bisect(options, &mut low, &mut high)?;
    let knee = searching.confirm(options, low)?;
    let Searching { steps, stopped, .. } = searching;
    let above = |step: &&SearchStep| !step.held && knee.is_none_or(|knee| step.rate >= knee);
    // Of several tries at one rate the last one counts.
    let broke = steps
        .iter()
        .filter(above)
        .min_by(|left, right| left.rate.total_cmp(&right.rate).then(std::cmp::Ordering::Greater));
    Ok(SearchOutcome {
        slo: Vec::new(),
        knee_ops_s: knee,
        reached_max: high.is_none() && !stopped,
        limited_by: broke.and_then(|step| step.blame),
        interrupted: stopped,
        steps,
    })
}

/// A search under way.
struct Searching<M> {
    measure: M,
    steps: Vec<SearchStep>,
    /// Told to end.
    stopped: bool,
}

impl<E, M: FnMut(f64, SearchStage) -> Result<Option<SearchStep>, E>> Searching<M> {
    /// Whether a rate holds; not, when the search was told to end.
    fn holds(&mut self, rate: f64, stage: SearchStage) -> Result<bool, E> {
        for _ in 0..TRIES_MAX {
            if self.stopped {
                return Ok(false);
            }
            let Some(step) = (self.measure)(rate, stage)? else {
                self.stopped = true;
                return Ok(false);
            };
            let is_final = step.held || step.blame == Some(Blame::Server);
            let held = step.held;
            self.steps.push(step);
            if is_final {
                return Ok(held);
            }
        }
        Ok(false)
    }

    /// The last rate that held and the first that broke.
    fn climb(&mut self, options: &SearchOptions) -> Result<(Option<f64>, Option<f64>), E> {
        let mut low = None;
        let mut rate = options.min;
        loop {
            if !self.holds(rate, SearchStage::Climb)? {
                return Ok((low, (!self.stopped).then_some(rate)));
            }
            low = Some(rate);
            if rate >= options.max {
                return Ok((low, None));
            }
            rate = (rate * options.factor).min(options.max);
        }
    }

    fn bisect(
        &mut self,
        options: &SearchOptions,
        low: &mut Option<f64>,
        high: &mut Option<f64>,
    ) -> Result<(), E> {
        let (Some(low), Some(high)) = (low, high) else { return Ok(()) };
        for _ in 0..BISECTIONS_MAX {
            if *high / *low <= 1.0 + options.tolerance {
                break;
            }
            // The middle on the scale of ratios, as the tolerance is one.
            let middle = (*low * *high).sqrt();
            *(if self.holds(middle, SearchStage::Bisect)? { &mut *low } else { &mut *high }) = middle;
        }
        Ok(())
    }

    /// The highest rate, from `candidate` down, that holds as often as asked.
    fn confirm(&mut self, options: &SearchOptions, mut candidate: Option<f64>) -> Result<Option<f64>, E> {
        for _ in 0..LOWERINGS_MAX {
            let Some(rate) = candidate else { break };
            let mut held = true;
            for _ in 0..options.confirm {
                held = held && self.holds(rate, SearchStage::Confirm)?;
            }
            if held || self.stopped {
                return Ok(held.then_some(rate));
            }
            let lower = rate / (1.0 + options.tolerance);
            candidate = (lower >= options.min).then_some(lower);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const OPTIONS: SearchOptions =
        SearchOptions { min: 1000.0, max: 1e6, factor: 1.5, tolerance: 0.02, confirm: 3 };

    fn run(options: &SearchOptions, mut holds: impl FnMut(f64, SearchStage) -> bool) -> SearchOutcome {
        run_blamed(options, |rate, stage| (!holds(rate, stage)).then_some(Blame::Server))
    }

    fn step(rate: f64, stage: SearchStage, blame: Option<Blame>) -> SearchStep {
        SearchStep {
            stage,
            rate,
            achieved_ops_s: rate,
            p50_ns: None,
            p99_ns: None,
            p99_9_ns: None,
            slip_p99_ns: None,
            held: blame.is_none(),
            reasons: Vec::new(),
            blame,
        }
    }

    fn run_blamed(
        options: &SearchOptions,
        mut broken_by: impl FnMut(f64, SearchStage) -> Option<Blame>,
    ) -> SearchOutcome {
        let outcome: Result<SearchOutcome, Infallible> = search(options, |rate, stage| {
            let blame = broken_by(rate, stage);
            Ok(Some(step(rate, stage, blame)))
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

    #[test]
    fn what_the_generator_broke_is_tried_again_and_never_blamed_on_the_server() {
        // A hiccup at one rate: the search goes past it.
        let mut hiccups = 2;
        let outcome = run_blamed(&OPTIONS, |rate, _| match rate {
            rate if rate > 50_000.0 => Some(Blame::Server),
            rate if rate > 5_000.0 && hiccups > 0 => {
                hiccups -= 1;
                Some(Blame::Generator)
            }
            _ => None,
        });
        assert!(outcome.knee_ops_s.unwrap() > 49_000.0, "{outcome:?}");
        assert_eq!(outcome.limited_by, Some(Blame::Server));
        // A generator that can do no more: three tries at each rate above, and the outcome says whose limit it is.
        let outcome = run_blamed(&OPTIONS, |rate, _| (rate > 20_000.0).then_some(Blame::Generator));
        assert!(outcome.knee_ops_s.unwrap() > 19_000.0, "{outcome:?}");
        assert_eq!(outcome.limited_by, Some(Blame::Generator));
        let broken: Vec<f64> = outcome.steps.iter().filter(|step| !step.held).map(|step| step.rate).collect();
        assert!(broken.chunks(3).all(|tries| tries[0].to_bits() == tries[2].to_bits()), "{broken:?}");
    }

    #[test]
    fn a_stopped_search_keeps_its_steps() {
        let mut left = 4;
        let outcome: Result<SearchOutcome, Infallible> = search(&OPTIONS, |rate, stage| {
            left -= 1;
            Ok((left > 0).then(|| step(rate, stage, None)))
        });
        let Ok(outcome) = outcome;
        assert_eq!((outcome.steps.len(), outcome.knee_ops_s, outcome.interrupted), (3, None, true));
        assert!(!outcome.reached_max && outcome.limited_by.is_none());
    }
}
