//! Commands on strings, their bits, and on what two have in common.

use super::super::command::{Command, Execution, Merge};
use super::super::docs::{bitmap, string as string_docs};
use super::super::{bitfield, bitop, bits, lcs, multi, number, set, string, together};
use super::words::{
    C, EACH_SHARD_OK, GROW, GROW_FAST, OW_INSERT, OW_UPDATE, READ, READ_FAST, RO, RO_ACCESS,
    RW_ACCESS_DELETE, RW_ACCESS_UPDATE, RW_INSERT, RW_UPDATE, VARIABLE, WRITE_FAST, command,
};
use Execution::{Key, Keys, SameShard, Together};

pub(super) const STRINGS: [Command; 21] = [
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

pub(super) const BITS: [Command; 7] = [
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

pub(super) const COMPARISONS: [Command; 1] =
    [command("lcs", -3, READ, C::STRING, Together(together::handlers::<lcs::Lcs>()), &string_docs::LCS)
        .keys_at(1, 2, RO_ACCESS)];
