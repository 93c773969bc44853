//! BITOP: bits of several strings made into those of another.

use resp::Args;
use shard::types::Db;

use super::error_text;
use super::integer::len_i64;
use super::together::{Change, KeyPlace, Seen, Together, TogetherContext};
use crate::pubsub::EventKind;

/// BITOP AND | OR | XOR | NOT destination key [key ...]
pub(super) struct BitOp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    And,
    Or,
    Xor,
    Not,
}

impl Operator {
    /// The operator of a request; an error text when there is none, or it takes another number of keys.
    fn of(args: Args<'_>) -> Result<Self, &'static str> {
        let known: [(&[u8], Self); 4] =
            [(b"AND", Self::And), (b"OR", Self::Or), (b"XOR", Self::Xor), (b"NOT", Self::Not)];
        let found = known.into_iter().find(|(name, _)| args.at(1).eq_ignore_ascii_case(name));
        let (_, operator) = found.ok_or(error_text::SYNTAX)?;
        if operator == Self::Not && args.len() != 4 {
            return Err("ERR BITOP NOT must be called with a single source key.");
        }
        Ok(operator)
    }

    /// Shorter strings count as if zeros followed.
    fn combine(self, mut sources: Vec<Vec<u8>>) -> Vec<u8> {
        let len = sources.iter().map(Vec::len).max().unwrap_or(0);
        let longest = sources.iter().position(|source| source.len() == len).unwrap_or(0);
        // All operators but NOT are symmetric: the longest may be the first.
        let mut result = sources.swap_remove(longest);
        if self == Self::Not {
            for byte in &mut result {
                *byte = !*byte;
            }
        }
        for source in sources {
            let (within, beyond) = result.split_at_mut(source.len());
            let pairs = within.iter_mut().zip(&source);
            match self {
                Self::And => {
                    pairs.for_each(|(byte, other)| *byte &= other);
                    beyond.fill(0);
                }
                Self::Or => pairs.for_each(|(byte, other)| *byte |= other),
                Self::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
                Self::Not => unreachable!("it has one source"),
            }
        }
        result
    }
}

impl Together for BitOp {
    fn places(args: Args<'_>, db: Db) -> Vec<KeyPlace> {
        if Operator::of(args).is_err() {
            return Vec::new();
        }
        (2..args.len()).map(|at| KeyPlace { db, at, wants_value: at > 2, is_read: at > 2 }).collect()
    }

    fn decide(ctx: &mut TogetherContext<'_>, args: Args<'_>) {
        let operator = match Operator::of(args) {
            Ok(operator) => operator,
            Err(text) => return ctx.reply.error(text),
        };
        let value_of = |seen: &mut Option<Seen>| seen.take().map_or_else(Vec::new, |seen| seen.value);
        let result = operator.combine(ctx.seen[1..].iter_mut().map(value_of).collect());
        ctx.reply.integer(len_i64(result.len()));
        if !result.is_empty() {
            ctx.changes.push(Change::Put { place: 0, value: result, deadline: None });
            if ctx.seen[0].is_none() {
                ctx.events.push((0, EventKind::New));
            }
            ctx.events.push((0, EventKind::Set));
        } else if ctx.seen[0].is_some() {
            ctx.changes.push(Change::Delete { place: 0 });
            ctx.events.push((0, EventKind::Del));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shorter_string_lacks_is_zeros() {
        let combine = |operator: Operator, sources: &[&[u8]]| {
            operator.combine(sources.iter().map(|source| source.to_vec()).collect())
        };
        let sources: &[&[u8]] = &[b"\x0f", b"\x3c\xff", b""];
        assert_eq!(combine(Operator::And, sources), b"\0\0");
        assert_eq!(combine(Operator::Or, sources), b"\x3f\xff");
        assert_eq!(combine(Operator::Xor, sources), b"\x33\xff");
        assert_eq!(combine(Operator::And, &sources[..2]), b"\x0c\0");
        assert_eq!(combine(Operator::Not, &sources[..1]), b"\xf0");
        assert_eq!(combine(Operator::Or, &[b"", b""]), b"");
    }
}
