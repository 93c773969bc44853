//! The steps of a scripted life, and how the driver takes them: with the operations, turns, stops and starts of every run.

use std::ops::Range;
use std::rc::Rc;

use crate::log::SyncPolicy;
use crate::shard_set::{ShardSet, StorageTask, TaskKind};
use crate::sim::driver::Driver;
use crate::sim::model::ModelKey;
use crate::sim::plan::Plan;
use crate::sim::site::Site;
use crate::types::{Db, UnixMs};

/// Milliseconds from one turn to the next.
const TURN_MS: u64 = 2;
/// Turns within which a store takes an operation, or comes to rest.
const TURNS_MAX: u32 = 2_000;
/// Turns after which a store on a full disk is left as it is.
const TURNS_FULL_MAX: u32 = 30;

/// One step. Keys are numbers; lengths are bytes, times to live milliseconds, 0: none.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Each of these keys gets a value of this length.
    Set(Range<u64>, usize, u64),
    /// Each of these keys is read.
    Get(Range<u64>),
    Delete(Range<u64>),
    Expire(Range<u64>, u64),
    /// To each of these keys something is appended, so far behind its end.
    Append(Range<u64>, usize),
    /// These keys of one worker get values together.
    Group(Range<u64>, usize),
    CountKeys,
    /// Everything goes, or one database.
    Flush(Option<u8>),
    Swap(u8, u8),
    /// Every log goes on in its next segment.
    Rotate,
    Checkpoint,
    Compact,
    /// Somebody asks every worker for this, and waits.
    Task(TaskKind),
    Policy(SyncPolicy),
    /// Time passes.
    Pass(u64),
    /// All that is under way ends.
    Rest,
    /// A clean stop, and a start.
    Stop,
    /// The process is killed, and a start.
    Kill,
    /// Power is cut, and a start.
    CutPower,
    /// From the next start on there are so many workers.
    Workers(u16),
    /// The disk is full from now on, or has room again.
    Full(bool),
    /// The disk becomes full after the next request of this site.
    FullAfter(Site),
}

/// A key by its number: every fifth is in the second database.
fn key(number: u64) -> ModelKey {
    (u8::from(number % 5 == 4), format!("key:{number}").into_bytes())
}

impl Driver {
    /// Takes one step.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Set(keys, len, time_to_live) => {
                for number in keys.clone() {
                    let value = self.scripted_value(*len);
                    self.ask(Plan::Set(key(number), value, *time_to_live))?;
                }
            }
            Step::Get(keys) => self.ask_each(keys, Plan::Get)?,
            Step::Delete(keys) => self.ask_each(keys, Plan::Delete)?,
            Step::Expire(keys, time_to_live) => {
                self.ask_each(keys, |key| Plan::Expire(key, *time_to_live))?
            }
            Step::Append(keys, gap) => self.ask_each(keys, |key| Plan::Append(key, *gap, [0xa5; 8]))?,
            Step::Group(keys, len) => self.ask_group(keys, *len)?,
            Step::CountKeys => self.ask(Plan::CountKeys)?,
            Step::Flush(db) => {
                if self.can_append()? {
                    self.flush_stored(*db);
                }
            }
            Step::Swap(first, second) if self.swap.is_none() => self.begin_swap(Db(*first), Db(*second)),
            Step::Swap(..) => {}
            Step::Rotate => {
                self.workers.iter_mut().filter_map(ShardSet::log_mut).for_each(crate::log::Log::rotate);
            }
            Step::Checkpoint => self.workers.iter_mut().for_each(ShardSet::checkpoint),
            Step::Compact => self.workers.iter_mut().for_each(ShardSet::compact_all),
            Step::Task(kind) => self.begin_tasks(*kind),
            Step::Policy(policy) => self.set_policy(*policy),
            Step::Pass(pause) => {
                self.now = UnixMs(self.now.0 + pause);
                self.now_ns += pause * 1_000_000;
            }
            Step::Rest => return self.rest(),
            Step::Stop => return self.shut_down(),
            Step::Kill | Step::CutPower => {
                let odds = if matches!(step, Step::CutPower) { 100_000 } else { 0 };
                self.options.rates.power_loss = odds;
                return self.crash();
            }
            Step::Workers(count) => self.worker_count = *count,
            Step::FullAfter(site) => {
                if let Some(strikes) = &mut self.disk.strikes {
                    strikes.fill_after = Some(*site);
                }
            }
            Step::Full(true) => self.disk.fill(),
            Step::Full(false) => self.disk.make_room(),
        }
        self.scripted_turn()
    }

    fn scripted_value(&mut self, len: usize) -> Rc<Vec<u8>> {
        self.value_counter += 1;
        let mut value = self.value_counter.to_le_bytes().repeat(len.div_ceil(8));
        value.truncate(len);
        Rc::new(value)
    }

    fn ask_each(&mut self, keys: &Range<u64>, plan: impl Fn(ModelKey) -> Plan) -> Result<(), String> {
        keys.clone().try_for_each(|number| self.ask(plan(key(number))))
    }

    /// Those of the keys that are of one worker with the first.
    fn ask_group(&mut self, keys: &Range<u64>, len: usize) -> Result<(), String> {
        let worker = self.place(&key(keys.start)).0;
        let own: Vec<ModelKey> = keys.clone().map(key).filter(|key| self.place(key).0 == worker).collect();
        let value = self.scripted_value(len);
        self.ask(Plan::Group(own.into_iter().map(|key| (key, Some(value.clone()))).collect()))
    }

    /// An operation arrives as soon as it is let in; where that takes too long, the client gives up.
    fn ask(&mut self, plan: Plan) -> Result<(), String> {
        if !self.can_append()? {
            self.report.count("operations that were not let in");
            return Ok(());
        }
        self.report.operations += 1;
        let worker = plan.keys().first().map_or(0, |key| self.place(key).0);
        self.arrive(worker, plan)?;
        // Some come together in a turn.
        if self.report.operations.is_multiple_of(3) { self.scripted_turn() } else { Ok(()) }
    }

    /// Waits until operations are let in. False: it takes too long.
    fn can_append(&mut self) -> Result<bool, String> {
        for _ in 0..TURNS_MAX {
            let is_full =
                self.workers.iter().any(|worker| worker.is_tail_full() || worker.is_waiting_room_full());
            if !is_full && self.may_append() {
                return Ok(true);
            }
            if self.disk.is_full() {
                return Ok(false);
            }
            self.scripted_turn()?;
        }
        Ok(false)
    }

    fn begin_tasks(&mut self, kind: TaskKind) {
        for (at, worker) in self.workers.iter_mut().enumerate() {
            if let Ok(task) = StorageTask::begin(kind, worker) {
                self.tasks.push((at, kind, task));
            }
        }
    }

    /// One turn; the process ends in it, or not.
    fn scripted_turn(&mut self) -> Result<(), String> {
        self.now = UnixMs(self.now.0 + TURN_MS);
        self.now_ns += TURN_MS * 1_000_000;
        if self.turn()?.is_err() { self.abort() } else { Ok(()) }
    }

    /// Turns until nothing is under way. On a full disk some of it may stay so.
    fn rest(&mut self) -> Result<(), String> {
        for turn in 0..TURNS_MAX {
            if turn > TURNS_FULL_MAX && self.disk.is_full() {
                return Ok(());
            }
            self.scripted_turn()?;
            let is_busy = |worker: &ShardSet<_>| worker.has_parked() || !worker.is_checkpointed();
            let waits = self.swap.is_some() || !self.tasks.is_empty() || self.workers.iter().any(is_busy);
            if !waits && self.disk.in_flight().is_none() {
                return Ok(());
            }
        }
        let of = |worker: &ShardSet<_>| {
            format!("files at rest {}, reads {}", worker.is_checkpointed(), worker.has_parked())
        };
        let workers: Vec<String> = self.workers.iter().map(of).collect();
        let (tasks, flight) = (&self.tasks, self.disk.in_flight());
        Err(format!("it does not come to rest: {}; tasks {tasks:?}; {flight:?}", workers.join("; ")))
    }
}
