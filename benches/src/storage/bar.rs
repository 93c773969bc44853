//! A bar: what a figure has to reach, and whether it does.

use serde::{Deserialize, Serialize};

use crate::report::Direction;

/// One bar with what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// What is measured, for people, with its unit.
    pub what: String,
    /// Which way.
    pub direction: Direction,
    /// The bound.
    pub bound: f64,
    /// What was measured; null when it could not be.
    pub measured: Option<f64>,
    /// Whether it is kept.
    pub kept: bool,
}

impl Bar {
    /// The figure may be at most the bound.
    #[must_use]
    pub fn at_most(what: impl Into<String>, bound: f64, measured: Option<f64>) -> Self {
        let kept = measured.is_some_and(|measured| measured <= bound);
        Self { what: what.into(), direction: Direction::AtMost, bound, measured, kept }
    }

    /// The figure has to be at least the bound.
    #[must_use]
    pub fn at_least(what: impl Into<String>, bound: f64, measured: Option<f64>) -> Self {
        let kept = measured.is_some_and(|measured| measured >= bound);
        Self { what: what.into(), direction: Direction::AtLeast, bound, measured, kept }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_kept_on_its_side_of_the_bound_and_never_without_a_figure() {
        assert!(Bar::at_most("x", 2.0, Some(2.0)).kept && !Bar::at_most("x", 2.0, Some(2.1)).kept);
        assert!(Bar::at_least("x", 2.0, Some(2.0)).kept && !Bar::at_least("x", 2.0, Some(1.9)).kept);
        assert!(!Bar::at_most("x", 2.0, None).kept && !Bar::at_least("x", 2.0, None).kept);
    }
}
