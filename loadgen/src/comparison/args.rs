//! Options of `loadgen compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::comparable::ASPECTS;
use super::groups::GroupBy;
use super::judge::{Pairing, Rules};
use super::metric::Metric;
use super::result::Floors;

/// Examples for `--help`.
pub const COMPARE_EXAMPLES: &str = "\
Examples:
  loadgen compare old/ new/                                two folders of reports
  loadgen compare old-*.json vs new-*.json                 two lists of files
  loadgen compare --group old=a1.json,a2.json --group new=b1.json,b2.json
  loadgen compare runs/*.json --group-by tag:commit        groups by a mark of the runs
  loadgen compare old.json new.json --metric p99 --threshold p99=15%
  loadgen compare old-matrix.json new-matrix.json --noise noise.json --format markdown

Exit status: 0 nothing is slower, 3 something is slower, 4 not comparable, too few runs or inconclusive.
";

/// Options of `compare`.
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// Reports, matrices or folders of them: two, or two lists with `vs` between them, or many with --group-by
    #[arg(value_name = "FILE")]
    pub files: Vec<String>,
    /// A named group; twice, the baseline first
    #[arg(long = "group", value_name = "NAME=FILE,FILE", value_parser = parse_group)]
    pub groups: Vec<(String, Vec<PathBuf>)>,
    /// How files become groups when nothing separates them: label, server or tag:KEY
    #[arg(long, value_name = "WHAT", default_value = "label")]
    pub group_by: GroupBy,
    /// How strict.
    #[command(flatten)]
    pub rules: RulesArgs,
    /// What makes the exit status other than 0
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = FailOn::Inconclusive)]
    pub fail_on: FailOn,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    pub format: CompareFormat,
    /// Write the output to this file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// How strict a comparison is.
#[derive(Clone, Debug, Args)]
pub struct RulesArgs {
    /// Figures to judge: ops_s, p50, p99, p99_9, server_cpu, client_cpu, rss; the first is the main one, which spends
    /// half of --alpha [default: ops_s,p50,p99,server_cpu; main: ops_s, in open loops p99]
    #[arg(long = "metric", value_name = "LIST", value_delimiter = ',')]
    pub metrics: Vec<Metric>,
    /// Change that matters: 5% for all figures, or p99=15%,ops_s=3% [default: 5%, latencies 10%, p99_9 20%]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_threshold)]
    pub threshold: Vec<(Option<Metric>, f64)>,
    /// Chance of any false alarm in one comparison
    #[arg(long, value_name = "P", default_value = "0.05", value_parser = parse_alpha)]
    pub alpha: f64,
    /// Noise floor of this machine, from `loadgen noise`: no smaller difference is called one
    #[arg(long, value_name = "FILE")]
    pub noise: Option<PathBuf>,
    /// Aspects that may differ: workload, database, pipeline, connections, pace, transport, machine, durability,
    /// generator
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_aspect)]
    pub ignore: Vec<String>,
    /// Compare run by run, in the order given
    #[arg(long, conflicts_with = "unpaired")]
    pub paired: bool,
    /// Never compare run by run
    #[arg(long)]
    pub unpaired: bool,
    /// Judge the figures of invalid runs too
    #[arg(long)]
    pub allow_invalid: bool,
}

/// What makes the exit status other than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Only what is slower (3), and refusals (4)
    Regression,
    /// Also what could not be judged (4)
    Inconclusive,
    /// Nothing
    Never,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// For the terminal
    Text,
    /// Tables for a pull request
    #[value(alias = "md")]
    Markdown,
    /// One page that needs nothing else
    Html,
    /// For programs
    Json,
}

impl RulesArgs {
    /// The rules, with these noise floors.
    #[must_use]
    pub fn rules(&self, floors: Floors) -> Rules {
        let metrics_named = !self.metrics.is_empty();
        let mut metrics = if metrics_named { self.metrics.clone() } else { Metric::DEFAULT.to_vec() };
        metrics.sort();
        metrics.dedup();
        let primary = self.metrics.first().copied();
        let mut rules =
            Rules { alpha: self.alpha, metrics, metrics_named, primary, floors, ..Rules::default() };
        for &(metric, share) in &self.threshold {
            let which = metric.map_or_else(|| Metric::ALL.to_vec(), |metric| vec![metric]);
            rules.thresholds.extend(which.into_iter().map(|metric| (metric, share)));
        }
        rules.ignored.clone_from(&self.ignore);
        rules.allow_invalid = self.allow_invalid;
        rules.pairing = match (self.paired, self.unpaired) {
            (true, _) => Pairing::Paired,
            (_, true) => Pairing::Unpaired,
            _ => Pairing::Auto,
        };
        rules
    }
}

fn parse_group(text: &str) -> Result<(String, Vec<PathBuf>), String> {
    let (name, files) = text.split_once('=').ok_or("expected NAME=FILE,FILE")?;
    if name.is_empty() || files.is_empty() {
        return Err("expected NAME=FILE,FILE".to_owned());
    }
    Ok((name.to_owned(), files.split(',').map(PathBuf::from).collect()))
}

fn parse_threshold(text: &str) -> Result<(Option<Metric>, f64), String> {
    let (metric, share) = match text.split_once('=') {
        Some((metric, share)) => (Some(metric.parse()?), share),
        None => (None, text),
    };
    let usage = || "expected a share like 5% or p99=10%".to_owned();
    let number: f64 = share.strip_suffix('%').ok_or_else(usage)?.trim().parse().map_err(|_| usage())?;
    if !(0.0..1000.0).contains(&number) {
        return Err(usage());
    }
    Ok((metric, number / 100.0))
}

fn parse_alpha(text: &str) -> Result<f64, String> {
    let alpha: f64 = text.parse().map_err(|_| "expected a probability like 0.05".to_owned())?;
    if alpha > 0.0 && alpha < 0.5 { Ok(alpha) } else { Err("goes from above 0 to below 0.5".to_owned()) }
}

fn parse_aspect(text: &str) -> Result<String, String> {
    if ASPECTS.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("no such aspect; there are {}", ASPECTS.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_for_all_figures_or_for_one() {
        assert_eq!(parse_threshold("5%"), Ok((None, 0.05)));
        assert_eq!(parse_threshold("p99=12.5%"), Ok((Some(Metric::P99), 0.125)));
        for wrong in ["5", "p98=5%", "-1%", "x%", "%"] {
            assert!(parse_threshold(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn groups_and_aspects_are_read() {
        assert_eq!(parse_group("a=x,y"), Ok(("a".to_owned(), vec!["x".into(), "y".into()])));
        assert!(parse_group("x,y").is_err() && parse_group("a=").is_err());
        assert!(parse_aspect("machine").is_ok());
        assert!(parse_aspect("weather").unwrap_err().contains("durability"));
        assert!(parse_alpha("0").is_err() && parse_alpha("0.01").is_ok());
    }
}
