//! What a user sees while measuring: the line at hand is written over the last one and cleared at the end. Not on a
//! terminal: one line a step, so that a log stays readable.

use std::io::{self, IsTerminal, Write};

/// The line at hand, on standard error.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    shown: bool,
}

impl Progress {
    /// Nothing shown yet.
    #[must_use]
    pub fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), shown: false }
    }

    /// Shows what is going on now.
    pub fn now(&mut self, text: &str) {
        if self.terminal {
            write_error(&format!("\r\x1b[2K{text}"));
            self.shown = true;
        } else {
            write_error(&format!("{text}\n"));
        }
    }

    /// Leaves a line for good.
    pub fn line(&mut self, text: &str) {
        self.clear();
        write_error(&format!("{text}\n"));
    }

    /// Takes the line at hand away.
    pub fn clear(&mut self) {
        if self.shown {
            write_error("\r\x1b[2K");
            self.shown = false;
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn write_error(text: &str) {
    // A closed terminal is no reason to stop measuring.
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
