//! A load generator for RESP servers whose latency histograms do not lie.
//!
//! The path of a run: options (`cli`) become a checked `plan`; `run` opens the connections, starts the workers
//! (`fleet`) and tells them each phase; each `worker` takes requests from its `generator`, when the `schedule` or a
//! reply says so, drives its connections over one ring and records latencies in its `tally`; `assemble` merges them
//! into a `report`, and `verdict` says whether its figures can be trusted.
//!
//! The path of reports: a `document` is read, shown (`summary`, `plot`, `html`), written in other forms (`export`) or
//! held against others (`comparison`, with the tests of `statistics` and the floor of `noise`); `matrix` makes many
//! runs of several servers in turn.

#![forbid(unsafe_code)]

pub mod agreement;
pub mod answer_check;
pub mod arrival;
pub mod assemble;
pub mod audit;
pub mod audit_command;
pub mod audit_model;
pub mod audit_writer;
pub mod cgroup;
pub mod cli;
pub mod cli_values;
pub mod clock;
pub mod command_template;
pub mod comparison;
pub mod connection;
pub mod control;
pub mod curve_plot;
pub mod document;
pub mod environment;
pub mod error_counts;

pub mod export;
pub mod file_system;
pub mod fleet;
pub mod generator;
pub mod html;
pub mod insert_frontier;
pub mod key_picker;
pub mod keys;
pub mod latency;
pub mod limits;
pub mod matrix;
pub mod noise;
pub mod null_server;
pub mod number;
pub mod operations;
pub mod phase;
pub mod phase_run;
pub mod plan;
pub mod plan_measurement;
pub mod plan_workload;
pub mod plot;
pub mod pressure;
pub mod process;
pub mod progress;
pub mod rate_curve;
pub mod report;
pub mod report_commands;
pub mod requests;
pub mod rng;
pub mod run;
pub mod run_details;
pub mod schedule;
pub mod search;
pub mod search_command;
pub mod selftest;
pub mod selftest_report;
pub mod series;
pub mod server_facts;
pub mod shuffle;
pub mod sizes;
pub mod slo;
pub mod spawned_server;
pub mod statistics;
pub mod summary;
pub mod sweep_command;
pub mod tally;
pub mod target;
pub mod tls;
pub mod trace;
pub mod trace_file;
pub mod usage_watch;
pub mod values;
pub mod verdict;
pub mod verified_value;
pub mod verify_share;
pub mod walk;
pub mod worker;
pub mod worker_thread;
pub mod workloads;
pub mod ycsb_zipfian;
pub mod zeta;
pub mod zipf;
