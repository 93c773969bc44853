//! Documentation of the commands on keys, whatever their value.

use crate::commands::doc::{Argument, Doc};

const G: &str = "generic";
const KEY: Argument = Argument::key("key");
const KEYS: &[Argument] = &[KEY.multiple()];
const BY_KEYS: &str = "O(N) in the number of keys";
const CONDITION: Argument = Argument::one_of(
    "condition",
    &[
        Argument::word("nx", "NX"),
        Argument::word("xx", "XX"),
        Argument::word("gt", "GT"),
        Argument::word("lt", "LT"),
    ],
)
.optional();

pub(in crate::commands) static DEL: Doc =
    Doc::new(G, "1.0.0", BY_KEYS, "Deletes keys and returns how many were there.").with(KEYS);
pub(in crate::commands) static UNLINK: Doc =
    Doc::new(G, "4.0.0", BY_KEYS, "Deletes keys and returns how many were there; the same as DEL.")
        .with(KEYS);
pub(in crate::commands) static EXISTS: Doc =
    Doc::new(G, "1.0.0", BY_KEYS, "Returns how many of the keys are there.").with(KEYS);
pub(in crate::commands) static TOUCH: Doc =
    Doc::new(G, "3.2.1", BY_KEYS, "Reads keys and returns how many are there.").with(KEYS);
pub(in crate::commands) static TYPE: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Returns the kind of value that a key has.").with(&[KEY]);
pub(in crate::commands) static EXPIRE: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Makes a key end in so many seconds.").with(&[
        KEY,
        Argument::integer("seconds"),
        CONDITION,
    ]);
pub(in crate::commands) static PEXPIRE: Doc =
    Doc::new(G, "2.6.0", "O(1)", "Makes a key end in so many milliseconds.").with(&[
        KEY,
        Argument::integer("milliseconds"),
        CONDITION,
    ]);
pub(in crate::commands) static EXPIREAT: Doc =
    Doc::new(G, "1.2.0", "O(1)", "Makes a key end at a Unix time in seconds.").with(&[
        KEY,
        Argument::unix_time("unix-time-seconds"),
        CONDITION,
    ]);
pub(in crate::commands) static PEXPIREAT: Doc =
    Doc::new(G, "2.6.0", "O(1)", "Makes a key end at a Unix time in milliseconds.").with(&[
        KEY,
        Argument::unix_time("unix-time-milliseconds"),
        CONDITION,
    ]);
pub(in crate::commands) static EXPIRETIME: Doc =
    Doc::new(G, "7.0.0", "O(1)", "Returns when a key ends as a Unix time in seconds; -1 for never.")
        .with(&[KEY]);
pub(in crate::commands) static PEXPIRETIME: Doc =
    Doc::new(G, "7.0.0", "O(1)", "Returns when a key ends as a Unix time in milliseconds; -1 for never.")
        .with(&[KEY]);
pub(in crate::commands) static TTL: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Returns in how many seconds a key ends; -1 for never.").with(&[KEY]);
pub(in crate::commands) static PTTL: Doc =
    Doc::new(G, "2.6.0", "O(1)", "Returns in how many milliseconds a key ends; -1 for never.").with(&[KEY]);
pub(in crate::commands) static PERSIST: Doc =
    Doc::new(G, "2.2.0", "O(1)", "Makes a key that would end stay.").with(&[KEY]);
pub(in crate::commands) static SCAN: Doc = Doc::new(
    G,
    "2.8.0",
    "O(1) a call, O(N) in the number of keys for a whole iteration",
    "Returns some keys and the cursor of the next call; all that stay are returned before the cursor is 0 again.",
)
.with(&[
    Argument::integer("cursor"),
    Argument::pattern("pattern").token("MATCH").optional(),
    Argument::integer("count").token("COUNT").optional(),
    Argument::string("type").token("TYPE").optional(),
]);
pub(in crate::commands) static KEYS_: Doc = Doc::new(
    G,
    "1.0.0",
    "O(N) in the number of keys of the database",
    "Returns all keys that match a pattern.",
)
.with(&[Argument::pattern("pattern")]);
pub(in crate::commands) static RANDOMKEY: Doc = Doc::new(G, "1.0.0", "O(1)", "Returns a key drawn by lot.");
