//! Documentation of every command, by kind.

pub(super) mod acl;
pub(super) mod bitmap;
pub(super) mod connection;
pub(super) mod generic;
pub(super) mod pubsub;
pub(super) mod server;
pub(super) mod string;
