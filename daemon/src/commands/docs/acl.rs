//! Documentation of the commands on users and what they may do.

use crate::commands::doc::{Argument, Doc};

const G: &str = "server";

pub(in crate::commands) static ACL: Doc =
    Doc::new(G, "6.0.0", "Depends on subcommand.", "Holds the commands on users and what they may do.");
pub(in crate::commands) static ACL_CAT: Doc =
    Doc::new(G, "6.0.0", "O(1)", "Returns the categories of commands, or the commands of one.")
        .with(&[Argument::string("category").optional()]);
pub(in crate::commands) static ACL_DELUSER: Doc = Doc::new(
    G,
    "6.0.0",
    "O(1) amortized time considering the typical user.",
    "Deletes users and closes their connections.",
)
.with(&[Argument::string("username").multiple()]);
pub(in crate::commands) static ACL_DRYRUN: Doc =
    Doc::new(G, "7.0.0", "O(1).", "Returns whether a user may run a command, without running it.").with(&[
        Argument::string("username"),
        Argument::string("command"),
        Argument::string("arg").optional().multiple(),
    ]);
pub(in crate::commands) static ACL_GENPASS: Doc =
    Doc::new(G, "6.0.0", "O(1)", "Returns a password made of random bits.")
        .with(&[Argument::integer("bits").optional()]);
pub(in crate::commands) static ACL_GETUSER: Doc = Doc::new(
    G,
    "6.0.0",
    "O(N). Where N is the number of password, command and pattern rules that the user has.",
    "Returns the rules of a user.",
)
.with(&[Argument::string("username")]);
pub(in crate::commands) static ACL_HELP: Doc =
    Doc::new(G, "6.0.0", "O(1)", "Returns what subcommands there are.");
pub(in crate::commands) static ACL_LIST: Doc = Doc::new(
    G,
    "6.0.0",
    "O(N). Where N is the number of configured users.",
    "Returns all users in the form of the file.",
);
pub(in crate::commands) static ACL_LOAD: Doc = Doc::new(
    G,
    "6.0.0",
    "O(N). Where N is the number of configured users.",
    "Reads the users from the file again.",
);
pub(in crate::commands) static ACL_LOG: Doc = Doc::new(
    G,
    "6.0.0",
    "O(N) with N being the number of entries shown.",
    "Returns what was refused lately, or forgets it.",
)
.with(&[
    Argument::one_of("operation", &[Argument::integer("count"), Argument::word("reset", "RESET")]).optional()
]);
pub(in crate::commands) static ACL_SAVE: Doc =
    Doc::new(G, "6.0.0", "O(N). Where N is the number of configured users.", "Writes the users to the file.");
pub(in crate::commands) static ACL_SETUSER: Doc =
    Doc::new(G, "6.0.0", "O(N). Where N is the number of rules provided.", "Makes or changes a user.")
        .with(&[Argument::string("username"), Argument::string("rule").optional().multiple()]);
pub(in crate::commands) static ACL_USERS: Doc = Doc::new(
    G,
    "6.0.0",
    "O(N). Where N is the number of configured users.",
    "Returns the names of all users.",
);
pub(in crate::commands) static ACL_WHOAMI: Doc =
    Doc::new(G, "6.0.0", "O(1)", "Returns the name of the user of the connection.");
