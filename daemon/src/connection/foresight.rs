//! What the clients of one turn are about to ask for: the keys of their first requests, brought into the cache together.
//!
//! Requests of one pipeline are warmed by their plan; where each client sends one at a time, those of different clients are
//! the ones whose misses can overlap. It is a guess from bytes that nobody has parsed yet, and nothing depends on it.

use engine::Shards;
use ring::{Completion, Received};
use shard::shard_set::WARM_KEYS_MAX;
use shard::types::{Db, Slot};

/// Digits of a length that are looked at: a key that is longer than 9,999 bytes is passed over.
const DIGITS_MAX: usize = 4;

/// Brings the first keys of what was received into the cache, of the database that nearly all use.
pub(super) fn warm(shards: &Shards, completions: &[Completion]) {
    let mut keys = [(Slot(0), 0); WARM_KEYS_MAX];
    let received = completions.iter().filter_map(|completion| match completion {
        Completion::Received { result: Ok(Received::Data(buffer)), .. } => first_key(buffer),
        _ => None,
    });
    let mut count = 0;
    for (place, key) in keys.iter_mut().zip(received) {
        let key = shards.hasher().key(key);
        *place = (key.slot, key.hash);
        count += 1;
    }
    // A miss alone overlaps with nothing.
    if count > 1 {
        shards.warm(Db(0), &keys[..count]);
    }
}

/// The second argument of a request at the start of `bytes`, if it is one like most and there so far.
fn first_key(bytes: &[u8]) -> Option<&[u8]> {
    let (_, rest) = length(bytes.strip_prefix(b"*")?)?;
    let (name, rest) = length(rest.strip_prefix(b"$")?)?;
    let (key, rest) = length(rest.get(name + 2..)?.strip_prefix(b"$")?)?;
    rest.get(..key)
}

/// A length, and what follows the end of its line.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let digits = bytes.iter().take(DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
    let length = bytes[..digits].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    Some((length, bytes.get(digits..)?.strip_prefix(b"\r\n")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_and_anything_else_is_passed_over() {
        let request = b"*3\r\n$3\r\nSET\r\n$10\r\nkey:000001\r\n$1\r\nv\r\n";
        assert_eq!(first_key(request), Some(&b"key:000001"[..]));
        let key_ends = request.len() - 9;
        for end in 0..request.len() {
            assert_eq!(first_key(&request[..end]).is_some(), end >= key_ends, "{end}");
        }
        let strange: [&[u8]; 6] = [
            b"GET key\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"*2\r\n$9999\r\nGET\r\n$1\r\na\r\n",
            b"*2\r\n$-1\r\n$1\r\na\r\n",
            b"*2\r\n$3\r\nGET\r\n$99999\r\na\r\n",
            b"*99999999999999999999\r\n",
        ];
        for bytes in strange {
            assert_eq!(first_key(bytes), None, "{}", bytes.escape_ascii());
        }
    }
}
