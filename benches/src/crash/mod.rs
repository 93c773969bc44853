//! What a server may have after it was killed: the test behind the promise that nothing acknowledged is lost.
//!
//! Writers ([`writer`]) send operations ([`operation`]) drawn by a seed ([`workload`]) and keep what was sent and
//! what was acknowledged ([`history`]); readers ([`reader`]) keep what they saw. The server is killed and started
//! again ([`cycles`]), asked for all it has ([`survey`]), and the answers are held against the histories
//! ([`checker`]), which knows nothing of sockets and processes.

pub mod checker;
pub mod cycles;
pub mod history;
pub mod key_state;
pub mod operation;
pub mod power;
pub mod reader;
pub mod strand;
pub mod survey;
pub mod tally;
pub mod violation;
pub mod workload;
pub mod writer;
