//! How keys are chosen and kinds of requests are mixed, as users write it.

use clap::ValueEnum;

use crate::operations::{Verb, parse_mix};

/// Names of key distributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DistributionName {
    /// Every key is equally likely
    Uniform,
    /// All keys in order, again and again
    Sequential,
    /// Exact zipf over all keys, the hot ones scattered
    Zipf,
    /// YCSB's scrambled zipfian as published
    YcsbZipfian,
    /// The newest keys are the hottest: exact zipf over their age
    Latest,
    /// YCSB's latest as published
    YcsbLatest,
    /// Most requests go to few keys, evenly
    Hotspot,
    /// Normal distribution over the key numbers
    Gaussian,
    /// Exponential distribution over the age of keys
    Exponential,
}

/// Kinds of requests with their weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix(pub Vec<(Verb, String, u32)>);

pub(super) fn parse_mix_option(text: &str) -> Result<Mix, String> {
    parse_mix(text).map(Mix)
}
