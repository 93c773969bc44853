//! Options of `replay`, and the file they name.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use super::{LoadShape, TargetArgs};
use crate::cli_values::parse_duration;

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The recorded load
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the server is.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How hard.
    #[command(flatten)]
    pub load: LoadShape,
    /// What the file is [default: csv when its name ends so, else monitor]
    #[arg(help_heading = "Replay", long, value_enum)]
    pub format: Option<TraceFormat>,
    /// Names of the columns of a CSV without a first line that names them
    #[arg(help_heading = "Replay", long, value_name = "NAMES")]
    pub columns: Option<String>,
    /// Times as fast as recorded: 1, 0.5, 10; max = as fast as replies come
    #[arg(help_heading = "Replay", long, value_name = "FACTOR", default_value = "1", value_parser = parse_speed)]
    pub speed: Speed,
    /// Requests in flight on one connection
    #[arg(help_heading = "Load", short = 'P', long, value_name = "N", default_value_t = 16)]
    pub pipeline: u32,
    /// How long to wait for outstanding replies at the end
    #[arg(help_heading = "Load", long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub drain: Duration,
    /// Write the report to this file
    #[arg(help_heading = "Report", short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// A name for the run, kept in the report
    #[arg(help_heading = "Report", long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Print help
    #[arg(help_heading = "Options", long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Formats of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceFormat {
    /// What MONITOR prints
    Monitor,
    /// Columns with names
    Csv,
}

/// A factor, or as fast as replies come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as replies come.
    Max,
    /// So many times as fast as recorded.
    Times(f64),
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    match text.trim_end_matches('x').parse::<f64>() {
        _ if text == "max" => Ok(Speed::Max),
        Ok(factor) if (1e-3..=1e6).contains(&factor) => Ok(Speed::Times(factor)),
        _ => Err("expected a factor from 0.001 to 1000000, or max".to_owned()),
    }
}

impl ReplayArgs {
    /// Reads the file.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn read(&self) -> Result<crate::trace::Trace, String> {
        let shown = self.file.display();
        let file =
            std::fs::File::open(&self.file).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let input = std::io::BufReader::with_capacity(1 << 20, file);
        let is_csv = self.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let default = if is_csv { TraceFormat::Csv } else { TraceFormat::Monitor };
        match self.format.unwrap_or(default) {
            TraceFormat::Csv => crate::trace_file::read_csv(input, self.columns.as_deref()),
            TraceFormat::Monitor => crate::trace_file::read_monitor(input),
        }
        .map_err(|error| format!("{shown}: {error}"))
    }
}
