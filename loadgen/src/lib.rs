//! A load generator for RESP servers whose latency histograms do not lie.
//!
//! The path of a run: options ([`cli`]) become a checked plan, the coordinator opens the connections and starts
//! the workers; each worker draws keys, writes requests from templates, drives its connections over one ring and
//! records latencies from the intended start; the coordinator merges them into a report.

#![forbid(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod connection;
pub mod control;
pub mod environment;
pub mod error_counts;
pub mod generator;
pub mod keys;
pub mod latency;
pub mod limits;
pub mod number;
pub mod phase;
pub mod plan;
pub mod process;
pub mod report;
pub mod requests;
pub mod rng;
pub mod schedule;
pub mod series;
pub mod shuffle;
pub mod tally;
pub mod target;
pub mod values;
pub mod worker;
pub mod worker_thread;
pub mod zipf;
