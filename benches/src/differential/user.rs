//! Rules of a user drawn at random: sessions are played as that user, so that what is denied, and in which words, is
//! compared too.
//!
//! Categories and commands are those that both servers know; a rule that one of them refuses would show as a difference
//! of the reply to ACL SETUSER.

use super::{Words, generate::one_of};
use crate::rng::Rng;

/// Name of the user.
pub(super) const NAME: &str = "fuzz";

const CATEGORIES: &[&str] = &[
    "@all",
    "@read",
    "@write",
    "@string",
    "@bitmap",
    "@keyspace",
    "@connection",
    "@fast",
    "@slow",
    "@dangerous",
    "@admin",
    "@pubsub",
    "@transaction",
    "@blocking",
    "@scripting",
];
const COMMANDS: &[&str] = &[
    "get",
    "set",
    "del",
    "mget",
    "mset",
    "rename",
    "copy",
    "bitop",
    "bitfield",
    "getex",
    "setrange",
    "keys",
    "scan",
    "flushall",
    "flushdb",
    "select",
    "publish",
    "spublish",
    "object|encoding",
    "object",
    "memory|usage",
    "client|setname",
    "client",
    "pubsub|numsub",
    "command|getkeys",
    "expire",
    "lcs",
    "ping",
];
const KEYS: &[&str] = &[
    "~*",
    "allkeys",
    "~a",
    "~[a-c]",
    "~{t}*",
    "%R~*",
    "%W~*",
    "%R~[a-d]",
    "%W~{t}a",
    "%RW~e",
    "%R~12345",
    "~",
    "resetkeys",
];
const CHANNELS: &[&str] = &["&*", "allchannels", "&a", "&[a-c]", "&{t}*", "resetchannels"];

fn command(rng: &mut Rng) -> String {
    // More is given than taken, or most sessions would consist of denials.
    let sign = if rng.one_in(3) { '-' } else { '+' };
    let name = if rng.one_in(2) { one_of(rng, CATEGORIES) } else { one_of(rng, COMMANDS) };
    format!("{sign}{name}")
}

/// The rules of a selector, one behind the other.
fn selector(rng: &mut Rng) -> String {
    let mut rules = Vec::new();
    for _ in 0..rng.between(1, 3) {
        rules.push(command(rng));
    }
    rules.push((*one_of(rng, &KEYS[..KEYS.len() - 1])).to_owned());
    if rng.one_in(2) {
        rules.push((*one_of(rng, &CHANNELS[..CHANNELS.len() - 1])).to_owned());
    }
    format!("({})", rules.join(" "))
}

/// `ACL SETUSER` with drawn rules; nothing is left of the rules before.
pub(super) fn set_user(rng: &mut Rng) -> Words {
    let mut words: Vec<String> = ["ACL", "SETUSER", NAME, "reset", "on", "nopass"].map(str::to_owned).into();
    if !rng.one_in(3) {
        words.push("+@all".to_owned());
    }
    for _ in 0..rng.below(6) {
        words.push(match rng.below(8) {
            0..4 => command(rng),
            4 | 5 => (*one_of(rng, KEYS)).to_owned(),
            6 => (*one_of(rng, CHANNELS)).to_owned(),
            _ => selector(rng),
        });
    }
    if rng.one_in(2) {
        words.push("~*".to_owned());
    }
    words.into_iter().map(String::into_bytes).collect()
}

/// The login that goes with it, in a version of the protocol. The password is not asked for.
pub(super) fn login(protocol: u8) -> Words {
    super::words(&["HELLO", &protocol.to_string(), "AUTH", NAME, "any"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_differ_and_every_kind_is_drawn() {
        let mut rng = Rng::new(1, 0);
        let drawn: Vec<String> = (0..2000)
            .flat_map(|_| set_user(&mut rng).split_off(6))
            .map(|word| String::from_utf8(word).unwrap())
            .collect();
        for rule in
            CATEGORIES.iter().chain(COMMANDS).flat_map(|name| [format!("+{name}"), format!("-{name}")])
        {
            assert!(drawn.contains(&rule), "{rule}");
        }
        for rule in KEYS.iter().chain(CHANNELS) {
            assert!(drawn.iter().any(|drawn| drawn == rule), "{rule}");
        }
        assert!(drawn.iter().any(|rule| rule.starts_with('(')));
    }
}
