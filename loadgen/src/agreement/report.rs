//! What the two clients found, and how far they agree.

use serde::{Deserialize, Serialize};

use super::args::AgreementArgs;
use super::redis_benchmark::Figures;
use crate::clock::wall_clock_rfc3339;
use crate::comparison::judge::{ALPHA_DEFAULT, estimate};
use crate::environment::{Environment, MachineStart};
use crate::matrix::report::base_name;
use crate::report::{SCHEMA_VERSION, Tool};

/// A report of `loadgen agreement`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgreementReport {
    /// As in reports of runs.
    pub schema_version: String,
    /// `agreement`.
    pub kind: String,
    /// The program that measured.
    pub tool: Tool,
    /// Start of the first run, RFC 3339 in UTC.
    pub started_at: String,
    /// The command line.
    pub argv: Vec<String>,
    /// Where it ran.
    pub env: Environment,
    /// The load, in words.
    pub load: String,
    /// The runs, one of each client next to each other in time.
    pub pairs: Vec<Pair>,
    /// Each figure of loadgen by that of redis-benchmark.
    pub ratios: Vec<Ratio>,
}

/// One run of each client.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// What redis-benchmark found.
    pub redis_benchmark: Figures,
    /// What loadgen found.
    pub loadgen: Figures,
}

/// How far one figure agrees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// `ops_s`, `p50_ms` or `p99_ms`.
    pub figure: String,
    /// loadgen by redis-benchmark (Hodges-Lehmann over pairs).
    pub ratio: f64,
    /// Lower end of its interval of 95 %.
    pub ratio_low: Option<f64>,
    /// Upper end.
    pub ratio_high: Option<f64>,
    /// Probability of such a difference by chance (signed-rank test).
    pub p: f64,
}

/// Takes one figure out of those of a run.
type FigureOf = fn(&Figures) -> f64;

impl AgreementReport {
    /// A report without runs yet.
    #[must_use]
    pub fn begin(arguments: &AgreementArgs, argv: Vec<String>) -> (Self, MachineStart) {
        let report = Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            kind: "agreement".to_owned(),
            tool: Tool::this(),
            started_at: wall_clock_rfc3339(),
            argv: argv.iter().map(|word| base_name(word)).collect(),
            env: Environment::capture(),
            load: format!(
                "{} {}s of {} keys, {} connections, pipeline {}, closed loop",
                arguments.requests,
                if arguments.set { "SET" } else { "GET" },
                arguments.keys,
                arguments.connections,
                arguments.pipeline
            ),
            pairs: Vec::new(),
            ratios: Vec::new(),
        };
        (report, MachineStart::now())
    }

    /// Holds the clients against each other.
    pub fn conclude(&mut self) {
        let figures: [(&str, FigureOf); 3] = [
            ("ops_s", |figures| figures.ops_s),
            ("p50_ms", |figures| figures.p50_ms),
            ("p99_ms", |figures| figures.p99_ms),
        ];
        let places: Vec<(usize, usize)> = (0..self.pairs.len()).map(|place| (place, place)).collect();
        let ratio = |(name, of): &(&str, FigureOf)| {
            let theirs: Vec<f64> = self.pairs.iter().map(|pair| of(&pair.redis_benchmark)).collect();
            let ours: Vec<f64> = self.pairs.iter().map(|pair| of(&pair.loadgen)).collect();
            let found = estimate(&theirs, &ours, Some(&places), ALPHA_DEFAULT);
            Ratio {
                figure: (*name).to_owned(),
                ratio: found.shift.exp(),
                ratio_low: found.interval.map(|(low, _)| low.exp()),
                ratio_high: found.interval.map(|(_, high)| high.exp()),
                p: found.p,
            }
        };
        self.ratios = figures.iter().map(ratio).collect();
    }

    /// For the terminal.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("{}: loadgen by redis-benchmark over {} pairs\n", self.load, self.pairs.len());
        for pair in &self.pairs {
            let of = |figures: &Figures| {
                format!(
                    "{:>10.0}/s  p50 {:.3} ms  p99 {:.3} ms",
                    figures.ops_s, figures.p50_ms, figures.p99_ms
                )
            };
            text.push_str(&format!("  {}   {}\n", of(&pair.redis_benchmark), of(&pair.loadgen)));
        }
        for ratio in &self.ratios {
            let end = |end: Option<f64>| end.map_or_else(|| "-".to_owned(), |end| format!("{end:.3}"));
            text.push_str(&format!(
                "{:<8} ratio {:.3}, 95 % interval {} to {}, p {:.3}\n",
                ratio.figure,
                ratio.ratio,
                end(ratio.ratio_low),
                end(ratio.ratio_high),
                ratio.p
            ));
        }
        text
    }
}
