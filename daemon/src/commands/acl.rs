//! ACL: users and what they may do. The rules themselves are in [`crate::acl`].

use resp::number::parse_i64_strict;
use resp::{Args, ReplyWriter};

use super::context::ConnectionContext;
use super::error_text;
use super::flags::Categories;
use super::integer::count_i64;
use super::lookup::{Refusal, lookup_command, lookup_subcommand};
use super::table::COMMANDS;
use crate::acl::{
    GENERATED_BITS_DEFAULT, GENERATED_BITS_MAX, RuleError, Selector, User, generate, is_default,
};

const NO_FILE: &str = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via \
                       the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis \
                       configuration file set) in order to store users in the Redis configuration.";
const BAD_BITS: &str = "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number \
                        up to 4096";
/// Entries of ACL LOG when nobody says how many.
const LOG_COUNT_DEFAULT: usize = 10;

const HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Create or modify a user with the specified attributes.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
    "HELP",
    "    Print this help.",
];

/// ACL HELP
pub(super) fn help(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    super::help::write(&mut ctx.reply, HELP);
}

/// ACL CAT [category]
pub(super) fn cat(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let Some(name) = args.get(2) else {
        let names: Vec<&str> = Categories::all_names().collect();
        write_list(&mut ctx.reply, names.len(), names.iter().map(|name| name.as_bytes()));
        return;
    };
    if args.len() > 3 {
        error_text::unknown_subcommand(args, &mut ctx.reply);
        return;
    }
    let Some(category) = Categories::from_name(name) else {
        ctx.reply.error_parts(&[b"ERR Unknown category '", error_text::until_nul(name), b"'"]);
        return;
    };
    let of_category: Vec<&str> =
        COMMANDS.iter().filter(|command| command.categories.contains(category)).map(|it| it.name).collect();
    write_list(&mut ctx.reply, of_category.len(), of_category.iter().map(|name| name.as_bytes()));
}

fn write_list<'a>(reply: &mut ReplyWriter<'_>, count: usize, texts: impl Iterator<Item = &'a [u8]>) {
    reply.array(count);
    for text in texts {
        reply.bulk(text);
    }
}

/// ACL WHOAMI
pub(super) fn whoami(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let name = ctx.session.identity.name().to_vec();
    ctx.reply.bulk(&name);
}

/// ACL USERS
pub(super) fn users(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let all = ctx.server.acl.all();
    write_list(&mut ctx.reply, all.len(), all.iter().map(|handle| handle.name()));
}

/// ACL LIST
pub(super) fn list(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let lines = ctx.server.acl.lines();
    let lines: Vec<&[u8]> = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
    write_list(&mut ctx.reply, lines.len(), lines.into_iter());
}

/// ACL GENPASS [bits]
pub(super) fn genpass(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let bits = match args.get(2) {
        None => Some(GENERATED_BITS_DEFAULT),
        Some(text) => parse_i64_strict(text)
            .and_then(|bits| u16::try_from(bits).ok())
            .filter(|bits| (1..=GENERATED_BITS_MAX).contains(bits)),
    };
    let Some(bits) = bits.filter(|_| args.len() <= 3) else {
        ctx.reply.error(BAD_BITS);
        return;
    };
    match generate(bits) {
        Ok(password) => ctx.reply.bulk(password.as_bytes()),
        Err(error) => {
            let text = error.to_string();
            ctx.reply.error_parts(&[b"ERR the system has no random numbers: ", text.as_bytes()]);
        }
    }
}

/// ACL SETUSER username [rule ...]
pub(super) fn setuser(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let name = args.at(2);
    if name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        ctx.reply.error("ERR Usernames can't contain spaces or null characters");
        return;
    }
    match ctx.server.acl.set_user(name, args.tail(3).iter()) {
        Ok(()) => ctx.reply.ok(),
        Err((rule, RuleError::Unmatched)) => {
            let start = b"ERR Unmatched parenthesis in acl selector starting at '";
            ctx.reply.error_parts(&[start, error_text::until_nul(&rule), b"'."]);
        }
        Err((rule, why)) => {
            let why = why.to_string();
            ctx.reply.error_parts(&[
                b"ERR Error in ACL SETUSER modifier '",
                error_text::until_nul(&rule),
                b"': ",
                why.as_bytes(),
            ]);
        }
    }
}

/// ACL DELUSER username [username ...]
pub(super) fn deluser(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    if args.tail(2).iter().any(is_default) {
        ctx.reply.error("ERR The 'default' user cannot be removed");
        return;
    }
    let deleted = args.tail(2).iter().filter(|name| ctx.server.acl.delete_user(name)).count();
    ctx.reply.integer(count_i64(deleted as u64));
}

/// ACL GETUSER username
pub(super) fn getuser(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let Some(handle) = ctx.server.acl.find(args.at(2)) else {
        ctx.reply.null();
        return;
    };
    let (user, _) = handle.read();
    write_user(&mut ctx.reply, &user);
}

fn write_user(reply: &mut ReplyWriter<'_>, user: &User) {
    reply.map(6);
    reply.bulk(b"flags");
    let flags = user.flags();
    reply.set(flags.len());
    for flag in flags {
        reply.bulk(flag.as_bytes());
    }
    reply.bulk(b"passwords");
    let passwords = user.passwords();
    reply.array(passwords.len());
    for hash in passwords {
        reply.bulk(hash.as_bytes());
    }
    let mut selectors = user.selectors();
    if let Some(root) = selectors.next() {
        write_selector(reply, root);
    }
    reply.bulk(b"selectors");
    let more: Vec<&Selector> = selectors.collect();
    reply.array(more.len());
    for selector in more {
        reply.map(3);
        write_selector(reply, selector);
    }
}

fn write_selector(reply: &mut ReplyWriter<'_>, selector: &Selector) {
    let commands = selector.commands_text();
    let parts: [(&str, &[u8]); 3] = [
        ("commands", commands.as_bytes()),
        ("keys", &selector.keys_text()),
        ("channels", &selector.channels_text()),
    ];
    for (name, text) in parts {
        reply.bulk(name.as_bytes());
        reply.bulk(text);
    }
}

/// ACL DRYRUN username command [arg ...]
pub(super) fn dryrun(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let name = args.at(2);
    let Some(handle) = ctx.server.acl.find(name) else {
        ctx.reply.error_parts(&[b"ERR User '", error_text::until_nul(name), b"' not found"]);
        return;
    };
    let asked = args.tail(3);
    let command = lookup_command(asked.at(0)).and_then(|command| match asked.get(1) {
        Some(word) if !command.subcommands().is_empty() => lookup_subcommand(command, word),
        _ => Some(command),
    });
    let Some(command) = command else {
        ctx.reply.error_parts(&[b"ERR Command '", error_text::until_nul(asked.at(0)), b"' not found"]);
        return;
    };
    if !command.check_arity(asked.len()) {
        Refusal::WrongArity(command).write(asked, &mut ctx.reply);
        return;
    }
    match ctx.server.acl.dry_run(&handle, command, asked) {
        Ok(()) => ctx.reply.ok(),
        Err(denial) => {
            let text = denial.dry_run_text(name, command.name, asked.at(denial.position()));
            ctx.reply.bulk(&text);
        }
    }
}

/// ACL LOG [count | RESET]
pub(super) fn log(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let mut log = ctx.server.acl.log();
    let count = match args.get(2) {
        None => LOG_COUNT_DEFAULT,
        Some(word) if word.eq_ignore_ascii_case(b"reset") => {
            log.clear();
            ctx.reply.ok();
            return;
        }
        Some(word) => match parse_i64_strict(word) {
            Some(count) => usize::try_from(count).unwrap_or(0),
            None => {
                ctx.reply.error(error_text::NOT_AN_INTEGER);
                return;
            }
        },
    };
    let now = ctx.now;
    ctx.reply.array(log.entries().len().min(count));
    for entry in log.entries().take(count) {
        let reply = &mut ctx.reply;
        reply.map(10);
        reply.bulk(b"count");
        reply.integer(count_i64(entry.count));
        for (name, text) in [
            ("reason", entry.reason.name().as_bytes()),
            ("context", b"toplevel"),
            ("object", &entry.object[..]),
            ("username", &entry.user),
        ] {
            reply.bulk(name.as_bytes());
            reply.bulk(text);
        }
        reply.bulk(b"age-seconds");
        reply.double(now.0.saturating_sub(entry.created.0) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(&entry.client);
        for (name, number) in [
            ("entry-id", entry.id),
            ("timestamp-created", entry.created.0),
            ("timestamp-last-updated", entry.updated.0),
        ] {
            reply.bulk(name.as_bytes());
            reply.integer(count_i64(number));
        }
    }
}

/// ACL LOAD
pub(super) fn load(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let Some(path) = &ctx.server.options.acl_file else {
        ctx.reply.error(NO_FILE);
        return;
    };
    match ctx.server.acl.load_file(path) {
        Ok(()) => ctx.reply.ok(),
        Err(error) => {
            let text = error.to_string();
            let end =
                b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
            ctx.reply.error_parts(&[b"ERR ", text.as_bytes(), end]);
        }
    }
}

/// ACL SAVE
pub(super) fn save(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let Some(path) = &ctx.server.options.acl_file else {
        ctx.reply.error(NO_FILE);
        return;
    };
    match ctx.server.acl.save_file(path) {
        Ok(()) => ctx.reply.ok(),
        Err(error) => {
            tracing::warn!(%error, "the file of users could not be written");
            ctx.reply.error("ERR There was an error trying to save the ACLs. Please check the server logs for more information");
        }
    }
}
