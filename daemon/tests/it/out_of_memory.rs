//! A machine without enough memory: `maxmemory` refuses before it comes to that, and a daemon that the kernel kills because
//! its limit was set above what there is has lost nothing that it acknowledged.
//!
//! "What there is" is the limit of a control group of the test's own, which takes root; where it cannot be made the tests say
//! that they are passed over.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use resp::Reply;

use crate::server::{Setup, Starter, wait_for};
use crate::wire::{Wire, request};

const SIGKILL: i32 = 9;

/// A control group with a limit of memory. Removed in the end.
struct MemoryGroup {
    path: PathBuf,
    is_v2: bool,
}

/// Where groups with a limit of memory can be made, and whether that is by version 2: beneath this process's own group, or
/// in version 2, where only groups without processes have some beneath them, beneath the root.
fn parent() -> Option<(PathBuf, bool)> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let line = own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == "memory").then_some(path)
    });
    let Some(path) = line else {
        let root = Path::new("/sys/fs/cgroup");
        let passed_on = fs::read_to_string(root.join("cgroup.subtree_control")).ok()?;
        return passed_on.split_whitespace().any(|name| name == "memory").then(|| (root.to_owned(), true));
    };
    let root = Path::new("/sys/fs/cgroup/memory");
    // In a container the group's path may be one of the host's.
    let candidates = [root.join(path.trim_start_matches('/')), root.to_owned()];
    candidates.into_iter().find(|path| path.join("memory.limit_in_bytes").exists()).map(|path| (path, false))
}

impl MemoryGroup {
    #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
    fn with_limit(mib: u64) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Some((parent, is_v2)) = parent() else {
            println!("skipped: there is no control group for memory");
            return None;
        };
        let name = format!("ouro-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(name);
        if let Err(error) = fs::create_dir(&path) {
            println!("skipped: a control group of its own takes root: {}: {error}", path.display());
            return None;
        }
        let group = Self { path, is_v2 };
        let (limit, with_swap) = if is_v2 {
            (("memory.max", mib << 20), ("memory.swap.max", 0))
        } else {
            (("memory.limit_in_bytes", mib << 20), ("memory.memsw.limit_in_bytes", mib << 20))
        };
        for (file, bytes) in [limit, with_swap] {
            // Without swap the kernel may not have the second one.
            if file == limit.0 || group.path.join(file).exists() {
                fs::write(group.path.join(file), bytes.to_string()).unwrap();
            }
        }
        Some(group)
    }

    /// Starts a program in the group.
    fn starter(&self) -> Starter {
        let members = self.path.join("cgroup.procs");
        Box::new(move |words| {
            let mut shell = Command::new("sh");
            shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(&members).args(words);
            shell
        })
    }

    /// Processes of the group that the kernel has killed for want of memory.
    fn kills(&self) -> u64 {
        let file = if self.is_v2 { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.path.join(file)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.unwrap_or_else(|| panic!("no count of kills in {text}")).parse().unwrap()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A process that has just ended may still be in it.
        let is_gone = |_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            fs::remove_dir(&self.path).is_ok()
        };
        if !(0..500).any(is_gone) {
            eprintln!("{} stays behind", self.path.display());
        }
    }
}

/// 16 KiB like no other.
fn value(number: usize) -> Vec<u8> {
    format!("{number:015}/").repeat(1 << 10).into_bytes()
}

/// Sets keys from this one on, some at a time, until one is not acknowledged. How many were, and what came instead, if
/// anything did.
fn write_until_the_end(wire: &mut Wire, most: usize) -> (usize, Option<Reply>) {
    const DEPTH: usize = 16;
    let mut acknowledged = 0;
    while acknowledged < most {
        let numbers = acknowledged..acknowledged + DEPTH;
        let sets =
            numbers.flat_map(|number| request(&[b"SET", format!("k{number}").as_bytes(), &value(number)]));
        wire.send_if_open(&sets.collect::<Vec<u8>>());
        for _ in 0..DEPTH {
            match wire.try_reply() {
                Some(Reply::Simple(_)) => acknowledged += 1,
                other => return (acknowledged, other),
            }
        }
    }
    (acknowledged, None)
}

fn check(wire: &mut Wire, count: usize) {
    for number in 0..count {
        let reply = wire.call(&["GET", &format!("k{number}")]);
        assert!(reply == Reply::Bulk(value(number)), "k{number} of {count}");
    }
}

#[test]
fn a_daemon_that_the_kernel_kills_for_want_of_memory_has_all_that_it_acknowledged_at_the_next_start() {
    const LIMIT_MIB: u16 = 128;
    let Some(group) = MemoryGroup::with_limit(LIMIT_MIB.into()) else { return };
    let mut setup = Setup::disk().and(&["--maxmemory", "4gb"]);
    setup.starter = Some(group.starter());
    let server = setup.start();
    let most = usize::from(LIMIT_MIB) << 7;
    let (acknowledged, reply) = write_until_the_end(&mut server.connect(), most);
    assert!(reply.is_none() && acknowledged < most, "{acknowledged} of twice the limit: {reply:?}");
    let mut ended = server.ended();
    assert_eq!(ended.status.signal(), Some(SIGKILL), "{}: {}", ended.status, ended.log);
    wait_for("the kernel to count it", || (group.kills() == 1).then_some(()));
    // 16 MiB at least: not killed at its start already.
    assert!(acknowledged > 1 << 10, "{acknowledged} acknowledged");
    ended.setup.starter = None;
    let server = ended.start();
    let mut wire = server.connect();
    check(&mut wire, acknowledged);
    let Reply::Integer(keys) = wire.call(&["DBSIZE"]) else { panic!("a number") };
    let most = i64::try_from(acknowledged).unwrap() + 16;
    assert!(keys <= most, "{keys}: nothing that was not asked for");
}

#[test]
fn maxmemory_refuses_before_the_kernel_has_to_kill() {
    let Some(group) = MemoryGroup::with_limit(192) else { return };
    let mut setup = Setup::memory().and(&["--maxmemory", "96mb"]);
    setup.starter = Some(group.starter());
    let server = setup.start();
    let mut wire = server.connect();
    let (acknowledged, reply) = write_until_the_end(&mut wire, 96 << 7);
    let Some(Reply::Error(text)) = reply else { panic!("{acknowledged} acknowledged, then {reply:?}") };
    assert_eq!(text, b"OOM command not allowed when used memory > 'maxmemory'.");
    assert!(acknowledged > 64 << 6, "{acknowledged} acknowledged: most of the limit");
    // It goes on: what is there is read, and what is deleted makes room.
    let mut wire = server.connect();
    check(&mut wire, acknowledged);
    for number in 0..acknowledged {
        assert_eq!(wire.answer(&["DEL", &format!("k{number}")]), ":1");
    }
    wait_for("room", || (wire.call(&["SET", "k0", "v"]) == Reply::Simple(b"OK".to_vec())).then_some(()));
    assert_eq!(group.kills(), 0);
    server.terminate();
}

#[test]
fn a_store_on_disk_within_its_limit_is_not_killed_whatever_is_written() {
    let Some(group) = MemoryGroup::with_limit(192) else { return };
    let mut setup = Setup::disk().and(&["--maxmemory", "64mb"]);
    setup.starter = Some(group.starter());
    let server = setup.start();
    let mut wire = server.connect();
    // Twice what the group has.
    let (acknowledged, reply) = write_until_the_end(&mut wire, 192 << 7);
    assert!(reply.is_none(), "{acknowledged}: {reply:?}");
    check(&mut wire, acknowledged);
    assert_eq!(group.kills(), 0);
    server.terminate();
}
