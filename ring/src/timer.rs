//! The ring's one timer: an absolute time at which a wait returns.
//!
//! Rule: the kernel's timer fires at or before the wanted time. Moving the wanted time later, or off, costs nothing:
//! the kernel's timer then fires early once and is set anew. Only an earlier time costs an entry.

use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};

use crate::user_data::UserData;

const NS_PER_SECOND: u64 = 1_000_000_000;

pub(crate) struct Timer {
    wanted_ns: Option<u64>,
    /// When the kernel's timer fires.
    armed_ns: Option<u64>,
    /// Read by the kernel when the entry is submitted; boxed, so that its address holds until then.
    time: Box<types::Timespec>,
}

impl Timer {
    pub(crate) fn new() -> Self {
        Self { wanted_ns: None, armed_ns: None, time: Box::new(types::Timespec::new()) }
    }

    pub(crate) fn set(&mut self, wanted_ns: Option<u64>) {
        self.wanted_ns = wanted_ns;
    }

    /// The entry that brings the kernel's timer in line, if it would fire too late. It names memory of `self` that
    /// must stay until submission.
    pub(crate) fn next_entry(&mut self) -> Option<Entry> {
        let wanted = self.wanted_ns?;
        if self.armed_ns.is_some_and(|armed| armed <= wanted) {
            return None;
        }
        let nanoseconds = u32::try_from(wanted % NS_PER_SECOND).expect("below one second");
        *self.time = types::Timespec::new().sec(wanted / NS_PER_SECOND).nsec(nanoseconds);
        let time = &raw const *self.time;
        let entry = if self.armed_ns.is_none() {
            opcode::Timeout::new(time)
                .flags(types::TimeoutFlags::ABS)
                .build()
                .user_data(UserData::Timer.encode())
        } else {
            // It fails if the timer fires just now; its completion then leads here again.
            opcode::TimeoutUpdate::new(UserData::Timer.encode(), time)
                .flags(types::TimeoutFlags::ABS)
                .build()
                .flags(Flags::SKIP_SUCCESS)
                .user_data(UserData::Ignored.encode())
        };
        self.armed_ns = Some(wanted);
        Some(entry)
    }

    /// The kernel's timer has fired (or was cancelled). True if the wanted time has come.
    pub(crate) fn fired(&mut self, now_ns: u64) -> bool {
        self.armed_ns = None;
        let due = self.wanted_ns.is_some_and(|wanted| wanted <= now_ns);
        if due {
            self.wanted_ns = None;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_earlier_time_costs_an_entry() {
        let mut timer = Timer::new();
        assert!(timer.next_entry().is_none());
        timer.set(Some(1_000));
        assert!(timer.next_entry().is_some());
        timer.set(Some(2_000));
        assert!(timer.next_entry().is_none());
        timer.set(None);
        assert!(timer.next_entry().is_none());
        timer.set(Some(500));
        assert!(timer.next_entry().is_some());
    }

    #[test]
    fn early_firing_is_silent_and_sets_the_timer_anew() {
        let mut timer = Timer::new();
        timer.set(Some(1_000));
        timer.next_entry();
        timer.set(Some(2_000));
        assert!(!timer.fired(1_001));
        assert!(timer.next_entry().is_some());
        assert!(timer.fired(2_000));
        assert!(timer.next_entry().is_none());
    }
}
