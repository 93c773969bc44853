//! Requests as bytes: one template per kind, copied into the send buffer and patched in place.
//!
//! Only the digits of a key number that can differ are written; everything else is copied as it is.

use resp::{write_bulk, write_request, write_request_header};

use crate::keys::{KeyFormat, decimal_digits, write_decimal};
use crate::values::ValuePool;

/// Kinds of requests, each with its own histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `SET key value`
    Set,
    /// `GET key`
    Get,
}

impl Operation {
    /// All kinds, in the order of `index`.
    pub const ALL: [Self; 2] = [Self::Set, Self::Get];

    /// Position in tables with one entry per kind.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Set => 0,
            Self::Get => 1,
        }
    }

    /// The command's name, as reports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Get => "GET",
        }
    }
}

/// Bytes of a request up to and with its key.
#[derive(Clone, Debug)]
struct Template {
    bytes: Box<[u8]>,
    /// The digits of the key that differ between keys of the space: always `digits_start..digits_end`.
    digits_start: usize,
    digits_end: usize,
}

impl Template {
    fn new(bytes: Vec<u8>, digits_end: usize, varying_digits: usize) -> Self {
        assert!(varying_digits <= digits_end && digits_end <= bytes.len());
        Self { bytes: bytes.into(), digits_start: digits_end - varying_digits, digits_end }
    }

    fn write(&self, out: &mut Vec<u8>, key: u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        write_decimal(&mut out[start + self.digits_start..start + self.digits_end], key);
    }
}

/// Writes the requests of one workload.
#[derive(Clone, Debug)]
pub struct RequestWriter {
    get: Template,
    set: Template,
    values: ValuePool,
}

impl RequestWriter {
    /// Templates for keys `0..key_count`.
    #[must_use]
    pub fn new(format: &KeyFormat, key_count: u64, values: ValuePool) -> Self {
        let key = format.key(0);
        let varying_digits = decimal_digits(key_count - 1);

        let mut get = Vec::new();
        write_request(&mut get, &[b"GET", &key]);
        let get_key_end = get.len() - CRLF.len();

        let mut set = Vec::new();
        write_request_header(&mut set, 3);
        write_bulk(&mut set, b"SET");
        write_bulk(&mut set, &key);
        let set_key_end = set.len() - CRLF.len();
        set.extend_from_slice(format!("${}\r\n", values.value_bytes()).as_bytes());

        Self {
            get: Template::new(get, get_key_end, varying_digits),
            set: Template::new(set, set_key_end, varying_digits),
            values,
        }
    }

    /// Length of the longest request.
    #[must_use]
    pub fn request_bytes_max(&self) -> usize {
        self.get.bytes.len().max(self.set.bytes.len() + self.values.value_bytes() + CRLF.len())
    }

    /// Appends one request. `word` chooses the value of a SET.
    pub fn write(&self, out: &mut Vec<u8>, operation: Operation, key: u64, word: u32) {
        match operation {
            Operation::Get => self.get.write(out, key),
            Operation::Set => {
                self.set.write(out, key);
                out.extend_from_slice(self.values.value(word));
                out.extend_from_slice(CRLF);
            }
        }
    }
}

const CRLF: &[u8] = b"\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn writer(key_count: u64, value_bytes: usize) -> (RequestWriter, KeyFormat) {
        let format = KeyFormat::new("key:", 16, key_count).unwrap();
        (RequestWriter::new(&format, key_count, ValuePool::new(value_bytes, 1)), format)
    }

    #[test]
    fn requests_are_the_bytes_of_the_protocol() {
        let (writer, _) = writer(1_000_000, 3);
        let value = writer.values.value(5).to_vec();
        let mut out = Vec::new();
        writer.write(&mut out, Operation::Get, 42, 0);
        writer.write(&mut out, Operation::Set, 999_999, 5);
        let mut golden = b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n".to_vec();
        golden.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000999999\r\n$3\r\n");
        golden.extend_from_slice(&value);
        golden.extend_from_slice(b"\r\n");
        assert_eq!(out, golden);
    }

    proptest! {
        #[test]
        fn patched_templates_equal_written_requests(
            key_count in 1_u64..1_000_000_000_000, pick in any::<u64>(), word in any::<u32>(), value_bytes in 0_usize..300
        ) {
            let (writer, format) = writer(key_count, value_bytes);
            let key = pick % key_count;
            for operation in Operation::ALL {
                let mut patched = b"before".to_vec();
                writer.write(&mut patched, operation, key, word);
                let mut written = b"before".to_vec();
                match operation {
                    Operation::Get => write_request(&mut written, &[b"GET", &format.key(key)]),
                    Operation::Set => {
                        write_request(&mut written, &[b"SET", &format.key(key), writer.values.value(word)]);
                    }
                }
                prop_assert!(patched.len() - 6 <= writer.request_bytes_max());
                prop_assert_eq!(patched, written);
            }
        }
    }
}
