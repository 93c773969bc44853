//! ourod: a key-value daemon on io_uring that speaks RESP.

pub mod acl;
pub mod commands;
pub mod connection;
pub mod control;
mod entry;
pub mod file_limit;
pub mod listeners;
pub mod open_store;
pub mod options;
pub mod pubsub;
pub mod run;
pub mod server;
pub mod session;
pub mod tls;
pub mod tools;
pub mod tracking;

pub use entry::main_with;
