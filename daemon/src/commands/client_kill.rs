//! CLIENT KILL: which sessions end. The old form names one address and answers OK; the new one is a list of filters,
//! all of which must hold, and answers how many sessions it ended.

use resp::Args;
use resp::number::parse_i64_strict;
use shard::types::UnixMs;

use super::context::ConnectionContext;
use super::error_text;
use super::integer::count_i64;
use crate::session::Session;

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default)]
struct Filter<'a> {
    id: Option<i64>,
    class: Option<Class>,
    peer: Option<&'a [u8]>,
    local: Option<&'a [u8]>,
    user: Option<&'a [u8]>,
    age_seconds_min: Option<u64>,
    spares_asker: bool,
}

impl<'a> Filter<'a> {
    /// Reads the arguments, or says what is wrong with them.
    fn read(args: Args<'a>) -> Result<Self, Vec<u8>> {
        if args.len() == 3 {
            return Ok(Self { peer: Some(args.at(2)), ..Self::default() });
        }
        let mut filter = Self { spares_asker: true, ..Self::default() };
        let mut words = args.tail(2).iter();
        while let Some(option) = words.next() {
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            let Some(value) = words.next() else { return Err(error_text::SYNTAX.into()) };
            if is("ID") {
                let id = parse_i64_strict(value).filter(|id| *id > 0);
                filter.id = Some(id.ok_or("ERR client-id should be greater than 0")?);
            } else if is("TYPE") {
                filter.class = Some(Class::read(value)?);
            } else if is("ADDR") {
                filter.peer = Some(value);
            } else if is("LADDR") {
                filter.local = Some(value);
            } else if is("USER") {
                filter.user = Some(value);
            } else if is("SKIPME")
                && (value.eq_ignore_ascii_case(b"yes") || value.eq_ignore_ascii_case(b"no"))
            {
                filter.spares_asker = value.eq_ignore_ascii_case(b"yes");
            } else if is("MAXAGE") {
                let age = parse_i64_strict(value).ok_or("ERR maxage is not an integer or out of range")?;
                let age = u64::try_from(age).ok().filter(|age| *age > 0);
                filter.age_seconds_min = Some(age.ok_or("ERR maxage should be greater than 0")?);
            } else {
                return Err(error_text::SYNTAX.into());
            }
        }
        Ok(filter)
    }

    fn picks(&self, session: &Session, is_asker: bool, now: UnixMs) -> bool {
        let age_seconds = now.0.saturating_sub(session.created.0) / 1000;
        !(is_asker && self.spares_asker)
            && self.class.is_none_or(|class| class == Class::of(session))
            && self.id.is_none_or(|id| id == count_i64(session.id))
            && self.peer.is_none_or(|peer| peer == session.peer.as_bytes())
            && self.local.is_none_or(|local| local == session.local.as_bytes())
            && self.user.is_none_or(|user| user == session.identity.name())
            && self.age_seconds_min.is_none_or(|least| age_seconds >= least)
    }
}

/// What `TYPE` tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Normal,
    PubSub,
    /// A master or a replica: there are none.
    Other,
}

impl Class {
    fn read(name: &[u8]) -> Result<Self, Vec<u8>> {
        let known: [(&[u8], Self); 5] = [
            (b"normal", Self::Normal),
            (b"pubsub", Self::PubSub),
            (b"slave", Self::Other),
            (b"replica", Self::Other),
            (b"master", Self::Other),
        ];
        let found = known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, class)| *class);
        found.ok_or_else(|| [b"ERR Unknown client type '", error_text::until_nul(name), b"'"].concat())
    }

    fn of(session: &Session) -> Self {
        if session.is_subscribed() { Self::PubSub } else { Self::Normal }
    }
}

/// Whether the arguments of CLIENT KILL make sense; if not, the error is written.
pub(super) fn check(ctx: &mut ConnectionContext<'_>, args: Args<'_>) -> bool {
    let filter = match Filter::read(args) {
        Ok(filter) => filter,
        Err(error) => {
            ctx.reply.error_parts(&[&error]);
            return false;
        }
    };
    match filter.user {
        Some(user) if ctx.server.acl.find(user).is_none() => {
            ctx.reply.error_parts(&[b"ERR No such user '", error_text::until_nul(user), b"'"]);
            false
        }
        _ => true,
    }
}

/// Whether CLIENT KILL with these arguments, which were checked, ends the session.
pub(super) fn picks(session: &Session, args: Args<'_>, is_asker: bool, now: UnixMs) -> bool {
    Filter::read(args).is_ok_and(|filter| filter.picks(session, is_asker, now))
}
