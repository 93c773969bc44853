//! COMMAND: the table, told to clients. COUNT LIST INFO DOCS GETKEYS GETKEYSANDFLAGS.

use resp::{Args, ReplyWriter};

use super::command::{Command, KeySpec};
use super::context::ConnectionContext;
use super::doc::{Argument, Doc};
use super::flags::Categories;
use super::integer::len_i64;
use super::lookup::{lookup_command, lookup_full_name, lookup_subcommand};
use super::table::COMMANDS;
use super::{error_text, glob};

fn top_level() -> impl Iterator<Item = &'static Command> + Clone {
    COMMANDS.iter().filter(|command| !command.is_subcommand())
}

fn write_names(reply: &mut ReplyWriter<'_>, names: &[&str]) {
    for name in names {
        reply.simple(name);
    }
}

/// COMMAND
pub(super) fn all(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    write_all(&mut ctx.reply);
}

fn write_all(reply: &mut ReplyWriter<'_>) {
    reply.array(top_level().count());
    for command in top_level() {
        write_info(reply, command);
    }
}

/// COMMAND COUNT
pub(super) fn count(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    ctx.reply.integer(len_i64(top_level().count()));
}

/// COMMAND INFO [name ...]
pub(super) fn info(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    if args.len() == 2 {
        return write_all(&mut ctx.reply);
    }
    ctx.reply.array(args.len() - 2);
    for name in args.tail(2).iter() {
        match lookup_full_name(name) {
            Some(command) => write_info(&mut ctx.reply, command),
            None => ctx.reply.null(),
        }
    }
}

/// One command, with its subcommands: they have none of their own.
fn write_info(reply: &mut ReplyWriter<'_>, command: &Command) {
    write_head(reply, command);
    let subcommands = command.subcommands();
    if subcommands.is_empty() {
        reply.set(0);
        return;
    }
    reply.array(subcommands.len());
    for subcommand in subcommands {
        write_head(reply, subcommand);
        reply.set(0);
    }
}

/// All but the subcommands.
fn write_head(reply: &mut ReplyWriter<'_>, command: &Command) {
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(i64::from(command.arity));
    let flags: Vec<&str> = command.flags.names().collect();
    reply.set(flags.len());
    write_names(reply, &flags);
    let (first, last, step) = command.keys.or(command.not_keys).map_or((0, 0, 0), |keys| {
        let last = command.more_keys.unwrap_or(keys).last();
        (len_i64(keys.first), last, len_i64(keys.step))
    });
    for position in [first, last, step] {
        reply.integer(position);
    }
    let categories: Vec<&str> = command.categories.names().collect();
    reply.set(categories.len());
    write_names(reply, &categories);
    reply.set(command.tips.len());
    for tip in command.tips {
        reply.bulk(tip.as_bytes());
    }
    let specs = || command.keys.iter().chain(&command.more_keys).chain(&command.not_keys);
    reply.set(specs().count());
    for keys in specs() {
        write_key_spec(reply, keys);
    }
}

fn write_key_spec(reply: &mut ReplyWriter<'_>, keys: &KeySpec) {
    reply.map(3 + usize::from(keys.notes.is_some()));
    if let Some(notes) = keys.notes {
        reply.bulk(b"notes");
        reply.bulk(notes.as_bytes());
    }
    reply.bulk(b"flags");
    reply.set(keys.uses.len());
    write_names(reply, keys.uses);
    let last = if keys.to_end { -1 } else { len_i64(keys.count - 1) };
    let begin = [("index", len_i64(keys.first))];
    let find = [("lastkey", last), ("keystep", len_i64(keys.step)), ("limit", 0)];
    for (part, kind, numbers) in [("begin_search", "index", &begin[..]), ("find_keys", "range", &find)] {
        reply.bulk(part.as_bytes());
        reply.map(2);
        reply.bulk(b"type");
        reply.bulk(kind.as_bytes());
        reply.bulk(b"spec");
        reply.map(numbers.len());
        for (name, number) in numbers {
            reply.bulk(name.as_bytes());
            reply.integer(*number);
        }
    }
}

/// COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]
pub(super) fn list(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let filter = |takes: &dyn Fn(&Command) -> bool| -> Vec<&str> {
        COMMANDS.iter().filter(|command| takes(command)).map(|command| command.name).collect()
    };
    let names = if args.len() == 2 {
        filter(&|_| true)
    } else if args.len() == 5 && args.at(2).eq_ignore_ascii_case(b"filterby") {
        let (kind, value) = (args.at(3), args.at(4));
        if kind.eq_ignore_ascii_case(b"module") {
            Vec::new()
        } else if kind.eq_ignore_ascii_case(b"aclcat") {
            let wanted = Categories::from_name(value);
            filter(&|command| wanted.is_some_and(|wanted| command.categories.contains(wanted)))
        } else if kind.eq_ignore_ascii_case(b"pattern") {
            filter(&|command| glob::matches_ignoring_case(value, command.name.as_bytes()))
        } else {
            return ctx.reply.error(error_text::SYNTAX);
        }
    } else {
        return ctx.reply.error(error_text::SYNTAX);
    };
    ctx.reply.array(names.len());
    for name in names {
        ctx.reply.bulk(name.as_bytes());
    }
}

/// COMMAND DOCS [name ...]
pub(super) fn docs(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let commands: Vec<&Command> = match args.len() {
        2 => top_level().collect(),
        _ => args.tail(2).iter().filter_map(lookup_full_name).collect(),
    };
    ctx.reply.map(commands.len());
    for command in commands {
        write_docs(&mut ctx.reply, command);
    }
}

/// Name and documentation of a command; its subcommands have none of their own.
fn write_docs(reply: &mut ReplyWriter<'_>, command: &Command) {
    let subcommands = command.subcommands();
    write_doc(reply, command, usize::from(!subcommands.is_empty()));
    if !subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(subcommands.len());
        for subcommand in subcommands {
            write_doc(reply, subcommand, 0);
        }
    }
}

/// The same without the subcommands, for which `more` entries of the map are left.
fn write_doc(reply: &mut ReplyWriter<'_>, command: &Command, more: usize) {
    let doc = command.doc;
    let Doc { arguments, deprecated, .. } = doc;
    reply.bulk(command.name.as_bytes());
    reply.map(4 + 3 * usize::from(deprecated.is_some()) + usize::from(!arguments.is_empty()) + more);
    for (name, text) in
        [("summary", doc.summary), ("since", doc.since), ("group", doc.group), ("complexity", doc.complexity)]
    {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if let Some((since, replaced_by)) = deprecated {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.simple("deprecated");
        reply.bulk(b"deprecated_since");
        reply.bulk(since.as_bytes());
        reply.bulk(b"replaced_by");
        reply.bulk(replaced_by.as_bytes());
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, arguments);
    }
}

fn write_arguments(reply: &mut ReplyWriter<'_>, arguments: &[Argument]) {
    reply.array(arguments.len());
    for argument in arguments {
        let is_key = argument.kind == "key";
        let is_group = !argument.parts.is_empty();
        let flags: Vec<&str> = [(argument.optional, "optional"), (argument.multiple, "multiple")]
            .iter()
            .filter_map(|(is, name)| is.then_some(*name))
            .collect();
        let more = [is_key, argument.token.is_some(), !flags.is_empty(), is_group, !is_group];
        reply.map(2 + more.into_iter().filter(|more| *more).count());
        for (name, text) in [("name", argument.name), ("type", argument.kind)] {
            reply.bulk(name.as_bytes());
            reply.bulk(text.as_bytes());
        }
        if !is_group {
            reply.bulk(b"display_text");
            reply.bulk(argument.name.as_bytes());
        }
        if is_key {
            reply.bulk(b"key_spec_index");
            reply.integer(0);
        }
        if let Some(token) = argument.token {
            reply.bulk(b"token");
            reply.bulk(token.as_bytes());
        }
        if !flags.is_empty() {
            reply.bulk(b"flags");
            reply.set(flags.len());
            write_names(reply, &flags);
        }
        if is_group {
            // Groups nest two deep in the table, so this does not go far.
            reply.bulk(b"arguments");
            write_arguments(reply, argument.parts);
        }
    }
}

/// The request that stands behind COMMAND GETKEYS, and its command; when it has no keys the error is written.
fn inner_request<'a>(
    ctx: &mut ConnectionContext<'_>,
    args: Args<'a>,
) -> Option<(&'static Command, KeySpec, Args<'a>)> {
    let inner = args.tail(2);
    let found = lookup_command(inner.at(0)).and_then(|command| match inner.get(1) {
        Some(name) if !command.subcommands().is_empty() => lookup_subcommand(command, name),
        _ => Some(command),
    });
    let text = match found {
        None => "ERR Invalid command specified",
        Some(command) => match command.keys {
            None => "ERR The command has no key arguments",
            Some(_) if !command.check_arity(inner.len()) => {
                "ERR Invalid number of arguments specified for command"
            }
            Some(keys) => return Some((command, keys, inner)),
        },
    };
    ctx.reply.error(text);
    None
}

/// COMMAND GETKEYS command [arg ...]
pub(super) fn getkeys(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let Some((command, _, inner)) = inner_request(ctx, args) else { return };
    ctx.reply.array(command.key_positions(inner.len()).count());
    for position in command.key_positions(inner.len()) {
        ctx.reply.bulk(inner.at(position));
    }
}

/// COMMAND GETKEYSANDFLAGS command [arg ...]
pub(super) fn getkeysandflags(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let Some((command, _, inner)) = inner_request(ctx, args) else { return };
    let keys = command.keys_with_uses(inner);
    ctx.reply.array(keys.clone().count());
    for (position, uses) in keys {
        ctx.reply.array(2);
        ctx.reply.bulk(inner.at(position));
        ctx.reply.set(uses.len());
        write_names(&mut ctx.reply, uses);
    }
}

const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all commands.",
    "COUNT",
    "    Return the total number of commands in this server.",
    "LIST",
    "    Return a list of all commands in this server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple commands.",
    "    If no command names are given, details for all commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full command.",
    "HELP",
    "    Print this help.",
];

/// COMMAND HELP
pub(super) fn help(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    super::help::write(&mut ctx.reply, HELP);
}
