//! Every bound of the control plane, in one place.

use std::time::Duration;

/// Bytes of a request's head (request line and headers) at most.
pub(super) const REQUEST_BYTES_MAX: usize = 8 << 10;
/// Headers of a request at most.
pub(super) const HEADERS_MAX: usize = 64;
/// Bytes thrown away after the answer at most: what a client had still to say when it was refused.
pub(super) const LINGER_BYTES_MAX: usize = 64 << 10;
/// Bytes of one line of the log at most, its end included. What is longer is cut, and marked so.
pub(super) const LOG_LINE_BYTES_MAX: usize = 4096;
/// Entries of the control thread's submission queue. More in one turn cost one more system call.
pub(super) const RING_ENTRIES: u32 = 64;
/// Age of a worker's last sign of life above which it counts as stuck, in milliseconds. A worker that has nothing to
/// do gives one every second.
pub(super) const HEARTBEAT_AGE_MAX_MS: u64 = 5_000;
/// How long accepting rests after an error, such as no descriptor being left.
pub(super) const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How often the service manager is told what has changed at most, and at least, while clients are served: a quarter of
/// its watchdog's time in between.
pub(super) const NOTIFY_TICK: Duration = Duration::from_secs(1);
/// The least time from one word to the service manager to the next.
pub(super) const NOTIFY_TICK_MIN: Duration = Duration::from_millis(20);
/// How often it is told while the daemon starts or stops.
pub(super) const START_TICK: Duration = Duration::from_millis(100);
/// How much more time a start or a stop asks for at a time as long as it gets on.
pub(super) const START_EXTENSION: Duration = Duration::from_secs(30);
/// Connections that may wait to be accepted.
pub(super) const BACKLOG: i32 = 128;

/// Bounds of the admin address. A value, so that tests need not wait for the real ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AdminLimits {
    /// Connections at one time at most. Further ones wait to be accepted.
    pub connections_max: usize,
    /// How long a connection may take from its acceptance to the last byte of its answer.
    pub exchange: Duration,
    /// How long telling a client that it was too slow may take after that.
    pub apology: Duration,
    /// How long a client that was answered may take to close.
    pub linger: Duration,
    /// How long a stop waits for answers under way.
    pub stop: Duration,
}

impl Default for AdminLimits {
    fn default() -> Self {
        Self {
            connections_max: 64,
            exchange: Duration::from_secs(10),
            apology: Duration::from_secs(1),
            linger: Duration::from_secs(1),
            stop: Duration::from_secs(1),
        }
    }
}

// A request must fit with room for what a real client sends, and be small enough to be held for each of them.
const _: () = assert!(REQUEST_BYTES_MAX >= 4096 && REQUEST_BYTES_MAX <= 64 << 10);
