//! What the user sees while a run goes on: a bar on a terminal, else plain lines that a log can keep.

use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::Live;
use crate::latency::format_ns;
use crate::series::Interval;

/// The display. Everything goes to standard error: standard output is for results.
#[derive(Debug)]
pub enum Progress {
    /// A bar that is drawn over itself.
    Bar(ProgressBar),
    /// A line per event.
    Lines,
    /// Nothing.
    Silent,
}

impl Progress {
    /// The display that the user asked for and the terminal can show.
    #[must_use]
    pub fn new(live: Live) -> Self {
        match live {
            Live::None => Self::Silent,
            Live::Auto if std::io::stderr().is_terminal() => {
                let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
                Self::Bar(ProgressBar::with_draw_target(Some(0), target))
            }
            Live::Auto | Live::Plain => Self::Lines,
        }
    }

    /// Says something that stays on the screen.
    pub fn say(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.println(text),
            Self::Lines => write_line(text),
            Self::Silent => {}
        }
    }

    /// Begins a part of the run with `length` steps of its own unit.
    pub fn begin(&self, name: &'static str, length: u64) {
        match self {
            Self::Bar(bar) => {
                let style = ProgressStyle::with_template("{prefix:>9} [{bar:30}] {percent:>3}% {wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
                bar.reset();
                bar.set_message("");
                bar.set_prefix(name);
                bar.set_length(length.max(1));
                bar.set_style(style.progress_chars("=> "));
                bar.enable_steady_tick(Duration::from_millis(250));
            }
            Self::Lines => write_line(name),
            Self::Silent => {}
        }
    }

    /// Shows how far the part is.
    pub fn set_position(&self, position: u64) {
        if let Self::Bar(bar) = self {
            bar.set_position(position.min(bar.length().unwrap_or(position)));
        }
    }

    /// Shows what the part does, on the bar only.
    pub fn set_message(&self, message: String) {
        if let Self::Bar(bar) = self {
            bar.set_message(message);
        }
    }

    /// Shows an interval of the measured window.
    pub fn interval(&self, interval: &Interval, interval_s: f64) {
        match self {
            Self::Bar(bar) => bar.set_message(describe(interval, interval_s)),
            Self::Lines => {
                let end_s = (interval.number + 1) as f64 * interval_s;
                write_line(&format!("{end_s:>6.0} s  {}", describe(interval, interval_s)));
            }
            Self::Silent => {}
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

const REDRAWS_PER_SECOND: u8 = 5;

fn describe(interval: &Interval, interval_s: f64) -> String {
    let rate = interval.operations as f64 / interval_s;
    let latency = |quantile| format_ns(interval.latency.quantile(quantile));
    let errors = match interval.errors {
        0 => String::new(),
        count => format!("  {} errors", group_digits(count)),
    };
    format!(
        "{:>11} op/s  p50 {:>8}  p99 {:>8}{errors}",
        group_digits(crate::number::floor_u64(rate)),
        latency(0.5),
        latency(0.99)
    )
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn write_line(text: &str) {
    // A closed standard error is no reason to stop measuring.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(group_digits(number), text);
        }
    }

    #[test]
    fn an_interval_is_one_line_with_rate_and_percentiles() {
        let mut interval = Interval::new(3);
        interval.operations = 12_345;
        (0..2000).for_each(|_| interval.latency.record(50_000));
        let text = describe(&interval, 1.0);
        assert!(text.contains("12,345 op/s") && !text.contains("errors"), "{text}");
        interval.errors = 7;
        assert!(describe(&interval, 1.0).contains("7 errors"));
    }
}
