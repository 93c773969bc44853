//! The one clock of a run: CLOCK_MONOTONIC in nanoseconds, the clock that the ring's timer uses.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds since an arbitrary start; never goes back.
#[must_use]
pub fn now_ns() -> u64 {
    ring::monotonic_ns()
}

/// CPU time that the calling thread has used.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    timespec_ns(clock_gettime(ClockId::ThreadCPUTime))
}

fn timespec_ns(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).expect("these clocks start at zero");
    let nanoseconds = u64::try_from(time.tv_nsec).expect("a timespec is normalised");
    seconds * 1_000_000_000 + nanoseconds
}

/// The wall clock as RFC 3339 in UTC, for people who read reports.
#[must_use]
pub fn wall_clock_rfc3339() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(since_epoch.as_secs())
}

/// Unix seconds as `2026-01-31T23:59:59Z`.
fn rfc3339(unix_seconds: u64) -> String {
    let days = unix_seconds / 86_400;
    let second = unix_seconds % 86_400;
    // Days since 1970 to a date of the proleptic Gregorian calendar, counted in 400-year eras that begin
    // in March (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_seconds_become_dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_798_761_599), "2026-12-31T23:59:59Z");
    }

    #[test]
    fn monotonic_clock_does_not_go_back() {
        let first = now_ns();
        assert!(now_ns() >= first);
    }
}
