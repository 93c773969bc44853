//! Kill, restart, check, over and over.
//!
//! One cycle: writers and readers load a server that serves; after a random time it is killed; it is started again
//! at once, sometimes killed while it recovers, and asked for all it has; the checker judges. What was found is what
//! the next cycle starts from. Now and then the server is stopped in order instead, or everything is flushed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use resp::Reply;

use super::checker::check;
use super::history::{History, Journal};
use super::key_state::KeyState;
use super::power::PowerSwitch;
use super::reader::{Read, Seen, read_until_the_end};
use super::strand::{StrandId, Strands};
use super::survey::survey;
use super::tally::Tally;
use super::violation::{Promise, Violation};
use super::workload::{WRITER_KEYS, Workload, key_names};
use super::writer::{Field, Written, write_until_the_end};
use crate::info::Info;
use crate::progress::Progress;
use crate::rng::Rng;
use crate::server::{Server, ServerSpec};

/// What to do.
#[derive(Debug)]
pub struct Plan {
    /// The server; its number of workers is drawn from `workers` at each start.
    pub server: ServerSpec,
    /// Numbers of workers.
    pub workers: Vec<usize>,
    /// Kills to survive.
    pub cycles: u64,
    /// Seed of all that is random here; the server's timing is not.
    pub seed: u64,
    /// Writing connections.
    pub writers: usize,
    /// Reading connections.
    pub readers: usize,
    /// Shortest and longest time under load.
    pub load_ms: (u64, u64),
    /// One cycle in so many ends in order (SIGTERM); 0: none. These are not counted as kills.
    pub stop_one_in: u64,
    /// One restart in so many is killed while it recovers; 0: none.
    pub kill_again_one_in: u64,
    /// Flush everything after so many cycles, so that the log does not grow for ever; 0: never.
    pub flush_every: u64,
    /// Where store and histories are kept.
    pub dir: PathBuf,
    /// Whether to keep a copy of the store as it was after each kill, until the next one.
    pub copy_store: bool,
    /// The drive under `dir/store` whose power is cut with each kill; `None`: kills only.
    pub power: Option<PowerSwitch>,
}

/// Shards of a store, unless its creator said otherwise: a worker has a contiguous range of them.
const SHARDS: usize = 16;
/// Histories of so many past cycles are kept.
const HISTORIES_KEPT: u64 = 3;
/// While it recovers the server is killed within this time.
const RECOVERY_KILL_MS_MAX: u64 = 40;
/// Kills in a row while the server recovers, at most.
const RECOVERY_KILLS_MAX: u32 = 3;

/// A run of cycles.
#[derive(Debug)]
pub struct Cycles {
    plan: Plan,
    rng: Rng,
    names: Vec<Arc<[Vec<u8>]>>,
    states: Vec<Vec<KeyState>>,
    sequences: Vec<u64>,
    cycle: u64,
    tally: Tally,
}

impl Cycles {
    /// Nothing done yet.
    ///
    /// # Errors
    /// When the plan asks for what cannot be.
    pub fn new(plan: Plan) -> Result<Self> {
        if plan.writers == 0 || plan.workers.is_empty() || plan.load_ms.0 > plan.load_ms.1 {
            bail!("at least one writer, one number of workers, and a time under load are needed");
        }
        if let Some(workers) = plan.workers.iter().find(|workers| !SHARDS.is_multiple_of(**workers)) {
            bail!("{SHARDS} shards do not divide evenly among {workers} workers, which the check relies on");
        }
        let names = (0..plan.writers).map(|writer| key_names(writer).into()).collect();
        Ok(Self {
            rng: Rng::new(plan.seed, 0),
            names,
            states: vec![vec![None; WRITER_KEYS]; plan.writers],
            sequences: vec![0; plan.writers],
            cycle: 0,
            tally: Tally::default(),
            plan,
        })
    }

    /// Runs all cycles. Returns what was done, and the broken promises of the first cycle that had any.
    ///
    /// # Errors
    /// When something fails that is not the server's doing.
    pub fn run(mut self, progress: &mut Progress) -> Result<(Tally, Vec<Violation>)> {
        fs::create_dir_all(self.plan.dir.join("store")).context("cannot make the directory")?;
        let mut server = match self.start()? {
            Ok(started) => started,
            Err(violation) => return Ok((self.tally, vec![violation])),
        };
        while self.tally.kills < self.plan.cycles {
            self.cycle += 1;
            progress.now(&format!(
                "cycle {} of {}: {} operations acknowledged, {} answers read",
                self.tally.kills + 1,
                self.plan.cycles,
                self.tally.operations_acknowledged,
                self.tally.sightings
            ));
            let violations = self.one_cycle(&mut server)?;
            if !violations.is_empty() {
                return Ok((self.tally, violations));
            }
        }
        Ok((self.tally, Vec::new()))
    }

    /// Where the histories of a cycle are.
    fn history_dir(&self, cycle: u64) -> PathBuf {
        self.plan.dir.join(format!("history-{cycle:06}"))
    }

    fn one_cycle(&mut self, server: &mut (Server, usize)) -> Result<Vec<Violation>> {
        fs::create_dir_all(self.history_dir(self.cycle))?;
        if let Some(old) = self.cycle.checked_sub(HISTORIES_KEPT) {
            let _ = fs::remove_dir_all(self.history_dir(old));
        }
        let strands = Strands::of(&ServerSpec { workers: server.1, ..self.plan.server.clone() });
        let strand_of = move |name: &[u8]| strands.strand_of(name);
        let (written, read, ended) = self.load_and_end(&mut server.0, &strand_of)?;
        let mut violations: Vec<Violation> = ended.into_iter().collect();
        let (mut histories, mut seen): (Vec<History>, Vec<Vec<Seen>>) = (Vec::new(), Vec::new());
        for written in written {
            self.sequences[written.history.writer] = written.sequence;
            self.count(&written.history);
            violations.extend(written.violations);
            histories.push(written.history);
        }
        for read in read {
            self.tally.sightings += read.seen.len() as u64;
            violations.extend(read.violations);
            seen.push(read.seen);
        }
        if let Some(power) = &self.plan.power {
            power.restore()?;
        }
        if self.plan.copy_store {
            self.copy_store()?;
        }
        *server = match self.restart()? {
            Ok(server) => server,
            Err(violation) => {
                violations.push(violation);
                return Ok(violations);
            }
        };
        let survey = match survey(&mut server.0.connect()?, &self.names) {
            Ok(survey) => survey,
            Err(error) => {
                let text = format!("asked for all keys after the restart: {error}");
                violations.push(Violation::new(Promise::ServerAnswers, text));
                return Ok(violations);
            }
        };
        violations.extend(survey.violations);
        violations.extend(check(&histories, &seen, &survey.found, &strand_of));
        self.tally.keys_checked += (self.names.len() * WRITER_KEYS) as u64;
        self.states =
            survey.found.iter().map(|found| found.iter().map(|seen| seen.to_state()).collect()).collect();
        if self.plan.flush_every > 0 && self.cycle.is_multiple_of(self.plan.flush_every) {
            self.flush(&server.0, &mut violations)?;
        }
        Ok(violations)
    }

    fn count(&mut self, history: &History) {
        let acknowledged = history.acknowledged();
        self.tally.operations_sent += history.sent.len() as u64;
        self.tally.operations_acknowledged += acknowledged as u64;
        self.tally.operations_in_flight += (history.sent.len() - acknowledged) as u64;
    }

    /// Loads the server for a random time, then kills or stops it.
    fn load_and_end(
        &mut self,
        server: &mut Server,
        strand_of: &(dyn Fn(&[u8]) -> StrandId + Sync),
    ) -> Result<(Vec<Written>, Vec<Read>, Option<Violation>)> {
        let load = Duration::from_millis(self.rng.between(self.plan.load_ms.0, self.plan.load_ms.1));
        let stop = self.plan.stop_one_in > 0 && self.rng.one_in(self.plan.stop_one_in);
        let ending = AtomicBool::new(false);
        let socket = server.socket().to_owned();
        let field = Field { socket: &socket, ending: &ending, strand_of };
        let dir = self.history_dir(self.cycle);
        let mut writers = Vec::new();
        for writer in 0..self.plan.writers {
            let rng = Rng::new(self.rng.next_u64(), 1);
            let workload = Workload::new(writer, rng, self.sequences[writer]);
            let base = self.states[writer].clone();
            let history = History::new(writer, Arc::clone(&self.names[writer]), base);
            writers.push((workload, Journal::create(&dir.join(format!("writer-{writer}.log")))?, history));
        }
        let mut readers = Vec::new();
        for reader in 0..self.plan.readers {
            let journal = Journal::create(&dir.join(format!("reader-{reader}.log")))?;
            readers.push((Rng::new(self.rng.next_u64(), 2), journal));
        }
        let names = &self.names;
        let field = &field;
        thread::scope(|scope| {
            let writers: Vec<_> = writers
                .into_iter()
                .map(|(workload, journal, history)| {
                    scope.spawn(move || write_until_the_end(field, workload, journal, history))
                })
                .collect();
            let readers: Vec<_> = readers
                .into_iter()
                .map(|(rng, journal)| scope.spawn(move || read_until_the_end(field, rng, names, journal)))
                .collect();
            thread::sleep(load);
            // A server that does not answer is one that is found to have ended, or whose writers say so.
            if let Ok(info) = Info::ask(server) {
                self.tally.server.add(&info);
            }
            let died = server.ended()?.is_some();
            ending.store(true, Ordering::Release);
            let ended = if died {
                let text = format!("it ended by itself; its log ends:\n{}", server.log_tail());
                Some(Violation::new(Promise::ServerAnswers, text))
            } else if stop {
                self.tally.stops += 1;
                server.stop().err().map(|error| Violation::new(Promise::ServerAnswers, format!("{error:#}")))
            } else {
                self.tally.kills += 1;
                self.tally.power_cuts += u64::from(self.plan.power.is_some());
                end_at_once(self.plan.power.as_ref(), server)?;
                None
            };
            let written =
                writers.into_iter().map(|writer| writer.join().expect("a writer does not panic")).collect();
            let read =
                readers.into_iter().map(|reader| reader.join().expect("a reader does not panic")).collect();
            Ok((written, read, ended))
        })
    }

    /// Starts the server, and sometimes kills it while it recovers and starts it once more.
    fn restart(&mut self) -> Result<Result<(Server, usize), Violation>> {
        for _ in 0..RECOVERY_KILLS_MAX {
            if self.plan.kill_again_one_in == 0 || !self.rng.one_in(self.plan.kill_again_one_in) {
                break;
            }
            let spec = self.draw_spec();
            let mut server = Server::start(&spec, &self.plan.dir.join("store"))?;
            thread::sleep(Duration::from_millis(self.rng.below(RECOVERY_KILL_MS_MAX)));
            if let Some(status) = server.ended()? {
                let status = crate::process::describe(status);
                let text =
                    format!("it ended while it recovered ({status}); its log ends:\n{}", server.log_tail());
                return Ok(Err(Violation::new(Promise::ServerAnswers, text)));
            }
            self.tally.power_cuts += u64::from(self.plan.power.is_some());
            end_at_once(self.plan.power.as_ref(), &mut server)?;
            if let Some(power) = &self.plan.power {
                power.restore()?;
            }
            self.tally.kills_in_recovery += 1;
        }
        self.start()
    }

    fn draw_spec(&mut self) -> ServerSpec {
        let choices = self.plan.workers.len() as u64;
        let choice = usize::try_from(self.rng.below(choices)).expect("few choices");
        ServerSpec { workers: self.plan.workers[choice], ..self.plan.server.clone() }
    }

    fn start(&mut self) -> Result<Result<(Server, usize), Violation>> {
        let spec = self.draw_spec();
        let mut server = Server::start(&spec, &self.plan.dir.join("store"))?;
        Ok(match server.wait_until_serving(None) {
            Ok(time) => {
                let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                self.tally.restart_ms_max = self.tally.restart_ms_max.max(ms);
                Ok((server, spec.workers))
            }
            Err(error) => Err(Violation::new(Promise::ServerAnswers, format!("{error:#}"))),
        })
    }

    fn flush(&mut self, server: &Server, violations: &mut Vec<Violation>) -> Result<()> {
        let mut client = server.connect()?;
        let reply = client.ask(&[b"FLUSHALL"]).context("FLUSHALL")?;
        if reply != Reply::Simple(b"OK".to_vec()) || client.key_count()? != Some(0) {
            let text = "FLUSHALL does not leave an empty store".to_owned();
            violations.push(Violation::new(Promise::NothingIsInvented, text));
        }
        self.states = vec![vec![None; WRITER_KEYS]; self.plan.writers];
        self.tally.flushes += 1;
        Ok(())
    }

    fn copy_store(&self) -> Result<()> {
        let copy = self.plan.dir.join("store-after-kill");
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        fs::create_dir_all(&copy)?;
        copy_files(&self.plan.dir.join("store"), &copy).context("cannot copy the store")
    }
}

/// Kills the server, and cuts the power of its drive before, if that is what the run is about.
fn end_at_once(power: Option<&PowerSwitch>, server: &mut Server) -> Result<()> {
    if let Some(power) = power {
        power.cut()?;
    }
    server.kill()
}

/// Copies regular files, and folders with theirs.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
            copy_files(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
