//! Any bytes, whole and split: the same requests, arguments within the input, memory within what arrived.
//!
//! The first two bytes choose the limits and the size of the pieces, the others are what a client sends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resp::{Parsed, ProtocolError, RequestLimits, RequestParser, write_request};

type Requests = Vec<Vec<Vec<u8>>>;

/// Parses `input` in pieces of `piece_bytes`: the requests, and how it ended.
fn parse(
    input: &[u8],
    piece_bytes: usize,
    limits: &RequestLimits,
) -> (Requests, Result<usize, ProtocolError>) {
    let (mut parser, mut requests, mut start, mut end) = (RequestParser::new(), Vec::new(), 0, 0);
    loop {
        let arrived = &input[start..end];
        match parser.parse(arrived, limits) {
            Ok(Parsed::Request { consumed }) => {
                assert!(consumed > 0 && consumed <= arrived.len());
                let args = parser.args(arrived);
                assert!(!args.is_empty());
                requests.push(args.iter().map(<[u8]>::to_vec).collect());
                start += consumed;
            }
            Ok(Parsed::Empty { consumed }) => {
                assert!(consumed > 0 && consumed <= arrived.len());
                start += consumed;
            }
            Ok(Parsed::Incomplete { wanted }) => {
                assert!(wanted > 0);
                assert_eq!(parser.is_mid_request(), !arrived.is_empty());
                if end == input.len() {
                    return (requests, Ok(arrived.len()));
                }
                end = input.len().min(end + piece_bytes);
            }
            Err(error) => {
                assert_eq!(parser.parse(arrived, limits), Err(error), "an error stays");
                return (requests, Err(error));
            }
        }
        assert!(parser.memory_bytes() <= 64 * 1024 + 32 * input.len(), "memory grows with what arrives");
    }
}

fuzz_target!(|data: &[u8]| {
    let [choice, pieces, input @ ..] = data else {
        return;
    };
    let limits = RequestLimits {
        inline_bytes_max: if choice & 1 == 0 { 64 } else { 64 * 1024 },
        authenticated: choice & 2 == 0,
        ..RequestLimits::default()
    };
    let whole = parse(input, input.len().max(1), &limits);
    assert_eq!(parse(input, 1, &limits), whole);
    assert_eq!(parse(input, 1 + usize::from(*pieces), &limits), whole);

    // What was understood is understood again when it is written by the book.
    let mut written = Vec::new();
    for args in &whole.0 {
        write_request(&mut written, &args.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    let again = parse(&written, written.len().max(1), &RequestLimits::default());
    assert_eq!(again, (whole.0, Ok(0)));
});
