//! Named workloads: YCSB's six, as far as strings allow, and shapes of caches.
//!
//! YCSB's records are hashes of ten fields of 100 bytes, and an update writes one field. Here a record is one string
//! of 1000 bytes and an update writes it whole; a scan is an MGET of neighbouring key numbers, because a hash table
//! has no order of keys. Request mix, key names, key distribution and scan lengths are YCSB's. So figures are
//! YCSB-shaped: comparable with each other, not with published ones.

use clap::ValueEnum;

use crate::keys::KeyDistribution;
use crate::operations::{Verb, name_of};
use crate::sizes::Sizes;
use crate::ycsb_zipfian::YCSB_THETA;

/// Names of workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Update heavy: read 50, update 50, zipfian
    YcsbA,
    /// Read mostly: read 95, update 5, zipfian
    YcsbB,
    /// Read only, zipfian
    YcsbC,
    /// Read latest: read 95, insert 5
    YcsbD,
    /// Short ranges: scan 95 (1 to 100 keys), insert 5, zipfian
    YcsbE,
    /// Read-modify-write: read 50, rmw 50, zipfian
    YcsbF,
    /// Cache of pages: get 97, set 2, del 1, zipf, values of 100 B to 4 KiB, TTL 10 to 60 min
    Cache,
    /// Sessions: get 60, set 35, del 5, the newest hottest, values of 200 to 1000 B, TTL 30 min
    Session,
    /// Cache that is mostly written: get 20, set 80, zipf, values of 64 to 512 B
    CacheWrite,
}

/// What a name stands for. Options of the command line go before.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Kinds of requests with their weights.
    pub mix: Vec<(Verb, String, u32)>,
    /// How keys are chosen.
    pub distribution: KeyDistribution,
    /// Lengths of values.
    pub value_sizes: Sizes,
    /// Prefix of keys named as YCSB names them; none for plain keys.
    pub ycsb_prefix: Option<&'static str>,
    /// Time to live in milliseconds.
    pub ttl_ms: Option<Sizes>,
    /// What keeps figures from being compared with those of the original.
    pub note: Option<&'static str>,
}

const YCSB_NOTE: &str = "YCSB-shaped: one 1000 B string per record, an update rewrites it whole (YCSB: one field of \
                         100 B of a hash), a scan is an MGET of neighbouring key numbers";
const YCSB_VALUE_BYTES: usize = 1000;

impl Preset {
    /// The name as users write it.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What it stands for.
    #[must_use]
    pub fn shape(self) -> Shape {
        let zipf = KeyDistribution::Zipf { theta: YCSB_THETA };
        let latest = KeyDistribution::Latest { theta: YCSB_THETA };
        let minutes = |first: usize, last: usize| Some(Sizes::Range(first * 60_000, last * 60_000));
        match self {
            Self::YcsbA => ycsb(&[(Verb::Get, 50), (Verb::Set, 50)], KeyDistribution::YcsbZipfian),
            Self::YcsbB => ycsb(&[(Verb::Get, 95), (Verb::Set, 5)], KeyDistribution::YcsbZipfian),
            Self::YcsbC => ycsb(&[(Verb::Get, 100)], KeyDistribution::YcsbZipfian),
            Self::YcsbD => ycsb(&[(Verb::Get, 95), (Verb::Insert, 5)], KeyDistribution::YcsbLatest),
            Self::YcsbE => ycsb(&[(Verb::Scan, 95), (Verb::Insert, 5)], KeyDistribution::YcsbZipfian),
            Self::YcsbF => {
                ycsb(&[(Verb::Get, 50), (Verb::ReadModifyWrite, 50)], KeyDistribution::YcsbZipfian)
            }
            Self::Cache => {
                let sizes = Sizes::Weighted(vec![(100, 50), (400, 30), (1200, 15), (4096, 5)]);
                cache(&[(Verb::Get, 97), (Verb::Set, 2), (Verb::Delete, 1)], zipf, sizes, minutes(10, 60))
            }
            Self::Session => {
                let mix = [(Verb::Get, 60), (Verb::Set, 35), (Verb::Delete, 5)];
                cache(&mix, latest, Sizes::Range(200, 1000), minutes(30, 30))
            }
            Self::CacheWrite => cache(&[(Verb::Get, 20), (Verb::Set, 80)], zipf, Sizes::Range(64, 512), None),
        }
    }
}

fn ycsb(mix: &[(Verb, u32)], distribution: KeyDistribution) -> Shape {
    Shape {
        mix: named(mix),
        distribution,
        value_sizes: Sizes::Fixed(YCSB_VALUE_BYTES),
        ycsb_prefix: Some("user"),
        ttl_ms: None,
        note: Some(YCSB_NOTE),
    }
}

fn cache(
    mix: &[(Verb, u32)],
    distribution: KeyDistribution,
    value_sizes: Sizes,
    ttl_ms: Option<Sizes>,
) -> Shape {
    Shape { mix: named(mix), distribution, value_sizes, ycsb_prefix: None, ttl_ms, note: None }
}

fn named(mix: &[(Verb, u32)]) -> Vec<(Verb, String, u32)> {
    mix.iter().map(|&(verb, weight)| (verb, name_of(verb).to_owned(), weight)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_of_ycsb_are_the_published_ones() {
        let share = |preset: Preset, verb| {
            let shape = preset.shape();
            assert_eq!(shape.mix.iter().map(|kind| kind.2).sum::<u32>(), 100, "{preset:?}");
            shape.mix.iter().find(|kind| kind.0 == verb).map_or(0, |kind| kind.2)
        };
        for (preset, verb, weight) in [
            (Preset::YcsbA, Verb::Set, 50),
            (Preset::YcsbB, Verb::Get, 95),
            (Preset::YcsbC, Verb::Get, 100),
            (Preset::YcsbD, Verb::Insert, 5),
            (Preset::YcsbE, Verb::Scan, 95),
            (Preset::YcsbF, Verb::ReadModifyWrite, 50),
            (Preset::Session, Verb::Set, 35),
        ] {
            assert_eq!(share(preset, verb), weight, "{preset:?}");
        }
    }
}
