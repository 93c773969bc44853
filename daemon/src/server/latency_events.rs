//! What LATENCY tells of: when something took `latency-monitor-threshold` milliseconds or longer, by kind of event. Only
//! what was that slow comes here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Seconds with a sample that are kept of an event. Source: `LATENCY_TS_LEN` of Redis.
const SAMPLES_MAX: usize = 160;

/// The longest that an event took within one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencySample {
    /// The second, Unix time.
    pub at_s: u64,
    /// How long it took, in milliseconds; at least 1.
    pub ms: u64,
}

/// What is known of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencySeries {
    /// Oldest first; not empty.
    pub samples: VecDeque<LatencySample>,
    /// The longest ever, in milliseconds.
    pub max_ms: u64,
}

impl LatencySeries {
    fn add(&mut self, sample: LatencySample) {
        self.max_ms = self.max_ms.max(sample.ms);
        if let Some(last) = self.samples.back_mut()
            && last.at_s == sample.at_s
        {
            last.ms = last.ms.max(sample.ms);
            return;
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

/// All events with samples, by name.
#[derive(Debug, Default)]
pub struct LatencyEvents {
    events: Mutex<BTreeMap<&'static str, LatencySeries>>,
}

impl LatencyEvents {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, LatencySeries>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how long an event took; what took no whole millisecond is none.
    pub fn note(&self, event: &'static str, at_s: u64, ms: u64) {
        if ms > 0 {
            self.lock().entry(event).or_default().add(LatencySample { at_s, ms });
        }
    }

    /// All events, by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, LatencySeries> {
        self.lock().clone()
    }

    /// What is known of an event.
    #[must_use]
    pub fn of(&self, event: &[u8]) -> Option<LatencySeries> {
        self.lock().iter().find(|(name, _)| name.as_bytes() == event).map(|(_, series)| series.clone())
    }

    /// Forgets all events that are picked, and tells how many.
    pub fn reset(&self, picks: impl Fn(&str) -> bool) -> usize {
        let mut events = self.lock();
        let before = events.len();
        events.retain(|name, _| !picks(name));
        before - events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_a_second_is_kept_and_so_many_of_them() {
        let events = LatencyEvents::default();
        for (at_s, ms) in [(1, 5), (1, 9), (1, 7), (2, 3), (2, 0)] {
            events.note("command", at_s, ms);
        }
        let series = events.of(b"command").unwrap();
        let expected = [LatencySample { at_s: 1, ms: 9 }, LatencySample { at_s: 2, ms: 3 }];
        assert_eq!((Vec::from(series.samples), series.max_ms), (expected.to_vec(), 9));
        for second in 3..500 {
            events.note("command", second, 1);
        }
        let series = events.of(b"command").unwrap();
        assert_eq!((series.samples.len(), series.samples[0].at_s, series.max_ms), (SAMPLES_MAX, 340, 9));
        assert_eq!((events.reset(|name| name == "x"), events.reset(|_| true)), (0, 1));
        assert_eq!(events.of(b"command"), None);
    }
}
