//! The audit: clients write while the server is killed and started again; then every key must hold what was
//! acknowledged, or a later write whose answer never came.
//!
//! A killed process loses nothing that the kernel has: this shows bugs of logging and recovery, and acknowledgements
//! before the write to the log, not what a power failure does to unsynced disks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::audit_writer::{AuditCounts, AuditWriter};
use crate::clock::wall_clock_rfc3339;
use crate::control::Control;
use crate::plan::Session;
use crate::progress::{Progress, group_digits};
use crate::report::Tool;
use crate::rng::Rng;
use crate::spawned_server::SpawnedServer;
use crate::target::Target;

/// What is audited.
#[derive(Debug)]
pub struct AuditPlan {
    /// The server.
    pub target: Target,
    /// Introduction.
    pub session: Session,
    /// The server's command, when this program starts and kills it.
    pub spawn: Option<SpawnedServer>,
    /// Kills, or rounds of watching when the server is somebody else's.
    pub rounds: u32,
    /// Mean time of writing before each.
    pub every: Duration,
    /// End the server by SIGTERM instead of SIGKILL.
    pub gentle: bool,
    /// Clients, one connection each.
    pub writers: u64,
    /// Keys of all of them.
    pub keys: u64,
    /// Longest value.
    pub value_bytes: usize,
    /// How long a start may take.
    pub ready: Duration,
    /// Seed of all choices.
    pub seed: u64,
}

/// The report of an audit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditReport {
    /// `1.0`.
    pub schema_version: String,
    /// Always `audit`.
    pub kind: String,
    /// The program.
    pub tool: Tool,
    /// RFC 3339 in UTC.
    pub started_at: String,
    /// The command line.
    pub argv: Vec<String>,
    /// The server's address.
    pub target: String,
    /// `kill`, `term` or `external`.
    pub ended_by: String,
    /// Clients.
    pub writers: u64,
    /// Keys.
    pub keys: u64,
    /// Each round.
    pub rounds: Vec<AuditRound>,
    /// Writes and deletes that were acknowledged.
    pub acknowledged: u64,
    /// Writes and deletes that were sent and never acknowledged.
    pub in_doubt: u64,
    /// Reads during the load that were compared.
    pub reads: u64,
    /// Keys compared after restarts.
    pub checked: u64,
    /// Error replies.
    pub refused: u64,
    /// Broken promises.
    pub violations: u64,
    /// The first of them, in words.
    pub examples: Vec<String>,
    /// The verdict.
    pub verdict: AuditVerdict,
    /// The verdict in a sentence.
    pub text: String,
}

/// One kill and restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditRound {
    /// Time of writing.
    pub load_s: f64,
    /// From the start of the process until it served.
    pub ready_s: f64,
    /// Writes acknowledged before.
    pub acknowledged: u64,
    /// Broken promises found after.
    pub violations: u64,
}

/// What the audit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditVerdict {
    /// Everything acknowledged was there.
    Held,
    /// Something acknowledged was undone, or something was invented.
    Broken,
    /// The server did not come back: its data cannot be read.
    Unavailable,
    /// Too little happened to say anything.
    Inconclusive,
}

/// Makes the audit. A set `interrupt` ends it after the present round.
///
/// # Errors
/// A sentence for the user when the server cannot be used at all.
pub fn execute(
    mut plan: AuditPlan,
    argv: Vec<String>,
    interrupt: &AtomicBool,
    progress: &Progress,
) -> Result<AuditReport, String> {
    let started_at = wall_clock_rfc3339();
    if let Some(server) = &mut plan.spawn {
        server.start()?;
    }
    wait_until_ready(&mut plan, interrupt)?;
    let mut writers: Vec<AuditWriter> = (0..plan.writers)
        .map(|number| AuditWriter::new(number, plan.writers, plan.keys, plan.value_bytes, plan.seed))
        .collect();
    if !for_each(&plan, &mut writers, |writer, control| writer.clear(control).is_ok()) {
        return Err(format!("{} failed while the keys of the audit were deleted", plan.target));
    }
    let mut rng = Rng::new(plan.seed, u64::MAX - 1);
    let mut rounds = Vec::new();
    let mut unavailable = None;
    for number in 0..plan.rounds {
        let share = 0.5 + rng.unit();
        let load = plan.every.mul_f64(share);
        let before = total(&writers);
        let (load_s, killed) = load_until_end(&mut plan, &mut writers, load, interrupt)?;
        let ready = match restart(&mut plan, killed, interrupt) {
            Ok(ready_s) => ready_s,
            Err(text) => {
                unavailable = Some(text);
                break;
            }
        };
        let all_read = for_each(&plan, &mut writers, |writer, control| writer.check_all(control).is_ok());
        if !all_read {
            unavailable = Some("the server failed again while its keys were read".to_owned());
            break;
        }
        let after = total(&writers);
        let round = AuditRound {
            load_s,
            ready_s: ready,
            acknowledged: after.acknowledged - before.acknowledged,
            violations: after.violation_count - before.violation_count,
        };
        progress.say(&format!(
            "round {:>3}: {} acknowledged in {load_s:.1} s, back after {ready:.2} s, {} keys checked, {} violations",
            number + 1,
            group_digits(round.acknowledged),
            group_digits(after.checked - before.checked),
            round.violations
        ));
        rounds.push(round);
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
    }
    if let Some(server) = &mut plan.spawn {
        server.stop(STOP_PATIENCE)?;
    }
    Ok(report(&plan, argv, started_at, rounds, &total(&writers), unavailable))
}

const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// A server that broke a connection and lives on may still carry out what it has read.
const SETTLE_TIME: Duration = Duration::from_millis(500);

fn total(writers: &[AuditWriter]) -> AuditCounts {
    let mut sum = AuditCounts::default();
    writers.iter().for_each(|writer| sum.add(&writer.counts));
    sum
}

/// Runs `act` for every client at once, each with a fresh connection. False when one got none or failed.
fn for_each(
    plan: &AuditPlan,
    writers: &mut [AuditWriter],
    act: impl Fn(&mut AuditWriter, &mut Control) -> bool + Sync,
) -> bool {
    let attempt = |writer: &mut AuditWriter| match Control::open(&plan.target, &plan.session) {
        Ok(mut control) => act(writer, &mut control),
        Err(_) => false,
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = writers.iter_mut().map(|writer| scope.spawn(|| attempt(writer))).collect();
        // A panic is a bug of this program: it goes on here.
        let outcomes: Vec<bool> =
            threads.into_iter().map(|thread| thread.join().expect("a client ends in order")).collect();
        outcomes.into_iter().all(|went_well| went_well)
    })
}

/// All clients write; after `load` the server is ended. Returns the time of writing and whether it was ended.
fn load_until_end(
    plan: &mut AuditPlan,
    writers: &mut [AuditWriter],
    load: Duration,
    interrupt: &AtomicBool,
) -> Result<(f64, bool), String> {
    let began = Instant::now();
    let is_over = AtomicBool::new(false);
    let mut spawn = plan.spawn.take();
    let gentle = plan.gentle;
    let outcome = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            while began.elapsed() < load && !interrupt.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let outcome = match &mut spawn {
                // Killed in full flight: the clients are still writing.
                Some(server) if gentle => server.stop(STOP_PATIENCE),
                Some(server) => server.kill(),
                None => Ok(()),
            };
            is_over.store(true, Ordering::Relaxed);
            outcome
        });
        // The connections end with the server, at any moment from here on: that is the experiment.
        for_each(plan, writers, |writer, control| writer.work(control, || is_over.load(Ordering::Relaxed)));
        killer.join().map_err(|_| "the thread that ends the server panicked".to_owned())?
    });
    let load_s = began.elapsed().as_secs_f64();
    let killed = spawn.is_some();
    plan.spawn = spawn;
    outcome.map(|()| (load_s, killed))
}

/// Starts the server again if this program ended it, and waits until it serves. Returns how long that took.
fn restart(plan: &mut AuditPlan, killed: bool, interrupt: &AtomicBool) -> Result<f64, String> {
    let began = Instant::now();
    if killed && let Some(server) = &mut plan.spawn {
        server.start()?;
    }
    wait_until_ready(plan, interrupt)?;
    let ready_s = began.elapsed().as_secs_f64();
    if !killed {
        std::thread::sleep(SETTLE_TIME);
    }
    Ok(ready_s)
}

fn wait_until_ready(plan: &mut AuditPlan, interrupt: &AtomicBool) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let error = match Control::open(&plan.target, &plan.session) {
            Ok(_) => return Ok(()),
            Err(error) => error.to_string(),
        };
        if let Some(status) = plan.spawn.as_mut().and_then(SpawnedServer::ended) {
            return Err(format!(
                "the server ended at its start ({status}): see its output with --server-log"
            ));
        }
        if began.elapsed() > plan.ready || (interrupt.load(Ordering::Relaxed) && plan.spawn.is_none()) {
            return Err(format!(
                "the server did not serve within {:.0} s: {error}",
                plan.ready.as_secs_f64()
            ));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn report(
    plan: &AuditPlan,
    argv: Vec<String>,
    started_at: String,
    rounds: Vec<AuditRound>,
    counts: &AuditCounts,
    unavailable: Option<String>,
) -> AuditReport {
    let (verdict, text) = if counts.violation_count > 0 {
        (AuditVerdict::Broken, format!("{} keys did not hold what was acknowledged", counts.violation_count))
    } else if let Some(text) = unavailable {
        (AuditVerdict::Unavailable, text)
    } else if counts.acknowledged == 0 || counts.checked == 0 {
        let refusal =
            counts.refusal.as_deref().map_or_else(String::new, |text| format!(" (the server says: {text})"));
        (AuditVerdict::Inconclusive, format!("no write was acknowledged and checked{refusal}"))
    } else {
        let text = format!(
            "nothing acknowledged was lost: {} writes over {} rounds, {} unanswered, {} keys checked",
            group_digits(counts.acknowledged),
            rounds.len(),
            group_digits(counts.in_doubt),
            group_digits(counts.checked)
        );
        (AuditVerdict::Held, text)
    };
    let ended_by = match (&plan.spawn, plan.gentle) {
        (None, _) => "external",
        (Some(_), true) => "term",
        (Some(_), false) => "kill",
    };
    AuditReport {
        schema_version: crate::report::SCHEMA_VERSION.to_owned(),
        kind: "audit".to_owned(),
        tool: Tool::this(),
        started_at,
        argv: crate::assemble::without_password(argv),
        target: plan.target.to_string(),
        ended_by: ended_by.to_owned(),
        writers: plan.writers,
        keys: plan.keys,
        rounds,
        acknowledged: counts.acknowledged,
        in_doubt: counts.in_doubt,
        reads: counts.reads,
        checked: counts.checked,
        refused: counts.refused,
        violations: counts.violation_count,
        examples: counts
            .violations
            .iter()
            .map(|(key, kind, text)| format!("{key}: {kind:?}: {text}"))
            .collect(),
        verdict,
        text,
    }
}
