//! Traces in files: what MONITOR prints, and a CSV whose columns are named.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::BufRead;

use crate::number::floor_u64;
use crate::trace::Trace;

/// Commands that mean something only on their own connection, or that would hold it.
const LEFT_OUT: [&str; 28] = [
    "AUTH",
    "HELLO",
    "SELECT",
    "QUIT",
    "RESET",
    "CLIENT",
    "MONITOR",
    "SYNC",
    "PSYNC",
    "REPLCONF",
    "SHUTDOWN",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH",
    "UNWATCH",
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE",
    "BLPOP",
    "BRPOP",
    "BLMOVE",
    "BRPOPLPUSH",
    "BZPOPMIN",
    "BZPOPMAX",
    "DEBUG",
];

/// Reads a log of MONITOR: `1339518083.107412 [0 127.0.0.1:60866] "set" "k" "v"`.
///
/// # Errors
/// The number of the line and what is wrong with it.
pub fn read_monitor(input: impl BufRead) -> Result<Trace, String> {
    let mut trace = Trace::default();
    for (place, line) in input.split(b'\n').enumerate() {
        let line = line.map_err(|error| format!("line {}: {error}", place + 1))?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        // The answer to MONITOR itself.
        if line.is_empty() || line == b"OK" || line == b"+OK" {
            continue;
        }
        let line = line.strip_prefix(b"+").unwrap_or(line);
        let wrong = |what: &str| format!("line {}: {what}", place + 1);
        let bracket =
            line.iter().position(|&byte| byte == b'[').ok_or_else(|| wrong("no [DB CLIENT] in it"))?;
        let end = line.iter().position(|&byte| byte == b']').ok_or_else(|| wrong("no ] in it"))?;
        let time = std::str::from_utf8(&line[..bracket]).unwrap_or_default().trim();
        let time_ns = parse_seconds(time).ok_or_else(|| wrong("no time of the form SECONDS.MICROSECONDS"))?;
        let client = &line[bracket..end.max(bracket)];
        let arguments =
            parse_quoted(&line[end + 1..]).ok_or_else(|| wrong("an argument is not in quotation marks"))?;
        let name =
            arguments.first().map(|name| String::from_utf8_lossy(name).to_uppercase()).unwrap_or_default();
        // Commands of a script come from the script when it is replayed.
        if name.is_empty() || client.ends_with(b"lua") || LEFT_OUT.contains(&name.as_str()) {
            trace.left_out += 1;
            continue;
        }
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        trace.push_request(time_ns, hash(client), &arguments).map_err(|text| wrong(&text))?;
    }
    trace.finish();
    Ok(trace)
}

/// Decimal seconds as nanoseconds, exact to the last digit.
fn parse_seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(digits.parse().ok()?)
}

/// Arguments in quotation marks with the escapes that servers write.
fn parse_quoted(mut rest: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut arguments = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        let Some((b'"', after)) = rest.split_first() else { return rest.is_empty().then_some(arguments) };
        rest = after;
        let mut argument = Vec::new();
        loop {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            match byte {
                b'"' => break,
                b'\\' => {
                    let (&escape, after) = rest.split_first()?;
                    rest = after;
                    argument.push(match escape {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'a' => 7,
                        b'b' => 8,
                        b'x' => {
                            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                            rest = &rest[2..];
                            u8::from_str_radix(digits, 16).ok()?
                        }
                        other => other,
                    });
                }
                other => argument.push(other),
            }
        }
        arguments.push(argument);
    }
}

fn hash(client: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    client.hash(&mut hasher);
    hasher.finish()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Column {
    /// In units of so many nanoseconds.
    Time(f64),
    Operation,
    Key,
    ValueBytes,
    TtlS,
    Client,
    Ignored,
}

fn column(name: &str) -> Column {
    match name.trim() {
        "time_s" => Column::Time(1e9),
        "time_ms" => Column::Time(1e6),
        "time_us" => Column::Time(1e3),
        "op" => Column::Operation,
        "key" => Column::Key,
        "value_bytes" => Column::ValueBytes,
        "ttl_s" => Column::TtlS,
        "client" => Column::Client,
        _ => Column::Ignored,
    }
}

/// Reads a CSV. Its first line names the columns, or `columns` does: `time_s`, `time_ms` or `time_us`, `op`, `key`,
/// `value_bytes`, `ttl_s`, `client`; others are passed over. `op` and `key` must be there.
///
/// # Errors
/// The number of the line and what is wrong with it.
pub fn read_csv(input: impl BufRead, columns: Option<&str>) -> Result<Trace, String> {
    let mut lines = input.lines().enumerate();
    let header = match columns {
        Some(columns) => columns.to_owned(),
        None => match lines.next() {
            Some((_, line)) => line.map_err(|error| format!("line 1: {error}"))?,
            None => return Err("the trace is empty".to_owned()),
        },
    };
    let columns: Vec<Column> = header.split(',').map(column).collect();
    if !columns.contains(&Column::Operation) || !columns.contains(&Column::Key) {
        return Err(format!("{header:?} names no columns op and key: see --columns"));
    }
    let mut trace = Trace::default();
    for (place, line) in lines {
        let line = line.map_err(|error| format!("line {}: {error}", place + 1))?;
        if !line.trim().is_empty() {
            read_row(&mut trace, &columns, &line).map_err(|text| format!("line {}: {text}", place + 1))?;
        }
    }
    trace.finish();
    Ok(trace)
}

fn read_row(trace: &mut Trace, columns: &[Column], line: &str) -> Result<(), String> {
    let (mut time_ns, mut operation, mut key, mut value_bytes, mut ttl_s, mut client) = (0, "", "", 0, 0, 0);
    let mut fields = line.split(',');
    for column in columns {
        let field =
            fields.next().ok_or_else(|| format!("{} columns are too few", line.split(',').count()))?.trim();
        let number = || field.parse::<u32>().map_err(|_| format!("{field:?} is no number from 0 to 2^32"));
        match column {
            Column::Time(unit_ns) => {
                let time: f64 = field.parse().map_err(|_| format!("{field:?} is no time"))?;
                time_ns = floor_u64((time * unit_ns).round());
            }
            Column::Operation => operation = field,
            Column::Key => key = field,
            Column::ValueBytes => value_bytes = number()?,
            Column::TtlS => ttl_s = number()?,
            Column::Client => client = hash(field.as_bytes()),
            Column::Ignored => {}
        }
    }
    let name = operation.to_ascii_lowercase();
    match name.as_str() {
        "set" | "add" | "replace" | "cas" | "append" | "prepend" | "update" | "insert" => {
            if value_bytes as usize > crate::limits::VALUE_BYTES_MAX {
                return Err(format!("a value of {value_bytes} bytes is too long"));
            }
            trace.push_set(time_ns, client, key.as_bytes(), value_bytes, ttl_s)
        }
        "get" | "gets" | "read" => trace.push_request(time_ns, client, &[b"GET", key.as_bytes()]),
        "delete" | "del" => trace.push_request(time_ns, client, &[b"DEL", key.as_bytes()]),
        "incr" => trace.push_request(time_ns, client, &[b"INCR", key.as_bytes()]),
        "decr" => trace.push_request(time_ns, client, &[b"DECR", key.as_bytes()]),
        _ => {
            trace.left_out += 1;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_monitor_is_read_with_its_escapes() {
        let log = b"OK\n1339518083.107412 [0 127.0.0.1:60866] \"set\" \"a b\" \"\\\"x\\x00\\n\\\\\"\n\
                    1339518087.877697 [0 lua] \"get\" \"x\"\n1339518087.9 [0 unix:/s] \"MULTI\"\n\
                    1339518088.000001 [0 127.0.0.1:60866] \"GET\" \"a b\"\n";
        let trace = read_monitor(&log[..]).unwrap();
        assert_eq!((trace.len(), trace.left_out, trace.length_ns()), (2, 2, 4_892_589_000));
        let mut expected = Trace::default();
        let client = hash(b"[0 127.0.0.1:60866");
        expected.push_request(0, client, &[b"set", b"a b", b"\"x\0\n\\"]).unwrap();
        expected.push_request(4_892_589_000, client, &[b"GET", b"a b"]).unwrap();
        expected.left_out = 2;
        assert_eq!(trace, expected);
    }

    #[test]
    fn wrong_lines_are_named_by_their_number() {
        for (log, message) in [
            (&b"OK\nhello"[..], "line 2: no [DB CLIENT]"),
            (b"x [0 a] \"get\"", "line 1: no time"),
            (b"1.0 [0 a] get", "line 1: an argument"),
            (b"1.0 [0 a] \"get", "line 1: an argument"),
        ] {
            let error = read_monitor(log).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_csv_is_read_by_the_names_of_its_columns() {
        let csv = "time_ms,client,op,key,value_bytes,ttl_s,more\n10,a,set,k1,100,60,x\n5,b,get,k1,0,0,y\n7,a,fly,k,0,0,\n";
        let trace = read_csv(csv.as_bytes(), None).unwrap();
        assert_eq!((trace.len(), trace.left_out, trace.length_ns()), (2, 1, 5_000_000));
        // The columns of the cache traces published by Twitter.
        let twitter = "0,k1,2,30,1,get,0\n1,k1,2,30,1,set,86400\n";
        let columns = Some("time_s,key,key_bytes,value_bytes,client,op,ttl_s");
        assert_eq!(read_csv(twitter.as_bytes(), columns).unwrap().length_ns(), 1_000_000_000);
        for (csv, message) in [
            ("", "empty"),
            ("a,b\n", "names no columns op and key"),
            ("op,key,value_bytes\nset,k,x\n", "line 2: \"x\" is no number"),
            ("op,key,value_bytes\nset,k\n", "line 2: 2 columns are too few"),
        ] {
            let error = read_csv(csv.as_bytes(), None).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
