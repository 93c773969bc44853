//! Whether the figures of a run can be trusted: every reason against them is named, none is hidden.

use crate::latency::format_ns;
use crate::number::ratio;
use crate::report::{Client, Mode, Outcome, Reason, Validity};

/// What the judge looks at, besides the figures.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Who set the pace.
    pub mode: Mode,
    /// Length of the window that starts were offered in.
    pub window_s: f64,
    /// CPU of server and client over the window, in seconds.
    pub cpu_s: Option<f64>,
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
    let mut reasons = Vec::new();
    let mut against = |code: &str, text: String| reasons.push(Reason { code: code.to_owned(), text });
    if outcome.ops == 0 {
        against("no_samples", "no request of the measured window succeeded".to_owned());
    }
    if outcome.errors.total > 0 {
        let kinds: Vec<String> = outcome
            .errors
            .by_kind
            .iter()
            .map(|(kind, error)| format!("{kind} x{} ({:?})", error.count, error.example))
            .collect();
        against("errors", format!("{} requests failed: {}", outcome.errors.total, kinds.join(", ")));
    }
    if let Some(verify) = outcome.verify.as_ref().filter(|verify| verify.bad > 0) {
        against(
            WRONG_ANSWERS,
            format!(
                "{} of {} values were not what had been written: {}",
                verify.bad,
                verify.checked,
                verify.example.as_deref().unwrap_or("no example")
            ),
        );
    }
    let miss_share = ratio(outcome.misses as f64, (outcome.hits + outcome.misses) as f64);
    if let Some(limit) = circumstances.miss_limit.filter(|limit| miss_share > *limit) {
        against(
            MISS_LIMIT,
            format!(
                "{:.2} % of reads missed, --miss-limit allows {:.2} %",
                100.0 * miss_share,
                100.0 * limit
            ),
        );
    }
    if circumstances.connections_lost > 0 {
        against("connections_lost", format!("{} connections were lost", circumstances.connections_lost));
    }
    if outcome.dropped_ops > 0 {
        against(
            "unanswered",
            format!(
                "{} requests were due or sent in the window and never answered: the histograms miss the slowest",
                outcome.dropped_ops
            ),
        );
    }
    if let (Mode::Open, Some(offered)) = (circumstances.mode, outcome.offered_ops) {
        let offered_ops_s = ratio(offered as f64, circumstances.window_s);
        if outcome.ops_s < RATE_SHARE_MIN * offered_ops_s {
            against(
                "rate_missed",
                format!("{:.0} of {offered_ops_s:.0} requests per second were answered", outcome.ops_s),
            );
        }
    }
    judge_slip(outcome, &mut against);
    for (number, thread) in client.per_thread.iter().enumerate() {
        if thread.cpu_pct > THREAD_CPU_PCT_MAX {
            against(
                "client_saturated",
                format!(
                    "worker {number} used {:.0} % of its processor: the generator, not the server, may have set the \
                     figures (more --threads, other --cpus)",
                    thread.cpu_pct
                ),
            );
        }
    }
    if let Some(own) =
        client.selftest.as_ref().filter(|own| outcome.ops_s > CEILING_SHARE_MAX * own.max_ops_s)
    {
        against(
            "near_ceiling",
            format!(
                "the generator itself makes {:.0} per second here against a server that does nothing: the figures may \
                 be its own",
                own.max_ops_s
            ),
        );
    }
    for (number, thread) in client.per_thread.iter().enumerate() {
        if thread.max_loop_stall_ns > STALL_NS_MAX {
            against(
                "client_stalled",
                format!(
                    "worker {number} once took {} from waking up to sending: latencies of that moment are its own",
                    format_ns(Some(thread.max_loop_stall_ns))
                ),
            );
        }
    }
    if let Some(cpu_s) = circumstances.cpu_s
        && cpu_s > MACHINE_SHARE_MAX * circumstances.cores as f64 * circumstances.wall_s
    {
        against(
            "machine_saturated",
            "server and generator together used all processors of the machine: they slowed each other"
                .to_owned(),
        );
    }
    Validity { ok: reasons.is_empty(), reasons }
}

/// Late sending is part of the corrected latency; when it is a large part, the generator has measured itself.
fn judge_slip(outcome: &Outcome, against: &mut impl FnMut(&str, String)) {
    let Some(slip_ns) = outcome.all.slip.as_ref().and_then(|slip| slip.p99) else { return };
    let latency_ns = outcome.all.corrected.as_ref().and_then(|latency| latency.p99).unwrap_or(0);
    let is_large_part = slip_ns as f64 > SLIP_SHARE_MAX * latency_ns as f64 && slip_ns > SLIP_NS_NEGLIGIBLE;
    if slip_ns > SLIP_NS_MAX || is_large_part {
        against(
            "slip",
            format!(
                "one request in a hundred was sent {} or more after its time (latency p99: {}): the generator or all \
                 of its connections were busy",
                format_ns(Some(slip_ns)),
                format_ns(Some(latency_ns))
            ),
        );
    }
}

/// Beyond this part of its own ceiling the generator may be what is measured.
const CEILING_SHARE_MAX: f64 = 0.9;
/// A turn this long is seen in any percentile that matters.
const STALL_NS_MAX: u64 = 50_000_000;
const RATE_SHARE_MIN: f64 = 0.99;
const SLIP_SHARE_MAX: f64 = 0.10;
const SLIP_NS_MAX: u64 = 1_000_000;
/// What a kernel timer and a wake-up cost anyway.
const SLIP_NS_NEGLIGIBLE: u64 = 100_000;
const THREAD_CPU_PCT_MAX: f64 = 90.0;
const MACHINE_SHARE_MAX: f64 = 0.95;

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
        assert_eq!(codes(|_, client, _| client.per_thread[0].cpu_pct = 95.0), ["client_saturated"]);
        assert_eq!(
            codes(|_, client, _| client.per_thread[0].max_loop_stall_ns = 60_000_000),
            ["client_stalled"]
        );
        let own = crate::selftest::SelftestFigures {
            connections: 1,
            pipeline: 1,
            threads: 1,
            max_ops_s: 2100.0,
            cpu_us_per_op: None,
            floor_p50_ns: None,
            floor_p99_ns: None,
            timing_rate_ops_s: 1.0,
            timing_error_p50_ns: None,
            timing_error_p99_ns: None,
            timing_error_max_ns: None,
            clock_read_ns: 20.0,
        };
        assert_eq!(codes(|_, client, _| client.selftest = Some(own)), ["near_ceiling"]);
        assert_eq!(codes(|_, _, circumstances| circumstances.cpu_s = Some(1.95)), ["machine_saturated"]);
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
    fn a_closed_loop_misses_no_rate() {
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
