//! A run as it will be made: options put together and checked, so that everything after this can rely on it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::{Live, LoadArgs, LoadShape, ReplayArgs, RunArgs, Speed, TargetArgs};
use crate::limits::{CONNECTIONS_MAX, OUTSTANDING_BYTES_MAX, OUTSTANDING_MAX, PIPELINE_MAX, THREADS_MAX};
use crate::operations::Verb;
use crate::plan_measurement::measurement;
pub use crate::plan_measurement::{Measurement, Pace, Stop};
pub use crate::plan_workload::Workload;
use crate::report::{Config, Mode, TargetConfig};
use crate::target::{PORT_DEFAULT, Target};
use crate::tls::{TlsClient, TlsOptions};
use crate::trace::Trace;

/// How a connection introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// User name; without one the password is that of the default user.
    pub user: Option<String>,
    /// Password.
    pub pass: Option<String>,
    /// Whether to speak RESP3.
    pub resp3: bool,
    /// Database number.
    pub db: u32,
}

/// A checked run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub target: Target,
    /// Whether the target was found, not given.
    pub target_is_default: bool,
    /// Introduction of each connection.
    pub session: Session,
    /// What is sent.
    pub workload: Workload,
    /// Connections over all threads; at least one per thread.
    pub connections: u32,
    /// Worker threads.
    pub threads: u32,
    /// Processors, empty when the kernel chooses.
    pub cpus: Vec<usize>,
    /// How progress is shown.
    pub live: Live,
    /// Whether to write all keys first.
    pub prefill: bool,
    /// What is measured; nothing when only keys are loaded.
    pub measurement: Option<Measurement>,
    /// The recorded requests, when they are not drawn.
    pub trace: Option<Arc<Trace>>,
    /// Whether the generator tests itself first.
    pub selftest: bool,
    /// Largest share of reads that may miss.
    pub miss_limit: Option<f64>,
    /// Whether a run that is not valid is a failure.
    pub strict: bool,
    /// Process of the server, when given.
    pub server_pid: Option<u32>,
    /// File of the report.
    pub out: Option<PathBuf>,
    /// The user's name for the run.
    pub label: Option<String>,
    /// The user's marks.
    pub tags: BTreeMap<String, String>,
}

impl Plan {
    /// The plan of `loadgen run`.
    ///
    /// # Errors
    /// A sentence for the user, naming the option to change.
    pub fn for_run(arguments: RunArgs) -> Result<Self, String> {
        let measurement = measurement(&arguments)?;
        let workload = Workload::for_run(&arguments)?;
        let mut plan = Self::common(&arguments.target, workload, arguments.load)?;
        let outstanding = u64::from(plan.connections) * u64::from(measurement.pipeline);
        check(
            outstanding <= OUTSTANDING_MAX
                && outstanding * (plan.request_bytes_estimate()) <= OUTSTANDING_BYTES_MAX,
            || {
                format!(
                    "{} connections with {} requests in flight each, of {} bytes, are too much memory: lower \
                     --connections, --pipeline or --value-size",
                    plan.connections,
                    measurement.pipeline,
                    plan.workload.values.sizes.max()
                )
            },
        )?;
        plan.prefill = arguments.prefill;
        plan.measurement = Some(measurement);
        plan.selftest = arguments.selftest;
        plan.miss_limit = arguments.miss_limit;
        plan.strict = arguments.strict;
        plan.server_pid = arguments.server_pid;
        plan.out = arguments.out;
        plan.label = arguments.label;
        plan.tags = arguments.tags.into_iter().collect();
        Ok(plan)
    }

    /// The plan of `loadgen load`.
    ///
    /// # Errors
    /// A sentence for the user, naming the option to change.
    pub fn for_load(arguments: LoadArgs) -> Result<Self, String> {
        let LoadArgs { target, workload, load, out, .. } = arguments;
        let mut plan = Self::common(&target, Workload::for_load(&workload)?, load)?;
        plan.prefill = true;
        plan.out = out;
        Ok(plan)
    }

    /// The plan of `loadgen replay`.
    ///
    /// # Errors
    /// A sentence for the user, naming the option to change.
    pub fn for_replay(arguments: &ReplayArgs, trace: Trace) -> Result<Self, String> {
        check(!trace.is_empty(), || {
            format!("{} holds no request that can be replayed", arguments.file.display())
        })?;
        check((1..=PIPELINE_MAX).contains(&arguments.pipeline), || {
            format!("--pipeline goes from 1 to {PIPELINE_MAX}")
        })?;
        let pace = match arguments.speed {
            Speed::Max => Pace::Closed,
            Speed::Times(speed) => Pace::Recorded { speed },
        };
        let mut plan = Self::common(&arguments.target, Workload::replayed(&trace)?, arguments.load.clone())?;
        let outstanding = u64::from(plan.connections) * u64::from(arguments.pipeline);
        check(outstanding * trace.request_bytes_max() as u64 <= OUTSTANDING_BYTES_MAX, || {
            "long requests, many --connections and a deep --pipeline are too much memory: lower one"
                .to_owned()
        })?;
        plan.measurement = Some(Measurement {
            pipeline: arguments.pipeline,
            pace,
            warmup: Duration::ZERO,
            stop: Stop::Requests(trace.len() as u64),
            drain: arguments.drain,
            spin: false,
        });
        plan.trace = Some(Arc::new(trace));
        plan.out.clone_from(&arguments.out);
        plan.label.clone_from(&arguments.label);
        Ok(plan)
    }

    /// The plan of `loadgen selftest`: of no server but its own.
    ///
    /// # Errors
    /// A sentence for the user, naming the option to change.
    pub fn for_selftest(load: LoadShape) -> Result<Self, String> {
        let nowhere = TargetArgs {
            socket: Some(PathBuf::from("/")),
            host: None,
            port: None,
            tls: false,
            cacert: None,
            cert: None,
            key: None,
            sni: None,
            insecure: false,
            pass: None,
            user: None,
            resp3: false,
            db: 0,
        };
        Self::common(&nowhere, Workload::plain(), load)
    }

    /// The same with a closed loop of this depth.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn with_pipeline(&self, pipeline: u32) -> Result<Self, String> {
        check((1..=PIPELINE_MAX).contains(&pipeline), || {
            format!("--pipeline goes from 1 to {PIPELINE_MAX}")
        })?;
        let stop = Stop::After(Duration::from_secs(1));
        let measurement = Measurement {
            pipeline,
            pace: Pace::Closed,
            warmup: Duration::ZERO,
            stop,
            drain: Duration::from_secs(1),
            spin: false,
        };
        Ok(Self { measurement: Some(measurement), ..self.clone() })
    }

    fn common(target: &TargetArgs, workload: Workload, load: LoadShape) -> Result<Self, String> {
        let (address, target_is_default) = resolve(target)?;
        let connections = load.connections;
        check((1..=CONNECTIONS_MAX).contains(&connections), || {
            format!("--connections goes from 1 to {CONNECTIONS_MAX}")
        })?;
        let threads = load.threads.unwrap_or_else(default_threads);
        check((1..=THREADS_MAX).contains(&threads), || format!("--threads goes from 1 to {THREADS_MAX}"))?;
        check(load.threads.is_none() || threads <= connections, || {
            format!(
                "--threads {threads} but --connections {connections}: each thread needs a connection of its own"
            )
        })?;
        Ok(Self {
            target: address,
            target_is_default,
            session: session(target)?,
            workload,
            connections,
            threads: threads.min(connections),
            cpus: load.cpus.map(|list| list.0).unwrap_or_default(),
            live: load.live,
            prefill: false,
            measurement: None,
            trace: None,
            selftest: false,
            miss_limit: None,
            strict: false,
            server_pid: None,
            out: None,
            label: None,
            tags: BTreeMap::new(),
        })
    }

    /// Connections of one worker: the first ones take the rest of an uneven division.
    #[must_use]
    pub const fn connections_of(&self, worker: u32) -> u32 {
        let extra = if worker < self.connections % self.threads { 1 } else { 0 };
        self.connections / self.threads + extra
    }

    /// The plan as reports hold it.
    #[must_use]
    pub fn config(&self) -> Config {
        let measurement = self.measurement.as_ref();
        let mut workload_config = self.workload.config();
        let (mode, rate_target_ops_s, arrival) = match measurement.map(|measurement| &measurement.pace) {
            None | Some(Pace::Closed) => (Mode::Closed, None, None),
            Some(Pace::Open { curve, arrival }) => {
                if let (None, Some(details)) = (curve.single(), &mut workload_config.details) {
                    details.rate_curve = Some(curve.to_string());
                }
                (Mode::Open, Some(curve.peak()), Some(*arrival))
            }
            Some(Pace::Recorded { speed }) => {
                if let Some(details) = &mut workload_config.details {
                    details.rate_curve = Some(format!("recorded times at {speed} times their speed"));
                }
                (Mode::Open, None, None)
            }
        };
        let (duration_s, requests) = match measurement.map(|measurement| measurement.stop) {
            None => (None, None),
            Some(Stop::After(duration)) => (Some(duration.as_secs_f64()), None),
            Some(Stop::Requests(count)) => (None, Some(count)),
        };
        let workload = &self.workload;
        Config {
            target: TargetConfig {
                transport: self.target.transport().to_owned(),
                addr: self.target.to_string(),
                tls: self.target.is_tls(),
                resp: if self.session.resp3 { 3 } else { 2 },
                db: self.session.db,
            },
            connections_total: self.connections,
            threads: self.threads,
            pipeline: measurement.map_or(crate::limits::PREFILL_PIPELINE, |measurement| measurement.pipeline),
            mode,
            rate_target_ops_s,
            arrival,
            spin: measurement.is_some_and(|measurement| measurement.spin),
            warmup_s: measurement.map_or(0.0, |measurement| measurement.warmup.as_secs_f64()),
            duration_s,
            requests,
            seed: workload.seed,
            cpus: self.cpus.clone(),
            workload: workload_config,
        }
    }

    /// Inserts that YCSB would expect of this run: it widens its scrambled key range by them.
    #[must_use]
    pub fn inserts_expected(&self) -> u64 {
        match self.measurement.as_ref().map(|measurement| measurement.stop) {
            Some(Stop::Requests(count)) => {
                crate::number::floor_u64(count as f64 * self.workload.operations.share(Verb::Insert))
            }
            _ => 0,
        }
    }

    fn request_bytes_estimate(&self) -> u64 {
        self.workload.request_bytes_estimate() as u64
    }
}

/// The password of redis-cli's variable is used here too, so that it need not show in the list of processes.
pub(crate) fn session(target: &TargetArgs) -> Result<Session, String> {
    let pass = target.pass.clone().or_else(|| std::env::var("REDISCLI_AUTH").ok());
    check(target.user.is_none() || pass.is_some(), || "--user needs --pass".to_owned())?;
    Ok(Session { user: target.user.clone(), pass, resp3: target.resp3, db: target.db })
}

pub(crate) fn resolve(arguments: &TargetArgs) -> Result<(Target, bool), String> {
    match (&arguments.socket, &arguments.host, arguments.port) {
        (Some(path), _, _) => Ok((Target::Unix(path.clone()), false)),
        (None, None, None) if !arguments.tls => Ok((Target::find_default(), true)),
        (None, host, port) => {
            let host = host.as_deref().unwrap_or("127.0.0.1");
            let target = Target::tcp(host, port.unwrap_or(PORT_DEFAULT))?;
            if !arguments.tls {
                return Ok((target, false));
            }
            let options = TlsOptions {
                cacert: arguments.cacert.as_deref(),
                identity: arguments.cert.as_deref().zip(arguments.key.as_deref()),
                insecure: arguments.insecure,
            };
            let client = TlsClient::new(arguments.sni.as_deref().unwrap_or(host), &options)?;
            Ok((target.encrypted(client), false))
        }
    }
}

fn default_threads() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from((processors / 2).clamp(1, 4)).expect("at most four")
}

pub(crate) fn check(holds: bool, sentence: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(sentence()) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    pub(crate) fn plan(line: &str) -> Result<Plan, String> {
        let cli = Cli::try_parse_from(format!("loadgen run -s /tmp/x {line}").split_whitespace()).unwrap();
        let Command::Run(arguments) = cli.command else { panic!("a run") };
        Plan::for_run(*arguments)
    }

    pub(crate) fn workload(line: &str) -> Workload {
        plan(line).unwrap().workload
    }

    #[test]
    fn defaults_make_a_plan() {
        let plan = plan("").unwrap();
        assert_eq!(plan.connections, 50);
        let measurement = plan.measurement.unwrap();
        assert_eq!(measurement.pace, Pace::Closed);
        assert_eq!(measurement.stop, Stop::After(Duration::from_secs(10)));
    }

    #[test]
    fn wrong_options_are_refused_by_name() {
        for (line, option) in [
            ("--keys 0", "--keys"),
            ("--key-size 0", "--key-size"),
            ("--key-size 5", "--key-size to 10"),
            ("--value-size 2g", "--value-size"),
            ("-c 0", "--connections"),
            ("-t 0", "--threads"),
            ("-t 3 -c 2", "each thread needs a connection"),
            ("-P 0", "--pipeline"),
            ("-n 0", "--requests"),
            ("-d 0s", "--duration"),
            ("--rate 1g", "--rate"),
            ("--arrival poisson", "--arrival needs --rate"),
            ("--spin", "--spin needs --rate"),
            ("--theta 0.5", "--theta"),
            ("--dist uniform --hot 0.1:0.9", "--hot"),
            ("--dist gaussian --stddev 0", "--stddev"),
            ("--verify --value-size 16", "--verify needs values"),
            ("--workload ycsb-a --key-size 30", "--key-size"),
            ("--command {key}", "name of a command"),
            ("--mix scan=1 --scan-keys 0", "--scan-keys"),
            ("--dist zipf --theta 11", "--theta"),
            ("-c 100000 -P 10000", "too much memory"),
            ("-c 1000 -P 100 --value-size 1M", "too much memory"),
        ] {
            let error = plan(line).unwrap_err();
            assert!(error.contains(option), "{line}: {error}");
        }
    }

    #[test]
    fn connections_are_shared_out_without_a_rest() {
        let plan = plan("-c 10 -t 3").unwrap();
        assert_eq!((0..3).map(|worker| plan.connections_of(worker)).collect::<Vec<_>>(), [4, 3, 3]);
    }

    #[test]
    fn the_report_names_mode_and_rate() {
        let config = plan("--rate 50k --arrival poisson -n 5").unwrap().config();
        assert_eq!(config.mode, Mode::Open);
        assert_eq!(config.rate_target_ops_s, Some(50_000.0));
        assert_eq!((config.duration_s, config.requests), (None, Some(5)));
        assert_eq!(plan("").unwrap().config().rate_target_ops_s, None);
    }
}
