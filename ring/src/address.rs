//! Socket addresses: a Unix path or a TCP endpoint, and their form in the kernel's memory layout.
//!
//! Rule: the kernel's form is built and read as bytes, so a malformed address is an error and never a wild pointer.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where a stream socket listens or connects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SocketAddress {
    /// Path of a Unix socket, 1 to 107 bytes. An empty path names the unnamed end of a pair or a client.
    Unix(PathBuf),
    /// IPv4 or IPv6 address and port.
    Tcp(SocketAddr),
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "{}", path.display()),
            Self::Tcp(address) => write!(formatter, "{address}"),
        }
    }
}

/// Size of the largest address of any family (`sockaddr_storage`).
const ADDRESS_BYTES: usize = 128;
/// Bytes of a Unix path in the kernel's form, with its closing zero (`sun_path`).
const UNIX_PATH_BYTES: usize = 108;
const INET_BYTES: usize = 16;
const INET6_BYTES: usize = 28;
const FAMILY_BYTES: usize = 2;

/// An address as the kernel reads it.
#[repr(C, align(8))]
#[derive(Debug)]
pub(crate) struct RawAddress {
    bytes: [u8; ADDRESS_BYTES],
    length: libc::socklen_t,
}

impl RawAddress {
    pub(crate) fn new(address: &SocketAddress) -> io::Result<Self> {
        let mut raw = Self { bytes: [0; ADDRESS_BYTES], length: 0 };
        match address {
            SocketAddress::Unix(path) => {
                let path = path.as_os_str().as_bytes();
                if path.is_empty() || path.len() >= UNIX_PATH_BYTES || path.contains(&0) {
                    let text = "a Unix socket path has 1 to 107 bytes and no zero byte";
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
                }
                raw.put(0, &family_field(libc::AF_UNIX));
                raw.put(FAMILY_BYTES, path);
                raw.set_length(FAMILY_BYTES + path.len() + 1);
            }
            SocketAddress::Tcp(SocketAddr::V4(address)) => {
                raw.put(0, &family_field(libc::AF_INET));
                raw.put(2, &address.port().to_be_bytes());
                raw.put(4, &address.ip().octets());
                raw.set_length(INET_BYTES);
            }
            SocketAddress::Tcp(SocketAddr::V6(address)) => {
                raw.put(0, &family_field(libc::AF_INET6));
                raw.put(2, &address.port().to_be_bytes());
                raw.put(4, &address.flowinfo().to_ne_bytes());
                raw.put(8, &address.ip().octets());
                raw.put(24, &address.scope_id().to_ne_bytes());
                raw.set_length(INET6_BYTES);
            }
        }
        Ok(raw)
    }

    /// Room for an address that the kernel fills in.
    pub(crate) fn empty() -> Self {
        let mut raw = Self { bytes: [0; ADDRESS_BYTES], length: 0 };
        raw.set_length(ADDRESS_BYTES);
        raw
    }

    /// Reads what the kernel filled in. Error: a family that is neither Unix nor IP.
    pub(crate) fn decode(&self) -> io::Result<SocketAddress> {
        let length = usize::try_from(self.length).unwrap_or(ADDRESS_BYTES).min(ADDRESS_BYTES);
        let filled = &self.bytes[..length];
        let unknown = || io::Error::new(io::ErrorKind::Unsupported, "socket of an unknown address family");
        let family = filled.first_chunk::<FAMILY_BYTES>().map(|bytes| u16::from_ne_bytes(*bytes));
        let family = libc::c_int::from(family.ok_or_else(unknown)?);
        match family {
            libc::AF_UNIX => {
                let path = &filled[FAMILY_BYTES..];
                let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
                Ok(SocketAddress::Unix(PathBuf::from(std::ffi::OsStr::from_bytes(&path[..end]))))
            }
            libc::AF_INET if length >= INET_BYTES => {
                let ip = Ipv4Addr::from(self.take::<4>(4));
                let port = u16::from_be_bytes(self.take::<2>(2));
                Ok(SocketAddress::Tcp(SocketAddr::new(IpAddr::V4(ip), port)))
            }
            libc::AF_INET6 if length >= INET6_BYTES => {
                let ip = Ipv6Addr::from(self.take::<16>(8));
                let port = u16::from_be_bytes(self.take::<2>(2));
                let flow = u32::from_ne_bytes(self.take::<4>(4));
                let scope = u32::from_ne_bytes(self.take::<4>(24));
                Ok(SocketAddress::Tcp(SocketAddr::V6(SocketAddrV6::new(ip, port, flow, scope))))
            }
            _ => Err(unknown()),
        }
    }

    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        self.bytes.as_ptr().cast()
    }

    pub(crate) fn length(&self) -> libc::socklen_t {
        self.length
    }

    pub(crate) fn as_mut_parts(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        (self.bytes.as_mut_ptr().cast(), &raw mut self.length)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn take<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes[at..].first_chunk::<N>().copied().expect("fields lie inside the 128 bytes")
    }

    fn set_length(&mut self, length: usize) {
        self.length = libc::socklen_t::try_from(length).expect("at most 128");
    }
}

fn family_field(family: libc::c_int) -> [u8; FAMILY_BYTES] {
    u16::try_from(family).expect("address families are small").to_ne_bytes()
}

/// The address family for `socket(2)`.
pub(crate) fn family(address: &SocketAddress) -> libc::c_int {
    match address {
        SocketAddress::Unix(_) => libc::AF_UNIX,
        SocketAddress::Tcp(SocketAddr::V4(_)) => libc::AF_INET,
        SocketAddress::Tcp(SocketAddr::V6(_)) => libc::AF_INET6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: SocketAddress, prefix: &[u8]) {
        let raw = RawAddress::new(&address).unwrap();
        assert_eq!(&raw.bytes[..prefix.len()], prefix, "{address}");
        assert_eq!(raw.decode().unwrap(), address);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_have_the_kernels_bytes_and_come_back() {
        check(SocketAddress::Unix("/a".into()), &[1, 0, b'/', b'a', 0]);
        check(SocketAddress::Tcp("127.0.0.1:6379".parse().unwrap()), &[2, 0, 0x18, 0xEB, 127, 0, 0, 1, 0]);
        let v6 = [10, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        check(SocketAddress::Tcp("[::1]:80".parse().unwrap()), &v6);
    }

    #[test]
    fn paths_the_kernel_cannot_hold_are_refused() {
        for path in [String::new(), "x".repeat(108), "a\0b".to_owned()] {
            let error = RawAddress::new(&SocketAddress::Unix(path.clone().into())).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
        let longest = SocketAddress::Unix("x".repeat(107).into());
        assert_eq!(RawAddress::new(&longest).unwrap().decode().unwrap(), longest);
    }

    #[test]
    fn unknown_family_is_an_error() {
        let mut raw = RawAddress::empty();
        raw.put(0, &[0xFF, 0xFF]);
        assert_eq!(raw.decode().unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
