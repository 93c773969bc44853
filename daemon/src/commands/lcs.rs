//! LCS: the longest common subsequence of two strings.

use resp::{Args, ReplyWriter};
use shard::types::Db;

use super::error_text;
use super::integer::{count_i64, integer, len_i64};
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

/// Of a beginning of one text and each beginning of another, where the longest common subsequence grows: a word has 64
/// of them, and a bit that is 0 says that it is one longer with this byte than without. Many at a time, as an addition
/// carries. Source: H. Hyyrö, Bit-parallel LCS-length computation revisited, AWOCA 2004.
struct Growth<'a> {
    a: &'a [u8],
    /// Words of a row.
    row: usize,
    /// Where the row of a byte of `a` is in `masks`.
    mask_of: [usize; 256],
    /// For each byte that is in `a`: where it is in `b`.
    masks: Vec<u64>,
}

impl<'a> Growth<'a> {
    fn new(a: &'a [u8], b: &[u8]) -> Self {
        const NONE: usize = usize::MAX;
        let row = b.len().div_ceil(64);
        let (mut mask_of, mut len) = ([NONE; 256], 0);
        for &byte in a {
            if mask_of[usize::from(byte)] == NONE {
                mask_of[usize::from(byte)] = len;
                len += row;
            }
        }
        let mut masks = vec![0; len];
        for (at, &byte) in b.iter().enumerate() {
            if let Some(word) = masks.get_mut(mask_of[usize::from(byte)].saturating_add(at / 64)) {
                *word |= 1 << (at % 64);
            }
        }
        Self { a, row, mask_of, masks }
    }

    /// Makes the row of the beginning that has one byte more, in place.
    fn step(&self, byte: u8, row: &mut [u64]) {
        let first = self.mask_of[usize::from(byte)];
        let mut carry = false;
        for (word, mask) in row.iter_mut().zip(&self.masks[first..]) {
            let (sum, over) = word.overflowing_add(*word & mask);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            carry = over || over_again;
            *word = sum | (*word & !mask);
        }
    }

    /// Length of the longest common subsequence.
    fn length(&self) -> u64 {
        let mut row = vec![u64::MAX; self.row];
        for &byte in self.a {
            self.step(byte, &mut row);
        }
        grown(&row)
    }

    /// The rows of all beginnings of `a` but the empty one.
    fn rows(&self) -> Vec<u64> {
        let mut rows = Vec::with_capacity(self.a.len() * self.row);
        let mut row = vec![u64::MAX; self.row];
        for &byte in self.a {
            self.step(byte, &mut row);
            rows.extend_from_slice(&row);
        }
        rows
    }
}

/// Bytes with which it grows.
fn grown(row: &[u64]) -> u64 {
    row.iter().map(|word| u64::from(word.count_zeros())).sum()
}

/// A stretch that both have: where it starts in each, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

/// The subsequence itself, and the stretches it consists of from the last to the first.
fn trace(a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Match>) {
    let growth = Growth::new(a, b);
    let rows = growth.rows();
    let grows = |i: usize, j: usize| rows[(i - 1) * growth.row + (j - 1) / 64] >> ((j - 1) % 64) & 1 == 0;
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
            // Which way is taken where both lengths are equal decides which of several answers is given: Redis's. Where
            // it grows with the byte of `b`, and not by a match, it is as long without the byte of `a`, and longer than
            // without that of `b`.
            if grows(i, j) {
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
        // What Redis would need: 32 times as much as this takes.
        let bytes = (a.len() as u64 + 1).saturating_mul(b.len() as u64 + 1).saturating_mul(4);
        if bytes > ctx.settings.bulk_bytes_max() {
            ctx.reply.error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
            return;
        }
        if options.only_length {
            ctx.reply.integer(count_i64(Growth::new(a, b).length()));
            return;
        }
        let (result, mut matches) = trace(a, b);
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
        ctx.reply.integer(len_i64(result.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_told_from_the_last_to_the_first() {
        let (a, b) = (b"ohmytext", b"mynewtext");
        assert_eq!(Growth::new(a, b).length(), 6);
        let (result, matches) = trace(a, b);
        assert_eq!(result, b"mytext");
        assert_eq!(matches, [Match { a: 4, b: 5, len: 4 }, Match { a: 2, b: 0, len: 2 }]);
    }

    /// As Redis does it: a table of all lengths, and from its end whichever way is longer, `b` first.
    fn by_table(a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] = match a[i - 1] == b[j - 1] {
                    true => table[i - 1][j - 1] + 1,
                    false => table[i - 1][j].max(table[i][j - 1]),
                };
            }
        }
        let (mut i, mut j, mut result) = (a.len(), b.len(), Vec::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                result.insert(0, a[i - 1]);
                (i, j) = (i - 1, j - 1);
            } else if table[i - 1][j] > table[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        result
    }

    #[test]
    fn many_bytes_at_a_time_find_what_one_at_a_time_finds() {
        let mut state = 1_u64;
        let mut text = |len: u64, letters: u64| -> Vec<u8> {
            let mut draw = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            (0..draw(len + 1)).map(|_| u8::try_from(draw(letters)).unwrap()).collect()
        };
        for round in 0..400 {
            let letters = [1, 2, 4, 26, 256][round % 5];
            let (a, b) = (text([1, 64, 65, 300][round % 4], letters), text(200, letters));
            let expected = by_table(&a, &b);
            let (result, matches) = trace(&a, &b);
            assert_eq!(result, expected, "{a:?} {b:?}");
            assert_eq!(Growth::new(&a, &b).length(), expected.len() as u64);
            let of_a: Vec<u8> =
                matches.iter().rev().flat_map(|it| &a[it.a..it.a + it.len]).copied().collect();
            let of_b: Vec<u8> =
                matches.iter().rev().flat_map(|it| &b[it.b..it.b + it.len]).copied().collect();
            assert!(of_a == expected && of_b == expected);
        }
    }
}
