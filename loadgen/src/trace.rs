//! A recorded load, read into memory: when each request came, from which client, and what it was.
//!
//! Requests of one client stay on one connection and in order. What cannot be sent again without its connection
//! (transactions, subscriptions, AUTH, blocking reads) is left out and counted.

use std::sync::Arc;

use resp::{write_bulk, write_request, write_request_header};

use crate::keys::{decimal_digits, write_decimal};
use crate::limits::{TRACE_BYTES_MAX, VALUE_POOL_BYTES};
use crate::number::index;
use crate::requests::write_bulk_head;
use crate::rng::Rng;

/// A whole trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Whole requests, and keys of requests that are put together.
    arena: Vec<u8>,
    entries: Vec<Entry>,
    names: Vec<String>,
    value_bytes_max: usize,
    /// Requests that were left out.
    pub left_out: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    time_ns: u64,
    client: u64,
    start: u64,
    length: u32,
    name: u8,
    body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// The bytes are the request.
    Whole,
    /// The bytes are the key of a SET of a value of this length, with a time to live in seconds unless 0.
    Set { value_bytes: u32, ttl_s: u32 },
}

/// Kinds of requests that are told apart; others count as `OTHER`.
const NAMES_MAX: usize = 48;

impl Trace {
    /// Appends a request as it is.
    ///
    /// # Errors
    /// A sentence for the user when the trace is too large.
    pub fn push_request(&mut self, time_ns: u64, client: u64, arguments: &[&[u8]]) -> Result<(), String> {
        let start = self.arena.len();
        write_request(&mut self.arena, arguments);
        let name = String::from_utf8_lossy(arguments.first().copied().unwrap_or_default()).to_uppercase();
        self.push(time_ns, client, start, &name, Body::Whole)
    }

    /// Appends a SET of a value that only its length is known of.
    ///
    /// # Errors
    /// A sentence for the user when the trace is too large.
    pub fn push_set(
        &mut self,
        time_ns: u64,
        client: u64,
        key: &[u8],
        value_bytes: u32,
        ttl_s: u32,
    ) -> Result<(), String> {
        let start = self.arena.len();
        self.arena.extend_from_slice(key);
        self.value_bytes_max = self.value_bytes_max.max(value_bytes as usize);
        self.push(time_ns, client, start, "SET", Body::Set { value_bytes, ttl_s })
    }

    fn push(
        &mut self,
        time_ns: u64,
        client: u64,
        start: usize,
        name: &str,
        body: Body,
    ) -> Result<(), String> {
        let used = self.arena.len() + self.entries.len() * size_of::<Entry>();
        if used > TRACE_BYTES_MAX {
            return Err(format!(
                "the trace needs more than {TRACE_BYTES_MAX} bytes of memory: cut it into parts"
            ));
        }
        let length =
            u32::try_from(self.arena.len() - start).map_err(|_| "a request of 4 GiB or more".to_owned())?;
        let name = self.name_number(name);
        self.entries.push(Entry { time_ns, client, start: start as u64, length, name, body });
        Ok(())
    }

    fn name_number(&mut self, name: &str) -> u8 {
        let known = self.names.iter().position(|known| known == name);
        let place = known.unwrap_or_else(|| {
            let name = if self.names.len() + 1 < NAMES_MAX { name } else { "OTHER" };
            let place = self.names.iter().position(|known| known == name).unwrap_or(self.names.len());
            if place == self.names.len() {
                self.names.push(name.to_owned());
            }
            place
        });
        u8::try_from(place).expect("names are bounded")
    }

    /// Puts the requests in the order of their times, which then count from the first one.
    pub fn finish(&mut self) {
        self.entries.sort_by_key(|entry| entry.time_ns);
        let first_ns = self.entries.first().map_or(0, |entry| entry.time_ns);
        self.entries.iter_mut().for_each(|entry| entry.time_ns -= first_ns);
    }

    /// Number of requests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// From the first request to the last, in nanoseconds.
    #[must_use]
    pub fn length_ns(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.time_ns)
    }

    /// Names of the kinds of requests; a request's kind is its place here.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Bytes of the longest request.
    #[must_use]
    pub fn request_bytes_max(&self) -> usize {
        let longest = self.entries.iter().map(|entry| entry.length as usize).max().unwrap_or(0);
        longest + self.value_bytes_max + 128
    }
}

/// The part of one worker, in order.
#[derive(Clone, Debug)]
pub struct TraceShare {
    trace: Arc<Trace>,
    entries: Arc<[u32]>,
    next: usize,
    values: Arc<[u8]>,
    rng: Rng,
    workers: u64,
}

impl TraceShare {
    /// The requests of the clients that fall to this worker.
    ///
    /// # Panics
    /// When the trace has 2^32 requests or more: its memory is bounded far below.
    #[must_use]
    pub fn new(trace: Arc<Trace>, worker: u64, workers: u64, seed: u64) -> Self {
        let is_own = |entry: &Entry| entry.client % workers == worker;
        let entries = (0..).zip(&trace.entries).filter(|(_, entry)| is_own(entry)).map(|(place, _)| place);
        let entries: Arc<[u32]> = entries.collect();
        let mut values = vec![0; VALUE_POOL_BYTES + trace.value_bytes_max];
        Rng::new(seed, u64::MAX).fill(&mut values);
        Self { trace, entries, next: 0, values: values.into(), rng: Rng::new(seed, worker), workers }
    }

    /// Start times from the beginning of the trace, made `speed` times as fast.
    #[must_use]
    pub fn times_ns(&self, speed: f64) -> Vec<u64> {
        let time_ns = |place: &u32| self.trace.entries[*place as usize].time_ns as f64 / speed;
        self.entries.iter().map(|place| crate::number::floor_u64(time_ns(place))).collect()
    }

    /// Which of `connections` the next request goes to; nothing when all were sent.
    #[must_use]
    pub fn connection(&self, connections: usize) -> Option<usize> {
        let entry = &self.trace.entries[*self.entries.get(self.next)? as usize];
        Some(index((entry.client / self.workers) % connections as u64))
    }

    /// Appends the next request and returns the number of its kind; nothing when all were sent.
    pub fn write_next(&mut self, out: &mut Vec<u8>) -> Option<u8> {
        let entry = self.trace.entries[*self.entries.get(self.next)? as usize];
        self.next += 1;
        let start = index(entry.start);
        let bytes = &self.trace.arena[start..start + entry.length as usize];
        match entry.body {
            Body::Whole => out.extend_from_slice(bytes),
            Body::Set { value_bytes, ttl_s } => {
                write_request_header(out, if ttl_s > 0 { 5 } else { 3 });
                write_bulk(out, b"SET");
                write_bulk(out, bytes);
                let offset = index(self.rng.below(VALUE_POOL_BYTES as u64));
                write_bulk_head(out, value_bytes as usize);
                out.extend_from_slice(&self.values[offset..offset + value_bytes as usize]);
                out.extend_from_slice(b"\r\n");
                if ttl_s > 0 {
                    write_bulk(out, b"EX");
                    let mut digits = [0; 10];
                    let field = &mut digits[..decimal_digits(u64::from(ttl_s))];
                    write_decimal(field, u64::from(ttl_s));
                    write_bulk(out, field);
                }
            }
        }
        Some(entry.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_one_worker_each_in_the_order_of_their_times() {
        let mut trace = Trace::default();
        for number in 0..100_u64 {
            let key = format!("k{number:03}");
            let time_ns = 1_000_000 + (number * 37 % 100) * 1000;
            trace.push_request(time_ns, number % 7, &[b"get", key.as_bytes()]).unwrap();
        }
        trace.finish();
        assert_eq!((trace.len(), trace.length_ns(), trace.names()), (100, 99_000, &["GET".to_owned()][..]));
        let trace = Arc::new(trace);
        let mut all = Vec::new();
        for worker in 0..3 {
            let mut share = TraceShare::new(Arc::clone(&trace), worker, 3, 1);
            let times = share.times_ns(2.0);
            assert!(times.is_sorted() && times.iter().all(|time| time % 500 == 0));
            while share.connection(5).is_some() {
                let mut out = Vec::new();
                share.write_next(&mut out).unwrap();
                all.push(String::from_utf8(out).unwrap());
            }
            assert_eq!(share.write_next(&mut Vec::new()), None);
        }
        all.sort();
        let expected: Vec<String> =
            (0..100).map(|number| format!("*2\r\n$3\r\nget\r\n$4\r\nk{number:03}\r\n")).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn sets_of_known_length_are_put_together() {
        let mut trace = Trace::default();
        trace.push_set(5, 0, b"k", 3, 60).unwrap();
        trace.push_set(6, 0, b"k", 0, 0).unwrap();
        trace.finish();
        let mut share = TraceShare::new(Arc::new(trace), 0, 1, 1);
        let mut out = Vec::new();
        share.write_next(&mut out);
        assert!(out.starts_with(b"*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n"), "{out:?}");
        assert!(out.ends_with(b"\r\n$2\r\nEX\r\n$2\r\n60\r\n"), "{out:?}");
        out.clear();
        share.write_next(&mut out);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
    }

    #[test]
    fn kinds_beyond_the_bound_count_as_other() {
        let mut trace = Trace::default();
        for number in 0..200 {
            trace.push_request(0, 0, &[format!("c{number}").as_bytes()]).unwrap();
        }
        assert_eq!(trace.names().len(), NAMES_MAX);
        assert_eq!(trace.names().last().unwrap(), "OTHER");
    }
}
