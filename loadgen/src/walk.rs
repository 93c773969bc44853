//! Walks through all keys of the server, by `SCAN`: each step goes on from the cursor that the one before was answered
//! with.

/// The cursor in the answer to `SCAN`: an array of it and of an array of keys. Nothing: it is another answer.
#[must_use]
pub fn next_cursor(answer: &[u8]) -> Option<u64> {
    let rest = answer.strip_prefix(b"*2\r\n$")?;
    let (length, rest) = line(rest)?;
    let (cursor, rest) = line(rest)?;
    let is_whole = std::str::from_utf8(length).ok()?.parse() == Ok(cursor.len());
    if !is_whole || rest.first() != Some(&b'*') {
        return None;
    }
    std::str::from_utf8(cursor).ok()?.parse().ok()
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_read_and_other_answers_have_none() {
        assert_eq!(next_cursor(b"*2\r\n$1\r\n0\r\n*0\r\n"), Some(0));
        assert_eq!(next_cursor(b"*2\r\n$20\r\n18446744073709551615\r\n*1\r\n$1\r\nk\r\n"), Some(u64::MAX));
        for other in [
            &b"*0\r\n"[..],
            b"*1\r\n$1\r\n0\r\n",
            b"*2\r\n$1\r\nx\r\n*0\r\n",
            b"*2\r\n$2\r\n0\r\n*0\r\n",
            b"*2\r\n$1\r\n0\r\n$1\r\nk\r\n",
            b"*2\r\n:0\r\n*0\r\n",
            b"*2\r\n$-1\r\n*0\r\n",
            b"*2\r\n$1\r\n",
        ] {
            assert_eq!(next_cursor(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
