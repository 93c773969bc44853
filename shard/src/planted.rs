//! Deliberate mistakes that the simulator must catch, one at a time, all over the crate. Without feature `sim` none
//! can be chosen and the compiler drops every place that asks.
//!
//! The mistake is chosen per thread, not passed along: the places that ask are deep in the machines, which carry
//! nothing for it.

/// A mistake to make.
#[cfg_attr(not(feature = "sim"), expect(dead_code, unreachable_pub, reason = "chosen by the simulator only"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlantedBug {
    /// The watermark passes a batch when it is submitted.
    AcknowledgeEarly,
    /// The watermark passes a batch although one before it is still in flight.
    AcknowledgeOutOfOrder,
    /// Batches are written without making them durable.
    SkipDsync,
    /// With `fdatasync`, a sync is taken to cover batches written after it was issued.
    SyncCoversLaterWrites,
    /// A short write counts as a whole one.
    IgnoreShortWrite,
    /// A failed write is written again and then acknowledged as if nothing had been lost.
    RetryFailedSync,
    /// The next generation's header is written while batches of the one before are in flight.
    HeaderBeforeBatches,
    /// A standby segment is used before the manifest that names it is durable.
    UseBeforeManifest,
    /// Segments are reused before the manifest that gives them up is durable.
    RecycleTooSoon,
    /// Segments count as obsolete up to the highest floor of a shard instead of the lowest.
    RecycleByHighestFloor,
    /// The batch at a floor counts as obsolete, though records after the floor may lie in it.
    RecycleBatchAtFloor,
    /// The next segment is made of a file that the manifest under way no longer names, and that is then deleted.
    UseDroppedFile,
    /// Recovery does not compare a batch's previous checksum.
    SkipChainCheck,
    /// Recovery does not look at what later batches prove.
    DropKnownDurableProof,
    /// Recovery takes the first invalid batch of any generation for the end of the log.
    StopAtFirstInvalid,
    /// After a torn tail the log goes on in the same generation, over the tail.
    AppendBehindTornTail,
    /// A segment that the manifest names and that is missing counts as empty.
    IgnoreMissingSegment,
    /// A record is handed out although its last fragment is missing.
    SkipFragmentCompleteness,
    /// The records of a group are handed out although the group is not closed.
    ApplyIncompleteGroup,
    /// Two intact copies of a manifest are taken for one history, though the newer was not made of the older.
    ParentNotChecked,
    /// Recovery does not ask whether the log has the batch that its manifest knows as durable.
    ReachedNotChecked,
    /// Recovery passes over a segment that its manifest does not name, though it is newer than all that are named.
    UnnamedSegmentPassedOver,
    /// A start passes over logs that the store manifest does not name, though they were begun after all that it names.
    UnnamedLogPassedOver,
    /// Recovery starts a new generation under the old term.
    KeepOldTerm,
    /// Recovery reads segments without syncing them first.
    ReadWithoutSync,
    /// Recovery serves before the header of its new generation is durable.
    ServeBeforeHeader,
    /// The simulated server answers reads of values without waiting for them to be durable.
    ReadNotGated,
    /// The simulated server answers reads of absence without waiting for the delete to be durable.
    MissNotGated,
    /// The simulated server answers a change to the strict policy before what is appended is durable.
    StrictPolicyNotGated,
    /// A checkpoint goes on while extents that its copy points into are still on their way to disk.
    PublishBeforeExtentsWritten,
    /// A checkpoint is published although the data file was not synced.
    PublishBeforeDataSync,
    /// A checkpoint is published although its snapshot was not synced.
    PublishBeforeSnapshotSync,
    /// A checkpoint is published although the name of its snapshot was not synced.
    PublishBeforeSnapshotNamed,
    /// A checkpoint is published before the log is durable up to the end of the copy.
    PublishBeforeLogDurable,
    /// A checkpoint lets the replay begin where its copy ended, not where it began.
    ReplayFromEnd,
    /// The log is told of a checkpoint, and may reuse segments, when its manifest begins to be written.
    FloorBeforeBothCopies,
    /// The snapshot before is removed when the manifest that replaces it begins to be written.
    RemoveSnapshotTooSoon,
    /// The end of a copy seals the extent of fresh records only, not that of compaction's survivors.
    SurvivorsNotSealed,
    /// Records are still overwritten in extents that a snapshot counts on.
    SealedStillWritten,
    /// The place of an emptied extent is free at once, though the published snapshot points into it.
    ReuseEmptiedAtOnce,
    /// A checkpoint frees extents that were emptied after it had begun, though its copy may point into them.
    ReuseEmptiedDuringCopy,
    /// An extent that was never written is dropped when it is emptied, though a copy under way may point into it.
    ForgetUnwrittenDuringCopy,
    /// After a start, extents get numbers that a run before may have used, and the salt of that run.
    ExtentIdentityReused,
    /// Compaction moves a record and leaves its index entry where it was.
    MoveKeepsOldLocation,
    /// Compaction moves a record and leaves its checksum that of the old place.
    MoveKeepsOldChecksum,
    /// Compaction moves records that it has read from disk without verifying them.
    CompactUnverified,
    /// The scrub takes the records of an extent for intact when it can tell them apart.
    ScrubUnverified,
    /// A record read from disk is not verified.
    ColdReadUnverified,
    /// Checksums of records on disk are not mixed with their place.
    ColdReadWithoutIdentity,
    /// A read that came back short counts as whole.
    ShortColdReadAccepted,
    /// A command runs when its read has come, although the record has moved meanwhile.
    StaleColdRead,
    /// A command does not queue behind those that wait for the same key.
    ColdQueueOvertaken,
    /// The read cache takes records at one offset of two extents for the same.
    ReadCacheByOffset,
    /// A record that cannot be read counts as absent.
    ColdErrorIsAbsence,
    /// Without a log, a checkpoint is published although records of its tail are still on their way.
    PublishBeforeTailWritten,
    /// Without a log, a record that is written during a checkpoint is missing from the tail of its snapshot.
    TailRecordSkipped,
    /// Without a log, a start does not apply the tail of a snapshot.
    TailIgnored,
    /// Chunks of a snapshot are not verified.
    SnapshotUnverified,
    /// The end of a snapshot is not compared with the manifest.
    SnapshotEndUnverified,
    /// A start does not ask whether the log reaches what a snapshot promises.
    LogBehindAccepted,
    /// A start takes a manifest of another store's shard, or of another shard, for its own.
    ForeignShardManifest,
    /// A start does not ask whether the data file is as long as the snapshot needs.
    DataFileUnchecked,
    /// A key whose time has come is told to be absent, and no record says so.
    ExpiryNotLogged,
    /// Under `volatile-*` a key goes that has no deadline any more.
    EvictsWithoutDeadline,
    /// In memory, room is said to be there and none is made.
    NoRoomMade,
}

#[cfg(feature = "sim")]
impl PlantedBug {
    /// All of them.
    pub const ALL: [Self; 65] = [
        Self::AcknowledgeEarly,
        Self::AcknowledgeOutOfOrder,
        Self::SkipDsync,
        Self::SyncCoversLaterWrites,
        Self::IgnoreShortWrite,
        Self::RetryFailedSync,
        Self::HeaderBeforeBatches,
        Self::UseBeforeManifest,
        Self::RecycleTooSoon,
        Self::RecycleByHighestFloor,
        Self::RecycleBatchAtFloor,
        Self::UseDroppedFile,
        Self::SkipChainCheck,
        Self::DropKnownDurableProof,
        Self::StopAtFirstInvalid,
        Self::AppendBehindTornTail,
        Self::IgnoreMissingSegment,
        Self::SkipFragmentCompleteness,
        Self::ApplyIncompleteGroup,
        Self::ParentNotChecked,
        Self::ReachedNotChecked,
        Self::UnnamedSegmentPassedOver,
        Self::UnnamedLogPassedOver,
        Self::KeepOldTerm,
        Self::ReadWithoutSync,
        Self::ServeBeforeHeader,
        Self::ReadNotGated,
        Self::MissNotGated,
        Self::StrictPolicyNotGated,
        Self::PublishBeforeExtentsWritten,
        Self::PublishBeforeDataSync,
        Self::PublishBeforeSnapshotSync,
        Self::PublishBeforeSnapshotNamed,
        Self::PublishBeforeLogDurable,
        Self::ReplayFromEnd,
        Self::FloorBeforeBothCopies,
        Self::RemoveSnapshotTooSoon,
        Self::SurvivorsNotSealed,
        Self::SealedStillWritten,
        Self::ReuseEmptiedAtOnce,
        Self::ReuseEmptiedDuringCopy,
        Self::ForgetUnwrittenDuringCopy,
        Self::ExtentIdentityReused,
        Self::MoveKeepsOldLocation,
        Self::MoveKeepsOldChecksum,
        Self::CompactUnverified,
        Self::ScrubUnverified,
        Self::ColdReadUnverified,
        Self::ColdReadWithoutIdentity,
        Self::ShortColdReadAccepted,
        Self::StaleColdRead,
        Self::ColdQueueOvertaken,
        Self::ReadCacheByOffset,
        Self::ColdErrorIsAbsence,
        Self::PublishBeforeTailWritten,
        Self::TailRecordSkipped,
        Self::TailIgnored,
        Self::SnapshotUnverified,
        Self::SnapshotEndUnverified,
        Self::LogBehindAccepted,
        Self::ForeignShardManifest,
        Self::DataFileUnchecked,
        Self::ExpiryNotLogged,
        Self::EvictsWithoutDeadline,
        Self::NoRoomMade,
    ];
}

#[cfg(feature = "sim")]
impl PlantedBug {
    /// Whether it shows only where files of two copies of a store are mixed: a run that looks for it does so often.
    #[must_use]
    pub const fn shows_in_mixed_copies(self) -> bool {
        matches!(
            self,
            Self::SkipChainCheck
                | Self::ParentNotChecked
                | Self::ReachedNotChecked
                | Self::UnnamedSegmentPassedOver
                | Self::UnnamedLogPassedOver
        )
    }
}

#[cfg(feature = "sim")]
impl PlantedBug {
    /// Whether it may show in memory-only storage.
    #[must_use]
    pub const fn shows_in_memory(self) -> bool {
        matches!(
            self,
            Self::MoveKeepsOldLocation
                | Self::ExpiryNotLogged
                | Self::EvictsWithoutDeadline
                | Self::NoRoomMade
        )
    }
}

#[cfg(feature = "sim")]
std::thread_local! {
    static CHOSEN: std::cell::Cell<Option<PlantedBug>> = const { std::cell::Cell::new(None) };
}

/// Whether to make this mistake: never, but in the simulator.
#[cfg(feature = "sim")]
#[inline]
pub(crate) fn is(bug: PlantedBug) -> bool {
    CHOSEN.get() == Some(bug)
}

/// Whether to make this mistake: never, but in the simulator.
#[cfg(not(feature = "sim"))]
#[inline]
pub(crate) const fn is(_bug: PlantedBug) -> bool {
    false
}

/// Chooses the mistake that this thread makes from now on, or none.
#[cfg(feature = "sim")]
pub fn choose(bug: Option<PlantedBug>) {
    CHOSEN.set(bug);
}
