//! Accept, receive, send, connect.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;

use ring::{Completion, Fd, ListenOptions, Received, Ring, RingConfig, SocketAddress};

use crate::support::{in_each_mode, pair, turn_once, turn_until};

const RECV: u64 = 1;
const SEND: u64 = 2;

/// Echoes until the peer closes; returns the bytes echoed.
fn echo(ring: &mut Ring, socket: &Fd) -> usize {
    ring.recv(socket, RECV);
    let (mut echoed, mut closed, mut sending) = (0, false, false);
    let mut waiting = Vec::new();
    while !closed || sending || !waiting.is_empty() {
        for completion in turn_until(ring, 1) {
            match completion {
                Completion::Received { token: RECV, result, more } => match result.unwrap() {
                    Received::Data(bytes) => {
                        waiting.extend_from_slice(&bytes);
                        if !more {
                            ring.recv(socket, RECV);
                        }
                    }
                    Received::Closed => closed = true,
                    Received::NoBuffers => {
                        ring.recv(socket, RECV);
                    }
                },
                Completion::Sent { token: SEND, buffer, result } => {
                    assert_eq!(result.unwrap(), buffer.len());
                    echoed += buffer.len();
                    sending = false;
                }
                other => panic!("{other:?}"),
            }
        }
        if !sending && !waiting.is_empty() {
            ring.send(socket, std::mem::take(&mut waiting), SEND);
            sending = true;
        }
    }
    echoed
}

#[test]
fn thousands_of_messages_come_back_in_order() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let (socket, mut client) = pair();
        let peer = thread::spawn(move || {
            for round in 0..5_000u32 {
                let message = round.to_le_bytes();
                client.write_all(&message).unwrap();
                let mut reply = [0; 4];
                client.read_exact(&mut reply).unwrap();
                assert_eq!(reply, message);
            }
        });
        assert_eq!(echo(&mut ring, &socket), 20_000);
        peer.join().unwrap();
        assert_eq!((ring.in_flight(), ring.lent_buffers()), (0, 0));
    });
}

#[test]
fn a_flood_larger_than_all_receive_buffers_loses_and_reorders_nothing() {
    in_each_mode(|config| {
        let config = RingConfig { recv_buffer_count: 2, recv_buffer_bytes: 512, ..config };
        let mut ring = Ring::new(&config).unwrap();
        let (socket, mut client) = pair();
        let flood: Vec<u8> = (0..1_000_000u32).map(|position| (position % 251) as u8).collect();
        let expected = flood.clone();
        let mut reader = client.try_clone().unwrap();
        let writer = thread::spawn(move || {
            client.write_all(&flood).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let reading = thread::spawn(move || {
            let mut received = vec![0; expected.len()];
            reader.read_exact(&mut received).unwrap();
            assert!(received == expected);
        });
        assert_eq!(echo(&mut ring, &socket), 1_000_000);
        writer.join().unwrap();
        reading.join().unwrap();
    });
}

#[test]
fn receive_without_buffers_says_so_and_goes_on_when_they_are_back() {
    in_each_mode(|config| {
        let config = RingConfig { recv_buffer_count: 2, recv_buffer_bytes: 64, ..config };
        let mut ring = Ring::new(&config).unwrap();
        let (socket, mut client) = pair();
        ring.recv(&socket, RECV);
        client.write_all(&[7; 200]).unwrap();
        let mut held = Vec::new();
        let mut starved = false;
        while !starved {
            for completion in turn_until(&mut ring, 1) {
                match completion {
                    Completion::Received { result: Ok(Received::Data(bytes)), more: true, .. } => {
                        held.push(bytes)
                    }
                    Completion::Received { result: Ok(Received::NoBuffers), more: false, .. } => {
                        starved = true
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(held.iter().map(|bytes| bytes.len()).sum::<usize>(), 128);
        assert_eq!((ring.lent_buffers(), ring.counters().starved_receives), (2, 1));
        for bytes in held.drain(..) {
            ring.give_back(bytes);
        }
        ring.recv(&socket, RECV);
        let rest: usize = turn_until(&mut ring, 2)
            .iter()
            .map(|completion| match completion {
                Completion::Received { result: Ok(Received::Data(bytes)), .. } => bytes.len(),
                other => panic!("{other:?}"),
            })
            .sum();
        assert_eq!(rest, 72);
    });
}

#[test]
fn send_larger_than_the_socket_takes_is_finished_before_it_is_reported() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let (socket, mut client) = pair();
        let bytes: Vec<u8> = (0..8_000_000u32).map(|position| (position % 253) as u8).collect();
        let expected = bytes.clone();
        let address = bytes.as_ptr();
        ring.send(&socket, bytes, SEND);
        let mut out = Vec::new();
        for _ in 0..3 {
            ring.submit_and_wait(false, &mut out).unwrap();
        }
        assert!(out.is_empty(), "nobody reads yet: {out:?}");
        let reader = thread::spawn(move || {
            let mut received = vec![0; expected.len()];
            client.read_exact(&mut received).unwrap();
            assert!(received == expected);
        });
        match turn_once(&mut ring) {
            Completion::Sent { token: SEND, buffer, result } => {
                assert_eq!(result.unwrap(), 8_000_000);
                assert_eq!(buffer.as_ptr(), address, "the same buffer comes back");
            }
            other => panic!("{other:?}"),
        }
        reader.join().unwrap();
    });
}

#[test]
fn send_to_a_closed_peer_is_an_error_and_no_signal() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let (socket, client) = pair();
        drop(client);
        ring.send(&socket, b"lost".to_vec(), SEND);
        match turn_once(&mut ring) {
            Completion::Sent { result, .. } => {
                assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPIPE));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn looking_without_waiting_sees_what_arrives_and_is_nearly_free() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let (socket, mut client) = pair();
        ring.recv(&socket, RECV);
        let mut out = Vec::new();
        for _ in 0..1_000 {
            ring.submit_and_wait(false, &mut out).unwrap();
        }
        assert!(out.is_empty() && ring.counters().enters < 10, "{:?}", ring.counters());
        client.write_all(b"now").unwrap();
        while out.is_empty() {
            ring.submit_and_wait(false, &mut out).unwrap();
        }
        assert!(matches!(&out[..], [Completion::Received { result: Ok(Received::Data(_)), .. }]), "{out:?}");
        assert!(ring.counters().enters < 10, "{:?}", ring.counters());
    });
}

#[test]
fn shutdown_ends_a_receive_as_a_close_does() {
    let mut ring = Ring::new(&RingConfig::default()).unwrap();
    let (socket, _client) = pair();
    ring.recv(&socket, RECV);
    ring.submit_and_wait(false, &mut Vec::new()).unwrap();
    Ring::shutdown_socket(&socket);
    let completion = turn_once(&mut ring);
    let closed = matches!(completion, Completion::Received { result: Ok(Received::Closed), more: false, .. });
    assert!(closed, "{completion:?}");
}

#[test]
fn one_accept_takes_many_connections() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let address = SocketAddress::Unix(directory.path().join("socket"));
        let SocketAddress::Unix(path) = &address else { unreachable!() };
        let listener = Fd::listen(&address, ListenOptions::default()).unwrap();
        ring.accept(&listener, 9);
        let clients: Vec<_> = (0..100).map(|_| UnixStream::connect(path).unwrap()).collect();
        let accepted = turn_until(&mut ring, 100);
        assert_eq!(accepted.len(), clients.len());
        for completion in accepted {
            let Completion::Accepted { token: 9, result: Ok(socket), more: true } = completion else {
                panic!("{completion:?}");
            };
            assert_eq!(socket.local_address().unwrap(), address);
        }
        assert_eq!(ring.in_flight(), 1);
    });
}

#[test]
fn tcp_connects_accepts_and_carries_bytes_both_ways() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let any = SocketAddress::Tcp("[::1]:0".parse().unwrap());
        let listener = Fd::listen(&any, ListenOptions::default()).unwrap();
        let address = listener.local_address().unwrap();
        ring.accept(&listener, 1);
        let client = Fd::stream_for(&address).unwrap();
        ring.connect(&client, &address, 2).unwrap();
        let mut server = None;
        let mut connected = false;
        for completion in turn_until(&mut ring, 2) {
            match completion {
                Completion::Accepted { result, .. } => server = Some(result.unwrap()),
                Completion::Connected { token: 2, result } => connected = result.is_ok(),
                other => panic!("{other:?}"),
            }
        }
        assert!(connected);
        let server = server.unwrap();
        server.set_no_delay().unwrap();
        server.set_keepalive(300).unwrap();
        assert_eq!(client.peer_address().unwrap(), address);
        ring.recv(&client, 3);
        ring.send(&server, b"hello".to_vec(), 4);
        for completion in turn_until(&mut ring, 2) {
            match completion {
                Completion::Received { token: 3, result: Ok(Received::Data(bytes)), more: true } => {
                    assert_eq!(ring.received(&bytes), b"hello");
                }
                Completion::Sent { token: 4, result, .. } => assert_eq!(result.unwrap(), 5),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn refused_connection_is_reported() {
    let mut ring = Ring::new(&RingConfig::default()).unwrap();
    let address = {
        let any = SocketAddress::Tcp("127.0.0.1:0".parse().unwrap());
        Fd::listen(&any, ListenOptions::default()).unwrap().local_address().unwrap()
    };
    let client = Fd::stream_for(&address).unwrap();
    ring.connect(&client, &address, 1).unwrap();
    match turn_once(&mut ring) {
        Completion::Connected { result, .. } => {
            assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        }
        other => panic!("{other:?}"),
    }
    let path = SocketAddress::Unix("x".repeat(200).into());
    assert!(ring.connect(&client, &path, 1).is_err());
    assert_eq!(ring.in_flight(), 0);
}

#[test]
fn nonblocking_sockets_of_others_work_too() {
    let mut ring = Ring::new(&RingConfig::default()).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Fd::from(listener);
    ring.accept(&listener, 1);
    ring.submit_and_wait(false, &mut Vec::new()).unwrap();
    let _client = TcpStream::connect(address).unwrap();
    let completion = turn_once(&mut ring);
    assert!(matches!(completion, Completion::Accepted { result: Ok(_), more: true, .. }), "{completion:?}");
}

#[test]
fn completions_beyond_the_queue_are_kept_by_the_kernel() {
    in_each_mode(|config| {
        let config = RingConfig { entries: 2, cq_entries: 2, recv_buffer_count: 64, ..config };
        let mut ring = Ring::new(&config).unwrap();
        let pairs: Vec<_> = (0..40).map(|_| pair()).collect();
        for (token, (socket, client)) in (0..).zip(&pairs) {
            ring.recv(socket, token);
            let mut client = client;
            client.write_all(&[1]).unwrap();
        }
        let mut seen = [false; 40];
        let mut arrived = 0;
        while arrived < 40 {
            for completion in turn_until(&mut ring, 1) {
                let Completion::Received { token, result, more } = completion else {
                    panic!("{completion:?}")
                };
                if let Received::Data(bytes) = result.unwrap() {
                    assert_eq!(bytes.len(), 1);
                    let place = usize::try_from(token).unwrap();
                    assert!(!std::mem::replace(&mut seen[place], true), "one byte arrives once");
                    arrived += 1;
                }
                if !more {
                    ring.recv(&pairs[usize::try_from(token).unwrap()].0, token);
                }
            }
        }
    });
}
