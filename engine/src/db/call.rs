//! What a handle asks of a worker, and what comes back.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use shard::key::Key;
use shard::shard_set::{ScanCursor, TaskKind};
use shard::types::Slot;

use super::error::DbError;
use super::options::Ttl;
use crate::figures::WorkerFigures;

/// A key with its place, as the handle has hashed it.
#[derive(Debug)]
pub(super) struct OwnedKey {
    pub(super) bytes: Vec<u8>,
    pub(super) slot: Slot,
    pub(super) hash: u32,
}

impl OwnedKey {
    pub(super) fn of(key: &Key<'_>) -> Self {
        Self { bytes: key.bytes.to_vec(), slot: key.slot, hash: key.hash }
    }

    pub(super) fn as_key(&self) -> Key<'_> {
        Key { bytes: &self.bytes, slot: self.slot, hash: self.hash }
    }
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Operation {
    Set {
        key: OwnedKey,
        value: Vec<u8>,
        ttl: Option<Duration>,
    },
    Get(OwnedKey),
    Delete(OwnedKey),
    Exists(OwnedKey),
    Ttl(OwnedKey),
    /// Some records from a place on.
    Scan {
        cursor: ScanCursor,
        prefix: Vec<u8>,
    },
    Task(TaskKind),
    Figures,
}

/// Records of a scan: key, and value unless the batch had become large, and where to go on.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(super) next: ScanCursor,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Answer {
    Done,
    Flag(bool),
    Value(Option<Vec<u8>>),
    Ttl(Ttl),
    Batch(Batch),
    Figures(Box<WorkerFigures>),
}

/// Where the answer goes. Dropped without one, it tells the caller that there will be none.
pub(super) type ReplyTo = SyncSender<Result<Answer, DbError>>;

/// One call of a handle.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) reply: ReplyTo,
}

/// What a worker is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Do this.
    Call(Call),
    /// Finish what was begun and close.
    Close,
    /// Another worker has failed.
    Fail,
}
