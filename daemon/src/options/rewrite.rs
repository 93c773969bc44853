//! The file of options written anew: what has changed takes the place of what stood there; comments, order and all other
//! lines stay.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::config_file::split_words;

/// Goes before lines that were not in the file.
const ADDED: &str = "# Added by CONFIG REWRITE";

/// The text of a file with these options: `value_of` gives an option's line value where the file's own, given to it, does
/// not say the same; `added` are options with their values for which the file has no line unless it has one.
pub(crate) fn rewritten(
    text: &str,
    value_of: impl Fn(&str, &str) -> Option<String>,
    added: &[(&str, String)],
) -> String {
    let (mut out, mut seen) = (String::new(), Vec::new());
    for line in text.lines() {
        let trimmed = line.trim();
        let words = if trimmed.starts_with('#') { None } else { split_words(trimmed).ok() };
        let named = words.filter(|words| !words.is_empty());
        let changed = named.and_then(|words| {
            let name = words[0].to_ascii_lowercase();
            let value = value_of(&name, &words[1..].join(" "));
            seen.push(name.clone());
            value.map(|value| option_line(&name, &value))
        });
        out.push_str(changed.as_deref().unwrap_or(line));
        out.push('\n');
    }
    let mut is_first = !text.lines().any(|line| line == ADDED);
    for (name, value) in added.iter().filter(|(name, _)| !seen.iter().any(|known| known == name)) {
        if std::mem::take(&mut is_first) {
            out.push_str(ADDED);
            out.push('\n');
        }
        out.push_str(&option_line(name, value));
        out.push('\n');
    }
    out
}

/// A line that is read back as this value.
fn option_line(name: &str, value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " -_./:,%@".contains(c);
    let keeps_spaces = value.split_whitespace().collect::<Vec<_>>().join(" ") == value;
    if !value.is_empty() && keeps_spaces && value.chars().all(is_plain) {
        return format!("{name} {value}");
    }
    let mut quoted = String::new();
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    format!("{name} \"{quoted}\"")
}

/// Puts a file with this text in the place of another: a new one beside it, made durable, renamed, its folder made
/// durable. The file is whole at any moment, the old or the new; mode and owner of a new file are the process's, the mode
/// is taken over from the old one.
///
/// # Errors
/// Those of the file system; the old file is then as it was, unless only the folder could not be made durable.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link stays a link: what it names is written.
    let path = fs::canonicalize(path)?;
    let folder = path.parent().ok_or_else(|| io::Error::other("the file has no folder"))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = folder.join(name);
    let written = write_whole(&beside, text, fs::metadata(&path)?.permissions());
    let placed = written.and_then(|()| fs::rename(&beside, &path));
    if let Err(error) = placed {
        // It may not even be there; the first error is what is told.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

fn write_whole(path: &Path, text: &str, permissions: fs::Permissions) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.set_permissions(permissions)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_say_something_else_change() {
        let text = "# mine\nTimeout 5 \n\nport 7000\n  maxclients 10 # no comment\n";
        let values = |name: &str, old: &str| match (name, old) {
            ("timeout", "5") => Some("9".to_owned()),
            _ => None,
        };
        let added =
            [("timeout", "9".to_owned()), ("save", String::new()), ("requirepass", "a\"b\\ c".to_owned())];
        let new = rewritten(text, values, &added);
        let expected = "# mine\ntimeout 9\n\nport 7000\n  maxclients 10 # no comment\n# Added by CONFIG REWRITE\n\
                        save \"\"\nrequirepass \"a\\\"b\\\\ c\"\n";
        assert_eq!(new, expected);
        let again = rewritten(&new, |_, _| None, &[("timeout", "9".into()), ("hz", "1".into())]);
        assert_eq!(again, format!("{expected}hz 1\n"), "the note stands once");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for value in [
            "",
            " ",
            "a",
            "two words",
            "two  spaces",
            "q\"uote",
            "back\\slash",
            "tab\there",
            "#5",
            "'x'",
            "ä",
        ] {
            let words = split_words(&option_line("name", value)).unwrap();
            assert_eq!(words[1..].join(" "), value);
        }
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_stays_beside_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("ouro.conf"), dir.path().join("link"));
        fs::write(&file, "old\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, "new\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(replace(&dir.path().join("missing"), "x").is_err());
    }
}
