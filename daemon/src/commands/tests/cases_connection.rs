//! The connection itself, refusals before any handler, and CLIENT.

use super::{Executor, check, check_with_redis, render, script};
use crate::commands::Action;

#[test]
fn greetings() {
    check_with_redis(
        r#"
        # ping and echo
        PING => PONG
        ping hello => "hello"
        PING a b => -ERR wrong number of arguments for 'ping' command
        ECHO "a\r\nb" => "a\r\nb"
        ECHO => -ERR wrong number of arguments for 'echo' command
        # select
        SELECT 0 => OK
        SELECT abc => -ERR value is not an integer or out of range
        SELECT -1 => -ERR DB index is out of range
        SELECT 99 => -ERR DB index is out of range
        SELECT 3000000000 => -ERR value is out of range, value must between -2147483648 and 2147483647
        # hello
        HELLO 4 => -NOPROTO unsupported protocol version
        HELLO 1 => -NOPROTO unsupported protocol version
        HELLO abc => -ERR Protocol version is not an integer or out of range
        HELLO 3 FOO => -ERR Syntax error in HELLO option 'FOO'
        HELLO 3 SETNAME => -ERR Syntax error in HELLO option 'SETNAME'
        HELLO 3 AUTH x => -ERR Syntax error in HELLO option 'AUTH'
        HELLO 3 AUTH nobody x => -WRONGPASS invalid username-password pair or user is disabled.
        HELLO 3 SETNAME "a b" => -ERR Client names cannot contain spaces, newlines or special characters.
        GET k => nil
        # auth
        AUTH x => -ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
        AUTH default x => OK
        AUTH nobody x => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH a b c => -ERR syntax error
        # reset
        CLIENT SETNAME n => OK
        RESET => RESET
        CLIENT GETNAME => nil
        RESET x => -ERR wrong number of arguments for 'reset' command
        # names
        CLIENT GETNAME => nil
        CLIENT SETNAME "a b" => -ERR Client names cannot contain spaces, newlines or special characters.
        CLIENT SETNAME "a\x7f" => -ERR Client names cannot contain spaces, newlines or special characters.
        CLIENT SETNAME me => OK
        CLIENT GETNAME => "me"
        CLIENT SETNAME "" => OK
        CLIENT GETNAME => nil
        # the list
        CLIENT LIST TYPE x => -ERR Unknown client type 'x'
        CLIENT LIST TYPE => -ERR syntax error
        CLIENT LIST ID => -ERR syntax error
        CLIENT LIST ID x => -ERR Invalid client ID
        CLIENT LIST ID 999999 => ""
        CLIENT LIST TYPE pubsub => ""
        CLIENT LIST FOO => -ERR syntax error
        # kill
        CLIENT KILL ID 0 => -ERR client-id should be greater than 0
        CLIENT KILL ID x => -ERR client-id should be greater than 0
        CLIENT KILL ID => -ERR No such client
        CLIENT KILL 1.1.1.1:1 => -ERR No such client
        CLIENT KILL ADDR 1:1 => :0
        CLIENT KILL LADDR 1:1 => :0
        CLIENT KILL ID 99999999 => :0
        CLIENT KILL TYPE pubsub => :0
        CLIENT KILL TYPE x => -ERR Unknown client type 'x'
        CLIENT KILL USER nobody => -ERR No such user 'nobody'
        CLIENT KILL SKIPME maybe => -ERR syntax error
        CLIENT KILL ID 1 LADDR => -ERR syntax error
        CLIENT KILL FOO bar => -ERR syntax error
        CLIENT KILL ID 1 USER default SKIPME yes => :0
        # pause
        CLIENT PAUSE x => -ERR timeout is not an integer or out of range
        CLIENT PAUSE -1 => -ERR timeout is negative
        CLIENT PAUSE 1 foo => -ERR CLIENT PAUSE mode must be WRITE or ALL
        CLIENT PAUSE 1 all x => -ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.
        CLIENT PAUSE 1 WRITE => OK
        CLIENT UNPAUSE => OK
        # unblock
        CLIENT UNBLOCK x => -ERR value is not an integer or out of range
        CLIENT UNBLOCK 99999999 => :0
        CLIENT UNBLOCK 99999999 ERROR => :0
        CLIENT UNBLOCK 5 foo => -ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR
        CLIENT UNBLOCK 5 ERROR x => -ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.
        # replies and eviction
        CLIENT REPLY foo => -ERR syntax error
        CLIENT REPLY ON => OK
        CLIENT NO-EVICT foo => -ERR syntax error
        CLIENT NO-EVICT ON => OK
        CLIENT NO-EVICT OFF => OK
        # subcommands
        CLIENT => -ERR wrong number of arguments for 'client' command
        CLIENT FOO => -ERR unknown subcommand 'FOO'. Try CLIENT HELP.
        cLiEnT foo bar => -ERR unknown subcommand 'foo'. Try CLIENT HELP.
        CLIENT ID x => -ERR wrong number of arguments for 'client|id' command
        CONFIG FOO => -ERR unknown subcommand 'FOO'. Try CONFIG HELP.
        CONFIG => -ERR wrong number of arguments for 'config' command
        "#,
    );
}

#[test]
fn unknown_commands_are_repeated_in_part() {
    check_with_redis(
        r#"
        # names and arguments
        FOOBAR => -ERR unknown command 'FOOBAR', with args beginning with: 
        FOOBAR a "b c" => -ERR unknown command 'FOOBAR', with args beginning with: 'a' 'b c' 
        "" => -ERR unknown command '', with args beginning with: 
        "FO\r\n+OK!" => -ERR unknown command 'FO  +OK!', with args beginning with: 
        "FO\x00OO" "a\x00b" => -ERR unknown command 'FO', with args beginning with: 'a' 
        GET => -ERR wrong number of arguments for 'get' command
        get a b => -ERR wrong number of arguments for 'get' command
        "#,
    );
    let long = "x".repeat(300);
    let table = format!(
        "# an argument is cut\nFOO {long} => -ERR unknown command 'FOO', with args beginning with: '{cut}' \n\
         {long} a => -ERR unknown command '{cut}', with args beginning with: 'a' \n\
         FOO {half} {long} tail => -ERR unknown command 'FOO', with args beginning with: '{half}' '{rest}' \n\
         CLIENT {long} => -ERR unknown subcommand '{cut}'. Try CLIENT HELP.",
        cut = &long[..128],
        half = &long[..64],
        rest = &long[..128 - 67],
    );
    check_with_redis(&table);
}

#[test]
fn hello_tells_who_is_who_in_the_new_protocol() {
    check(
        r#"
        # resp3
        HELLO 3 AUTH default x SETNAME me => {"server": "redis", "version": "7.2.0", "proto": :3, "id": :1, "mode": "standalone", "role": "master", "modules": []}
        CLIENT GETNAME => "me"
        GET k => nil
        CONFIG GET maxclients => {"maxclients": "10000"}
        HELLO => {"server": "redis", "version": "7.2.0", "proto": :3, "id": :1, "mode": "standalone", "role": "master", "modules": []}
        RESET => RESET
        HELLO => ["server", "redis", "version", "7.2.0", "proto", :2, "id", :1, "mode", "standalone", "role", "master", "modules", []]
        HELLO 3 SETNAME other FOO => -ERR Syntax error in HELLO option 'FOO'
        CLIENT GETNAME => nil
        CLIENT ID => :1
        "#,
    );
    let mut executor = Executor::new();
    executor.run(&script::request_of("HELLO 3"));
    assert_eq!(executor.run(&script::request_of("GET k")), b"_\r\n");
    assert_eq!(executor.run(&script::request_of("RESET")), b"+RESET\r\n");
    assert_eq!(executor.run(&script::request_of("GET k")), b"$-1\r\n");
}

#[test]
fn a_client_tells_its_library() {
    // New in Redis 7.2.
    check(
        r#"
        # setinfo
        CLIENT SETINFO LIB-NAME redis-py => OK
        CLIENT SETINFO lib-ver 5.0 => OK
        CLIENT SETINFO LIB-NAME "a b" => -ERR lib-name cannot contain spaces, newlines or special characters.
        CLIENT SETINFO LIB-VER "a\nb" => -ERR lib-ver cannot contain spaces, newlines or special characters.
        CLIENT SETINFO FOO bar => -ERR Unrecognized option 'FOO'
        CLIENT SETINFO LIB-NAME => -ERR wrong number of arguments for 'client|setinfo' command
        RESET => RESET
        "#,
    );
    let mut executor = Executor::new();
    executor.run(&script::request_of("CLIENT SETINFO LIB-NAME lib"));
    executor.run(&script::request_of("CLIENT SETNAME me"));
    executor.advance(61_000);
    let line = render(&executor.run(&script::request_of("CLIENT INFO")));
    let expected = "\"id=1 addr=/tmp/x:0 laddr=/tmp/x:0 fd=8 name=me age=61 idle=61 flags=U db=0 sub=0 psub=0 ssub=0 \
                    multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 \
                    events=r cmd=client|info user=default redir=-1 resp=2 lib-name=lib lib-ver=\\n\"";
    assert_eq!(line, expected);
    for options in ["", "TYPE normal", "ID 7 1"] {
        let list = render(&executor.run(&script::request_of(&format!("CLIENT LIST {options}"))));
        assert_eq!(list, expected.replace("client|info", "client|list"), "{options}");
    }
}

#[test]
fn quit_closes_after_its_reply() {
    let mut executor = Executor::new();
    assert_eq!(executor.run(&script::request_of("QUIT")), b"+OK\r\n");
    assert_eq!(executor.action, Action::CloseAfterReply);
}
