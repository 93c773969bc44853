//! The answer to one HTTP request. The connection is closed after it, and it says so.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::http_request::Method;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatusCode {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    UriTooLong,
    HeadersTooLarge,
    ServiceUnavailable,
    VersionNotSupported,
}

impl StatusCode {
    /// Number and reason, as in the first line.
    const fn text(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::UriTooLong => "414 URI Too Long",
            Self::HeadersTooLarge => "431 Request Header Fields Too Large",
            Self::ServiceUnavailable => "503 Service Unavailable",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }

    /// What a person is told who gets it.
    const fn explanation(self) -> &'static str {
        match self {
            Self::Ok | Self::ServiceUnavailable => "",
            Self::BadRequest => "this is not a request of HTTP/1.1",
            Self::NotFound => "there are /health and /metrics",
            Self::MethodNotAllowed => "there are GET and HEAD",
            Self::RequestTimeout => "the request did not come in time",
            Self::UriTooLong => "the path is too long",
            Self::HeadersTooLarge => "the headers are too many or too long",
            Self::VersionNotSupported => "HTTP/1.0 and HTTP/1.1 are spoken here",
        }
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: String,
}

impl Response {
    /// Says in one line of text what was wrong.
    pub(super) fn refusal(status: StatusCode) -> Self {
        let body = format!("{}: {}\n", status.text(), status.explanation());
        Self { status, content_type: "text/plain; charset=utf-8", body }
    }

    /// Its bytes. `Head` leaves the body out, and tells its length all the same.
    pub(super) fn to_bytes(&self, method: Method, now: SystemTime) -> Vec<u8> {
        let mut text = String::with_capacity(256 + self.body.len());
        let allow = if self.status == StatusCode::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
        // Nothing can fail: it is memory.
        let _ = write!(
            text,
            "HTTP/1.1 {}\r\nDate: {}\r\nServer: ourod\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
            self.status.text(),
            httpdate::fmt_http_date(now),
            self.content_type,
            self.body.len(),
        );
        if method != Method::Head {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    // RFC 9110, 5.6.7 has this moment as its example.
    const SOME_TIME: Duration = Duration::from_secs(784_111_777);

    #[test]
    fn golden_bytes() {
        let response = Response::refusal(StatusCode::MethodNotAllowed);
        let expected = "HTTP/1.1 405 Method Not Allowed\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                        Server: ourod\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 47\r\n\
                        Allow: GET, HEAD\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
                        Connection: close\r\n\r\n405 Method Not Allowed: there are GET and HEAD\n";
        let bytes = response.to_bytes(Method::Other, UNIX_EPOCH + SOME_TIME);
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn head_has_the_headers_of_get_and_no_body() {
        let response =
            Response { status: StatusCode::Ok, content_type: "text/plain", body: "twelve bytes".into() };
        let get = response.to_bytes(Method::Get, UNIX_EPOCH);
        let head = response.to_bytes(Method::Head, UNIX_EPOCH);
        assert_eq!(get[..head.len()], head);
        assert_eq!(&get[head.len()..], b"twelve bytes");
    }
}
