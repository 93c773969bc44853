//! The file of users: lines of `user name rule ...`. Loaded whole or not at all; written beside and put in its place.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::PoisonError;

use super::registry::{Acl, DEFAULT_USER};
use super::rules;
use super::user::User;

/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Why a file of users cannot be used. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub enum AclFileError {
    /// It cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is longer than is read.
    #[error("{path}: more than {FILE_BYTES_MAX} bytes")]
    TooLong {
        /// The file.
        path: String,
    },
    /// Lines in it are wrong.
    #[error("{0}")]
    Lines(String),
}

/// The users of a text; all that is wrong with it, line by line, in Redis's words.
fn parse(path: &str, text: &[u8], all_channels: bool) -> Result<BTreeMap<Vec<u8>, User>, String> {
    let mut users = BTreeMap::new();
    let mut wrong = String::new();
    for (number, line) in (1u64..).zip(text.split(|&byte| byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if let Err(why) = parse_line(line, &mut users, all_channels) {
            wrong.push_str(&format!("{path}:{number}: {why}. "));
        }
    }
    if wrong.is_empty() { Ok(users) } else { Err(wrong) }
}

fn parse_line(line: &[u8], users: &mut BTreeMap<Vec<u8>, User>, all_channels: bool) -> Result<(), String> {
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    if words.next().is_none_or(|word| word != b"user") {
        return Err("line should start with user keyword".into());
    }
    let name = words.next().ok_or("a user needs a name")?;
    if users.contains_key(name) {
        let name = String::from_utf8_lossy(name);
        return Err(format!("WARNING: user '{name}' is defined more than once"));
    }
    let mut user = User::nobody(all_channels);
    let rules = rules::join_selectors(words).map_err(|_| "Unmatched parenthesis in selector definition")?;
    for rule in rules {
        rules::apply(&mut user, &rule, all_channels)
            .map_err(|why| format!("{why} near '{}'", String::from_utf8_lossy(&rule)))?;
    }
    users.insert(name.to_vec(), user);
    Ok(())
}

impl Acl {
    /// Puts the users of a file in the place of all there are: all of them, or none. Without a line for `default`
    /// that user is as at a start without a file.
    ///
    /// # Errors
    /// [`AclFileError`]; nothing is changed then.
    pub fn load_file(&self, path: &Path) -> Result<(), AclFileError> {
        let name = path.display().to_string();
        let io = |error| AclFileError::Io { path: name.clone(), error };
        if std::fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX {
            return Err(AclFileError::TooLong { path: name });
        }
        let text = std::fs::read(path).map_err(io)?;
        let all_channels = self.new_users_have_all_channels();
        self.replace_all(parse(&name, &text, all_channels).map_err(AclFileError::Lines)?);
        Ok(())
    }

    /// Writes all users to a file, mode 0600, under another name first. Durable on return.
    ///
    /// # Errors
    /// The old file stays as it is.
    pub fn save_file(&self, path: &Path) -> Result<(), AclFileError> {
        let _one_at_a_time = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let io = |error| AclFileError::Io { path: path.display().to_string(), error };
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".tmp-{}", std::process::id()));
        let write = || -> std::io::Result<()> {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(&self.lines())?;
            file.sync_all()?;
            std::fs::rename(&beside, path)?;
            std::fs::File::open(folder)?.sync_all()
        };
        write().map_err(|error| {
            // What is left beside is of no use to anybody; that it cannot be removed changes nothing.
            let _ = std::fs::remove_file(&beside);
            io(error)
        })
    }

    /// All users as lines of a file, `default` among them.
    #[must_use]
    pub fn lines(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for handle in self.all() {
            text.extend_from_slice(&line_of(handle.name(), &handle.read().0));
            text.push(b'\n');
        }
        assert!(
            text.starts_with(b"user "),
            "there is always a user {}",
            String::from_utf8_lossy(DEFAULT_USER)
        );
        text
    }
}

/// One user as a line, without its end.
pub(super) fn line_of(name: &[u8], user: &User) -> Vec<u8> {
    [b"user ", name, b" ", &user.text()].concat()
}
