//! How a ring is set up: queue sizes, receive buffers, and the mode of the kernel's work.

use crate::error::RingError;
use crate::limits::{COMPLETION_ENTRIES_MAX, ENTRIES_MAX, RECV_BUFFERS_MAX, SPIN_NS_MAX};

/// How the kernel runs the completion side of operations, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetupMode {
    /// `SINGLE_ISSUER | DEFER_TASKRUN` (Linux 6.1): only while the worker waits, never interrupting it.
    Defer,
    /// `COOP_TASKRUN` (Linux 5.19): at any system call of the worker, without an interrupt between cores.
    Coop,
    /// No flags: the worker is interrupted.
    Plain,
}

impl SetupMode {
    /// One word for INFO and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Defer => "defer_taskrun",
            Self::Coop => "coop_taskrun",
            Self::Plain => "plain",
        }
    }
}

/// Sizes of a ring. All queues are bounded by it.
#[derive(Clone, Debug)]
pub struct RingConfig {
    /// Submission entries, 1 to 32,768, rounded up to a power of two by the kernel. More in one turn costs one more
    /// system call per this many.
    pub entries: u32,
    /// Completion entries, at least `entries`, at most 65,536. More at once are held by the kernel.
    pub cq_entries: u32,
    /// Receive buffers shared by all sockets: a power of two up to 32,768, or 0 for a ring that never receives.
    pub recv_buffer_count: u16,
    /// Size of a receive buffer.
    pub recv_buffer_bytes: u32,
    /// How long a wait looks for completions before it sleeps, in nanoseconds; 0 sleeps at once. A few microseconds
    /// spare wake-ups between busy cores; it burns processor time that nobody else may need.
    pub spin_ns: u64,
    /// The best mode to try. Lower it to measure, or to work around a kernel.
    pub best_mode: SetupMode,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self {
            entries: 512,
            cq_entries: 4096,
            recv_buffer_count: 256,
            recv_buffer_bytes: 16 << 10,
            spin_ns: 0,
            best_mode: SetupMode::Defer,
        }
    }
}

impl RingConfig {
    pub(crate) fn check(&self) -> Result<(), RingError> {
        let fault = if self.entries == 0 || self.entries > ENTRIES_MAX {
            "entries must be 1 to 32768"
        } else if self.cq_entries < self.entries || self.cq_entries > COMPLETION_ENTRIES_MAX {
            "cq_entries must be at least entries and at most 65536"
        } else if self.recv_buffer_count > RECV_BUFFERS_MAX {
            "recv_buffer_count must be at most 32768"
        } else if self.recv_buffer_count > 0 && !self.recv_buffer_count.is_power_of_two() {
            "recv_buffer_count must be a power of two or 0"
        } else if self.recv_buffer_count > 0
            && (self.recv_buffer_bytes == 0 || self.recv_buffer_bytes > 1 << 30)
        {
            "recv_buffer_bytes must be 1 to 2^30"
        } else if self.spin_ns > SPIN_NS_MAX {
            "spin_ns must be at most one second"
        } else {
            return Ok(());
        };
        Err(RingError::Configuration(fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_out_of_range_are_refused() {
        let good = RingConfig::default();
        good.check().unwrap();
        for bad in [
            RingConfig { entries: 0, ..good.clone() },
            RingConfig { entries: 65_536, cq_entries: 65_536, ..good.clone() },
            RingConfig { cq_entries: 256, ..good.clone() },
            RingConfig { recv_buffer_count: 3, ..good.clone() },
            RingConfig { recv_buffer_bytes: 0, ..good.clone() },
            RingConfig { spin_ns: SPIN_NS_MAX + 1, ..good.clone() },
        ] {
            assert!(matches!(bad.check(), Err(RingError::Configuration(_))), "{bad:?}");
        }
        RingConfig { recv_buffer_count: 0, recv_buffer_bytes: 0, ..good }.check().unwrap();
    }
}
