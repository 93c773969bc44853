//! From sockets to replies: the connections of a worker and the routing of their commands.
//!
//! The path of a request: `arrivals` accepts its connection -> `intake` receives and parses -> `routes` finds where it
//! runs -> a handler here (`running`), or a [`message`] to the worker that owns the key (`outbox`, `mail`) -> `output` or
//! `reply_slots` -> released by the log's watermark -> `delivery` sends. [`service`] calls them in the order of a turn.

mod access;
mod allowance;
mod arrivals;
#[expect(clippy::module_inception, reason = "the folder is about connections, the file is one")]
mod connection;
mod core;
mod delivery;
mod disk_full;
mod encryption;
mod errand;
mod figures;
mod foresight;
mod gather;
mod held_replies;
mod hold;
mod inbox;
mod intake;
mod invalidating;
mod job;
pub(crate) mod limits;
mod mail;
pub mod message;
mod monitoring;
mod outbox;
mod output;
mod parked;
mod plan;
pub(crate) mod publishing;
mod replies;
mod reply_slots;
mod room;
mod routes;
mod running;
pub mod service;
mod slow;
mod spreading;
mod stalls;
mod subscribing;
mod swapping;
mod table;
mod tasks;
#[cfg(test)]
mod testing;
mod timing;
mod tls_stream;
mod tracking;
mod upkeep;
mod waiting;
mod watched;

pub use self::core::SlotMap;
pub use self::gather::GatherKind;
