//! Samples CPU and memory of the server and of this process: at both ends of the measured window and once per
//! interval in between.

use crate::clock::now_ns;
use crate::environment::ProcessorTimes;
use crate::limits::INTERVAL_NS;
use crate::process::{CpuTime, ProcessFigures};
use crate::series::UsageSample;

/// All figures of one moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// When.
    pub at_ns: u64,
    /// CPU time of the server.
    pub server_cpu: Option<CpuTime>,
    /// Memory, I/O and switches of the server.
    pub server: ProcessFigures,
    /// CPU time of this process.
    pub client_cpu: Option<CpuTime>,
    /// CPU time of all tasks of the machine.
    pub machine_busy_ns: Option<u64>,
}

impl Moment {
    fn now(server_pid: Option<u32>) -> Self {
        Self {
            at_ns: now_ns(),
            server_cpu: server_pid.and_then(CpuTime::of),
            server: server_pid.map(ProcessFigures::of).unwrap_or_default(),
            client_cpu: CpuTime::of(std::process::id()),
            machine_busy_ns: ProcessorTimes::read().map(ProcessorTimes::busy_ns),
        }
    }

    fn sample(self) -> UsageSample {
        UsageSample {
            at_ns: self.at_ns,
            server_cpu_ns: self.server_cpu.map(CpuTime::total_ns),
            client_cpu_ns: self.client_cpu.map(CpuTime::total_ns),
            server_rss_bytes: self.server.rss_bytes,
        }
    }
}

/// Watches one measured phase.
#[derive(Debug)]
pub struct UsageWatch {
    server_pid: Option<u32>,
    next_ns: u64,
    /// When the last sample is due; `u64::MAX` when the end of the phase decides.
    end_ns: u64,
    first: Option<Moment>,
    last: Option<Moment>,
}

/// CPU time over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageOfWindow {
    /// Wall time between the samples.
    pub wall_ns: u64,
    /// CPU time of the server.
    pub server_cpu: Option<CpuTime>,
    /// CPU time of this process.
    pub client_cpu: Option<CpuTime>,
    /// CPU time of all tasks of the machine.
    pub machine_busy_ns: Option<u64>,
    /// Bytes the server read from storage.
    pub server_read_bytes: Option<u64>,
    /// Bytes the server wrote to storage.
    pub server_written_bytes: Option<u64>,
    /// Context switches of the server's main thread.
    pub server_switches: Option<u64>,
    /// The server at the end.
    pub server: ProcessFigures,
}

impl UsageWatch {
    /// Watches from `start_ns` to `end_ns`.
    #[must_use]
    pub const fn new(server_pid: Option<u32>, start_ns: u64, end_ns: u64) -> Self {
        Self { server_pid, next_ns: start_ns, end_ns, first: None, last: None }
    }

    /// When the next sample is due.
    #[must_use]
    pub const fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Takes a sample if one is due.
    pub fn poll(&mut self, now: u64) -> Option<UsageSample> {
        if now < self.next_ns {
            return None;
        }
        let moment = Moment::now(self.server_pid);
        if self.first.is_none() {
            self.first = Some(moment);
        } else if now >= self.end_ns {
            self.last = Some(moment);
        }
        self.next_ns = if self.last.is_some() {
            u64::MAX
        } else {
            self.end_ns.min(self.next_ns.saturating_add(INTERVAL_NS))
        };
        Some(moment.sample())
    }

    /// The figures of the window, sampled now if its end was not met. `None` when it never began.
    #[must_use]
    pub fn finish(mut self) -> Option<UsageOfWindow> {
        let first = self.first?;
        let last = self.last.take().unwrap_or_else(|| Moment::now(self.server_pid));
        let difference = |before: Option<u64>, after: Option<u64>| Some(after?.saturating_sub(before?));
        let cpu = |before: Option<CpuTime>, after: Option<CpuTime>| Some(after?.since(before?));
        Some(UsageOfWindow {
            wall_ns: last.at_ns.saturating_sub(first.at_ns),
            server_cpu: cpu(first.server_cpu, last.server_cpu),
            client_cpu: cpu(first.client_cpu, last.client_cpu),
            machine_busy_ns: difference(first.machine_busy_ns, last.machine_busy_ns),
            server_read_bytes: difference(first.server.io_read_bytes, last.server.io_read_bytes),
            server_written_bytes: difference(first.server.io_write_bytes, last.server.io_write_bytes),
            server_switches: difference(first.server.context_switches, last.server.context_switches),
            server: last.server,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_due_at_the_start_each_interval_and_the_end() {
        let mut watch = UsageWatch::new(Some(std::process::id()), 10, 10 + INTERVAL_NS * 3 / 2);
        assert!(watch.poll(9).is_none());
        let first = watch.poll(10).unwrap();
        assert_eq!(watch.next_ns(), 10 + INTERVAL_NS);
        assert!(watch.poll(11).is_none());
        assert!(watch.poll(10 + INTERVAL_NS).is_some());
        assert_eq!(watch.next_ns(), 10 + INTERVAL_NS * 3 / 2);
        let last = watch.poll(10 + INTERVAL_NS * 3 / 2).unwrap();
        assert!(watch.poll(u64::MAX - 1).is_none());
        let usage = watch.finish().unwrap();
        // The two may differ, as they are read one after the other.
        let between = |first: Option<u64>, last: Option<u64>| Some(last? - first?);
        assert_eq!(usage.server_cpu.map(CpuTime::total_ns), between(first.server_cpu_ns, last.server_cpu_ns));
        assert_eq!(usage.client_cpu.map(CpuTime::total_ns), between(first.client_cpu_ns, last.client_cpu_ns));
        assert!(usage.server_cpu.is_some() && usage.client_cpu.is_some());
        assert!(usage.server.rss_bytes.is_some());
    }

    #[test]
    fn an_unknown_server_has_no_figures_and_a_window_never_begun_none_at_all() {
        let mut watch = UsageWatch::new(None, 0, u64::MAX);
        watch.poll(1);
        let usage = watch.finish().unwrap();
        assert_eq!((usage.server_cpu, usage.server_read_bytes), (None, None));
        assert!(usage.client_cpu.is_some());
        assert!(UsageWatch::new(None, 0, u64::MAX).finish().is_none());
    }
}
