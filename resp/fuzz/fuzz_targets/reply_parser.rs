//! Any bytes, whole and split: the same replies, found and built alike, without deep recursion or large claims.
//!
//! The first byte chooses the size of the pieces, the others are what a server sends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resp::{Reply, ReplyError, ReplyHead, ReplyKind, ReplyParser, parse_reply};

type Skipped = (Vec<(ReplyHead, usize)>, Result<usize, ReplyError>);

/// Finds the replies of `input` in pieces of `piece_bytes`: their heads and places, and how it ended.
fn skip(input: &[u8], piece_bytes: usize) -> Skipped {
    let (mut parser, mut heads, mut start, mut end) = (ReplyParser::new(), Vec::new(), 0, 0);
    loop {
        let arrived = &input[start..end];
        match parser.skip(arrived) {
            Ok(Some(head)) => {
                assert!(head.consumed > 0 && head.consumed <= arrived.len());
                assert!(head.body.start <= head.body.end && head.body.end <= head.consumed);
                let place = start;
                start += head.consumed;
                heads.push((head, place));
            }
            Ok(None) if end == input.len() => return (heads, Ok(arrived.len())),
            Ok(None) => end = input.len().min(end + piece_bytes),
            Err(error) => {
                assert_eq!(parser.skip(arrived), Err(error), "an error stays");
                return (heads, Err(error));
            }
        }
    }
}

/// What the head says must be what is built.
fn check_built(reply: &Reply, head: &ReplyHead, body: &[u8]) {
    match (reply, head.kind) {
        (Reply::Simple(text), ReplyKind::Simple)
        | (Reply::Error(text), ReplyKind::Error)
        | (Reply::Bulk(text), ReplyKind::Bulk)
        | (Reply::BulkError(text), ReplyKind::BulkError)
        | (Reply::BigNumber(text), ReplyKind::BigNumber) => assert_eq!(text, body),
        (Reply::Verbatim { format, text }, ReplyKind::Verbatim) => {
            assert_eq!([&format[..], b":", text].concat(), body);
        }
        (Reply::Integer(number), ReplyKind::Integer) => assert_eq!(*number, head.value),
        (Reply::Boolean(truth), ReplyKind::Boolean) => assert_eq!(i64::from(*truth), head.value),
        (Reply::Array(items), ReplyKind::Array)
        | (Reply::Set(items), ReplyKind::Set)
        | (Reply::Push(items), ReplyKind::Push) => assert_eq!(items.len() as i64, head.value),
        (Reply::Map(items), ReplyKind::Map) => assert_eq!(items.len() as i64, head.value),
        (Reply::Null, ReplyKind::Null) | (Reply::Double(_), ReplyKind::Double) => {}
        (Reply::Attributed { reply, .. }, _) => check_built(reply, head, body),
        _ => panic!("{head:?} announced, {reply:?} built"),
    }
}

fuzz_target!(|data: &[u8]| {
    let [pieces, input @ ..] = data else {
        return;
    };
    let whole = skip(input, input.len().max(1));
    assert_eq!(skip(input, 1), whole);
    assert_eq!(skip(input, 1 + usize::from(*pieces)), whole);
    for (head, place) in &whole.0 {
        let bytes = &input[*place..];
        let (reply, consumed) =
            parse_reply(bytes).expect("skipped, so well formed").expect("skipped, so complete");
        assert_eq!(consumed, head.consumed);
        check_built(&reply, head, &bytes[head.body.clone()]);
    }
});
