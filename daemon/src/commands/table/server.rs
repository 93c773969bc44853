//! Commands on the server as a whole.

use shard::shard_set::TaskKind;

use super::super::command::{Command, Execution, Merge};
use super::super::docs::{generic, server as server_docs};
use super::super::{
    compact, config, connection, describe, flushes, info, keyspace, save, scrub, shutdown, swapdb, wait, wal,
};
use super::words::{
    ADMIN, ALL_NODES_OK, ALL_SHARDS_MIN, ALL_SHARDS_OK, ANY_KEY, ANY_KEY_DANGEROUS, ANYTIME, ANYTIME_FAST, C,
    F, NO, READ_FAST, STOP, VARYING, VARYING_ORDER, WRITE, WRITE_FAST, command,
};
use Execution::{AwaitSave, Configure, Connection, Container, Everywhere, Storage, SwapDatabases};

pub(super) const SERVER: [Command; 33] = [
    command("time", 1, ANYTIME_FAST, C::NONE, Connection(connection::time), &server_docs::TIME).tips(VARYING),
    command(
        "dbsize",
        1,
        READ_FAST,
        ANY_KEY,
        Everywhere { handler: keyspace::dbsize, merge: Merge::Sum },
        &server_docs::DBSIZE,
    )
    .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    command(
        "flushdb",
        -1,
        WRITE,
        ANY_KEY_DANGEROUS,
        Everywhere { handler: keyspace::flushdb, merge: Merge::AllOk },
        &server_docs::FLUSHDB,
    )
    .tips(ALL_SHARDS_OK),
    command(
        "flushall",
        -1,
        WRITE,
        ANY_KEY_DANGEROUS,
        Everywhere { handler: keyspace::flushall, merge: Merge::AllOk },
        &server_docs::FLUSHALL,
    )
    .tips(ALL_SHARDS_OK),
    command(
        "bgrewriteaof",
        1,
        F::ADMIN.and(F::NOSCRIPT).and(F::NO_ASYNC_LOADING),
        C::NONE,
        Connection(compact::bgrewriteaof),
        &server_docs::BGREWRITEAOF,
    ),
    command(
        "ouro.compact",
        -1,
        F::ADMIN.and(F::NOSCRIPT),
        C::NONE,
        Connection(compact::compact),
        &server_docs::OURO_COMPACT,
    ),
    command(
        "ouro.scrub",
        -1,
        F::ADMIN.and(F::NOSCRIPT),
        C::NONE,
        Connection(scrub::scrub),
        &server_docs::OURO_SCRUB,
    ),
    command(
        "save",
        1,
        F::ADMIN.and(F::NOSCRIPT).and(F::NO_ASYNC_LOADING).and(F::NO_MULTI),
        C::NONE,
        AwaitSave(save::save),
        &server_docs::SAVE,
    ),
    command(
        "bgsave",
        -1,
        F::ADMIN.and(F::NOSCRIPT).and(F::NO_ASYNC_LOADING),
        C::NONE,
        Connection(save::bgsave),
        &server_docs::BGSAVE,
    ),
    command(
        "lastsave",
        1,
        ANYTIME_FAST,
        C::ADMIN.and(C::DANGEROUS),
        Connection(save::lastsave),
        &server_docs::LASTSAVE,
    )
    .tips(VARYING),
    command("ouro.wal", -2, NO, C::NONE, Container, &server_docs::OURO_WAL),
    command(
        "ouro.wal|clear",
        2,
        F::ADMIN.and(F::NOSCRIPT),
        C::NONE,
        Storage {
            check: wal::check_log,
            task: TaskKind::ClearLog,
            merge: Merge::AllOk,
            patience: wal::patience_ms,
        },
        &server_docs::OURO_WAL_CLEAR,
    )
    .tips(ALL_SHARDS_OK),
    command("ouro.wal|help", 2, ANYTIME, C::NONE, Connection(wal::help), &server_docs::OURO_WAL_HELP),
    command(
        "ouro.wal|rotate",
        2,
        F::ADMIN.and(F::NOSCRIPT),
        C::NONE,
        Storage {
            check: wal::check_log,
            task: TaskKind::RotateLog,
            merge: Merge::AllOk,
            patience: wal::patience_ms,
        },
        &server_docs::OURO_WAL_ROTATE,
    )
    .tips(ALL_SHARDS_OK),
    command(
        "ouro.wal|size",
        2,
        F::ADMIN.and(F::NOSCRIPT),
        C::NONE,
        Everywhere { handler: wal::size, merge: Merge::Sum },
        &server_docs::OURO_WAL_SIZE,
    )
    .tips(VARYING),
    command(
        "ouro.wal|status",
        2,
        F::ADMIN.and(F::NOSCRIPT),
        C::NONE,
        Everywhere { handler: wal::status, merge: Merge::Concatenate },
        &server_docs::OURO_WAL_STATUS,
    )
    .tips(VARYING),
    command(
        "ouro.diskusage",
        -1,
        F::ADMIN.and(F::NOSCRIPT),
        C::NONE,
        Everywhere { handler: wal::disk_usage, merge: Merge::Concatenate },
        &server_docs::OURO_DISKUSAGE,
    )
    .tips(VARYING),
    command("shutdown", -1, STOP, C::NONE, Connection(shutdown::shutdown), &server_docs::SHUTDOWN),
    command("info", -1, ANYTIME, C::DANGEROUS, Connection(info::info), &server_docs::INFO).tips(&[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ]),
    command("command", -1, ANYTIME, C::CONNECTION, Connection(describe::all), &server_docs::COMMAND)
        .tips(VARYING_ORDER),
    command(
        "command|count",
        2,
        ANYTIME,
        C::CONNECTION,
        Connection(describe::count),
        &server_docs::COMMAND_COUNT,
    ),
    command(
        "command|docs",
        -2,
        ANYTIME,
        C::CONNECTION,
        Connection(describe::docs),
        &server_docs::COMMAND_DOCS,
    )
    .tips(VARYING_ORDER),
    command(
        "command|getkeys",
        -3,
        ANYTIME,
        C::CONNECTION,
        Connection(describe::getkeys),
        &server_docs::COMMAND_GETKEYS,
    ),
    command(
        "command|getkeysandflags",
        -3,
        ANYTIME,
        C::CONNECTION,
        Connection(describe::getkeysandflags),
        &server_docs::COMMAND_GETKEYSANDFLAGS,
    ),
    command(
        "command|help",
        2,
        ANYTIME,
        C::CONNECTION,
        Connection(describe::help),
        &server_docs::COMMAND_HELP,
    ),
    command(
        "command|info",
        -2,
        ANYTIME,
        C::CONNECTION,
        Connection(describe::info),
        &server_docs::COMMAND_INFO,
    )
    .tips(VARYING_ORDER),
    command(
        "command|list",
        -2,
        ANYTIME,
        C::CONNECTION,
        Connection(describe::list),
        &server_docs::COMMAND_LIST,
    )
    .tips(VARYING_ORDER),
    command("config", -2, NO, C::NONE, Container, &server_docs::CONFIG),
    command("config|get", -3, ADMIN, C::NONE, Connection(config::get), &server_docs::CONFIG_GET),
    command("config|help", 2, ANYTIME, C::NONE, Connection(config::help), &server_docs::CONFIG_HELP),
    command(
        "config|resetstat",
        2,
        ADMIN,
        C::NONE,
        Everywhere { handler: config::resetstat, merge: Merge::AllOk },
        &server_docs::CONFIG_RESETSTAT,
    ),
    command("config|rewrite", 2, ADMIN, C::NONE, Connection(config::rewrite), &server_docs::CONFIG_REWRITE),
    command(
        "config|set",
        -4,
        ADMIN,
        C::NONE,
        Configure { check: config::set, apply: config::apply },
        &server_docs::CONFIG_SET,
    )
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

pub(super) const WHOLE_SERVER: [Command; 8] = [
    command("swapdb", 3, WRITE_FAST, ANY_KEY_DANGEROUS, SwapDatabases(swapdb::swapdb), &server_docs::SWAPDB),
    command("wait", 3, F::NOSCRIPT, C::CONNECTION, Connection(wait::wait), &generic::WAIT)
        .tips(ALL_SHARDS_MIN),
    command(
        "waitaof",
        4,
        F::NOSCRIPT.and(F::BLOCKING),
        C::CONNECTION,
        Storage {
            check: wait::waitaof,
            task: TaskKind::FlushLog,
            merge: Merge::OneCopy,
            patience: wait::patience_ms,
        },
        &generic::WAITAOF,
    )
    .tips(ALL_SHARDS_MIN),
    command("lolwut", -1, READ_FAST, C::NONE, Connection(flushes::lolwut), &server_docs::LOLWUT),
    command("script", -2, NO, C::NONE, Container, &server_docs::SCRIPT),
    command(
        "script|flush",
        -2,
        F::NOSCRIPT,
        C::SCRIPTING,
        Connection(flushes::script_flush),
        &server_docs::SCRIPT_FLUSH,
    )
    .tips(ALL_NODES_OK),
    command("function", -2, NO, C::NONE, Container, &server_docs::FUNCTION),
    command(
        "function|flush",
        -2,
        F::NOSCRIPT.and(F::WRITE),
        C::SCRIPTING,
        Connection(flushes::function_flush),
        &server_docs::FUNCTION_FLUSH,
    )
    .tips(ALL_SHARDS_OK),
];
