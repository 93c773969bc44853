//! A read sees exactly what the writes before it left: the value, or that there is none.

use crate::sim::model::{ModelKey, ModelValue};
use crate::sim::operations::brief;

/// A read of a key found this.
pub(in crate::sim) fn check(
    key: &ModelKey,
    found: &Option<ModelValue>,
    expected: &Option<ModelValue>,
) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("a read of {key:?} found {}, not {}", brief(found), brief(expected)))
}
