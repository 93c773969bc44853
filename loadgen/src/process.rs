//! CPU time and memory of a process, read from /proc.
//!
//! The CPU time of the server over the measured window, divided by the requests of the window, is the figure
//! that a slow client cannot blur.

use std::fs;

/// CPU time of a process with all its threads, in nanoseconds since it started. Its grain is the kernel's
/// clock tick, 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime {
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
}

impl CpuTime {
    /// User and system time together.
    #[must_use]
    pub const fn total_ns(self) -> u64 {
        self.user_ns + self.system_ns
    }

    /// CPU time of a process, or nothing when it has ended.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, ticks_per_second)
    }

    /// The time used since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            user_ns: self.user_ns.saturating_sub(earlier.user_ns),
            system_ns: self.system_ns.saturating_sub(earlier.system_ns),
        }
    }
}

/// Fields 14 and 15, counted after the name, which may itself hold spaces and brackets.
fn parse_stat(stat: &str, ticks_per_second: u64) -> Option<CpuTime> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let mut next_ns = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        ticks.checked_mul(1_000_000_000)?.checked_div(ticks_per_second)
    };
    Some(CpuTime { user_ns: next_ns()?, system_ns: next_ns()? })
}

/// Memory, I/O and switches of a process. Each is absent where /proc does not tell (another user's process).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessFigures {
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// Largest resident memory so far.
    pub rss_peak_bytes: Option<u64>,
    /// Bytes read from storage.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to storage.
    pub io_write_bytes: Option<u64>,
    /// Context switches of the main thread, voluntary and not.
    pub context_switches: Option<u64>,
}

impl ProcessFigures {
    /// Reads all that can be read.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let kib = |name| field(&status, name).and_then(|kib: u64| kib.checked_mul(1024));
        let voluntary = field(&status, "voluntary_ctxt_switches:");
        let involuntary = field(&status, "nonvoluntary_ctxt_switches:");
        Self {
            rss_bytes: kib("VmRSS:"),
            rss_peak_bytes: kib("VmHWM:"),
            io_read_bytes: field(&io, "read_bytes:"),
            io_write_bytes: field(&io, "write_bytes:"),
            context_switches: voluntary.zip(involuntary).map(|(a, b)| a + b),
        }
    }
}

/// Switches of the calling thread that it did not ask for: another process had its core.
#[must_use]
pub fn thread_involuntary_switches() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0)
}

/// The number after `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_brackets() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 70 0 0 20 0 3 0 100 1 1";
        let time = parse_stat(stat, 100).unwrap();
        assert_eq!(time, CpuTime { user_ns: 2_500_000_000, system_ns: 700_000_000 });
        assert_eq!(time.total_ns(), 3_200_000_000);
    }

    #[test]
    fn cut_or_foreign_text_is_no_time() {
        assert_eq!(parse_stat("", 100), None);
        assert_eq!(parse_stat("42 (x) S 1 2", 100), None);
        assert_eq!(parse_stat("42 (x) S 1 42 42 0 -1 4194560 100 0 0 0 a b", 100), None);
    }

    #[test]
    fn own_figures_are_there_and_a_dead_process_has_none() {
        let own = ProcessFigures::of(std::process::id());
        assert!(own.rss_bytes.unwrap() > 100_000);
        assert!(own.rss_peak_bytes >= own.rss_bytes);
        assert!(CpuTime::of(std::process::id()).is_some());
        assert_eq!(CpuTime::of(u32::MAX), None);
        assert_eq!(ProcessFigures::of(u32::MAX), ProcessFigures::default());
    }
}
