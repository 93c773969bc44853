//! What a control group allows a process: a container with half a processor measures something else.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Limits of a control group (version 2), as the kernel writes them; null where there is none or it cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cgroup {
    /// Microseconds of processor time per period: `max 100000`, `50000 100000`.
    pub cpu_max: Option<String>,
    /// Weight against other groups.
    pub cpu_weight: Option<String>,
    /// Processors it may use.
    pub cpuset: Option<String>,
    /// Bytes of memory, or `max`.
    pub memory_max: Option<String>,
}

impl Cgroup {
    /// The limits of a process, or of this one. `None` when it is in no group that can be seen.
    #[must_use]
    pub fn of(pid: Option<u32>) -> Option<Self> {
        let process = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
        let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
        let folder: PathBuf = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok().map(|text| text.trim().to_owned());
        let limits = Self {
            cpu_max: read("cpu.max"),
            cpu_weight: read("cpu.weight"),
            cpuset: read("cpuset.cpus.effective"),
            memory_max: read("memory.max"),
        };
        (limits != Self::default()).then_some(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_there_has_no_group() {
        assert_eq!(Cgroup::of(Some(u32::MAX)), None);
    }
}
