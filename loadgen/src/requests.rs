//! Requests as bytes. Where lengths are fixed, a request is a template, copied into the send buffer and patched in
//! place: only the digits of a key number that can differ are written. Else it is put together from its parts.

use resp::{write_bulk, write_request, write_request_header};

use crate::command_template::{CommandTemplate, Filling};
use crate::keys::{KeyFormat, decimal_digits, write_decimal};
use crate::operations::Verb;
use crate::sizes::Sizes;
use crate::values::ValuePool;

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

/// What one request is about.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// What it does.
    pub verb: Verb,
    /// Its key; of a scan the first one.
    pub key: u64,
    /// How many keys a scan reads, or a step of a walk is to return.
    pub scan_keys: u64,
    /// Where a walk goes on; 0: it begins.
    pub cursor: u64,
    /// Version of the value, where values carry one.
    pub version: u64,
    /// Random bits: they choose the value and its time to live.
    pub word: u32,
}

/// Writes the requests of one workload.
#[derive(Clone, Debug)]
pub struct RequestWriter {
    keys: KeyFormat,
    values: ValuePool,
    ttl_ms: Option<Sizes>,
    commands: Vec<CommandTemplate>,
    scan_keys_max: usize,
    get: Option<Template>,
    set: Option<Template>,
}

impl RequestWriter {
    /// A writer for keys below `key_limit`.
    #[must_use]
    pub fn new(
        keys: &KeyFormat,
        key_limit: u64,
        values: ValuePool,
        ttl_ms: Option<Sizes>,
        commands: Vec<CommandTemplate>,
        scan_keys_max: usize,
    ) -> Self {
        let mut writer =
            Self { keys: keys.clone(), values, ttl_ms, commands, scan_keys_max, get: None, set: None };
        if keys.fixed_bytes().is_none() {
            return writer;
        }
        let key = keys.key(0);
        let varying_digits = decimal_digits(key_limit - 1);
        let mut get = Vec::new();
        write_request(&mut get, &[b"GET", &key]);
        let get_key_end = get.len() - CRLF.len();
        writer.get = Some(Template::new(get, get_key_end, varying_digits));
        if let (Some(value_bytes), true, None) =
            (writer.values.fixed_bytes(), writer.values.is_plain(), &writer.ttl_ms)
        {
            let mut set = Vec::new();
            write_request_header(&mut set, 3);
            write_bulk(&mut set, b"SET");
            write_bulk(&mut set, &key);
            let set_key_end = set.len() - CRLF.len();
            write_bulk_head(&mut set, value_bytes);
            writer.set = Some(Template::new(set, set_key_end, varying_digits));
        }
        writer
    }

    /// Length of the longest request.
    #[must_use]
    pub fn request_bytes_max(&self) -> usize {
        let own = FRAME_BYTES + self.keys.key_bytes_max() + self.values.bytes_max();
        let scan = FRAME_BYTES + self.scan_keys_max * (HEAD_BYTES + self.keys.key_bytes_max());
        let commands = self.commands.iter().map(|command| command.bytes_max(&self.keys, &self.values));
        commands.max().unwrap_or(0).max(own).max(scan)
    }

    /// Appends one request.
    pub fn write(&self, out: &mut Vec<u8>, draw: &Draw) {
        match draw.verb {
            Verb::Get | Verb::RmwRead | Verb::ReadModifyWrite => match &self.get {
                Some(template) => template.write(out, draw.key),
                None => self.write_keyed(out, b"GET", draw.key),
            },
            Verb::Set | Verb::Insert | Verb::RmwWrite => match &self.set {
                Some(template) => {
                    template.write(out, draw.key);
                    self.values.append(out, draw.key, draw.version, draw.word);
                    out.extend_from_slice(CRLF);
                }
                None => self.write_set(out, draw),
            },
            Verb::Delete => self.write_keyed(out, b"DEL", draw.key),
            Verb::Scan => {
                write_request_header(out, crate::number::index(draw.scan_keys) + 1);
                write_bulk(out, b"MGET");
                (draw.key..draw.key + draw.scan_keys).for_each(|key| self.write_key(out, key));
            }
            Verb::Walk => {
                write_request_header(out, 4);
                write_bulk(out, b"SCAN");
                write_bulk_number(out, draw.cursor);
                write_bulk(out, b"COUNT");
                write_bulk_number(out, draw.scan_keys);
            }
            Verb::Command(number) => {
                let filling = Filling {
                    keys: &self.keys,
                    values: &self.values,
                    key: draw.key,
                    version: draw.version,
                    word: draw.word,
                    random: draw.key,
                };
                self.commands[usize::from(number)].write(out, &filling);
            }
        }
    }

    fn write_keyed(&self, out: &mut Vec<u8>, name: &[u8], key: u64) {
        write_request_header(out, 2);
        write_bulk(out, name);
        self.write_key(out, key);
    }

    fn write_key(&self, out: &mut Vec<u8>, key: u64) {
        write_bulk_head(out, self.keys.length_of(key));
        self.keys.append(out, key);
        out.extend_from_slice(CRLF);
    }

    fn write_set(&self, out: &mut Vec<u8>, draw: &Draw) {
        write_request_header(out, if self.ttl_ms.is_some() { 5 } else { 3 });
        write_bulk(out, b"SET");
        self.write_key(out, draw.key);
        write_bulk_head(out, self.values.length(draw.word));
        self.values.append(out, draw.key, draw.version, draw.word);
        out.extend_from_slice(CRLF);
        if let Some(ttl_ms) = &self.ttl_ms {
            write_bulk(out, b"PX");
            let ttl_ms = ttl_ms.pick(draw.word.rotate_left(16)) as u64;
            write_bulk_number(out, ttl_ms);
        }
    }
}

/// Appends `$length` and the end of the line.
pub fn write_bulk_head(out: &mut Vec<u8>, length: usize) {
    let mut head = [b'$'; 24];
    let digits = decimal_digits(length as u64);
    write_decimal(&mut head[1..=digits], length as u64);
    out.extend_from_slice(&head[..=digits]);
    out.extend_from_slice(CRLF);
}

fn write_bulk_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let field = &mut digits[..decimal_digits(number)];
    write_decimal(field, number);
    write_bulk(out, field);
}

const CRLF: &[u8] = b"\r\n";
/// Longest head of one argument with its line ends.
const HEAD_BYTES: usize = 24;
/// Command, heads and time to live of the longest request.
const FRAME_BYTES: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{DataKind, ValueSpec};
    use proptest::prelude::*;

    fn values(sizes: Sizes, sealed: bool) -> ValuePool {
        ValuePool::new(&ValueSpec { sizes, data: DataKind::Random, sealed }, 1)
    }

    fn draw(verb: Verb, key: u64, word: u32) -> Draw {
        Draw { verb, key, scan_keys: 3, cursor: u64::MAX, version: 9, word }
    }

    fn value_of(pool: &ValuePool, key: u64, word: u32) -> Vec<u8> {
        let mut value = Vec::new();
        pool.append(&mut value, key, 9, word);
        value
    }

    #[test]
    fn requests_are_the_bytes_of_the_protocol() {
        let format = KeyFormat::new("key:", 16, 1_000_000).unwrap();
        let pool = values(Sizes::Fixed(3), false);
        let writer = RequestWriter::new(&format, 1_000_000, pool.clone(), None, Vec::new(), 3);
        let mut out = Vec::new();
        for (verb, key, word) in [
            (Verb::Get, 42, 0),
            (Verb::Set, 999_999, 5),
            (Verb::Delete, 7, 0),
            (Verb::Scan, 8, 0),
            (Verb::Walk, 0, 0),
        ] {
            writer.write(&mut out, &draw(verb, key, word));
        }
        let mut golden = b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n".to_vec();
        golden.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000999999\r\n$3\r\n");
        golden.extend_from_slice(&value_of(&pool, 999_999, 5));
        golden.extend_from_slice(b"\r\n*2\r\n$3\r\nDEL\r\n$16\r\nkey:000000000007\r\n");
        golden
            .extend_from_slice(b"*4\r\n$4\r\nMGET\r\n$16\r\nkey:000000000008\r\n$16\r\nkey:000000000009\r\n");
        golden.extend_from_slice(b"$16\r\nkey:000000000010\r\n");
        golden.extend_from_slice(
            b"*4\r\n$4\r\nSCAN\r\n$20\r\n18446744073709551615\r\n$5\r\nCOUNT\r\n$1\r\n3\r\n",
        );
        assert_eq!(out, golden);
    }

    #[test]
    fn a_time_to_live_is_written_in_milliseconds() {
        let format = KeyFormat::new("k", 2, 10).unwrap();
        let pool = values(Sizes::Fixed(0), false);
        let writer = RequestWriter::new(&format, 10, pool, Some(Sizes::Fixed(60_000)), Vec::new(), 1);
        let mut out = Vec::new();
        writer.write(&mut out, &draw(Verb::Set, 4, 0));
        assert_eq!(out, b"*5\r\n$3\r\nSET\r\n$2\r\nk4\r\n$0\r\n\r\n$2\r\nPX\r\n$5\r\n60000\r\n");
    }

    proptest! {
        #[test]
        fn requests_equal_those_written_argument_by_argument(
            key_count in 1_u64..1_000_000_000_000, pick in any::<u64>(), word in any::<u32>(), last in 24_usize..300,
            is_fixed in any::<bool>(), is_varied in any::<bool>(), sealed in any::<bool>()
        ) {
            let key_sizes = if is_varied { Sizes::Range(16, 40) } else { Sizes::Fixed(16) };
            let format = KeyFormat::with_sizes("key:", key_sizes, key_count).unwrap();
            let sizes = if is_fixed { Sizes::Fixed(last) } else { Sizes::Range(24, last) };
            let pool = values(sizes, sealed);
            let writer = RequestWriter::new(&format, key_count, pool.clone(), None, Vec::new(), 3);
            let key = pick % key_count;
            for verb in [Verb::Set, Verb::Get, Verb::Delete] {
                let mut fast = b"before".to_vec();
                writer.write(&mut fast, &draw(verb, key, word));
                let mut written = b"before".to_vec();
                let name = format.key(key);
                match verb {
                    Verb::Get => write_request(&mut written, &[b"GET", &name]),
                    Verb::Delete => write_request(&mut written, &[b"DEL", &name]),
                    _ => write_request(&mut written, &[b"SET", &name, &value_of(&pool, key, word)]),
                }
                prop_assert!(fast.len() - 6 <= writer.request_bytes_max());
                prop_assert_eq!(fast, written);
            }
        }
    }
}
