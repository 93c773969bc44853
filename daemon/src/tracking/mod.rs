//! Who is told of what happens while it happens: clients that cache what they read (CLIENT TRACKING), and clients that look
//! on (MONITOR).
//!
//! The owner of a key remembers which connections have read it ([`TrackingTable`]) in the same step in which it reads, so
//! that no write comes between. The next write takes them out again and tells each that the key is not what it was
//! ([`Invalidation`]); it does so when the write is durable, as with all that is told. What a connection asked for is in
//! its session ([`ClientTracking`]); what workers know of each other is in [`Onlookers`]. How it travels is in
//! `connection/tracking.rs`, `connection/invalidating.rs` and `connection/publishing.rs`.

mod client_tracking;
mod invalidation;
mod onlookers;
mod table;

pub use client_tracking::{ClientTracking, TrackingMode, begins_with_one_of};
pub use invalidation::{Invalidation, Reach};
pub use onlookers::Onlookers;
pub use table::TrackingTable;

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientPlace {
    /// Its worker.
    pub worker: u16,
    /// Its number there.
    pub connection: u32,
    /// Which of the connections that had the number.
    pub generation: u32,
}

impl ClientPlace {
    /// The connection of a worker by number and generation.
    #[must_use]
    pub fn new(worker: usize, (connection, generation): (u32, u32)) -> Self {
        Self { worker: u16::try_from(worker).expect("workers are fewer than 2^16"), connection, generation }
    }

    /// Index of its worker.
    #[must_use]
    pub fn worker(self) -> usize {
        usize::from(self.worker)
    }

    /// Number and generation.
    #[must_use]
    pub const fn number(self) -> (u32, u32) {
        (self.connection, self.generation)
    }
}
