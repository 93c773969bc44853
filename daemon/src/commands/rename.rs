//! A key under another name, or in another database: RENAME RENAMENX COPY MOVE. Its end goes with it.

use resp::Args;
use resp::number::parse_i64_strict;
use shard::types::Db;

use super::error_text;
use super::together::{Change, KeyPlace, Together, TogetherContext};
use crate::pubsub::EventKind;
use crate::server::Settings;

const SAME_OBJECT: &str = "ERR source and destination objects are the same";

/// Both places of a command, the first one looked at to be read or to be taken away, from the key at 1 to the key at `to` of a database.
fn both(db: Db, to: usize, to_db: Db, is_read: bool) -> Vec<KeyPlace> {
    vec![
        KeyPlace { db, at: 1, wants_value: true, is_read },
        KeyPlace { db: to_db, at: to, wants_value: false, is_read: false },
    ]
}

/// Puts what the first place holds at the second, and takes it away from the first where there is an event for that.
fn carry(ctx: &mut TogetherContext<'_>, from: Option<EventKind>, to: EventKind) {
    let source = ctx.seen[0].take().expect("the caller has looked");
    // The order is what keeps the key in a crash: the new one is durable before the old one goes.
    ctx.changes.push(Change::Put { place: 1, value: source.value, deadline: source.deadline });
    // As in Redis the new key is one that was not there, whatever it held before.
    ctx.events.push((1, EventKind::New));
    if let Some(from) = from {
        ctx.changes.push(Change::Delete { place: 0 });
        ctx.events.push((0, from));
    }
    ctx.events.push((1, to));
}

/// RENAME key newkey
pub(super) struct Rename;

/// RENAMENX key newkey
pub(super) struct RenameIfMissing;

fn rename(ctx: &mut TogetherContext<'_>, args: Args<'_>, if_missing: bool) {
    let (is_same, is_taken) = (args.at(1) == args.at(2), ctx.seen[1].is_some());
    if ctx.seen[0].is_none() {
        ctx.reply.error(error_text::NO_SUCH_KEY);
        return;
    }
    let renames = !(is_same || if_missing && is_taken);
    if renames {
        carry(ctx, Some(EventKind::RenameFrom), EventKind::RenameTo);
    }
    if if_missing {
        ctx.reply.integer(i64::from(renames));
    } else {
        ctx.reply.ok();
    }
}

impl Together for Rename {
    fn places(_: Args<'_>, db: Db) -> Vec<KeyPlace> {
        both(db, 2, db, false)
    }

    fn decide(ctx: &mut TogetherContext<'_>, args: Args<'_>) {
        rename(ctx, args, false);
    }
}

impl Together for RenameIfMissing {
    fn places(_: Args<'_>, db: Db) -> Vec<KeyPlace> {
        both(db, 2, db, false)
    }

    fn decide(ctx: &mut TogetherContext<'_>, args: Args<'_>) {
        rename(ctx, args, true);
    }
}

/// The database of a number in a request; what is wrong with it otherwise.
fn database(text: &[u8], settings: &Settings) -> Result<Db, &'static str> {
    let number = parse_i64_strict(text).ok_or(error_text::NOT_AN_INTEGER)?;
    let number = i32::try_from(number).map_err(|_| error_text::NOT_AN_INT)?;
    settings.database(number.into()).ok_or(error_text::DB_INDEX_RANGE)
}

/// The database that a request names, if it can be one at all. Which are there the decision looks after.
fn possible_database(text: &[u8]) -> Option<Db> {
    let number = parse_i64_strict(text).and_then(|number| u8::try_from(number).ok())?;
    (number < shard::limits::DATABASE_COUNT).then_some(Db(number))
}

/// COPY source destination [DB number] [REPLACE]
pub(super) struct Copy;

impl Copy {
    /// The target database as the request names it, and whether the target may be there; `None` when the options make
    /// no sense.
    fn options<'a>(args: Args<'a>) -> Option<(Option<&'a [u8]>, bool)> {
        let (mut target, mut replaces) = (None, false);
        let mut words = args.iter().skip(3);
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"REPLACE") {
                replaces = true;
            } else if word.eq_ignore_ascii_case(b"DB") {
                target = Some(words.next()?);
            } else {
                return None;
            }
        }
        Some((target, replaces))
    }
}

impl Together for Copy {
    fn places(args: Args<'_>, db: Db) -> Vec<KeyPlace> {
        let target = Self::options(args).and_then(|(target, _)| target.map_or(Some(db), possible_database));
        target.map_or_else(Vec::new, |target| both(db, 2, target, true))
    }

    fn decide(ctx: &mut TogetherContext<'_>, args: Args<'_>) {
        // As in Redis the words are looked at one by one: what is wrong first is told.
        let mut words = args.iter().skip(3);
        let (mut target, mut replaces) = (ctx.db, false);
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"REPLACE") {
                replaces = true;
            } else if word.eq_ignore_ascii_case(b"DB")
                && let Some(number) = words.next()
            {
                target = match database(number, ctx.settings) {
                    Ok(target) => target,
                    Err(text) => return ctx.reply.error(text),
                };
            } else {
                return ctx.reply.error(error_text::SYNTAX);
            }
        }
        if target == ctx.db && args.at(1) == args.at(2) {
            return ctx.reply.error(SAME_OBJECT);
        }
        let copies = ctx.seen[0].is_some() && (replaces || ctx.seen[1].is_none());
        if copies {
            carry(ctx, None, EventKind::CopyTo);
        }
        ctx.reply.integer(i64::from(copies));
    }
}

/// MOVE key db
pub(super) struct Move;

impl Together for Move {
    fn places(args: Args<'_>, db: Db) -> Vec<KeyPlace> {
        possible_database(args.at(2)).map_or_else(Vec::new, |target| both(db, 1, target, false))
    }

    fn decide(ctx: &mut TogetherContext<'_>, args: Args<'_>) {
        match database(args.at(2), ctx.settings) {
            Err(text) => ctx.reply.error(text),
            Ok(target) if target == ctx.db => ctx.reply.error(SAME_OBJECT),
            Ok(_) => {
                let moves = ctx.seen[0].is_some() && ctx.seen[1].is_none();
                if moves {
                    carry(ctx, Some(EventKind::MoveFrom), EventKind::MoveTo);
                }
                ctx.reply.integer(i64::from(moves));
            }
        }
    }
}
