//! INFO as tests read it: lines by name, and the fields of a line.

use std::collections::HashMap;

use resp::Reply;

use crate::wire::Wire;

/// Lines of some sections.
pub(crate) struct Info(HashMap<String, String>);

impl Info {
    pub(crate) fn of(wire: &mut Wire, section: &str) -> Self {
        let text = match wire.call(&["INFO", section]) {
            Reply::Bulk(text) | Reply::Verbatim { text, .. } => String::from_utf8(text).unwrap(),
            other => panic!("{other:?}"),
        };
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Self(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    #[track_caller]
    pub(crate) fn line(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.0))
    }

    /// A line that is a number.
    #[track_caller]
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.line(name).parse().unwrap()
    }

    /// A field of a line `a=1,b=2`, in words.
    #[track_caller]
    pub(crate) fn word(&self, line: &str, name: &str) -> &str {
        let fields = self.line(line).split(',');
        let found = fields.filter_map(|field| field.split_once('=')).find(|(other, _)| *other == name);
        found.unwrap_or_else(|| panic!("no {name} in {line}:{}", self.line(line))).1
    }

    /// A field that is a number.
    #[track_caller]
    pub(crate) fn field(&self, line: &str, name: &str) -> u64 {
        self.word(line, name).parse().unwrap()
    }

    /// The sum of a field over the lines of so many workers, logs or shards: `shard` and the ending are around the number.
    #[track_caller]
    pub(crate) fn sum(&self, count: usize, (kind, ending): (&str, &str), name: &str) -> u64 {
        (0..count).map(|number| self.field(&format!("{kind}{number}{ending}"), name)).sum()
    }
}
