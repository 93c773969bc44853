//! Commands on the connection, and on users and what they may do.

use super::super::command::{Command, Execution};
use super::super::docs::{acl as acl_docs, connection as connection_docs};
use super::super::{acl, client, client_kill, client_pause, connection};
use super::words::{
    ADMIN, ALL_SHARDS_OK, ANYTIME, ANYTIME_FAST, C, F, FIRST_THING, NO, PERSONAL, VARYING, command,
};
use Execution::{Configure, Connection, Container, EndSessions, Sessions};

pub(super) const CONNECTIONS: [Command; 21] = [
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
        "client|kill",
        -3,
        ADMIN,
        C::CONNECTION,
        EndSessions { check: client_kill::check, picks: client_kill::picks },
        &connection_docs::CLIENT_KILL,
    ),
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
        "client|no-evict",
        3,
        ADMIN,
        C::CONNECTION,
        Connection(client::no_evict),
        &connection_docs::CLIENT_NO_EVICT,
    ),
    command(
        "client|pause",
        -3,
        ADMIN,
        C::CONNECTION,
        Configure { check: client_pause::pause, apply: client_pause::apply },
        &connection_docs::CLIENT_PAUSE,
    ),
    command(
        "client|reply",
        3,
        PERSONAL,
        C::CONNECTION,
        Connection(client::reply),
        &connection_docs::CLIENT_REPLY,
    ),
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
    command(
        "client|unblock",
        -3,
        ADMIN,
        C::CONNECTION,
        Connection(client::unblock),
        &connection_docs::CLIENT_UNBLOCK,
    ),
    command(
        "client|unpause",
        2,
        ADMIN,
        C::CONNECTION,
        Configure { check: client_pause::unpause, apply: client_pause::apply },
        &connection_docs::CLIENT_UNPAUSE,
    ),
];

pub(super) const ACCESS: [Command; 14] = [
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
