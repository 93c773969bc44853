//! The ring against the real kernel, in every set-up mode it has.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

mod cancel;
mod files;
mod sockets;
mod support;
mod timer;
mod wake;
