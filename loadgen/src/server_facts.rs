//! What the server says of itself, before and after the measured window.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cgroup::Cgroup;
use crate::control::{Control, ControlError};
use crate::environment::Environment;
use crate::file_system::FileSystem;
use crate::report::Server;
use crate::usage_watch::UsageOfWindow;

/// Settings that change figures.
const SETTINGS: [&str; 9] = [
    "appendfsync",
    "appendonly",
    "io-threads",
    "maxmemory",
    "maxmemory-policy",
    "save",
    "storage",
    "wal-sync",
    "workers",
];

/// What the server says.
#[derive(Clone, Debug, Default)]
pub struct ServerFacts {
    pid: Option<u32>,
    config: BTreeMap<String, String>,
    info_before: BTreeMap<String, String>,
    info_after: BTreeMap<String, String>,
    keys_before: Option<u64>,
    /// Where it keeps its files; no part of the report.
    dir: Option<PathBuf>,
}

impl ServerFacts {
    /// Asks before the window.
    ///
    /// # Errors
    /// When the server does not answer. A server that refuses the questions has no facts.
    pub fn read_before(control: &mut Control, pid: Option<u32>) -> Result<Self, ControlError> {
        let mut config = BTreeMap::new();
        for name in SETTINGS {
            if let Some(value) = control.setting(name)? {
                config.insert(name.to_owned(), value);
            }
        }
        Ok(Self {
            pid,
            config,
            info_before: control.info()?,
            info_after: BTreeMap::new(),
            keys_before: control.key_count()?,
            dir: control.setting("dir")?.map(PathBuf::from),
        })
    }

    /// Asks after the window.
    pub fn read_after(&mut self, control: &mut Control) {
        self.info_after = control.info().unwrap_or_default();
    }

    /// Adds what is known of the server's surroundings, where it runs on this host.
    pub fn place(&self, environment: &mut Environment) {
        let Some(pid) = self.pid else { return };
        // A relative directory is relative to the server, not to this process.
        let dir = self.dir.as_deref().map(|dir| Path::new(&format!("/proc/{pid}/cwd")).join(dir));
        environment.fs = dir.and_then(|dir| FileSystem::of(&dir, Some(pid)));
        environment.server_cgroup = Cgroup::of(Some(pid));
    }

    /// The report's section, with the CPU time per request.
    #[must_use]
    pub fn section(self, usage: Option<&UsageOfWindow>, requests: u64) -> Server {
        let name = ["ouro", "valkey", "dragonfly", "garnet", "redis"]
            .into_iter()
            .find(|name| self.info_before.contains_key(&format!("{name}_version")));
        let info = |key: &str| self.info_before.get(key).cloned();
        let version = name.and_then(|name| info(&format!("{name}_version")));
        let cpu = usage.and_then(|usage| usage.server_cpu);
        let fsync_mode = self.config.get("appendfsync").cloned();
        let appendonly = self.config.get("appendonly").cloned();
        let persist_mode = appendonly.map(|value| format!("appendonly={value}"));
        let git_sha1 = info("git_sha1")
            .or_else(|| info("redis_git_sha1"))
            .filter(|sha| sha.bytes().any(|byte| byte != b'0'));
        let durability = durability(&self.config);
        Server {
            durability,
            name: name.map(str::to_owned),
            version,
            git_sha1,
            pid: self.pid,
            keys_before: self.keys_before,
            cpu_user_s: cpu.map(|cpu| crate::number::seconds(cpu.user_ns)),
            cpu_sys_s: cpu.map(|cpu| crate::number::seconds(cpu.system_ns)),
            cpu_us_per_op: cpu
                .filter(|_| requests > 0)
                .map(|cpu| cpu.total_ns() as f64 / 1e3 / requests as f64),
            rss_bytes: usage.and_then(|usage| usage.server.rss_bytes),
            rss_peak_bytes: usage.and_then(|usage| usage.server.rss_peak_bytes),
            io_read_bytes: usage.and_then(|usage| usage.server_read_bytes),
            io_write_bytes: usage.and_then(|usage| usage.server_written_bytes),
            ctx_switches: usage.and_then(|usage| usage.server_switches),
            persist_mode,
            fsync_mode,
            config: self.config,
            info_before: self.info_before,
            info_after: self.info_after,
        }
    }
}

/// What survives a crash, in one word: `none`, `snapshots`, or when the log is synced (`always`, `everysec`, `no`).
/// Nothing when the server's settings do not tell. An Ouro on disk without a log keeps what its checkpoints hold, though
/// it makes no snapshots (`save` is empty).
#[must_use]
pub fn durability(config: &BTreeMap<String, String>) -> Option<String> {
    let setting = |name: &str| config.get(name).map(String::as_str);
    if setting("appendonly")? == "yes" {
        return setting("appendfsync").map(str::to_owned);
    }
    let makes_snapshots = setting("save").is_some_and(|times| !times.is_empty());
    let has_checkpoints = setting("storage") == Some("disk");
    Some(if makes_snapshots || has_checkpoints { "snapshots" } else { "none" }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{CpuTime, ProcessFigures};

    fn facts(info: &[(&str, &str)]) -> ServerFacts {
        let info_before = info.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ServerFacts { info_before, ..ServerFacts::default() }
    }

    #[test]
    fn the_server_is_named_by_its_most_telling_version() {
        let server = facts(&[("redis_version", "7.2.4"), ("valkey_version", "8.1.0")]).section(None, 0);
        assert_eq!((server.name.as_deref(), server.version.as_deref()), (Some("valkey"), Some("8.1.0")));
        let server = facts(&[("redis_version", "7.2.4"), ("redis_git_sha1", "00000000")]).section(None, 0);
        assert_eq!((server.name.as_deref(), server.git_sha1), (Some("redis"), None));
        assert_eq!(facts(&[]).section(None, 0).name, None);
    }

    #[test]
    fn durability_is_one_word_for_all_servers() {
        let check = |settings: &[(&str, &str)], want: Option<&str>| {
            let config =
                settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(durability(&config).as_deref(), want, "{settings:?}");
        };
        check(&[], None);
        check(&[("appendonly", "no"), ("save", ""), ("appendfsync", "always")], Some("none"));
        check(&[("appendonly", "no"), ("save", "3600 1")], Some("snapshots"));
        check(&[("appendonly", "yes"), ("save", "3600 1"), ("appendfsync", "everysec")], Some("everysec"));
        let ouro = |storage, appendonly| {
            [("appendonly", appendonly), ("save", ""), ("appendfsync", "always"), ("storage", storage)]
        };
        check(&ouro("memory", "no"), Some("none"));
        check(&ouro("disk", "no"), Some("snapshots"));
        check(&ouro("disk", "yes"), Some("always"));
    }

    #[test]
    fn cpu_per_request_is_user_and_system_over_the_window() {
        let usage = UsageOfWindow {
            wall_ns: 1,
            server_cpu: Some(CpuTime { user_ns: 2_000_000, system_ns: 1_000_000 }),
            client_cpu: None,
            machine_busy_ns: None,
            server_read_bytes: None,
            server_written_bytes: None,
            server_switches: None,
            server: ProcessFigures::default(),
        };
        assert_eq!(facts(&[]).section(Some(&usage), 1000).cpu_us_per_op, Some(3.0));
        assert_eq!(facts(&[]).section(Some(&usage), 0).cpu_us_per_op, None);
    }
}
