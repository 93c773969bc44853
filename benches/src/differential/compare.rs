//! Whether two replies to a request count as the same: byte for byte, but for what is written here with its reason.

use resp::{Reply, parse_reply};

use super::Words;

/// How replies of a command are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// As sets: their order means nothing.
    Unordered,
    /// As numbers that may be so far apart: time passes between the two servers.
    Near(i64),
    /// The kind of reply only.
    Kind,
}

/// A difference that is meant.
struct Rule {
    names: &'static [&'static str],
    how: How,
    /// Why.
    #[expect(dead_code, reason = "for whoever reads the list")]
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule { names: &["keys"], how: How::Unordered, reason: "keys come in no order" },
    Rule { names: &["ttl", "expiretime"], how: How::Near(1), reason: "seconds pass" },
    Rule { names: &["pttl", "pexpiretime"], how: How::Near(5000), reason: "milliseconds pass" },
    Rule { names: &["randomkey", "time"], how: How::Kind, reason: "drawn by lot, or the time" },
    Rule {
        names: &["slowlog len", "slowlog get"],
        how: How::Kind,
        reason: "what was slow on a busy machine is each server's own",
    },
    Rule { names: &["object help"], how: How::Kind, reason: "later versions of Redis word it otherwise" },
    Rule { names: &["scan"], how: How::Kind, reason: "cursors and portions are each server's own" },
    Rule {
        names: &["dump"],
        how: How::Kind,
        reason: "Redis compresses what we do not; that dumps are exchanged has a test of its own",
    },
    Rule {
        names: &["memory usage", "object encoding", "object idletime", "object refcount"],
        how: How::Kind,
        reason: "what a value is like inside: in Redis it depends on which commands made it",
    },
];

/// The name under which rules know a request.
fn name_of(request: &Words) -> String {
    let lower = |word: &Vec<u8>| String::from_utf8_lossy(word).to_ascii_lowercase();
    let name = request.first().map(lower).unwrap_or_default();
    match request.get(1) {
        Some(word) if ["memory", "object", "client", "slowlog"].contains(&name.as_str()) => {
            format!("{name} {}", lower(word))
        }
        _ => name,
    }
}

/// Whether both replies to a request are the same.
pub(super) fn same(request: &Words, ours: &[u8], theirs: &[u8]) -> bool {
    if ours == theirs || denial(ours).is_some_and(|denial| denial == *theirs) {
        return true;
    }
    let name = name_of(request);
    let Some(rule) = RULES.iter().find(|rule| rule.names.contains(&name.as_str())) else { return false };
    let is_error = |reply: &[u8]| reply.first() == Some(&b'-');
    if is_error(ours) || is_error(theirs) {
        return false;
    }
    match rule.how {
        How::Unordered => {
            let sorted = |reply: &[u8]| {
                let mut elements = elements(reply);
                elements.sort();
                elements
            };
            ours.first() == theirs.first() && sorted(ours) == sorted(theirs)
        }
        How::Near(most) => match (number(ours), number(theirs)) {
            (Some(a), Some(b)) => a >= 0 && b >= 0 && a.abs_diff(b) <= most.unsigned_abs(),
            _ => false,
        },
        How::Kind => ours.first() == theirs.first() && is_null(ours) == is_null(theirs),
    }
}

/// A denial in our words, those of Redis 7.2, as Redis 7.0 words it.
fn denial(reply: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [(&[u8], &[u8]); 2] = [
        (b"No permissions to access a key", b"one of the keys used as arguments"),
        (b"No permissions to access a channel", b"one of the channels used as arguments"),
    ];
    let said = reply.strip_prefix(b"-NOPERM ")?.strip_suffix(b"\r\n")?;
    let theirs = match WORDS.iter().find(|(ours, _)| said == *ours) {
        Some((_, theirs)) => [b"this user has no permissions to access ", *theirs].concat(),
        None => {
            [b"this user", said.strip_prefix(b"User ")?.strip_prefix(super::user::NAME.as_bytes())?].concat()
        }
    };
    Some([b"-NOPERM ", &theirs[..], b"\r\n"].concat())
}

fn is_null(reply: &[u8]) -> bool {
    reply.starts_with(b"$-1") || reply.starts_with(b"_") || reply.starts_with(b"*-1")
}

fn number(reply: &[u8]) -> Option<i64> {
    match parse_reply(reply).ok()?? {
        (Reply::Integer(number), _) => Some(number),
        _ => None,
    }
}

/// The strings of an array.
pub(super) fn elements(reply: &[u8]) -> Vec<Vec<u8>> {
    match parse_reply(reply) {
        Ok(Some((Reply::Array(items), _))) => items
            .into_iter()
            .filter_map(|item| if let Reply::Bulk(bytes) = item { Some(bytes.to_vec()) } else { None })
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(request: &str, ours: &str, theirs: &str) -> bool {
        let request: Words = request.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        same(&request, ours.as_bytes(), theirs.as_bytes())
    }

    #[test]
    fn replies_are_the_same_to_the_byte_but_for_the_rules() {
        assert!(
            holds("get k", "$1\r\na\r\n", "$1\r\na\r\n") && !holds("get k", "$1\r\na\r\n", "$1\r\nb\r\n")
        );
        assert!(holds("KEYS *", "*2\r\n$1\r\na\r\n$1\r\nb\r\n", "*2\r\n$1\r\nb\r\n$1\r\na\r\n"));
        assert!(!holds("KEYS *", "*1\r\n$1\r\na\r\n", "*2\r\n$1\r\nb\r\n$1\r\na\r\n"));
        assert!(holds("TTL k", ":99\r\n", ":100\r\n") && !holds("TTL k", ":-1\r\n", ":0\r\n"));
        assert!(!holds("TTL k", ":98\r\n", ":100\r\n") && !holds("TTL k", "-ERR x\r\n", ":100\r\n"));
        assert!(
            holds("memory USAGE k", ":9\r\n", ":80\r\n") && !holds("memory usage k", "$-1\r\n", ":80\r\n")
        );
        let run = "has no permissions to run the 'get' command\r\n";
        let (ours, theirs) = (format!("-NOPERM User fuzz {run}"), format!("-NOPERM this user {run}"));
        assert!(holds("get k", &ours, &theirs) && !holds("get k", &theirs, &ours));
        let one = "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n";
        assert!(holds("get k", "-NOPERM No permissions to access a key\r\n", one));
        assert!(!holds("get k", "-NOPERM No permissions to access a channel\r\n", one));
        assert!(holds("SLOWLOG LEN", ":0\r\n", ":1\r\n") && !holds("slowlog len", ":0\r\n", "-ERR x\r\n"));
        assert!(!holds("object freq k", ":1\r\n", ":2\r\n") && !holds("randomkey", "$-1\r\n", "$1\r\na\r\n"));
    }
}
