//! More completions at once than the completion queue holds: the kernel keeps the rest, and none is lost or doubled.

use std::collections::HashMap;
use std::io::Write;

use ring::{Blocks, Completion, Fd, HugePages, Received, Ring, RingConfig, WriteDurability};

use crate::support::{in_each_mode, pair, turn_until};

const PAIRS: u64 = 40;
const WRITES: u64 = 100;
/// Tokens of writes to the file; those of sockets are below.
const FILE: u64 = 1 << 32;

#[test]
fn a_completion_queue_of_four_entries_loses_no_completion_and_doubles_none() {
    in_each_mode(|config| {
        let config = RingConfig { entries: 4, cq_entries: 4, ..config };
        let mut ring = Ring::new(&config).unwrap();
        assert_eq!(ring.sizes(), (4, 4));
        let mut pairs: Vec<_> = (0..PAIRS).map(|_| pair()).collect();
        for (token, (ours, _)) in (0..).zip(&pairs) {
            ring.recv(ours, token);
        }
        ring.submit_and_wait(false, &mut Vec::new()).unwrap();
        for (_, theirs) in &mut pairs {
            theirs.write_all(b"message").unwrap();
        }
        let file = Fd::from(tempfile::tempfile().unwrap());
        let blocks = Blocks::zeroed(4096, HugePages::No).unwrap().freeze();
        for number in 0..WRITES {
            let token = FILE + number;
            ring.write_at(&file, blocks.clone(), 0..4096, number * 4096, WriteDurability::None, token);
        }
        // Bytes received of each socket, and writes ended.
        let (mut received, mut wrote) = (HashMap::<u64, usize>::new(), HashMap::<u64, u32>::new());
        while wrote.len() < WRITES as usize || received.values().sum::<usize>() < 7 * PAIRS as usize {
            for completion in turn_until(&mut ring, 1) {
                match completion {
                    Completion::Received { token, result, more } => {
                        if let Received::Data(bytes) = result.unwrap() {
                            *received.entry(token).or_default() += bytes.len();
                        }
                        // A receive that found no place for its completion ends; it is armed again.
                        if !more {
                            ring.recv(&pairs[token as usize].0, token);
                        }
                    }
                    Completion::Wrote { token, result, .. } => {
                        assert_eq!(result.unwrap(), 4096);
                        *wrote.entry(token).or_default() += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(ring.counters().overflows > 0, "the queue did overflow: {:?}", ring.counters());
        assert!(
            received.len() == PAIRS as usize && received.values().all(|bytes| *bytes == 7),
            "{received:?}"
        );
        assert!(wrote.values().all(|count| *count == 1), "{wrote:?}");
        for (ours, _) in &pairs {
            ring.cancel_all_of(ours);
        }
        let mut ended = 0;
        while ended < PAIRS {
            for completion in turn_until(&mut ring, 1) {
                let Completion::Received { more, .. } = completion else { panic!("{completion:?}") };
                ended += u64::from(!more);
            }
        }
        assert_eq!(ring.in_flight(), 0);
    });
}
