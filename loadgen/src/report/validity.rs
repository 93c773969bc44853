//! Whether the figures of a run can be trusted, as reports hold it.

use serde::{Deserialize, Serialize};

/// Whether the figures can be trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validity {
    /// True when nothing speaks against them.
    pub ok: bool,
    /// What speaks against them.
    pub reasons: Vec<Reason>,
    /// Everything that was looked at, with its figure and its limit.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// One figure that decides whether a run is valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The code of the reason when it fails.
    pub code: String,
    /// What was measured; the unit is the last part of its name.
    pub name: String,
    /// The figure; null when it could not be measured.
    pub value: Option<f64>,
    /// The limit that the figure must keep.
    pub limit: f64,
    /// Whether it keeps it; a figure that could not be measured does.
    pub ok: bool,
}

/// One reason against the figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For programs; never changes its meaning.
    pub code: String,
    /// For people.
    pub text: String,
}
