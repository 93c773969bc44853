//! What clients that cache are told: that a key is not what it was, or none is. As bytes between workers, and as a client
//! gets it.

use resp::{Protocol, ReplyWriter};

use super::ClientPlace;

/// The channel on which clients of the old protocol are told.
const CHANNEL: &[u8] = b"__redis__:invalidate";
/// Bytes of a connection's number and generation.
const NUMBER_BYTES: usize = 8;

/// Whom an invalidation concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The key was written: those who have read it, and those who want to be told of all keys with a prefix. Of all
    /// keys: everybody who tracks.
    Written = 0,
    /// The key is tracked no longer, to make room: those who have read it.
    Forgotten = 1,
    /// Clients that are told in the place of others.
    Redirected = 2,
}

/// An invalidation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    /// The key; none: all keys.
    pub key: Option<Box<[u8]>>,
    /// Whom it concerns.
    pub reach: Reach,
    /// The connection whose command did it, if one did.
    pub writer: Option<ClientPlace>,
    /// Connections that are told, of all workers.
    pub targets: Vec<ClientPlace>,
}

impl Invalidation {
    /// Bytes of key and targets.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.key.as_ref().map_or(0, |key| key.len()) + self.targets.len() * size_of::<ClientPlace>()
    }

    /// All but the key, for a worker: of the targets those that are its own.
    #[must_use]
    pub fn head_for(&self, worker: usize) -> Vec<u8> {
        let mut head = vec![self.reach as u8, u8::from(self.key.is_some()), u8::from(self.writer.is_some())];
        let writer = self.writer.unwrap_or(ClientPlace { worker: 0, connection: 0, generation: 0 });
        head.extend_from_slice(&writer.worker.to_le_bytes());
        for place in std::iter::once(&writer).chain(self.targets.iter().filter(|to| to.worker() == worker)) {
            head.extend_from_slice(&place.connection.to_le_bytes());
            head.extend_from_slice(&place.generation.to_le_bytes());
        }
        head
    }

    /// What [`Self::head_for`] wrote for `worker`, and the key.
    #[must_use]
    pub fn read(worker: usize, head: &[u8], key: &[u8]) -> Self {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        let numbers = |bytes: &[u8]| (word(&bytes[..4]), word(&bytes[4..]));
        let reach = match head[0] {
            0 => Reach::Written,
            1 => Reach::Forgotten,
            _ => Reach::Redirected,
        };
        let writer_worker = usize::from(u16::from_le_bytes([head[3], head[4]]));
        let (writer, targets) = head[5..].split_at(NUMBER_BYTES);
        Self {
            key: (head[1] == 1).then(|| key.into()),
            reach,
            writer: (head[2] == 1).then(|| ClientPlace::new(writer_worker, numbers(writer))),
            targets: targets
                .chunks_exact(NUMBER_BYTES)
                .map(|to| ClientPlace::new(worker, numbers(to)))
                .collect(),
        }
    }

    /// Writes it for a client that is told. False: it cannot be told, with the old protocol and without listening in the
    /// place of another. `listens`: it does both.
    pub fn write(key: Option<&[u8]>, protocol: Protocol, listens: bool, out: &mut Vec<u8>) -> bool {
        let mut reply = ReplyWriter::new(out, protocol);
        if protocol == Protocol::Resp3 {
            reply.push(2);
            reply.bulk(b"invalidate");
        } else if listens {
            reply.push(3);
            reply.bulk(b"message");
            reply.bulk(CHANNEL);
        } else {
            return false;
        }
        match key {
            None => reply.null(),
            Some(key) => {
                reply.array(1);
                reply.bulk(key);
            }
        }
        true
    }

    /// Writes that the client which was to be told in the place of this one is gone.
    pub fn write_broken(redirect: u64, out: &mut Vec<u8>) {
        let mut reply = ReplyWriter::new(out, Protocol::Resp3);
        reply.push(2);
        reply.bulk(b"tracking-redir-broken");
        reply.integer(i64::try_from(redirect).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_reads_what_was_written_for_it() {
        let place = |worker, number| ClientPlace::new(worker, (number, number + 1));
        let mut all = Invalidation {
            key: Some(b"key"[..].into()),
            reach: Reach::Forgotten,
            writer: Some(place(2, 9)),
            targets: vec![place(1, 1), place(0, 2), place(1, 3)],
        };
        for (worker, targets) in [(0, vec![place(0, 2)]), (1, vec![place(1, 1), place(1, 3)]), (2, vec![])] {
            let read = Invalidation::read(worker, &all.head_for(worker), b"key");
            assert_eq!(read, Invalidation { targets, ..all.clone() });
        }
        (all.key, all.writer, all.reach, all.targets) = (None, None, Reach::Written, Vec::new());
        assert_eq!(Invalidation::read(1, &all.head_for(1), b""), all);
    }

    #[test]
    fn clients_are_told_as_by_redis() {
        let told = |key, protocol, listens| {
            let mut out = Vec::new();
            let is_told = Invalidation::write(key, protocol, listens, &mut out);
            assert_eq!(is_told, !out.is_empty());
            String::from_utf8(out).unwrap()
        };
        let key = Some(&b"k"[..]);
        assert_eq!(told(key, Protocol::Resp3, false), ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
        assert_eq!(told(None, Protocol::Resp3, true), ">2\r\n$10\r\ninvalidate\r\n_\r\n");
        let old = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";
        assert_eq!(told(key, Protocol::Resp2, true), format!("{old}*1\r\n$1\r\nk\r\n"));
        assert_eq!(told(None, Protocol::Resp2, true), format!("{old}$-1\r\n"));
        assert_eq!(told(key, Protocol::Resp2, false), "");
    }
}
