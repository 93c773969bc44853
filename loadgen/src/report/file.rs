//! Reports as files: written whole or not at all, read only when their version is known.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SCHEMA_VERSION;

/// Writes any report as JSON, whole or not at all.
///
/// # Errors
/// Those of the file system.
pub fn write_json(report: &impl Serialize, path: &Path) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    write_whole(path, &text)
}

/// Refuses reports of another major version.
///
/// # Errors
/// A sentence for the user.
pub fn check_version(text: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: String,
    }
    let version: Version =
        serde_json::from_slice(text).map_err(|error| format!("not a loadgen report: {error}"))?;
    let major = |text: &str| text.split('.').next().map(str::to_owned);
    if major(&version.schema_version) == major(SCHEMA_VERSION) {
        return Ok(());
    }
    Err(format!(
        "report of schema version {}, this program reads {SCHEMA_VERSION}: use the loadgen that wrote it",
        version.schema_version
    ))
}

/// Writes a file whole or not at all: its content is on disk before it has its name.
///
/// # Errors
/// Those of the file system.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".part");
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}
