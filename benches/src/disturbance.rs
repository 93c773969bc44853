//! What kept a server from running: time that the hypervisor took from its core, and time that its threads could have run
//! and others ran there. A long turn or a slow reply in the same stretch may be theirs, not the server's.
//!
//! Sources: `/proc/stat`, field 8 of a processor, in clock ticks of 10 ms; `/proc/PID/task/TID/schedstat`, field 2, in ns
//! (Documentation/scheduler/sched-stats.rst).

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity};

use crate::process::pinned;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// Since it was last asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disturbance {
    /// Milliseconds that the hypervisor took from the core.
    pub stolen_ms: f64,
    /// The most between two looks, 100 ms apart.
    pub stolen_ms_max: f64,
    /// Milliseconds that the thread of the process that waited most could have run and did not.
    pub waited_ms: f64,
    /// The most between two looks.
    pub waited_ms_max: f64,
}

impl Disturbance {
    fn note(&mut self, stolen_ms: f64, waited_ms: f64) {
        self.stolen_ms += stolen_ms;
        self.stolen_ms_max = self.stolen_ms_max.max(stolen_ms);
        self.waited_ms += waited_ms;
        self.waited_ms_max = self.waited_ms_max.max(waited_ms);
    }

    /// As figures of a report.
    #[must_use]
    pub const fn figures(&self) -> [(&'static str, f64); 4] {
        [
            ("core_stolen_ms", self.stolen_ms),
            ("core_stolen_ms_in_100_ms_max", self.stolen_ms_max),
            ("runnable_waited_ms", self.waited_ms),
            ("runnable_waited_ms_in_100_ms_max", self.waited_ms_max),
        ]
    }
}

/// Looks at one process on one core, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<Mutex<Disturbance>>,
    /// Dropped to end the thread.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins. `cpu`: the core of the server; the looking is done on another one, where there is one.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(pid: u32, cpu: usize) -> std::io::Result<Self> {
        let seen = Arc::new(Mutex::new(Disturbance::default()));
        let (stop, stopped) = mpsc::channel();
        let allowed = sched_getaffinity(None)?;
        let others: Vec<usize> =
            (0..CpuSet::MAX_CPU).filter(|&other| other != cpu && allowed.is_set(other)).collect();
        let shared = Arc::clone(&seen);
        let look = move || {
            let mut stolen = stolen_ticks(cpu);
            let mut waited = waited_ns(pid);
            while stopped.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                let (stolen_now, waited_now) = (stolen_ticks(cpu), waited_ns(pid));
                let ticks = stolen_now.saturating_sub(stolen) as f64;
                let ms = ticks * 1e3 / rustix::param::clock_ticks_per_second() as f64;
                let most = waited_now
                    .iter()
                    .map(|(thread, now)| now.saturating_sub(waited.get(thread).copied().unwrap_or(*now)));
                let most_ms = most.max().unwrap_or(0) as f64 / 1e6;
                shared.lock().unwrap_or_else(PoisonError::into_inner).note(ms, most_ms);
                (stolen, waited) = (stolen_now, waited_now);
            }
        };
        let thread = pinned(&others, || std::thread::Builder::new().name("watch".to_owned()).spawn(look))?;
        Ok(Self { seen, stop: Some(stop), thread: Some(thread) })
    }

    /// What was seen since this was last asked.
    #[must_use]
    pub fn take(&self) -> Disturbance {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was told there.
            let _ = thread.join();
        }
    }
}

/// 0 where the kernel does not say.
fn stolen_ticks(cpu: usize) -> u64 {
    fs::read_to_string("/proc/stat").ok().and_then(|text| parse_stolen(&text, cpu)).unwrap_or(0)
}

fn parse_stolen(stat: &str, cpu: usize) -> Option<u64> {
    let name = format!("cpu{cpu}");
    let line = stat.lines().find(|line| line.split_ascii_whitespace().next() == Some(&name))?;
    line.split_ascii_whitespace().nth(8)?.parse().ok()
}

/// By thread; without those that have just ended.
fn waited_ns(pid: u32) -> HashMap<String, u64> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return HashMap::new() };
    threads
        .flatten()
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let waited = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
            Some((thread.file_name().to_string_lossy().into_owned(), waited))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stolen_time_of_a_core_is_its_eighth_field() {
        let stat = "cpu  1 2 3 4 5 6 7 80 9 10\ncpu1 1 2 3 4 5 6 7 30 9 10\ncpu11 1 2 3 4 5 6 7 50 9 10\n";
        assert_eq!(parse_stolen(stat, 1), Some(30));
        assert_eq!(parse_stolen(stat, 11), Some(50));
        assert_eq!(parse_stolen(stat, 2), None);
    }

    #[test]
    fn two_who_want_one_core_wait_for_each_other() {
        let mut busy = std::process::Command::new("sh");
        busy.args(["-c", "while :; do :; done"]);
        let log = tempfile::NamedTempFile::new().unwrap();
        let first = crate::process::Process::start(&mut busy, &[0], log.path()).unwrap();
        let _second = crate::process::Process::start(&mut busy, &[0], log.path()).unwrap();
        let watch = Watch::start(first.id(), 0).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let mut sum = Disturbance::default();
        while sum.waited_ms < 50.0 {
            assert!(std::time::Instant::now() < deadline, "{sum:?}");
            std::thread::sleep(Duration::from_millis(50));
            let seen = watch.take();
            assert!(seen.waited_ms_max <= seen.waited_ms);
            sum.note(seen.stolen_ms, seen.waited_ms);
        }
    }
}
