//! LCS: the longest common subsequence of two strings.

use resp::{Args, ReplyWriter};
use shard::types::Db;

use super::error_text;
use super::integer::{integer, len_i64};
use super::together::{KeyPlace, Together, TogetherContext};

/// LCS key key [LEN] [IDX] [MINMATCHLEN length] [WITHMATCHLEN]
pub(super) struct Lcs;

#[derive(Clone, Copy, Debug, Default)]
struct Options {
    only_length: bool,
    ranges: bool,
    least_match: i64,
    with_match_length: bool,
}

impl Options {
    /// Reads options; when they make no sense the error is written.
    fn read(words: Args<'_>, reply: &mut ReplyWriter<'_>) -> Option<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            if is(b"IDX") {
                options.ranges = true;
            } else if is(b"LEN") {
                options.only_length = true;
            } else if is(b"WITHMATCHLEN") {
                options.with_match_length = true;
            } else if is(b"MINMATCHLEN")
                && let Some(length) = words.next()
            {
                options.least_match = integer(length, reply)?;
            } else {
                reply.error(error_text::SYNTAX);
                return None;
            }
        }
        if options.ranges && options.only_length {
            reply.error("ERR If you want both the length and indexes, please just use IDX.");
            return None;
        }
        Some(options)
    }
}

/// Lengths of the longest common subsequences of all pairs of beginnings.
struct Table {
    cells: Vec<u32>,
    row: usize,
}

impl Table {
    fn new(a: &[u8], b: &[u8]) -> Self {
        let row = b.len() + 1;
        let mut cells = vec![0u32; (a.len() + 1) * row];
        for (i, byte) in a.iter().enumerate() {
            let (above, here) = cells[i * row..(i + 2) * row].split_at_mut(row);
            for (j, other) in b.iter().enumerate() {
                here[j + 1] = if byte == other { above[j] + 1 } else { above[j + 1].max(here[j]) };
            }
        }
        Self { cells, row }
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.row + j]
    }
}

/// A stretch that both have: where it starts in each, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

/// The subsequence itself, and the stretches it consists of from the last to the first.
fn trace(table: &Table, a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Match>) {
    let (mut i, mut j) = (a.len(), b.len());
    let (mut result, mut matches) = (Vec::new(), Vec::new());
    let mut open: Option<Match> = None;
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            (i, j) = (i - 1, j - 1);
            result.push(a[i]);
            let len = open.map_or(0, |open| open.len) + 1;
            open = Some(Match { a: i, b: j, len });
        } else {
            // Which way is taken where both lengths are equal decides which of several answers is given: Redis's.
            if table.at(i - 1, j) > table.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
            matches.extend(open.take());
        }
    }
    matches.extend(open);
    result.reverse();
    (result, matches)
}

impl Together for Lcs {
    fn places(_: Args<'_>, db: Db) -> Vec<KeyPlace> {
        [1, 2].map(|at| KeyPlace { db, at, wants_value: true, is_read: true }).to_vec()
    }

    fn decide(ctx: &mut TogetherContext<'_>, args: Args<'_>) {
        let Some(options) = Options::read(args.tail(3), &mut ctx.reply) else { return };
        let value_of = |place: usize| ctx.seen[place].as_ref().map_or(&b""[..], |seen| &seen.value);
        let (a, b) = (value_of(0), value_of(1));
        let bytes = (a.len() as u64 + 1).saturating_mul(b.len() as u64 + 1).saturating_mul(4);
        if bytes > ctx.settings.bulk_bytes_max() {
            ctx.reply.error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
            return;
        }
        let table = Table::new(a, b);
        let length = i64::from(table.at(a.len(), b.len()));
        if options.only_length {
            ctx.reply.integer(length);
            return;
        }
        let (result, mut matches) = trace(&table, a, b);
        if !options.ranges {
            ctx.reply.bulk(&result);
            return;
        }
        matches.retain(|found| len_i64(found.len) >= options.least_match);
        ctx.reply.map(2);
        ctx.reply.bulk(b"matches");
        ctx.reply.array(matches.len());
        for found in matches {
            ctx.reply.array(2 + usize::from(options.with_match_length));
            for start in [found.a, found.b] {
                ctx.reply.array(2);
                ctx.reply.integer(len_i64(start));
                ctx.reply.integer(len_i64(start + found.len - 1));
            }
            if options.with_match_length {
                ctx.reply.integer(len_i64(found.len));
            }
        }
        ctx.reply.bulk(b"len");
        ctx.reply.integer(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_told_from_the_last_to_the_first() {
        let (a, b) = (b"ohmytext", b"mynewtext");
        let table = Table::new(a, b);
        assert_eq!(table.at(a.len(), b.len()), 6);
        let (result, matches) = trace(&table, a, b);
        assert_eq!(result, b"mytext");
        assert_eq!(matches, [Match { a: 4, b: 5, len: 4 }, Match { a: 2, b: 0, len: 2 }]);
    }
}
