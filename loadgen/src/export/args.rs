//! Options of `loadgen show`, `loadgen export`, `loadgen noise` and `loadgen schema`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Examples for `--help`.
pub const EXPORT_EXAMPLES: &str = "\
Examples:
  loadgen export html run.json -o run.html               one page with plots, opens offline
  loadgen export html a.json b.json c.json -o curve.html several runs: throughput against latency
  loadgen export hlog run.json -o run.hlog               for HistogramLogAnalyzer
  loadgen export prometheus run.json -o run.prom         for the textfile collector
";

/// Options of `export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// Form
    #[arg(value_enum, value_name = "FORM")]
    pub format: ExportFormat,
    /// Reports; several only for html
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Write to this file instead of standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One page that needs nothing else
    Html,
    /// HdrHistogram log
    Hlog,
    /// Percentiles of every histogram
    Csv,
    /// The run second by second
    CsvSeries,
    /// JSON in the shape of memtier_benchmark's
    Memtier,
    /// Text for Prometheus
    Prometheus,
    /// Tables of a comparison or a matrix
    #[value(alias = "md")]
    Markdown,
}

/// Options of `noise`.
#[derive(Clone, Debug, Args)]
pub struct NoiseArgs {
    /// Reports of runs that are all alike, or a matrix made with --twice
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Runs on each side of the comparisons that the floor is for [default: 12, or half of the runs]
    #[arg(long, value_name = "N")]
    pub group_size: Option<usize>,
    /// Write the report to this file, for `compare --noise`
    #[arg(short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
