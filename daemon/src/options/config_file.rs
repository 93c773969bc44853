//! The file of options: lines of `name value`, as in redis.conf. Comments begin with `#`, values may be quoted.
//! A line that cannot be used is an error that names file and line: a typing error must not silently mean a default.

use std::ffi::OsString;
use std::path::Path;

use super::command_line::{OptionsError, command_line};

/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

const UNBALANCED: &str = "unbalanced quotes: close them, and put white space after a closing one";
const NO_TEXT: &str = "the bytes that \\x stands for are no UTF-8 text: options are text";

/// The file's lines as words of a command line.
pub(super) fn read(file: &Path) -> Result<Vec<OsString>, OptionsError> {
    let name = file.display().to_string();
    let unreadable =
        |message: String| OptionsError::File { file: file.display().to_string(), line: 0, message };
    let length =
        std::fs::metadata(file).map_err(|error| unreadable(format!("cannot be read: {error}")))?.len();
    if length > FILE_BYTES_MAX {
        return Err(unreadable(format!("has {length} bytes, more than the {FILE_BYTES_MAX} that are read")));
    }
    let text =
        std::fs::read_to_string(file).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    words_of(&text).map_err(|(line, message)| OptionsError::File { file: name, line, message })
}

/// The words of all lines; or the number of a bad line, from 1, and what is wrong with it.
fn words_of(text: &str) -> Result<Vec<OsString>, (usize, String)> {
    let mut all = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let word = word_of(line).map_err(|message| (index + 1, message))?;
            all.push(OsString::from(word));
        }
    }
    Ok(all)
}

/// A line as one word of a command line, `--name=value`, once clap has agreed to it.
fn word_of(line: &str) -> Result<String, String> {
    let mut words = split_words(line)?;
    let name = words.remove(0).to_ascii_lowercase();
    let command = command_line();
    let known = |id: &str| id != "config" && id != "help" && id != "version";
    let mut names: Vec<&str> =
        command.get_arguments().filter_map(|arg| arg.get_long()).filter(|id| known(id)).collect();
    names.sort_unstable();
    if !names.contains(&name.as_str()) {
        return Err(format!("unknown option '{name}'; there are: {}", names.join(", ")));
    }
    if words.is_empty() {
        return Err(format!("'{name}' needs a value"));
    }
    let word = format!("--{name}={}", words.join(" "));
    match command_line().try_get_matches_from(["ourod", &word]) {
        Ok(_) => Ok(word),
        Err(error) => {
            let text = error.to_string();
            let text = text.split("\n\nFor more information").next().unwrap_or_default();
            Err(text.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" "))
        }
    }
}

/// Splits a line into words by Redis's rules: white space, `"..."` with escapes, `'...'`. Source: `sdssplitargs`.
///
/// # Errors
/// Quotes do not match up, or the bytes that escapes stand for are no text.
pub fn split_words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = next_word(rest).ok_or(UNBALANCED)?;
        words.push(String::from_utf8(word).map_err(|_| NO_TEXT)?);
        rest = after.trim_start();
    }
    Ok(words)
}

fn next_word(line: &str) -> Option<(Vec<u8>, &str)> {
    let mut word = Vec::new();
    let mut chars = line.char_indices();
    let mut quote = None;
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() => return Some((word, &line[at..])),
            (Some(open), c) if c == open => {
                let after = &line[at + 1..];
                // A closing quote must end the word.
                return (after.is_empty() || after.starts_with(char::is_whitespace)).then_some((word, after));
            }
            (Some('"'), '\\') => match (hex_byte(&line[at + 1..]), chars.next()?.1) {
                (Some(byte), _) => {
                    word.push(byte);
                    chars.nth(1);
                }
                (None, 'n') => word.push(b'\n'),
                (None, 'r') => word.push(b'\r'),
                (None, 't') => word.push(b'\t'),
                (None, 'b') => word.push(8),
                (None, 'a') => word.push(7),
                (None, other) => push_char(&mut word, other),
            },
            (Some('\''), '\\') if line[at + 1..].starts_with('\'') => {
                chars.next();
                word.push(b'\'');
            }
            (_, c) => push_char(&mut word, c),
        }
    }
    quote.is_none().then_some((word, ""))
}

fn push_char(word: &mut Vec<u8>, c: char) {
    word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The byte of `x` and two hexadecimal digits at the beginning of a text.
fn hex_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('x')?.get(..2)?;
    // No sign, which the conversion would take.
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
}
