//! Turns what the workers counted into a report.

use std::collections::BTreeMap;

use crate::environment::Environment;
use crate::fleet::FleetOutcome;
use crate::latency::LatencyHistogram;
use crate::number::{ratio, seconds};
use crate::plan::{Pace, Plan, Stop};
use crate::report::{
    AllOutcome, Client, ClientThread, Errors, LatencyOutcome, Mode, OperationOutcome, Outcome, Prefill,
    Reason, Report, ReportKind, SCHEMA_VERSION, Tool, Validity, new_run_id,
};
use crate::run::merge;
use crate::run_details::VerifyOutcome;
use crate::selftest::SelftestFigures;
use crate::server_facts::ServerFacts;
use crate::tally::Tally;
use crate::verdict::{Circumstances, judge};

/// The measured phase of a run.
#[derive(Debug)]
pub struct Measured {
    /// Start of the window.
    pub window_start_ns: u64,
    /// Planned end of the window; `u64::MAX` where replies set the pace and a number of requests ended it.
    pub window_end_ns: u64,
    /// Connections at the start.
    pub connections: u32,
    /// What the workers brought.
    pub fleet: FleetOutcome,
    /// What the generator found about itself before.
    pub selftest: Option<SelftestFigures>,
}

/// Makes the report.
#[must_use]
pub fn assemble(
    plan: &Plan,
    argv: Vec<String>,
    started_at: String,
    env: Environment,
    facts: ServerFacts,
    prefill: Option<Prefill>,
    measured: Option<Measured>,
) -> Report {
    let mut report = Report {
        schema_version: SCHEMA_VERSION.to_owned(),
        kind: if plan.measurement.is_some() { ReportKind::Run } else { ReportKind::Load },
        tool: Tool::this(),
        run_id: new_run_id(),
        started_at,
        label: plan.label.clone(),
        tags: plan.tags.clone(),
        argv: without_password(argv),
        config: plan.config(),
        env,
        server: Default::default(),
        client: Client::default(),
        prefill,
        result: None,
        series: None,
        validity: Validity { ok: true, reasons: Vec::new(), checks: Vec::new() },
        search: None,
        sweep: None,
        warnings: Vec::new(),
    };
    let Some(measured) = measured else {
        report.server = facts.section(None, 0);
        if plan.measurement.is_some() {
            let text = "ended while keys were loaded: nothing was measured".to_owned();
            report.validity = Validity {
                ok: false,
                reasons: vec![Reason { code: "no_samples".to_owned(), text }],
                checks: Vec::new(),
            };
        }
        return report;
    };
    let tally = merge(measured.fleet.workers.iter().map(|worker| &worker.tally));
    let mode = report.config.mode;
    let outcome = outcome(plan, &measured, &tally, mode);
    report.server = facts.section(measured.fleet.usage.as_ref(), tally.window_answers);
    report.client = client(&measured, tally.window_answers);
    let circumstances = circumstances(plan, &measured, &report, mode, &outcome);
    report.validity = judge(&outcome, &report.client, &circumstances);
    report.warnings = warnings(plan, &measured, &tally);
    report.result = Some(outcome);
    report.series = Some(measured.fleet.series);
    report
}

fn outcome(plan: &Plan, measured: &Measured, tally: &Tally, mode: Mode) -> Outcome {
    let corrected = |histogram: &LatencyHistogram| (mode == Mode::Open).then(|| histogram.summary());
    let elapsed_s = seconds(elapsed_ns(plan, measured, tally));
    let ops = tally.successes();
    // As many requests need not reach over the start of a closed loop's window as over its end. An open loop answers
    // for what was due in the window, and what the warm-up left behind does not raise its rate.
    let ops_of_rate = if mode == Mode::Closed { tally.window_successes } else { ops };
    let entries = plan.workload.operations.entries();
    let ops_by_type: BTreeMap<String, OperationOutcome> = entries
        .iter()
        .zip(&tally.operations)
        .filter_map(|(entry, figures)| {
            let count = figures.service.count();
            let latency_ns = LatencyOutcome {
                corrected: corrected(&figures.corrected),
                service: figures.service.summary(),
                slip: corrected(&figures.slip),
            };
            (count > 0).then(|| (entry.name.clone(), OperationOutcome { count, latency_ns }))
        })
        .collect();
    let all_corrected = (mode == Mode::Open).then(|| tally.all_corrected().summary());
    Outcome {
        elapsed_s,
        ops,
        ops_s: ratio(ops_of_rate as f64, elapsed_s),
        bytes_tx: tally.bytes_sent,
        bytes_rx: tally.bytes_received,
        errors: Errors { total: tally.errors.total(), by_kind: tally.errors.by_kind() },
        hits: tally.hits,
        misses: tally.misses,
        offered_ops: (mode == Mode::Open).then(|| ops + tally.errors.total() + tally.dropped),
        late_ops: (mode == Mode::Open).then_some(tally.late),
        waited_ops: (mode == Mode::Open).then_some(tally.waited),
        held_back_ops: (mode == Mode::Open).then_some(tally.held_back),
        dropped_ops: tally.dropped,
        ops_by_type,
        all: AllOutcome {
            corrected: all_corrected,
            service: tally.all_service().summary(),
            slip: corrected(&tally.all_slip()),
        },
        verify: plan.workload.values.sealed.then(|| VerifyOutcome {
            checked: tally.checked,
            bad: tally.bad,
            example: tally.bad_example.clone(),
        }),
    }
}

/// The time that the rate is computed over: the window of a closed loop of fixed length; that of an open loop, and longer
/// when replies came after it; else until the last reply.
fn elapsed_ns(plan: &Plan, measured: &Measured, tally: &Tally) -> u64 {
    let start_ns = measured.window_start_ns;
    let interrupted = measured.fleet.workers.iter().any(|worker| worker.interrupted);
    let planned_ns = measured.window_end_ns.saturating_sub(start_ns);
    let to_last_reply_ns = tally.last_reply_ns.saturating_sub(start_ns);
    let measurement = plan.measurement.as_ref();
    match measurement.map(|measurement| (&measurement.pace, measurement.stop)) {
        Some(_) if interrupted => to_last_reply_ns,
        None | Some((Pace::Closed, Stop::Requests(_))) => to_last_reply_ns,
        Some((Pace::Closed, Stop::After(_))) => planned_ns,
        Some((Pace::Open { .. } | Pace::Recorded { .. }, _)) => planned_ns.max(to_last_reply_ns),
    }
}

fn client(measured: &Measured, answered: u64) -> Client {
    let cpu = measured.fleet.usage.and_then(|usage| usage.client_cpu);
    Client {
        cpu_user_s: cpu.map_or(0.0, |cpu| seconds(cpu.user_ns)),
        cpu_sys_s: cpu.map_or(0.0, |cpu| seconds(cpu.system_ns)),
        cpu_us_per_op: cpu.filter(|_| answered > 0).map(|cpu| cpu.total_ns() as f64 / 1e3 / answered as f64),
        per_thread: measured
            .fleet
            .workers
            .iter()
            .map(|worker| ClientThread {
                cpu_pct: 100.0 * ratio(worker.usage.cpu_ns as f64, worker.usage.wall_ns as f64),
                max_loop_stall_ns: worker.usage.stall_max_ns,
                enters: worker.usage.enters,
                cqes: worker.usage.completions,
                involuntary_switches: worker.usage.involuntary_switches,
            })
            .collect(),
        selftest: measured.selftest.clone(),
    }
}

fn circumstances(
    plan: &Plan,
    measured: &Measured,
    report: &Report,
    mode: Mode,
    outcome: &Outcome,
) -> Circumstances {
    let usage = measured.fleet.usage.as_ref();
    let cpu_ns = usage.and_then(|usage| Some(usage.server_cpu?.total_ns() + usage.client_cpu?.total_ns()));
    let left: usize = measured.fleet.workers.iter().map(|worker| worker.connections_left).sum();
    let planned_s = match measured.window_end_ns {
        u64::MAX => outcome.elapsed_s,
        end_ns => seconds(end_ns.saturating_sub(measured.window_start_ns)).min(outcome.elapsed_s),
    };
    Circumstances {
        mode,
        window_s: planned_s,
        cpu_s: cpu_ns.map(seconds),
        // Without the server's own time nobody can tell it from that of others.
        others_cpu_s: usage
            .and_then(|usage| usage.machine_busy_ns.zip(cpu_ns))
            .map(|(busy_ns, own_ns)| seconds(busy_ns.saturating_sub(own_ns))),
        steal_pct: report.env.steal_pct,
        wall_s: usage.map_or(0.0, |usage| seconds(usage.wall_ns)),
        cores: report.env.cores_online.unwrap_or(1),
        miss_limit: plan.miss_limit,
        connections_lost: u64::from(measured.connections).saturating_sub(left as u64),
    }
}

fn warnings(plan: &Plan, measured: &Measured, tally: &Tally) -> Vec<String> {
    let mut warnings = Vec::new();
    if tally.misses > 0 && tally.hits == 0 {
        warnings.push(format!(
            "every GET missed ({}): the keys are not there; load them with --prefill or `loadgen load`, and see \
             --keys, --key-prefix, --key-size, --db",
            tally.misses
        ));
    } else if tally.misses > 0 {
        let share = 100.0 * ratio(tally.misses as f64, (tally.hits + tally.misses) as f64);
        warnings.push(format!("{share:.2} % of GETs missed ({}): --prefill loads all keys", tally.misses));
    }
    if measured.fleet.workers.iter().any(|worker| worker.interrupted) {
        warnings.push("the run was interrupted: the window is shorter than asked for".to_owned());
    }
    let lost = measured.fleet.intervals_omitted + tally.intervals_lost;
    if lost > 0 {
        warnings.push(format!("the series misses {lost} intervals; the histograms are whole"));
    }
    let starved: u64 = measured.fleet.workers.iter().map(|worker| worker.usage.starved_receives).sum();
    if starved > 0 {
        warnings.push(format!("receive buffers ran out {starved} times: replies were read late"));
    }
    if cfg!(debug_assertions) {
        warnings.push("a debug build measured: build with --release".to_owned());
    }
    if plan.target_is_default {
        warnings.push(format!("no address was given: the server at {} was measured", plan.target));
    }
    warnings
}

/// Reports are shared; passwords are not.
pub(crate) fn without_password(mut argv: Vec<String>) -> Vec<String> {
    for place in 0..argv.len() {
        if let Some((option @ "--pass", _)) = argv[place].split_once('=') {
            argv[place] = format!("{option}=***");
        } else if matches!(argv[place].as_str(), "-a" | "--pass") {
            if let Some(password) = argv.get_mut(place + 1) {
                "***".clone_into(password);
            }
        } else if argv[place].starts_with("-a") && !argv[place].starts_with("--") {
            "-a***".clone_into(&mut argv[place]);
        }
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_reach_the_report() {
        for line in ["run -a secret -P 2", "run --pass secret", "run --pass=secret", "run -asecret"] {
            let argv = line.split(' ').map(str::to_owned).collect();
            let shown = without_password(argv).join(" ");
            assert!(!shown.contains("secret") && shown.contains("***"), "{shown}");
        }
        let argv: Vec<String> = "run --arrival poisson".split(' ').map(str::to_owned).collect();
        assert_eq!(without_password(argv.clone()), argv);
    }
}
