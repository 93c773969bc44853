//! Every kind of fault that the simulator makes, and which kinds of files each of them hits.

use crate::io::FileId;

/// Kinds of files, as faults tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileClass {
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
}

use FileClass::{Data, LogManifest, Segment, ShardManifest, Snapshot, StoreManifest};

impl FileClass {
    /// All of them.
    pub const ALL: [Self; 6] = [StoreManifest, LogManifest, Segment, ShardManifest, Snapshot, Data];

    /// The class of a file.
    #[must_use]
    pub const fn of(file: FileId) -> Self {
        match file {
            FileId::StoreManifest(_) => StoreManifest,
            FileId::LogManifest { .. } => LogManifest,
            // The reserve holds nothing and is never damaged.
            FileId::Segment { .. } | FileId::Reserve { .. } => Segment,
            FileId::ShardManifest { .. } => ShardManifest,
            FileId::ShardSnapshot { .. } => Snapshot,
            FileId::ShardData { .. } => Data,
        }
    }

    /// Whether files of this class are a shard's.
    #[must_use]
    pub const fn is_of_shard(self) -> bool {
        matches!(self, ShardManifest | Snapshot | Data)
    }

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StoreManifest => "store manifest",
            LogManifest => "log manifest",
            Segment => "segment",
            ShardManifest => "shard manifest",
            Snapshot => "snapshot",
            Data => "data file",
        }
    }
}

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident $name:literal [$($class:ident),*],)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)*];

            /// In words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$fault => $name,)* }
            }

            /// The kinds of files that it hits, each to be counted by itself; none: it has no file.
            #[must_use]
            pub const fn classes(self) -> &'static [FileClass] {
                match self { $(Self::$fault => &[$($class),*],)* }
            }
        }
    };
}

faults! {
    /// A request completes before one that was submitted earlier.
    ReorderedCompletion "reordered completion" [],
    /// A write does less than asked for, and says so.
    ShortWrite "short write" [Segment, Snapshot, Data],
    /// A read gives less than asked for, and says so.
    ShortRead "short read" [Segment, Snapshot, Data],
    /// A write fails; part of it may be done.
    WriteError "write error" [LogManifest, Segment, ShardManifest, Snapshot, Data],
    /// A sync fails; what was to be synced may be gone.
    SyncError "sync error" [Segment, Snapshot, Data],
    /// A read fails.
    ReadError "read error" [StoreManifest, LogManifest, Segment, ShardManifest, Snapshot, Data],
    /// A write says it is done, and is not.
    LostWrite "lost write" [LogManifest, Segment, ShardManifest, Snapshot, Data],
    /// A write is done somewhere else; counted by the file it was meant for.
    MisdirectedWrite "misdirected write" [LogManifest, Segment, ShardManifest, Snapshot, Data],
    /// A read gives what lies somewhere else; counted by the file it was meant for.
    MisdirectedRead "misdirected read" [StoreManifest, LogManifest, Segment, ShardManifest, Snapshot, Data],
    /// There is no room any more.
    DiskFull "disk full" [],
    /// A bit rots while the store is up.
    RotWhileUp "rotten bit while up" [Snapshot, Data],
    /// The end of a file is gone while the store is up.
    CutWhileUp "file cut while up" [Snapshot, Data],
    /// The process ends; what is in flight happens or not.
    Kill "process kill" [],
    /// Power is lost.
    PowerLoss "power loss" [],
    /// Of what was not synced, some is old after a power loss.
    UnsyncedLost "unsynced sectors lost" [],
    /// Of what was not synced, some is garbage after a power loss.
    Garbage "garbage sectors" [],
    /// A name that was never synced is gone after a power loss, or one whose removal was not synced is back.
    NameLost "unsynced name lost" [Snapshot, Data],
    /// A crash before a start is through.
    CrashInBoot "crash during a start" [],
    /// A file is gone.
    MissingFile "missing file" [StoreManifest, LogManifest, Segment, ShardManifest, Snapshot, Data],
    /// Two files have changed places.
    SwappedFiles "swapped files" [LogManifest, Segment, ShardManifest, Snapshot, Data],
    /// A bit has rotted.
    RottenBit "rotten bit" [StoreManifest, LogManifest, Segment, ShardManifest, Snapshot, Data],
    /// A bit has rotted in both copies of a manifest.
    BothCopiesRotten "both manifests rotten" [StoreManifest, LogManifest, ShardManifest],
    /// A file ends too early.
    ShortFile "short file" [Segment, ShardManifest, Snapshot, Data],
    /// A block is zeros.
    ZeroedBlock "zeroed block" [Segment, ShardManifest, Snapshot, Data],
    /// A later version of the program wrote the file.
    NewerFormat "newer format" [StoreManifest, LogManifest, Segment, ShardManifest, Snapshot, Data],
    /// All behind the header of a segment is zeros.
    EmptiedSegment "emptied segment" [],
    /// Blocks stand in another place, of the same file or another one.
    MisplacedBlocks "blocks in another place" [Segment, Snapshot, Data],
    /// A file of another copy of the store, which went its own way.
    FileOfAnotherCopy "file of another copy" [StoreManifest, LogManifest, Segment, ShardManifest, Snapshot, Data],
    /// The same for a manifest, whose other copy is torn: only the foreign one is left.
    OnlyCopyOfAnother "only copy is of another" [],
    /// Both copies of a manifest are gone.
    BothCopiesMissing "both manifests missing" [StoreManifest, LogManifest, ShardManifest],
    /// The copies of a manifest contradict each other.
    Contradiction "contradicting manifests" [StoreManifest, LogManifest, ShardManifest],
    /// Both copies of a manifest are another store's.
    OfAnotherStore "manifests of another store" [LogManifest, ShardManifest],
    /// A batch is intact and holds what no version of the program writes.
    MalformedRecord "malformed record in an intact batch" [],
    /// A snapshot is intact and contradicts itself.
    MalformedSnapshot "intact snapshot that contradicts itself" [],
    /// A snapshot is intact and is not the one that the manifest names.
    SnapshotNotNamed "intact snapshot that is not the one named" [],
    /// A manifest is older than what it describes, or of a history that went another way.
    OfAnotherHistory "manifest of another history" [StoreManifest, LogManifest],
    /// A shard's manifest promises records that the log does not have.
    PromiseBeyondLog "shard manifest beyond its log" [],
    /// The wall clock goes on by seconds to years at once.
    ClockForward "clock jump forward" [],
    /// The wall clock is set back, by milliseconds to days, or to what is right after it was wrong.
    ClockBack "clock jump back" [],
}

impl Fault {
    /// Its name as one word, for a command line.
    #[must_use]
    pub fn word(self) -> String {
        self.name().replace(' ', "-")
    }

    /// The kind of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.word() == word)
    }
}

/// A set of kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultSet(u64);

impl FaultSet {
    /// Every kind.
    #[must_use]
    pub const fn all() -> Self {
        assert!(Fault::ALL.len() <= 64, "a bit for each");
        Self(u64::MAX)
    }

    /// Without one kind.
    #[must_use]
    pub const fn without(self, fault: Fault) -> Self {
        Self(self.0 & !(1 << fault as u64))
    }

    /// Whether a kind is in it.
    #[must_use]
    pub const fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u64) != 0
    }

    /// The kinds that are not in it.
    pub fn missing(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.iter().copied().filter(move |fault| !self.has(*fault))
    }
}
