//! CONFIG GET, SET, RESETSTAT, REWRITE: parameters by Redis's names where Redis has them.

use std::sync::PoisonError;

use resp::{Args, ReplyWriter};

use shard::eviction::EvictionPolicy;
use shard::types::UnixMs;

use super::context::{ConnectionContext, KeyContext};
use super::{error_text, glob, tls_parameters as tls};
use crate::open_store::policy;
use crate::options::{
    AppendFsync, LogLevel, Machine, Storage, command_line, format_days, format_output_limits, parse,
    parse_output_limits, parse_policy, parse_size, replace, rewritten,
};
use crate::pubsub::EventClasses;
use crate::server::{OutputLimits, Server};

/// How a parameter changes; or why not.
#[derive(Clone, Copy)]
enum Change {
    /// Checks a value and gives what would set it: nothing is set unless all of a CONFIG SET can be.
    Free(Check),
    /// As `Free`, where storage is memory-only; only to what it is otherwise.
    FreeInMemory(Check),
    /// Only to what it is: clients may ask for what holds anyway.
    OnlyAsIs(&'static str),
    /// Not while the server runs.
    Never,
}

/// Sets a parameter of a server.
pub(super) type Setter = Box<dyn FnOnce(&Server)>;
type Check = fn(&str) -> Result<Setter, String>;

struct Parameter {
    name: &'static str,
    get: fn(&Server) -> String,
    change: Change,
}

const fn parameter(name: &'static str, get: fn(&Server) -> String, change: Change) -> Parameter {
    Parameter { name, get, change }
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.into()
}

fn number<T>(text: &str, low: T, high: T) -> Result<T, String>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display + Copy,
{
    let Ok(number) = text.parse::<i64>() else {
        return Err("argument couldn't be parsed into an integer".into());
    };
    let number = T::try_from(number).ok().filter(|number| (low..=high).contains(number));
    number.ok_or_else(|| format!("argument must be between {low} and {high} inclusive"))
}

/// The parameters that every worker has to be told.
const APPEND_FSYNC: &str = "appendfsync";
const NOTIFY_EVENTS: &str = "notify-keyspace-events";

const RESTART: &str = "it is fixed at start; restart the server with another value";
const NO_SNAPSHOTS: &str = "there are no timed snapshots: every write is in the log";

/// Sorted by name.
const PARAMETERS: &[Parameter] = &[
    parameter(
        "acl-pubsub-default",
        |s| if s.acl.new_users_have_all_channels() { "allchannels" } else { "resetchannels" }.into(),
        Change::Free(|text| {
            let all = text.eq_ignore_ascii_case("allchannels");
            if !all && !text.eq_ignore_ascii_case("resetchannels") {
                return Err("argument(s) must be one of the following: allchannels, resetchannels".into());
            }
            Ok(Box::new(move |server| server.acl.set_new_users_have_all_channels(all)))
        }),
    ),
    parameter(
        "aclfile",
        |s| s.options.acl_file.as_ref().map_or_else(String::new, |path| path.display().to_string()),
        Change::Never,
    ),
    parameter(
        "acllog-max-len",
        |s| s.settings.acl_log_len_max().to_string(),
        Change::Free(|text| {
            let count = number(text, 0, u32::MAX)?;
            Ok(Box::new(move |server| server.settings.set_acl_log_len_max(count)))
        }),
    ),
    parameter(
        "admin",
        |s| s.options.admin.as_ref().map_or_else(String::new, ToString::to_string),
        Change::Never,
    ),
    parameter(
        APPEND_FSYNC,
        |s| s.settings.append_fsync().to_string(),
        Change::Free(|text| {
            let value = <AppendFsync as clap::ValueEnum>::from_str(text, true)
                .map_err(|_| "argument(s) must be one of the following: everysec, always, no".to_owned())?;
            Ok(Box::new(move |server| server.settings.set_append_fsync(value)))
        }),
    ),
    parameter("appendonly", |s| yes_no(s.options.wal), Change::OnlyAsIs(RESTART)),
    parameter("bind", bind_text, Change::OnlyAsIs(RESTART)),
    parameter("checkpoint-log-bytes", |s| s.options.checkpoint_log_bytes.to_string(), Change::Never),
    parameter("checkpoint-seconds", |s| s.options.checkpoint_seconds.to_string(), Change::Never),
    parameter(
        "client-output-buffer-limit",
        |s| format_output_limits(&s.settings.output_limits()),
        Change::Free(|text| {
            parse_output_limits(text, OutputLimits::default())?;
            let text = text.to_owned();
            Ok(Box::new(move |server| {
                let limits = parse_output_limits(&text, server.settings.output_limits());
                server.settings.set_output_limits(&limits.expect("it was read before"));
            }))
        }),
    ),
    parameter(
        "client-query-buffer-limit",
        |s| s.settings.query_bytes_max().to_string(),
        Change::Free(|text| {
            let bytes = parse_size(text).map_err(|_| "argument must be a memory value".to_owned())?;
            let (low, high) = (1 << 20, i64::MAX.unsigned_abs());
            if !(low..=high).contains(&bytes) {
                return Err(format!("argument must be between {low} and {high} inclusive"));
            }
            Ok(Box::new(move |server| server.settings.set_query_bytes_max(bytes)))
        }),
    ),
    parameter("cluster-enabled", |_| "no".into(), Change::Never),
    parameter("cpus", cpus_text, Change::Never),
    parameter("daemonize", |_| "no".into(), Change::Never),
    parameter("databases", |s| s.options.databases.to_string(), Change::Never),
    parameter(
        "dir",
        |s| s.options.dir.display().to_string(),
        Change::OnlyAsIs("the store cannot move while it runs"),
    ),
    parameter("enable-debug-command", |s| s.options.debug_command.to_string(), Change::Never),
    parameter(
        "latency-monitor-threshold",
        |s| s.settings.latency_threshold_ms().to_string(),
        Change::Free(|text| {
            let ms = number(text, 0, i64::MAX.unsigned_abs())?;
            Ok(Box::new(move |server| server.settings.set_latency_threshold_ms(ms)))
        }),
    ),
    parameter(
        "loglevel",
        |s| s.settings.log_level().to_string(),
        Change::Free(|text| {
            let level = <LogLevel as clap::ValueEnum>::from_str(text, true).map_err(|_| {
                "argument(s) must be one of the following: debug, verbose, notice, warning".to_owned()
            })?;
            Ok(Box::new(move |server| server.settings.set_log_level(level)))
        }),
    ),
    parameter(
        "maxclients",
        |s| s.settings.max_clients().to_string(),
        Change::Free(|text| {
            let count = number(text, 1, u32::MAX)?;
            Ok(Box::new(move |server| server.settings.set_max_clients(count)))
        }),
    ),
    parameter(
        "maxmemory",
        |s| s.settings.max_memory().to_string(),
        Change::Free(|text| {
            let bytes = parse_size(text).map_err(|_| "argument must be a memory value".to_owned())?;
            Ok(Box::new(move |server| server.settings.set_max_memory(bytes)))
        }),
    ),
    parameter(
        "maxmemory-policy",
        |s| s.settings.max_memory_policy().to_string(),
        Change::FreeInMemory(|text| {
            let policy = parse_policy(text).map_err(|_| {
                let names: Vec<&str> = EvictionPolicy::ALL.iter().map(|policy| policy.name()).collect();
                format!("argument(s) must be one of the following: {}", names.join(", "))
            })?;
            Ok(Box::new(move |server| server.settings.set_max_memory_policy(policy)))
        }),
    ),
    parameter(
        NOTIFY_EVENTS,
        |s| s.settings.notified_events().to_string(),
        Change::Free(|text| {
            let classes = EventClasses::parse(text)?;
            Ok(Box::new(move |server| server.settings.set_notified_events(classes)))
        }),
    ),
    parameter("port", |s| s.options.port.to_string(), Change::OnlyAsIs(RESTART)),
    parameter(
        "proto-max-bulk-len",
        |s| s.settings.bulk_bytes_max().to_string(),
        Change::Free(|text| {
            let bytes = parse_size(text).map_err(|_| "argument must be a memory value".to_owned())?;
            if !(1 << 20..=512 << 20).contains(&bytes) {
                return Err(format!("argument must be between {} and {} inclusive", 1 << 20, 512 << 20));
            }
            Ok(Box::new(move |server| server.settings.set_bulk_bytes_max(bytes)))
        }),
    ),
    parameter(
        "request-timeout",
        |s| s.settings.request_timeout_seconds().to_string(),
        Change::Free(|text| {
            let seconds = number(text, 1, u32::MAX)?;
            Ok(Box::new(move |server| server.settings.set_request_timeout_seconds(seconds)))
        }),
    ),
    parameter(
        "requirepass",
        |s| s.acl.required_password(),
        Change::Free(|text| {
            let password = text.to_owned();
            Ok(Box::new(move |server| server.acl.require_password(&password)))
        }),
    ),
    parameter("save", |_| String::new(), Change::OnlyAsIs(NO_SNAPSHOTS)),
    parameter("scrub-days", |s| format_days(s.options.scrub_ms), Change::Never),
    parameter("shards", |s| s.options.shards.to_string(), Change::Never),
    parameter(
        "shutdown-timeout",
        |s| s.settings.shutdown_timeout_seconds().to_string(),
        Change::Free(|text| {
            let seconds = number(text, 0, u32::MAX)?;
            Ok(Box::new(move |server| server.settings.set_shutdown_timeout_seconds(seconds)))
        }),
    ),
    parameter(
        "slowlog-log-slower-than",
        |s| s.settings.slow_log_us().to_string(),
        Change::Free(|text| {
            let us = number(text, -1, i64::MAX)?;
            Ok(Box::new(move |server| server.settings.set_slow_log_us(us)))
        }),
    ),
    parameter(
        "slowlog-max-len",
        |s| s.settings.slow_log_len_max().to_string(),
        Change::Free(|text| {
            let count = number(text, 0, i64::MAX.unsigned_abs())?;
            Ok(Box::new(move |server| server.settings.set_slow_log_len_max(count)))
        }),
    ),
    parameter("storage", |s| s.options.storage.to_string(), Change::Never),
    parameter("tcp-backlog", |s| s.options.tcp_backlog.to_string(), Change::Never),
    parameter(
        "tcp-keepalive",
        |s| s.settings.tcp_keepalive_seconds().to_string(),
        Change::Free(|text| {
            let seconds = number(text, 0, i32::MAX.unsigned_abs())?;
            Ok(Box::new(move |server| server.settings.set_tcp_keepalive_seconds(seconds)))
        }),
    ),
    parameter(
        "timeout",
        |s| s.settings.timeout_seconds().to_string(),
        Change::Free(|text| {
            let seconds = number(text, 0, i32::MAX.unsigned_abs())?;
            Ok(Box::new(move |server| server.settings.set_timeout_seconds(seconds)))
        }),
    ),
    parameter("tls-auth-clients", tls::auth_clients, Change::Free(tls::set_auth_clients)),
    parameter("tls-ca-cert-file", tls::ca_cert_file, Change::Free(tls::set_ca_cert_file)),
    parameter("tls-cert-file", tls::cert_file, Change::Free(tls::set_cert_file)),
    parameter("tls-key-file", tls::key_file, Change::Free(tls::set_key_file)),
    parameter("tls-port", |s| s.options.tls_port.to_string(), Change::OnlyAsIs(RESTART)),
    parameter(
        "tracking-table-max-keys",
        |s| s.settings.tracking_keys_max().to_string(),
        Change::Free(|text| {
            let count = number(text, 0, i64::MAX.unsigned_abs())?;
            Ok(Box::new(move |server| server.settings.set_tracking_keys_max(count)))
        }),
    ),
    parameter(
        "unixsocket",
        |s| s.options.unix_socket.as_ref().map_or_else(String::new, |path| path.display().to_string()),
        Change::Never,
    ),
    parameter("unixsocketperm", |s| format!("{:o}", s.options.unix_socket_mode), Change::Never),
    parameter("wal", |s| yes_no(s.options.wal && s.options.storage == Storage::Disk), Change::Never),
    parameter("wal-segment-bytes", |s| s.options.wal_segment_bytes.to_string(), Change::Never),
    parameter("wal-sync", |s| s.options.wal_sync.to_string(), Change::Never),
    parameter("workers", |s| s.options.workers.to_string(), Change::Never),
];

fn bind_text(server: &Server) -> String {
    let one = |bind: &crate::options::BindAddress| bind.to_string();
    server.options.bind.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn cpus_text(server: &Server) -> String {
    server.options.cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// CONFIG GET pattern [pattern ...]
pub(super) fn get(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let patterns = args.tail(2);
    let wanted = |parameter: &&Parameter| {
        let name = parameter.name.as_bytes();
        patterns.iter().any(|pattern| glob::matches_ignoring_case(pattern, name))
    };
    let found: Vec<&Parameter> = PARAMETERS.iter().filter(wanted).collect();
    ctx.reply.map(found.len());
    for parameter in found {
        ctx.reply.bulk(parameter.name.as_bytes());
        ctx.reply.bulk((parameter.get)(ctx.server).as_bytes());
    }
}

/// CONFIG SET name value [name value ...]: all of them, or none. True: the workers have to be told, and their
/// replies are the answer.
pub(super) fn set(ctx: &mut ConnectionContext<'_>, args: Args<'_>) -> bool {
    if args.len() % 2 == 1 {
        ctx.reply.error(error_text::SYNTAX);
        return false;
    }
    let (mut setters, mut tls_setters, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for at in (2..args.len()).step_by(2) {
        let (name, value) = (args.at(at), args.at(at + 1));
        let found = PARAMETERS.iter().find(|parameter| parameter.name.as_bytes().eq_ignore_ascii_case(name));
        let Some(parameter) = found else {
            let unknown = b"ERR Unknown option or number of arguments for CONFIG SET - '";
            ctx.reply.error_parts(&[unknown, error_text::until_nul(name), b"'"]);
            return false;
        };
        if seen.contains(&parameter.name) {
            refuse(&mut ctx.reply, parameter.name, "duplicate parameter");
            return false;
        }
        seen.push(parameter.name);
        let Ok(value) = std::str::from_utf8(value) else {
            refuse(&mut ctx.reply, parameter.name, "argument must be UTF-8");
            return false;
        };
        match check(parameter, ctx.server, value) {
            Ok(setter) if tls::is_of_tls(parameter.name) => tls_setters.extend(setter),
            Ok(setter) => setters.extend(setter),
            Err(why) => {
                refuse(&mut ctx.reply, parameter.name, &why);
                return false;
            }
        }
    }
    if !tls_setters.is_empty()
        && let Err(error) = tls::change(ctx.server, tls_setters)
    {
        let name = seen.iter().find(|name| tls::is_of_tls(name)).copied().unwrap_or_default();
        refuse(&mut ctx.reply, name, &error.to_string());
        return false;
    }
    for setter in setters {
        setter(ctx.server);
    }
    let all_workers = seen.contains(&APPEND_FSYNC) || seen.contains(&NOTIFY_EVENTS);
    if !all_workers {
        ctx.reply.ok();
    }
    all_workers
}

/// What a worker does about a CONFIG SET: its log takes the policy that is set now, and its shards tell of the keys that are
/// to be told of now, so that all workers end with the same however several changes meet.
pub(super) fn apply(ctx: &mut KeyContext<'_>, _: Args<'_>) {
    ctx.store.set_policy(policy(ctx.settings.append_fsync()));
    super::context::watch_departures(ctx.store, ctx.settings);
    ctx.reply.ok();
}

/// What sets a parameter to a value; nothing where it has it anyway.
fn check(parameter: &Parameter, server: &Server, value: &str) -> Result<Option<Setter>, String> {
    match parameter.change {
        Change::Free(check) => check(value).map(Some),
        Change::FreeInMemory(check) if server.options.storage == Storage::Memory => check(value).map(Some),
        Change::FreeInMemory(_) if value.eq_ignore_ascii_case(&(parameter.get)(server)) => Ok(None),
        Change::FreeInMemory(_) => Err("only a store in memory has a limit that it evicts keys for".into()),
        Change::OnlyAsIs(_) if value.eq_ignore_ascii_case(&(parameter.get)(server)) => Ok(None),
        Change::OnlyAsIs(why) => Err(why.into()),
        Change::Never => Err("can't set immutable config".into()),
    }
}

fn refuse(reply: &mut ReplyWriter<'_>, name: &str, why: &str) {
    let start: &[u8] = b"ERR CONFIG SET failed (possibly related to argument '";
    reply.error_parts(&[start, name.as_bytes(), b"') - ", why.as_bytes()]);
}

/// CONFIG RESETSTAT, on each worker
pub(super) fn resetstat(ctx: &mut KeyContext<'_>, _: Args<'_>) {
    ctx.counters.reset();
    ctx.reply.ok();
}

/// CONFIG REWRITE: the file of options says what is set now. It is on the drive when the answer comes; until then this
/// worker does nothing else, as Redis does nothing else.
pub(super) fn rewrite(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let Some(file) = &ctx.server.options.config_file else {
        return ctx.reply.error("ERR The server is running without a config file");
    };
    let _one_at_a_time = ctx.server.rewriting.lock().unwrap_or_else(PoisonError::into_inner);
    let written =
        std::fs::read_to_string(file).and_then(|text| replace(file, &rewritten_text(ctx.server, &text)?));
    match written {
        Ok(()) => {
            tracing::info!(file = %file.display(), "the file of options says what is set now");
            ctx.reply.ok();
        }
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "the file of options could not be rewritten");
            ctx.reply.error_parts(&[b"ERR Rewriting config file: ", error.to_string().as_bytes()]);
        }
    }
}

/// The file's text with the values of all parameters that CONFIG SET changes. A value that the file states in other words,
/// and one that is the default and not in the file, stays as it is.
fn rewritten_text(server: &Server, text: &str) -> std::io::Result<String> {
    // What a value of the file means is asked of a server that has nothing but defaults.
    let machine = Machine { allowed_cpus: vec![0] };
    let defaults = parse(std::iter::once("ourod".into()), &machine).map_err(std::io::Error::other)?;
    let (other, _requests) = Server::new(defaults, [0; 20], UnixMs(0));
    let line = command_line();
    let options: Vec<&str> = line.get_arguments().filter_map(|arg| arg.get_long()).collect();
    let settable: Vec<(&Parameter, Check)> = PARAMETERS
        .iter()
        .filter(|parameter| options.contains(&parameter.name))
        .filter_map(|parameter| match parameter.change {
            Change::Free(check) => Some((parameter, check)),
            Change::FreeInMemory(check) if server.options.storage == Storage::Memory => {
                Some((parameter, check))
            }
            _ => None,
        })
        .collect();
    let added: Vec<(&str, String)> = settable
        .iter()
        .map(|(parameter, _)| (parameter.name, (parameter.get)(server), (parameter.get)(&other)))
        .filter(|(_, now, default)| now != default)
        .map(|(name, now, _)| (name, now))
        .collect();
    let value_of = |name: &str, old: &str| {
        let (parameter, check) = settable.iter().find(|(parameter, _)| parameter.name == name)?;
        let now = (parameter.get)(server);
        if let Ok(setter) = check(old) {
            setter(&other);
            if (parameter.get)(&other) == now {
                return None;
            }
        }
        Some(now)
    };
    Ok(rewritten(text, value_of, &added))
}

const HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file with the current configuration.",
    "HELP",
    "    Print this help.",
];

/// CONFIG HELP
pub(super) fn help(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    super::help::write(&mut ctx.reply, HELP);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_sorted_and_named_once() {
        assert!(PARAMETERS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn every_option_is_a_parameter() {
        for arg in command_line().get_arguments() {
            let name = arg.get_long().unwrap_or_default();
            let known = PARAMETERS.iter().any(|parameter| parameter.name == name);
            assert!(known || ["config", "help", "version"].contains(&name), "{name}");
        }
    }
}
