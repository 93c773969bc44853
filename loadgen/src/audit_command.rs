//! `loadgen audit` from its options to its verdict.

use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use crate::audit::{self, AuditPlan, AuditReport};
use crate::cli::AuditArgs;
use crate::plan::{check, resolve, session};
use crate::progress::{Progress, group_digits};
use crate::spawned_server::SpawnedServer;
use crate::verified_value::VERIFIED_BYTES_MIN;

/// The checked plan.
///
/// # Errors
/// A sentence for the user, naming the option to change.
pub fn plan(arguments: &AuditArgs) -> Result<AuditPlan, String> {
    let (target, _) = resolve(&arguments.target)?;
    check(arguments.kills > 0, || "--kills is at least 1".to_owned())?;
    check((1..=CLIENTS_MAX).contains(&arguments.connections), || {
        format!("--connections goes from 1 to {CLIENTS_MAX}: each is a thread")
    })?;
    check((u64::from(arguments.connections)..=KEYS_MAX).contains(&arguments.keys), || {
        format!("--keys goes from --connections to {KEYS_MAX}")
    })?;
    check((VERIFIED_BYTES_MIN..=VALUE_BYTES_MAX).contains(&arguments.value_size), || {
        format!("--value-size goes from {VERIFIED_BYTES_MIN} to {VALUE_BYTES_MAX}")
    })?;
    check(!arguments.spawn || !arguments.command.is_empty(), || {
        "--spawn needs the server's command after --".to_owned()
    })?;
    let spawn =
        arguments.spawn.then(|| SpawnedServer::new(arguments.command.clone(), arguments.server_log.clone()));
    Ok(AuditPlan {
        target,
        session: session(&arguments.target)?,
        spawn,
        rounds: arguments.kills,
        every: arguments.every,
        gentle: arguments.gentle,
        writers: u64::from(arguments.connections),
        keys: arguments.keys,
        value_bytes: arguments.value_size,
        ready: arguments.ready,
        seed: arguments.seed,
    })
}

const CLIENTS_MAX: u32 = 256;
const KEYS_MAX: u64 = 10_000_000;
const VALUE_BYTES_MAX: usize = 16 << 20;

/// Makes the audit.
///
/// # Errors
/// A sentence for the user.
pub fn execute(
    plan: AuditPlan,
    live: crate::cli::Live,
    argv: Vec<String>,
    interrupt: &AtomicBool,
) -> Result<AuditReport, String> {
    let progress = match live {
        crate::cli::Live::None => Progress::Silent,
        _ => Progress::Lines,
    };
    audit::execute(plan, argv, interrupt, &progress)
}

/// The report in words.
#[must_use]
pub fn describe(report: &AuditReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "audit      {} keys, {} clients, {} rounds, server ended by {}",
        group_digits(report.keys),
        report.writers,
        report.rounds.len(),
        report.ended_by
    );
    let _ = writeln!(
        text,
        "writes     {} acknowledged, {} without an answer, {} refused; {} reads and {} keys compared",
        group_digits(report.acknowledged),
        group_digits(report.in_doubt),
        group_digits(report.refused),
        group_digits(report.reads),
        group_digits(report.checked)
    );
    for example in &report.examples {
        let _ = writeln!(text, "VIOLATION  {example}");
    }
    let _ = writeln!(text, "verdict    {}: {}", format!("{:?}", report.verdict).to_uppercase(), report.text);
    text
}
