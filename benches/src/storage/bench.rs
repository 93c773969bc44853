//! What all groups share: programs, cores, folders, and a store under test.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::disturbance::Watch;
use crate::info::Info;
use crate::load::{Figures, KEY_DIGITS, Load, LoadClient, Measured, Request};
use crate::process::{resident_bytes, resident_bytes_max};
use crate::progress::Progress;
use crate::report::Run;
use crate::server::{Durability, Server, ServerKind, ServerSpec};

/// Bytes of a record beside its value: key of 16 bytes, head of a `Put` with LSNs of three bytes.
pub const RECORD_OVERHEAD_BYTES: u64 = KEY_DIGITS as u64 + 4 + 13;

/// Programs, cores, folders and the part of the full size to measure.
#[derive(Debug)]
pub struct Bench {
    /// ourod.
    pub ourod: PathBuf,
    /// redis-server.
    pub redis: PathBuf,
    /// Who loads.
    pub client: LoadClient,
    /// Core of the server.
    pub server_cpu: usize,
    /// Where stores go.
    pub dir: PathBuf,
    /// Part of the full size.
    pub scale: f64,
    /// Times that the space group overwrites its data.
    pub overwrites: u64,
    /// Further arguments of ourod.
    pub extra: Vec<String>,
}

impl Bench {
    /// A full size at the scale, at least 1.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are far below 2^53")]
    pub fn scaled(&self, full: u64) -> u64 {
        ((full as f64 * self.scale) as u64).max(1)
    }

    /// How a server is started: durable, on one core.
    #[must_use]
    pub fn spec(&self, kind: ServerKind, options: &[String]) -> ServerSpec {
        let (program, own) = match kind {
            ServerKind::Ouro => (self.ourod.clone(), self.extra.as_slice()),
            ServerKind::Redis => (self.redis.clone(), [].as_slice()),
        };
        let extra = options.iter().chain(own).cloned().collect();
        let cpus = vec![self.server_cpu];
        ServerSpec { kind, program, durability: Durability::Always, workers: 1, cpus, extra }
    }

    /// A fresh folder for one store, removed with the value.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn folder(&self) -> Result<tempfile::TempDir> {
        Ok(tempfile::Builder::new().prefix("store-").tempdir_in(&self.dir)?)
    }

    /// A load of 50 connections for some seconds.
    #[must_use]
    pub fn window(
        &self,
        request: Request,
        pipeline: u32,
        (keys, value_bytes): (u64, usize),
        window_s: f64,
    ) -> Load {
        Load {
            request,
            pipeline,
            connections: 50,
            keys,
            zipf: None,
            requests: None,
            value_bytes,
            window_s,
            warmup_s: 1.0,
            rate: None,
        }
    }
}

/// A store under test: its server, running or not.
#[derive(Debug)]
pub struct TestStore<'a> {
    bench: &'a Bench,
    spec: ServerSpec,
    dir: PathBuf,
    server: Option<Server>,
    /// Of the server that runs.
    watch: Option<Watch>,
    runs: Vec<Run>,
}

impl<'a> TestStore<'a> {
    /// Starts a server on a folder.
    ///
    /// # Errors
    /// When it does not serve.
    pub fn start(bench: &'a Bench, spec: ServerSpec, dir: &Path) -> Result<Self> {
        let mut store =
            Self { bench, spec, dir: dir.to_owned(), server: None, watch: None, runs: Vec::new() };
        store.start_again(None)?;
        Ok(store)
    }

    /// Starts the server again. Returns the seconds until it serves all these keys.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_again(&mut self, keys: Option<u64>) -> Result<f64> {
        assert!(self.server.is_none(), "one server at a time");
        let mut server = Server::start(&self.spec, &self.dir)?;
        let time = server.wait_until_serving(keys)?;
        self.watch = Some(Watch::start(server.pid(), self.bench.server_cpu)?);
        self.server = Some(server);
        Ok(time.as_secs_f64())
    }

    /// The running server.
    ///
    /// # Errors
    /// When it was stopped.
    pub fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("the server was stopped")
    }

    /// Stops it cleanly. Returns the seconds that takes.
    ///
    /// # Errors
    /// When it does not stop, or not cleanly.
    pub fn stop(&mut self) -> Result<f64> {
        let started = std::time::Instant::now();
        self.watch = None;
        self.server.take().context("the server was stopped")?.stop()?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// Those of the system.
    pub fn kill(&mut self) -> Result<()> {
        self.watch = None;
        self.server.take().context("the server was stopped")?.kill()
    }

    /// Writes all keys, and notes what that took under `name`.
    ///
    /// # Errors
    /// When loadgen fails, or keys are missing afterwards.
    pub fn load(&mut self, name: &str, keys: u64, value_bytes: usize) -> Result<()> {
        let started = std::time::Instant::now();
        let command = self.bench.client.load(self.server()?, keys, value_bytes, &self.dir)?;
        let seconds = started.elapsed().as_secs_f64();
        let count = self.server()?.connect()?.key_count()?;
        if count != Some(keys) {
            bail!("{keys} keys were written, the server has {count:?}");
        }
        let mut figures = vec![("load_s", seconds), ("ops_s", keys as f64 / seconds)];
        figures.extend(self.disturbance());
        self.note(name, &figures, command);
        Ok(())
    }

    /// Loads the server, notes and returns the client's figures.
    ///
    /// # Errors
    /// When the client fails.
    pub fn run(&mut self, name: &str, load: &Load) -> Result<Figures> {
        // What came between two runs is no part of either.
        self.disturbance();
        let Measured { figures, doubts, command } = self.bench.client.run(self.server()?, load, &self.dir)?;
        let mut noted = figures.clone();
        noted.extend(self.disturbance().map(|(name, figure)| (name.to_owned(), figure)));
        self.note_figures(name, noted, doubts, command);
        Ok(figures)
    }

    /// What kept the server from running since this was last asked.
    fn disturbance(&self) -> [(&'static str, f64); 4] {
        self.watch.as_ref().map(Watch::take).unwrap_or_default().figures()
    }

    /// Notes what the harness itself measured.
    pub fn note(&mut self, name: &str, figures: &[(&str, f64)], client: Vec<String>) {
        let figures = figures.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect();
        self.note_figures(name, figures, Vec::new(), client);
    }

    fn note_figures(&mut self, name: &str, figures: Figures, doubts: Vec<String>, client: Vec<String>) {
        let dir = self.dir.display().to_string();
        let hide = |words: Vec<String>| words.into_iter().map(|word| word.replace(&dir, "<dir>")).collect();
        let program = self.spec.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let server = std::iter::once(program).chain(self.spec.args(&self.dir)).collect();
        self.runs.push(Run {
            scenario: name.to_owned(),
            side: self.spec.kind.name().to_owned(),
            figures,
            doubts,
            server: hide(server),
            client: hide(client),
        });
    }

    /// Notes what INFO says of storage, and returns it.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn info(&mut self, name: &str) -> Result<Info> {
        let info = Info::ask(self.server()?)?;
        let figures: Vec<(&str, f64)> =
            ["data.", "compaction.", "worker0_turn_us.", "log0_wal.", "log0.bytes"]
                .into_iter()
                .flat_map(|start| info.beginning(start))
                .collect();
        self.note(name, &figures, Vec::new());
        Ok(info)
    }

    /// Resident memory of the server, and the most it has had, in bytes.
    ///
    /// # Errors
    /// When it runs no more.
    pub fn resident_bytes(&self) -> Result<(u64, u64)> {
        let pid = self.server()?.pid();
        let both = resident_bytes(pid).zip(resident_bytes_max(pid));
        both.context("the server's memory cannot be read: it has ended")
    }

    /// Bytes that its files take on disk.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn disk_bytes(&self) -> Result<u64> {
        use std::os::unix::fs::MetadataExt as _;
        let mut sum = 0;
        for entry in fs::read_dir(&self.dir)? {
            // A file may be removed at any time.
            if let Ok(metadata) = entry?.metadata() {
                sum += metadata.blocks() * 512;
            }
        }
        Ok(sum)
    }

    /// Its data files.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn data_files(&self) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "data") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// What was noted; stops the server.
    ///
    /// # Errors
    /// When it does not stop cleanly.
    pub fn finish(mut self) -> Result<Vec<Run>> {
        if self.server.is_some() {
            self.stop()?;
        }
        Ok(std::mem::take(&mut self.runs))
    }
}

/// What a group gave.
pub type GroupResult = Result<(Vec<Run>, Vec<super::bar::Bar>)>;

/// A group's measurement.
pub type GroupRun = fn(&Bench, &mut Progress) -> GroupResult;
