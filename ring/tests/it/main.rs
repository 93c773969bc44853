//! The ring against the real kernel, in every set-up mode it has.
#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "test helpers")]

mod cancel;
mod files;
mod overflow;
mod random;
mod sockets;
mod support;
mod timer;
mod wake;
