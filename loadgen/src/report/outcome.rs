//! The figures of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error_counts::ErrorCount;
use crate::latency::LatencySummary;
use crate::run_details::VerifyOutcome;

/// The loading of keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prefill {
    /// Keys written.
    pub keys: u64,
    /// Time it took.
    pub elapsed_s: f64,
    /// Keys per second.
    pub ops_s: f64,
}

/// The figures of the measured window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Length that the rate is computed over: the window, or longer when replies of an open loop came late.
    pub elapsed_s: f64,
    /// Successful requests that started in the window.
    pub ops: u64,
    /// Successful requests per second: in a closed loop all that were answered in that time, those sent in the warm-up
    /// too and those answered after it not; in an open loop `ops`.
    pub ops_s: f64,
    /// Bytes sent.
    pub bytes_tx: u64,
    /// Bytes received.
    pub bytes_rx: u64,
    /// Failed requests.
    pub errors: Errors,
    /// GETs that found a value.
    pub hits: u64,
    /// GETs that found none.
    pub misses: u64,
    /// Requests that the schedule had in the window; null in a closed loop.
    pub offered_ops: Option<u64>,
    /// Requests sent more than a millisecond after their start time; null in a closed loop.
    pub late_ops: Option<u64>,
    /// Requests started more than 0.1 ms after their start time; null in a closed loop and before schema 1.2.
    #[serde(default)]
    pub waited_ops: Option<u64>,
    /// Those of them for which every connection had its pipeline full when they were due: they waited for the server.
    #[serde(default)]
    pub held_back_ops: Option<u64>,
    /// Requests that were due or sent in the window and never answered.
    pub dropped_ops: u64,
    /// Figures of each kind of request.
    pub ops_by_type: BTreeMap<String, OperationOutcome>,
    /// Figures of all kinds together.
    pub all: AllOutcome,
    /// What looking into the answers found; absent when nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyOutcome>,
}

impl Outcome {
    /// Whether late sending was mostly a wait for replies, with every connection full, and not the generator's own.
    #[must_use]
    pub fn was_held_back(&self) -> bool {
        match (self.held_back_ops, self.waited_ops) {
            (Some(held_back), Some(waited)) => waited > 0 && 2 * held_back >= waited,
            _ => false,
        }
    }
}

/// Failed requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// All of them.
    pub total: u64,
    /// By kind: the code word of the error reply, or a kind of our own in lower case.
    pub by_kind: BTreeMap<String, ErrorCount>,
}

/// Figures of one kind of request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationOutcome {
    /// Successful requests.
    pub count: u64,
    /// Its histograms.
    pub latency_ns: LatencyOutcome,
}

/// The histograms of one kind of request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyOutcome {
    /// From the intended start to the reply; null in a closed loop, which has no intended starts.
    pub corrected: Option<LatencySummary>,
    /// From the send to the reply.
    pub service: LatencySummary,
    /// From the intended start to the send; absent in a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slip: Option<LatencySummary>,
}

/// The histograms of all kinds together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AllOutcome {
    /// From the intended start to the reply; null in a closed loop.
    pub corrected: Option<LatencySummary>,
    /// From the send to the reply.
    pub service: LatencySummary,
    /// From the intended start to the send; null in a closed loop.
    pub slip: Option<LatencySummary>,
}
