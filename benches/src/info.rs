//! What INFO says of storage: figures by name, those of one line as `line.name`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use resp::Reply;

use crate::server::Server;

/// Figures of one INFO, all numbers.
#[derive(Clone, Debug, Default)]
pub struct Info {
    figures: BTreeMap<String, f64>,
}

impl Info {
    /// Asks a server.
    ///
    /// # Errors
    /// When it does not answer with text.
    pub fn ask(server: &Server) -> Result<Self> {
        match server.connect()?.ask(&[b"INFO", b"everything"])? {
            Reply::Bulk(text) | Reply::Verbatim { text, .. } => {
                Ok(Self::parse(&String::from_utf8_lossy(&text)))
            }
            other => bail!("INFO answers {other:?}"),
        }
    }

    fn parse(text: &str) -> Self {
        let mut figures = BTreeMap::new();
        for (line, value) in text.lines().filter_map(|line| line.trim_end().split_once(':')) {
            if let Ok(number) = value.parse() {
                figures.insert(line.to_owned(), number);
            }
            for (name, value) in value.split(',').filter_map(|part| part.split_once('=')) {
                if let Ok(number) = value.parse() {
                    figures.insert(format!("{line}.{name}"), number);
                }
            }
        }
        Self { figures }
    }

    /// A figure; 0 where INFO has none of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> f64 {
        self.figures.get(name).copied().unwrap_or(0.0)
    }

    /// By how much a figure grew since `before`.
    #[must_use]
    pub fn since(&self, before: &Self, name: &str) -> f64 {
        self.get(name) - before.get(name)
    }

    /// Those whose name begins so.
    pub fn beginning<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.figures
            .range(start.to_owned()..)
            .map(|(name, figure)| (name.as_str(), *figure))
            .take_while(move |(name, _)| name.starts_with(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_their_parts_are_figures() {
        let info = Info::parse("# Ouro\r\nuptime:5\r\ndata:index_bytes=12,free=3\r\nstorage:disk\r\n");
        assert_eq!((info.get("uptime"), info.get("data.index_bytes"), info.get("storage")), (5.0, 12.0, 0.0));
        let names: Vec<&str> = info.beginning("data.").map(|(name, _)| name).collect();
        assert_eq!(names, ["data.free", "data.index_bytes"]);
        assert_eq!(info.since(&Info::default(), "data.free"), 3.0);
    }
}
