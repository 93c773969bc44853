//! Commands of the user with places for a key, a value and a random number, written anew for each request.
//!
//! `{key}`, `{value}` and `{random}` are ours; `__key__` and `__data__` are memtier's names for the first two and
//! `__rand_int__` is redis-benchmark's for a number of twelve digits below the number of keys.

use resp::write_request_header;

use crate::keys::{KeyFormat, write_decimal};
use crate::requests::write_bulk_head;
use crate::values::ValuePool;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandTemplate {
    arguments: Vec<Vec<Piece>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Key,
    Value,
    Random,
}

const PLACES: [(&str, Piece); 6] = [
    ("{key}", Piece::Key),
    ("__key__", Piece::Key),
    ("{value}", Piece::Value),
    ("__data__", Piece::Value),
    ("{random}", Piece::Random),
    ("__rand_int__", Piece::Random),
];
const RANDOM_DIGITS: usize = 12;

/// What one request fills in.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// How keys are written.
    pub keys: &'a KeyFormat,
    /// Where values come from.
    pub values: &'a ValuePool,
    /// The key.
    pub key: u64,
    /// Version of the value, where values carry one.
    pub version: u64,
    /// Chooses the value.
    pub word: u32,
    /// The random number.
    pub random: u64,
}

impl CommandTemplate {
    /// Reads a line as a shell would split it: words, `'...'` and `"..."`.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(line: &str) -> Result<Self, String> {
        let arguments: Vec<Vec<Piece>> = split_words(line)?.iter().map(|word| pieces(word)).collect();
        match arguments.first().map(Vec::as_slice) {
            Some([Piece::Text(_)]) => Ok(Self { arguments }),
            _ => Err(format!(
                "{line:?} does not begin with the name of a command, like 'SET {{key}} {{value}}'"
            )),
        }
    }

    /// The command's name in capitals.
    #[must_use]
    pub fn name(&self) -> String {
        match self.arguments[0].as_slice() {
            [Piece::Text(name)] => String::from_utf8_lossy(name).to_uppercase(),
            _ => unreachable!("a template begins with a name"),
        }
    }

    /// Appends the request.
    pub fn write(&self, out: &mut Vec<u8>, filling: &Filling<'_>) {
        write_request_header(out, self.arguments.len());
        for argument in &self.arguments {
            let value_bytes = filling.values.length(filling.word);
            let length = argument.iter().map(|piece| match piece {
                Piece::Text(text) => text.len(),
                Piece::Key => filling.keys.length_of(filling.key),
                Piece::Value => value_bytes,
                Piece::Random => RANDOM_DIGITS,
            });
            write_bulk_head(out, length.sum());
            for piece in argument {
                match piece {
                    Piece::Text(text) => out.extend_from_slice(text),
                    Piece::Key => filling.keys.append(out, filling.key),
                    Piece::Value => filling.values.append(out, filling.key, filling.version, filling.word),
                    Piece::Random => {
                        let start = out.len();
                        out.resize(start + RANDOM_DIGITS, b'0');
                        write_decimal(&mut out[start..], filling.random % 1_000_000_000_000);
                    }
                }
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Length of the longest request, roughly: heads are counted generously.
    #[must_use]
    pub fn bytes_max(&self, keys: &KeyFormat, values: &ValuePool) -> usize {
        let piece_bytes = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Key => keys.key_bytes_max(),
            Piece::Value => values.bytes_max(),
            Piece::Random => RANDOM_DIGITS,
        };
        self.arguments.iter().map(|argument| 32 + argument.iter().map(piece_bytes).sum::<usize>()).sum()
    }
}

fn pieces(word: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = word;
    loop {
        let next = PLACES
            .iter()
            .filter_map(|(name, piece)| Some((rest.find(name)?, name, piece)))
            .min_by_key(|x| x.0);
        let Some((at, name, piece)) = next else { break };
        if at > 0 {
            pieces.push(Piece::Text(rest.as_bytes()[..at].to_vec()));
        }
        pieces.push(piece.clone());
        rest = &rest[at + name.len()..];
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(rest.as_bytes().to_vec()));
    }
    pieces
}

fn split_words(line: &str) -> Result<Vec<String>, String> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => word.get_or_insert_default().push(letter),
            None if letter == '\'' || letter == '"' => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            None if letter.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(format!("{line:?} has an open quotation mark"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::Sizes;
    use crate::values::{DataKind, ValueSpec};

    fn written(line: &str) -> String {
        let keys = KeyFormat::new("k", 4, 100).unwrap();
        let spec = ValueSpec { sizes: Sizes::Fixed(3), data: DataKind::Random, sealed: false };
        let values = ValuePool::new(&spec, 1);
        let mut out = Vec::new();
        let filling = Filling { keys: &keys, values: &values, key: 42, version: 0, word: 9, random: 7 };
        let template = CommandTemplate::parse(line).unwrap();
        template.write(&mut out, &filling);
        assert!(out.len() <= 16 + template.bytes_max(&keys, &values));
        let mut value = Vec::new();
        values.append(&mut value, 42, 0, 9);
        String::from_utf8_lossy(&out).replace(String::from_utf8_lossy(&value).as_ref(), "VAL")
    }

    #[test]
    fn places_are_filled_and_words_split_as_a_shell_does() {
        assert_eq!(written("ping"), "*1\r\n$4\r\nping\r\n");
        assert_eq!(
            written("LPUSH list:{key}:x __key__"),
            "*3\r\n$5\r\nLPUSH\r\n$11\r\nlist:k042:x\r\n$4\r\nk042\r\n"
        );
        assert_eq!(
            written("SETEX {key} 10 {value}"),
            "*4\r\n$5\r\nSETEX\r\n$4\r\nk042\r\n$2\r\n10\r\n$3\r\nVAL\r\n"
        );
        assert_eq!(written("X a__rand_int__"), "*2\r\n$1\r\nX\r\n$13\r\na000000000007\r\n");
        assert_eq!(written("X 'a b' \"\""), "*3\r\n$1\r\nX\r\n$3\r\na b\r\n$0\r\n\r\n");
    }

    #[test]
    fn lines_without_a_command_or_with_open_quotes_are_refused() {
        assert!(CommandTemplate::parse("").is_err());
        assert!(CommandTemplate::parse("{key} x").is_err());
        assert!(CommandTemplate::parse("SET 'x").unwrap_err().contains("open quotation"));
        assert_eq!(CommandTemplate::parse("incr {key}").unwrap().name(), "INCR");
    }
}
