//! Commands on strings.

use super::check_with_redis;

#[test]
fn get_and_set() {
    check_with_redis(
        r#"
        # a value is what was set last
        GET k => nil
        SET k v => OK
        GET k => "v"
        SET k "two\r\nlines\x00" => OK
        GET k => "two\r\nlines\x00"
        SET "" "" => OK
        GET "" => ""
        set K v => OK
        GET k => "two\r\nlines\x00"
        # conditions
        SET k v XX => nil
        SET k v NX => OK
        SET k w NX => nil
        SET k x XX => OK
        GET k => "x"
        SET k y nx get => "x"
        GET k => "x"
        SET k y GET XX => "x"
        SET n y GET XX => nil
        SET n y GET NX => nil
        GET n => "y"
        SET n z NX NX => nil
        # options that make no sense
        SET k v NX XX => -ERR syntax error
        SET k v XX NX => -ERR syntax error
        SET k v EX 10 PX 10 => -ERR syntax error
        SET k v EX 10 EXAT 10 => -ERR syntax error
        SET k v PX 10 KEEPTTL => -ERR syntax error
        SET k v KEEPTTL EX 10 => -ERR syntax error
        SET k v EX => -ERR syntax error
        SET k v PERSIST => -ERR syntax error
        SET k v FOO => -ERR syntax error
        SET k v EX 10 EX 20 => OK
        TTL k => :20
        SET k v KEEPTTL KEEPTTL => OK
        SET k => -ERR wrong number of arguments for 'set' command
        # times
        SET k v EX 0 => -ERR invalid expire time in 'set' command
        SET k v EX -1 => -ERR invalid expire time in 'set' command
        SET k v PX 0 => -ERR invalid expire time in 'set' command
        SET k v EXAT 0 => -ERR invalid expire time in 'set' command
        SET k v PXAT -5 => -ERR invalid expire time in 'set' command
        SET k v EX 9223372036854775807 => -ERR invalid expire time in 'set' command
        SET k v PX 9223372036854775807 => -ERR invalid expire time in 'set' command
        SET k v EXAT 9223372036854775807 => -ERR invalid expire time in 'set' command
        SET k v EX 9223372036854775808 => -ERR value is not an integer or out of range
        SET k v EX 1.5 => -ERR value is not an integer or out of range
        SET k v EX +1 => -ERR value is not an integer or out of range
        SET k v EX abc XX => -ERR value is not an integer or out of range
        GET k => nil
        SET k v EX 100 => OK
        PTTL k => :99000..100000
        SET k v => OK
        TTL k => :-1
        SET k v PX 100000 => OK
        SET k w KEEPTTL => OK
        PTTL k => :99000..100000
        SET k v EXAT 33177117420 => OK
        EXPIRETIME k => :33177117420
        SET k v PXAT 33177117420001 => OK
        PEXPIRETIME k => :33177117420001
        SET k v PXAT 1 => OK
        GET k => nil
        # the value goes when its time has come
        SET k v PX 30 => OK
        GET k => "v"
        @sleep 45
        GET k => nil
        EXISTS k => :0
        SET k v PX 30 => OK
        @sleep 45
        SET k w NX => OK
        SET k v PX 30 => OK
        @sleep 45
        SET k w XX => nil
        "#,
    );
}

#[test]
fn setnx_setex_psetex_getset_getdel() {
    check_with_redis(
        r#"
        # setnx
        SETNX k a => :1
        SETNX k b => :0
        GET k => "a"
        SETNX k => -ERR wrong number of arguments for 'setnx' command
        # setex and psetex
        SETEX k 10 v => OK
        TTL k => :10
        PSETEX k 10000 w => OK
        PTTL k => :9000..10000
        GET k => "w"
        SETEX k 0 v => -ERR invalid expire time in 'setex' command
        PSETEX k -1 v => -ERR invalid expire time in 'psetex' command
        SETEX k abc v => -ERR value is not an integer or out of range
        # getset drops the end
        GETSET k a => nil
        EXPIRE k 100 => :1
        GETSET k b => "a"
        TTL k => :-1
        # getdel
        GETDEL k => nil
        SET k v => OK
        GETDEL k => "v"
        GETDEL k => nil
        "#,
    );
}

#[test]
fn getex() {
    check_with_redis(
        r#"
        # getex changes the end
        GETEX k => nil
        GETEX k EX abc => nil
        GETEX k NX => -ERR syntax error
        SET k v => OK
        GETEX k => "v"
        TTL k => :-1
        GETEX k EX 100 => "v"
        TTL k => :100
        GETEX k => "v"
        TTL k => :100
        GETEX k PERSIST => "v"
        TTL k => :-1
        GETEX k PERSIST => "v"
        GETEX k PX 100000 => "v"
        PTTL k => :99000..100000
        GETEX k EXAT 33177117420 => "v"
        EXPIRETIME k => :33177117420
        GETEX k PXAT 33177117420001 => "v"
        PEXPIRETIME k => :33177117420001
        GETEX k EX 0 => -ERR invalid expire time in 'getex' command
        GETEX k EX abc => -ERR value is not an integer or out of range
        GETEX k EX 10 PERSIST => -ERR syntax error
        GETEX k PERSIST EX 10 => -ERR syntax error
        GETEX k KEEPTTL => -ERR syntax error
        GETEX k GET => -ERR syntax error
        GETEX k EX => -ERR syntax error
        GETEX k EXAT 1 => "v"
        EXISTS k => :0
        "#,
    );
}

#[test]
fn several_at_once() {
    check_with_redis(
        r#"
        # mget and mset
        MSET a 1 b 2 => OK
        MGET a x b a => ["1", nil, "2", "1"]
        MSET a 1 a 2 => OK
        GET a => "2"
        MSET a => -ERR wrong number of arguments for 'mset' command
        MSET a 1 b => -ERR wrong number of arguments for 'mset' command
        MGET => -ERR wrong number of arguments for 'mget' command
        EXPIRE a 100 => :1
        MSET a 3 => OK
        TTL a => :-1
        # msetnx
        MSETNX {t}a 1 {t}b 2 => :1
        MSETNX {t}b 3 {t}c 4 => :0
        EXISTS {t}c => :0
        GET {t}b => "2"
        MSETNX {t}d 1 {t}d 2 => :1
        GET {t}d => "2"
        MSETNX a 1 b => -ERR wrong number of arguments for 'msetnx' command
        "#,
    );
}

#[test]
fn parts_of_values() {
    check_with_redis(
        r#"
        # strlen and append
        STRLEN k => :0
        APPEND k "" => :0
        EXISTS k => :1
        APPEND k abc => :3
        APPEND k def => :6
        APPEND k "" => :6
        GET k => "abcdef"
        STRLEN k => :6
        EXPIRE k 100 => :1
        APPEND k g => :7
        TTL k => :100
        # getrange
        GETRANGE k 0 -1 => ""
        SET k "Hello World" => OK
        GETRANGE k 0 4 => "Hello"
        GETRANGE k -5 -1 => "World"
        GETRANGE k 0 -1 => "Hello World"
        GETRANGE k 3 1 => ""
        GETRANGE k -1 -5 => ""
        GETRANGE k 100 200 => ""
        GETRANGE k 0 0 => "H"
        GETRANGE k -100 -100 => "H"
        GETRANGE k -9223372036854775808 9223372036854775807 => "Hello World"
        GETRANGE k 9223372036854775807 -9223372036854775808 => ""
        SUBSTR k 0 4 => "Hello"
        GETRANGE k a 1 => -ERR value is not an integer or out of range
        GETRANGE k 1 b => -ERR value is not an integer or out of range
        GETRANGE k 1 => -ERR wrong number of arguments for 'getrange' command
        # setrange
        SETRANGE k 0 "" => :0
        SETRANGE k 5 "" => :0
        EXISTS k => :0
        SETRANGE k 3 abc => :6
        GET k => "\x00\x00\x00abc"
        SETRANGE k 1 X => :6
        GET k => "\x00X\x00abc"
        SETRANGE k 5 wxyz => :9
        GET k => "\x00X\x00abwxyz"
        SETRANGE k 100 "" => :9
        EXPIRE k 100 => :1
        SETRANGE k 0 a => :9
        TTL k => :100
        SETRANGE k -1 a => -ERR offset is out of range
        SETRANGE k -1 "" => -ERR offset is out of range
        SETRANGE k abc a => -ERR value is not an integer or out of range
        SETRANGE k 536870912 a => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE k 536870911 aa => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE k 9223372036854775807 a => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE k 9223372036854775807 "" => :9
        "#,
    );
}

#[test]
fn integers() {
    check_with_redis(
        r#"
        # counting
        INCR k => :1
        INCR k => :2
        DECR k => :1
        INCRBY k 41 => :42
        DECRBY k 50 => :-8
        INCRBY k -2 => :-10
        GET k => "-10"
        EXPIRE k 100 => :1
        INCR k => :-9
        TTL k => :100
        # what is no integer
        SET k abc => OK
        INCR k => -ERR value is not an integer or out of range
        SET k "" => OK
        INCR k => -ERR value is not an integer or out of range
        SET k " 1" => OK
        INCR k => -ERR value is not an integer or out of range
        SET k 01 => OK
        INCR k => -ERR value is not an integer or out of range
        SET k 1.0 => OK
        DECR k => -ERR value is not an integer or out of range
        SET k 9223372036854775808 => OK
        INCR k => -ERR value is not an integer or out of range
        INCRBY k 1.5 => -ERR value is not an integer or out of range
        INCRBY k abc => -ERR value is not an integer or out of range
        DECRBY k "" => -ERR value is not an integer or out of range
        # the ends of 64 bits
        SET k 9223372036854775807 => OK
        INCR k => -ERR increment or decrement would overflow
        INCRBY k -1 => :9223372036854775806
        INCRBY k 2 => -ERR increment or decrement would overflow
        SET k -9223372036854775808 => OK
        DECR k => -ERR increment or decrement would overflow
        DECRBY k -9223372036854775808 => -ERR decrement would overflow
        INCRBY k -9223372036854775808 => -ERR increment or decrement would overflow
        GET k => "-9223372036854775808"
        "#,
    );
}

#[test]
fn floating_point_numbers() {
    check_with_redis(
        r#"
        # sums as in 80 bits
        INCRBYFLOAT k 0.1 => "0.1"
        INCRBYFLOAT k 0.2 => "0.3"
        SET k 10.50 => OK
        INCRBYFLOAT k 0.1 => "10.6"
        INCRBYFLOAT k -5 => "5.6"
        SET k 5.0e3 => OK
        INCRBYFLOAT k 2.0e2 => "5200"
        GET k => "5200"
        INCRBYFLOAT k -5200 => "0"
        INCRBYFLOAT k -1e-30 => "0"
        SET k 1 => OK
        INCRBYFLOAT k 1e17 => "100000000000000001"
        INCRBYFLOAT k 0.5 => "100000000000000001.5"
        INCRBYFLOAT k 1e30 => "1000000000000100000057486475264"
        SET k 3.14159265358979323846 => OK
        INCRBYFLOAT k 0 => "3.14159265358979324"
        SET k 0x10 => OK
        INCRBYFLOAT k 0x1.8p1 => "19"
        EXPIRE k 100 => :1
        INCRBYFLOAT k 1 => "20"
        TTL k => :100
        INCR k => :21
        # what is no number
        INCRBYFLOAT k abc => -ERR value is not a valid float
        INCRBYFLOAT k nan => -ERR value is not a valid float
        INCRBYFLOAT k " 1" => -ERR value is not a valid float
        INCRBYFLOAT k "1 " => -ERR value is not a valid float
        INCRBYFLOAT k "" => -ERR value is not a valid float
        INCRBYFLOAT k 1e5000 => -ERR value is not a valid float
        INCRBYFLOAT k 1e-5000 => -ERR value is not a valid float
        INCRBYFLOAT k inf => -ERR increment would produce NaN or Infinity
        INCRBYFLOAT k -inf => -ERR increment would produce NaN or Infinity
        SET k abc => OK
        INCRBYFLOAT k 1 => -ERR value is not a valid float
        SET k "" => OK
        INCRBYFLOAT k 1 => -ERR value is not a valid float
        SET k 1.18973149535723176502e4932 => OK
        INCRBYFLOAT k 1.18973149535723176502e4932 => -ERR increment would produce NaN or Infinity
        "#,
    );
}
