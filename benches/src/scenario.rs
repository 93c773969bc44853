//! The scenarios: groups of measurements that share one life of a server, and the bars they are held against.
//!
//! A life is: start on a fresh directory, prefill, measure, end. Two sides take turns life by life (ABBA), so that a
//! drift of the machine meets both alike.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::load::{Figures, Load, LoadClient, Measured, Request, prefill};
use crate::process::resident_bytes;
use crate::progress::Progress;
use crate::report::{Bar, Direction, Measure, Run, Summary};
use crate::server::{Durability, Server, ServerSpec};
use crate::statistics::turns;

/// Length of a value.
const VALUE_BYTES: usize = 64;
/// Part of what the slower side can do that the fixed rate asks for: both keep up.
const RATE_SHARE: f64 = 0.7;
/// How long a server is left alone before its memory is read: freed memory goes back, tables stop growing.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Which measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Group {
    /// GET and SET by pipeline, nothing on disk
    Memory,
    /// SET by pipeline, acknowledged when it is durable
    Durable,
    /// What a second worker costs per command, half of them crossing
    TwoWorkers,
    /// Resident memory per key
    MemoryPerKey,
    /// Time to serve again after kill -9
    Recovery,
}

/// One of two servers that are compared.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its name in the report.
    pub name: String,
    /// Its program and arguments.
    pub spec: ServerSpec,
}

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Lives of each side.
    pub repeats: usize,
    /// Measured window of each load.
    pub window_s: f64,
    /// Load before it.
    pub warmup_s: f64,
    /// Keys of the loads.
    pub keys: u64,
    /// Keys for memory and recovery.
    pub many_keys: u64,
    /// Connections.
    pub connections: u32,
    /// Commands per second of the two-workers group; `None`: 70 % of what the slower side can do.
    pub rate: Option<f64>,
}

/// One load of a group, with its bars.
struct Scenario {
    name: String,
    title: String,
    request: Request,
    pipeline: u32,
    bars: Vec<Bar>,
}

/// Measures one group.
#[derive(Debug)]
pub struct Measurement<'a> {
    /// How much.
    pub sizes: &'a Sizes,
    /// The two sides, the baseline first.
    pub sides: [Side; 2],
    /// By whom they are loaded.
    pub client: &'a LoadClient,
    /// Where stores go.
    pub dir: &'a Path,
    /// Whether the second side has bars to pass.
    pub has_bars: bool,
}

impl Measurement<'_> {
    /// Runs all lives of a group.
    ///
    /// # Errors
    /// When a server or client fails.
    pub fn run(&self, group: Group, progress: &mut Progress) -> Result<(Vec<Run>, Vec<Summary>)> {
        let rate = match group {
            Group::TwoWorkers => Some(self.rate(progress)?),
            _ => None,
        };
        let mut runs = Vec::new();
        let turns = turns(self.sizes.repeats);
        for (life, &turn) in turns.iter().enumerate() {
            let side = &self.sides[turn];
            progress.now(&format!("{group:?} {} of {}: {}", life + 1, turns.len(), side.name));
            let dir = tempfile::Builder::new().prefix("life-").tempdir_in(self.dir)?;
            let lived = match group {
                Group::MemoryPerKey => self.memory_life(side, dir.path()),
                Group::Recovery => self.recovery_life(side, dir.path()),
                Group::Memory | Group::Durable | Group::TwoWorkers => {
                    self.load_life(side, dir.path(), &scenarios(group), rate)
                }
            };
            runs.extend(lived.with_context(|| format!("{group:?}, {}", side.name))?);
        }
        let names = [self.sides[0].name.as_str(), self.sides[1].name.as_str()];
        let summary = |name: &str, title: &str, bars: &[Bar]| {
            Summary::of(&runs, name, title, names, if self.has_bars { bars } else { &[] })
        };
        let summaries = match group {
            Group::MemoryPerKey => {
                vec![summary("memory_per_key", "memory only, 64-byte values", &[MEMORY_BAR])]
            }
            Group::Recovery => {
                let title = format!("recovery of {} keys from the log", self.sizes.many_keys);
                vec![summary("recovery", &title, &[RECOVERY_BAR])]
            }
            _ => scenarios(group).iter().map(|one| summary(&one.name, &one.title, &one.bars)).collect(),
        };
        Ok((runs, summaries))
    }

    fn start(&self, side: &Side, dir: &Path, keys: u64) -> Result<Server> {
        let mut server = Server::start(&side.spec, dir)?;
        server.wait_until_serving(None)?;
        prefill(&server, keys, VALUE_BYTES)?;
        Ok(server)
    }

    fn load(&self, request: Request, pipeline: u32, rate: Option<f64>) -> Load {
        Load {
            request,
            pipeline,
            connections: self.sizes.connections,
            keys: self.sizes.keys,
            zipf: None,
            requests: None,
            value_bytes: VALUE_BYTES,
            window_s: self.sizes.window_s,
            warmup_s: self.sizes.warmup_s,
            rate,
        }
    }

    fn load_life(
        &self,
        side: &Side,
        dir: &Path,
        scenarios: &[Scenario],
        rate: Option<f64>,
    ) -> Result<Vec<Run>> {
        let mut server = self.start(side, dir, self.sizes.keys)?;
        let mut runs = Vec::new();
        for one in scenarios {
            let load = self.load(one.request, one.pipeline, rate);
            let measured = self.client.run(&server, &load, dir).with_context(|| one.name.clone())?;
            runs.push(run_of(&one.name, side, dir, measured));
        }
        server.stop()?;
        Ok(runs)
    }

    /// A rate that both sides keep up with.
    fn rate(&self, progress: &mut Progress) -> Result<f64> {
        if let Some(rate) = self.sizes.rate {
            return Ok(rate);
        }
        let mut rates = Vec::new();
        for side in &self.sides {
            progress.now(&format!("TwoWorkers: how much can {} do", side.name));
            let dir = tempfile::Builder::new().prefix("life-").tempdir_in(self.dir)?;
            let mut server = self.start(side, dir.path(), self.sizes.keys)?;
            for request in [Request::Get, Request::Set] {
                let load = self.load(request, 16, None);
                rates.push(self.client.run(&server, &load, dir.path())?.figures["ops_s"]);
            }
            server.stop()?;
        }
        let slowest = rates.into_iter().fold(f64::INFINITY, f64::min);
        Ok((slowest * RATE_SHARE / 1000.0).floor() * 1000.0)
    }

    fn memory_life(&self, side: &Side, dir: &Path) -> Result<Vec<Run>> {
        let mut server = Server::start(&side.spec, dir)?;
        server.wait_until_serving(None)?;
        let resident = |server: &Server| {
            let bytes = resident_bytes(server.pid()).context("the server has no memory");
            bytes.map(|bytes| bytes as f64)
        };
        let empty = resident(&server)?;
        prefill(&server, self.sizes.many_keys, VALUE_BYTES)?;
        std::thread::sleep(SETTLE_TIME);
        let full = resident(&server)?;
        server.stop()?;
        let keys = self.sizes.many_keys as f64;
        let figures = [
            ("rss_bytes_per_key", full / keys),
            ("rss_growth_bytes_per_key", (full - empty) / keys),
            ("rss_empty_bytes", empty),
        ];
        Ok(vec![run_of("memory_per_key", side, dir, asked(&figures))])
    }

    fn recovery_life(&self, side: &Side, dir: &Path) -> Result<Vec<Run>> {
        let keys = self.sizes.many_keys;
        let mut server = self.start(side, dir, keys)?;
        server.kill()?;
        let mut server = Server::start(&side.spec, dir)?;
        let time_s = server.wait_until_serving(Some(keys))?.as_secs_f64();
        let resident = resident_bytes(server.pid()).context("the server has no memory")?;
        server.stop()?;
        let figures = [
            ("recovery_s", time_s),
            ("recovered_keys_s", keys as f64 / time_s),
            ("rss_bytes_per_key_after_recovery", resident as f64 / keys as f64),
        ];
        Ok(vec![run_of("recovery", side, dir, asked(&figures))])
    }
}

fn asked(figures: &[(&str, f64)]) -> Measured {
    let figures: Figures = figures.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect();
    Measured { figures, doubts: Vec::new(), command: Vec::new() }
}

/// Folders are left out of command lines: reports are published.
fn run_of(scenario: &str, side: &Side, dir: &Path, measured: Measured) -> Run {
    let hide = |words: Vec<String>| -> Vec<String> {
        words.into_iter().map(|word| word.replace(&dir.display().to_string(), "<dir>")).collect()
    };
    let program = side.spec.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Run {
        scenario: scenario.to_owned(),
        side: side.name.clone(),
        figures: measured.figures,
        doubts: measured.doubts,
        server: std::iter::once(program).chain(hide(side.spec.args(dir))).collect(),
        client: hide(measured.command),
    }
}

impl Group {
    /// What the servers of a group keep through a crash.
    #[must_use]
    pub const fn durability(self) -> Durability {
        match self {
            Self::Memory | Self::TwoWorkers | Self::MemoryPerKey => Durability::Memory,
            Self::Durable | Self::Recovery => Durability::Always,
        }
    }
}

const MEMORY_BAR: Bar =
    Bar { figure: "rss_bytes_per_key", measure: Measure::Value, direction: Direction::AtMost, bound: 130.0 };
const RECOVERY_BAR: Bar =
    Bar { figure: "recovered_keys_s", measure: Measure::Ratio, direction: Direction::AtLeast, bound: 3.0 };

const fn ratio(figure: &'static str, direction: Direction, bound: f64) -> Bar {
    Bar { figure, measure: Measure::Ratio, direction, bound }
}

fn scenarios(group: Group) -> Vec<Scenario> {
    let scenario = |prefix: &str, title: &str, request: Request, pipeline: u32, bars: Vec<Bar>| {
        let (word, upper) = if request == Request::Get { ("get", "GET") } else { ("set", "SET") };
        Scenario {
            name: format!("{prefix}_{word}_p{pipeline}"),
            title: format!("{title} {upper}, pipeline {pipeline}"),
            request,
            pipeline,
            bars,
        }
    };
    let both = [Request::Get, Request::Set];
    match group {
        Group::Memory => both
            .into_iter()
            .flat_map(|request| [(request, 1, 0.75), (request, 16, 0.50), (request, 64, 0.35)])
            .map(|(request, pipeline, bound)| {
                let bars = vec![ratio("cpu_us_per_op", Direction::AtMost, bound)];
                scenario("memory", "memory only,", request, pipeline, bars)
            })
            .collect(),
        Group::Durable => [(1, 1.8), (16, 2.5)]
            .map(|(pipeline, bound)| {
                let bars =
                    vec![ratio("ops_s", Direction::AtLeast, bound), ratio("p99_us", Direction::AtMost, 1.0)];
                scenario("durable", "durable (appendfsync always)", Request::Set, pipeline, bars)
            })
            .into(),
        Group::TwoWorkers => both
            .map(|request| {
                let bars = vec![ratio("cpu_us_per_op", Direction::AtMost, 1.6)];
                scenario("two_workers", "two workers against one, fixed rate,", request, 16, bars)
            })
            .into(),
        Group::MemoryPerKey | Group::Recovery => Vec::new(),
    }
}

/// The kind of file system a folder is on, as the kernel names it.
#[must_use]
pub fn file_system(dir: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(point, _)| dir.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_names_of_their_own_and_bars() {
        let all: Vec<Scenario> =
            [Group::Memory, Group::Durable, Group::TwoWorkers].into_iter().flat_map(scenarios).collect();
        let mut names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 10);
        assert!(names.contains(&"memory_get_p64") && names.contains(&"durable_set_p16"), "{names:?}");
        assert!(all.iter().all(|one| !one.bars.is_empty()));
    }

    #[test]
    fn the_file_system_of_a_folder_is_that_of_its_nearest_mount() {
        assert_eq!(file_system(Path::new("/proc/self")), "proc");
    }
}
