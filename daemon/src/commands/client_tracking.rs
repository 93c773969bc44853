//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO: what a client that caches what it reads is told. Source of the order
//! of checks and of the texts: `clientCommand` and `tracking.c` of Redis.

use resp::Args;
use resp::number::parse_i64_strict;

use super::context::{ConnectionContext, KeyContext};
use super::error_text;
use super::integer::count_i64;
use crate::session::Session;
use crate::tracking::{ClientTracking, TrackingMode};

const SWITCHES_BROADCAST: &str = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and \
                                  then re-enabling it with a different mode.";
const SWITCHES_OPT: &str = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
                            re-enabling it with a different mode.";
const NOT_CACHING: &str = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT \
                           mode enabled";

/// Options of CLIENT TRACKING.
#[derive(Default)]
struct Asked<'a> {
    redirect: Option<u64>,
    is_broadcast: bool,
    is_opt_in: bool,
    is_opt_out: bool,
    no_loop: bool,
    prefixes: Vec<&'a [u8]>,
}

impl<'a> Asked<'a> {
    /// Reads the options; when they make no sense the error is written.
    fn read(ctx: &mut ConnectionContext<'_>, args: Args<'a>) -> Option<Self> {
        let mut asked = Self::default();
        let mut words = args.tail(3).iter();
        while let Some(word) = words.next() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let has_more = words.len() > 0;
            if is(b"redirect") && has_more {
                asked.redirect = Some(redirect(ctx, asked.redirect, words.next().unwrap_or_default())?);
            } else if is(b"bcast") {
                asked.is_broadcast = true;
            } else if is(b"optin") {
                asked.is_opt_in = true;
            } else if is(b"optout") {
                asked.is_opt_out = true;
            } else if is(b"noloop") {
                asked.no_loop = true;
            } else if is(b"prefix") && has_more {
                asked.prefixes.extend(words.next());
            } else {
                ctx.reply.error(error_text::SYNTAX);
                return None;
            }
        }
        Some(asked)
    }

    /// Why these cannot be taken, with what holds already.
    fn refusal(&self, old: Option<&ClientTracking>) -> Option<&'static str> {
        let was = |mode: TrackingMode| old.is_some_and(|old| old.mode == mode);
        if !self.is_broadcast && !self.prefixes.is_empty() {
            Some("ERR PREFIX option requires BCAST mode to be enabled")
        } else if old.is_some() && was(TrackingMode::Broadcast) != self.is_broadcast {
            Some(SWITCHES_BROADCAST)
        } else if self.is_broadcast && (self.is_opt_in || self.is_opt_out) {
            Some("ERR OPTIN and OPTOUT are not compatible with BCAST")
        } else if self.is_opt_in && self.is_opt_out {
            Some("ERR You can't specify both OPTIN mode and OPTOUT mode")
        } else if (self.is_opt_in && was(TrackingMode::OptOut))
            || (self.is_opt_out && was(TrackingMode::OptIn))
        {
            Some(SWITCHES_OPT)
        } else {
            None
        }
    }

    /// Two prefixes of which one begins with the other; whether the second was there before. The first such pair in the
    /// order of the request, as in Redis; `old` is sorted, and none of it begins with another but with the empty one.
    fn collision<'b>(&'b self, old: &'b [Box<[u8]>]) -> Option<(&'b [u8], &'b [u8], bool)> {
        let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
        let colliding = colliding(&self.prefixes);
        let empty = old.first().filter(|first| first.is_empty());
        for (at, prefix) in self.prefixes.iter().enumerate() {
            // What begins with it stands at its place among the old ones, what it begins with just before.
            let place = old.partition_point(|other| **other < **prefix);
            let neighbours = &old[place.saturating_sub(1)..old.len().min(place + 1)];
            if let Some(other) = empty.or_else(|| neighbours.iter().find(|other| overlap(prefix, other))) {
                return Some((prefix, other, true));
            }
            if colliding[at]
                && let Some(other) = self.prefixes[at + 1..].iter().find(|other| overlap(prefix, other))
            {
                return Some((prefix, other, false));
            }
        }
        None
    }
}

/// Which of these begin with another one, or are what another one begins with. Sorted they stand behind what they begin
/// with, so that one pass tells: a request may have hundreds of thousands.
fn colliding(prefixes: &[&[u8]]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..prefixes.len()).collect();
    order.sort_unstable_by_key(|at| prefixes[*at]);
    let mut colliding = vec![false; prefixes.len()];
    let mut shortest = None;
    for at in order {
        match shortest {
            Some(first) if prefixes[at].starts_with(prefixes[first]) => {
                (colliding[first], colliding[at]) = (true, true);
            }
            _ => shortest = Some(at),
        }
    }
    colliding
}

/// The client that is told in the place of this one: it has to be there.
fn redirect(ctx: &mut ConnectionContext<'_>, before: Option<u64>, word: &[u8]) -> Option<u64> {
    if before.is_some() {
        ctx.reply.error("ERR A client can only redirect to a single other client");
        return None;
    }
    let Some(id) = parse_i64_strict(word) else {
        ctx.reply.error(error_text::NOT_AN_INTEGER);
        return None;
    };
    let known = u64::try_from(id).ok().filter(|id| ctx.server.onlookers.place_of(*id).is_some());
    if known.is_none() {
        ctx.reply.error("ERR The client ID you want redirect to does not exist");
    }
    known
}

/// CLIENT TRACKING ON | OFF [REDIRECT id] [BCAST] [PREFIX prefix ...] [OPTIN] [OPTOUT] [NOLOOP]. True: the workers have to
/// be told.
pub(super) fn tracking(ctx: &mut ConnectionContext<'_>, args: Args<'_>) -> bool {
    let Some(asked) = Asked::read(ctx, args) else { return false };
    if args.at(2).eq_ignore_ascii_case(b"off") {
        ctx.session.tracking = None;
        return true;
    }
    if !args.at(2).eq_ignore_ascii_case(b"on") {
        ctx.reply.error(error_text::SYNTAX);
        return false;
    }
    let old = ctx.session.tracking.as_deref();
    if let Some(refusal) = asked.refusal(old) {
        ctx.reply.error(refusal);
        return false;
    }
    // As in Redis an exception outlives what is asked for anew: the request that it is for has not come.
    let is_caching_given = old.is_some_and(|old| old.is_caching_given);
    let mut prefixes = old.map_or_else(Vec::new, |old| old.prefixes.clone());
    if let Some((one, other, was_there)) = asked.collision(&prefixes) {
        let with: &[u8] = if was_there { b"an existing" } else { b"another provided" };
        let (one, other) = (error_text::until_nul(one), error_text::until_nul(other));
        let end = b"'. Prefixes for a single client must not overlap.";
        ctx.reply.error_parts(&[b"ERR Prefix '", one, b"' overlaps with ", with, b" prefix '", other, end]);
        return false;
    }
    prefixes.extend(asked.prefixes.iter().map(|prefix| Box::from(*prefix)));
    if asked.is_broadcast && asked.prefixes.is_empty() && !prefixes.iter().any(|prefix| prefix.is_empty()) {
        prefixes.push(Box::default());
    }
    prefixes.sort_unstable();
    let mode = match &asked {
        Asked { is_broadcast: true, .. } => TrackingMode::Broadcast,
        Asked { is_opt_in: true, .. } => TrackingMode::OptIn,
        Asked { is_opt_out: true, .. } => TrackingMode::OptOut,
        _ => TrackingMode::All,
    };
    ctx.session.tracking = Some(Box::new(ClientTracking {
        mode,
        no_loop: asked.no_loop,
        redirect: asked.redirect,
        is_redirect_broken: false,
        prefixes,
        is_caching_given,
    }));
    true
}

/// What a worker does about it: from now on its shards tell of keys that go by themselves. That changes of keys are to be
/// noted it sees with the next command.
pub(super) fn apply(ctx: &mut KeyContext<'_>, _: Args<'_>) {
    super::context::watch_departures(ctx.store, ctx.settings);
    ctx.reply.ok();
}

/// CLIENT CACHING YES | NO
pub(super) fn caching(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let Some(tracking) = &mut ctx.session.tracking else {
        return ctx.reply.error(NOT_CACHING);
    };
    let is = |word: &[u8]| args.at(2).eq_ignore_ascii_case(word);
    let refusal = match tracking.mode {
        TrackingMode::OptIn if is(b"yes") => None,
        TrackingMode::OptOut if is(b"no") => None,
        _ if is(b"yes") => {
            Some("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
        }
        _ if is(b"no") => {
            Some("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
        }
        _ => Some(error_text::SYNTAX),
    };
    match refusal {
        Some(refusal) => ctx.reply.error(refusal),
        None => {
            tracking.is_caching_given = true;
            ctx.reply.ok();
        }
    }
}

/// The id of the client that is told in the place of this one; 0 when there is none, -1 when this one does not track.
pub(super) fn redirect_of(session: &Session) -> i64 {
    session.tracking.as_ref().map_or(-1, |tracking| tracking.redirect.map_or(0, count_i64))
}

/// CLIENT GETREDIR
pub(super) fn getredir(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    ctx.reply.integer(redirect_of(ctx.session));
}

/// CLIENT TRACKINGINFO
pub(super) fn trackinginfo(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let tracking = ctx.session.tracking.as_deref();
    let mut flags = vec![if tracking.is_some() { "on" } else { "off" }];
    if let Some(tracking) = tracking {
        let (mode, exception) = match tracking.mode {
            TrackingMode::All => (None, None),
            TrackingMode::Broadcast => (Some("bcast"), None),
            TrackingMode::OptIn => (Some("optin"), Some("caching-yes")),
            TrackingMode::OptOut => (Some("optout"), Some("caching-no")),
        };
        flags.extend(mode);
        flags.extend(exception.filter(|_| tracking.is_caching_given));
        flags.extend(tracking.no_loop.then_some("noloop"));
        flags.extend(tracking.is_redirect_broken.then_some("broken_redirect"));
    }
    let prefixes = tracking.map_or(&[][..], |tracking| &tracking.prefixes);
    ctx.reply.map(3);
    ctx.reply.bulk(b"flags");
    ctx.reply.set(flags.len());
    for flag in flags {
        ctx.reply.bulk(flag.as_bytes());
    }
    ctx.reply.bulk(b"redirect");
    ctx.reply.integer(redirect_of(ctx.session));
    ctx.reply.bulk(b"prefixes");
    ctx.reply.array(prefixes.len());
    for prefix in prefixes {
        ctx.reply.bulk(prefix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair is looked at, as Redis does.
    fn first_of_all_pairs<'a>(new: &[&'a [u8]], old: &'a [Box<[u8]>]) -> Option<(&'a [u8], &'a [u8], bool)> {
        let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
        new.iter().enumerate().find_map(|(at, prefix)| {
            let was_there = old.iter().find(|other| overlap(prefix, other)).map(|other| (&**other, true));
            let is_new =
                || new[at + 1..].iter().find(|other| overlap(prefix, other)).map(|other| (*other, false));
            was_there.or_else(is_new).map(|(other, was_there)| (*prefix, other, was_there))
        })
    }

    #[test]
    fn the_pair_that_collides_is_that_of_looking_at_all() {
        let words: [&[u8]; 9] = [b"", b"a", b"ab", b"abc", b"b", b"ba", b"bab", b"c", b"\xff"];
        let mut state = 1u64;
        let mut draw = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 40).unwrap() % bound
        };
        let mut found = 0;
        for _ in 0..20_000 {
            let mut old: Vec<Box<[u8]>> = Vec::new();
            for _ in 0..draw(3) {
                let word = words[draw(words.len())];
                if !old.iter().any(|other| word.starts_with(other) || other.starts_with(word)) {
                    old.push(word.into());
                }
            }
            if draw(4) == 0 && !old.iter().any(|other| other.is_empty()) {
                // BCAST without a prefix adds it to those that are there.
                old.push(Box::default());
            }
            old.sort_unstable();
            let prefixes: Vec<&[u8]> = (0..draw(5)).map(|_| words[draw(words.len())]).collect();
            let expected = first_of_all_pairs(&prefixes, &old);
            found += usize::from(expected.is_some());
            let asked = Asked { prefixes: prefixes.clone(), ..Asked::default() };
            assert_eq!(asked.collision(&old), expected, "{prefixes:?} {old:?}");
        }
        assert!((1000..19_000).contains(&found), "{found}");
    }
}
