//! The kinds of requests of a workload: what each does, how often it is drawn, and the name reports know it by.

use std::collections::BTreeMap;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `SET` of a key of the key space.
    Set,
    /// `GET`.
    Get,
    /// `SET` of a key that was not there before.
    Insert,
    /// `DEL`.
    Delete,
    /// `MGET` of neighbouring key numbers.
    Scan,
    /// The next step of a walk through all keys: `SCAN` from the cursor that the step before was answered with.
    Walk,
    /// `GET`, and when it is answered `SET` of the same key, as one operation.
    ReadModifyWrite,
    /// The first half of a read-modify-write.
    RmwRead,
    /// Its second half.
    RmwWrite,
    /// A template of the user, by its number.
    Command(u8),
}

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Name in reports.
    pub name: String,
    /// What it does.
    pub verb: Verb,
    /// How often it is drawn, against the others.
    pub weight: u32,
}

impl Operation {
    /// Whether it is a half of another operation, and no operation of its own in totals.
    #[must_use]
    pub const fn is_part(&self) -> bool {
        matches!(self.verb, Verb::RmwRead | Verb::RmwWrite)
    }
}

/// Position of a kind in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationId(u8);

impl OperationId {
    /// As an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// All kinds of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationTable {
    entries: Vec<Operation>,
    /// Sum of the weights up to and with each entry.
    cumulative: Vec<u64>,
}

impl OperationTable {
    /// A table of kinds with weights. Entries of the same name are added up. `SET` is always in it: keys are
    /// loaded with it.
    ///
    /// # Errors
    /// A sentence for the user when no weight is above 0 or there are too many kinds.
    pub fn new(mix: &[(Verb, String, u32)]) -> Result<Self, String> {
        let mut entries: Vec<Operation> = vec![named(Verb::Set, 0), named(Verb::Get, 0)];
        for (verb, name, weight) in mix {
            match entries.iter_mut().find(|entry| entry.name == *name) {
                Some(entry) => entry.weight = entry.weight.saturating_add(*weight),
                None => entries.push(Operation { name: name.clone(), verb: *verb, weight: *weight }),
            }
        }
        if entries.iter().any(|entry| entry.verb == Verb::ReadModifyWrite) {
            entries.extend([named(Verb::RmwRead, 0), named(Verb::RmwWrite, 0)]);
        }
        if entries.len() > KINDS_MAX {
            return Err(format!("at most {KINDS_MAX} kinds of requests in one run"));
        }
        let cumulative: Vec<u64> = entries
            .iter()
            .scan(0, |sum, entry| {
                *sum += u64::from(entry.weight);
                Some(*sum)
            })
            .collect();
        if cumulative.last() == Some(&0) {
            return Err("at least one weight must be above 0".to_owned());
        }
        Ok(Self { entries, cumulative })
    }

    /// The kind that a random word chooses.
    #[must_use]
    pub fn draw(&self, word: u32) -> OperationId {
        let total = self.cumulative[self.cumulative.len() - 1];
        let point = (u64::from(word) * total) >> 32;
        let place = self.cumulative.iter().position(|&end| point < end);
        id(place.expect("the point lies below the total"))
    }

    /// The entry.
    #[must_use]
    pub fn get(&self, id: OperationId) -> &Operation {
        &self.entries[id.index()]
    }

    /// The kind with this verb.
    ///
    /// # Panics
    /// When the table has none: callers ask for what they put in.
    #[must_use]
    pub fn of(&self, verb: Verb) -> OperationId {
        id(self.entries.iter().position(|entry| entry.verb == verb).expect("the kind is in the table"))
    }

    /// Whether requests of this verb are drawn.
    #[must_use]
    pub fn draws(&self, verb: Verb) -> bool {
        self.entries.iter().any(|entry| entry.verb == verb && entry.weight > 0)
    }

    /// All kinds in their order.
    #[must_use]
    pub fn entries(&self) -> &[Operation] {
        &self.entries
    }

    /// Share of the requests that are of this verb.
    #[must_use]
    pub fn share(&self, verb: Verb) -> f64 {
        let weight: u64 =
            self.entries.iter().filter(|entry| entry.verb == verb).map(|entry| u64::from(entry.weight)).sum();
        crate::number::ratio(weight as f64, self.cumulative[self.cumulative.len() - 1] as f64)
    }

    /// The drawn kinds with their weights, as reports hold them. `SET` and `GET` are always named.
    #[must_use]
    pub fn weights(&self) -> BTreeMap<String, u32> {
        let is_told = |entry: &&Operation| entry.weight > 0 || matches!(entry.verb, Verb::Set | Verb::Get);
        self.entries.iter().filter(is_told).map(|entry| (entry.name.clone(), entry.weight)).collect()
    }
}

/// Name of a verb in reports.
#[must_use]
pub const fn name_of(verb: Verb) -> &'static str {
    match verb {
        Verb::Set => "SET",
        Verb::Get => "GET",
        Verb::Insert => "INSERT",
        Verb::Delete => "DEL",
        Verb::Scan => "SCAN",
        Verb::Walk => "WALK",
        Verb::ReadModifyWrite => "RMW",
        Verb::RmwRead => "RMW.GET",
        Verb::RmwWrite => "RMW.SET",
        Verb::Command(_) => "COMMAND",
    }
}

fn named(verb: Verb, weight: u32) -> Operation {
    Operation { name: name_of(verb).to_owned(), verb, weight }
}

fn id(place: usize) -> OperationId {
    OperationId(u8::try_from(place).expect("kinds are bounded"))
}

const KINDS_MAX: usize = 64;

/// Reads `get=80,set=15,del=5`.
///
/// # Errors
/// A sentence for the user.
pub fn parse_mix(text: &str) -> Result<Vec<(Verb, String, u32)>, String> {
    let usage = || {
        "expected kinds with weights like get=80,set=20; kinds are get, set, insert, del, scan, walk, rmw"
            .to_owned()
    };
    text.split(',')
        .map(|part| {
            let (name, weight) = part.split_once(['=', ':']).ok_or_else(usage)?;
            let verb = match name.trim().to_ascii_lowercase().as_str() {
                "get" | "read" => Verb::Get,
                "set" | "update" | "write" => Verb::Set,
                "insert" => Verb::Insert,
                "del" | "delete" => Verb::Delete,
                "scan" => Verb::Scan,
                "walk" => Verb::Walk,
                "rmw" => Verb::ReadModifyWrite,
                _ => return Err(usage()),
            };
            let weight = weight.trim().parse().map_err(|_| usage())?;
            Ok((verb, name_of(verb).to_owned(), weight))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::low_u32;
    use crate::rng::Rng;

    #[test]
    fn kinds_are_drawn_by_weight() {
        let table = OperationTable::new(&parse_mix("get=50,set=30,del=15,rmw=5").unwrap()).unwrap();
        let mut rng = Rng::new(1, 0);
        let mut counts = vec![0_u32; table.entries().len()];
        for _ in 0..100_000 {
            counts[table.draw(low_u32(rng.next_u64())).index()] += 1;
        }
        for (verb, share) in
            [(Verb::Get, 0.5), (Verb::Set, 0.3), (Verb::Delete, 0.15), (Verb::ReadModifyWrite, 0.05)]
        {
            let got = f64::from(counts[table.of(verb).index()]) / 1e5;
            assert!((got - share).abs() < 4.0 * (share * (1.0 - share) / 1e5_f64).sqrt(), "{verb:?}: {got}");
            assert!((table.share(verb) - share).abs() < 1e-12);
        }
        assert_eq!(counts[table.of(Verb::RmwRead).index()], 0, "halves are not drawn");
    }

    #[test]
    fn the_same_kind_twice_is_added_up_and_wrong_mixes_are_told() {
        let table = OperationTable::new(&parse_mix("get=1,read=2").unwrap()).unwrap();
        assert_eq!(table.weights(), BTreeMap::from([("GET".to_owned(), 3), ("SET".to_owned(), 0)]));
        for wrong in ["", "get", "get=x", "fly=3"] {
            assert!(parse_mix(wrong).is_err(), "{wrong}");
        }
        assert!(OperationTable::new(&parse_mix("get=0").unwrap()).is_err());
    }
}
