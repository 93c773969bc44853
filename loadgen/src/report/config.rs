//! What a run was asked for, in numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::keys::KeyDistribution;
use crate::run_details::WorkloadDetails;
use crate::schedule::Arrival;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The server's address.
    pub target: TargetConfig,
    /// Connections over all threads.
    pub connections_total: u32,
    /// Worker threads.
    pub threads: u32,
    /// Requests in flight on one connection.
    pub pipeline: u32,
    /// Who sets the pace.
    pub mode: Mode,
    /// Requests per second asked for; null in a closed loop.
    pub rate_target_ops_s: Option<f64>,
    /// Spacing of start times; null in a closed loop.
    pub arrival: Option<Arrival>,
    /// Whether workers polled instead of sleeping until the next start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spin: bool,
    /// Time at full load before the measured window.
    pub warmup_s: f64,
    /// Length of the measured window; null when a number of requests ends the run.
    pub duration_s: Option<f64>,
    /// Requests to measure; null when time ends the run.
    pub requests: Option<u64>,
    /// Seed of all random choices.
    pub seed: u64,
    /// Processors the workers were pinned to.
    pub cpus: Vec<usize>,
    /// What was sent.
    pub workload: WorkloadConfig,
}

/// Address and protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetConfig {
    /// `unix` or `tcp`.
    pub transport: String,
    /// Path or `host:port`.
    pub addr: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Protocol version, 2 or 3.
    pub resp: u8,
    /// Database number.
    pub db: u32,
}

/// Who sets the pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The schedule: requests start when they are due, however slow the server is.
    Open,
    /// The server: the next request starts when a reply has come.
    Closed,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadConfig {
    /// Name, for people.
    pub name: String,
    /// Weight of each kind of request.
    pub mix: BTreeMap<String, u32>,
    /// Keys in the key space.
    pub keys: u64,
    /// How keys are chosen.
    pub dist: KeyDistribution,
    /// Text before the key number.
    pub key_prefix: String,
    /// Length of a key.
    pub key_bytes: u64,
    /// Length of a value; the mean, where lengths vary.
    pub value_bytes: u64,
    /// More about it; absent in reports of schema 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<WorkloadDetails>,
}
