//! Laws of requests: what is written is what is read, however its bytes are split; and no bytes can do harm.

use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_oneof, proptest};
use resp::{Parsed, ProtocolError, RequestLimits, RequestParser, write_request};

use crate::generated::{awkward_bytes, cuts, request};

type Requests = Vec<Vec<Vec<u8>>>;

/// Parses `input` as it arrives in pieces that end at `cuts`: the requests, and how it ended.
fn parse_in_pieces(input: &[u8], cuts: &[usize]) -> (Requests, Result<usize, ProtocolError>) {
    let limits = RequestLimits { inline_bytes_max: 100, ..RequestLimits::default() };
    let (mut parser, mut requests, mut start) = (RequestParser::new(), Vec::new(), 0);
    for &end in cuts {
        loop {
            let arrived = &input[start..end];
            match parser.parse(arrived, &limits) {
                Ok(Parsed::Request { consumed }) => {
                    let args = parser.args(arrived);
                    assert!(!args.is_empty(), "a request has a name");
                    requests.push(args.iter().map(<[u8]>::to_vec).collect());
                    assert!(consumed > 0 && consumed <= arrived.len());
                    start += consumed;
                }
                Ok(Parsed::Empty { consumed }) => {
                    assert!(consumed > 0 && consumed <= arrived.len());
                    start += consumed;
                }
                Ok(Parsed::Incomplete { wanted }) => {
                    assert!(wanted > 0);
                    assert_eq!(parser.is_mid_request(), !arrived.is_empty());
                    break;
                }
                Err(error) => return (requests, Err(error)),
            }
        }
    }
    (requests, Ok(input.len() - start))
}

const ODD_PIECES: &[&[u8]] = &[b"\r\n", b"*0\r\n", b"*-1\r\n", b"*x\r\n", b"*1\r\nx"];

/// A stream of requests, empty ones, inline ones and garbage.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => request().prop_map(|args| {
            let mut out = Vec::new();
            write_request(&mut out, &args.iter().map(Vec::as_slice).collect::<Vec<_>>());
            out
        }),
        2 => "[a-z]{1,8}( [a-z\"']{0,5}){0,4}\r?\n".prop_map(String::into_bytes),
        1 => proptest::sample::select(ODD_PIECES)
            .prop_map(<[u8]>::to_vec),
        1 => awkward_bytes(),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// A request with one byte of its framing changed.
fn bent_request() -> impl Strategy<Value = Vec<u8>> {
    (request(), proptest::prelude::any::<(proptest::sample::Index, u8)>()).prop_map(
        |(args, (place, byte))| {
            let mut out = Vec::new();
            write_request(&mut out, &args.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let place = place.index(out.len());
            out[place] = byte;
            out
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        (requests, input, cuts) in vec(request(), 0..6).prop_flat_map(|requests| {
            let mut input = Vec::new();
            for args in &requests {
                write_request(&mut input, &args.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
            let len = input.len();
            (proptest::prelude::Just(requests), proptest::prelude::Just(input), cuts(len))
        })
    ) {
        assert_eq!(parse_in_pieces(&input, &cuts), (requests, Ok(0)));
    }

    #[test]
    fn splits_make_no_difference(
        (input, cuts) in stream().prop_flat_map(|input| {
            let len = input.len();
            (proptest::prelude::Just(input), cuts(len))
        })
    ) {
        let whole = parse_in_pieces(&input, &[input.len()]);
        assert_eq!(parse_in_pieces(&input, &cuts), whole);
        let byte_by_byte: Vec<usize> = (0..=input.len()).collect();
        assert_eq!(parse_in_pieces(&input, &byte_by_byte), whole);
    }

    #[test]
    fn any_bytes_are_survived(input in awkward_bytes()) {
        let whole = parse_in_pieces(&input, &[input.len()]);
        let byte_by_byte: Vec<usize> = (0..=input.len()).collect();
        assert_eq!(parse_in_pieces(&input, &byte_by_byte), whole);
    }

    #[test]
    fn bent_requests_are_survived(input in bent_request()) {
        let whole = parse_in_pieces(&input, &[input.len()]);
        let byte_by_byte: Vec<usize> = (0..=input.len()).collect();
        assert_eq!(parse_in_pieces(&input, &byte_by_byte), whole);
    }
}
