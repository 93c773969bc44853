//! Cancelling, draining, dropping with operations in flight, descriptor re-use, running out of descriptors.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use ring::{
    Blocks, Completion, Fd, HugePages, ListenOptions, Received, Ring, RingConfig, SocketAddress, monotonic_ns,
};

use crate::support::{in_each_mode, pair, turn_once, turn_until};

const SECOND: u64 = 1_000_000_000;

fn assert_cancelled(completion: &Completion) {
    let error = match completion {
        Completion::Received { result: Err(error), more: false, .. }
        | Completion::Accepted { result: Err(error), more: false, .. }
        | Completion::Sent { result: Err(error), .. }
        | Completion::Read { result: Err(error), .. } => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
}

#[test]
fn a_cancelled_operation_ends_once_and_its_id_is_dead() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let (socket, mut client) = pair();
        let id = ring.recv(&socket, 1);
        ring.submit_and_wait(false, &mut Vec::new()).unwrap();
        ring.cancel(id);
        ring.cancel(id);
        assert_cancelled(&turn_once(&mut ring));
        assert_eq!(ring.in_flight(), 0);
        // The next operation uses the same slot; the old id must not reach it.
        let next = ring.recv(&socket, 2);
        assert_ne!(id, next);
        ring.cancel(id);
        client.write_all(b"x").unwrap();
        let completion = turn_once(&mut ring);
        assert!(
            matches!(
                &completion,
                Completion::Received { token: 2, result: Ok(Received::Data(_)), more: true }
            ),
            "{completion:?}"
        );
    });
}

#[test]
fn all_operations_of_one_socket_are_cancelled_and_no_other() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let (first, _first_client) = pair();
        let (second, mut second_client) = pair();
        ring.recv(&first, 1);
        ring.send(&first, vec![0; 4_000_000], 2);
        ring.recv(&second, 3);
        ring.submit_and_wait(false, &mut Vec::new()).unwrap();
        ring.cancel_all_of(&first);
        for completion in turn_until(&mut ring, 2) {
            assert_cancelled(&completion);
        }
        assert_eq!(ring.in_flight(), 1);
        second_client.write_all(b"x").unwrap();
        assert!(matches!(turn_once(&mut ring), Completion::Received { token: 3, result: Ok(_), .. }));
    });
}

#[test]
fn a_connection_closes_when_its_last_operation_has_ended() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let (socket, mut client) = pair();
        ring.recv(&socket, 1);
        ring.submit_and_wait(false, &mut Vec::new()).unwrap();
        ring.cancel_all_of(&socket);
        drop(socket);
        assert_cancelled(&turn_once(&mut ring));
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_reused_descriptor_number_is_not_hit_by_an_old_cancel() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        for _ in 0..50 {
            let (old, _old_client) = pair();
            let number = old.as_raw_fd();
            // Nothing is in flight on it: only the queued cancel keeps the number taken.
            ring.cancel_all_of(&old);
            drop(old);
            let (new, mut client) = pair();
            assert_ne!(new.as_raw_fd(), number);
            ring.recv(&new, 1);
            client.write_all(b"x").unwrap();
            let completion = turn_once(&mut ring);
            assert!(matches!(completion, Completion::Received { result: Ok(_), more: true, .. }));
            drop(client);
            let completion = turn_once(&mut ring);
            assert!(matches!(completion, Completion::Received { result: Ok(Received::Closed), .. }));
        }
    });
}

#[test]
fn drain_ends_everything_and_the_ring_goes_on() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let pairs: Vec<_> = (0..100).map(|_| pair()).collect();
        for (socket, _) in &pairs {
            ring.recv(socket, 1);
        }
        let (reader, _writer) = std::io::pipe().unwrap();
        let pipe = Fd::from(std::os::fd::OwnedFd::from(reader));
        ring.read_at(&pipe, Blocks::zeroed(4096, HugePages::No).unwrap(), 4096, 0, 2);
        let mut out = Vec::new();
        assert!(ring.drain(monotonic_ns() + 20 * SECOND, &mut out).unwrap());
        assert_eq!((out.len(), ring.in_flight()), (101, 0));
        out.iter().for_each(assert_cancelled);
        let (socket, client) = &pairs[0];
        ring.recv(socket, 3);
        let mut client = client;
        client.write_all(b"x").unwrap();
        assert!(matches!(turn_once(&mut ring), Completion::Received { token: 3, result: Ok(_), .. }));
    });
}

#[test]
fn dropping_a_ring_ends_its_operations_first() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let (socket, mut client) = pair();
        ring.recv(&socket, 1);
        ring.submit_and_wait(false, &mut Vec::new()).unwrap();
        drop(ring);
        drop(socket);
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "no operation holds the socket any more");
    });
}

#[test]
fn received_bytes_outlive_their_ring() {
    let mut ring = Ring::new(&RingConfig::default()).unwrap();
    let (socket, mut client) = pair();
    ring.recv(&socket, 1);
    client.write_all(b"kept").unwrap();
    let Completion::Received { result: Ok(Received::Data(bytes)), .. } = turn_once(&mut ring) else {
        panic!("data");
    };
    drop(ring);
    assert_eq!(&bytes[..], b"kept");
}

/// Lowers the descriptor limit, so it runs in a process of its own.
#[test]
fn out_of_descriptors_ends_the_accept_and_it_can_be_armed_again() {
    const CHILD: &str = "RING_TEST_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let name = "cancel::out_of_descriptors_ends_the_accept_and_it_can_be_armed_again";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        return;
    }
    let mut ring = Ring::new(&RingConfig::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = Fd::listen(&SocketAddress::Unix(path.clone()), ListenOptions::default()).unwrap();
    let mut clients = vec![UnixStream::connect(&path).unwrap()];
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    ring.accept(&listener, 1);
    match turn_once(&mut ring) {
        Completion::Accepted { result: Err(error), more: false, .. } => {
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(ring.in_flight(), 0);
    drop(hoard);
    ring.accept(&listener, 2);
    clients.push(UnixStream::connect(&path).unwrap());
    for completion in turn_until(&mut ring, 2) {
        assert!(
            matches!(completion, Completion::Accepted { token: 2, result: Ok(_), more: true }),
            "{completion:?}"
        );
    }
}
