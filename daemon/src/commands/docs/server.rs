//! Documentation of the commands on the server as a whole.

use crate::commands::doc::{Argument, Doc};

const G: &str = "server";
const FLUSH: &[Argument] =
    &[Argument::one_of("flush-type", &[Argument::word("async", "ASYNC"), Argument::word("sync", "SYNC")])
        .optional()];
const COMMAND_NAMES: &[Argument] = &[Argument::string("command-name").optional().multiple()];
const WHOLE_COMMAND: &[Argument] =
    &[Argument::string("command"), Argument::string("arg").optional().multiple()];
const BY_COMMANDS: &str = "O(N) in the number of commands";

pub(in crate::commands) static TIME: Doc =
    Doc::new(G, "2.6.0", "O(1)", "Returns the server's time: Unix seconds, and microseconds of the second.");
pub(in crate::commands) static DBSIZE: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Returns how many keys the database has.");
pub(in crate::commands) static FLUSHDB: Doc =
    Doc::new(G, "1.0.0", "O(1), memory comes back in the background", "Deletes all keys of the database.")
        .with(FLUSH);
pub(in crate::commands) static FLUSHALL: Doc =
    Doc::new(G, "1.0.0", "O(1), memory comes back in the background", "Deletes all keys of all databases.")
        .with(FLUSH);
pub(in crate::commands) static BGREWRITEAOF: Doc = Doc::new(
    G,
    "1.0.0",
    "O(1); the work is done in the background",
    "Starts a full compaction, which is what rewriting the append-only file is in Redis.",
);
pub(in crate::commands) static OURO_COMPACT: Doc = Doc::new(
    G,
    "7.2.0",
    "O(1); the work is done in the background",
    "Starts a full compaction of all shards, or tells how far it has come.",
)
.with(&[Argument::word("status", "STATUS").optional()]);
pub(in crate::commands) static OURO_SCRUB: Doc = Doc::new(
    G,
    "7.2.0",
    "O(1); the work is done in the background",
    "Reads back and verifies everything in the data files, or tells how far that has come.",
)
.with(&[Argument::one_of("action", &[Argument::word("start", "START"), Argument::word("status", "STATUS")])
    .optional()]);
pub(in crate::commands) static SAVE: Doc = Doc::new(
    G,
    "1.0.0",
    "O(N) in the number of keys; other clients are served meanwhile",
    "Makes a checkpoint of every shard and returns when all are published.",
);
pub(in crate::commands) static BGSAVE: Doc =
    Doc::new(G, "1.0.0", "O(1); the work is done in the background", "Begins a checkpoint of every shard.")
        .with(&[Argument::word("schedule", "SCHEDULE").optional()]);
pub(in crate::commands) static LASTSAVE: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Returns when every shard had a checkpoint last, in Unix seconds.");
pub(in crate::commands) static OURO_WAL: Doc =
    Doc::new(G, "7.2.0", "Depends on subcommand.", "Holds the commands on the write-ahead log.");
pub(in crate::commands) static OURO_WAL_CLEAR: Doc = Doc::new(
    G,
    "7.2.0",
    "O(N) in the number of keys; other clients are served meanwhile",
    "Makes a checkpoint of every shard, then deletes the segments of the log that are not needed.",
);
pub(in crate::commands) static OURO_WAL_HELP: Doc =
    Doc::new(G, "7.2.0", "O(1)", "Returns what subcommands there are.");
pub(in crate::commands) static OURO_WAL_ROTATE: Doc =
    Doc::new(G, "7.2.0", "O(1)", "Closes the current segment of every log and goes on in the next.");
pub(in crate::commands) static OURO_WAL_SIZE: Doc =
    Doc::new(G, "7.2.0", "O(1)", "Returns the bytes of all segment files of the log.");
pub(in crate::commands) static OURO_WAL_STATUS: Doc = Doc::new(
    G,
    "7.2.0",
    "O(N) in the number of shards",
    "Returns the figures of every worker's log and of the shards in it.",
);
pub(in crate::commands) static OURO_DISKUSAGE: Doc = Doc::new(
    G,
    "7.2.0",
    "O(N) in the number of shards",
    "Returns what the files of every worker and shard take on disk.",
);
pub(in crate::commands) static SHUTDOWN: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Stops the server; what was acknowledged stays.").with(&[
        Argument::one_of(
            "save-selector",
            &[Argument::word("nosave", "NOSAVE"), Argument::word("save", "SAVE")],
        )
        .optional(),
        Argument::word("now", "NOW").optional(),
        Argument::word("force", "FORCE").optional(),
        Argument::word("abort", "ABORT").optional(),
    ]);
pub(in crate::commands) static INFO: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Returns figures and facts about the server, by section.")
        .with(&[Argument::string("section").optional().multiple()]);
pub(in crate::commands) static COMMAND: Doc =
    Doc::new(G, "2.8.13", BY_COMMANDS, "Returns what there is to know of all commands.");
pub(in crate::commands) static COMMAND_COUNT: Doc =
    Doc::new(G, "2.8.13", "O(1)", "Returns how many commands there are.");
pub(in crate::commands) static COMMAND_DOCS: Doc =
    Doc::new(G, "7.0.0", BY_COMMANDS, "Returns the documentation of commands.").with(COMMAND_NAMES);
pub(in crate::commands) static COMMAND_INFO: Doc =
    Doc::new(G, "2.8.13", BY_COMMANDS, "Returns what there is to know of some commands.").with(COMMAND_NAMES);
pub(in crate::commands) static COMMAND_LIST: Doc =
    Doc::new(G, "7.0.0", BY_COMMANDS, "Returns the names of commands.").with(&[Argument::one_of(
        "filterby",
        &[
            Argument::string("module-name").token("MODULE"),
            Argument::string("category").token("ACLCAT"),
            Argument::pattern("pattern").token("PATTERN"),
        ],
    )
    .token("FILTERBY")
    .optional()]);
pub(in crate::commands) static COMMAND_GETKEYS: Doc = Doc::new(
    G,
    "2.8.13",
    "O(N) in the number of arguments",
    "Returns which arguments of a request are keys.",
)
.with(WHOLE_COMMAND);
pub(in crate::commands) static COMMAND_GETKEYSANDFLAGS: Doc = Doc::new(
    G,
    "7.0.0",
    "O(N) in the number of arguments",
    "Returns which arguments of a request are keys and what happens to them.",
)
.with(WHOLE_COMMAND);
pub(in crate::commands) static COMMAND_HELP: Doc =
    Doc::new(G, "5.0.0", "O(1)", "Returns what subcommands there are.");
pub(in crate::commands) static CONFIG: Doc =
    Doc::new(G, "2.0.0", "Depends on subcommand.", "Holds the commands on the server's parameters.");
pub(in crate::commands) static CONFIG_GET: Doc =
    Doc::new(G, "2.0.0", "O(N) in the number of parameters", "Returns parameters that match patterns.")
        .with(&[Argument::string("parameter").multiple()]);
pub(in crate::commands) static CONFIG_SET: Doc = Doc::new(
    G,
    "2.0.0",
    "O(N) in the number of parameters",
    "Changes parameters: all that are given, or none.",
)
.with(&[Argument::block("data", &[Argument::string("parameter"), Argument::string("value")]).multiple()]);
pub(in crate::commands) static CONFIG_RESETSTAT: Doc =
    Doc::new(G, "2.0.0", "O(1)", "Sets the figures of INFO back.");
pub(in crate::commands) static CONFIG_REWRITE: Doc =
    Doc::new(G, "2.8.0", "O(1)", "Writes what is set now to the file of options.");
pub(in crate::commands) static CONFIG_HELP: Doc =
    Doc::new(G, "5.0.0", "O(1)", "Returns what subcommands there are.");
pub(in crate::commands) static MEMORY: Doc =
    Doc::new(G, "4.0.0", "Depends on subcommand.", "Holds the commands on memory.");
pub(in crate::commands) static MEMORY_DOCTOR: Doc =
    Doc::new(G, "4.0.0", "O(1)", "Tells whether much memory is held by records that are dead.");
pub(in crate::commands) static MEMORY_HELP: Doc =
    Doc::new(G, "4.0.0", "O(1)", "Returns what subcommands there are.");
pub(in crate::commands) static MEMORY_MALLOC_STATS: Doc =
    Doc::new(G, "4.0.0", "O(1)", "Returns that the allocator tells nothing.");
pub(in crate::commands) static MEMORY_PURGE: Doc =
    Doc::new(G, "4.0.0", "O(1)", "Does nothing: memory goes back by itself.");
pub(in crate::commands) static MEMORY_STATS: Doc =
    Doc::new(G, "4.0.0", "O(1)", "Returns what memory is used for.");
pub(in crate::commands) static MEMORY_USAGE: Doc =
    Doc::new(G, "4.0.0", "O(1)", "Returns about how many bytes a key takes.")
        .with(&[Argument::key("key"), Argument::integer("count").token("SAMPLES").optional()]);
pub(in crate::commands) static SWAPDB: Doc =
    Doc::new(G, "4.0.0", "O(1)", "Has two databases change their numbers, for all clients at once.")
        .with(&[Argument::integer("index1"), Argument::integer("index2")]);
pub(in crate::commands) static LOLWUT: Doc =
    Doc::new(G, "5.0.0", "O(1)", "Returns a picture and the version.")
        .with(&[Argument::integer("version").token("VERSION").optional()]);
const FLUSH_TYPE: Argument =
    Argument::one_of("flush-type", &[Argument::word("async", "ASYNC"), Argument::word("sync", "SYNC")])
        .optional();
pub(in crate::commands) static SCRIPT: Doc =
    Doc::new("scripting", "2.6.0", "Depends on subcommand.", "Holds the commands on scripts.");
pub(in crate::commands) static SCRIPT_FLUSH: Doc =
    Doc::new("scripting", "2.6.0", "O(1)", "Does nothing: there are no scripts.").with(&[FLUSH_TYPE]);
pub(in crate::commands) static FUNCTION: Doc =
    Doc::new("scripting", "7.0.0", "Depends on subcommand.", "Holds the commands on functions.");
pub(in crate::commands) static FUNCTION_FLUSH: Doc =
    Doc::new("scripting", "7.0.0", "O(1)", "Does nothing: there are no functions.").with(&[FLUSH_TYPE]);
pub(in crate::commands) static SLOWLOG: Doc =
    Doc::new(G, "2.2.12", "Depends on subcommand.", "Holds the commands on the slow log.");
pub(in crate::commands) static SLOWLOG_GET: Doc =
    Doc::new(G, "2.2.12", "O(N) in the number of entries", "Returns the newest entries of the slow log.")
        .with(&[Argument::integer("count").optional()]);
pub(in crate::commands) static SLOWLOG_HELP: Doc =
    Doc::new(G, "6.2.0", "O(1)", "Returns what subcommands there are.");
pub(in crate::commands) static SLOWLOG_LEN: Doc =
    Doc::new(G, "2.2.12", "O(1)", "Returns the number of entries of the slow log.");
pub(in crate::commands) static SLOWLOG_RESET: Doc =
    Doc::new(G, "2.2.12", "O(N) in the number of entries", "Removes all entries of the slow log.");
pub(in crate::commands) static LATENCY: Doc =
    Doc::new(G, "2.8.13", "Depends on subcommand.", "Holds the commands on what takes long.");
pub(in crate::commands) static LATENCY_DOCTOR: Doc =
    Doc::new(G, "2.8.13", "O(1)", "Returns a report for people of what took too long.");
pub(in crate::commands) static LATENCY_GRAPH: Doc =
    Doc::new(G, "2.8.13", "O(1)", "Draws how long an event took.").with(&[Argument::string("event")]);
pub(in crate::commands) static LATENCY_HELP: Doc =
    Doc::new(G, "2.8.13", "O(1)", "Returns what subcommands there are.");
pub(in crate::commands) static LATENCY_HISTOGRAM: Doc =
    Doc::new(G, "7.0.0", "O(N) in the number of commands", "Returns how long commands took, as histograms.")
        .with(&[Argument::string("command").optional().multiple()]);
pub(in crate::commands) static LATENCY_HISTORY: Doc =
    Doc::new(G, "2.8.13", "O(1)", "Returns when an event took how long.").with(&[Argument::string("event")]);
pub(in crate::commands) static LATENCY_LATEST: Doc =
    Doc::new(G, "2.8.13", "O(1)", "Returns the last sample of each event.");
pub(in crate::commands) static LATENCY_RESET: Doc =
    Doc::new(G, "2.8.13", "O(1)", "Forgets the samples of events.")
        .with(&[Argument::string("event").optional().multiple()]);
pub(in crate::commands) static MONITOR: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Shows the connection every request that the server runs.");
pub(in crate::commands) static DEBUG: Doc =
    Doc::new(G, "1.0.0", "Depends on subcommand.", "Holds the commands for tests of clients.");
pub(in crate::commands) static DEBUG_HELP: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Returns what subcommands there are.");
pub(in crate::commands) static DEBUG_OBJECT: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Returns what a value is like inside.").with(&[Argument::key("key")]);
pub(in crate::commands) static DEBUG_SET_ACTIVE_EXPIRE: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Turns the deletion in background of keys whose time has come off and on.")
        .with(&[Argument::integer("enabled")]);
pub(in crate::commands) static DEBUG_SLEEP: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Stops the worker of the connection for a time.")
        .with(&[Argument::double("seconds")]);
