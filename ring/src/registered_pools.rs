//! Block pools registered with a ring: the kernel keeps their pages pinned, so an operation on them pins nothing.
//!
//! Rule: a registered pool is kept mapped as long as the ring. Registration is an optimisation only: where the
//! locked-memory limit forbids it, the same operations run unregistered.

use std::sync::Arc;

use crate::error::RingError;
use crate::limits::{REGISTERED_SLOT_BYTES_MAX, REGISTERED_SLOTS_MAX};
use crate::memory::{BlockPool, PoolShared};
use crate::queue::Queue;

/// Whether a pool is registered.
#[derive(Debug)]
pub enum Registered {
    /// Operations on its buffers skip the pinning of pages.
    Yes,
    /// They work as well, at a higher cost; the reason is for the operator's log.
    No(RingError),
}

#[derive(Default)]
pub(crate) struct RegisteredPools {
    pools: Vec<RegisteredPool>,
    slots_used: u32,
    table_made: bool,
}

struct RegisteredPool {
    pool: Arc<PoolShared>,
    slot_first: u32,
    /// Bytes of the pool behind one slot: whole buffers.
    slot_bytes: usize,
}

impl RegisteredPools {
    pub(crate) fn register(&mut self, pool: &BlockPool, queue: &mut Queue) -> Registered {
        let shared = pool.shared();
        if self.pools.iter().any(|known| Arc::ptr_eq(&known.pool, shared)) {
            return Registered::Yes;
        }
        if shared.buffer_bytes() > REGISTERED_SLOT_BYTES_MAX {
            return Registered::No(RingError::Configuration("a registered buffer has at most 1 GiB"));
        }
        let slot_bytes = REGISTERED_SLOT_BYTES_MAX / shared.buffer_bytes() * shared.buffer_bytes();
        let slots = shared.mapping().bytes().div_ceil(slot_bytes);
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        if slots > REGISTERED_SLOTS_MAX - self.slots_used {
            return Registered::No(RingError::Configuration(
                "more registered memory than a ring has slots for",
            ));
        }
        if !self.table_made {
            if let Err(error) = queue.make_buffer_table(REGISTERED_SLOTS_MAX) {
                return Registered::No(error);
            }
            self.table_made = true;
        }
        // SAFETY: the mapping stays until `self.pools` drops, which is after the ring's descriptor is closed or the
        // table unregistered; on failure the kernel keeps no reference.
        let result = unsafe { queue.register_mapping(self.slots_used, shared.mapping(), slot_bytes) };
        if let Err(error) = result {
            return Registered::No(error);
        }
        let slot_first = self.slots_used;
        self.pools.push(RegisteredPool { pool: Arc::clone(shared), slot_first, slot_bytes });
        self.slots_used += slots;
        Registered::Yes
    }

    /// The slot that covers `address`, if its pool is registered.
    pub(crate) fn slot_of(&self, pool: Option<&Arc<PoolShared>>, address: *const u8) -> Option<u16> {
        let pool = pool?;
        let known = self.pools.iter().find(|known| Arc::ptr_eq(&known.pool, pool))?;
        let offset = address.addr() - pool.mapping().start().as_ptr().addr();
        let slot = u32::try_from(offset / known.slot_bytes).ok()? + known.slot_first;
        u16::try_from(slot).ok()
    }

    /// Whether the kernel holds a table of buffers.
    pub(crate) fn has_table(&self) -> bool {
        self.table_made
    }
}
