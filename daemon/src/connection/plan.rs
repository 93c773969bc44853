//! Requests parsed ahead of their execution, so that the cache misses of all of them overlap.
//!
//! A received buffer holds many requests when a client pipelines. Up to [`WARM_KEYS_MAX`] of them are parsed,
//! resolved and hashed, their index entries and records are touched together, and only then does the first one run.

use engine::Shards;
use resp::{ArgRange, Args, Parsed, ProtocolError, RequestLimits, RequestParser};
use shard::shard_set::WARM_KEYS_MAX;
use shard::types::{Db, Slot};

use crate::commands::{Command, Execution, Refusal, resolve};

/// One request, parsed and resolved.
#[derive(Debug)]
pub(crate) struct Planned {
    /// Where it ends in the input.
    pub(crate) end: usize,
    /// The command, or why there is none.
    pub(crate) command: Result<&'static Command, Refusal>,
    /// Slot and hash of the key of a command of one key.
    pub(crate) key: Option<(Slot, u32)>,
    ranges: (usize, usize),
    /// Its arguments were unescaped, and stand in the plan instead of the input.
    is_inline: bool,
}

/// Why a plan has no further request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PlanEnd {
    /// It is full: there may be more.
    Full,
    /// The input has no further whole request; so many bytes of it are done with once the plan has run.
    Input(usize),
    /// What follows is no request.
    Error(ProtocolError),
}

/// Requests about to run.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    requests: Vec<Planned>,
    ranges: Vec<ArgRange>,
    inline: Vec<u8>,
    keys: Vec<(Slot, u32)>,
}

impl Plan {
    /// Parses requests of `input` from `from` on.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        parser: &mut RequestParser,
        input: &[u8],
        from: usize,
        limits: &RequestLimits,
        shards: &Shards,
    ) -> PlanEnd {
        self.requests.clear();
        self.ranges.clear();
        self.inline.clear();
        self.keys.clear();
        let mut at = from;
        while self.requests.len() < WARM_KEYS_MAX {
            if at == input.len() {
                return PlanEnd::Input(at);
            }
            let rest = &input[at..];
            match parser.parse(rest, limits) {
                Ok(Parsed::Request { consumed }) => {
                    let args = parser.args(rest);
                    let is_inline = rest[0] != b'*';
                    let first = self.ranges.len();
                    if is_inline {
                        self.push_inline(args);
                    } else {
                        let ranges = args.ranges().iter();
                        self.ranges
                            .extend(ranges.map(|range| ArgRange { start: range.start + at, ..*range }));
                    }
                    at += consumed;
                    let command = resolve(args);
                    let key = match command {
                        Ok(Command { execution: Execution::Key(_), .. }) => {
                            let key = shards.key(args.at(1));
                            self.keys.push((key.slot, key.hash));
                            Some((key.slot, key.hash))
                        }
                        _ => None,
                    };
                    let ranges = (first, self.ranges.len());
                    self.requests.push(Planned { end: at, command, key, ranges, is_inline });
                }
                Ok(Parsed::Empty { consumed }) => at += consumed,
                Ok(Parsed::Incomplete { .. }) => return PlanEnd::Input(at),
                Err(error) => return PlanEnd::Error(error),
            }
        }
        PlanEnd::Full
    }

    fn push_inline(&mut self, args: Args<'_>) {
        for arg in args.iter() {
            self.ranges.push(ArgRange { start: self.inline.len(), len: arg.len() });
            self.inline.extend_from_slice(arg);
        }
    }

    /// Lets the misses of all planned keys overlap.
    #[inline]
    pub(crate) fn warm(&self, shards: &Shards, db: Db) {
        if self.keys.len() > 1 {
            shards.warm(db, &self.keys);
        }
    }

    pub(crate) fn requests(&self) -> &[Planned] {
        &self.requests
    }

    /// The arguments of a planned request of this input.
    #[inline]
    pub(crate) fn args<'a>(&'a self, planned: &Planned, input: &'a [u8]) -> Args<'a> {
        let ranges = &self.ranges[planned.ranges.0..planned.ranges.1];
        Args::new(if planned.is_inline { &self.inline } else { input }, ranges)
    }
}
