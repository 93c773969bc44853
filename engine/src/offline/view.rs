//! The files of a directory, opened to be read and nothing else.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use shard::check::Source;
use shard::io::{FileId, IoError, IoErrorKind};

use crate::blocking_io::io_error;

/// Reads the files of one directory.
pub(super) struct View {
    directory: PathBuf,
    open: HashMap<FileId, File>,
}

impl View {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_path_buf(), open: HashMap::new() }
    }

    fn file(&mut self, id: FileId) -> io::Result<&File> {
        if !self.open.contains_key(&id) {
            let file = File::open(self.directory.join(id.to_string()))?;
            // What is judged must not vanish with the power afterwards.
            file.sync_all()?;
            self.open.insert(id, file);
        }
        Ok(&self.open[&id])
    }
}

impl Source for View {
    fn len(&mut self, file: FileId) -> Result<Option<u64>, IoError> {
        let len = self.file(file).and_then(File::metadata).map(|metadata| metadata.len());
        match len.map_err(|error| io_error(&error)) {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind == IoErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, file: FileId, offset: u64, bytes: &mut [u8]) -> Result<usize, IoError> {
        let file = self.file(file).map_err(|error| io_error(&error))?;
        let mut done = 0;
        while done < bytes.len() {
            match file.read_at(&mut bytes[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(len) => done += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error(&error)),
            }
        }
        Ok(done)
    }

    fn names(&mut self) -> Result<Vec<String>, IoError> {
        let names = std::fs::read_dir(&self.directory).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        });
        names.map_err(|error: io::Error| io_error(&error))
    }
}
