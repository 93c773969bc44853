//! Every bound of the crate, in one place, with the reason for its value.

/// Alignment and granularity of file I/O. Direct I/O on every drive we know accepts it.
pub const BLOCK_BYTES: usize = 4096;

/// Size of a huge page on x86-64 and on 4 KiB-page arm64.
pub const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Most submission entries of a ring (the kernel's own bound).
pub const ENTRIES_MAX: u32 = 32_768;

/// Most completion entries of a ring (the kernel's own bound).
pub const COMPLETION_ENTRIES_MAX: u32 = 2 * ENTRIES_MAX;

/// Fewest completion entries a ring is shrunk to where the locked-memory limit is small: one page.
pub const COMPLETION_ENTRIES_MIN: u32 = 128;

/// Most provided receive buffers of a ring (the kernel's own bound).
pub const RECV_BUFFERS_MAX: u16 = 32_768;

/// Most bytes one file or socket operation moves; the kernel cuts longer ones at this (`MAX_RW_COUNT`).
pub const TRANSFER_BYTES_MAX: usize = 0x7fff_f000;

/// Most operations in flight per ring: the index and the reserved tags share 32 bits, and no daemon comes near it.
pub const OPERATIONS_MAX: usize = 1 << 24;

/// How often one operation is tried again after EINTR or EAGAIN before the error is reported.
pub const TRANSIENT_RETRIES_MAX: u8 = 100;

/// How often a submission that the kernel refuses for want of memory is tried again, 1 ms apart.
pub const SUBMIT_RETRIES_MAX: u32 = 1_000;

/// Longest time a wait may look for completions before it sleeps.
pub const SPIN_NS_MAX: u64 = 1_000_000_000;

/// How often the set-up of a ring is tried again for want of memory, 10 ms apart, before it is made smaller.
pub const MEMORY_RETRIES_MAX: u32 = 20;

/// How long dropping a ring waits for its operations before it leaks their memory.
pub const DROP_DRAIN_NS: u64 = 5_000_000_000;

/// Slots in a ring's table of registered buffers; one slot covers up to 1 GiB of a pool.
pub const REGISTERED_SLOTS_MAX: u32 = 64;

/// Most bytes of one registered slot (the kernel's own bound).
pub const REGISTERED_SLOT_BYTES_MAX: usize = 1 << 30;

const _: () = assert!(HUGE_PAGE_BYTES.is_multiple_of(BLOCK_BYTES));
const _: () = assert!(TRANSFER_BYTES_MAX.is_multiple_of(BLOCK_BYTES));
