//! Documentation of the commands on strings.

use crate::commands::doc::{Argument, Doc};

const G: &str = "string";
const KEY: Argument = Argument::key("key");
const VALUE: Argument = Argument::string("value");
const PAIRS: Argument = Argument::block("data", &[KEY, VALUE]).multiple();

const SECONDS: Argument = Argument::integer("seconds").token("EX");
const MILLISECONDS: Argument = Argument::integer("milliseconds").token("PX");
const UNIX_SECONDS: Argument = Argument::unix_time("unix-time-seconds").token("EXAT");
const UNIX_MILLISECONDS: Argument = Argument::unix_time("unix-time-milliseconds").token("PXAT");

pub(in crate::commands) static GET: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Returns the value of a key.").with(&[KEY]);
pub(in crate::commands) static SET: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Sets a key to a value, whatever it was; its end too, if given.").with(&[
        KEY,
        VALUE,
        Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")]).optional(),
        Argument::word("get", "GET").optional(),
        Argument::one_of(
            "expiration",
            &[SECONDS, MILLISECONDS, UNIX_SECONDS, UNIX_MILLISECONDS, Argument::word("keepttl", "KEEPTTL")],
        )
        .optional(),
    ]);
pub(in crate::commands) static SETNX: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Sets a key to a value only if it is not there.")
        .with(&[KEY, VALUE])
        .deprecated("2.6.12", "`SET` with the `NX` argument");
pub(in crate::commands) static SETEX: Doc =
    Doc::new(G, "2.0.0", "O(1)", "Sets a key to a value and to end in so many seconds.")
        .with(&[KEY, Argument::integer("seconds"), VALUE])
        .deprecated("2.6.12", "`SET` with the `EX` argument");
pub(in crate::commands) static PSETEX: Doc =
    Doc::new(G, "2.6.0", "O(1)", "Sets a key to a value and to end in so many milliseconds.")
        .with(&[KEY, Argument::integer("milliseconds"), VALUE])
        .deprecated("2.6.12", "`SET` with the `PX` argument");
pub(in crate::commands) static GETSET: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Sets a key to a value and returns the old one.")
        .with(&[KEY, VALUE])
        .deprecated("6.2.0", "`SET` with the `GET` argument");
pub(in crate::commands) static GETDEL: Doc =
    Doc::new(G, "6.2.0", "O(1)", "Returns the value of a key and deletes it.").with(&[KEY]);
pub(in crate::commands) static GETEX: Doc =
    Doc::new(G, "6.2.0", "O(1)", "Returns the value of a key and changes when it ends.").with(&[
        KEY,
        Argument::one_of(
            "expiration",
            &[SECONDS, MILLISECONDS, UNIX_SECONDS, UNIX_MILLISECONDS, Argument::word("persist", "PERSIST")],
        )
        .optional(),
    ]);
pub(in crate::commands) static MGET: Doc =
    Doc::new(G, "1.0.0", "O(N) in the number of keys", "Returns the values of several keys.")
        .with(&[KEY.multiple()]);
pub(in crate::commands) static MSET: Doc =
    Doc::new(G, "1.0.1", "O(N) in the number of keys", "Sets several keys; over several shards, key by key.")
        .with(&[PAIRS]);
pub(in crate::commands) static MSETNX: Doc = Doc::new(
    G,
    "1.0.1",
    "O(N) in the number of keys",
    "Sets several keys of one shard only if none of them is there.",
)
.with(&[PAIRS]);
pub(in crate::commands) static APPEND: Doc = Doc::new(
    G,
    "2.0.0",
    "O(N) in the length of the value",
    "Adds to the end of a value; makes the key if need be.",
)
.with(&[KEY, VALUE]);
pub(in crate::commands) static STRLEN: Doc =
    Doc::new(G, "2.2.0", "O(1)", "Returns the length of a value.").with(&[KEY]);
pub(in crate::commands) static GETRANGE: Doc =
    Doc::new(G, "2.4.0", "O(N) in the length of the part", "Returns a part of a value.").with(&[
        KEY,
        Argument::integer("start"),
        Argument::integer("end"),
    ]);
pub(in crate::commands) static SUBSTR: Doc =
    Doc::new(G, "1.0.0", "O(N) in the length of the part", "Returns a part of a value.")
        .with(&[KEY, Argument::integer("start"), Argument::integer("end")])
        .deprecated("2.0.0", "`GETRANGE`");
pub(in crate::commands) static SETRANGE: Doc = Doc::new(
    G,
    "2.2.0",
    "O(N) in the length of the value",
    "Overwrites a part of a value; fills up with zeros, makes the key if need be.",
)
.with(&[KEY, Argument::integer("offset"), VALUE]);
pub(in crate::commands) static INCR: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Adds one to the integer of a key; a missing one counts as 0.").with(&[KEY]);
pub(in crate::commands) static DECR: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Takes one from the integer of a key; a missing one counts as 0.")
        .with(&[KEY]);
pub(in crate::commands) static INCRBY: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Adds to the integer of a key; a missing one counts as 0.")
        .with(&[KEY, Argument::integer("increment")]);
pub(in crate::commands) static DECRBY: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Takes from the integer of a key; a missing one counts as 0.")
        .with(&[KEY, Argument::integer("decrement")]);
pub(in crate::commands) static INCRBYFLOAT: Doc = Doc::new(
    G,
    "2.6.0",
    "O(1)",
    "Adds to the number of a key, fractions included; a missing one counts as 0.",
)
.with(&[KEY, Argument::double("increment")]);
pub(in crate::commands) static LCS: Doc = Doc::new(
    G,
    "7.0.0",
    "O(N*M) in the lengths of both values",
    "Finds the longest common subsequence of two values.",
)
.with(&[
    Argument::key("key1"),
    Argument::key("key2"),
    Argument::word("len", "LEN").optional(),
    Argument::word("idx", "IDX").optional(),
    Argument::integer("min-match-len").token("MINMATCHLEN").optional(),
    Argument::word("withmatchlen", "WITHMATCHLEN").optional(),
]);
