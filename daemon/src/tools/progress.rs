//! Progress on stderr: one line that is written over where stderr is a terminal, plain lines now and then where not.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use engine::offline::Step;

/// How often the line of a terminal is written anew.
const ON_TERMINAL: Duration = Duration::from_millis(200);
/// How often a plain line is written.
const PLAIN: Duration = Duration::from_secs(5);

/// Shows how far a piece of work has come. Dropped, it leaves the line empty.
pub(super) struct Progress {
    terminal: bool,
    next: Instant,
    shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        // What takes less than this needs no progress.
        let next = Instant::now() + if terminal { Duration::from_secs(1) } else { PLAIN };
        Self { terminal, next, shown: false }
    }

    pub(super) fn show(&mut self, step: Step) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + if self.terminal { ON_TERMINAL } else { PLAIN };
        let (scale, unit) = if step.unit == "bytes" { (20, "MiB") } else { (0, step.unit) };
        let mut line = format!("{}: {} {unit}", step.what, step.done >> scale);
        if step.total > 0 {
            let percent = (u128::from(step.done) * 100 / u128::from(step.total)).min(100);
            line = format!(
                "{}: {} of {} {unit}, {percent} %",
                step.what,
                step.done >> scale,
                step.total >> scale
            );
        }
        self.write(&line);
    }

    fn write(&mut self, line: &str) {
        let mut stderr = std::io::stderr().lock();
        // Progress that cannot be shown is no reason to stop.
        let _ = if self.terminal { write!(stderr, "\r\x1b[K{line}") } else { writeln!(stderr, "{line}") };
        let _ = stderr.flush();
        self.shown = true;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal && self.shown {
            self.write("");
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, "\r");
        }
    }
}
