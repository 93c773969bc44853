//! The machine a run was made on, for the report: what a reader needs to know to believe or repeat it.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::file_system::FileSystem;
use crate::pressure::{Pressure, PressureStart};

/// Facts of the machine. Absent ones are null: containers hide some.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Tells hosts apart without naming them.
    pub host_hash: Option<String>,
    /// Model of the processor.
    pub cpu_model: Option<String>,
    /// Logical processors online.
    pub cores_online: Option<u64>,
    /// Whether hardware threads share cores.
    pub smt: Option<bool>,
    /// Frequency governor of the first processor.
    pub governor: Option<String>,
    /// Memory of the machine.
    pub mem_bytes: Option<u64>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Name of the distribution.
    pub distro: Option<String>,
    /// Whether a hypervisor is below.
    pub virt: Option<bool>,
    /// The kernel's clock.
    pub clocksource: Option<String>,
    /// Transparent huge pages.
    pub thp: Option<String>,
    /// Whether the processor may exceed its base frequency.
    pub turbo: Option<bool>,
    /// NUMA nodes.
    pub numa_nodes: Option<u64>,
    /// What the kernel does against each known weakness of the processor.
    pub mitigations: BTreeMap<String, String>,
    /// Readiness of the kernel to swap.
    pub swappiness: Option<u64>,
    /// The file system that the server writes to, where it is on this host and tells its directory.
    pub fs: Option<FileSystem>,
    /// Limits of the generator's control group.
    pub cgroup: Option<Cgroup>,
    /// Limits of the server's control group.
    pub server_cgroup: Option<Cgroup>,
    /// Flags the generator's rings run with.
    pub io_uring_mode: Option<String>,
    /// Load averages before the run.
    pub loadavg_before: Option<String>,
    /// Load averages after it.
    pub loadavg_after: Option<String>,
    /// Share of the last ten seconds in which some task waited for a processor, after the run, in percent.
    pub psi_cpu_some_avg10: Option<f64>,
    /// How much tasks waited over the whole run.
    pub pressure: Option<Pressure>,
    /// Share of the machine's time that the hypervisor gave to others during the run, in percent.
    pub steal_pct: Option<f64>,
}

impl Environment {
    /// What is known before the run.
    #[must_use]
    pub fn capture() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let mem_kib: Option<u64> = colon_field(&meminfo, "MemTotal")
            .and_then(|text| text.split_ascii_whitespace().next()?.parse().ok());
        Self {
            host_hash: read("/etc/machine-id").map(|id| short_hash(&id)),
            cpu_model: colon_field(&cpuinfo, "model name"),
            cores_online: std::thread::available_parallelism().ok().map(|count| count.get() as u64),
            smt: read("/sys/devices/system/cpu/smt/active").map(|text| text == "1"),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            mem_bytes: mem_kib.map(|kib| kib * 1024),
            kernel: read("/proc/sys/kernel/osrelease"),
            distro: os_release
                .lines()
                .find_map(|line| line.strip_prefix("PRETTY_NAME="))
                .map(|name| name.trim_matches('"').to_owned()),
            virt: colon_field(&cpuinfo, "flags")
                .map(|flags| flags.split_ascii_whitespace().any(|flag| flag == "hypervisor")),
            clocksource: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            thp: read("/sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| chosen(&text)),
            turbo: read("/sys/devices/system/cpu/intel_pstate/no_turbo")
                .map(|text| text == "0")
                .or_else(|| read("/sys/devices/system/cpu/cpufreq/boost").map(|text| text == "1")),
            numa_nodes: numa_nodes(),
            mitigations: mitigations(),
            swappiness: read("/proc/sys/vm/swappiness").and_then(|text| text.parse().ok()),
            cgroup: Cgroup::of(None),
            loadavg_before: load_average(),
            ..Self::default()
        }
    }

    /// Adds what is known after it.
    pub fn complete(&mut self, before: MachineStart) {
        let MachineStart { times: before, pressure } = before;
        self.pressure = Some(pressure.finish());
        self.loadavg_after = load_average();
        self.psi_cpu_some_avg10 = read("/proc/pressure/cpu").and_then(|text| pressure_avg10(&text));
        self.steal_pct = ProcessorTimes::read().map(|after| after.steal_percent_since(before));
    }
}

/// The kernel's running totals before a run.
#[derive(Clone, Copy, Debug)]
pub struct MachineStart {
    times: ProcessorTimes,
    pressure: PressureStart,
}

impl MachineStart {
    /// The totals now.
    #[must_use]
    pub fn now() -> Self {
        Self { times: ProcessorTimes::read().unwrap_or_default(), pressure: PressureStart::now() }
    }
}

/// Time of all processors since the machine started, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessorTimes {
    total: u64,
    /// Time that tasks or the hypervisor's own guests did not leave idle.
    busy: u64,
    steal: u64,
}

impl ProcessorTimes {
    /// The times now.
    #[must_use]
    pub fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; guest times are part of user and nice.
        let fields: Vec<u64> =
            line.split_ascii_whitespace().take(8).map_while(|text| text.parse().ok()).collect();
        let field = |place: usize| fields.get(place).copied().unwrap_or(0);
        let total: u64 = fields.iter().sum();
        Some(Self { total, busy: total - field(3) - field(4) - field(7), steal: field(7) })
    }

    /// Time of all processors together that tasks used, in nanoseconds since the machine started.
    #[must_use]
    pub fn busy_ns(self) -> u64 {
        self.busy.saturating_mul(1_000_000_000 / rustix::param::clock_ticks_per_second())
    }

    fn steal_percent_since(self, before: Self) -> f64 {
        let total = self.total.saturating_sub(before.total) as f64;
        100.0 * crate::number::ratio(self.steal.saturating_sub(before.steal) as f64, total)
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The value of the first line `name : value`.
fn colon_field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// The word in brackets of `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

/// How many `node0`, `node1`, ... there are.
fn numa_nodes() -> Option<u64> {
    let entries = fs::read_dir("/sys/devices/system/node").ok()?;
    let is_node = |name: &str| name.strip_prefix("node").is_some_and(|rest| rest.parse::<u32>().is_ok());
    Some(entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_node)).count() as u64)
}

fn mitigations() -> BTreeMap<String, String> {
    let entries = fs::read_dir("/sys/devices/system/cpu/vulnerabilities").into_iter().flatten().flatten();
    let of =
        |entry: fs::DirEntry| Some((entry.file_name().into_string().ok()?, read(entry.path().to_str()?)?));
    entries.filter_map(of).filter(|(_, text)| text != "Not affected").collect()
}

fn load_average() -> Option<String> {
    let text = read("/proc/loadavg")?;
    Some(text.split_ascii_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

fn pressure_avg10(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split_ascii_whitespace().find_map(|field| field.strip_prefix("avg10="))?.parse().ok()
}

fn short_hash(text: &str) -> String {
    // Keyed with zeros, so that one host has one hash in all reports.
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        assert_eq!(colon_field("a : 1\nmodel name\t: Fast One\n", "model name").as_deref(), Some("Fast One"));
        assert_eq!(chosen("always [madvise] never").as_deref(), Some("madvise"));
        assert_eq!(
            pressure_avg10("some avg10=1.25 avg60=0.00 avg300=0.00 total=1\nfull avg10=9"),
            Some(1.25)
        );
        assert_eq!(pressure_avg10("nonsense"), None);
    }

    #[test]
    fn steal_is_the_share_of_all_ticks_between() {
        let before = ProcessorTimes::parse("cpu  100 0 0 100 0 0 0 0 0 0\n").unwrap();
        let after = ProcessorTimes::parse("cpu  140 0 0 150 0 0 0 10 0 0\n").unwrap();
        assert!((after.steal_percent_since(before) - 10.0).abs() < 1e-9);
        assert_eq!((before.busy, after.busy), (100, 140));
        assert_eq!(ProcessorTimes::parse("intr 1"), None);
    }

    #[test]
    fn this_machine_has_a_kernel_and_cores() {
        let environment = Environment::capture();
        assert!(environment.kernel.is_some());
        assert!(environment.cores_online.unwrap() >= 1);
    }
}
