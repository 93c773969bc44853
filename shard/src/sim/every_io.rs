//! A life of a store, run again for every request that it makes and everything that may happen to that request.
//!
//! After a crash the store comes up, refuses nothing and has lost nothing; after a failed write or sync the process ends
//! at once; after a failed read a client is told, or the start refuses. The life then goes on to its end.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::panic::catch_unwind;

use crate::planted::{self, PlantedBug};
use crate::sim::boot::Down;
use crate::sim::driver::Driver;
use crate::sim::invariants::content::CameUp;
use crate::sim::life::Life;
use crate::sim::model::ShardModel;
use crate::sim::report::SimReport;
use crate::sim::rng::Rng;
use crate::sim::site::Site;
use crate::sim::strike::{Blow, End, Strike};

/// How often each site was hit by each blow.
pub type Hits = BTreeMap<(Site, Blow), u64>;

/// One run: a life, and what happens in it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The life.
    pub life: Life,
    /// What is drawn in it: the order of completions, and what a crash leaves.
    pub seed: u64,
    /// What happens; nothing, to see which requests there are.
    pub strike: Option<Strike>,
    /// Whether the start after a crash is tried first with a crash at each of its requests.
    pub again: bool,
    /// The mistake planted, if any.
    pub planted: Option<PlantedBug>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Lived {
    /// The sites of its requests, in order.
    pub sites: Vec<Site>,
    /// The one that was hit.
    pub hit: Option<Site>,
    /// Crashes at requests of the start after the first crash.
    pub again: Hits,
    /// What was counted.
    pub report: SimReport,
}

impl Lived {
    /// What became of it, in words.
    fn outcome(&self) -> &'static str {
        let times = |name| self.report.times(name) > 0;
        match (times("aborts after a write error"), times("starts refused after an I/O error")) {
            (false, false) => "nobody stopped",
            (true, false) => "the process ended itself",
            (false, true) => "a start refused",
            (true, true) => "the process ended itself, and a start refused",
        }
    }
}

/// Crashes during the start that follows a crash.
#[derive(Debug, Default)]
pub(super) struct Again {
    is_done: bool,
    hits: Hits,
}

impl Case {
    /// Runs it.
    ///
    /// # Errors
    /// What the store broke.
    pub fn run(self) -> Result<Lived, String> {
        planted::choose(self.planted);
        let mut driver = Driver::new(self.life.options(self.seed, self.planted));
        driver.disk.arm(self.strike);
        driver.again = self.again.then(Again::default);
        driver.live(self.life).map_err(|broken| format!("{self}: {broken}"))?;
        let Some(strikes) = driver.disk.strikes.take() else { unreachable!("armed above") };
        let lived = Lived {
            hit: strikes.hit,
            again: driver.again.take().map(|again| again.hits).unwrap_or_default(),
            report: driver.report,
            sites: strikes.seen,
        };
        if let Some(site) = strikes.survived {
            return Err(format!("{self}: an error of a {site} was passed over"));
        }
        self.judge(&lived).map_err(|broken| format!("{self}: {broken}"))?;
        Ok(lived)
    }

    /// What must be true of a run that came to its end.
    fn judge(self, lived: &Lived) -> Result<(), String> {
        let is_crash = self.strike.is_none_or(|strike| strike.blow.crash().is_some());
        if is_crash && lived.report.times("starts refused after an I/O error") > 0 {
            return Err("a start was refused after a crash".into());
        }
        // On a disk that is full anyway a swap of databases may end the process.
        let may_abort = self.life == Life::FullDisk;
        if is_crash && !may_abort && lived.report.times("aborts after a write error") > 0 {
            return Err("the process has ended itself, and the disk has reported nothing".into());
        }
        if self.strike.is_some() && lived.hit.is_none() {
            return Err("there is no such request".into());
        }
        Ok(())
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, seed {}", self.life.name(), self.seed)?;
        match self.strike {
            Some(Strike { at, blow }) => write!(f, ", request {at} {}", blow.name()),
            None => Ok(()),
        }
    }
}

impl Driver {
    fn live(&mut self, life: Life) -> Result<(), String> {
        self.start(false)?;
        for step in life.script() {
            self.step(&step).map_err(|broken| format!("{broken} ({step:?})"))?;
        }
        Ok(())
    }

    /// Before the start that follows the first crash: what if another crash comes at a request of that start?
    pub(super) fn crash_again(&mut self, power: bool) -> Result<(), String> {
        let is_hit = self.disk.strikes.as_ref().is_some_and(|strikes| strikes.hit.is_some());
        let Some(mut again) = self.again.take_if(|again| is_hit && !again.is_done) else { return Ok(()) };
        again.is_done = true;
        for blow in Blow::CRASHES {
            let mut at = 1;
            while let Some(site) = self.crash_once_more(Strike { at, blow }, power)? {
                if blow.fits(site) {
                    *again.hits.entry((site, blow)).or_insert(0) += 1;
                }
                at += 1;
            }
        }
        self.again = Some(again);
        Ok(())
    }

    /// A start that is cut short, and the one after it, on a copy of the disk. The site that was hit; `None`: the start
    /// has fewer requests.
    fn crash_once_more(&mut self, strike: Strike, power: bool) -> Result<Option<Site>, String> {
        let describe = |broken: String| {
            format!("and again at request {} of the start, {}: {broken}", strike.at, strike.blow.name())
        };
        let mut disk = self.disk.fork(Rng::new(self.options.seed ^ strike.at).draw());
        disk.arm(Some(strike));
        let (options, workers, now) = (self.options.clone(), self.worker_count, self.now);
        let mut report = SimReport::default();
        match Self::boot(&options, workers, now, None, &mut disk, &mut report) {
            Ok(_) => return Ok(None),
            Err(Down::Refused { why, .. }) => return Err(describe(format!("refused: {why}"))),
            Err(Down::Crashed) => {}
        }
        let Some(end) = disk.take_down() else { unreachable!("it has just come") };
        match end {
            End::Process => disk.kill(),
            End::Power => disk.lose_power(&mut report),
        }
        let power = power || end == End::Power;
        let mut up = Self::boot(&options, workers, now, None, &mut disk, &mut report)
            .map_err(|down| describe(format!("{down:?}")))?;
        self.check_databases(up.on_disk.databases).map_err(describe)?;
        disk.quiet = true;
        let mut models = self.models.clone();
        for (owner, worker) in up.workers.iter_mut().enumerate() {
            let floor = |model: &ShardModel| Self::floor(model, power);
            let mut came_up = CameUp { worker, owner, now, disk: &mut disk, report: &mut report };
            let unreadable = came_up.check(&mut models, floor).map_err(describe)?;
            if let Some(error) = unreadable.first() {
                return Err(describe(error.to_string()));
            }
        }
        Ok(disk.strikes.and_then(|strikes| strikes.hit))
    }
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Every so many requests one is hit, and the first of each site.
    pub stride: usize,
    /// Of every so many requests that are hit by a crash, one start is crashed again, at each of its requests.
    pub again_stride: usize,
    /// Broken runs after which no more are made.
    pub broken_max: usize,
}

/// What was run.
#[derive(Debug, Default)]
pub struct EveryIo {
    /// Runs.
    pub runs: u64,
    /// Requests of a life that nothing happens to, by life.
    pub requests: BTreeMap<Life, u64>,
    /// Requests that were hit.
    pub hits: Hits,
    /// Requests of a start after a crash that were hit by another one.
    pub again: Hits,
    /// What became of the runs.
    pub outcomes: BTreeMap<(Blow, &'static str), u64>,
    /// What was counted.
    pub report: SimReport,
    /// Sites of requests so far.
    met: BTreeSet<Site>,
    /// What the store broke, and in which runs.
    pub broken: Vec<String>,
}

impl EveryIo {
    /// Runs a life with everything that may happen to its requests. `look` is told of each run before it.
    ///
    /// # Errors
    /// What the store broke, and in which run.
    pub fn run(&mut self, case: Case, plan: Plan, look: &mut dyn FnMut(&Case)) -> Result<(), String> {
        look(&case);
        let sites = case.run()?.sites;
        *self.requests.entry(case.life).or_insert(0) += sites.len() as u64;
        if let Some(unknown) = sites.iter().find(|site| !Site::all().any(|known| known == **site)) {
            return Err(format!("{case}: a {unknown} is no known site"));
        }
        let first: Vec<bool> = sites.iter().map(|site| self.met.insert(*site)).collect();
        let mut crashes = 0;
        for (turn, blow) in Blow::ALL.into_iter().enumerate() {
            for (at, site) in sites.iter().enumerate().filter(|(_, site)| blow.fits(**site)) {
                // Each blow has requests of its own.
                if !first[at] && !(at + turn).is_multiple_of(plan.stride) {
                    continue;
                }
                let is_crash = blow.crash().is_some();
                crashes += usize::from(is_crash);
                let again = is_crash && crashes % plan.again_stride == 0;
                let strike = Some(Strike { at: at as u64 + 1, blow });
                let case = Case { strike, again, ..case };
                look(&case);
                match catch_unwind(|| case.run()) {
                    Ok(Ok(lived)) => self.take(lived, *site, blow),
                    Ok(Err(broken)) => self.broken.push(broken),
                    Err(_) => self.broken.push(format!("{case}: an assertion failed")),
                }
                if self.broken.len() >= plan.broken_max {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, lived: Lived, site: Site, blow: Blow) {
        assert_eq!(lived.hit, Some(site), "until it is hit, a run is like any other");
        self.runs += 1;
        *self.hits.entry((site, blow)).or_insert(0) += 1;
        for (at, times) in &lived.again {
            *self.again.entry(*at).or_insert(0) += *times;
        }
        *self.outcomes.entry((blow, lived.outcome())).or_insert(0) += 1;
        self.report.add(&lived.report);
    }

    /// Sites that some blow that fits them has not hit.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let pairs = Site::all().flat_map(|site| Blow::ALL.map(|blow| (site, blow)));
        let missing =
            pairs.filter(|(site, blow)| blow.fits(*site) && !self.hits.contains_key(&(*site, *blow)));
        missing.map(|(site, blow)| format!("{site}: {}", blow.name())).collect()
    }
}
