//! What a client of the admin address asks for: the head of one HTTP/1 request, out of bytes that may be anything.
//!
//! Rule: bodies are never read. The connection is closed after the answer, so whatever follows the head is thrown
//! away and cannot be taken for another request.

use httparse::{EMPTY_HEADER, Error, Status};

use super::http_response::StatusCode;
use super::limits::{HEADERS_MAX, REQUEST_BYTES_MAX};

/// What is done with the thing asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    /// As GET, without the body of the answer.
    Head,
    /// All that this address does not do.
    Other,
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub method: Method,
    /// Without the query.
    pub path: String,
}

/// Reads the head of a request; `None` when more bytes are needed.
///
/// # Errors
/// The status of the answer, when no more bytes could make it a request.
pub(super) fn parse_request(bytes: &[u8]) -> Result<Option<Request>, StatusCode> {
    assert!(bytes.len() <= REQUEST_BYTES_MAX, "the reader stops at the bound");
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    match head.parse(bytes) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) if bytes.len() < REQUEST_BYTES_MAX => return Ok(None),
        Ok(Status::Partial) if head.path.is_none() => return Err(StatusCode::UriTooLong),
        Ok(Status::Partial) | Err(Error::TooManyHeaders) => return Err(StatusCode::HeadersTooLarge),
        Err(Error::Version) => return Err(StatusCode::VersionNotSupported),
        Err(_) => return Err(StatusCode::BadRequest),
    }
    // RFC 9112, 3.2: a request of HTTP/1.1 without exactly one Host is answered 400.
    let hosts = head.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host")).count();
    if hosts > 1 || (hosts == 0 && head.version == Some(1)) {
        return Err(StatusCode::BadRequest);
    }
    let method = match head.method.ok_or(StatusCode::BadRequest)? {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => Method::Other,
    };
    let target = head.path.ok_or(StatusCode::BadRequest)?;
    Ok(Some(Request { method, path: path_of(target).to_owned() }))
}

/// The path of a target, which may also be written with scheme and host (RFC 9112, 3.2.2), and have a query.
fn path_of(target: &str) -> &str {
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.find(['/', '?']).map_or("/", |begin| &rest[begin..]),
        None => target,
    };
    path.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], expected: Result<Option<(Method, &str)>, StatusCode>) {
        let expected =
            expected.map(|found| found.map(|(method, path)| Request { method, path: path.to_owned() }));
        assert_eq!(parse_request(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn requests_are_read() {
        check(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", Ok(Some((Method::Get, "/health"))));
        check(b"HEAD /metrics?name=1 HTTP/1.1\r\nhost: x\r\n\r\n", Ok(Some((Method::Head, "/metrics"))));
        check(b"GET /health HTTP/1.0\r\n\r\n", Ok(Some((Method::Get, "/health"))));
        check(b"GET http://x:1/health?a HTTP/1.1\nHost: x\n\n", Ok(Some((Method::Get, "/health"))));
        check(b"GET http://x HTTP/1.1\nHost: x\n\n", Ok(Some((Method::Get, "/"))));
        check(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", Ok(Some((Method::Other, "*"))));
        check(
            b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
            Ok(Some((Method::Other, "/health"))),
        );
    }

    #[test]
    fn any_beginning_of_a_request_waits_for_more() {
        let whole = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
        for end in 0..whole.len() {
            check(&whole[..end], Ok(None));
        }
        check(whole, Ok(Some((Method::Get, "/metrics"))));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bad in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            b"*1\r\n$4\r\nPING\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            check(bad, Err(StatusCode::BadRequest));
        }
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Err(StatusCode::VersionNotSupported));
    }

    #[test]
    fn heads_beyond_the_bounds_are_refused() {
        let filled = |mut head: Vec<u8>| {
            head.resize(REQUEST_BYTES_MAX, b'x');
            head
        };
        check(&filled(b"GET /".to_vec()), Err(StatusCode::UriTooLong));
        check(&filled(b"GET / HTTP/1.1\r\nCookie: ".to_vec()), Err(StatusCode::HeadersTooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        check(many.as_bytes(), Err(StatusCode::HeadersTooLarge));
        check(&b"\r\n".repeat(REQUEST_BYTES_MAX / 2), Err(StatusCode::UriTooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..REQUEST_BYTES_MAX)) {
            let _ = parse_request(&bytes);
        }

        #[test]
        fn a_damaged_request_is_an_answer_and_no_panic(at in 0_usize..50, byte in any::<u8>()) {
            let mut bytes = b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n".to_vec();
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            let _ = parse_request(&bytes);
        }
    }
}
