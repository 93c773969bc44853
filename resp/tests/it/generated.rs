//! What the property tests are made of: requests, splits of bytes, and replies of any shape.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use resp::{Protocol, Reply, ReplyWriter};

/// Bytes that are likely to confuse a parser.
pub(crate) fn awkward_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(&b"*$\r\n0129-+:x \"'\\\0"[..])];
    vec(byte, 0..200)
}

/// An argument: mostly short, at times across a change of digits.
pub(crate) fn argument() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => awkward_bytes(),
        1 => (990_usize..1030).prop_map(|len| vec![b'\r'; len]),
        1 => (9_usize..12).prop_map(|len| vec![b'\n'; len]),
    ]
}

/// A request of at least one argument.
pub(crate) fn request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(argument(), 1..12)
}

/// Places to cut so many bytes at, in order.
pub(crate) fn cuts(len: usize) -> impl Strategy<Value = Vec<usize>> {
    vec(0..=len, 0..40).prop_map(move |mut cuts| {
        cuts.sort_unstable();
        cuts.push(len);
        cuts
    })
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>().prop_filter("no line end", |byte| !matches!(byte, b'\r' | b'\n')), 0..40)
}

/// A reply of RESP3 of any shape that [`write_reply`] can write.
pub(crate) fn reply() -> impl Strategy<Value = Reply> {
    let scalar = prop_oneof![
        "[ -~]{0,40}".prop_map(|text| Reply::Simple(text.into_bytes())),
        line().prop_map(Reply::Error),
        any::<i64>().prop_map(Reply::Integer),
        (-20_i64..1200).prop_map(Reply::Integer),
        argument().prop_map(Reply::Bulk),
        Just(Reply::Null),
        any::<f64>().prop_filter("equal to itself", |number| !number.is_nan()).prop_map(Reply::Double),
        any::<bool>().prop_map(Reply::Boolean),
        "-?[0-9]{1,60}".prop_map(|digits| Reply::BigNumber(digits.into_bytes())),
        argument().prop_map(|text| Reply::Verbatim { format: *b"txt", text }),
    ];
    scalar.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Reply::Array),
            vec(inner.clone(), 0..8).prop_map(Reply::Set),
            vec(inner.clone(), 0..8).prop_map(Reply::Push),
            vec((inner.clone(), inner), 0..5).prop_map(Reply::Map),
        ]
    })
}

/// Writes a reply with the calls that a server would use.
pub(crate) fn write_reply(out: &mut ReplyWriter<'_>, reply: &Reply) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match reply {
        Reply::Simple(status) => out.simple(&text(status)),
        Reply::Error(error) => out.error_parts(&[error]),
        Reply::Integer(number) => out.integer(*number),
        Reply::Bulk(bytes) => out.bulk(bytes),
        Reply::Null => out.null(),
        Reply::Double(number) => out.double(*number),
        Reply::Boolean(truth) => out.boolean(*truth),
        Reply::BigNumber(digits) => out.big_number(&text(digits)),
        Reply::Verbatim { format, text: bytes } => out.verbatim(&text(format), bytes),
        Reply::Array(items) => {
            out.array(items.len());
            items.iter().for_each(|item| write_reply(out, item));
        }
        Reply::Set(items) => {
            out.set(items.len());
            items.iter().for_each(|item| write_reply(out, item));
        }
        Reply::Push(items) => {
            out.push(items.len());
            items.iter().for_each(|item| write_reply(out, item));
        }
        Reply::Map(items) => {
            out.map(items.len());
            for (key, value) in items {
                write_reply(out, key);
                write_reply(out, value);
            }
        }
        Reply::BulkError(_) | Reply::Attributed { .. } => panic!("servers of ours send none: {reply:?}"),
    }
}

/// What a client of RESP2 sees of a reply.
pub(crate) fn as_resp2(reply: &Reply) -> Reply {
    let all = |items: &[Reply]| Reply::Array(items.iter().map(as_resp2).collect());
    match reply {
        Reply::Double(number) => {
            let mut text = Vec::new();
            resp::number::write_double(&mut text, *number);
            Reply::Bulk(text)
        }
        Reply::Boolean(truth) => Reply::Integer(i64::from(*truth)),
        Reply::BigNumber(digits) => Reply::Bulk(digits.clone()),
        Reply::Verbatim { text, .. } => Reply::Bulk(text.clone()),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => all(items),
        Reply::Map(items) => {
            Reply::Array(items.iter().flat_map(|(key, value)| [as_resp2(key), as_resp2(value)]).collect())
        }
        other => other.clone(),
    }
}

/// Both versions of the protocol.
pub(crate) const PROTOCOLS: [Protocol; 2] = [Protocol::Resp2, Protocol::Resp3];
