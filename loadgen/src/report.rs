//! The report of a run: one JSON file with everything needed to believe, repeat and compare it.
//!
//! Rule of the schema: every name carries its unit, nothing is ever not-a-number (null instead), fields are
//! only added within version 1, and readers ignore those they do not know.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::error_counts::ErrorCount;
use crate::keys::KeyDistribution;
use crate::latency::LatencySummary;
use crate::run_details::{VerifyOutcome, WorkloadDetails};
use crate::schedule::Arrival;
use crate::search::SearchOutcome;
use crate::selftest::SelftestFigures;
use crate::series::Series;
use crate::sweep_command::SweepOutcome;

/// Version of the schema that this program writes.
pub const SCHEMA_VERSION: &str = "1.2";

/// A whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `major.minor`; readers refuse another major version.
    pub schema_version: String,
    /// What was done.
    pub kind: ReportKind,
    /// The program that measured.
    pub tool: Tool,
    /// Names this run.
    pub run_id: String,
    /// Start of the run, RFC 3339 in UTC.
    pub started_at: String,
    /// The user's name for the run.
    pub label: Option<String>,
    /// The user's own marks.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The command line.
    pub argv: Vec<String>,
    /// What was asked for.
    pub config: Config,
    /// Where it ran.
    pub env: Environment,
    /// What was measured.
    pub server: Server,
    /// How the generator itself did.
    pub client: Client,
    /// The loading of keys, when there was one.
    #[serde(default)]
    pub prefill: Option<Prefill>,
    /// The figures; null for a report of loading only.
    pub result: Option<Outcome>,
    /// The figures second by second.
    pub series: Option<Series>,
    /// Whether the figures can be trusted.
    pub validity: Validity,
    /// The steps of a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchOutcome>,
    /// The points of a sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepOutcome>,
    /// What the user should know although the figures stand.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Kinds of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// A measured run.
    Run,
    /// Keys were loaded, nothing was measured.
    Load,
    /// Many runs to find the highest rate that keeps its limits; the figures are those of the rate found.
    Search,
    /// Many runs over an axis; the figures are those of the fastest.
    Sweep,
}

/// The program that measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `loadgen`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Commit it was built from.
    pub git_commit: Option<String>,
    /// Whether the tree had changes when it was built.
    pub git_dirty: Option<bool>,
    /// Compiler.
    pub rustc: Option<String>,
    /// `release` or `debug`.
    pub profile: String,
    /// Instruction set that it was built for.
    #[serde(default)]
    pub target: Option<String>,
}

impl Tool {
    /// This program.
    #[must_use]
    pub fn this() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git_commit: option_env!("LOADGEN_GIT_COMMIT").map(str::to_owned),
            git_dirty: option_env!("LOADGEN_GIT_DIRTY").map(|text| text == "true"),
            rustc: option_env!("LOADGEN_RUSTC").map(str::to_owned),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            target: Some(format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
        }
    }
}

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
    /// User and system time per request of the window.
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
    /// Length that the rate is computed over: the window, or longer when replies came late.
    pub elapsed_s: f64,
    /// Successful requests that started in the window.
    pub ops: u64,
    /// Successful requests per second.
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

impl Report {
    /// Writes the report, whole or not at all: a reader never finds half a file.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        write_json(self, path)
    }

    /// Reads a report.
    ///
    /// # Errors
    /// A sentence for the user: no file, no report, or one of a version that this program does not know.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        Self::parse(&text).map_err(|error| format!("{shown}: {error}"))
    }

    /// Reads a report from its text.
    ///
    /// # Errors
    /// As those of [`read`](Self::read).
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        check_version(text)?;
        serde_json::from_slice(text).map_err(|error| format!("damaged report: {error}"))
    }
}

/// Writes any report as JSON, whole or not at all.
///
/// # Errors
/// Those of the file system.
pub fn write_json(report: &impl Serialize, path: &Path) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    write_whole(path, &text)
}

/// Refuses reports of another major version.
///
/// # Errors
/// A sentence for the user.
pub fn check_version(text: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: String,
    }
    let version: Version =
        serde_json::from_slice(text).map_err(|error| format!("not a loadgen report: {error}"))?;
    let major = |text: &str| text.split('.').next().map(str::to_owned);
    if major(&version.schema_version) == major(SCHEMA_VERSION) {
        return Ok(());
    }
    Err(format!(
        "report of schema version {}, this program reads {SCHEMA_VERSION}: use the loadgen that wrote it",
        version.schema_version
    ))
}

/// Writes a file whole or not at all: its content is on disk before it has its name.
///
/// # Errors
/// Those of the file system.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".part");
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

/// A fresh random name for a run, in the form of a version 4 UUID.
#[must_use]
pub fn new_run_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    let high = RandomState::new().hash_one(1_u8);
    let low = RandomState::new().hash_one(2_u8);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high.to_be_bytes());
    bytes[8..].copy_from_slice(&low.to_be_bytes());
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_have_the_form_of_a_uuid_and_differ() {
        let id = new_run_id();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert_ne!(id, new_run_id());
    }

    #[test]
    fn other_major_versions_are_refused_with_advice() {
        let error = Report::parse(br#"{"schema_version": "2.0"}"#).unwrap_err();
        assert!(error.contains("2.0") && error.contains("use the loadgen"), "{error}");
        assert!(Report::parse(b"{}").unwrap_err().contains("not a loadgen report"));
        assert!(Report::parse(b"hello").unwrap_err().contains("not a loadgen report"));
        assert!(Report::parse(br#"{"schema_version": "1.7"}"#).unwrap_err().contains("damaged"));
    }
}
