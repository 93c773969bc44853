//! The file of options: lines of `name value`, as in redis.conf. Comments begin with `#`, values may be quoted.
//! A line that cannot be used is an error that names file and line: a typing error must not silently mean a default.

use std::ffi::OsString;
use std::path::Path;

use super::command_line::{OptionsError, command_line};

/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

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
    let mut words =
        split_words(line).ok_or("unbalanced quotes: close them, and put white space after a closing one")?;
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

/// Splits a line into words by Redis's rules: white space, `"..."` with escapes, `'...'`. None when quotes do not
/// match up. Source: `sdssplitargs`.
#[must_use]
pub fn split_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = next_word(rest)?;
        words.push(word);
        rest = after.trim_start();
    }
    Some(words)
}

fn next_word(line: &str) -> Option<(String, &str)> {
    let mut word = String::new();
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
            (Some('"'), '\\') => word.push(match chars.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            }),
            (Some('\''), '\\') if line[at + 1..].starts_with('\'') => {
                chars.next();
                word.push('\'');
            }
            (_, c) => word.push(c),
        }
    }
    quote.is_none().then_some((word, ""))
}
