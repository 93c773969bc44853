//! What one writer sent and what was acknowledged to it between two starts of the server: in memory for the checker,
//! and line by line in a file for people.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use resp::Reply;

use super::key_state::{KeyState, Shown};
use super::operation::{KeyIndex, Operation, ShownReply};
use super::strand::StrandId;

/// One operation that was sent, or was about to be.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its number in the life of the writer.
    pub sequence: u64,
    /// What it makes of the keys; empty when it changes nothing.
    pub effects: Vec<(KeyIndex, KeyState)>,
    /// The strand of its keys.
    pub strand: StrandId,
    /// Just before it left, Unix ms.
    pub sent_ms: u64,
    /// Just after its reply came, Unix ms.
    pub acknowledged_ms: Option<u64>,
}

/// All that one writer did in one cycle.
#[derive(Clone, Debug)]
pub struct History {
    /// Which writer.
    pub writer: usize,
    /// Names of its keys.
    pub names: Arc<[Vec<u8>]>,
    /// What the keys were at the start.
    pub base: Vec<KeyState>,
    /// The operations in the order sent. Those acknowledged come first.
    pub sent: Vec<Sent>,
}

impl History {
    /// Of a writer that has done nothing yet.
    #[must_use]
    pub const fn new(writer: usize, names: Arc<[Vec<u8>]>, base: Vec<KeyState>) -> Self {
        Self { writer, names, base, sent: Vec::new() }
    }

    /// How many operations were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.sent.iter().take_while(|sent| sent.acknowledged_ms.is_some()).count()
    }
}

/// The file of a history: `>` sent, `<` acknowledged, each with its time in Unix ms and the operation's number.
#[derive(Debug)]
pub struct Journal {
    out: BufWriter<File>,
}

impl Journal {
    /// A new file.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { out: BufWriter::with_capacity(1 << 18, File::create(path)?) })
    }

    /// An operation is about to leave.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn sent(
        &mut self,
        ms: u64,
        sequence: u64,
        operation: &Operation,
        names: &[Vec<u8>],
    ) -> io::Result<()> {
        write!(self.out, "{ms} > {sequence}")?;
        for word in operation.request(names) {
            write!(self.out, " {}", Shown(&word))?;
        }
        writeln!(self.out)
    }

    /// Its reply is here.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn acknowledged(&mut self, ms: u64, sequence: u64, reply: &Reply) -> io::Result<()> {
        writeln!(self.out, "{ms} < {sequence} {}", ShownReply(reply))
    }

    /// A reader's question was answered.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn seen(&mut self, name: &[u8], sighting: &impl std::fmt::Display) -> io::Result<()> {
        writeln!(self.out, "{} is {sighting}", Shown(name))
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
