//! An anonymous memory mapping that is unmapped when dropped: the only memory the kernel writes for us.
//!
//! Pages appear on first touch and read as zeros. The start is aligned to a page, or to 2 MiB where huge pages are
//! asked for, so that direct file I/O and registered buffers accept any block in it.

use std::io;
use std::ptr::{self, NonNull};

use crate::limits::{BLOCK_BYTES, HUGE_PAGE_BYTES};

/// Whether the kernel is asked to back a mapping with 2 MiB pages (`MADV_HUGEPAGE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HugePages {
    /// Ordinary pages, as the system is configured.
    #[default]
    No,
    /// Ask for huge pages if the mapping has at least 2 MiB. A kernel that has none keeps ordinary pages.
    Yes,
}

/// Zeroed, page-aligned memory of this process.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is plain memory of the process, tied to no thread; access goes through its one owner.
unsafe impl Send for Mapping {}
// SAFETY: `&Mapping` only tells address and size.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `bytes`, rounded up to whole blocks. Error: `ENOMEM`, the address space or its limit is used up.
    pub(crate) fn new(bytes: usize, huge: HugePages) -> io::Result<Self> {
        assert!(bytes > 0, "a mapping holds at least one byte");
        let bytes = bytes.next_multiple_of(BLOCK_BYTES);
        if huge == HugePages::Yes && bytes >= HUGE_PAGE_BYTES {
            return Self::new_huge(bytes);
        }
        let start = map(bytes)?;
        assert!(start.as_ptr().addr().is_multiple_of(BLOCK_BYTES));
        Ok(Self { start, bytes })
    }

    fn new_huge(bytes: usize) -> io::Result<Self> {
        // mmap aligns to small pages only: map one huge page more and give both ends back.
        let mapped_bytes = bytes + HUGE_PAGE_BYTES;
        let mapped = map(mapped_bytes)?;
        let head = mapped.as_ptr().addr().next_multiple_of(HUGE_PAGE_BYTES) - mapped.as_ptr().addr();
        // SAFETY: head is less than HUGE_PAGE_BYTES, so this stays inside the mapping just made.
        let start = unsafe { mapped.add(head) };
        unmap(mapped, head);
        // SAFETY: head + bytes is at most mapped_bytes: the end is inside of or just past the mapping.
        let end = unsafe { start.add(bytes) };
        unmap(end, mapped_bytes - head - bytes);
        // SAFETY: start..start+bytes is ours. The advice changes no contents; a kernel without huge pages refuses it,
        // which costs speed only.
        unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
        Ok(Self { start, bytes })
    }

    /// First byte. Valid as long as `self`.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Size, a multiple of [`BLOCK_BYTES`].
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        unmap(self.start, self.bytes);
    }
}

fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no existing memory.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(address.cast()).expect("mmap never returns page zero"))
}

fn unmap(start: NonNull<u8>, bytes: usize) {
    if bytes == 0 {
        return;
    }
    // SAFETY: called with (parts of) a mapping made by `map` that nothing refers to any more.
    let result = unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
    assert_eq!(result, 0, "munmap of our own mapping failed: {}", io::Error::last_os_error());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: usize, huge: HugePages, alignment: usize) {
        let mapping = Mapping::new(bytes, huge).unwrap();
        assert_eq!(mapping.start().as_ptr().addr() % alignment, 0, "{bytes} {huge:?}");
        assert_eq!(mapping.bytes(), bytes.next_multiple_of(BLOCK_BYTES));
    }

    #[test]
    fn mapping_is_aligned_and_rounded_up_to_blocks() {
        check(1, HugePages::No, BLOCK_BYTES);
        check(BLOCK_BYTES + 1, HugePages::No, BLOCK_BYTES);
        check(BLOCK_BYTES, HugePages::Yes, BLOCK_BYTES);
        check(HUGE_PAGE_BYTES, HugePages::Yes, HUGE_PAGE_BYTES);
        check(3 * HUGE_PAGE_BYTES + 5, HugePages::Yes, HUGE_PAGE_BYTES);
    }

    #[test]
    fn absurd_size_is_an_error_not_a_crash() {
        let error = Mapping::new(1 << 60, HugePages::No).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
    }
}
