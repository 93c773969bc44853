//! How much tasks of the machine waited for processors, disks and memory during a run (the kernel's pressure stall
//! information): the difference of its running totals, so that only the run itself counts.

use std::fs;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::number::ratio;

/// Shares of the run's time in percent; null where the kernel does not tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pressure {
    /// Some task waited for a processor.
    pub cpu_some_pct: Option<f64>,
    /// Some task waited for a disk.
    pub io_some_pct: Option<f64>,
    /// All tasks waited for a disk.
    pub io_full_pct: Option<f64>,
    /// Some task waited for memory.
    pub memory_some_pct: Option<f64>,
    /// All tasks waited for memory.
    pub memory_full_pct: Option<f64>,
}

/// The kernel's totals at the start of a run.
#[derive(Clone, Copy, Debug)]
pub struct PressureStart {
    at: Instant,
    totals_us: [Option<u64>; 5],
}

impl PressureStart {
    /// Begins to watch.
    #[must_use]
    pub fn now() -> Self {
        Self { at: Instant::now(), totals_us: totals_us() }
    }

    /// The shares since then.
    #[must_use]
    pub fn finish(self) -> Pressure {
        let elapsed_us = self.at.elapsed().as_secs_f64() * 1e6;
        let now_us = totals_us();
        let share = |which: usize| {
            let stalled_us = now_us[which]?.saturating_sub(self.totals_us[which]?);
            Some((100.0 * ratio(stalled_us as f64, elapsed_us)).min(100.0))
        };
        Pressure {
            cpu_some_pct: share(0),
            io_some_pct: share(1),
            io_full_pct: share(2),
            memory_some_pct: share(3),
            memory_full_pct: share(4),
        }
    }
}

fn totals_us() -> [Option<u64>; 5] {
    let read = |what: &str| fs::read_to_string(format!("/proc/pressure/{what}")).unwrap_or_default();
    let (cpu, io, memory) = (read("cpu"), read("io"), read("memory"));
    [
        total(&cpu, "some"),
        total(&io, "some"),
        total(&io, "full"),
        total(&memory, "some"),
        total(&memory, "full"),
    ]
}

/// The `total=` of one line, in microseconds.
fn total(text: &str, line: &str) -> Option<u64> {
    let line = text.lines().find(|candidate| candidate.split(' ').next() == Some(line))?;
    line.split(' ').find_map(|field| field.strip_prefix("total="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_by_line() {
        let text = "some avg10=1.00 avg60=0.00 avg300=0.00 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=99\n";
        assert_eq!((total(text, "some"), total(text, "full")), (Some(1234), Some(99)));
        assert_eq!(total("", "some"), None);
    }

    #[test]
    fn shares_are_between_nothing_and_all_of_the_time() {
        let start = PressureStart::now();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let pressure = start.finish();
        for share in
            [pressure.cpu_some_pct, pressure.io_full_pct, pressure.memory_some_pct].into_iter().flatten()
        {
            assert!((0.0..=100.0).contains(&share), "{pressure:?}");
        }
    }
}
