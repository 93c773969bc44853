//! The command line.

use std::ops::Range;

use shard::planted::PlantedBug;
use shard::sim::fault::{Fault, FaultSet};

/// What may be given.
pub(crate) const USAGE: &str = "usage: sim [--seeds A..B] [--operations N] [--calm-operations N] [--planted NAME] \
    [--without FAULT,FAULT] [--shrink yes|no] [--rule-minimum N] [--fault-minimum N] [--report json|text] \
    [--commit TEXT] | --merge FILE,FILE,... | --flip-bits STRIDE \
    | --every-io [--seeds A..B] [--stride N] [--again-stride N] [--planted NAME] [--report json|text] \
    [--commit TEXT]";

/// What was given.
pub(crate) struct Arguments {
    pub(crate) seeds: Range<u64>,
    pub(crate) operations: u64,
    pub(crate) calm_operations: u64,
    pub(crate) planted: Option<PlantedBug>,
    pub(crate) faults: FaultSet,
    pub(crate) shrink: bool,
    pub(crate) rule_minimum: u64,
    pub(crate) fault_minimum: u64,
    pub(crate) json: bool,
    pub(crate) commit: String,
    pub(crate) merge: Vec<String>,
    pub(crate) flip_bits: Option<usize>,
    pub(crate) every_io: bool,
    pub(crate) stride: usize,
    pub(crate) again_stride: usize,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            seeds: 0..100,
            operations: 1000,
            calm_operations: 40_000,
            planted: None,
            faults: FaultSet::all(),
            shrink: true,
            rule_minimum: 0,
            fault_minimum: 0,
            json: false,
            commit: String::new(),
            merge: Vec::new(),
            flip_bits: None,
            every_io: false,
            stride: 1,
            again_stride: 50,
        }
    }
}

impl Arguments {
    /// `None`: not understood.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut parsed = Self::default();
        let mut seeds = None;
        while let Some(word) = words.next() {
            if word == "--every-io" {
                parsed.every_io = true;
                continue;
            }
            let value = words.next()?;
            match word.as_str() {
                "--seeds" => seeds = Some(range(&value)?),
                "--operations" => parsed.operations = value.parse().ok()?,
                "--calm-operations" => parsed.calm_operations = value.parse().ok()?,
                "--planted" => {
                    let bug = PlantedBug::ALL.into_iter().find(|bug| format!("{bug:?}") == value)?;
                    parsed.planted = Some(bug);
                }
                "--without" => {
                    for word in value.split(',').filter(|word| !word.is_empty()) {
                        parsed.faults = parsed.faults.without(Fault::of_word(word)?);
                    }
                }
                "--shrink" => parsed.shrink = value == "yes",
                "--rule-minimum" => parsed.rule_minimum = value.parse().ok()?,
                "--fault-minimum" => parsed.fault_minimum = value.parse().ok()?,
                "--report" => parsed.json = value == "json",
                "--commit" => parsed.commit = value,
                "--merge" => parsed.merge = value.split(',').map(str::to_owned).collect(),
                "--flip-bits" => parsed.flip_bits = Some(value.parse().ok().filter(|stride| *stride > 0)?),
                "--stride" => parsed.stride = value.parse().ok().filter(|stride| *stride > 0)?,
                "--again-stride" => parsed.again_stride = value.parse().ok().filter(|stride| *stride > 0)?,
                _ => return None,
            }
        }
        // One seed has thousands of runs there.
        let default = if parsed.every_io { 0..1 } else { parsed.seeds };
        parsed.seeds = seeds.unwrap_or(default);
        Some(parsed)
    }
}

/// `A..B`, not empty.
pub(crate) fn range(text: &str) -> Option<Range<u64>> {
    let (first, end) = text.split_once("..")?;
    let range = first.parse().ok()?..end.parse().ok()?;
    (!range.is_empty()).then_some(range)
}
