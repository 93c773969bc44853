//! Where the bytes come from: whoever checks brings the files, the core only looks at them.

use crate::io::{FileId, IoError};

/// The files of a directory, to be read.
pub trait Source {
    /// Length of a file; `None`: there is none of this name.
    ///
    /// # Errors
    /// What the operating system said.
    fn len(&mut self, file: FileId) -> Result<Option<u64>, IoError>;

    /// Reads `bytes` at `offset`: as many as there are, fewer only at the end of the file.
    ///
    /// # Errors
    /// What the operating system said.
    fn read(&mut self, file: FileId, offset: u64, bytes: &mut [u8]) -> Result<usize, IoError>;

    /// Names of all files of the directory.
    ///
    /// # Errors
    /// What the operating system said.
    fn names(&mut self) -> Result<Vec<String>, IoError>;
}

/// A file from its start, at most so many bytes.
pub(super) fn read_head(
    source: &mut dyn Source,
    file: FileId,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, IoError> {
    let Some(len) = source.len(file)? else { return Ok(None) };
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(bytes_max);
    let mut bytes = vec![0; len];
    let read = source.read(file, 0, &mut bytes)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// A window over a file that is gone through from front to back.
pub(super) struct Window {
    file: FileId,
    end: u64,
    offset: u64,
    bytes: Vec<u8>,
}

/// Bytes of one read.
const READ_BYTES: usize = 1 << 20;

impl Window {
    pub(super) fn new(file: FileId, offset: u64, end: u64) -> Self {
        Self { file, end, offset, bytes: Vec::new() }
    }

    pub(super) const fn file(&self) -> FileId {
        self.file
    }

    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes up to the end of the pass.
    pub(super) const fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.offset)
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.bytes.drain(..len.min(self.bytes.len()));
        self.offset += len as u64;
    }

    /// At least `wanted` bytes from the present offset on, or as many as there are.
    pub(super) fn bytes(&mut self, source: &mut dyn Source, wanted: usize) -> Result<&[u8], IoError> {
        while self.bytes.len() < wanted {
            let at = self.offset + self.bytes.len() as u64;
            let left = usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX);
            let start = self.bytes.len();
            let more = READ_BYTES.max(wanted - start).min(left);
            self.bytes.resize(start + more, 0);
            let read = source.read(self.file, at, &mut self.bytes[start..])?;
            self.bytes.truncate(start + read);
            if read == 0 {
                break;
            }
        }
        Ok(&self.bytes)
    }
}
