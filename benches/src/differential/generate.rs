//! Requests drawn at random: each of a pattern that makes sense, now and then with a word changed, left out or added.
//!
//! Times are either over, or so far ahead that no key ends between the two servers; commands whose replies cannot be
//! compared (INFO, CLIENT LIST, ...) and those that are refused on purpose (DIFFERENCES.md: MSETNX over several shards) are
//! not drawn. Of publish and subscribe only what gets one reply, whoever else is connected:
//! nobody listens.

use super::{DATABASES, Words};
use crate::rng::Rng;

/// What a word of a pattern stands for.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// Itself.
    Word(&'static str),
    /// A key.
    Key,
    /// A key of one shard.
    Tagged,
    /// Any bytes.
    Value,
    /// An integer.
    Integer,
    /// A number, perhaps with a fraction.
    Float,
    /// A place within a value.
    Offset,
    /// 0 or 1.
    Bit,
    /// A bitfield's type.
    Field,
    /// A time to live, in seconds or milliseconds: none, or very long.
    Span,
    /// A time: over, or far ahead.
    Moment,
    /// A time far ahead: a key that is set with a time that is over counts until somebody meets it, and when that is
    /// depends on the server.
    Ahead,
    /// A database.
    Database,
    /// A pattern of keys.
    Pattern,
    /// A dump, or what is none.
    Dump,
    /// One of these words, or none.
    Maybe(&'static [&'static str]),
    /// So many of the parts before it once more, perhaps several times.
    Again(usize),
}

use Part::{
    Again, Ahead, Bit, Database, Dump, Field, Float, Integer, Key, Maybe, Moment, Offset, Pattern, Span,
    Tagged, Value, Word,
};

const CONDITION: Part = Maybe(&["NX", "XX", "GT", "LT"]);
const UNIT: Part = Maybe(&["BIT", "BYTE"]);

/// Patterns, each as likely as any other.
const PATTERNS: &[(&str, &[Part])] = &[
    ("GET", &[Key]),
    ("GET", &[Key]),
    ("SET", &[Key, Value]),
    ("SET", &[Key, Value]),
    ("SET", &[Key, Integer]),
    ("SET", &[Key, Value, Maybe(&["NX", "XX"]), Maybe(&["GET"]), Maybe(&["KEEPTTL"])]),
    ("SET", &[Key, Value, Word("EX"), Span, Maybe(&["NX", "XX", "GET"])]),
    ("SET", &[Key, Value, Maybe(&["GET"]), Word("PX"), Span]),
    ("SET", &[Key, Value, Word("PXAT"), Ahead]),
    ("SET", &[Key, Value, Word("EXAT"), Ahead]),
    ("SETNX", &[Key, Value]),
    ("SETEX", &[Key, Span, Value]),
    ("PSETEX", &[Key, Span, Value]),
    ("GETSET", &[Key, Value]),
    ("GETDEL", &[Key]),
    ("GETEX", &[Key, Maybe(&["PERSIST"])]),
    ("GETEX", &[Key, Word("EX"), Span]),
    ("GETEX", &[Key, Word("PXAT"), Moment]),
    ("MGET", &[Key, Key, Key, Again(1)]),
    ("MSET", &[Key, Value, Again(2)]),
    ("MSET", &[Key, Value, Key, Value, Key, Value]),
    ("MSETNX", &[Tagged, Value, Tagged, Value]),
    ("APPEND", &[Key, Value]),
    ("STRLEN", &[Key]),
    ("GETRANGE", &[Key, Offset, Offset]),
    ("SUBSTR", &[Key, Offset, Offset]),
    ("SETRANGE", &[Key, Offset, Value]),
    ("INCR", &[Key]),
    ("DECR", &[Key]),
    ("INCRBY", &[Key, Integer]),
    ("DECRBY", &[Key, Integer]),
    ("INCRBYFLOAT", &[Key, Float]),
    ("PUBLISH", &[Key, Value]),
    ("SPUBLISH", &[Key, Value]),
    ("UNSUBSCRIBE", &[Key]),
    ("PUNSUBSCRIBE", &[Pattern]),
    ("SUNSUBSCRIBE", &[Key]),
    ("PUBSUB", &[Word("NUMSUB"), Key, Again(1)]),
    ("PUBSUB", &[Maybe(&["CHANNELS", "SHARDCHANNELS", "NUMPAT"])]),
    ("GETBIT", &[Key, Offset]),
    ("SETBIT", &[Key, Offset, Bit]),
    ("BITCOUNT", &[Key]),
    ("BITCOUNT", &[Key, Offset, Offset, UNIT]),
    ("BITPOS", &[Key, Bit]),
    ("BITPOS", &[Key, Bit, Offset]),
    ("BITPOS", &[Key, Bit, Offset, Offset, UNIT]),
    ("BITFIELD", &[Key, Word("GET"), Field, Offset, Again(3)]),
    ("BITFIELD", &[Key, Word("SET"), Field, Offset, Integer, Again(4)]),
    (
        "BITFIELD",
        &[
            Key,
            Word("OVERFLOW"),
            Maybe(&["SAT", "FAIL", "WRAP"]),
            Word("INCRBY"),
            Field,
            Offset,
            Integer,
            Again(4),
        ],
    ),
    ("BITFIELD_RO", &[Key, Word("GET"), Field, Offset, Again(3)]),
    ("BITOP", &[Word("AND"), Key, Key, Key, Again(1)]),
    ("BITOP", &[Word("OR"), Key, Key, Key, Again(1)]),
    ("BITOP", &[Word("XOR"), Key, Key, Key, Again(1)]),
    ("BITOP", &[Word("NOT"), Key, Key]),
    ("LCS", &[Key, Key, Maybe(&["LEN", "IDX"]), Maybe(&["WITHMATCHLEN"])]),
    ("LCS", &[Key, Key, Word("IDX"), Word("MINMATCHLEN"), Bit]),
    ("DEL", &[Key, Again(1)]),
    ("UNLINK", &[Key, Key]),
    ("EXISTS", &[Key, Key, Again(1)]),
    ("TOUCH", &[Key, Key]),
    ("TYPE", &[Key]),
    ("RENAME", &[Key, Key]),
    ("RENAME", &[Key, Key]),
    ("RENAMENX", &[Key, Key]),
    ("COPY", &[Key, Key, Maybe(&["REPLACE"])]),
    ("COPY", &[Key, Key, Word("DB"), Database, Maybe(&["REPLACE"])]),
    ("MOVE", &[Key, Database]),
    ("EXPIRE", &[Key, Span, Maybe(&["NX", "XX"])]),
    ("PEXPIRE", &[Key, Span, Maybe(&["NX", "XX", "FOO"]), Maybe(&["NX", "XX"])]),
    ("EXPIREAT", &[Key, Moment, CONDITION]),
    ("PEXPIREAT", &[Key, Moment, CONDITION]),
    ("TTL", &[Key]),
    ("PTTL", &[Key]),
    ("EXPIRETIME", &[Key]),
    ("PEXPIRETIME", &[Key]),
    ("PERSIST", &[Key]),
    ("DUMP", &[Key]),
    ("RESTORE", &[Key, Span, Dump, Maybe(&["REPLACE"])]),
    ("RESTORE", &[Key, Moment, Dump, Word("ABSTTL"), Maybe(&["REPLACE"])]),
    ("OBJECT", &[Maybe(&["ENCODING", "REFCOUNT", "IDLETIME", "FREQ", "HELP"]), Key]),
    ("MEMORY", &[Word("USAGE"), Key]),
    ("KEYS", &[Pattern]),
    ("RANDOMKEY", &[]),
    ("DBSIZE", &[]),
    ("SCAN", &[Word("0")]),
    ("SELECT", &[Database]),
    ("SELECT", &[Database]),
    ("SWAPDB", &[Database, Database]),
    ("PING", &[Maybe(&["hello"])]),
    ("ECHO", &[Value]),
    ("CLIENT", &[Word("SETNAME"), Pattern]),
    ("CLIENT", &[Word("GETNAME")]),
    // On in sessions of `tracking` only.
    ("CLIENT", &[Word("TRACKING"), Word("OFF")]),
    ("CLIENT", &[Word("TRACKINGINFO")]),
    ("CLIENT", &[Word("GETREDIR")]),
    ("CLIENT", &[Word("CACHING"), Maybe(&["YES", "NO"])]),
    ("SLOWLOG", &[Word("RESET")]),
    ("LATENCY", &[Maybe(&["LATEST", "RESET"])]),
    ("LATENCY", &[Word("HISTORY"), Key]),
    ("COMMAND", &[Word("GETKEYS"), Word("MSET"), Key, Value]),
    ("WAIT", &[Word("0"), Bit]),
    ("SCRIPT", &[Word("FLUSH")]),
    ("FUNCTION", &[Word("FLUSH")]),
    ("ACL", &[Word("WHOAMI")]),
    ("NOSUCHCOMMAND", &[Value, Key]),
];

pub(super) const KEYS: &[&[u8]] =
    &[b"a", b"b", b"c", b"d", b"e", b"{t}a", b"{t}b", b"{t}c", b"", b"two words", b"\x00\xff\r\n", b"12345"];
const TAGGED: &[&[u8]] = &[b"{t}a", b"{t}b", b"{t}c"];
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "10",
    "-7",
    "255",
    "256",
    "-128",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1.5",
    "abc",
    "",
    " 1",
    "+1",
    "007",
    "4294967296",
    "18446744073709551615",
];
const FLOATS: &[&str] =
    &["0", "1", "-1", "0.1", "3.0e3", "-2.5", "1e400", "nan", "inf", "abc", "10.000000000001", "0x10"];
const OFFSETS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "5",
    "7",
    "8",
    "9",
    "15",
    "31",
    "63",
    "100",
    "-1",
    "-2",
    "-5",
    "-100",
    "4294967296",
    "x",
    "#1",
    "#2",
];
const FIELDS: &[&str] =
    &["i8", "u8", "i5", "u3", "i16", "u16", "u31", "i64", "u63", "u1", "i1", "u64", "i65", "x8", "i"];
const SPANS: &[&str] = &[
    "1000000",
    "5000000",
    "86400000",
    "0",
    "-1",
    "9223372036854775807",
    "abc",
    "-9223372036854775808",
    "1.5",
];
const MOMENTS: &[&str] = &["33177117420000", "99999999999999", "1", "0", "-1", "abc", "9223372036854775807"];
const MATCHES: &[&str] = &["*", "a", "[a-c]", "?", "{t}*", "*b", "[^a]", "x\\*", ""];
const WORDS: &[&str] = &[
    "NX", "GET", "KEEPTTL", "REPLACE", "DB", "IDX", "LEN", "BIT", "0", "1", "a", "", "GT", "COUNT", "LIMIT",
];

/// Draws requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generator;

pub(super) fn one_of<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    let at = usize::try_from(rng.below(all.len() as u64)).unwrap_or(0);
    &all[at]
}

fn value(rng: &mut Rng) -> Vec<u8> {
    match rng.below(10) {
        0 => Vec::new(),
        1..4 => one_of(rng, INTEGERS).as_bytes().to_vec(),
        4 => one_of(rng, FLOATS).as_bytes().to_vec(),
        5 => {
            let len = rng.between(100, 5000);
            let byte = rng.next_u64().to_le_bytes()[0];
            (0..len).map(|at| byte.wrapping_add((at / 7).to_le_bytes()[0])).collect()
        }
        6 => b"the quick brown fox"[..usize::try_from(rng.between(1, 19)).unwrap_or(1)].to_vec(),
        _ => {
            let len = rng.between(1, 30);
            (0..len).map(|_| rng.next_u64().to_le_bytes()[0]).collect()
        }
    }
}

/// Dumps of Redis 7 by hand: integers and a compressed string, and some that are none.
fn dump(rng: &mut Rng) -> Vec<u8> {
    const DUMPS: &[&[u8]] = &[
        b"\x00\xc0{\n\x00",
        b"\x00\xc1\x39\x30\n\x00",
        b"\x00\x03abc\n\x00",
        b"\x00\xc3\x0a\x40\x64\x01aa\xe0\x57\x00\x01aa\n\x00",
        b"\x00\xc3\x05\x0a\x00x\xe0\x00\x00\n\x00",
        b"\x00\xc4\x01\n\x00",
        b"\x00\x20abc\n\x00",
        b"\x03\x03abc\n\x00",
        b"",
        b"abc",
    ];
    let mut dump = one_of(rng, DUMPS).to_vec();
    let crc = crc64(&dump);
    dump.extend_from_slice(&crc.to_le_bytes());
    if rng.one_in(8) {
        dump.pop();
    }
    dump
}

/// CRC-64 as Redis computes it, bit by bit: the polynomial 0xad93d23594c935a9, reflected.
fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| {
        let mut crc = crc ^ u64::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x95ac_9329_ac4b_c9b5 } else { crc >> 1 };
        }
        crc
    })
}

fn push(part: Part, words: &mut Words, rng: &mut Rng) {
    let text = |text: &&str| text.as_bytes().to_vec();
    words.push(match part {
        Word(word) => word.as_bytes().to_vec(),
        Key => one_of(rng, KEYS).to_vec(),
        Tagged => one_of(rng, TAGGED).to_vec(),
        Value => value(rng),
        Integer => text(one_of(rng, INTEGERS)),
        Float => text(one_of(rng, FLOATS)),
        Offset => text(one_of(rng, OFFSETS)),
        Bit => text(one_of(rng, &["0", "1"])),
        Field => text(one_of(rng, FIELDS)),
        Span => text(one_of(rng, SPANS)),
        Ahead => text(one_of(rng, &MOMENTS[..2])),
        Moment => text(one_of(rng, MOMENTS)),
        Pattern => text(one_of(rng, MATCHES)),
        Dump => dump(rng),
        Database if rng.one_in(12) => text(one_of(rng, &["16", "-1", "x", "4294967296"])),
        Database => one_of(rng, &DATABASES).to_string().into_bytes(),
        Maybe(all) => {
            if !rng.one_in(2) {
                return;
            }
            text(one_of(rng, all))
        }
        Again(_) => return,
    });
}

impl Generator {
    /// The next request.
    pub fn request(self, rng: &mut Rng) -> Words {
        if rng.one_in(300) {
            return vec![if rng.one_in(2) { b"FLUSHALL".to_vec() } else { b"FLUSHDB".to_vec() }];
        }
        loop {
            let request = Self::draw(rng);
            if !is_racy(&request) && !is_large(&request) {
                return request;
            }
        }
    }

    fn draw(rng: &mut Rng) -> Words {
        let (name, parts) = one_of(rng, PATTERNS);
        let mut words =
            vec![if rng.one_in(4) { name.to_ascii_lowercase() } else { (*name).to_owned() }.into_bytes()];
        for (at, part) in parts.iter().enumerate() {
            if let Again(count) = part {
                for _ in 0..rng.below(3) {
                    for part in &parts[at - count..at] {
                        push(*part, &mut words, rng);
                    }
                }
            } else {
                push(*part, &mut words, rng);
            }
        }
        // A key of another shard makes MSETNX refuse, a replica to WAIT for makes Redis wait for ever, and each channel gets
        // a reply of its own.
        let is_fixed = ["MSETNX", "WAIT"].contains(name) || name.ends_with("UNSUBSCRIBE");
        if !is_fixed && rng.one_in(15) {
            let at = usize::try_from(rng.between(1, words.len() as u64)).unwrap_or(1);
            let word = one_of(rng, WORDS).as_bytes().to_vec();
            match rng.below(3) {
                0 if at < words.len() => {
                    words.remove(at);
                }
                1 if at < words.len() => words[at] = word,
                _ => words.insert(at, word),
            }
        }
        words
    }
}

/// Whether a key could end between the two servers: a time to live that is short.
fn is_racy(request: &Words) -> bool {
    let is_short = |word: &Vec<u8>| {
        let number = std::str::from_utf8(word).ok().and_then(|text| text.parse::<i64>().ok());
        number.is_some_and(|number| (1..1_000_000).contains(&number))
    };
    let name = request[0].to_ascii_uppercase();
    let is_relative =
        [&b"EXPIRE"[..], b"PEXPIRE", b"SETEX", b"PSETEX", b"RESTORE"].contains(&name.as_slice());
    let follows = request.windows(2).any(|pair| {
        let word = pair[0].to_ascii_uppercase();
        (word == b"EX" || word == b"PX") && is_short(&pair[1])
    });
    // A time that is over: see `Ahead`.
    let sets_past = name == b"SET"
        && request.windows(2).any(|pair| {
            let word = pair[0].to_ascii_uppercase();
            (word == b"EXAT" || word == b"PXAT") && is_short(&pair[1])
        });
    // Whether a time from now on is later than one from a little before depends on the clock.
    let compares = is_relative
        && request.iter().any(|word| word.eq_ignore_ascii_case(b"GT") || word.eq_ignore_ascii_case(b"LT"));
    compares || sets_past || follows || (is_relative && request.get(2).is_some_and(is_short))
}

/// Whether it would make a value of hundreds of megabytes.
fn is_large(request: &Words) -> bool {
    let name = request[0].to_ascii_uppercase();
    let grows = [&b"SETRANGE"[..], b"SETBIT", b"BITFIELD"].contains(&name.as_slice());
    let large = |word: &Vec<u8>| {
        let digits = word.strip_prefix(b"#").unwrap_or(word);
        let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u64>().ok());
        number.is_some_and(|number| (100_000..4_294_967_296).contains(&number))
    };
    grows && request[1..].iter().any(large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_requests_and_none_that_time_decides() {
        let draw = |seed| {
            let mut rng = Rng::new(seed, 0);
            (0..5000).map(|_| Generator.request(&mut rng)).collect::<Vec<_>>()
        };
        let requests = draw(1);
        assert!(requests == draw(1) && requests != draw(2));
        assert!(requests.iter().all(|request| !is_racy(request) && !request[0].is_empty()));
        for (name, _) in PATTERNS {
            let drawn = requests.iter().any(|request| request[0].eq_ignore_ascii_case(name.as_bytes()));
            assert!(drawn, "{name}");
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }
}
