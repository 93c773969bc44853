//! The commands: what there is of them (one table), how a request finds its command, and what each does.
//!
//! The path of a request: the parser's arguments -> [`resolve`] -> [`Command::execution`] tells the router where to
//! run it -> a handler, which sees the store or the session and writes the reply. Handlers know neither sockets nor
//! other workers. What a reply must wait for is noted by the store, not by them.

mod acl;
mod bitfield;
mod bitop;
mod bits;
mod client;
mod client_kill;
mod client_pause;
mod client_tracking;
mod command;
mod compact;
mod config;
mod connection;
mod context;
mod debug;
mod describe;
mod doc;
mod docs;
mod dump;
pub mod error_text;
mod expire;
mod flags;
mod flushes;
pub mod glob;
mod help;
mod info;
mod integer;
mod keyspace;
mod latency;
mod lcs;
mod long_double;
mod lookup;
mod memory;
mod multi;
mod natural;
mod number;
mod object;
mod pubsub;
mod rdb_string;
mod redaction;
mod rename;
mod save;
pub mod scan;
mod scrub;
mod set;
mod shutdown;
mod slowlog;
mod sparkline;
pub mod store;
mod string;
mod swapdb;
mod table;
#[cfg(test)]
mod tests;
mod tls_parameters;
mod together;
mod wait;
mod wal;
mod walk;

pub use self::command::{
    ChannelSpec, Command, CommandId, ConnectionHandler, Execution, KeyHandler, KeySpec, Merge, PairHandler,
};
pub(crate) use self::connection::note_refusal;
pub(crate) use self::context::watch_departures;
pub use self::context::{Action, ConnectionContext, KeyContext};
pub use self::doc::{Argument, Doc};
pub use self::flags::{Categories, Flags};
pub use self::lookup::{Refusal, lookup_command, lookup_full_name, lookup_subcommand, resolve};
pub(crate) use self::redaction::shown;
pub use self::table::{COMMAND_COUNT, COMMANDS};
pub use self::together::{Change, KeyPlace, Seen, TogetherContext, TogetherHandlers, apply, look};
pub use self::walk::WalkState;
