//! Every bound of the harness, in one place.

use std::time::Duration;

/// How long a server may take until it answers: it loads what it has first.
pub const START_TIME_MAX: Duration = Duration::from_secs(120);
/// How long a server may take to stop when asked to.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// How long one reply may take. Far beyond any stall of a disk: no reply by then is a hang.
pub const REPLY_TIME_MAX: Duration = Duration::from_secs(30);
/// Time between two looks at a server that is starting.
pub const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Longest time for one command of a load generator.
pub const LOAD_TIME_MAX: Duration = Duration::from_secs(600);
/// Bytes of a server's log shown when it fails.
pub const LOG_TAIL_BYTES: usize = 4096;
/// Most replies one client call gathers: a pipeline of the checker.
pub const PIPELINE_MAX: usize = 512;
