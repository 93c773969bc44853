//! Commands on keys whatever they hold: deleting, expiry, walking, other names, dumps, what is known of one.

use super::super::command::{Command, Execution, Merge};
use super::super::docs::{generic, server as server_docs};
use super::super::{dump, expire, keyspace, memory, object, rename, scan, together};
use super::words::{
    ALL_SHARDS_OK, ANY_KEY, ANY_KEY_DANGEROUS, ANYTIME, C, EACH_NODE_SPECIAL, EACH_SHARD_SUM, GROW, NO,
    OW_INSERT, OW_UPDATE, READ, READ_FAST, RM, RO, RO_ACCESS, RW_ACCESS_DELETE, RW_ACCESS_UPDATE, RW_UPDATE,
    VARYING, WRITE, WRITE_FAST, command,
};
use Execution::{Connection, Container, Everywhere, Key, Keys, SameShard, Scan, Together, Walk};

const fn of_keys(handler: super::super::command::KeyHandler) -> Execution {
    Keys { handler, merge: Merge::Sum }
}

pub(super) const GENERIC: [Command; 17] = [
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

pub(super) const NAMES: [Command; 4] = [
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

pub(super) const DUMPS: [Command; 2] = [
    command("dump", 2, READ, ANY_KEY, Key(dump::dump), &generic::DUMP).key(RO_ACCESS).tips(VARYING),
    command("restore", -4, GROW, ANY_KEY_DANGEROUS, Key(dump::restore), &generic::RESTORE).key(OW_UPDATE),
];

pub(super) const INSIGHT: [Command; 13] = [
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
