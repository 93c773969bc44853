//! All commands, in one table. A subcommand stands right after its container.

use shard::shard_set::TaskKind;

use super::command::{Command, CommandId, Execution, KeySpec, Merge};
use super::doc::Doc;
use super::docs::{
    acl as acl_docs, bitmap, connection as connection_docs, generic, server as server_docs,
    string as string_docs,
};
use super::flags::{Categories, Flags};
use super::{
    acl, bitfield, bitop, bits, client, compact, config, connection, describe, dump, expire, flushes, info,
    keyspace, lcs, memory, multi, number, object, rename, save, scan, set, shutdown, string, swapdb,
    together, wait, wal,
};

type F = Flags;
type C = Categories;
use Execution::{
    AwaitSave, Configure, Connection, Container, Everywhere, Key, Keys, SameShard, Scan, Sessions, Storage,
    Together, Walk,
};

const NO: F = F::NONE;
const READ: F = F::READONLY;
const READ_FAST: F = F::READONLY.and(F::FAST);
const WRITE: F = F::WRITE;
const WRITE_FAST: F = F::WRITE.and(F::FAST);
const GROW: F = F::WRITE.and(F::DENYOOM);
const GROW_FAST: F = GROW.and(F::FAST);
const ANYTIME: F = F::LOADING.and(F::STALE);
const ANYTIME_FAST: F = ANYTIME.and(F::FAST);
const PERSONAL: F = F::NOSCRIPT.and(ANYTIME);
const FIRST_THING: F = PERSONAL.and(F::FAST).and(F::NO_AUTH).and(F::ALLOW_BUSY);
const ADMIN: F = F::ADMIN.and(PERSONAL);
const STOP: F = ADMIN.and(F::NO_MULTI).and(F::ALLOW_BUSY);

const ANY_KEY: C = C::KEYSPACE;
const ANY_KEY_DANGEROUS: C = C::KEYSPACE.and(C::DANGEROUS);

const RO: &[&str] = &["RO"];
const RO_ACCESS: &[&str] = &["RO", "access"];
const RW_UPDATE: &[&str] = &["RW", "update"];
const RW_INSERT: &[&str] = &["RW", "insert"];
const RW_ACCESS_UPDATE: &[&str] = &["RW", "access", "update"];
const RW_ACCESS_DELETE: &[&str] = &["RW", "access", "delete"];
const OW_UPDATE: &[&str] = &["OW", "update"];
const OW_INSERT: &[&str] = &["OW", "insert"];
const RM: &[&str] = &["RM", "delete"];
const VARIABLE: &[&str] = &["RW", "access", "update", "variable_flags"];

const VARYING: &[&str] = &["nondeterministic_output"];
const VARYING_ORDER: &[&str] = &["nondeterministic_output_order"];
const EACH_SHARD_SUM: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const EACH_SHARD_OK: &[&str] = &["request_policy:multi_shard", "response_policy:all_succeeded"];
const ALL_SHARDS_OK: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const fn command(
    name: &'static str,
    arity: i16,
    flags: F,
    categories: C,
    execution: Execution,
    doc: &'static Doc,
) -> Command {
    Command {
        name,
        arity,
        flags,
        keys: None,
        channels: None,
        more_keys: None,
        categories: categories.implied_by(flags),
        tips: &[],
        execution,
        doc,
        id: CommandId(0),
        subcommands: (0, 0),
    }
}

impl Command {
    const fn key(mut self, uses: &'static [&'static str]) -> Self {
        self.keys = Some(KeySpec::one(uses));
        self
    }

    const fn keys(mut self, step: usize, uses: &'static [&'static str]) -> Self {
        self.keys = Some(KeySpec::all(step, uses));
        self
    }

    const fn keys_at(mut self, first: usize, count: usize, uses: &'static [&'static str]) -> Self {
        self.keys = Some(KeySpec::at(first, count, uses));
        self
    }

    const fn and_key(mut self, at: usize, uses: &'static [&'static str]) -> Self {
        self.more_keys = Some(KeySpec::at(at, 1, uses));
        self
    }

    const fn and_keys_from(mut self, first: usize, uses: &'static [&'static str]) -> Self {
        let mut keys = KeySpec::all(1, uses);
        keys.first = first;
        self.more_keys = Some(keys);
        self
    }

    const fn notes(mut self, notes: &'static str) -> Self {
        if let Some(keys) = &mut self.keys {
            keys.notes = Some(notes);
        }
        self
    }

    const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }
}

const STRINGS: [Command; 21] = [
    command("get", 2, READ_FAST, C::STRING, Key(string::get), &string_docs::GET).key(RO_ACCESS),
    command("set", -3, GROW, C::STRING, Key(set::set), &string_docs::SET)
        .key(VARIABLE)
        .notes("RW and ACCESS due to the optional `GET` argument"),
    command("setnx", 3, GROW_FAST, C::STRING, Key(set::setnx), &string_docs::SETNX).key(OW_INSERT),
    command("setex", 4, GROW, C::STRING, Key(set::setex), &string_docs::SETEX).key(OW_UPDATE),
    command("psetex", 4, GROW, C::STRING, Key(set::psetex), &string_docs::PSETEX).key(OW_UPDATE),
    command("getset", 3, GROW_FAST, C::STRING, Key(set::getset), &string_docs::GETSET).key(RW_ACCESS_UPDATE),
    command("getdel", 2, WRITE_FAST, C::STRING, Key(set::getdel), &string_docs::GETDEL).key(RW_ACCESS_DELETE),
    command("getex", -2, WRITE_FAST, C::STRING, Key(set::getex), &string_docs::GETEX)
        .key(RW_ACCESS_UPDATE)
        .notes("RW and UPDATE because it changes the TTL"),
    command(
        "mget",
        -2,
        READ_FAST,
        C::STRING,
        Keys { handler: multi::mget, merge: Merge::Interleave },
        &string_docs::MGET,
    )
    .keys(1, RO_ACCESS)
    .tips(&["request_policy:multi_shard"]),
    command(
        "mset",
        -3,
        GROW,
        C::STRING,
        Keys { handler: multi::mset, merge: Merge::AllOk },
        &string_docs::MSET,
    )
    .keys(2, OW_UPDATE)
    .tips(EACH_SHARD_OK),
    command("msetnx", -3, GROW, C::STRING, SameShard(multi::msetnx), &string_docs::MSETNX)
        .keys(2, OW_INSERT)
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"]),
    command("append", 3, GROW_FAST, C::STRING, Key(string::append), &string_docs::APPEND).key(RW_INSERT),
    command("strlen", 2, READ_FAST, C::STRING, Key(string::strlen), &string_docs::STRLEN).key(RO),
    command("getrange", 4, READ, C::STRING, Key(string::getrange), &string_docs::GETRANGE).key(RO_ACCESS),
    command("substr", 4, READ, C::STRING, Key(string::getrange), &string_docs::SUBSTR).key(RO_ACCESS),
    command("setrange", 4, GROW, C::STRING, Key(string::setrange), &string_docs::SETRANGE).key(RW_UPDATE),
    command("incr", 2, GROW_FAST, C::STRING, Key(number::incr), &string_docs::INCR).key(RW_ACCESS_UPDATE),
    command("decr", 2, GROW_FAST, C::STRING, Key(number::decr), &string_docs::DECR).key(RW_ACCESS_UPDATE),
    command("incrby", 3, GROW_FAST, C::STRING, Key(number::incrby), &string_docs::INCRBY)
        .key(RW_ACCESS_UPDATE),
    command("decrby", 3, GROW_FAST, C::STRING, Key(number::decrby), &string_docs::DECRBY)
        .key(RW_ACCESS_UPDATE),
    command("incrbyfloat", 3, GROW_FAST, C::STRING, Key(number::incrbyfloat), &string_docs::INCRBYFLOAT)
        .key(RW_ACCESS_UPDATE),
];

const BITS: [Command; 7] = [
    command("getbit", 3, READ_FAST, C::BITMAP, Key(bits::getbit), &bitmap::GETBIT).key(RO_ACCESS),
    command("setbit", 4, GROW, C::BITMAP, Key(bits::setbit), &bitmap::SETBIT).key(RW_ACCESS_UPDATE),
    command("bitcount", -2, READ, C::BITMAP, Key(bits::bitcount), &bitmap::BITCOUNT).key(RO_ACCESS),
    command("bitpos", -3, READ, C::BITMAP, Key(bits::bitpos), &bitmap::BITPOS).key(RO_ACCESS),
    command("bitfield", -2, GROW, C::BITMAP, Key(bitfield::bitfield), &bitmap::BITFIELD)
        .key(VARIABLE)
        .notes("This command allows both access and modification of the key"),
    command("bitfield_ro", -2, READ_FAST, C::BITMAP, Key(bitfield::bitfield_ro), &bitmap::BITFIELD_RO)
        .key(RO_ACCESS),
    command("bitop", -4, GROW, C::BITMAP, Together(together::handlers::<bitop::BitOp>()), &bitmap::BITOP)
        .keys_at(2, 1, OW_UPDATE)
        .and_keys_from(3, RO_ACCESS),
];

const NAMES: [Command; 4] = [
    command("rename", 3, WRITE, ANY_KEY, Together(together::handlers::<rename::Rename>()), &generic::RENAME)
        .key(RW_ACCESS_DELETE)
        .and_key(2, OW_UPDATE),
    command(
        "renamenx",
        3,
        WRITE_FAST,
        ANY_KEY,
        Together(together::handlers::<rename::RenameIfMissing>()),
        &generic::RENAMENX,
    )
    .key(RW_ACCESS_DELETE)
    .and_key(2, OW_INSERT),
    command("copy", -3, GROW, ANY_KEY, Together(together::handlers::<rename::Copy>()), &generic::COPY)
        .key(RO_ACCESS)
        .and_key(2, OW_UPDATE),
    command("move", 3, WRITE_FAST, ANY_KEY, Together(together::handlers::<rename::Move>()), &generic::MOVE)
        .key(RW_ACCESS_UPDATE),
];

const INSIGHT: [Command; 13] = [
    command("object", -2, NO, C::NONE, Container, &generic::OBJECT),
    command("object|encoding", 3, READ, ANY_KEY, SameShard(object::encoding), &generic::OBJECT_ENCODING)
        .keys_at(2, 1, RO)
        .tips(VARYING),
    command("object|freq", 3, READ, ANY_KEY, SameShard(object::freq), &generic::OBJECT_FREQ)
        .keys_at(2, 1, RO)
        .tips(VARYING),
    command("object|help", 2, ANYTIME, ANY_KEY, Connection(object::help), &generic::OBJECT_HELP),
    command("object|idletime", 3, READ, ANY_KEY, SameShard(object::idletime), &generic::OBJECT_IDLETIME)
        .keys_at(2, 1, RO)
        .tips(VARYING),
    command("object|refcount", 3, READ, ANY_KEY, SameShard(object::refcount), &generic::OBJECT_REFCOUNT)
        .keys_at(2, 1, RO)
        .tips(VARYING),
    command("memory", -2, NO, C::NONE, Container, &server_docs::MEMORY),
    command("memory|doctor", 2, NO, C::NONE, Connection(memory::doctor), &server_docs::MEMORY_DOCTOR)
        .tips(EACH_NODE_SPECIAL),
    command("memory|help", 2, ANYTIME, C::NONE, Connection(memory::help), &server_docs::MEMORY_HELP),
    command(
        "memory|malloc-stats",
        2,
        NO,
        C::NONE,
        Connection(memory::malloc_stats),
        &server_docs::MEMORY_MALLOC_STATS,
    )
    .tips(EACH_NODE_SPECIAL),
    command("memory|purge", 2, NO, C::NONE, Connection(memory::purge), &server_docs::MEMORY_PURGE)
        .tips(ALL_SHARDS_OK),
    command("memory|stats", 2, NO, C::NONE, Connection(memory::stats), &server_docs::MEMORY_STATS)
        .tips(EACH_NODE_SPECIAL),
    command("memory|usage", -3, READ, C::NONE, SameShard(object::memory_usage), &server_docs::MEMORY_USAGE)
        .keys_at(2, 1, RO),
];

const EACH_NODE_SPECIAL: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

const DUMPS: [Command; 2] = [
    command("dump", 2, READ, ANY_KEY, Key(dump::dump), &generic::DUMP).key(RO_ACCESS).tips(VARYING),
    command("restore", -4, GROW, ANY_KEY_DANGEROUS, Key(dump::restore), &generic::RESTORE).key(OW_UPDATE),
];

const ALL_NODES_OK: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const ALL_SHARDS_MIN: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

const WHOLE_SERVER: [Command; 8] = [
    command("swapdb", 3, WRITE_FAST, ANY_KEY_DANGEROUS, Connection(swapdb::swapdb), &server_docs::SWAPDB),
    command("wait", 3, F::NOSCRIPT, C::CONNECTION, Connection(wait::wait), &generic::WAIT)
        .tips(ALL_SHARDS_MIN),
    command(
        "waitaof",
        4,
        F::NOSCRIPT.and(F::BLOCKING),
        C::CONNECTION,
        Everywhere { handler: wait::waitaof, merge: Merge::LeastLocal },
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

const COMPARISONS: [Command; 1] =
    [command("lcs", -3, READ, C::STRING, Together(together::handlers::<lcs::Lcs>()), &string_docs::LCS)
        .keys_at(1, 2, RO_ACCESS)];

const fn of_keys(handler: super::command::KeyHandler) -> Execution {
    Keys { handler, merge: Merge::Sum }
}

const GENERIC: [Command; 17] = [
    command("del", -2, WRITE, ANY_KEY, of_keys(keyspace::del), &generic::DEL)
        .keys(1, RM)
        .tips(EACH_SHARD_SUM),
    command("unlink", -2, WRITE_FAST, ANY_KEY, of_keys(keyspace::del), &generic::UNLINK)
        .keys(1, RM)
        .tips(EACH_SHARD_SUM),
    command("exists", -2, READ_FAST, ANY_KEY, of_keys(keyspace::exists), &generic::EXISTS)
        .keys(1, RO)
        .tips(EACH_SHARD_SUM),
    command("touch", -2, READ_FAST, ANY_KEY, of_keys(keyspace::exists), &generic::TOUCH)
        .keys(1, RO)
        .tips(EACH_SHARD_SUM),
    command("type", 2, READ_FAST, ANY_KEY, Key(keyspace::type_of), &generic::TYPE).key(RO),
    command("expire", -3, WRITE_FAST, ANY_KEY, Key(expire::expire), &generic::EXPIRE).key(RW_UPDATE),
    command("pexpire", -3, WRITE_FAST, ANY_KEY, Key(expire::pexpire), &generic::PEXPIRE).key(RW_UPDATE),
    command("expireat", -3, WRITE_FAST, ANY_KEY, Key(expire::expireat), &generic::EXPIREAT).key(RW_UPDATE),
    command("pexpireat", -3, WRITE_FAST, ANY_KEY, Key(expire::pexpireat), &generic::PEXPIREAT).key(RW_UPDATE),
    command("expiretime", 2, READ_FAST, ANY_KEY, Key(expire::expiretime), &generic::EXPIRETIME)
        .key(RO_ACCESS),
    command("pexpiretime", 2, READ_FAST, ANY_KEY, Key(expire::pexpiretime), &generic::PEXPIRETIME)
        .key(RO_ACCESS),
    command("ttl", 2, READ_FAST, ANY_KEY, Key(expire::ttl), &generic::TTL).key(RO_ACCESS).tips(VARYING),
    command("pttl", 2, READ_FAST, ANY_KEY, Key(expire::pttl), &generic::PTTL).key(RO_ACCESS).tips(VARYING),
    command("persist", 2, WRITE_FAST, ANY_KEY, Key(expire::persist), &generic::PERSIST).key(RW_UPDATE),
    command("scan", -2, READ, ANY_KEY, Scan(scan::scan), &generic::SCAN)
        .tips(&["nondeterministic_output", "request_policy:special"]),
    command("keys", 2, READ, ANY_KEY_DANGEROUS, Walk(scan::keys), &generic::KEYS_)
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    command(
        "randomkey",
        1,
        READ,
        ANY_KEY,
        Everywhere { handler: keyspace::randomkey, merge: Merge::WeightedPick },
        &generic::RANDOMKEY,
    )
    .tips(&["request_policy:all_shards", "nondeterministic_output"]),
];

const CONNECTIONS: [Command; 15] = [
    command("ping", -1, F::FAST, C::CONNECTION, Connection(connection::ping), &connection_docs::PING)
        .tips(ALL_SHARDS_OK),
    command("echo", 2, ANYTIME_FAST, C::CONNECTION, Connection(connection::echo), &connection_docs::ECHO),
    command("quit", -1, FIRST_THING, C::CONNECTION, Connection(connection::quit), &connection_docs::QUIT),
    command("hello", -1, FIRST_THING, C::CONNECTION, Connection(connection::hello), &connection_docs::HELLO),
    command("auth", -2, FIRST_THING, C::CONNECTION, Connection(connection::auth), &connection_docs::AUTH),
    command(
        "select",
        2,
        ANYTIME_FAST,
        C::CONNECTION,
        Connection(connection::select),
        &connection_docs::SELECT,
    ),
    command("reset", 1, FIRST_THING, C::CONNECTION, Connection(connection::reset), &connection_docs::RESET),
    command("client", -2, NO, C::NONE, Container, &connection_docs::CLIENT),
    command(
        "client|getname",
        2,
        PERSONAL,
        C::CONNECTION,
        Connection(client::getname),
        &connection_docs::CLIENT_GETNAME,
    ),
    command(
        "client|help",
        2,
        ANYTIME,
        C::CONNECTION,
        Connection(client::help),
        &connection_docs::CLIENT_HELP,
    ),
    command("client|id", 2, PERSONAL, C::CONNECTION, Connection(client::id), &connection_docs::CLIENT_ID),
    command(
        "client|info",
        2,
        PERSONAL,
        C::CONNECTION,
        Connection(client::info),
        &connection_docs::CLIENT_INFO,
    )
    .tips(VARYING),
    command(
        "client|list",
        -2,
        ADMIN,
        C::CONNECTION,
        Sessions { check: client::check_list, list: client::list },
        &connection_docs::CLIENT_LIST,
    )
    .tips(VARYING),
    command(
        "client|setinfo",
        4,
        PERSONAL,
        C::CONNECTION,
        Connection(client::setinfo),
        &connection_docs::CLIENT_SETINFO,
    ),
    command(
        "client|setname",
        3,
        PERSONAL,
        C::CONNECTION,
        Connection(client::setname),
        &connection_docs::CLIENT_SETNAME,
    ),
];

const SERVER: [Command; 32] = [
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
        Storage { check: wal::check_log, task: TaskKind::ClearLog },
        &server_docs::OURO_WAL_CLEAR,
    )
    .tips(ALL_SHARDS_OK),
    command("ouro.wal|help", 2, ANYTIME, C::NONE, Connection(wal::help), &server_docs::OURO_WAL_HELP),
    command(
        "ouro.wal|rotate",
        2,
        F::ADMIN.and(F::NOSCRIPT),
        C::NONE,
        Storage { check: wal::check_log, task: TaskKind::RotateLog },
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
        Connection(config::resetstat),
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

const ACCESS: [Command; 14] = [
    command("acl", -2, NO, C::NONE, Container, &acl_docs::ACL),
    command("acl|cat", -2, PERSONAL, C::NONE, Connection(acl::cat), &acl_docs::ACL_CAT),
    command("acl|deluser", -3, ADMIN, C::NONE, Connection(acl::deluser), &acl_docs::ACL_DELUSER),
    command("acl|dryrun", -4, ADMIN, C::NONE, Connection(acl::dryrun), &acl_docs::ACL_DRYRUN),
    command("acl|genpass", -2, PERSONAL, C::NONE, Connection(acl::genpass), &acl_docs::ACL_GENPASS),
    command("acl|getuser", 3, ADMIN, C::NONE, Connection(acl::getuser), &acl_docs::ACL_GETUSER),
    command("acl|help", 2, ANYTIME, C::NONE, Connection(acl::help), &acl_docs::ACL_HELP),
    command("acl|list", 2, ADMIN, C::NONE, Connection(acl::list), &acl_docs::ACL_LIST),
    command("acl|load", 2, ADMIN, C::NONE, Connection(acl::load), &acl_docs::ACL_LOAD),
    command("acl|log", -2, ADMIN, C::NONE, Connection(acl::log), &acl_docs::ACL_LOG),
    command("acl|save", 2, ADMIN, C::NONE, Connection(acl::save), &acl_docs::ACL_SAVE),
    command("acl|setuser", -3, ADMIN, C::NONE, Connection(acl::setuser), &acl_docs::ACL_SETUSER),
    command("acl|users", 2, ADMIN, C::NONE, Connection(acl::users), &acl_docs::ACL_USERS),
    command("acl|whoami", 2, PERSONAL, C::NONE, Connection(acl::whoami), &acl_docs::ACL_WHOAMI),
];

/// Number of commands and subcommands.
pub const COMMAND_COUNT: usize = {
    let (mut count, mut part) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
};

/// The table by families.
const PARTS: &[&[Command]] = &[
    &STRINGS,
    &BITS,
    &COMPARISONS,
    &GENERIC,
    &NAMES,
    &DUMPS,
    &INSIGHT,
    &CONNECTIONS,
    &SERVER,
    &WHOLE_SERVER,
    &ACCESS,
];

/// All commands, each at the index that is its id.
pub static COMMANDS: [Command; COMMAND_COUNT] = assemble();

/// Puts the parts together, numbers the commands and ties the subcommands to their containers.
const fn assemble() -> [Command; COMMAND_COUNT] {
    let mut all = [STRINGS[0]; COMMAND_COUNT];
    let mut count = 0;
    let (mut part, mut container) = (0, 0);
    while part < PARTS.len() {
        let mut index = 0;
        while index < PARTS[part].len() {
            all[count] = PARTS[part][index];
            #[expect(clippy::cast_possible_truncation, reason = "there are some dozens of commands")]
            let id = count as u16;
            all[count].id = CommandId(id);
            if super::lookup::is_subcommand_name(all[count].name.as_bytes()) {
                let first = if all[container].subcommands.1 == 0 { id } else { all[container].subcommands.0 };
                all[container].subcommands = (first, all[container].subcommands.1 + 1);
            } else {
                container = count;
            }
            count += 1;
            index += 1;
        }
        part += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subcommands_follow_their_container() {
        for command in &COMMANDS {
            for subcommand in command.subcommands() {
                let prefix = format!("{}|", command.name);
                assert!(subcommand.name.starts_with(&prefix), "{}", subcommand.name);
            }
        }
        let tied: usize = COMMANDS.iter().map(|command| command.subcommands().len()).sum();
        assert_eq!(tied, COMMANDS.iter().filter(|command| command.is_subcommand()).count());
    }

    #[test]
    fn ids_are_indexes() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert_eq!(command.id.index(), index);
        }
    }

    #[test]
    fn every_command_of_keys_knows_them() {
        for command in &COMMANDS {
            let wants_keys = matches!(command.execution, Key(_) | Keys { .. } | SameShard(_) | Together(_));
            assert_eq!(wants_keys, command.keys.is_some(), "{}", command.name);
        }
    }
}
