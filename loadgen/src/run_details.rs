//! Fields of reports about the running side that were added after schema 1.0. All may be absent.

use serde::{Deserialize, Serialize};

use crate::sizes::Sizes;

/// What was sent, beyond the fields of schema 1.0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadDetails {
    /// Lengths of keys, in words.
    pub key_sizes: String,
    /// Lengths of values.
    pub value_sizes: Sizes,
    /// What values are made of: `random` or `compressible:RATIO`.
    pub data: String,
    /// Time to live of written keys, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<Sizes>,
    /// Keys of one scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan_keys: Option<Sizes>,
    /// Templates of the user, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Whether values carry key, version and checksum, and answers were looked into.
    #[serde(default)]
    pub verify: bool,
    /// Share of the answers that were looked into; absent when none was, and in reports before 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_share: Option<f64>,
    /// What keeps the figures from being compared with others of the workload's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The rate over time, when it is not one number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_curve: Option<String>,
}

/// What looking into the answers found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyOutcome {
    /// Values looked into, warm-up included.
    pub checked: u64,
    /// Values that were not what had been written for their key.
    pub bad: u64,
    /// What was wrong with the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}
