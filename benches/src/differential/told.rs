//! What a client that caches was told, brought to a form in which two servers' words are compared: without the order of keys,
//! and without what docs/DIFFERENCES.md says is different.

use resp::{Reply, parse_reply};

use super::wire::{INVALIDATE, MESSAGE};

/// What a client was told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// That all keys were flushed, to the byte and as often as it came.
    flushes: Vec<Vec<u8>>,
    /// Keys in order, each as often as it was told.
    pub(super) keys: Vec<Vec<u8>>,
    /// What is no invalidation, in order.
    other: Vec<Vec<u8>>,
}

impl Told {
    /// `each_once`: how often a key was told, or that a receiver is gone, means nothing.
    pub(super) fn of(pushed: Vec<Vec<u8>>, each_once: bool) -> Self {
        let mut told = Self::default();
        for push in pushed {
            let parts = match parse_reply(&push) {
                Ok(Some((Reply::Push(parts), _))) => parts,
                // In the old protocol it is a message, its channel the second part.
                Ok(Some((Reply::Array(parts), _))) if parts.len() == 3 => {
                    vec![Reply::Bulk(b"invalidate".to_vec()), parts[2].clone()]
                }
                _ => Vec::new(),
            };
            match &parts[..] {
                [Reply::Bulk(word), Reply::Null] if word == b"invalidate" => told.flushes.push(push),
                [Reply::Bulk(word), Reply::Array(keys)] if word == b"invalidate" => {
                    for key in keys {
                        match key {
                            Reply::Bulk(key) => told.keys.push(key.clone()),
                            _ => told.other.push(push.clone()),
                        }
                    }
                }
                _ => told.other.push(push),
            }
        }
        told.flushes.sort_unstable();
        told.other.sort_unstable();
        told.keys.sort_unstable();
        if each_once {
            told.other.dedup();
            told.keys.dedup();
        }
        told
    }

    /// For who reads a difference.
    pub(super) fn text(&self) -> Vec<u8> {
        let flushes = self.flushes.iter().map(|push| format!("all keys ({})", push.escape_ascii()));
        let keys = self.keys.iter().map(|key| format!("\"{}\"", key.escape_ascii()));
        let other = self.other.iter().map(|push| push.escape_ascii().to_string());
        flushes.chain(keys).chain(other).collect::<Vec<_>>().join(" ").into_bytes()
    }
}

/// What Redis tells, with the null of a flush as we write it: that of the protocol of the client that is told
/// (docs/DIFFERENCES.md). Redis takes that of the one that tracks.
pub(super) fn with_null_of_who_is_told(push: Vec<u8>) -> Vec<u8> {
    const NULLS: [&[u8]; 2] = [b"_\r\n", b"$-1\r\n"];
    for (head, null) in [INVALIDATE, MESSAGE].into_iter().zip(NULLS) {
        if push.strip_prefix(head).is_some_and(|rest| NULLS.contains(&rest)) {
            return [head, null].concat();
        }
    }
    push
}

#[cfg(test)]
mod tests {
    use super::super::wire::BROKEN;
    use super::*;

    const FLUSH: &[u8] = b">2\r\n$10\r\ninvalidate\r\n_\r\n";
    /// With the null of the other protocol.
    const FLUSH_MIXED: &[u8] = b">2\r\n$10\r\ninvalidate\r\n$-1\r\n";

    fn of(pushed: &[Vec<u8>], each_once: bool) -> Told {
        Told::of(pushed.to_vec(), each_once)
    }

    fn push(keys: &[&str]) -> Vec<u8> {
        let count = keys.len();
        let keys: String = keys.iter().map(|key| format!("${}\r\n{key}\r\n", key.len())).collect();
        format!(">2\r\n$10\r\ninvalidate\r\n*{count}\r\n{keys}").into_bytes()
    }

    fn message(what: &str) -> Vec<u8> {
        format!("*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n{what}").into_bytes()
    }

    #[test]
    fn keys_are_compared_without_order() {
        let apart = [push(&["b"]), FLUSH.to_vec(), push(&["a"])];
        let together = [push(&["a", "b"]), FLUSH.to_vec()];
        assert_eq!(of(&apart, false), of(&together, false));
        let twice = [push(&["a"]), push(&["a", "b"])];
        assert_ne!(of(&twice, false), of(&together[..1], false));
        assert_eq!(of(&twice, true), of(&together[..1], true));
        assert_ne!(of(&[b">1\r\n$1\r\nx\r\n".to_vec()], true), of(&[], true));
        let old = [message("*1\r\n$1\r\nb\r\n"), message("*1\r\n$1\r\na\r\n")];
        assert_eq!(of(&old, false), of(&together[..1], false));
    }

    #[test]
    fn flushes_are_compared_by_count_and_by_byte() {
        let flushes = |pushes: &[&[u8]]| Told::of(pushes.iter().map(|push| push.to_vec()).collect(), true);
        assert_ne!(flushes(&[FLUSH]), flushes(&[]));
        assert_ne!(flushes(&[FLUSH]), flushes(&[FLUSH, FLUSH]));
        assert_ne!(flushes(&[FLUSH]), flushes(&[FLUSH_MIXED]));
        assert_ne!(flushes(&[FLUSH]), flushes(&[&message("$-1\r\n")]));
    }

    #[test]
    fn only_the_null_of_redis_is_made_that_of_who_is_told() {
        let check = |push: &[u8], expected: &[u8]| {
            assert_eq!(with_null_of_who_is_told(push.to_vec()), expected);
        };
        check(FLUSH, FLUSH);
        check(FLUSH_MIXED, FLUSH);
        check(&message("_\r\n"), &message("$-1\r\n"));
        check(&message("$-1\r\n"), &message("$-1\r\n"));
        check(&push(&["a"]), &push(&["a"]));
        check(&message("*1\r\n$1\r\n_\r\n"), &message("*1\r\n$1\r\n_\r\n"));
    }

    #[test]
    fn that_a_receiver_is_gone_counts_with_its_id_and_how_often() {
        let broken = |id: &str| [BROKEN, b":", id.as_bytes(), b"\r\n"].concat();
        let twice = [broken("1"), broken("1")];
        assert_eq!(of(&twice, true), of(&twice[..1], true));
        assert_ne!(of(&twice, false), of(&twice[..1], false));
        assert_ne!(of(&[broken("1")], false), of(&[broken("2")], false));
        assert_ne!(of(&[broken("1")], false), of(&[], false));
    }
}
