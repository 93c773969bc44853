//! What is shown of a request to those who look on, in SLOWLOG and MONITOR: all but secrets. Source: the callers of
//! `redactClientCommandArgument` of Redis.

use resp::Args;

use super::command::Command;

const HIDDEN: &[u8] = b"(redacted)";

/// Parameters of CONFIG SET whose values are secrets.
const SECRET_PARAMETERS: [&[u8]; 1] = [b"requirepass"];

/// Whether the argument at this place is not to be shown.
fn is_secret(command: &Command, args: Args<'_>, at: usize) -> bool {
    match command.name {
        "auth" => at > 0,
        "hello" => is_hello_secret(args, at),
        "acl|setuser" | "acl|deluser" | "acl|getuser" => at > 1,
        "config|set" => {
            let name = args.get(at.wrapping_sub(1)).unwrap_or_default();
            at > 2 && at % 2 == 1 && SECRET_PARAMETERS.iter().any(|secret| secret.eq_ignore_ascii_case(name))
        }
        _ => false,
    }
}

/// Whether a word of HELLO is a name or password: the two behind each AUTH, which is none where it is a client's name.
fn is_hello_secret(args: Args<'_>, place: usize) -> bool {
    let mut at = 2;
    while at < place {
        let is = |word: &[u8]| args.at(at).eq_ignore_ascii_case(word);
        let values = if is(b"auth") { 2 } else { usize::from(is(b"setname")) };
        if values == 2 && place <= at + values {
            return true;
        }
        at += 1 + values;
    }
    false
}

/// The words of a request as they may be shown.
pub(crate) fn shown<'a>(command: &Command, args: Args<'a>) -> impl ExactSizeIterator<Item = &'a [u8]> {
    args.iter().enumerate().map(move |(at, word)| if is_secret(command, args, at) { HIDDEN } else { word })
}

#[cfg(test)]
mod tests {
    use crate::commands::resolve;

    #[test]
    fn secrets_are_not_shown() {
        for (request, expected) in [
            ("AUTH a", "AUTH (redacted)"),
            ("auth a b", "auth (redacted) (redacted)"),
            ("HELLO 3 AUTH a b SETNAME n", "HELLO 3 AUTH (redacted) (redacted) SETNAME n"),
            ("HELLO 3 SETNAME n", "HELLO 3 SETNAME n"),
            (
                "hello 3 setname auth auth a b auth c d",
                "hello 3 setname auth auth (redacted) (redacted) auth (redacted) (redacted)",
            ),
            ("HELLO 3 AUTH a", "HELLO 3 AUTH (redacted)"),
            ("ACL SETUSER u on >p", "ACL SETUSER (redacted) (redacted) (redacted)"),
            (
                "CONFIG SET timeout 1 REQUIREPASS p timeout 2",
                "CONFIG SET timeout 1 REQUIREPASS (redacted) timeout 2",
            ),
            ("SET k v", "SET k v"),
        ] {
            let mut bytes = Vec::new();
            resp::write_request(&mut bytes, &request.split(' ').map(str::as_bytes).collect::<Vec<_>>());
            let mut parser = resp::RequestParser::new();
            parser.parse(&bytes, &resp::RequestLimits::default()).unwrap();
            let args = parser.args(&bytes);
            let shown: Vec<_> = super::shown(resolve(args).unwrap(), args).collect();
            assert_eq!(String::from_utf8(shown.join(&b' ')).unwrap(), expected);
        }
    }
}
