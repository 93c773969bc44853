//! State of a command that goes over all keys in bounded steps, KEYS: one on each worker.

use super::store::ScanCursor;

/// How far a walk has come on one worker, and what it has found.
#[derive(Debug, Default)]
pub struct WalkState {
    /// Where to go on; none before the first step.
    pub cursor: Option<ScanCursor>,
    /// How many elements `out` holds.
    pub count: usize,
    /// The elements, as RESP: the router writes the array's head, with the sum of the workers' counts, before them.
    pub out: Vec<u8>,
}
