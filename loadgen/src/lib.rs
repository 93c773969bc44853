//! A load generator for RESP servers whose latency histograms do not lie.
//!
//! The path of a run: options (`cli`) become a checked `plan`; `run` opens the connections, starts the workers
//! (`fleet`) and tells them each phase; each `worker` takes requests from its `generator`, when the `schedule` or a
//! reply says so, drives its connections over one ring and records latencies in its `tally`; `assemble` merges them
//! into a `report`, and `verdict` says whether its figures can be trusted.

#![forbid(unsafe_code)]

pub mod answer_check;
pub mod assemble;
pub mod audit;
pub mod audit_command;
pub mod audit_model;
pub mod audit_writer;
pub mod cli;
pub mod cli_values;
pub mod clock;
pub mod command_template;
pub mod connection;
pub mod control;
pub mod curve_plot;
pub mod environment;
pub mod error_counts;
pub mod exploration;
pub mod fleet;
pub mod generator;
pub mod insert_frontier;
pub mod key_picker;
pub mod keys;
pub mod latency;
pub mod limits;
pub mod null_server;
pub mod number;
pub mod operations;
pub mod phase;
pub mod phase_run;
pub mod plan;
pub mod plan_workload;
pub mod process;
pub mod progress;
pub mod rate_curve;
pub mod report;
pub mod requests;
pub mod rng;
pub mod run;
pub mod run_details;
pub mod schedule;
pub mod search;
pub mod selftest;
pub mod series;
pub mod server_facts;
pub mod shuffle;
pub mod sizes;
pub mod slo;
pub mod spawned_server;
pub mod summary;
pub mod tally;
pub mod target;
pub mod tls;
pub mod trace;
pub mod trace_file;
pub mod usage_watch;
pub mod values;
pub mod verdict;
pub mod verified_value;
pub mod worker;
pub mod worker_thread;
pub mod workloads;
pub mod ycsb_zipfian;
pub mod zeta;
pub mod zipf;
