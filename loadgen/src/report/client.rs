//! How the generator itself did.

use serde::{Deserialize, Serialize};

use crate::selftest::SelftestFigures;

/// How the generator itself did in the measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Client {
    /// User time.
    pub cpu_user_s: f64,
    /// System time.
    pub cpu_sys_s: f64,
    /// User and system time per request.
    pub cpu_us_per_op: Option<f64>,
    /// Each worker.
    pub per_thread: Vec<ClientThread>,
    /// What the generator found about itself before the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selftest: Option<SelftestFigures>,
}

/// One worker of the generator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientThread {
    /// CPU time in percent of the window.
    pub cpu_pct: f64,
    /// Longest time between waking up and waiting again.
    pub max_loop_stall_ns: u64,
    /// Turns of the loop: waits for completions.
    pub enters: u64,
    /// Completions.
    pub cqes: u64,
    /// Times another task took the core away.
    pub involuntary_switches: u64,
}
