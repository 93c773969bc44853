//! What the kernel knows of this process: memory, processor time, descriptors, threads. Read from /proc when asked
//! for; a figure that cannot be read is left out, never invented.

use std::fs;

/// Figures of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProcessFigures {
    /// Bytes of memory in use.
    pub resident_bytes: Option<u64>,
    /// Highest of these so far.
    pub resident_bytes_max: Option<u64>,
    /// Bytes of address space.
    pub virtual_bytes: Option<u64>,
    /// Processor time, user and system, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Bytes read, from memory or from the drive.
    pub read_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open descriptors.
    pub open_fds: Option<u64>,
    /// Most descriptors it may open; none for no limit.
    pub fds_max: Option<u64>,
}

impl ProcessFigures {
    /// Reads them now.
    pub(super) fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let status = text("/proc/self/status");
        let fds = fs::read_dir("/proc/self/fd").ok().and_then(|entries| u64::try_from(entries.count()).ok());
        Self {
            resident_bytes: status_bytes(&status, "VmRSS:"),
            resident_bytes_max: status_bytes(&status, "VmHWM:"),
            virtual_bytes: status_bytes(&status, "VmSize:"),
            cpu_ms: cpu_ms(&text("/proc/self/stat"), rustix::param::clock_ticks_per_second()),
            read_bytes: read_bytes(&text("/proc/self/io")),
            threads: status_number(&status, "Threads:"),
            // Reading the directory takes one itself.
            open_fds: fds.map(|count| count.saturating_sub(1)),
            fds_max: fds_max(&text("/proc/self/limits")),
        }
    }
}

/// The number of a line of /proc/self/status (proc_pid_status(5)).
fn status_number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Sizes are in units of 1024 bytes, which the kernel writes "kB".
fn status_bytes(status: &str, name: &str) -> Option<u64> {
    status_number(status, name)?.checked_mul(1024)
}

/// User and system time are fields 14 and 15 (proc_pid_stat(5)). Field 2, the name, may hold anything, blanks and
/// parentheses too: count from its last parenthesis on.
fn cpu_ms(stat: &str, ticks_per_second: u64) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(14 - 3);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)?.checked_mul(1000)?.checked_div(ticks_per_second)
}

/// What read calls returned and what was fetched from the drive (proc_pid_io(5)): direct reads of a ring are in the second
/// only.
fn read_bytes(io: &str) -> Option<u64> {
    status_number(io, "rchar:")?.checked_add(status_number(io, "read_bytes:")?)
}

fn fds_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_this_process_are_there() {
        let figures = ProcessFigures::read();
        assert!(
            figures.resident_bytes > Some(1 << 16) && figures.resident_bytes <= figures.resident_bytes_max
        );
        assert!(figures.virtual_bytes > figures.resident_bytes && figures.threads > Some(0));
        assert!(figures.open_fds > Some(2) && figures.cpu_ms.is_some());
    }

    #[test]
    fn lines_of_proc_are_read_by_their_names() {
        let status = "Name:\tourod\nVmHWM:\t   20 kB\nVmRSS:\t   12 kB\nThreads:\t7\n";
        assert_eq!(status_bytes(status, "VmRSS:"), Some(12 << 10));
        assert_eq!(status_number(status, "Threads:"), Some(7));
        assert_eq!(status_number(status, "VmSize:"), None);
        assert_eq!(status_number("VmSize: much\n", "VmSize:"), None);
        assert_eq!(read_bytes("rchar: 12\nwchar: 1\nread_bytes: 30\n"), Some(42));
        assert_eq!(read_bytes("rchar: 12\n"), None);
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024       4096   files\n";
        assert_eq!(fds_max(limits), Some(1024));
        assert_eq!(fds_max("Max open files  unlimited unlimited files\n"), None);
    }

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "1 (a) b 3 4 5) S 1 1 1 0 -1 4194560 100 0 0 0 250 30 0 0 20 0 1 0 100 1000 10";
        assert_eq!(cpu_ms(stat, 100), Some(2800));
        assert_eq!(cpu_ms("1 (a) S 1", 100), None);
        assert_eq!(cpu_ms("", 100), None);
    }
}
