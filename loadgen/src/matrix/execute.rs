//! Making all turns: those whose reports are kept already are skipped, a failure or Ctrl-C loses one turn at most.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::order::{Turn, turns};
use super::turn::{DESCRIPTION_TAG, Surroundings};
use crate::cli::Live;
use crate::comparison::metric::Metric;
use crate::progress::Progress;
use crate::report::Report;

/// How far a matrix got.
#[derive(Debug)]
pub struct Progressed {
    /// Block, scenario, server and report of each turn that is there, in order.
    pub reports: Vec<(u32, String, String, Report)>,
    /// All turns there are to be.
    pub planned: usize,
    /// Turns made now.
    pub made: usize,
}

impl Progressed {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.reports.len() == self.planned
    }
}

/// Makes the turns that are missing in `folder`, until all are there, `time_max` is over or `interrupt` is set.
///
/// # Errors
/// A sentence for the user, when a turn failed. What was made is kept.
pub fn execute(
    surroundings: &Surroundings<'_>,
    folder: &Path,
    time_max: Option<Duration>,
    live: Live,
    interrupt: &AtomicBool,
) -> Result<Progressed, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let all = turns(surroundings.spec);
    let progress = Progress::new(live);
    progress.begin("matrix", all.len() as u64);
    let started = Instant::now();
    let mut longest = Duration::ZERO;
    let mut progressed = Progressed { reports: Vec::new(), planned: all.len(), made: 0 };
    for (number, turn) in all.iter().enumerate() {
        progress.set_position(number as u64);
        let path = folder.join(turn.file_name());
        let report = match kept(surroundings, turn, &path) {
            Some(report) => report,
            // A turn is begun only when one as long as the longest so far would end in time.
            None if time_max.is_some_and(|time_max| started.elapsed() + longest > time_max) => break,
            None => {
                let began = Instant::now();
                progress.set_message(format!("{} of {}: {}", number + 1, all.len(), name(turn)));
                let made = made(surroundings, turn, interrupt)?;
                let Some(report) = made else { break };
                report.write(&path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
                longest = longest.max(began.elapsed());
                progressed.made += 1;
                progress.say(&format!(
                    "{:>4}/{} {:<40} {}",
                    number + 1,
                    all.len(),
                    name(turn),
                    figures(&report)
                ));
                report
            }
        };
        progressed.reports.push((turn.block, turn.scenario.name.clone(), turn.server.name.clone(), report));
    }
    progress.finish();
    Ok(progressed)
}

fn name(turn: &Turn<'_>) -> String {
    format!("{} {} #{}", turn.scenario.name, turn.server.name, turn.block + 1)
}

fn figures(report: &Report) -> String {
    let show = |metric: Metric| metric.of(report).map_or_else(|| "-".to_owned(), |value| metric.show(value));
    let reasons: Vec<&str> = report.validity.reasons.iter().map(|reason| reason.code.as_str()).collect();
    format!(
        "{:>10}/s  p99 {:>8}  {:>8}/op  {}",
        show(Metric::OpsS),
        show(Metric::P99),
        show(Metric::ServerCpu),
        reasons.join(" ")
    )
}

/// A report made earlier from the same description.
fn kept(surroundings: &Surroundings<'_>, turn: &Turn<'_>, path: &Path) -> Option<Report> {
    let report = path.is_file().then(|| Report::read(path).ok()).flatten()?;
    (report.tags.get(DESCRIPTION_TAG) == Some(&surroundings.description(turn))).then_some(report)
}

/// One turn. Nothing when it was interrupted: its window is shorter than the others'.
fn made(
    surroundings: &Surroundings<'_>,
    turn: &Turn<'_>,
    interrupt: &AtomicBool,
) -> Result<Option<Report>, String> {
    let is_interrupted = || interrupt.load(Ordering::Relaxed);
    if is_interrupted() {
        return Ok(None);
    }
    let report = surroundings.make(turn);
    if is_interrupted() {
        return Ok(None);
    }
    report.map(Some).map_err(|error| format!("{}: {error}\n(start it again to go on from here)", name(turn)))
}
