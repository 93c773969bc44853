//! Recovery of all logs of a store: era after era, the logs of each in parallel.

use std::num::NonZero;
use std::sync::Mutex;

use shard::key::KeyHasher;
use shard::log::Log;
use shard::log::recovery::{LogRecovery, RecoveryMode, RecoveryReport, RecoveryStart};
use shard::shard_manifest::ShardManifest;
use shard::shard_open::check_reached;
use shard::store_manifest::{EraState, LogEntry, StoreManifest};
use shard::types::{LogId, Term};

use super::Opener;
use crate::Shard;
use crate::files::Files;
use crate::open_error::OpenError;
use crate::open_shards::{
    open_shards, remove_obsolete, remove_old_logs, remove_reserves, segment_files, store_files,
};
use crate::pool::Pool;
use crate::progress::Progress;
use crate::replay::Replay;
use crate::replay_memory::ShardManifests;
use crate::start_io::StartIo;

/// A log recovered: its shards, itself unless its era is over, and the files it has open.
pub(super) struct RecoveredLog {
    pub(super) shards: Vec<Shard>,
    pub(super) log: Option<Log<Pool>>,
    pub(super) files: Files,
    pub(super) pool: Pool,
    /// What recovery of the log found; `None` where there is none.
    pub(super) report: Option<RecoveryReport>,
}

/// All logs recovered, or the parts of the workers of a store without a log.
pub(super) struct RecoveredLogs {
    /// Those of the era in force.
    pub(super) logs: Vec<RecoveredLog>,
    /// What recovery of each found, earlier eras included.
    pub(super) reports: Vec<RecoveryReport>,
    /// The manifest of each shard; `None`: it has none yet.
    pub(super) shard_manifests: Vec<Option<ShardManifest>>,
}

impl Opener<'_> {
    /// Recovers era after era, the logs of each in parallel, and opens the last.
    pub(super) fn recover_all(&self, manifest: &mut StoreManifest) -> Result<RecoveredLogs, OpenError> {
        let refused = |source| OpenError::Manifest { directory: self.directory.path().to_path_buf(), source };
        manifest
            .check_files(store_files(self.directory.path()).map_err(|error| self.io(error))?)
            .map_err(refused)?;
        let opened = open_shards(&self.directory, manifest, &Progress::default())?;
        let (mut shards, shard_manifests): (Vec<Shard>, Vec<_>) =
            opened.into_iter().map(|opened| (opened.shard, opened.manifest)).unzip();
        manifest.check_shards(shard_manifests.iter().map(Option::as_ref)).map_err(refused)?;
        if !self.directory.is_read_only() {
            // Before the logs are opened, which may need the space. The reserve of a log in force goes when it does need it,
            // so that extents which leave memory meanwhile do not take it.
            let in_force = &manifest.current_era().logs;
            self.remove_reserves(|log| in_force.iter().all(|entry| entry.log != log))?;
        }
        if manifest.without_log {
            self.remove_obsolete(&shard_manifests)?;
            let logs = self.share_out(manifest, shards)?;
            return Ok(RecoveredLogs { logs, reports: Vec::new(), shard_manifests });
        }
        let (mut term, mut reports) = (Term(1), Vec::new());
        let mut logs = Vec::new();
        let shard_manifests = ShardManifests::new(shard_manifests);
        for era in &manifest.eras {
            logs = self.recover_era(manifest, &era.logs, shards, term, &shard_manifests)?;
            let found = || logs.iter().filter_map(|log| log.report.as_ref());
            term = found().map(|report| report.term).max().unwrap_or(term);
            term = Term(term.0 + 1);
            reports.extend(found().cloned());
            shards = Vec::new();
            if era.state == EraState::Final {
                shards = logs.iter_mut().flat_map(|log| log.shards.drain(..)).collect();
            }
        }
        let shard_manifests = shard_manifests.into_inner();
        for log in &logs {
            let end = log.log.as_ref().map(|log| (log.identity().log, log.appended()));
            let end = end.expect("the era in force is open");
            for shard in &log.shards {
                let of = shard_manifests[usize::from(shard.id().0)].as_ref();
                of.map_or(Ok(()), |of| check_reached(shard, of, end)).map_err(|source| OpenError::Shard {
                    directory: self.directory.path().to_path_buf(),
                    source: Box::new(source),
                })?;
            }
        }
        if !self.directory.is_read_only() {
            self.remove_reserves(|_| true)?;
            // Not before the logs are found to go with the manifests: a refusal removes nothing.
            self.remove_obsolete(&shard_manifests)?;
        }
        if manifest.current_era().state == EraState::Opening {
            manifest.mark_open();
            self.write_manifest(manifest, false)?;
        }
        if !self.directory.is_read_only() {
            self.drop_obsolete_eras(manifest, &shard_manifests)?;
        }
        Ok(RecoveredLogs { logs, reports, shard_manifests })
    }

    /// Without a log all is recovered when the shards are opened. Each goes on under a term of its own: LSNs that were
    /// lost with the end of the last run are given out once more.
    fn share_out(
        &self,
        manifest: &StoreManifest,
        mut shards: Vec<Shard>,
    ) -> Result<Vec<RecoveredLog>, OpenError> {
        let mut shared_out = manifest.clone();
        if !self.directory.is_read_only() {
            shared_out.share_out(self.config.workers);
        }
        for shard in &mut shards {
            shard.set_term(Term(shard.term().0 + 1));
        }
        let mut rest = shards.into_iter();
        let entries = &shared_out.current_era().logs;
        let part = |entry: &LogEntry| {
            let shards = rest.by_ref().take(usize::from(entry.shard_count)).collect();
            let pool = Pool::new(0, 0).map_err(|error| self.io(error))?;
            Ok(RecoveredLog { shards, log: None, files: self.files()?, pool, report: None })
        };
        entries.iter().map(part).collect()
    }

    fn remove_obsolete(&self, manifests: &[Option<ShardManifest>]) -> Result<(), OpenError> {
        if self.directory.is_read_only() {
            return Ok(());
        }
        remove_obsolete(self.directory.path(), manifests).map_err(|error| self.io(error))
    }

    fn remove_reserves(&self, is_gone: impl Fn(LogId) -> bool) -> Result<(), OpenError> {
        remove_reserves(self.directory.path(), is_gone).map_err(|error| self.io(error))
    }

    /// Logs of earlier numbers of workers that no shard needs any more are taken out of the manifest, then removed: whole as
    /// they have just been found, so that damage to what is named never goes unnoticed.
    fn drop_obsolete_eras(
        &self,
        manifest: &mut StoreManifest,
        shards: &[Option<ShardManifest>],
    ) -> Result<(), OpenError> {
        let made_in = |of: &Option<ShardManifest>| Some(of.as_ref()?.snapshot.as_ref()?.log);
        let oldest = shards.iter().map(made_in).min().flatten();
        if oldest.is_some_and(|oldest| manifest.drop_eras_before(oldest)) {
            tracing::info!("logs of earlier numbers of workers that nothing needs any more are removed");
            self.write_manifest(manifest, false)?;
        }
        remove_old_logs(self.directory.path(), manifest).map_err(|error| self.io(error))
    }

    /// Recovers the logs of one era in parallel. `shards` are all shards, in order; each log takes its own.
    pub(super) fn recover_era(
        &self,
        manifest: &StoreManifest,
        entries: &[LogEntry],
        shards: Vec<Shard>,
        first_term: Term,
        shard_manifests: &ShardManifests,
    ) -> Result<Vec<RecoveredLog>, OpenError> {
        let progress = Progress::default();
        let mut rest = shards.into_iter();
        let parts: Vec<Vec<Shard>> = entries
            .iter()
            .map(|entry| rest.by_ref().take(usize::from(entry.shard_count)).collect())
            .collect();
        assert!(rest.next().is_none(), "the logs of an era hold every shard once");
        // With one log, all cores apply its records; with one for each core, each does its own.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = cores.div_ceil(entries.len().max(1));
        let results = Mutex::new((0..entries.len()).map(|_| None).collect::<Vec<_>>());
        std::thread::scope(|scope| {
            let threads: Vec<_> = entries
                .iter()
                .zip(parts)
                .enumerate()
                .map(|(index, (entry, shards))| {
                    let (progress, results) = (&progress, &results);
                    scope.spawn(move || {
                        let start = RecoveryStart::of(manifest, entry.log, first_term);
                        let start = start.expect("the manifest names the log");
                        let (tools, state) = ((progress, threads), (shards, shard_manifests));
                        let result = self.recover_log(manifest, start, state, tools);
                        if let Ok(mut results) = results.lock() {
                            results[index] = Some(result);
                        }
                    })
                })
                .collect();
            progress.report_until("replaying the log", || {
                threads.iter().all(std::thread::ScopedJoinHandle::is_finished)
            });
        });
        let results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        results
            .into_iter()
            .map(|result| result.expect("a thread that ended without a panic has a result"))
            .collect()
    }

    fn recover_log(
        &self,
        manifest: &StoreManifest,
        start: RecoveryStart,
        (shards, shard_manifests): (Vec<Shard>, &ShardManifests),
        (progress, threads): (&Progress, usize),
    ) -> Result<RecoveredLog, OpenError> {
        let hasher = KeyHasher::new(manifest.seed);
        let (mut files, pool) = (self.files()?, self.pool()?);
        let config = self.config.log;
        let reading = pool.keeping(config.read_bytes, config.read_depth);
        let first = start.identity.first_shard;
        let mut reserve = (!self.directory.is_read_only()).then_some(start.identity.log);
        let is_final = matches!(start.mode, RecoveryMode::Final(_));
        let present =
            segment_files(self.directory.path(), start.identity.log).map_err(|error| self.io(error))?;
        let mut recovery = LogRecovery::new(start, config, present, reading.clone());
        let mut seen = (0, 0);
        let failed = |error| OpenError::of_replay(self.directory.path().to_path_buf(), error);
        // Reads go on in threads of their own, and what they brought is applied by others.
        let mut shards = std::thread::scope(|scope| {
            let tools = (&pool, &self.directory);
            let mut replay = Replay::start(scope, first, shards, threads, hasher, tools, shard_manifests);
            let mut io = StartIo::start(scope, &mut files, config.read_depth);
            while !recovery.is_finished() {
                while let Some(event) = recovery.next_event() {
                    replay.take(event).map_err(failed)?;
                }
                progress.advance(&mut seen, recovery.progress());
                while let Some(request) = recovery.next_io() {
                    if !request.operation.only_looks() {
                        // Nothing is changed before it is known that all records fit together.
                        replay.settle().map_err(failed)?;
                        if let Some(own) = reserve.take() {
                            self.remove_reserves(|log| log == own)?;
                        }
                    }
                    io.request(request);
                }
                if let Some(done) = io.next_done() {
                    recovery.on_io(done);
                }
            }
            replay.finish().map_err(failed)
        })?;
        reading.keep_no_more();
        let recovered = recovery.finish().map_err(|source| OpenError::Refused {
            directory: self.directory.path().to_path_buf(),
            source,
        })?;
        assert!(recovered.log.is_some() || is_final, "a log that is not over is open");
        for shard in &mut shards {
            shard.set_term(recovered.report.term.max(shard.term()));
        }
        Ok(RecoveredLog { shards, log: recovered.log, files, pool, report: Some(recovered.report) })
    }
}
