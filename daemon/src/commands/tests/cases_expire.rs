//! When keys end.

use super::check_with_redis;

#[test]
fn deadlines() {
    check_with_redis(
        r#"
        # what there is not
        EXPIRE k 10 => :0
        TTL k => :-2
        PTTL k => :-2
        EXPIRETIME k => :-2
        PEXPIRETIME k => :-2
        PERSIST k => :0
        # set, asked and taken back
        SET k v => OK
        TTL k => :-1
        PTTL k => :-1
        EXPIRETIME k => :-1
        PEXPIRETIME k => :-1
        PERSIST k => :0
        EXPIRE k 100 => :1
        TTL k => :100
        PTTL k => :99000..100000
        PERSIST k => :1
        TTL k => :-1
        PEXPIRE k 100000 => :1
        TTL k => :100
        EXPIREAT k 33177117420 => :1
        EXPIRETIME k => :33177117420
        PEXPIRETIME k => :33177117420000
        PEXPIREAT k 33177117420999 => :1
        EXPIRETIME k => :33177117421
        PEXPIRETIME k => :33177117420999
        # a time that has passed ends the key at once
        SET k v => OK
        EXPIRE k 0 => :1
        EXISTS k => :0
        SET k v => OK
        EXPIRE k -1 => :1
        EXISTS k => :0
        SET k v => OK
        EXPIREAT k 1 => :1
        EXISTS k => :0
        SET k v => OK
        PEXPIREAT k -9223372036854775808 => :1
        EXISTS k => :0
        # the time comes
        SET k v => OK
        PEXPIRE k 30 => :1
        @sleep 45
        TTL k => :-2
        SET k v PX 30 => OK
        @sleep 45
        EXPIRE k 10 => :0
        SET k v PX 30 => OK
        @sleep 45
        PERSIST k => :0
        SET k 1 PX 30 => OK
        @sleep 45
        INCR k => :1
        TTL k => :-1
        # times that cannot be
        SET k v => OK
        EXPIRE k 9223372036854775807 => -ERR invalid expire time in 'expire' command
        EXPIRE k -9223372036854775808 => -ERR invalid expire time in 'expire' command
        PEXPIRE k 9223372036854775807 => -ERR invalid expire time in 'pexpire' command
        EXPIREAT k 9223372036854775807 => -ERR invalid expire time in 'expireat' command
        EXPIRE missing 9223372036854775807 => -ERR invalid expire time in 'expire' command
        EXPIRE k abc => -ERR value is not an integer or out of range
        EXPIRE k "" => -ERR value is not an integer or out of range
        EXPIRE k 1.5 => -ERR value is not an integer or out of range
        EXPIRE k => -ERR wrong number of arguments for 'expire' command
        TTL k => :-1
        PEXPIREAT k 9223372036854775807 => :1
        PEXPIRETIME k => :9223372036854775807
        "#,
    );
}

#[test]
fn conditions() {
    check_with_redis(
        r#"
        # nx and xx
        SET k v => OK
        EXPIRE k 100 XX => :0
        TTL k => :-1
        EXPIRE k 100 NX => :1
        EXPIRE k 200 NX => :0
        TTL k => :100
        EXPIRE k 200 XX => :1
        TTL k => :200
        # gt and lt: no deadline is the latest
        SET k v => OK
        EXPIRE k 100 GT => :0
        EXPIRE k 100 LT => :1
        EXPIRE k 50 GT => :0
        EXPIRE k 150 gt => :1
        TTL k => :150
        EXPIRE k 200 LT => :0
        EXPIRE k 100 LT => :1
        TTL k => :100
        EXPIRE k 200 XX GT => :1
        EXPIRE k -5 GT => :0
        EXPIRE k -5 LT => :1
        EXISTS k => :0
        # absolute ones
        SET k v => OK
        PEXPIREAT k 33177117420000 NX => :1
        PEXPIREAT k 33177117420000 GT => :0
        PEXPIREAT k 33177117420001 GT => :1
        EXPIREAT k 33177117420 LT => :1
        # options that make no sense
        EXPIRE k 10 NX XX => -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE k 10 NX GT => -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE k 10 GT LT => -ERR GT and LT options at the same time are not compatible
        EXPIRE k 10 FOO => -ERR Unsupported option FOO
        EXPIRE k abc FOO => -ERR Unsupported option FOO
        EXPIRE k 10 NX NX => :0
        "#,
    );
}
