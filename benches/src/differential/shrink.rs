//! A session that shows a difference, made as small as it goes: requests are left out as long as a difference stays.

use anyhow::Result;

use super::{Mismatch, Session};

/// Sessions that are tried at most.
const TRIES_MAX: usize = 2000;

/// The smallest session found, and the difference it shows.
pub(super) fn shrink(
    session: Session,
    first: Mismatch,
    mut play: impl FnMut(&Session) -> Result<Option<Mismatch>>,
) -> Result<(Session, Mismatch)> {
    let (mut smallest, mut shown) = (session, first);
    let mut tries = 0;
    let mut len = smallest.requests.len().div_ceil(2).max(1);
    loop {
        let (mut at, mut is_smaller) = (0, false);
        while at < smallest.requests.len() && tries < TRIES_MAX {
            let mut fewer = smallest.clone();
            fewer.requests.drain(at..(at + len).min(fewer.requests.len()));
            tries += 1;
            if let Some(mismatch) = play(&fewer)? {
                (smallest, shown, is_smaller) = (fewer, mismatch, true);
            } else {
                at += len;
            }
        }
        if tries >= TRIES_MAX || (len == 1 && !is_smaller) {
            return Ok((smallest, shown));
        }
        len = len.div_ceil(2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_requests_that_matter_are_left() {
        let word = |number: usize| vec![number.to_string().into_bytes()];
        let session =
            Session { protocol: 2, set_user: None, tracking: None, requests: (0..200).map(word).collect() };
        let shown = || Mismatch { question: Vec::new(), ours: Vec::new(), theirs: Vec::new() };
        let (smallest, _) = shrink(session, shown(), |session| {
            let has = |number: usize| session.requests.contains(&word(number));
            Ok((has(17) && has(151)).then(shown))
        })
        .unwrap();
        assert_eq!(smallest.requests, [word(17), word(151)]);
    }
}
