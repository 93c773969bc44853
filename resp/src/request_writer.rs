//! Requests of a client, as arrays of bulk strings: what every command travels as.

use crate::head::{HEAD_BYTES_MAX, write_length_head};

/// Appends a whole request.
#[inline]
pub fn write_request(out: &mut Vec<u8>, args: &[&[u8]]) {
    write_request_header(out, args.len());
    for arg in args {
        write_bulk(out, arg);
    }
}

/// Appends the head of a request; exactly `arg_count` calls of [`write_bulk`] must follow.
#[inline]
pub fn write_request_header(out: &mut Vec<u8>, arg_count: usize) {
    write_length_head(out, b'*', arg_count);
}

/// Appends one argument.
#[inline]
pub fn write_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(HEAD_BYTES_MAX + bytes.len() + 2);
    write_length_head(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::write_request;

    #[test]
    fn requests_are_arrays_of_bulk_strings() {
        let mut out = Vec::new();
        write_request(&mut out, &[b"SET", b"key", b""]);
        write_request(&mut out, &[b"PING"]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n");
    }
}
