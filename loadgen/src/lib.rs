//! A load generator for RESP servers whose latency histograms do not lie.
//!
//! The path of a run: options (`cli`) become a checked `plan`; `run` opens the connections, starts the workers
//! (`fleet`) and tells them each phase; each `worker` takes requests from its `generator`, when the `schedule` or a
//! reply says so, drives its connections over one ring and records latencies in its `tally`; `assemble` merges them
//! into a `report`, and `verdict` says whether its figures can be trusted.

#![forbid(unsafe_code)]

pub mod assemble;
pub mod cgroup;
pub mod cli;
pub mod clock;
pub mod connection;
pub mod control;
pub mod environment;
pub mod error_counts;
pub mod file_system;
pub mod fleet;
pub mod generator;
pub mod keys;
pub mod latency;
pub mod limits;
pub mod number;
pub mod phase;
pub mod phase_run;
pub mod plan;
pub mod pressure;
pub mod process;
pub mod progress;
pub mod report;
pub mod requests;
pub mod rng;
pub mod run;
pub mod schedule;
pub mod series;
pub mod server_facts;
pub mod shuffle;
pub mod statistics;
pub mod summary;
pub mod tally;
pub mod target;
pub mod usage_watch;
pub mod values;
pub mod verdict;
pub mod worker;
pub mod worker_thread;
pub mod zipf;
