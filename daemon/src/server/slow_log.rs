//! The slow log: commands that took longer than `slowlog-log-slower-than`, the newest of each worker. A worker adds to a
//! log of its own; who reads merges them. Nothing here is touched by a command that is fast.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use shard::types::UnixMs;

/// Arguments of an entry at most; the last one then tells how many more there were. Source: `slowlog.h` of Redis.
const ARGS_MAX: usize = 32;
/// Bytes of an argument at most; it then tells how many more there were.
const ARG_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowEntry {
    /// Number of the entry, never given twice.
    pub id: u64,
    /// When it ran.
    pub at: UnixMs,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Its name and arguments, cut short.
    pub args: Vec<Vec<u8>>,
    /// Who asked.
    pub peer: Vec<u8>,
    /// What that client calls itself.
    pub name: Vec<u8>,
}

/// The slow logs of all workers.
#[derive(Debug)]
pub struct SlowLogs {
    /// Newest first.
    logs: Box<[Mutex<VecDeque<SlowEntry>>]>,
    next_id: AtomicU64,
}

/// Cuts arguments short as Redis does.
fn cut<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let count = args.len();
    let whole = if count > ARGS_MAX { ARGS_MAX - 1 } else { count };
    let mut kept: Vec<Vec<u8>> = args.take(whole).map(cut_one).collect();
    if count > whole {
        kept.push(format!("... ({} more arguments)", count - whole).into_bytes());
    }
    kept
}

fn cut_one(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= ARG_BYTES_MAX {
        return arg.to_vec();
    }
    let rest = format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX);
    [&arg[..ARG_BYTES_MAX], rest.as_bytes()].concat()
}

impl SlowLogs {
    /// Of so many workers, all empty.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { logs: (0..workers).map(|_| Mutex::default()).collect(), next_id: AtomicU64::new(0) }
    }

    fn log(&self, worker: usize) -> MutexGuard<'_, VecDeque<SlowEntry>> {
        self.logs[worker].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry to a worker's log, of which `len_max` are kept. Returns its id.
    pub fn note<'a>(
        &self,
        worker: usize,
        (at, duration_us): (UnixMs, u64),
        args: impl ExactSizeIterator<Item = &'a [u8]>,
        (peer, name): (&[u8], &[u8]),
        len_max: usize,
    ) -> u64 {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (args, peer, name) = (cut(args), peer.to_vec(), name.to_vec());
        let mut log = self.log(worker);
        log.push_front(SlowEntry { id, at, duration_us, args, peer, name });
        log.truncate(len_max);
        id
    }

    /// Says who asked for what an entry of a worker tells, where that worker did not know.
    pub fn set_client(&self, worker: usize, id: u64, peer: &[u8], name: &[u8]) {
        if let Some(entry) = self.log(worker).iter_mut().find(|entry| entry.id == id) {
            (entry.peer, entry.name) = (peer.to_vec(), name.to_vec());
        }
    }

    /// The newest of all workers, newest first, `count` at most.
    #[must_use]
    pub fn newest(&self, count: usize) -> Vec<SlowEntry> {
        let all = 0..self.logs.len();
        let mut entries: Vec<SlowEntry> =
            all.flat_map(|worker| self.log(worker).iter().take(count).cloned().collect::<Vec<_>>()).collect();
        entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
        entries.truncate(count);
        entries
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        (0..self.logs.len()).map(|worker| self.log(worker).len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn clear(&self) {
        (0..self.logs.len()).for_each(|worker| self.log(worker).clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(logs: &SlowLogs, worker: usize, args: &[&[u8]]) -> u64 {
        logs.note(worker, (UnixMs(5000), 7), args.iter().copied(), (b"", b""), 2)
    }

    #[test]
    fn the_newest_of_all_workers_are_told_newest_first() {
        let logs = SlowLogs::new(2);
        let ids: Vec<u64> = [0, 1, 1, 1].iter().map(|worker| note(&logs, *worker, &[b"x"])).collect();
        assert_eq!(ids, [0, 1, 2, 3]);
        let told = |count| logs.newest(count).iter().map(|entry| entry.id).collect::<Vec<_>>();
        assert_eq!((told(9), told(1), logs.len()), (vec![3, 2, 0], vec![3], 3));
        logs.set_client(1, 2, b"peer", b"name");
        logs.set_client(0, 2, b"nobody", b"");
        assert_eq!(logs.newest(2)[1].peer, b"peer");
        logs.clear();
        assert!(logs.is_empty());
    }

    #[test]
    fn arguments_are_cut_as_by_redis() {
        let logs = SlowLogs::new(1);
        let long = [b'a'; 130];
        let mut args: Vec<&[u8]> = vec![b"x"; 32];
        args[1] = &long;
        note(&logs, 0, &args);
        args.push(b"y");
        note(&logs, 0, &args);
        let [more, all] = &logs.newest(2)[..] else { panic!("two") };
        assert_eq!((all.args.len(), more.args.len()), (32, 32));
        assert_eq!(all.args[31], b"x");
        assert_eq!(more.args[31], b"... (2 more arguments)");
        assert_eq!(all.args[1], [&long[..128], b"... (2 more bytes)"].concat());
    }
}
