//! Names for every place where the core asks for I/O: what is asked for, and of which kind of file.
//!
//! The matches are complete: a new kind of request or of file does not compile until it has a name here, and a run over
//! every request (`every_io.rs`) fails until it meets all of [`Site::all`], and nothing else.

use std::fmt;

use crate::io::{BlockPool, FileId, IoOperation};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// A file is made, or emptied.
    Create,
    /// Bytes are written.
    Write,
    /// What was written, or named, is made durable.
    Sync,
    /// Bytes are read.
    Read,
    /// Space of a range is given back.
    FreeSpace,
    /// A file is removed.
    Delete,
    /// Space for a range is taken.
    Allocate,
    /// A file is cut to a length.
    Cut,
}

use Action::{Allocate, Create, Cut, Delete, FreeSpace, Read, Sync, Write};

/// What it is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The store directory.
    Directory,
    /// The store manifest.
    StoreManifest,
    /// Manifests of logs.
    LogManifest,
    /// Segments of logs.
    Segment,
    /// Manifests of shards.
    ShardManifest,
    /// Snapshots.
    Snapshot,
    /// Data files.
    Data,
    /// Reserves of disk space.
    Reserve,
}

impl Place {
    const ALL: [Self; 8] = [
        Self::Directory,
        Self::StoreManifest,
        Self::LogManifest,
        Self::Segment,
        Self::ShardManifest,
        Self::Snapshot,
        Self::Data,
        Self::Reserve,
    ];

    const fn of(file: FileId) -> Self {
        match file {
            FileId::StoreManifest(_) => Self::StoreManifest,
            FileId::LogManifest { .. } => Self::LogManifest,
            FileId::Segment { .. } => Self::Segment,
            FileId::ShardManifest { .. } => Self::ShardManifest,
            FileId::ShardSnapshot { .. } => Self::Snapshot,
            FileId::ShardData { .. } => Self::Data,
            FileId::Reserve { .. } => Self::Reserve,
        }
    }

    /// What the core asks of it.
    const fn actions(self) -> &'static [Action] {
        match self {
            Self::Directory => &[Sync],
            Self::StoreManifest | Self::LogManifest | Self::ShardManifest => &[Create, Write, Sync, Read],
            Self::Segment => &[Create, Write, Sync, Read, Delete, Cut],
            Self::Snapshot => &[Create, Write, Sync, Read, Delete],
            Self::Data => &[Create, Write, Sync, Read, FreeSpace, Allocate, Cut],
            Self::Reserve => &[Create, Allocate, Cut],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::StoreManifest => "store manifest",
            Self::LogManifest => "log manifest",
            Self::Segment => "segment",
            Self::ShardManifest => "shard manifest",
            Self::Snapshot => "snapshot",
            Self::Data => "data file",
            Self::Reserve => "reserve",
        }
    }
}

/// A place where the core asks for I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// Of what.
    pub place: Place,
    /// What.
    pub action: Action,
}

impl Site {
    /// The site of a request.
    #[must_use]
    pub const fn of<P: BlockPool>(operation: &IoOperation<P>) -> Self {
        let (file, action) = match operation {
            IoOperation::CreateFile { file, .. } => (file, Create),
            IoOperation::Write { file, .. } => (file, Write),
            IoOperation::SyncFile { file, .. } => (file, Sync),
            IoOperation::SyncDirectory => return Self { place: Place::Directory, action: Sync },
            IoOperation::Read { file, .. } => (file, Read),
            IoOperation::FreeSpace { file, .. } => (file, FreeSpace),
            IoOperation::DeleteFile { file } => (file, Delete),
            IoOperation::Allocate { file, .. } => (file, Allocate),
            IoOperation::Truncate { file, .. } => (file, Cut),
        };
        Self { place: Place::of(*file), action }
    }

    /// Every site there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Place::ALL
            .into_iter()
            .flat_map(|place| place.actions().iter().map(move |&action| Self { place, action }))
    }

    /// Whether an error here says that something may not be durable that was, or will be, promised: the process ends.
    #[must_use]
    pub const fn must_end_on_error(self) -> bool {
        matches!(self.action, Write | Sync)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Create => "create",
            Write => "write",
            Sync => "sync",
            Read => "read",
            FreeSpace => "free space",
            Delete => "delete",
            Allocate => "allocate",
            Cut => "cut",
        };
        write!(f, "{} {action}", self.place.name())
    }
}
