//! Benches of the parts, the side-by-side harness against other servers, and the kill-and-restart test.
//!
//! Four programs stand on this library. `side_by_side` starts servers in turn, loads them alike and writes a report
//! with ratios: [`scenario`] -> [`server`] -> [`load`] -> [`report`] -> [`table`]. `kill_cycles` kills `ourod` under
//! load and checks what it still has: [`crash`]. `storage_report` measures the disk engine alone, where data is larger
//! than memory: [`storage`]. `differential` sends random requests to `ourod` and to `redis-server` and compares the
//! replies: [`differential`]. All see a server only as a client does: by its socket, its process id and its directory.

#![forbid(unsafe_code)]

pub mod binaries;
pub mod client;
pub mod crash;
pub mod differential;
pub mod disturbance;
pub mod info;
pub mod limits;
pub mod load;
pub mod machine;
pub mod process;
pub mod program;
pub mod progress;
pub mod report;
pub mod rng;
pub mod scenario;
pub mod server;
pub mod statistics;
pub mod storage;
pub mod table;
