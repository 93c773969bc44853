//! The store manifest at a start: read, judged, made; eras that end and begin.

use super::{Boot, Down, ShardOf, failed, refused};
use crate::io::{FileId, ManifestCopy};
use crate::log::Log;
use crate::log::recovery::{RecoveryMode, RecoveryStart};
use crate::shard_manifest::ShardManifest;
use crate::store_files::{StoreManifestError, StoreManifestFound, StoreManifestLoad, StoreManifestWrite};
use crate::store_manifest::StoreManifest;
use crate::testing::HeapPool;
use crate::types::Term;

impl Boot<'_> {
    pub(super) fn load_manifest(&mut self) -> Result<StoreManifest, Down> {
        let mut load = StoreManifestLoad::new(HeapPool);
        let found = loop {
            let done = self.step(|| load.next_io())?;
            match load.on_io(done) {
                Ok(None) => {}
                Ok(Some(found)) => break found,
                // Creation writes the manifest before any other file: without others there never was a store.
                Err(StoreManifestError::Damaged) if !self.has_logs() => break StoreManifestFound::None,
                Err(error) => {
                    self.report.count_store_refusal(&error);
                    let by_error = matches!(error, StoreManifestError::Io(_));
                    return Err(Down::Refused { why: error.to_string(), by_error });
                }
            }
        };
        match found {
            StoreManifestFound::Manifest { manifest, repaired } => {
                if repaired {
                    self.report.count("rule StoreManifestRepaired");
                }
                Ok(manifest)
            }
            StoreManifestFound::None if self.has_logs() => {
                self.report.count("refused StoreManifestMissing");
                Err(refused("log files without a store manifest".into()))
            }
            StoreManifestFound::None => {
                let (shards, workers) = (self.shard_count, self.worker_count);
                let mut manifest = Self::manifest(self.now, shards, workers);
                if !self.wal {
                    manifest = manifest.without_log();
                }
                self.write_manifest(&manifest, true)?;
                Ok(manifest)
            }
        }
    }

    /// Counts a refusal of the store manifest.
    pub(super) fn judge_store(&mut self, judged: Result<(), StoreManifestError>) -> Result<(), Down> {
        judged.map_err(|error| {
            self.report.count_store_refusal(&error);
            refused(error.to_string())
        })
    }

    pub(super) fn has_logs(&self) -> bool {
        let is_log =
            |file: &FileId| !matches!(file, FileId::StoreManifest(ManifestCopy::A | ManifestCopy::B));
        self.disk.files.keys().any(is_log)
    }

    pub(super) fn write_manifest(&mut self, manifest: &StoreManifest, create: bool) -> Result<(), Down> {
        let mut write = StoreManifestWrite::new(manifest, create, HeapPool);
        loop {
            let done = self.step(|| write.next_io())?;
            if write.on_io(done).map_err(failed)? {
                return Ok(());
            }
        }
    }

    pub(super) fn drop_obsolete_eras(
        &mut self,
        manifest: &mut StoreManifest,
        shards: &[ShardManifest],
    ) -> Result<(), Down> {
        let made_in = |of: &ShardManifest| of.snapshot.as_ref().map(|snapshot| snapshot.log);
        let oldest = shards.iter().map(made_in).min().flatten();
        if oldest.is_some_and(|oldest| manifest.drop_eras_before(oldest)) {
            self.report.count("eras dropped");
            self.write_manifest(manifest, false)?;
        }
        self.disk.remove_old_logs(manifest.first_log());
        Ok(())
    }

    /// Ends the era and begins one with another number of workers.
    pub(super) fn change_workers(
        &mut self,
        logs: Vec<Log<HeapPool>>,
        manifest: &mut StoreManifest,
        shards: &mut [ShardOf],
        term: &mut Term,
    ) -> Result<Vec<Log<HeapPool>>, Down> {
        let mut ends = Vec::new();
        for mut log in logs {
            log.begin_shutdown();
            while !log.is_shut_down() {
                let done = self.step(|| log.next_io())?;
                log.on_io(done).map_err(failed)?;
            }
            ends.push(log.end());
        }
        manifest.begin_era(&ends, self.worker_count);
        self.report.count("eras begun");
        self.write_manifest(manifest, false)?;
        let first_term = Term(term.0 + 1);
        let mut logs = Vec::new();
        for entry in manifest.current_era().logs.clone() {
            let Some(identity) = manifest.identity_of(entry.log) else { unreachable!("just made") };
            let start = RecoveryStart { identity, mode: RecoveryMode::Create, first_term };
            logs.extend(self.recover(start, shards, &mut [], term)?);
        }
        manifest.mark_open();
        self.write_manifest(manifest, false)?;
        Ok(logs)
    }
}
