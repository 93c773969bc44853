//! Options of `loadgen matrix`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::spec::{MatrixSpec, ScenarioSpec, ServerSpec, Words};
use crate::cli::Live;
use crate::cli_values::parse_duration;
use crate::comparison::args::RulesArgs;
use crate::comparison::metric::Metric;

/// Examples for `--help`.
pub const MATRIX_EXAMPLES: &str = "\
Examples:
  loadgen matrix run servers.toml -o results/servers.json
  loadgen matrix run --server redis-memory --server ouro-memory=./target/release/ourod \\
      --scenario 'get=--ratio 0:1' --scenario 'set=--ratio 1:0 -P 16' --run '-c 50 -d 5s' \\
      --server-cpus 0 --client-cpus 1 -o matrix.json
  loadgen matrix run --server redis-memory --twice --scenario 'get=--ratio 0:1' --repeats 20 -o aa.json
  loadgen matrix run servers.toml -o results/servers.json --into README.md
  loadgen matrix table results/servers.json --metric server_cpu,p99

Presets: redis, valkey or ouro, with -memory, -everysec or -always. Started again with the same -o, a matrix goes on
where it was stopped. Exit status of run: 0, also when servers differ; 4 when it is not complete.
";

/// Options of `matrix`.
#[derive(Clone, Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct MatrixArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: MatrixCommand,
}

/// Subcommands of `matrix`.
#[derive(Clone, Debug, Subcommand)]
pub enum MatrixCommand {
    /// Measure: start each server in turn, load it, stop it
    Run(Box<MatrixRunArgs>),
    /// Print the tables of a report
    Table(MatrixTableArgs),
}

/// Options of `matrix run`.
#[derive(Clone, Debug, Args)]
pub struct MatrixRunArgs {
    /// Servers and scenarios, in TOML
    #[arg(value_name = "SPEC")]
    pub spec: Option<PathBuf>,
    /// A server by preset; =PROGRAM names its program
    #[arg(long = "server", value_name = "PRESET[=PROGRAM]", value_parser = parse_server)]
    pub servers: Vec<ServerSpec>,
    /// A load by name, with options of `loadgen run`
    #[arg(long = "scenario", value_name = "NAME=OPTIONS", value_parser = parse_scenario)]
    pub scenarios: Vec<ScenarioSpec>,
    /// Take each server twice: what differs between the two is noise
    #[arg(long)]
    pub twice: bool,
    /// Program of a server of the file
    #[arg(long = "program", value_name = "SERVER=PROGRAM", value_parser = parse_program)]
    pub programs: Vec<(String, PathBuf)>,
    /// Runs of each server under each scenario [default: 12]
    #[arg(long, value_name = "N")]
    pub repeats: Option<u32>,
    /// Options of `loadgen run` in every scenario
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub run: Option<String>,
    /// Processors of the servers
    #[arg(long, value_name = "LIST")]
    pub server_cpus: Option<String>,
    /// Processors of the generator
    #[arg(long, value_name = "LIST")]
    pub client_cpus: Option<String>,
    /// Folder for the servers' files, on the disk to measure [default: the system's temporary folder]
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
    /// The report; reports of single runs are kept in FILE.runs/
    #[arg(short = 'o', long, value_name = "FILE", default_value = "matrix.json")]
    pub out: PathBuf,
    /// When all runs are there, put the tables between the marks of this file, as `matrix table --into` does
    #[arg(long, value_name = "FILE")]
    pub into: Option<PathBuf>,
    /// Stop after this time and keep what was made
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub time_max: Option<Duration>,
    /// How strict.
    #[command(flatten)]
    pub rules: RulesArgs,
    /// Progress on the terminal
    #[arg(long, value_enum, default_value_t = Live::Auto)]
    pub live: Live,
}

/// Options of `matrix table`.
#[derive(Clone, Debug, Args)]
pub struct MatrixTableArgs {
    /// A report of `matrix run`
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Put the tables into this file, between the lines <!-- matrix --> and <!-- /matrix -->
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    pub into: Option<PathBuf>,
    /// Figures to show [default: those the matrix names, else all that were judged]
    #[arg(long = "metric", value_name = "LIST", value_delimiter = ',')]
    pub metrics: Vec<Metric>,
    /// Form of the tables
    #[arg(long, value_enum, default_value_t = TableFormat::Markdown)]
    pub format: TableFormat,
}

/// Form of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For a README
    #[value(alias = "md")]
    Markdown,
    /// For the terminal
    Text,
}

impl MatrixRunArgs {
    /// The matrix of the file, with what the flags change and add.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn spec(&self) -> Result<MatrixSpec, String> {
        let name = self.out.file_stem().unwrap_or_default().to_string_lossy();
        let mut spec = match &self.spec {
            Some(path) => MatrixSpec::read(path)?,
            None => MatrixSpec::empty(&name),
        };
        spec.servers.extend(self.servers.iter().cloned());
        spec.scenarios.extend(self.scenarios.iter().cloned());
        if let Some(repeats) = self.repeats {
            spec.repeats = repeats;
        }
        if let Some(run) = &self.run {
            let mut words = spec.run.list();
            words.extend(Words::Text(run.clone()).list());
            spec.run = Words::List(words);
        }
        spec.server_cpus = self.server_cpus.clone().or(spec.server_cpus);
        spec.client_cpus = self.client_cpus.clone().or(spec.client_cpus);
        for (name, program) in &self.programs {
            let known = spec.servers.iter_mut().find(|server| server.name == *name);
            known.ok_or_else(|| format!("--program: there is no server {name}"))?.program =
                Some(program.clone());
        }
        if self.twice {
            let again = spec.servers.iter().map(|server| ServerSpec {
                name: format!("{}-again", server.name),
                baseline: Some(server.name.clone()),
                ..server.clone()
            });
            let again: Vec<ServerSpec> = again.collect();
            spec.servers.extend(again);
        }
        spec.check()?;
        Ok(spec)
    }
}

fn parse_server(text: &str) -> Result<ServerSpec, String> {
    let (preset, program) = match text.split_once('=') {
        Some((preset, program)) => (preset, Some(PathBuf::from(program))),
        None => (text, None),
    };
    Ok(ServerSpec {
        name: preset.to_owned(),
        preset: Some(preset.to_owned()),
        program,
        command: Words::default(),
        args: Words::default(),
        cpus: None,
        baseline: None,
    })
}

fn parse_scenario(text: &str) -> Result<ScenarioSpec, String> {
    let (name, run) = text.split_once('=').unwrap_or((text, ""));
    Ok(ScenarioSpec {
        name: name.trim().to_owned(),
        title: None,
        run: Words::Text(run.to_owned()),
        servers: Vec::new(),
        figures: Vec::new(),
        prefill: true,
    })
}

fn parse_program(text: &str) -> Result<(String, PathBuf), String> {
    let (name, program) = text.split_once('=').ok_or("expected SERVER=PROGRAM")?;
    Ok((name.to_owned(), PathBuf::from(program)))
}
