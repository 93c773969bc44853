//! Patterns of KEYS, SCAN and CONFIG GET: `*`, `?`, `[a-z]`, `[^x]` and `\` as in Redis, quirks included
//! (`stringmatchlen`). Without recursion, and with bounded work: neither a nest of stars (CVE-2022-36021) nor a long
//! pattern (CVE-2024-31228) costs more than pattern times text, and no match costs more than 2^24 comparisons.

/// Comparisons of one match at most; a match that needs more is taken to fail.
const STEPS_MAX: usize = 1 << 24;

/// Whether `text` matches `pattern`.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_by(pattern, text, |a, b| a == b, |byte| byte)
}

/// The same without regard to ASCII case.
#[must_use]
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    matches_by(pattern, text, |a, b| a.eq_ignore_ascii_case(&b), |byte| byte.to_ascii_lowercase())
}

fn matches_by(
    pattern: &[u8],
    text: &[u8],
    same: impl Fn(u8, u8) -> bool + Copy,
    fold: impl Fn(u8) -> u8 + Copy,
) -> bool {
    // As in Redis, the empty text matches the empty pattern only: `*` is a special case of the callers.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut seen) = (0, 0);
    // After the last star: where the pattern goes on, and how much text the star has swallowed.
    let mut star: Option<(usize, usize)> = None;
    let mut steps = 0;
    while seen < text.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            if at == pattern.len() {
                return true;
            }
            star = Some((at, seen));
            continue;
        }
        let matched = pattern
            .get(at..)
            .filter(|rest| !rest.is_empty())
            .and_then(|rest| one(rest, text[seen], same, fold));
        steps += matched.unwrap_or(1);
        match (matched, star) {
            (Some(used), _) => {
                at += used;
                seen += 1;
            }
            // The last star alone needs to swallow more: what came before it has matched already.
            (None, Some((after, swallowed))) if steps < STEPS_MAX => {
                star = Some((after, swallowed + 1));
                (at, seen) = (after, swallowed + 1);
            }
            (None, _) => return false,
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// Bytes of the pattern that matched `byte`; none when it did not match. The pattern is not empty and has no star
/// in front.
fn one(pattern: &[u8], byte: u8, same: impl Fn(u8, u8) -> bool, fold: impl Fn(u8) -> u8) -> Option<usize> {
    match pattern[0] {
        b'?' => Some(1),
        b'[' => class(pattern, byte, same, fold),
        b'\\' if pattern.len() >= 2 => same(pattern[1], byte).then_some(2),
        literal => same(literal, byte).then_some(1),
    }
}

/// A class in brackets. One that is not closed goes to the pattern's end.
fn class(pattern: &[u8], byte: u8, same: impl Fn(u8, u8) -> bool, fold: impl Fn(u8) -> u8) -> Option<usize> {
    let negated = pattern.get(1) == Some(&b'^');
    let mut at = if negated { 2 } else { 1 };
    let mut matched = false;
    loop {
        match pattern[at.min(pattern.len())..] {
            [] => break,
            [b'\\', escaped, ..] => {
                matched |= same(escaped, byte);
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [a, b'-', b, ..] => {
                let range = if a <= b { fold(a)..=fold(b) } else { fold(b)..=fold(a) };
                matched |= range.contains(&fold(byte));
                at += 3;
            }
            [literal, ..] => {
                matched |= same(literal, byte);
                at += 1;
            }
        }
    }
    (matched != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", false),
            ("*", "a", true),
            ("a*", "a", true),
            ("a**", "a", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("a\\", "a\\", true),
            ("[\\]]", "]", true),
            ("[]", "]", false),
            ("[", "a", false),
            ("[abc", "b", true),
            ("[^", "b", true),
            ("[a-]", "^", true),
            ("*b*d", "abcd", true),
            ("*bc*e", "abcd", false),
            ("*.?x", "a.b.cx", true),
            ("A", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern:?} {text:?}");
        }
        assert!(matches_ignoring_case(b"MAX*", b"maxclients") && matches_ignoring_case(b"[A-C]", b"b"));
    }

    #[test]
    fn many_stars_cost_no_more_than_pattern_times_text() {
        // Exponential in a recursive matcher: CVE-2022-36021.
        let pattern = [b"a*".repeat(5000), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &b"a".repeat(20_000)));
        assert!(!matches(&b"[".repeat(2000), b"abc"));
    }
}
