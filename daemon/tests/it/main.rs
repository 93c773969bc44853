//! The daemon as its users meet it: the real `ourod` in a process of its own, spoken to over its sockets, killed,
//! damaged and started again. One noun a file; `server` and `wire` are what the tests stand on.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says where and why")]

mod abuse;
mod access;
mod bad_input;
mod big_values;
mod chaos;
mod clients;
mod confinement;
mod connections;
mod damage;
mod differential;
mod events;
mod faults;
mod foreign_client;
mod full_data;
mod full_disk;
mod held_keys;
mod kills;
mod memory_limit;
mod options;
mod packaging;
mod pipelines;
mod pubsub;
mod redis;
mod redis_tools;
mod restarts;
mod saves;
mod server;
mod service_manager;
mod slow_clients;
mod small_disk;
mod stopping;
mod swapdb;
mod swapdb_clients;
mod swapdb_ends;
mod sync_policy;
mod tls;
mod tls_limits;
mod tools;
mod tracking;
mod walks;
mod watching;
mod wire;
mod without_log;
