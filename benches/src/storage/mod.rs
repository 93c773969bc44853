//! The storage report: the disk engine where data is larger than memory, and what starts cost.
//!
//! Every group starts `ourod` processes of its own on a fresh directory: [`larger`] (loads, serves, restarts, reads
//! against fio and against an exact LRU), [`space`] (what overwriting costs in writes, disk space and latency),
//! [`expiry`] (what it costs others when millions of keys end at once), [`start`] (how fast a start is), [`index_bytes`] (memory of the index by number of keys, without a process).

pub mod bar;
pub mod bench;
pub mod exact_lru;
pub mod expiry;
pub mod fio;
pub mod index_bytes;
pub mod larger;
pub mod report;
pub mod space;
pub mod start;
pub mod zipf_trace;
