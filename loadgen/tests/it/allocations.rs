//! Nothing is allocated per request: a worker that sends a hundred thousand more allocates no more.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use loadgen::generator::{Budget, Generator};
use loadgen::key_picker::WorkerSeat;
use loadgen::null_server::NullServer;
use loadgen::phase::{Phase, PhasePace};
use loadgen::values::ValuePool;
use loadgen::worker::{Worker, WorkerSignals};
use ring::{Fd, Ring, RingConfig};

use crate::plan;

/// A worker over eight connections to a null server, with the workload of the command line.
fn worker(path: &std::path::Path, line: &str) -> Worker {
    let workload = plan(path, line).workload;
    let values = ValuePool::new(&workload.values, workload.seed);
    let generator = Generator::new(&workload, values, WorkerSeat { worker: 0, workers: 1 }, None, 0);
    let sockets = (0..8).map(|_| Fd::from(OwnedFd::from(UnixStream::connect(path).unwrap()))).collect();
    let ring = Ring::new(&RingConfig {
        recv_buffer_count: 64,
        recv_buffer_bytes: 16 << 10,
        ..RingConfig::default()
    });
    let (intervals, _) = sync_channel(16);
    Worker::new(
        ring.unwrap(),
        sockets,
        generator,
        PIPELINE,
        None,
        Arc::new(WorkerSignals::default()),
        intervals,
    )
}

const PIPELINE: usize = 16;

/// Allocations of the thread while it carries out one phase of so many requests.
fn allocations(worker: &mut Worker, requests: u64) -> u64 {
    let start_ns = ring::monotonic_ns();
    let budget = Budget::shared(Arc::new(requests.into()));
    let phase = Phase {
        spin: false,
        pace: PhasePace::Closed,
        pipeline: PIPELINE,
        start_ns,
        window_start_ns: start_ns,
        window_end_ns: u64::MAX,
        watch_end_ns: u64::MAX,
        drain_ns: 5_000_000_000,
        budget,
        series: false,
    };
    let mut answered = 0;
    let counted = allocation_counter::measure(|| answered = worker.run(phase).unwrap().tally.successes());
    assert_eq!(answered, requests);
    counted.count_total
}

#[test]
fn requests_cost_no_allocation() {
    for line in ["", "--dist zipf --value-size 10..200 --key-size 16..40 --ttl 60s --ratio 1:1"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let _server = NullServer::start(&path, &[]).unwrap();
        let mut worker = worker(&path, line);
        // The first phases grow buffers to their size.
        allocations(&mut worker, 20_000);
        allocations(&mut worker, 20_000);
        let few = allocations(&mut worker, 10_000);
        let many = allocations(&mut worker, 110_000);
        // An interval is closed once a second, and a buffer may still grow for the longest request.
        assert!(many <= few + 200, "{line}: {few} allocations for 10,000 requests, {many} for 110,000");
    }
}
