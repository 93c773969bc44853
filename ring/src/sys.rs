//! The system calls the standard library has no safe name for, each wrapped once.
//!
//! Rule: nothing here keeps memory or descriptors; what a call returns is owned by the caller at once.

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::address::RawAddress;

/// Takes ownership of a descriptor number that the kernel has just returned.
///
/// # Safety
/// `raw` is open and nothing else owns it.
pub(crate) unsafe fn adopt(raw: RawFd) -> OwnedFd {
    // SAFETY: forwarded to the caller.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Nanoseconds of `CLOCK_MONOTONIC`: the clock of [`Ring::set_timer`](crate::Ring::set_timer).
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec into a live local.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert_eq!(result, 0, "every Linux has CLOCK_MONOTONIC");
    let seconds = u64::try_from(time.tv_sec).expect("monotonic time starts at zero");
    let nanoseconds = u64::try_from(time.tv_nsec).expect("nanoseconds are 0 to 999,999,999");
    seconds * 1_000_000_000 + nanoseconds
}

/// A socket of the address's family: stream, close-on-exec, blocking (io_uring waits by itself).
pub(crate) fn stream_socket(family: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let raw = check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the call above has just returned it.
    Ok(unsafe { adopt(raw) })
}

/// Binds `socket` to `address`.
pub(crate) fn bind(socket: BorrowedFd<'_>, address: &RawAddress) -> io::Result<()> {
    // SAFETY: the address lives through the call and its length is inside it.
    check(unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr(), address.length()) }).map(drop)
}

/// Makes `socket` a listener with room for `backlog` connections not yet accepted.
pub(crate) fn listen(socket: BorrowedFd<'_>, backlog: u32) -> io::Result<()> {
    let backlog = libc::c_int::try_from(backlog).unwrap_or(libc::c_int::MAX);
    // SAFETY: no memory is passed.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) }).map(drop)
}

/// Sets an integer socket option.
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let bytes = libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("4 fits");
    // SAFETY: the kernel reads `bytes` bytes of a live local.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), bytes) };
    check(result).map(drop)
}

/// Address of the other end of `socket`.
pub(crate) fn peer_name(socket: BorrowedFd<'_>) -> io::Result<RawAddress> {
    let mut address = RawAddress::empty();
    let (pointer, length) = address.as_mut_parts();
    // SAFETY: the kernel writes at most `length` bytes to the live local, and the length it used.
    check(unsafe { libc::getpeername(socket.as_raw_fd(), pointer, length) })?;
    Ok(address)
}

/// Address `socket` is bound to.
pub(crate) fn own_name(socket: BorrowedFd<'_>) -> io::Result<RawAddress> {
    let mut address = RawAddress::empty();
    let (pointer, length) = address.as_mut_parts();
    // SAFETY: as in `peer_name`.
    check(unsafe { libc::getsockname(socket.as_raw_fd(), pointer, length) })?;
    Ok(address)
}

/// Ends both directions of `socket`.
pub(crate) fn shutdown_both(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) }).map(drop)
}

/// Clears `O_NONBLOCK`: on a non-blocking descriptor io_uring answers EAGAIN instead of waiting.
pub(crate) fn clear_nonblocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no memory is passed.
    let flags = check(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFL) })?;
    if flags & libc::O_NONBLOCK == 0 {
        return Ok(());
    }
    // SAFETY: no memory is passed.
    check(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFL, flags & !libc::O_NONBLOCK) }).map(drop)
}

/// An event counter for waking a ring from a thread that has none.
pub(crate) fn event_counter() -> io::Result<File> {
    // SAFETY: no memory is passed.
    let raw = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the call above has just returned it.
    Ok(File::from(unsafe { adopt(raw) }))
}

/// A second descriptor of the same open file. `raw` must be open; a closed one gives EBADF, never undefined behaviour.
pub(crate) fn duplicate(raw: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let copy = check(unsafe { libc::fcntl(raw, libc::F_DUPFD_CLOEXEC, 0) })?;
    // SAFETY: the call above has just returned it.
    Ok(unsafe { adopt(copy) })
}

/// Reserves disk space for `bytes` from `offset`, growing the file if need be: later writes there cannot meet ENOSPC.
/// Blocking. Errors: `ENOSPC`, `EFBIG`, `EOPNOTSUPP` where the file system cannot.
pub fn allocate(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    fallocate(file, 0, offset, bytes)
}

/// Gives the disk space of `bytes` from `offset` back; the range then reads as zeros and the file keeps its length.
/// Blocking. Errors: `EOPNOTSUPP` where the file system cannot.
pub fn punch_hole(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    fallocate(file, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, offset, bytes)
}

fn fallocate(file: &File, mode: libc::c_int, offset: u64, bytes: u64) -> io::Result<()> {
    let too_big = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let offset = libc::off_t::try_from(offset).map_err(too_big)?;
    let bytes = libc::off_t::try_from(bytes).map_err(too_big)?;
    loop {
        // SAFETY: no memory is passed.
        match check(unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, bytes) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(drop),
        }
    }
}

/// Cores this process may run on, ascending.
pub fn available_cores() -> io::Result<Vec<usize>> {
    // SAFETY: a cpu_set_t is a bit array; all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes at most the given size into a live local.
    check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) })?;
    let core_limit = 8 * size_of::<libc::cpu_set_t>();
    // SAFETY: every index is below the number of bits of the set.
    Ok((0..core_limit).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect())
}

/// Keeps the calling thread on one core. Error: `EINVAL`, no such core or not allowed for this process.
pub fn pin_current_thread(core: usize) -> io::Result<()> {
    if core >= 8 * size_of::<libc::cpu_set_t>() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: a cpu_set_t is a bit array; all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the index was checked against the number of bits above.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the kernel reads the given size of a live local.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) }).map(drop)
}

/// The soft limit of locked memory in bytes; `None` means unlimited.
pub(crate) fn locked_memory_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit into a live local.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_never_goes_back() {
        let first = monotonic_ns();
        assert!(monotonic_ns() >= first);
    }

    #[test]
    fn a_pinned_thread_runs_on_that_core_only() {
        std::thread::spawn(|| {
            let cores = available_cores().unwrap();
            let last = *cores.last().unwrap();
            pin_current_thread(last).unwrap();
            assert_eq!(available_cores().unwrap(), vec![last]);
        })
        .join()
        .unwrap();
        assert_eq!(pin_current_thread(usize::MAX).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn allocated_space_reads_as_zeros_and_holes_give_it_back() {
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::tempfile().unwrap();
        allocate(&file, 0, 1 << 20).unwrap();
        let full = file.metadata().unwrap();
        assert_eq!(full.len(), 1 << 20);
        assert!(full.blocks() * 512 >= 1 << 20);
        punch_hole(&file, 0, 1 << 19).unwrap();
        let half = file.metadata().unwrap();
        assert_eq!(half.len(), 1 << 20);
        assert!(half.blocks() < full.blocks());
    }
}
