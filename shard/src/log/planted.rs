//! Deliberate mistakes that the simulator must catch, one at a time. Without feature `sim` none can be chosen and
//! the compiler drops every place that asks.

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
}

#[cfg(feature = "sim")]
impl PlantedBug {
    /// All of them.
    pub const ALL: [Self; 24] = [
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
        Self::SkipChainCheck,
        Self::DropKnownDurableProof,
        Self::StopAtFirstInvalid,
        Self::AppendBehindTornTail,
        Self::IgnoreMissingSegment,
        Self::SkipFragmentCompleteness,
        Self::ApplyIncompleteGroup,
        Self::KeepOldTerm,
        Self::ReadWithoutSync,
        Self::ServeBeforeHeader,
        Self::ReadNotGated,
        Self::MissNotGated,
        Self::StrictPolicyNotGated,
    ];
}
