//! What the families of the table are written with: flags, categories, uses of keys, hints, and one command.

use super::super::command::{Command, CommandId, Execution, KeySpec, clocked_from, rewrites};
use super::super::doc::Doc;
use super::super::flags::{Categories, Flags};

pub(super) type F = Flags;
pub(super) type C = Categories;
pub(super) const NO: F = F::NONE;
pub(super) const READ: F = F::READONLY;
pub(super) const READ_FAST: F = F::READONLY.and(F::FAST);
pub(super) const WRITE: F = F::WRITE;
pub(super) const WRITE_FAST: F = F::WRITE.and(F::FAST);
pub(super) const GROW: F = F::WRITE.and(F::DENYOOM);
pub(super) const GROW_FAST: F = GROW.and(F::FAST);
pub(super) const ANYTIME: F = F::LOADING.and(F::STALE);
pub(super) const ANYTIME_FAST: F = ANYTIME.and(F::FAST);
pub(super) const PERSONAL: F = F::NOSCRIPT.and(ANYTIME);
pub(super) const FIRST_THING: F = PERSONAL.and(F::FAST).and(F::NO_AUTH).and(F::ALLOW_BUSY);
pub(super) const ADMIN: F = F::ADMIN.and(PERSONAL);
pub(super) const STOP: F = ADMIN.and(F::NO_MULTI).and(F::ALLOW_BUSY);
pub(super) const ANY_KEY: C = C::KEYSPACE;
pub(super) const ANY_KEY_DANGEROUS: C = C::KEYSPACE.and(C::DANGEROUS);
pub(super) const RO: &[&str] = &["RO"];
pub(super) const RO_ACCESS: &[&str] = &["RO", "access"];
pub(super) const RW_UPDATE: &[&str] = &["RW", "update"];
pub(super) const RW_INSERT: &[&str] = &["RW", "insert"];
pub(super) const RW_ACCESS_UPDATE: &[&str] = &["RW", "access", "update"];
pub(super) const RW_ACCESS_DELETE: &[&str] = &["RW", "access", "delete"];
pub(super) const OW_UPDATE: &[&str] = &["OW", "update"];
pub(super) const OW_INSERT: &[&str] = &["OW", "insert"];
pub(super) const RM: &[&str] = &["RM", "delete"];
pub(super) const VARIABLE: &[&str] = &["RW", "access", "update", "variable_flags"];
pub(super) const VARYING: &[&str] = &["nondeterministic_output"];
pub(super) const VARYING_ORDER: &[&str] = &["nondeterministic_output_order"];
pub(super) const EACH_SHARD_SUM: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
pub(super) const EACH_SHARD_OK: &[&str] = &["request_policy:multi_shard", "response_policy:all_succeeded"];
pub(super) const ALL_SHARDS_OK: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
pub(super) const fn command(
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
        rewrites: rewrites(name),
        keys: None,
        channels: None,
        not_keys: None,
        more_keys: None,
        categories: categories.implied_by(flags),
        tips: &[],
        execution,
        doc,
        id: CommandId(0),
        clocked_from: clocked_from(&execution, flags),
        subcommands: (0, 0),
    }
}
impl Command {
    pub(super) const fn key(mut self, uses: &'static [&'static str]) -> Self {
        self.keys = Some(KeySpec::one(uses));
        self
    }

    pub(super) const fn keys(mut self, step: usize, uses: &'static [&'static str]) -> Self {
        self.keys = Some(KeySpec::all(step, uses));
        self
    }

    pub(super) const fn keys_at(mut self, first: usize, count: usize, uses: &'static [&'static str]) -> Self {
        self.keys = Some(KeySpec::at(first, count, uses));
        self
    }

    pub(super) const fn and_key(mut self, at: usize, uses: &'static [&'static str]) -> Self {
        self.more_keys = Some(KeySpec::at(at, 1, uses));
        self
    }

    pub(super) const fn and_keys_from(mut self, first: usize, uses: &'static [&'static str]) -> Self {
        let mut keys = KeySpec::all(1, uses);
        keys.first = first;
        self.more_keys = Some(keys);
        self
    }

    pub(super) const fn notes(mut self, notes: &'static str) -> Self {
        if let Some(keys) = &mut self.keys {
            keys.notes = Some(notes);
        }
        self
    }

    pub(super) const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }
}
pub(super) const EACH_NODE_SPECIAL: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];
pub(super) const ALL_NODES_OK: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
pub(super) const ALL_SHARDS_MIN: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];
