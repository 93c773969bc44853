//! INFO: facts and figures by section, under Redis's names where Redis has them. Figures are those that the workers
//! last published: a tenth of a second ago at most.

mod histogram;
mod process;
mod sections;

use resp::Args;

use self::process::Process;
use super::context::ConnectionContext;
use crate::server::{Server, WorkerSnapshot};

/// What a section is written from.
struct Facts<'a> {
    server: &'a Server,
    totals: WorkerSnapshot,
    process: Process,
    now_ms: u64,
}

/// A section of the answer.
struct Section {
    name: &'static str,
    /// Whether INFO without arguments has it.
    is_default: bool,
    write: fn(&Facts<'_>, &mut String),
}

const fn section(name: &'static str, write: fn(&Facts<'_>, &mut String)) -> Section {
    Section { name, is_default: true, write }
}

const fn extra(name: &'static str, write: fn(&Facts<'_>, &mut String)) -> Section {
    Section { name, is_default: false, write }
}

/// All sections in the order in which they are answered: Redis's, and our own before the keyspace.
const SECTIONS: [Section; 13] = [
    section("server", sections::server),
    section("clients", sections::clients),
    section("memory", sections::memory),
    section("persistence", sections::persistence),
    section("stats", sections::stats),
    section("replication", sections::replication),
    section("cpu", sections::cpu),
    extra("commandstats", sections::commandstats),
    section("errorstats", sections::errorstats),
    extra("latencystats", sections::latencystats),
    section("cluster", sections::cluster),
    section("ouro", sections::ouro),
    section("keyspace", sections::keyspace),
];

/// Whether the arguments ask for a section.
fn is_wanted(section: &Section, names: Args<'_>) -> bool {
    let asks = |name: &[u8]| {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        is(section.name) || is("all") || is("everything") || (section.is_default && is("default"))
    };
    if names.is_empty() { section.is_default } else { names.iter().any(asks) }
}

/// INFO [section ...]
pub(super) fn info(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let facts = Facts {
        server: ctx.server,
        totals: ctx.server.totals(),
        process: Process::read(),
        now_ms: ctx.now.0,
    };
    let mut text = String::new();
    for section in SECTIONS.iter().filter(|section| is_wanted(section, args.tail(1))) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let (first, rest) = section.name.split_at(1);
        text.push_str("# ");
        text.push_str(&first.to_ascii_uppercase());
        text.push_str(rest);
        text.push_str("\r\n");
        (section.write)(&facts, &mut text);
    }
    ctx.reply.verbatim("txt", text.as_bytes());
}
