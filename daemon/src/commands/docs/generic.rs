//! Documentation of the commands on keys, whatever their value.

use crate::commands::doc::{Argument, Doc};

const G: &str = "generic";
const KEY: Argument = Argument::key("key");
const NEW_KEY: Argument = Argument::key("newkey");
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
pub(in crate::commands) static RENAME: Doc = Doc::new(
    G,
    "1.0.0",
    "O(N) in the length of the value",
    "Gives a key another name, and takes that from another.",
)
.with(&[KEY, NEW_KEY]);
pub(in crate::commands) static RENAMENX: Doc = Doc::new(
    G,
    "1.0.0",
    "O(N) in the length of the value",
    "Gives a key another name only if no key has it.",
)
.with(&[KEY, NEW_KEY]);
pub(in crate::commands) static COPY: Doc =
    Doc::new(G, "6.2.0", "O(N) in the length of the value", "Copies a key's value and end to another key.")
        .with(&[
            Argument::key("source"),
            Argument::key("destination"),
            Argument::integer("destination-db").token("DB").optional(),
            Argument::word("replace", "REPLACE").optional(),
        ]);
pub(in crate::commands) static MOVE: Doc =
    Doc::new(G, "1.0.0", "O(N) in the length of the value", "Moves a key to another database.")
        .with(&[KEY, Argument::integer("db")]);
pub(in crate::commands) static DUMP: Doc = Doc::new(
    G,
    "2.6.0",
    "O(N) in the length of the value",
    "Returns a value in the form that RESTORE takes.",
)
.with(&[KEY]);
pub(in crate::commands) static RESTORE: Doc =
    Doc::new(G, "2.6.0", "O(N) in the length of the value", "Sets a key to what DUMP returned.").with(&[
        KEY,
        Argument::integer("ttl"),
        Argument::string("serialized-value"),
        Argument::word("replace", "REPLACE").optional(),
        Argument::word("absttl", "ABSTTL").optional(),
        Argument::integer("seconds").token("IDLETIME").optional(),
        Argument::integer("frequency").token("FREQ").optional(),
    ]);
pub(in crate::commands) static OBJECT: Doc =
    Doc::new(G, "2.2.3", "Depends on subcommand.", "Holds the commands on what a value is like inside.");
pub(in crate::commands) static OBJECT_ENCODING: Doc =
    Doc::new(G, "2.2.3", "O(1)", "Returns how Redis would keep the value.").with(&[KEY]);
pub(in crate::commands) static OBJECT_FREQ: Doc =
    Doc::new(G, "4.0.0", "O(1)", "Returns how often a key was used lately.").with(&[KEY]);
pub(in crate::commands) static OBJECT_HELP: Doc =
    Doc::new(G, "6.2.0", "O(1)", "Returns what subcommands there are.");
pub(in crate::commands) static OBJECT_IDLETIME: Doc =
    Doc::new(G, "2.2.3", "O(1)", "Returns 0: when a key was last used is not kept.").with(&[KEY]);
pub(in crate::commands) static OBJECT_REFCOUNT: Doc =
    Doc::new(G, "2.2.3", "O(1)", "Returns how many references to the value Redis would have.").with(&[KEY]);
pub(in crate::commands) static WAIT: Doc =
    Doc::new(G, "3.0.0", "O(1)", "Returns how many replicas have what was written: none.")
        .with(&[Argument::integer("numreplicas"), Argument::integer("timeout")]);
pub(in crate::commands) static WAITAOF: Doc =
    Doc::new(G, "7.2.0", "O(1)", "Returns whether all that was written is durable here, and 0 for replicas.")
        .with(&[
            Argument::integer("numlocal"),
            Argument::integer("numreplicas"),
            Argument::integer("timeout"),
        ]);
