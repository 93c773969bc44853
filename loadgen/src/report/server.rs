//! What a report knows about the server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// `ouro`, `valkey`, `redis` or what INFO says.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Its commit.
    pub git_sha1: Option<String>,
    /// Its process, when it is on this host.
    pub pid: Option<u32>,
    /// Settings that matter for figures, from CONFIG GET.
    pub config: BTreeMap<String, String>,
    /// INFO before the measured phase.
    pub info_before: BTreeMap<String, String>,
    /// INFO after it.
    pub info_after: BTreeMap<String, String>,
    /// Keys before the measured phase.
    pub keys_before: Option<u64>,
    /// User time over the measured window.
    pub cpu_user_s: Option<f64>,
    /// System time over the measured window.
    pub cpu_sys_s: Option<f64>,
    /// User and system time per request answered meanwhile, those of the warm-up too.
    pub cpu_us_per_op: Option<f64>,
    /// Resident memory after the run.
    pub rss_bytes: Option<u64>,
    /// Largest resident memory so far.
    pub rss_peak_bytes: Option<u64>,
    /// Bytes read from storage over the measured window.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to storage over the measured window.
    pub io_write_bytes: Option<u64>,
    /// Context switches of its main thread over the measured window.
    pub ctx_switches: Option<u64>,
    /// What survives a crash, in the server's words: `appendonly=yes`.
    pub persist_mode: Option<String>,
    /// When the log is synced: `always`, `everysec`, `no`.
    pub fsync_mode: Option<String>,
    /// Both in one word: `none`, `snapshots`, `always`, `everysec`, `no`.
    pub durability: Option<String>,
}
