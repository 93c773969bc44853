//! What the kernel knows of this process and of the machine, from /proc. What cannot be read counts as 0.

use std::fs;

/// Memory and processor time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) resident_bytes: u64,
    pub(super) resident_bytes_max: u64,
    pub(super) machine_bytes: u64,
    pub(super) user_us: u64,
    pub(super) system_us: u64,
}

impl Process {
    pub(super) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let status = text("/proc/self/status");
        let (user_us, system_us) = cpu_us(&text("/proc/self/stat"), rustix::param::clock_ticks_per_second());
        Self {
            resident_bytes: kilobytes(&status, "VmRSS:"),
            resident_bytes_max: kilobytes(&status, "VmHWM:"),
            machine_bytes: kilobytes(&text("/proc/meminfo"), "MemTotal:"),
            user_us,
            system_us,
        }
    }
}

/// The system's name, as `uname` tells it.
pub(super) fn system_name() -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{} {} {}", read("ostype").trim(), read("osrelease").trim(), std::env::consts::ARCH)
}

/// A size in a line such as `VmRSS:  123 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0).saturating_mul(1024)
}

/// User and system time: the 14th and 15th field of proc_pid_stat(5). The second one, a name in parentheses, may
/// hold anything, so they are counted from its end.
fn cpu_us(stat: &str, ticks_per_second: u64) -> (u64, u64) {
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().skip(11);
    let mut next = || {
        let ticks = fields.next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        ticks.saturating_mul(1_000_000).checked_div(ticks_per_second).unwrap_or(0)
    };
    (next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_this_process_are_read() {
        let process = Process::read();
        assert!(process.resident_bytes > 0 && process.resident_bytes <= process.resident_bytes_max);
        assert!(process.machine_bytes > process.resident_bytes);
        assert!(system_name().starts_with("Linux "));
    }

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "17 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 75 0 0 20";
        assert_eq!(cpu_us(stat, 100), (2_500_000, 750_000));
        assert_eq!(cpu_us("", 100), (0, 0));
        assert_eq!(kilobytes("A: 1 kB\nB:\t20 kB\n", "B:"), 20_480);
    }
}
