//! An operation in flight: the descriptor and memory it owns, the submission entry made of it, its completion.
//!
//! Rule: everything an entry names is inside the operation, and the operation stays in the table until the kernel's
//! last completion. An entry can be built again at any time, to continue a short send or repeat after EINTR.

use std::ffi::CString;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};

use crate::address::RawAddress;
use crate::completion::{Completion, Token, WriteDurability};
use crate::fd::Fd;
use crate::limits::TRANSFER_BYTES_MAX;
use crate::memory::{Blocks, FrozenBlocks};
use crate::recv_buffers;
use crate::registered_pools::RegisteredPools;
use crate::sys;

/// `IORING_RECV_MULTISHOT` of the kernel's interface; the io-uring crate keeps it to itself.
const RECV_MULTISHOT: u16 = 1 << 1;

/// What is in flight and what it owns.
pub(crate) enum Operation {
    Accept {
        listener: Fd,
    },
    Recv {
        socket: Fd,
    },
    /// `instant`: the first attempt, which ends at once, with as much as the socket takes now.
    Send {
        socket: Fd,
        bytes: Vec<u8>,
        sent: usize,
        instant: bool,
    },
    Connect {
        socket: Fd,
        address: Box<RawAddress>,
    },
    Write {
        file: Fd,
        buffer: FrozenBlocks,
        range: Range<usize>,
        offset: u64,
        durability: WriteDurability,
    },
    Read {
        file: Fd,
        buffer: Blocks,
        range: Range<usize>,
        offset: u64,
    },
    Sync {
        file: Fd,
        data_only: bool,
    },
    Create {
        path: CString,
        mode: u32,
    },
    Remove {
        path: CString,
    },
    Truncate {
        file: Fd,
        bytes: u64,
    },
    FreeSpace {
        file: Fd,
        offset: u64,
        bytes: u64,
    },
    Allocate {
        file: Fd,
        offset: u64,
        bytes: u64,
    },
}

/// What of the ring shapes an entry.
pub(crate) struct EntryContext<'a> {
    pub(crate) registered: &'a RegisteredPools,
    pub(crate) multishot_recv: bool,
}

impl Operation {
    /// The entry for (what is left of) this operation, without its `user_data`.
    pub(crate) fn entry(&mut self, context: &EntryContext<'_>) -> Entry {
        match self {
            Self::Accept { listener } => {
                opcode::AcceptMulti::new(target(listener)).flags(libc::SOCK_CLOEXEC).build()
            }
            Self::Recv { socket } => {
                let entry = opcode::Recv::new(target(socket), std::ptr::null_mut(), 0)
                    .buf_group(recv_buffers::GROUP)
                    .ioprio(if context.multishot_recv { RECV_MULTISHOT } else { 0 });
                entry.build().flags(Flags::BUFFER_SELECT)
            }
            Self::Send { socket, bytes, sent, instant } => {
                let rest = &bytes[*sent..];
                let wait = if *instant { libc::MSG_DONTWAIT } else { libc::MSG_WAITALL };
                opcode::Send::new(target(socket), rest.as_ptr(), transfer_bytes(rest.len()))
                    .flags(libc::MSG_NOSIGNAL | wait)
                    .build()
            }
            Self::Connect { socket, address } => {
                opcode::Connect::new(target(socket), address.as_ptr(), address.length()).build()
            }
            Self::Write { file, buffer, range, offset, durability } => {
                let rw_flags = match durability {
                    WriteDurability::None => 0,
                    WriteDurability::Dsync => libc::RWF_DSYNC,
                };
                let bytes = transfer_bytes(range.len());
                let source = buffer.as_kernel_source().as_ptr().wrapping_add(range.start);
                match context.registered.slot_of(buffer.pool(), source) {
                    Some(slot) => opcode::WriteFixed::new(target(file), source, bytes, slot)
                        .offset(*offset)
                        .rw_flags(rw_flags)
                        .build(),
                    None => opcode::Write::new(target(file), source, bytes)
                        .offset(*offset)
                        .rw_flags(rw_flags)
                        .build(),
                }
            }
            Self::Read { file, buffer, range, offset } => {
                let bytes = transfer_bytes(range.len());
                let destination = buffer.as_kernel_target().as_ptr().wrapping_add(range.start);
                match context.registered.slot_of(buffer.pool(), destination) {
                    Some(slot) => {
                        opcode::ReadFixed::new(target(file), destination, bytes, slot).offset(*offset).build()
                    }
                    None => opcode::Read::new(target(file), destination, bytes).offset(*offset).build(),
                }
            }
            Self::Sync { file, data_only } => {
                let flags = if *data_only { types::FsyncFlags::DATASYNC } else { types::FsyncFlags::empty() };
                opcode::Fsync::new(target(file)).flags(flags).build()
            }
            Self::Create { path, mode } => opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr())
                .flags(libc::O_RDWR | libc::O_CREAT | libc::O_DIRECT | libc::O_CLOEXEC)
                .mode(*mode)
                .build(),
            Self::Truncate { file, bytes } => opcode::Ftruncate::new(target(file), *bytes).build(),
            Self::Remove { path } => opcode::UnlinkAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build(),
            Self::FreeSpace { file, offset, bytes } => opcode::Fallocate::new(target(file), *bytes)
                .offset(*offset)
                .mode(libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE)
                .build(),
            Self::Allocate { file, offset, bytes } => {
                opcode::Fallocate::new(target(file), *bytes).offset(*offset).build()
            }
        }
    }

    /// Whether `cancel_all_of` was called for its socket: it is then not continued.
    pub(crate) fn socket_cancelled(&self) -> bool {
        match self {
            Self::Accept { listener: socket }
            | Self::Recv { socket }
            | Self::Send { socket, .. }
            | Self::Connect { socket, .. } => socket.is_cancelled(),
            Self::Write { .. }
            | Self::Read { .. }
            | Self::Sync { .. }
            | Self::Create { .. }
            | Self::Remove { .. }
            | Self::Truncate { .. }
            | Self::FreeSpace { .. }
            | Self::Allocate { .. } => false,
        }
    }

    /// What the caller learns at the end of an operation with one completion.
    pub(crate) fn into_completion(self, token: Token, result: i32) -> Completion {
        match self {
            Self::Send { bytes, sent, .. } => {
                let result = byte_count(result).map(|_| sent);
                Completion::Sent { token, buffer: bytes, result }
            }
            Self::Connect { .. } => Completion::Connected { token, result: byte_count(result).map(drop) },
            Self::Write { buffer, .. } => Completion::Wrote { token, buffer, result: byte_count(result) },
            Self::Read { buffer, .. } => Completion::Read { token, buffer, result: byte_count(result) },
            Self::Sync { .. } | Self::Remove { .. } | Self::Truncate { .. } | Self::FreeSpace { .. } => {
                Completion::Synced { token, result: byte_count(result).map(drop) }
            }
            Self::Create { .. } => {
                // SAFETY: a result that is not negative is a descriptor the kernel has just opened for us.
                let adopt = |_| Fd::from_blocking(unsafe { sys::adopt(result) });
                Completion::Created { token, result: byte_count(result).map(adopt) }
            }
            Self::Allocate { .. } => Completion::Allocated { token, result: byte_count(result).map(drop) },
            Self::Accept { .. } | Self::Recv { .. } => {
                unreachable!("multishot operations are completed by `turn`")
            }
        }
    }
}

/// The kernel's result as a count or an error.
pub(crate) fn byte_count(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(result.wrapping_neg()))
}

/// Whether the kernel did nothing and asks to be asked again.
pub(crate) fn is_transient(result: i32) -> bool {
    result == -libc::EINTR || result == -libc::EAGAIN
}

fn target(fd: &Fd) -> types::Fd {
    types::Fd(fd.as_raw_fd())
}

/// Length field of an entry. A longer transfer ends short, as the kernel would have cut it.
fn transfer_bytes(bytes: usize) -> u32 {
    u32::try_from(bytes.min(TRANSFER_BYTES_MAX)).expect("the bound is below 2 GiB")
}
