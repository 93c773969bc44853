//! Commands on bits, and LCS.

use super::check_with_redis;

#[test]
fn single_bits() {
    check_with_redis(
        r#"
        # getbit and setbit
        GETBIT k 0 => :0
        SETBIT k 7 1 => :0
        GET k => "\x01"
        SETBIT k 7 1 => :1
        SETBIT k 7 0 => :1
        GET k => "\x00"
        SETBIT k 17 1 => :0
        GET k => "\x00\x00@"
        SETBIT k 100 0 => :0
        STRLEN k => :13
        GETBIT k 17 => :1
        GETBIT k 4294967295 => :0
        SETBIT n 4 0 => :0
        GET n => "\x00"
        # an end stays
        SET k v EX 1000 => OK
        SETBIT k 1 0 => :1
        TTL k => :1000
        # what is no bit
        SETBIT k 0 2 => -ERR bit is not an integer or out of range
        SETBIT k 0 x => -ERR bit is not an integer or out of range
        SETBIT k 0 -1 => -ERR bit is not an integer or out of range
        SETBIT k -1 1 => -ERR bit offset is not an integer or out of range
        SETBIT k x 1 => -ERR bit offset is not an integer or out of range
        SETBIT k #1 1 => -ERR bit offset is not an integer or out of range
        SETBIT k 4294967296 1 => -ERR bit offset is not an integer or out of range
        GETBIT k 4294967296 => -ERR bit offset is not an integer or out of range
        GETBIT k 99999999999999999999 => -ERR bit offset is not an integer or out of range
        GETBIT k => -ERR wrong number of arguments for 'getbit' command
        SETBIT k 0 => -ERR wrong number of arguments for 'setbit' command
        "#,
    );
}

#[test]
fn bits_are_counted_and_found() {
    check_with_redis(
        r#"
        # bitcount
        SET k foobar => OK
        BITCOUNT k => :26
        BITCOUNT k 0 0 => :4
        BITCOUNT k 1 1 BYTE => :6
        BITCOUNT k 5 30 bit => :17
        BITCOUNT k 0 -1 BIT => :26
        BITCOUNT k -8 -1 BIT => :4
        BITCOUNT k -1 -2 => :0
        BITCOUNT k -1 -5 foo => :0
        BITCOUNT k -2 -1 foo => -ERR syntax error
        BITCOUNT k 100 200 => :0
        BITCOUNT k -100 1 => :10
        BITCOUNT k -100 -50 => :4
        BITCOUNT k 0 => -ERR syntax error
        BITCOUNT k 0 x => -ERR value is not an integer or out of range
        BITCOUNT k 0 1 BIT BIT => -ERR syntax error
        BITCOUNT k -9223372036854775808 9223372036854775807 BIT => :26
        # arguments of a missing key are not looked at
        BITCOUNT n => :0
        BITCOUNT n 0 => :0
        BITCOUNT n x y z => :0
        BITPOS n 1 => :-1
        BITPOS n 0 => :0
        BITPOS n 1 x y z => :-1
        BITPOS n 2 => -ERR The bit argument must be 1 or 0.
        BITPOS n x => -ERR value is not an integer or out of range
        # bitpos
        SET k "\xff\xf0\x00" => OK
        BITPOS k 0 => :12
        BITPOS k 1 => :0
        BITPOS k 1 2 => :-1
        BITPOS k 0 0 0 => :-1
        BITPOS k 0 1 => :12
        BITPOS k 0 0 -1 BYTE => :12
        BITPOS k 1 7 15 BIT => :7
        BITPOS k 0 7 11 bit => :-1
        BITPOS k 0 -3 -1 BIT => :21
        BITPOS k 1 3 => :-1
        BITPOS k 0 5 2 => :-1
        BITPOS k 0 x => -ERR value is not an integer or out of range
        BITPOS k 0 0 x => -ERR value is not an integer or out of range
        BITPOS k 0 0 x foo => -ERR syntax error
        BITPOS k 0 0 1 BIT BIT => -ERR syntax error
        SET k "\xff\xff" => OK
        BITPOS k 0 => :16
        BITPOS k 0 0 => :16
        BITPOS k 0 0 -1 => :-1
        BITPOS k 0 0 -1 BIT => :-1
        SET k "" => OK
        BITPOS k 0 => :-1
        BITPOS k 1 => :-1
        BITCOUNT k => :0
        "#,
    );
}

#[test]
fn fields_of_bits() {
    check_with_redis(
        r#"
        # get, set, incrby
        BITFIELD k => []
        EXISTS k => :0
        BITFIELD k INCRBY i5 100 1 GET u4 0 => [:1, :0]
        STRLEN k => :14
        BITFIELD k SET u8 #0 255 SET i8 #1 -1 GET u16 0 => [:0, :0, :65535]
        BITFIELD k GET i8 0 GET u8 0 GET i64 0 GET u63 1 => [:-1, :255, :-281474976710656, :9223090561878065152]
        BITFIELD k SET u8 0 -1 GET u8 0 => [:255, :255]
        BITFIELD k SET u4 0 300 => [:15]
        BITFIELD k get U8 0 => -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        # overflow
        DEL k => :0
        BITFIELD k OVERFLOW SAT INCRBY i8 0 200 INCRBY i8 0 -500 OVERFLOW WRAP INCRBY i8 0 -1 => [:127, :-128, :127]
        BITFIELD k OVERFLOW FAIL INCRBY i8 0 1 GET i8 0 => [nil, :127]
        BITFIELD k OVERFLOW FAIL INCRBY u2 100 5 => [nil]
        STRLEN k => :13
        BITFIELD k OVERFLOW SAT SET u4 0 -1 SET i4 0 100 => [:7, :-1]
        BITFIELD k OVERFLOW SAT INCRBY u4 0 -100 INCRBY u4 0 100 => [:0, :15]
        BITFIELD k SET i64 0 9223372036854775807 INCRBY i64 0 1 => [*]
        # errors
        BITFIELD k OVERFLOW FOO => -ERR Invalid OVERFLOW type specified
        BITFIELD k OVERFLOW => -ERR syntax error
        BITFIELD k GET u8 => -ERR syntax error
        BITFIELD k SET u8 0 => -ERR syntax error
        BITFIELD k FOO u8 0 1 => -ERR syntax error
        BITFIELD k GET u64 0 => -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        BITFIELD k GET i8 -1 => -ERR bit offset is not an integer or out of range
        BITFIELD k GET i8 #x => -ERR bit offset is not an integer or out of range
        BITFIELD k SET i8 0 x => -ERR value is not an integer or out of range
        BITFIELD k GET i8 4294967296 => -ERR bit offset is not an integer or out of range
        BITFIELD_RO k SET i8 0 1 => -ERR BITFIELD_RO only supports the GET subcommand
        BITFIELD_RO k GET i8 0 GET u1 0 => [*]
        BITFIELD_RO n GET i8 0 => [:0]
        BITFIELD_RO n => []
        "#
        .replace("[*]", "*")
        .as_str(),
    );
}

#[test]
fn bits_of_several_strings() {
    check_with_redis(
        r#"
        # bitop
        SET {t}a "\x0f\xff" => OK
        SET {t}b "\x3c" => OK
        BITOP AND {t}d {t}a {t}b => :2
        GET {t}d => "\x0c\x00"
        BITOP or {t}d {t}a {t}b {t}n => :2
        GET {t}d => "?\xff"
        BITOP XOR {t}d {t}a {t}b => :2
        GET {t}d => "3\xff"
        BITOP NOT {t}d {t}b => :1
        GET {t}d => "\xc3"
        BITOP XOR {t}a {t}a {t}a => :2
        GET {t}a => "\x00\x00"
        # the destination's end goes, and a result without bytes deletes it
        MSET {t}b b {t}c c => OK
        SET {t}d v EX 100 => OK
        BITOP OR {t}d {t}b => :1
        TTL {t}d => :-1
        BITOP AND {t}d {t}n => :0
        EXISTS {t}d => :0
        BITOP AND {t}d {t}n {t}m => :0
        # errors
        BITOP FOO {t}d {t}a => -ERR syntax error
        BITOP NOT {t}d {t}a {t}b => -ERR BITOP NOT must be called with a single source key.
        BITOP AND {t}d => -ERR wrong number of arguments for 'bitop' command
        # lcs
        MSET {t}a ohmytext {t}b mynewtext => OK
        LCS {t}a {t}b => "mytext"
        LCS {t}a {t}b LEN => :6
        LCS {t}a {t}b IDX => ["matches", [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], "len", :6]
        LCS {t}a {t}b idx MINMATCHLEN 4 WITHMATCHLEN => ["matches", [[[:4, :7], [:5, :8], :4]], "len", :6]
        LCS {t}a {t}b IDX MINMATCHLEN -4 => ["matches", [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], "len", :6]
        LCS {t}a {t}n => ""
        LCS {t}n {t}m LEN => :0
        LCS {t}n {t}m IDX => ["matches", [], "len", :0]
        LCS {t}a {t}a => "ohmytext"
        LCS {t}a {t}b IDX LEN => -ERR If you want both the length and indexes, please just use IDX.
        LCS {t}a {t}b FOO => -ERR syntax error
        LCS {t}a {t}b MINMATCHLEN => -ERR syntax error
        LCS {t}a {t}b MINMATCHLEN x => -ERR value is not an integer or out of range
        HELLO 3 => *
        LCS {t}a {t}b IDX => {"matches": [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], "len": :6}
        "#,
    );
}
