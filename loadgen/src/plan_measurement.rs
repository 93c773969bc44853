//! The measured phase of a run: who sets its pace, and what ends it.

use std::time::Duration;

use crate::cli::RunArgs;
use crate::cli_values::Rate;
use crate::limits::{PIPELINE_MAX, RATE_MAX};
use crate::plan::check;
use crate::rate_curve::RateCurve;
use crate::schedule::Arrival;

/// Who sets the pace.
#[derive(Clone, Debug, PartialEq)]
pub enum Pace {
    /// Replies.
    Closed,
    /// A schedule of all workers together.
    Open {
        /// Requests per second, over time.
        curve: RateCurve,
        /// Spacing.
        arrival: Arrival,
    },
    /// The recorded times of a trace, so many times as fast.
    Recorded {
        /// The factor.
        speed: f64,
    },
}

/// What ends the measured window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Time.
    After(Duration),
    /// A number of requests.
    Requests(u64),
}

/// The measured phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Requests in flight on one connection.
    pub pipeline: u32,
    /// Who sets the pace.
    pub pace: Pace,
    /// Time before the window.
    pub warmup: Duration,
    /// End of the window.
    pub stop: Stop,
    /// How long to wait for outstanding replies.
    pub drain: Duration,
    /// Whether workers poll instead of sleeping until the next start.
    pub spin: bool,
}

/// The measured phase of `loadgen run`.
///
/// # Errors
/// A sentence for the user, naming the option to change.
pub(crate) fn measurement(arguments: &RunArgs) -> Result<Measurement, String> {
    check((1..=PIPELINE_MAX).contains(&arguments.pipeline), || {
        format!("--pipeline goes from 1 to {PIPELINE_MAX}")
    })?;
    let stop = match (arguments.duration, arguments.requests) {
        (Some(duration), _) => Stop::After(duration),
        (None, Some(count)) => Stop::Requests(count),
        (None, None) => Stop::After(match &arguments.rate {
            Rate::Steps { rates, each } => {
                each.saturating_mul(u32::try_from(rates.len()).unwrap_or(u32::MAX))
            }
            _ => Duration::from_secs(10),
        }),
    };
    check(stop != Stop::After(Duration::ZERO) && stop != Stop::Requests(0), || {
        "the measured window is empty: --duration and --requests must be above 0".to_owned()
    })?;
    let pace = match &arguments.rate {
        Rate::Max => {
            check(arguments.arrival == Arrival::Constant, || {
                "--arrival needs --rate: in a closed loop requests start when replies come".to_owned()
            })?;
            Pace::Closed
        }
        rate => Pace::Open { curve: curve(rate, arguments.warmup, stop)?, arrival: arguments.arrival },
    };
    let RunArgs { pipeline, warmup, drain, spin, .. } = *arguments;
    check(!spin || pace != Pace::Closed, || {
        "--spin needs --rate: a closed loop sends when replies come, and sleeps until then".to_owned()
    })?;
    Ok(Measurement { pipeline, pace, warmup, stop, drain, spin })
}

/// The rate over time from the start of the warm-up, which goes at the first rate.
fn curve(rate: &Rate, warmup: Duration, stop: Stop) -> Result<RateCurve, String> {
    let lead_s = warmup.as_secs_f64();
    let window_s = match stop {
        Stop::After(duration) => Some(duration.as_secs_f64()),
        Stop::Requests(_) => None,
    };
    let curve = match rate {
        Rate::Max => unreachable!("a closed loop has no rate"),
        Rate::PerSecond(rate) => RateCurve::constant(*rate),
        Rate::Ramp(first, last) => {
            let window_s = window_s.ok_or("a ramp needs --duration: it goes over the whole window")?;
            RateCurve::ramp(*first, *last, lead_s, window_s)
        }
        Rate::Steps { rates, each } => RateCurve::steps(rates, each.as_secs_f64(), lead_s),
    };
    check(curve.peak() <= RATE_MAX, || format!("--rate goes up to {RATE_MAX}"))?;
    Ok(curve)
}
