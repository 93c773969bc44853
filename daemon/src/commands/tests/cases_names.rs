//! Keys under other names and in other databases, dumps, and what a value is like inside.

use super::{Executor, check, check_with_redis, redis, render, script};

#[test]
fn keys_get_other_names() {
    check_with_redis(
        r#"
        # rename
        RENAME {t}a {t}b => -ERR no such key
        SET {t}a 1 => OK
        RENAME {t}a {t}b => OK
        EXISTS {t}a => :0
        GET {t}b => "1"
        RENAME {t}b {t}b => OK
        RENAMENX {t}b {t}b => :0
        RENAME {t}n {t}n => -ERR no such key
        RENAMENX {t}n {t}b => -ERR no such key
        SET {t}c 2 EX 1000 => OK
        RENAMENX {t}b {t}c => :0
        RENAME {t}c {t}b => OK
        GET {t}b => "2"
        TTL {t}b => :1000
        SET {t}c 3 => OK
        RENAME {t}c {t}b => OK
        TTL {t}b => :-1
        RENAMENX {t}b {t}d => :1
        GET {t}d => "3"
        RENAME a => -ERR wrong number of arguments for 'rename' command
        # copy
        COPY {t}a {t}b => :0
        SET {t}a 1 EX 1000 => OK
        COPY {t}a {t}b => :1
        GET {t}b => "1"
        TTL {t}b => :1000
        SET {t}a 2 => OK
        COPY {t}a {t}b => :0
        COPY {t}a {t}b replace => :1
        GET {t}b => "2"
        TTL {t}b => :-1
        COPY {t}a {t}a => -ERR source and destination objects are the same
        COPY {t}n {t}n => -ERR source and destination objects are the same
        COPY {t}a {t}a DB 1 => :1
        COPY {t}a {t}a DB 1 => :0
        COPY {t}a {t}b DB 16 => -ERR DB index is out of range
        COPY {t}a {t}b DB 99 REPLACE => -ERR DB index is out of range
        COPY {t}a {t}b DB -1 => -ERR DB index is out of range
        COPY {t}a {t}b DB x => -ERR value is not an integer or out of range
        COPY {t}a {t}b DB 4294967296 => -ERR value is out of range, value must between -2147483648 and 2147483647
        COPY {t}a {t}b DB => -ERR syntax error
        COPY {t}a {t}b DB 99 FOO => -ERR DB index is out of range
        COPY {t}a {t}b FOO DB 99 => -ERR syntax error
        COPY {t}a {t}c DB 3 DB 0 => :1
        EXISTS {t}c => :1
        SELECT 1 => OK
        GET {t}a => "2"
        # move
        MOVE a 1 => :0
        SET a 1 EX 1000 => OK
        MOVE a 0 => -ERR source and destination objects are the same
        MOVE a 16 => -ERR DB index is out of range
        MOVE a -1 => -ERR DB index is out of range
        MOVE a x => -ERR value is not an integer or out of range
        MOVE a 1 => :1
        EXISTS a => :0
        SET a 2 => OK
        MOVE a 1 => :0
        SELECT 1 => OK
        GET a => "1"
        TTL a => :1000
        # databases
        SET k 0 => OK
        SELECT 15 => OK
        GET k => nil
        SET k 15 => OK
        DBSIZE => :1
        KEYS * => ["k"]
        RANDOMKEY => "k"
        FLUSHDB => OK
        DBSIZE => :0
        SELECT 0 => OK
        GET k => "0"
        SELECT 16 => -ERR DB index is out of range
        SELECT 15 => OK
        SET k 15 => OK
        FLUSHALL => OK
        SELECT 0 => OK
        DBSIZE => :0
        # swapdb
        SWAPDB 0 0 => OK
        SWAPDB x 0 => -ERR invalid first DB index
        SWAPDB 0 x => -ERR invalid second DB index
        SWAPDB 4294967296 0 => -ERR invalid first DB index
        SWAPDB 0 16 => -ERR DB index is out of range
        SWAPDB 16 x => -ERR invalid second DB index
        SWAPDB -1 0 => -ERR DB index is out of range
        SWAPDB 0 => -ERR wrong number of arguments for 'swapdb' command
        SET k 0 => OK
        SELECT 1 => OK
        SET k 1 EX 1000 => OK
        SET other 1 => OK
        SWAPDB 0 1 => OK
        GET k => "0"
        EXISTS other => :0
        DBSIZE => :1
        SWAPDB 01 2 => -ERR invalid first DB index
        SELECT 0 => OK
        MGET k other => ["1", "1"]
        TTL k => :1000
        KEYS o* => ["other"]
        COPY k copied DB 1 => :1
        MOVE other 1 => :1
        SELECT 1 => OK
        MGET k other copied => ["0", "1", "1"]
        SWAPDB 1 7 => OK
        DBSIZE => :0
        RANDOMKEY => nil
        SET k one => OK
        SELECT 7 => OK
        MGET k other copied => ["0", "1", "1"]
        FLUSHDB => OK
        SWAPDB 7 0 => OK
        GET k => "1"
        SELECT 1 => OK
        GET k => "one"
        SWAPDB 1 1 => OK
        GET k => "one"
        "#,
    );
}

#[test]
fn values_from_inside() {
    check_with_redis(
        r#"
        # object
        OBJECT ENCODING k => nil
        OBJECT REFCOUNT k => nil
        OBJECT FREQ k => nil
        OBJECT IDLETIME k => nil
        SET k 123 => OK
        OBJECT ENCODING k => "int"
        OBJECT REFCOUNT k => :2147483647
        SET k 10000 => OK
        OBJECT REFCOUNT k => :1
        SET k -1 => OK
        OBJECT REFCOUNT k => :1
        SET k 9223372036854775807 => OK
        OBJECT ENCODING k => "int"
        SET k 9223372036854775808 => OK
        OBJECT ENCODING k => "embstr"
        SET k 01234567890123456789012345678901234567890123 => OK
        OBJECT ENCODING k => "embstr"
        SET k 012345678901234567890123456789012345678901234 => OK
        OBJECT ENCODING k => "raw"
        OBJECT IDLETIME k => :0
        OBJECT FREQ k => -ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        OBJECT HELP => *
        OBJECT FREQ => -ERR wrong number of arguments for 'object|freq' command
        # memory
        MEMORY USAGE k => nil
        SET k v => OK
        MEMORY USAGE k => :1..1000
        MEMORY USAGE k SAMPLES 0 => :1..1000
        MEMORY USAGE k samples 5 SAMPLES 1 => :1..1000
        MEMORY USAGE k SAMPLES -1 => -ERR syntax error
        MEMORY USAGE k SAMPLES x => -ERR value is not an integer or out of range
        MEMORY USAGE k SAMPLES => -ERR syntax error
        MEMORY USAGE k FOO 1 => -ERR syntax error
        MEMORY PURGE => OK
        MEMORY HELP => *
        # what there is nothing of
        SCRIPT FLUSH => OK
        SCRIPT FLUSH async => OK
        SCRIPT FLUSH FOO => -ERR SCRIPT FLUSH only support SYNC|ASYNC option
        SCRIPT FLUSH SYNC SYNC => -ERR SCRIPT FLUSH only support SYNC|ASYNC option
        FUNCTION FLUSH => OK
        FUNCTION FLUSH SYNC => OK
        FUNCTION FLUSH FOO => -ERR FUNCTION FLUSH only supports SYNC|ASYNC option
        WAIT 0 0 => :0
        WAIT 0 10 => :0
        WAIT x 0 => -ERR value is not an integer or out of range
        WAIT 0 x => -ERR timeout is not an integer or out of range
        WAIT 0 -1 => -ERR timeout is negative
        "#,
    );
    check(
        r#"
        # waitaof, which Redis 7.0 does not have
        WAITAOF 1 0 0 => -ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.
        WAITAOF 0 0 0 => [:0, :0]
        WAITAOF 2 0 0 => -ERR value is out of range, value must between 0 and 1
        WAITAOF 0 -1 0 => -ERR value is out of range, must be positive
        WAITAOF 0 0 -1 => -ERR timeout is negative
        MEMORY MALLOC-STATS => "Stats not supported for the current allocator"
        MEMORY DOCTOR => "No issue with the memory of records is known.\n"
        "#,
    );
}

#[test]
fn dumps() {
    check_with_redis(
        r#"
        # restore
        DUMP k => nil
        RESTORE k 0 "\x00\xc0{\n\x00\xe2\xd7\xf3\x0c\xa1\x9d\x80\xb7" => *
        RESTORE k 0 x => -ERR DUMP payload version or checksum are wrong
        RESTORE k -1 x => -ERR Invalid TTL value, must be >= 0
        RESTORE k x x => -ERR value is not an integer or out of range
        RESTORE k 0 x FOO => -ERR syntax error
        RESTORE k 0 x IDLETIME -1 => -ERR Invalid IDLETIME value, must be >= 0
        RESTORE k 0 x FREQ 256 => -ERR Invalid FREQ value, must be >= 0 and <= 255
        RESTORE k 0 x FREQ 1 IDLETIME 1 => -ERR syntax error
        RESTORE k 0 x IDLETIME x => -ERR value is not an integer or out of range
        SET k v => OK
        RESTORE k x x => -BUSYKEY Target key name already exists.
        RESTORE k x x REPLACE => -ERR value is not an integer or out of range
        "#,
    );
}

/// Values go from one to the other and back by DUMP and RESTORE.
#[test]
fn dumps_are_exchanged_with_redis() {
    let Some(redis) = redis::Redis::start() else { return };
    let (mut client, mut executor) = (redis.connect(), Executor::new());
    let request = |words: &[&[u8]]| {
        let mut bytes = Vec::new();
        resp::write_request(&mut bytes, words);
        bytes
    };
    let dump_of = |reply: &[u8]| match resp::parse_reply(reply).unwrap().unwrap().0 {
        resp::Reply::Bulk(bytes) => bytes.to_vec(),
        other => panic!("a dump: {other:?}"),
    };
    let compressible = b"abcabcabcabcabcabc-".repeat(500);
    let random: Vec<u8> =
        (0u32..70_000).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let zeros = vec![0; 100_000];
    let values: Vec<&[u8]> = vec![
        b"",
        b"a",
        b"0",
        b"-1",
        b"127",
        b"128",
        b"-129",
        b"32768",
        b"2147483647",
        b"-2147483649",
        b"9223372036854775807",
        b"00",
        &random[..63],
        &random[..64],
        &random[..16_384],
        &random,
        &compressible,
        &zeros,
    ];
    for value in values {
        let is_small = value.len() <= 20;
        for reply in
            [client.ask(&request(&[b"SET", b"k", value])), executor.run(&request(&[b"SET", b"k", value]))]
        {
            assert_eq!(render(&reply), "OK");
        }
        let (theirs, ours) =
            (client.ask(&request(&[b"DUMP", b"k"])), executor.run(&request(&[b"DUMP", b"k"])));
        assert!(!is_small || ours == theirs, "{}", value.escape_ascii());
        let (theirs, ours) = (dump_of(&theirs), dump_of(&ours));
        let restore = |dump: &[u8]| request(&[b"RESTORE", b"l", b"1000000", dump, b"REPLACE"]);
        assert_eq!(render(&client.ask(&restore(&ours))), "OK");
        assert_eq!(render(&executor.run(&restore(&theirs))), "OK");
        for words in [&[&b"GET"[..], b"l"][..], &[b"TTL", b"l"]] {
            assert_eq!(executor.run(&request(words)), client.ask(&request(words)));
        }
        assert_eq!(executor.run(&request(&[b"GET", b"l"])), executor.run(&request(&[b"GET", b"k"])));
        // A time that has passed, and one that is told as such.
        for (time, there) in [(b"1", false), (b"0", true)] {
            let past = request(&[b"RESTORE", b"l", time, &ours, b"REPLACE", b"ABSTTL", b"FREQ", b"3"]);
            assert_eq!(executor.run(&past), client.ask(&past));
            let exists = script::request_of("EXISTS l");
            assert_eq!(render(&client.ask(&exists)), format!(":{}", u8::from(there)));
            assert_eq!(executor.run(&exists), client.ask(&exists));
        }
    }
}
