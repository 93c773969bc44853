//! One reply made from the parts of several workers.

use resp::{Protocol, ReplyParser, ReplyWriter};
use shard::types::BatchNumber;

use crate::commands::{Merge, error_text};

/// How the parts become the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatherKind {
    /// Each part is a whole reply; merged as the command says.
    Replies(Merge),
    /// Each part is array elements without their head, and their number.
    Elements,
    /// Each part is text.
    Text,
    /// Each part is elements, which other parts may have too: an array of them, each once.
    Distinct,
    /// Each part is an array of names and numbers, the names the same in all: the numbers are added.
    Counts,
}

#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    count: usize,
}

/// Parts that have come and what they will become.
#[derive(Debug)]
pub(crate) struct Gather {
    kind: GatherKind,
    protocol: Protocol,
    parts: Vec<Option<Part>>,
    missing: usize,
    /// For [`Merge::Interleave`]: the part that each key went to, in the order of the keys.
    order: Vec<u16>,
    /// For [`Merge::WeightedPick`].
    random: u64,
    barrier: BatchNumber,
}

impl Gather {
    pub(crate) fn new(kind: GatherKind, protocol: Protocol, parts: usize, random: u64) -> Self {
        assert!(parts > 0, "a reply has at least one part");
        let slots = (0..parts).map(|_| None).collect();
        Self {
            kind,
            protocol,
            parts: slots,
            missing: parts,
            order: Vec::new(),
            random,
            barrier: BatchNumber::ZERO,
        }
    }

    /// Tells which part each key went to.
    pub(crate) fn set_order(&mut self, order: Vec<u16>) {
        self.order = order;
    }

    /// A part has come. True: it was the last.
    pub(crate) fn add(&mut self, part: u16, bytes: &[u8], count: usize, barrier: BatchNumber) -> bool {
        let place = &mut self.parts[usize::from(part)];
        assert!(place.is_none(), "a part comes once");
        *place = Some(Part { bytes: bytes.to_vec(), count });
        self.missing -= 1;
        self.barrier = self.barrier.max(barrier);
        self.missing == 0
    }

    /// The reply, and the batch of this worker's log that it waits for. An error of a part, which then has nothing else, is
    /// the reply: among elements it would be one more than their head says. Text begins with no `-`.
    pub(crate) fn merge(&mut self) -> (Vec<u8>, BatchNumber) {
        assert!(self.missing == 0, "all parts are there");
        let parts: Vec<Part> = self.parts.drain(..).map(Option::unwrap_or_default).collect();
        if let Some(error) = parts.iter().find(|part| part.bytes.first() == Some(&b'-')) {
            return (error.bytes.clone(), self.barrier);
        }
        let mut out = Vec::new();
        let reply = ReplyWriter::new(&mut out, self.protocol);
        match self.kind {
            GatherKind::Elements => elements(&parts, reply),
            GatherKind::Text => text(&parts, reply),
            GatherKind::Distinct => distinct(&parts, reply),
            GatherKind::Counts => counts(&parts, reply),
            GatherKind::Replies(merge) => match merge {
                Merge::Sum => sum(&parts, reply),
                Merge::AnyClient => {
                    let mut reply = reply;
                    if parts.iter().any(|part| integer(&part.bytes) > 0) {
                        reply.ok();
                    } else {
                        reply.error(error_text::NO_SUCH_CLIENT);
                    }
                }
                Merge::AllOk => {
                    let mut reply = reply;
                    reply.ok();
                }
                Merge::OneCopy => {
                    let mut reply = reply;
                    reply.array(2);
                    reply.integer(i64::from(parts.iter().all(|part| part.bytes.first() == Some(&b'+'))));
                    reply.integer(0);
                }
                Merge::Interleave => interleave(&parts, &self.order, reply),
                Merge::Concatenate => concatenate(&parts, reply),
                Merge::WeightedPick => weighted_pick(&parts, self.random, reply),
            },
        }
        (out, self.barrier)
    }
}

fn elements(parts: &[Part], mut reply: ReplyWriter<'_>) {
    reply.array(parts.iter().map(|part| part.count).sum());
    for part in parts {
        reply.out_mut().extend_from_slice(&part.bytes);
    }
}

fn concatenate(parts: &[Part], mut reply: ReplyWriter<'_>) {
    reply.array(parts.len());
    for part in parts {
        reply.out_mut().extend_from_slice(&part.bytes);
    }
}

fn text(parts: &[Part], mut reply: ReplyWriter<'_>) {
    let all: Vec<u8> = parts.iter().flat_map(|part| part.bytes.iter().copied()).collect();
    reply.verbatim("txt", &all);
}

fn distinct(parts: &[Part], mut reply: ReplyWriter<'_>) {
    let mut all = std::collections::BTreeSet::new();
    for part in parts {
        let mut rest = &part.bytes[..];
        while !rest.is_empty() {
            all.insert(next_element(&mut rest));
        }
    }
    reply.array(all.len());
    for element in all {
        reply.out_mut().extend_from_slice(element);
    }
}

fn counts(parts: &[Part], mut reply: ReplyWriter<'_>) {
    let mut rests: Vec<&[u8]> = parts.iter().map(|part| &part.bytes[..]).collect();
    reply.array(parts.first().map_or(0, |part| part.count));
    while rests.first().is_some_and(|rest| !rest.is_empty()) {
        let (mut name, mut sum) = (&b""[..], 0);
        for rest in &mut rests {
            name = next_element(rest);
            sum += integer(next_element(rest));
        }
        reply.out_mut().extend_from_slice(name);
        reply.integer(sum);
    }
}

/// The integer of a reply that a worker of ours has written.
fn integer(bytes: &[u8]) -> i64 {
    let head = ReplyParser::new().skip(bytes).ok().flatten();
    head.map(|head| head.value).expect("a worker answers an integer")
}

fn sum(parts: &[Part], mut reply: ReplyWriter<'_>) {
    reply.integer(parts.iter().map(|part| integer(&part.bytes)).sum());
}

/// Bytes of an array's head line.
fn head_len(array: &[u8]) -> usize {
    let end = array.iter().position(|&byte| byte == b'\n');
    end.expect("a worker answers an array") + 1
}

/// Takes the next element off the front of an array's rest.
fn next_element<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let head = ReplyParser::new().skip(rest).ok().flatten().expect("a worker answers whole elements");
    let (element, after) = rest.split_at(head.consumed);
    *rest = after;
    element
}

fn interleave(parts: &[Part], order: &[u16], mut reply: ReplyWriter<'_>) {
    let mut rests: Vec<&[u8]> = parts.iter().map(|part| &part.bytes[head_len(&part.bytes)..]).collect();
    reply.array(order.len());
    for &part in order {
        let element = next_element(&mut rests[usize::from(part)]);
        reply.out_mut().extend_from_slice(element);
    }
}

fn weighted_pick(parts: &[Part], random: u64, mut reply: ReplyWriter<'_>) {
    let mut candidates = Vec::new();
    for part in parts {
        let mut rest = &part.bytes[head_len(&part.bytes)..];
        let weight = u64::try_from(integer(next_element(&mut rest))).unwrap_or(0);
        let key = next_element(&mut rest);
        if weight > 0 && !key.starts_with(b"$-1") && !key.starts_with(b"_") {
            candidates.push((weight, key));
        }
    }
    let total: u64 = candidates.iter().map(|(weight, _)| weight).sum();
    if total == 0 {
        reply.null();
        return;
    }
    let mut at = random % total;
    for (weight, key) in candidates {
        if at < weight {
            reply.out_mut().extend_from_slice(key);
            return;
        }
        at -= weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(kind: GatherKind, parts: &[&[u8]], order: Vec<u16>) -> String {
        let mut gather = Gather::new(kind, Protocol::Resp2, parts.len(), 1);
        gather.set_order(order);
        for (number, part) in parts.iter().enumerate().rev() {
            let last = gather.add(u16::try_from(number).unwrap(), part, 1, BatchNumber::ZERO);
            assert_eq!(last, number == 0);
        }
        String::from_utf8(gather.merge().0).unwrap()
    }

    #[test]
    fn parts_become_one_reply() {
        let replies = GatherKind::Replies;
        assert_eq!(merged(replies(Merge::Sum), &[b":2\r\n", b":40\r\n"], vec![]), ":42\r\n");
        assert_eq!(merged(replies(Merge::OneCopy), &[b"+OK\r\n", b"+OK\r\n"], vec![]), "*2\r\n:1\r\n:0\r\n");
        assert_eq!(merged(replies(Merge::OneCopy), &[b"+OK\r\n", b":0\r\n"], vec![]), "*2\r\n:0\r\n:0\r\n");
        assert_eq!(merged(replies(Merge::OneCopy), &[b"+OK\r\n", b"-ERR x\r\n"], vec![]), "-ERR x\r\n");
        assert_eq!(merged(replies(Merge::AllOk), &[b"+OK\r\n", b"+OK\r\n"], vec![]), "+OK\r\n");
        assert_eq!(merged(replies(Merge::AllOk), &[b"+OK\r\n", b"-ERR x\r\n"], vec![]), "-ERR x\r\n");
        assert_eq!(merged(replies(Merge::AnyClient), &[b":0\r\n", b":1\r\n"], vec![]), "+OK\r\n");
        let none = merged(replies(Merge::AnyClient), &[b":0\r\n", b":0\r\n"], vec![]);
        assert_eq!(none, "-ERR No such client\r\n");
        let arrays: [&[u8]; 2] = [b"*2\r\n$1\r\na\r\n$-1\r\n", b"*1\r\n$3\r\n\r\nb\r\n"];
        assert_eq!(
            merged(replies(Merge::Interleave), &arrays, vec![0, 1, 0]),
            "*3\r\n$1\r\na\r\n$3\r\n\r\nb\r\n$-1\r\n"
        );
        let picks: [&[u8]; 2] = [b"*2\r\n:0\r\n$-1\r\n", b"*2\r\n:5\r\n$1\r\nk\r\n"];
        assert_eq!(merged(replies(Merge::WeightedPick), &picks, vec![]), "$1\r\nk\r\n");
        assert_eq!(
            merged(GatherKind::Elements, &[b"$1\r\na\r\n", b"$1\r\nb\r\n"], vec![]),
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n"
        );
        assert_eq!(
            merged(replies(Merge::Concatenate), &[b"*1\r\n:1\r\n", b":2\r\n"], vec![]),
            "*2\r\n*1\r\n:1\r\n:2\r\n"
        );
        assert_eq!(merged(GatherKind::Text, &[b"a\n", b"b\n"], vec![]), "$4\r\na\nb\n\r\n");
    }

    #[test]
    fn an_error_of_a_part_is_the_whole_reply() {
        let error = "-ERR storage error: gone\r\n";
        for (kind, part) in [
            (GatherKind::Elements, &b"$1\r\na\r\n"[..]),
            (GatherKind::Distinct, b"$1\r\na\r\n"),
            (GatherKind::Counts, b"$1\r\na\r\n:1\r\n"),
            (GatherKind::Text, b"id=1\n"),
            (GatherKind::Replies(Merge::Sum), b":1\r\n"),
            (GatherKind::Replies(Merge::WeightedPick), b"*2\r\n:1\r\n$1\r\na\r\n"),
        ] {
            for parts in [[part, error.as_bytes()], [error.as_bytes(), part]] {
                assert_eq!(merged(kind, &parts, vec![]), error, "{kind:?}");
            }
        }
    }
}
