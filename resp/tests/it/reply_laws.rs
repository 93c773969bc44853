//! Laws of replies: what a server writes is what a client reads, in both versions and however the bytes are split.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, proptest};
use resp::{Reply, ReplyError, ReplyHead, ReplyKind, ReplyParser, ReplyWriter, parse_reply};

use crate::generated::{PROTOCOLS, as_resp2, cuts, reply, write_reply};

/// The heads of the replies in `input` as it arrives in pieces, with their bytes, and how it ended.
type Skipped = (Vec<(ReplyHead, Vec<u8>)>, Result<usize, ReplyError>);

fn skip_in_pieces(input: &[u8], cuts: &[usize]) -> Skipped {
    let (mut parser, mut heads, mut start) = (ReplyParser::new(), Vec::new(), 0);
    for &end in cuts {
        loop {
            let arrived = &input[start..end];
            match parser.skip(arrived) {
                Ok(Some(head)) => {
                    assert!(head.consumed > 0 && head.consumed <= arrived.len());
                    assert!(head.body.start <= head.body.end && head.body.end <= head.consumed);
                    start += head.consumed;
                    let bytes = arrived[..head.consumed].to_vec();
                    heads.push((head, bytes));
                }
                Ok(None) => break,
                Err(error) => return (heads, Err(error)),
            }
        }
    }
    (heads, Ok(input.len() - start))
}

fn write_all(replies: &[Reply], protocol: resp::Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = ReplyWriter::new(&mut out, protocol);
    replies.iter().for_each(|reply| write_reply(&mut writer, reply));
    out
}

/// What the head of a reply must say.
fn kind_of(reply: &Reply) -> ReplyKind {
    match reply {
        Reply::Simple(_) => ReplyKind::Simple,
        Reply::Error(_) => ReplyKind::Error,
        Reply::Integer(_) => ReplyKind::Integer,
        Reply::Bulk(_) => ReplyKind::Bulk,
        Reply::BulkError(_) => ReplyKind::BulkError,
        Reply::Null => ReplyKind::Null,
        Reply::Array(_) => ReplyKind::Array,
        Reply::Map(_) => ReplyKind::Map,
        Reply::Set(_) => ReplyKind::Set,
        Reply::Push(_) => ReplyKind::Push,
        Reply::Double(_) => ReplyKind::Double,
        Reply::Boolean(_) => ReplyKind::Boolean,
        Reply::BigNumber(_) => ReplyKind::BigNumber,
        Reply::Verbatim { .. } => ReplyKind::Verbatim,
        Reply::Attributed { reply, .. } => kind_of(reply),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(replies in vec(reply(), 0..4)) {
        for protocol in PROTOCOLS {
            let input = write_all(&replies, protocol);
            let mut rest = input.as_slice();
            for reply in &replies {
                let expected = if protocol == resp::Protocol::Resp2 { as_resp2(reply) } else { reply.clone() };
                let (built, consumed) = parse_reply(rest).unwrap().unwrap();
                assert_eq!(built, expected, "{protocol:?}");
                let head = ReplyParser::new().skip(rest).unwrap().unwrap();
                assert_eq!((head.kind, head.consumed), (kind_of(&expected), consumed));
                rest = &rest[consumed..];
            }
            assert_eq!(rest, b"");
        }
    }

    #[test]
    fn splits_make_no_difference(
        (input, cuts) in (vec(reply(), 0..4), any::<bool>()).prop_flat_map(|(replies, is_resp3)| {
            let input = write_all(&replies, PROTOCOLS[usize::from(is_resp3)]);
            let len = input.len();
            (Just(input), cuts(len))
        })
    ) {
        let whole = skip_in_pieces(&input, &[input.len()]);
        assert_eq!(whole.1, Ok(0));
        assert_eq!(skip_in_pieces(&input, &cuts), whole);
        let byte_by_byte: Vec<usize> = (0..=input.len()).collect();
        assert_eq!(skip_in_pieces(&input, &byte_by_byte), whole);
    }

    #[test]
    fn any_bytes_are_survived(
        input in vec(proptest::sample::select(&b"*$+-:_#,(=~%>|!\r\n\r\n\r\n0123-1tfx."[..]), 0..120)
    ) {
        let whole = skip_in_pieces(&input, &[input.len()]);
        let byte_by_byte: Vec<usize> = (0..=input.len()).collect();
        assert_eq!(skip_in_pieces(&input, &byte_by_byte), whole);
        for (head, bytes) in &whole.0 {
            let (built, consumed) = parse_reply(bytes).unwrap().unwrap();
            assert_eq!((kind_of(&built), consumed), (head.kind, bytes.len()));
        }
    }

    #[test]
    fn bent_replies_are_survived(replies in vec(reply(), 1..3), place in any::<proptest::sample::Index>(), byte: u8) {
        let mut input = write_all(&replies, resp::Protocol::Resp3);
        let place = place.index(input.len());
        input[place] = byte;
        let whole = skip_in_pieces(&input, &[input.len()]);
        let byte_by_byte: Vec<usize> = (0..=input.len()).collect();
        assert_eq!(skip_in_pieces(&input, &byte_by_byte), whole);
        for (head, bytes) in &whole.0 {
            assert_eq!(parse_reply(bytes).unwrap().map(|(built, _)| kind_of(&built)), Some(head.kind));
        }
    }
}
