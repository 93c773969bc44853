//! A string in Redis's RDB format, in the envelope of DUMP: type byte, the string, version (two bytes) and CRC-64, both
//! little-endian. Source: the RDB format as `rdb.c` of Redis 7 reads and writes it.
//!
//! A string is a length and its bytes; or, with the two highest bits of the first byte set, an integer of 1, 2 or 4 bytes
//! or LZF-compressed bytes. We write integers as Redis does and never compress; all forms are read.

use resp::number::parse_i64_strict;

/// What DUMP writes: that of Redis 7.0, which later versions read.
const VERSION: u16 = 10;
/// The newest version that is read: that of Redis 7.2. Strings are the same in all of them.
const VERSION_MAX: u16 = 11;
/// Bytes after the content: version and checksum.
const FOOTER_BYTES: usize = 10;
const TYPE_STRING: u8 = 0;
/// Longest text that is tried as an integer: that of the least 32-bit number.
const INTEGER_TEXT_BYTES_MAX: usize = 11;

/// Why a dump cannot be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DumpError {
    /// Too short, of a newer version, or the checksum does not match.
    Envelope,
    /// No string, or not a whole one.
    Content,
}

/// CRC-64 "Jones" by table, lowest bit first: polynomial 0xad93d23594c935a9, reflected.
const CRC_TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x95ac_9329_ac4b_c9b5 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| CRC_TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ crc >> 8)
}

/// The dump of a string.
pub(super) fn dump(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 6 + FOOTER_BYTES);
    out.push(TYPE_STRING);
    write_string(&mut out, value);
    out.extend_from_slice(&VERSION.to_le_bytes());
    let crc = crc64(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

fn write_string(out: &mut Vec<u8>, value: &[u8]) {
    let number = (value.len() <= INTEGER_TEXT_BYTES_MAX).then(|| parse_i64_strict(value)).flatten();
    if let Some(number) = number.and_then(|number| i32::try_from(number).ok()) {
        if let Ok(number) = i8::try_from(number) {
            out.push(0xc0);
            out.extend_from_slice(&number.to_le_bytes());
        } else if let Ok(number) = i16::try_from(number) {
            out.push(0xc1);
            out.extend_from_slice(&number.to_le_bytes());
        } else {
            out.push(0xc2);
            out.extend_from_slice(&number.to_le_bytes());
        }
        return;
    }
    let len = u32::try_from(value.len()).expect("a value is at most 512 MiB");
    let bytes = len.to_be_bytes();
    match len {
        0..64 => out.push(bytes[3]),
        64..16_384 => out.extend_from_slice(&[0x40 | bytes[2], bytes[3]]),
        _ => {
            out.push(0x80);
            out.extend_from_slice(&bytes);
        }
    }
    out.extend_from_slice(value);
}

/// The string of a dump, of at most so many bytes.
pub(super) fn restore(dump: &[u8], bytes_max: u64) -> Result<Vec<u8>, DumpError> {
    let content_len = dump.len().checked_sub(FOOTER_BYTES).ok_or(DumpError::Envelope)?;
    let (content, footer) = dump.split_at(content_len);
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let mut crc = [0; 8];
    crc.copy_from_slice(&footer[2..]);
    if version > VERSION_MAX || crc64(&dump[..content_len + 2]) != u64::from_le_bytes(crc) {
        return Err(DumpError::Envelope);
    }
    let mut reader = Reader(content);
    if reader.byte() != Some(TYPE_STRING) {
        return Err(DumpError::Content);
    }
    let most = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    reader.string(most).ok_or(DumpError::Content)
}

struct Reader<'a>(&'a [u8]);

enum Length {
    Bytes(usize),
    Encoding(u8),
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn length(&mut self) -> Option<Length> {
        let first = self.byte()?;
        Some(match first >> 6 {
            0 => Length::Bytes(usize::from(first)),
            1 => Length::Bytes(usize::from(first & 0x3f) << 8 | usize::from(self.byte()?)),
            3 => Length::Encoding(first & 0x3f),
            _ => {
                let width = match first {
                    0x80 => 4,
                    0x81 => 8,
                    _ => return None,
                };
                let number =
                    self.take(width)?.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
                Length::Bytes(usize::try_from(number).ok()?)
            }
        })
    }

    fn bytes_len(&mut self) -> Option<usize> {
        match self.length()? {
            Length::Bytes(len) => Some(len),
            Length::Encoding(_) => None,
        }
    }

    fn string(&mut self, most: usize) -> Option<Vec<u8>> {
        let number = match self.length()? {
            Length::Bytes(len) => return self.take(len).filter(|_| len <= most).map(<[u8]>::to_vec),
            Length::Encoding(0) => i32::from(i8::from_le_bytes([self.byte()?])),
            Length::Encoding(1) => i32::from(i16::from_le_bytes([self.byte()?, self.byte()?])),
            Length::Encoding(2) => {
                i32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?])
            }
            Length::Encoding(3) => {
                let (packed_len, len) = (self.bytes_len()?, self.bytes_len()?);
                return unpack(self.take(packed_len)?, len, most);
            }
            Length::Encoding(_) => return None,
        };
        Some(itoa::Buffer::new().format(number).as_bytes().to_vec())
    }
}

/// LZF: literal runs, and copies of what was written before, which may overlap with what they write.
fn unpack(packed: &[u8], len: usize, most: usize) -> Option<Vec<u8>> {
    // Three bytes stand for 264 at most: what claims more is not allocated for.
    if len == 0 || len > most || len > packed.len().saturating_mul(264) {
        return None;
    }
    let mut out: Vec<u8> = Vec::with_capacity(len);
    let mut reader = Reader(packed);
    while let Some(control) = reader.byte() {
        let control = usize::from(control);
        if control < 32 {
            out.extend_from_slice(reader.take(control + 1)?);
        } else {
            let mut copied = control >> 5;
            if copied == 7 {
                copied += usize::from(reader.byte()?);
            }
            let back = (control & 0x1f) << 8 | usize::from(reader.byte()?);
            let start = out.len().checked_sub(back + 1)?;
            for at in start..start + copied + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 1 << 20;

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn what_was_dumped_is_restored() {
        let long = vec![7; 70_000];
        for value in [
            &b""[..],
            b"a",
            b"0",
            b"-1",
            b"127",
            b"128",
            b"-32769",
            b"2147483648",
            b"007",
            &long[..100],
            &long,
        ] {
            assert_eq!(restore(&dump(value), MOST).as_deref(), Ok(value));
        }
        assert_eq!(&dump(b"128")[..4], b"\0\xc1\x80\0");
        assert_eq!(&dump(b"abc")[..7], b"\0\x03abc\x0a\0");
    }

    #[test]
    fn no_bytes_but_a_dump_are_restored() {
        let dump = dump(b"value");
        for at in 0..dump.len() {
            let mut bad = dump.clone();
            bad[at] ^= 1;
            assert!(restore(&bad, MOST).is_err(), "{at}");
            assert!(restore(&dump[..at], MOST).is_err(), "{at}");
        }
        assert_eq!(restore(&dump, 4), Err(DumpError::Content));
    }

    #[test]
    fn packed_bytes_come_back_and_damaged_ones_do_not() {
        // A literal run "ab", then six bytes from two back: it overlaps itself.
        assert_eq!(unpack(b"\x01ab\x80\x01", 8, 100).as_deref(), Some(&b"abababab"[..]));
        // Length in a byte of its own: 7 + 1 + 2.
        assert_eq!(unpack(b"\x00x\xe0\x01\x00", 11, 100).as_deref(), Some(&b"xxxxxxxxxxx"[..]));
        for (packed, len) in
            [(&b"\x01ab\x80\x02"[..], 8), (b"\x01ab\x80", 8), (b"\x05ab", 6), (b"\x01ab", 3), (b"", 0)]
        {
            assert_eq!(unpack(packed, len, 100), None, "{}", packed.escape_ascii());
        }
    }
}
