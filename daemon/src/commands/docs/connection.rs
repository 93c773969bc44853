//! Documentation of the commands on the connection itself.

use crate::commands::doc::{Argument, Doc};

const G: &str = "connection";
const YES_NO: &[Argument] = &[Argument::word("yes", "YES"), Argument::word("no", "NO")];
const ON_OFF: &[Argument] = &[Argument::word("on", "ON"), Argument::word("off", "OFF")];
const NAME: Argument = Argument::string("connection-name");

pub(in crate::commands) static PING: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Returns PONG, or the message: the server is alive.")
        .with(&[Argument::string("message").optional()]);
pub(in crate::commands) static ECHO: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Returns the message.").with(&[Argument::string("message")]);
pub(in crate::commands) static QUIT: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Closes the connection.").deprecated("7.2.0", "just closing the connection");
pub(in crate::commands) static HELLO: Doc =
    Doc::new(G, "6.0.0", "O(1)", "Shakes hands: chooses the protocol, tells who is who.").with(&[
        Argument::block(
            "arguments",
            &[
                Argument::integer("protover"),
                Argument::block("auth", &[Argument::string("username"), Argument::string("password")])
                    .token("AUTH")
                    .optional(),
                Argument::string("clientname").token("SETNAME").optional(),
            ],
        )
        .optional(),
    ]);
pub(in crate::commands) static AUTH: Doc = Doc::new(G, "1.0.0", "O(1)", "Logs in.")
    .with(&[Argument::string("username").optional(), Argument::string("password")]);
pub(in crate::commands) static SELECT: Doc =
    Doc::new(G, "1.0.0", "O(1)", "Selects a database.").with(&[Argument::integer("index")]);
pub(in crate::commands) static RESET: Doc =
    Doc::new(G, "6.2.0", "O(1)", "Puts the connection back to how it began.");
pub(in crate::commands) static CLIENT: Doc =
    Doc::new(G, "2.4.0", "Depends on subcommand.", "Holds the commands on client connections.");
pub(in crate::commands) static CLIENT_HELP: Doc =
    Doc::new(G, "5.0.0", "O(1)", "Returns what subcommands there are.");
pub(in crate::commands) static CLIENT_ID: Doc =
    Doc::new(G, "5.0.0", "O(1)", "Returns the id of the connection.");
pub(in crate::commands) static CLIENT_GETNAME: Doc =
    Doc::new(G, "2.6.9", "O(1)", "Returns the name of the connection.");
pub(in crate::commands) static CLIENT_SETNAME: Doc =
    Doc::new(G, "2.6.9", "O(1)", "Gives the connection a name.").with(&[NAME]);
pub(in crate::commands) static CLIENT_SETINFO: Doc =
    Doc::new(G, "7.2.0", "O(1)", "Tells which library the client uses.").with(&[Argument::one_of(
        "attr",
        &[Argument::string("libname").token("LIB-NAME"), Argument::string("libver").token("LIB-VER")],
    )]);
pub(in crate::commands) static CLIENT_INFO: Doc =
    Doc::new(G, "6.2.0", "O(1)", "Returns what there is to know of the connection.");
pub(in crate::commands) static CLIENT_LIST: Doc =
    Doc::new(G, "2.4.0", "O(N) in the number of connections", "Returns a line for each open connection.")
        .with(&[
            Argument::one_of(
                "client-type",
                &[
                    Argument::word("normal", "NORMAL"),
                    Argument::word("master", "MASTER"),
                    Argument::word("replica", "REPLICA"),
                    Argument::word("pubsub", "PUBSUB"),
                ],
            )
            .token("TYPE")
            .optional(),
            Argument::integer("client-id").token("ID").optional().multiple(),
        ]);
pub(in crate::commands) static CLIENT_KILL: Doc =
    Doc::new(G, "2.4.0", "O(N) in the number of connections", "Closes connections.").with(&[
        Argument::one_of(
            "filter",
            &[
                Argument::string("old-format"),
                Argument::one_of(
                    "new-format",
                    &[
                        Argument::integer("client-id").token("ID").optional(),
                        Argument::one_of(
                            "client-type",
                            &[
                                Argument::word("normal", "NORMAL"),
                                Argument::word("master", "MASTER"),
                                Argument::word("replica", "REPLICA"),
                                Argument::word("pubsub", "PUBSUB"),
                            ],
                        )
                        .token("TYPE")
                        .optional(),
                        Argument::string("username").token("USER").optional(),
                        Argument::string("addr").token("ADDR").optional(),
                        Argument::string("laddr").token("LADDR").optional(),
                        Argument::one_of("skipme", YES_NO).token("SKIPME").optional(),
                        Argument::integer("maxage").token("MAXAGE").optional(),
                    ],
                )
                .multiple(),
            ],
        ),
    ]);
pub(in crate::commands) static CLIENT_NO_EVICT: Doc =
    Doc::new(G, "7.0.0", "O(1)", "Keeps the connection when others are closed to make room.")
        .with(&[Argument::one_of("enabled", ON_OFF)]);
pub(in crate::commands) static CLIENT_PAUSE: Doc =
    Doc::new(G, "3.0.0", "O(1)", "Makes commands of all clients, or only writes, wait for a time.").with(&[
        Argument::integer("timeout"),
        Argument::one_of("mode", &[Argument::word("write", "WRITE"), Argument::word("all", "ALL")])
            .optional(),
    ]);
pub(in crate::commands) static CLIENT_REPLY: Doc =
    Doc::new(G, "3.2.0", "O(1)", "Says whether the connection's requests are answered.").with(&[
        Argument::one_of(
            "action",
            &[Argument::word("on", "ON"), Argument::word("off", "OFF"), Argument::word("skip", "SKIP")],
        ),
    ]);
pub(in crate::commands) static CLIENT_UNBLOCK: Doc = Doc::new(
    G,
    "5.0.0",
    "O(log N) in the number of connections",
    "Ends the waiting of a command of another client.",
)
.with(&[
    Argument::integer("client-id"),
    Argument::one_of(
        "unblock-type",
        &[Argument::word("timeout", "TIMEOUT"), Argument::word("error", "ERROR")],
    )
    .optional(),
]);
pub(in crate::commands) static CLIENT_UNPAUSE: Doc =
    Doc::new(G, "6.2.0", "O(N) in the number of commands that wait", "Lets commands that wait go on.");
pub(in crate::commands) static CLIENT_CACHING: Doc = Doc::new(
    G,
    "6.0.0",
    "O(1)",
    "Says whether keys of the next request are tracked, in modes OPTIN and OPTOUT.",
)
.with(&[Argument::one_of("mode", YES_NO)]);
pub(in crate::commands) static CLIENT_GETREDIR: Doc =
    Doc::new(G, "6.0.0", "O(1)", "Returns the id of the client that is told in the place of this one.");
pub(in crate::commands) static CLIENT_NO_TOUCH: Doc =
    Doc::new(G, "7.2.0", "O(1)", "Says that reads of the connection are not to count as use.")
        .with(&[Argument::one_of("enabled", ON_OFF)]);
pub(in crate::commands) static CLIENT_TRACKING: Doc = Doc::new(
    G,
    "6.0.0",
    "O(1), and O(N) in the number of workers",
    "Has the connection told when keys that it has read are changed.",
)
.with(&[
    Argument::one_of("status", ON_OFF),
    Argument::integer("client-id").token("REDIRECT").optional(),
    Argument::string("prefix").token("PREFIX").optional().multiple(),
    Argument::word("bcast", "BCAST").optional(),
    Argument::word("optin", "OPTIN").optional(),
    Argument::word("optout", "OPTOUT").optional(),
    Argument::word("noloop", "NOLOOP").optional(),
]);
pub(in crate::commands) static CLIENT_TRACKINGINFO: Doc =
    Doc::new(G, "6.2.0", "O(1)", "Returns what the connection is told of the keys that it reads.");
