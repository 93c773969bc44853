//! Whether the figures of a run can be trusted: every reason against them is named, none is hidden.

use crate::latency::format_ns;
use crate::number::ratio;
use crate::report::{Check, Client, Mode, Outcome, Reason, Validity};

/// What the judge looks at, besides the figures.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Who set the pace.
    pub mode: Mode,
    /// Length of the window that starts were offered in; 0 when all were due at one moment.
    pub window_s: f64,
    /// CPU of server and client over the window, in seconds.
    pub cpu_s: Option<f64>,
    /// CPU of all other processes over the window, in seconds.
    pub others_cpu_s: Option<f64>,
    /// Share of the machine's time that the hypervisor gave to others, in percent.
    pub steal_pct: Option<f64>,
    /// Wall time over which that CPU was used.
    pub wall_s: f64,
    /// Processors of the machine.
    pub cores: u64,
    /// Largest share of reads that may miss.
    pub miss_limit: Option<f64>,
    /// Connections that broke or were given up.
    pub connections_lost: u64,
}

/// Code of the reason that answers were wrong.
pub const WRONG_ANSWERS: &str = "wrong_answers";
/// Code of the reason that too many reads missed.
pub const MISS_LIMIT: &str = "miss_limit";

/// Judges a run.
#[must_use]
pub fn judge(outcome: &Outcome, client: &Client, circumstances: &Circumstances) -> Validity {
    let mut verdict = Verdict { reasons: Vec::new(), checks: Vec::new() };
    judge_answers(outcome, circumstances, &mut verdict);
    judge_rate(outcome, circumstances, &mut verdict);
    judge_slip(outcome, &mut verdict);
    judge_workers(client, circumstances.mode, &mut verdict);
    judge_generator(outcome, client, &mut verdict);
    judge_machine(circumstances, &mut verdict);
    let Verdict { reasons, checks } = verdict;
    Validity { ok: reasons.is_empty(), reasons, checks }
}

/// Reasons whose cause is that the generator or the machine was at its limit: the server could have done better than the
/// throughput and latency of such a run show, never worse. What the server spent per request stands all the same.
pub const REASONS_OF_CAPACITY: [&str; 7] = [
    "client_saturated",
    "client_stalled",
    "disturbed",
    "machine_saturated",
    "near_ceiling",
    "rate_missed",
    "slip",
];

/// What is found while judging.
struct Verdict {
    reasons: Vec<Reason>,
    checks: Vec<Check>,
}

/// Which side of its limit a figure must keep to.
#[derive(Clone, Copy, PartialEq)]
enum Bound {
    AtMost,
    AtLeast,
}

impl Verdict {
    /// Notes a figure; one that breaks its limit is a reason against the run.
    fn check(
        &mut self,
        code: &str,
        name: &str,
        value: Option<f64>,
        (bound, limit): (Bound, f64),
        text: impl FnOnce() -> String,
    ) {
        let ok =
            value.is_none_or(|value| if bound == Bound::AtMost { value <= limit } else { value >= limit });
        self.checks.push(Check { code: code.to_owned(), name: name.to_owned(), value, limit, ok });
        if !ok {
            self.reasons.push(Reason { code: code.to_owned(), text: text() });
        }
    }

    /// Notes a count that must be zero.
    fn check_none(&mut self, code: &str, name: &str, count: u64, text: impl FnOnce() -> String) {
        self.check(code, name, Some(count as f64), (Bound::AtMost, 0.0), text);
    }
}

fn judge_answers(outcome: &Outcome, circumstances: &Circumstances, verdict: &mut Verdict) {
    verdict.check("no_samples", "successes", Some(outcome.ops as f64), (Bound::AtLeast, 1.0), || {
        "no request of the measured window succeeded".to_owned()
    });
    verdict.check_none("errors", "errors", outcome.errors.total, || {
        let kinds: Vec<String> = outcome
            .errors
            .by_kind
            .iter()
            .map(|(kind, error)| format!("{kind} x{} ({:?})", error.count, error.example))
            .collect();
        format!("{} requests failed: {}", outcome.errors.total, kinds.join(", "))
    });
    judge_values(outcome, circumstances, verdict);
    let lost = circumstances.connections_lost;
    verdict
        .check_none("connections_lost", "connections_lost", lost, || format!("{lost} connections were lost"));
    verdict.check_none("unanswered", "requests_unanswered", outcome.dropped_ops, || {
        format!(
            "{} requests were due or sent in the window and never answered: the histograms miss the slowest",
            outcome.dropped_ops
        )
    });
}

/// What the replies held: values that were looked into, and reads that missed, when the user set a limit.
fn judge_values(outcome: &Outcome, circumstances: &Circumstances, verdict: &mut Verdict) {
    if let Some(verify) = &outcome.verify {
        verdict.check_none(WRONG_ANSWERS, "values_wrong", verify.bad, || {
            format!(
                "{} of {} values were not what had been written: {}",
                verify.bad,
                verify.checked,
                verify.example.as_deref().unwrap_or("no example")
            )
        });
    }
    if let Some(limit) = circumstances.miss_limit {
        let share = ratio(outcome.misses as f64, (outcome.hits + outcome.misses) as f64);
        verdict.check(MISS_LIMIT, "miss_share", Some(share), (Bound::AtMost, limit), || {
            format!("{:.2} % of reads missed, --miss-limit allows {:.2} %", 100.0 * share, 100.0 * limit)
        });
    }
}

fn judge_rate(outcome: &Outcome, circumstances: &Circumstances, verdict: &mut Verdict) {
    let (Mode::Open, Some(offered)) = (circumstances.mode, outcome.offered_ops) else { return };
    if circumstances.window_s <= 0.0 {
        return;
    }
    let offered_ops_s = ratio(offered as f64, circumstances.window_s);
    let share = ratio(outcome.ops_s, offered_ops_s);
    let limit = (Bound::AtLeast, RATE_SHARE_MIN);
    verdict.check("rate_missed", "answered_share", Some(share), limit, || {
        format!("{:.0} of {offered_ops_s:.0} requests per second were answered", outcome.ops_s)
    });
}

/// Late sending is part of the corrected latency; when it is a large part, the generator has measured itself.
fn judge_slip(outcome: &Outcome, verdict: &mut Verdict) {
    let Some(slip_ns) = outcome.all.slip.as_ref().and_then(|slip| slip.p99) else { return };
    let latency_ns = outcome.all.corrected.as_ref().and_then(|latency| latency.p99).unwrap_or(0);
    let share_ns = SLIP_SHARE_MAX * latency_ns as f64;
    let limit_ns = share_ns.max(SLIP_NS_NEGLIGIBLE as f64).min(SLIP_NS_MAX as f64);
    verdict.check("slip", "slip_p99_ns", Some(slip_ns as f64), (Bound::AtMost, limit_ns), || {
        format!(
            "one request in a hundred was sent {} or more after its time (latency p99: {}): {}",
            format_ns(Some(slip_ns)),
            format_ns(Some(latency_ns)),
            if outcome.was_held_back() {
                "all connections waited for the server (more --connections or --pipeline, or a lower --rate)"
            } else {
                "the generator was busy or did not get the processor"
            }
        )
    });
}

/// A full worker sets the figures of a closed loop. In an open one it works in larger turns as there is more to do, and
/// whether that costs anything shows: requests are sent late, and replies are looked at as late. So there it counts only
/// with late sending.
fn judge_workers(client: &Client, mode: Mode, verdict: &mut Verdict) {
    if mode == Mode::Open && verdict.checks.iter().all(|check| check.code != "slip" || check.ok) {
        return;
    }
    for (number, thread) in client.per_thread.iter().enumerate() {
        let name = format!("worker_{number}_cpu_pct");
        let limit = (Bound::AtMost, THREAD_CPU_PCT_MAX);
        verdict.check("client_saturated", &name, Some(thread.cpu_pct), limit, || {
            format!(
                "worker {number} used {:.0} % of its processor: the generator, not the server, may have set the \
                 figures (more --threads, other --cpus)",
                thread.cpu_pct
            )
        });
    }
}

fn judge_generator(outcome: &Outcome, client: &Client, verdict: &mut Verdict) {
    // A null server that was the limit says nothing about the generator.
    if let Some(own) = client.selftest.as_ref().filter(|own| own.is_own_ceiling()) {
        let share = ratio(outcome.ops_s, own.max_ops_s);
        let limit = (Bound::AtMost, CEILING_SHARE_MAX);
        verdict.check("near_ceiling", "own_ceiling_share", Some(share), limit, || {
            format!(
                "the generator itself makes {:.0} per second here against a server that does nothing: the figures may \
                 be its own",
                own.max_ops_s
            )
        });
    }
    // One long stall delays the replies of that moment only; it counts when it would be the tail that is reported.
    let tail_ns = outcome.all.service.p99_9.or(outcome.all.service.p99).unwrap_or(0);
    let limit_ns = (STALL_TAILS_MAX * tail_ns as f64).max(STALL_NS_MIN as f64);
    let stall_ns = client.per_thread.iter().map(|thread| thread.max_loop_stall_ns).max();
    let value = stall_ns.map(|stall_ns| stall_ns as f64);
    verdict.check("client_stalled", "loop_stall_max_ns", value, (Bound::AtMost, limit_ns), || {
        format!(
            "a worker did not look at its replies for {}: the longest latencies are the generator's",
            format_ns(stall_ns)
        )
    });
}

fn judge_machine(circumstances: &Circumstances, verdict: &mut Verdict) {
    let all_s = circumstances.cores as f64 * circumstances.wall_s;
    let share = |seconds: Option<f64>| seconds.filter(|_| all_s > 0.0).map(|seconds| seconds / all_s);
    let limit = (Bound::AtMost, MACHINE_SHARE_MAX);
    verdict.check("machine_saturated", "own_cpu_share", share(circumstances.cpu_s), limit, || {
        "server and generator together used all processors of the machine: they slowed each other".to_owned()
    });
    let others = share(circumstances.others_cpu_s);
    verdict.check("disturbed", "others_cpu_share", others, (Bound::AtMost, OTHERS_SHARE_MAX), || {
        format!("other processes used {:.0} % of the machine's processors", 100.0 * others.unwrap_or(0.0))
    });
    let steal = circumstances.steal_pct;
    verdict.check("disturbed", "steal_pct", steal, (Bound::AtMost, STEAL_PCT_MAX), || {
        format!("the hypervisor gave {:.1} % of the machine's time to others", steal.unwrap_or(0.0))
    });
}

/// Beyond this part of its own ceiling the generator may be what is measured.
const CEILING_SHARE_MAX: f64 = 0.9;
const RATE_SHARE_MIN: f64 = 0.99;
const SLIP_SHARE_MAX: f64 = 0.10;
const SLIP_NS_MAX: u64 = 1_000_000;
/// What a kernel timer and a wake-up cost anyway.
const SLIP_NS_NEGLIGIBLE: u64 = 100_000;
const THREAD_CPU_PCT_MAX: f64 = 90.0;
const MACHINE_SHARE_MAX: f64 = 0.95;
/// Softirqs and the kernel's own threads work for server and generator too: they are not disturbance.
const OTHERS_SHARE_MAX: f64 = 0.15;
const STEAL_PCT_MAX: f64 = 5.0;
const STALL_NS_MIN: u64 = 20_000_000;
const STALL_TAILS_MAX: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_counts::ErrorCount;
    use crate::latency::LatencyHistogram;
    use crate::report::{AllOutcome, ClientThread, Errors};
    use std::collections::BTreeMap;

    fn good() -> (Outcome, Client, Circumstances) {
        let mut service = LatencyHistogram::default();
        (0..2000).for_each(|_| service.record(200_000));
        let mut slip = LatencyHistogram::default();
        (0..2000).for_each(|_| slip.record(5_000));
        let outcome = Outcome {
            elapsed_s: 1.0,
            ops: 2000,
            ops_s: 2000.0,
            bytes_tx: 0,
            bytes_rx: 0,
            errors: Errors::default(),
            hits: 0,
            misses: 0,
            offered_ops: Some(2000),
            late_ops: Some(0),
            waited_ops: Some(0),
            held_back_ops: Some(0),
            dropped_ops: 0,
            ops_by_type: BTreeMap::new(),
            all: AllOutcome {
                corrected: Some(service.summary()),
                service: service.summary(),
                slip: Some(slip.summary()),
            },
            verify: None,
        };
        let client = Client {
            per_thread: vec![ClientThread { cpu_pct: 50.0, ..ClientThread::default() }],
            ..Client::default()
        };
        let circumstances = Circumstances {
            mode: Mode::Open,
            window_s: 1.0,
            cpu_s: Some(0.5),
            others_cpu_s: Some(0.1),
            steal_pct: Some(0.0),
            wall_s: 1.0,
            cores: 2,
            miss_limit: None,
            connections_lost: 0,
        };
        (outcome, client, circumstances)
    }

    fn codes(change: impl FnOnce(&mut Outcome, &mut Client, &mut Circumstances)) -> Vec<String> {
        let (mut outcome, mut client, mut circumstances) = good();
        change(&mut outcome, &mut client, &mut circumstances);
        let validity = judge(&outcome, &client, &circumstances);
        assert_eq!(validity.ok, validity.reasons.is_empty());
        assert_eq!(validity.ok, validity.checks.iter().all(|check| check.ok));
        validity.reasons.into_iter().map(|reason| reason.code).collect()
    }

    #[test]
    fn a_good_run_has_nothing_against_it() {
        assert!(codes(|_, _, _| {}).is_empty());
    }

    #[test]
    fn every_reason_is_found() {
        assert_eq!(codes(|outcome, _, _| outcome.ops = 0), ["no_samples"]);
        let error = ErrorCount { count: 3, example: "OOM no".to_owned() };
        assert_eq!(
            codes(|outcome, _, _| {
                outcome.errors = Errors { total: 3, by_kind: BTreeMap::from([("OOM".to_owned(), error)]) };
            }),
            ["errors"]
        );
        assert_eq!(
            codes(|outcome, _, circumstances| {
                (outcome.hits, outcome.misses) = (98, 2);
                circumstances.miss_limit = Some(0.01);
            }),
            [MISS_LIMIT]
        );
        let verify = crate::run_details::VerifyOutcome { checked: 9, bad: 1, example: None };
        assert_eq!(codes(|outcome, _, _| outcome.verify = Some(verify)), [WRONG_ANSWERS]);
        assert_eq!(codes(|_, _, circumstances| circumstances.connections_lost = 1), ["connections_lost"]);
        assert_eq!(codes(|outcome, _, _| outcome.dropped_ops = 1), ["unanswered"]);
        assert_eq!(codes(|outcome, _, _| outcome.ops_s = 1979.0), ["rate_missed"]);
        let saturated = |mode, slip_ns: u64| {
            codes(move |outcome, client, circumstances| {
                (client.per_thread[0].cpu_pct, circumstances.mode) = (95.0, mode);
                let mut slip = LatencyHistogram::default();
                (0..2000).for_each(|_| slip.record(slip_ns));
                outcome.all.slip = (mode == Mode::Open).then(|| slip.summary());
            })
        };
        assert_eq!(saturated(Mode::Closed, 0), ["client_saturated"]);
        // In an open loop a full worker matters when it sends late.
        assert!(saturated(Mode::Open, 1000).is_empty());
        assert_eq!(saturated(Mode::Open, 2_000_000), ["slip", "client_saturated"]);
        let own = crate::selftest::SelftestFigures {
            connections: 1,
            pipeline: 1,
            threads: 1,
            generator_cpus: vec![1],
            server_cpus: vec![0],
            max_ops_s: 2100.0,
            worker_cpu_pct: Some(99.0),
            cpu_us_per_op: None,
            floor_p50_ns: None,
            floor_p99_ns: None,
            timing_rate_ops_s: 1.0,
            timing_error_p50_ns: None,
            timing_error_p99_ns: None,
            timing_error_max_ns: None,
            clock_read_ns: 20.0,
        };
        let null_server_was_the_limit =
            crate::selftest::SelftestFigures { worker_cpu_pct: Some(60.0), ..own.clone() };
        assert!(codes(|_, client, _| client.selftest = Some(null_server_was_the_limit)).is_empty());
        assert_eq!(codes(|_, client, _| client.selftest = Some(own)), ["near_ceiling"]);
        assert_eq!(codes(|_, _, circumstances| circumstances.cpu_s = Some(1.95)), ["machine_saturated"]);
        assert_eq!(codes(|_, _, circumstances| circumstances.others_cpu_s = Some(0.5)), ["disturbed"]);
        assert_eq!(codes(|_, _, circumstances| circumstances.steal_pct = Some(9.0)), ["disturbed"]);
        assert_eq!(
            codes(|_, client, _| client.per_thread[0].max_loop_stall_ns = 30_000_000),
            ["client_stalled"]
        );
    }

    #[test]
    fn slip_counts_when_it_is_long_or_a_large_part_of_the_latency() {
        let slipped = |slip_ns: u64| {
            codes(move |outcome, _, _| {
                let mut slip = LatencyHistogram::default();
                (0..2000).for_each(|_| slip.record(slip_ns));
                outcome.all.slip = Some(slip.summary());
            })
        };
        assert!(slipped(19_000).is_empty());
        assert!(slipped(90_000).is_empty());
        assert_eq!(slipped(150_000), ["slip"]);
        assert_eq!(slipped(2_000_000), ["slip"]);
    }

    #[test]
    fn a_closed_loop_misses_no_rate_and_neither_does_one_moment() {
        assert!(codes(|_, _, circumstances| circumstances.window_s = 0.0).is_empty());
        assert!(
            codes(|outcome, _, circumstances| {
                circumstances.mode = Mode::Closed;
                outcome.offered_ops = None;
                outcome.ops_s = 1.0;
            })
            .is_empty()
        );
    }
}
