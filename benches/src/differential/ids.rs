//! Ids of clients of one server. They are each server's own, so that a request has a word where one goes ([`RECEIVER`],
//! [`MAIN`], [`READER`]), and a reply is compared with names instead of them: receivers are counted from 0.

use super::Words;

/// Stands for the id of the receiver that came last, which may be gone.
pub(super) const RECEIVER: &[u8] = b"(id of the receiver)";
/// Stands for the id of the client whose requests are drawn.
pub(super) const MAIN: &[u8] = b"(id of the main client)";
/// Stands for the id of the client that reads all keys.
pub(super) const READER: &[u8] = b"(id of the reader)";
/// Stands for the address of every client.
pub(super) const ADDRESS: &[u8] = b"(address of all clients)";

/// The clients of a session at one server, as texts of their ids.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) address: Vec<u8>,
    pub(super) main: Vec<u8>,
    pub(super) reader: Vec<u8>,
    /// Of all there were.
    pub(super) receivers: Vec<Vec<u8>>,
}

impl Ids {
    /// A request as this server gets it.
    pub(super) fn filled(&self, request: &[Vec<u8>]) -> Words {
        let fill = |word: &Vec<u8>| match &word[..] {
            RECEIVER => self.receivers.last().cloned().unwrap_or_default(),
            MAIN => self.main.clone(),
            READER => self.reader.clone(),
            ADDRESS => self.address.clone(),
            _ => word.clone(),
        };
        request.iter().map(fill).collect()
    }

    /// A reply that has an id as an integer, with a name instead.
    pub(super) fn named(&self, reply: &[u8]) -> Vec<u8> {
        let receivers = self.receivers.iter().enumerate();
        let receivers = receivers.map(|(number, id)| (id, format!(":receiver {number}\r\n")));
        let others = [(&self.main, ":main\r\n".to_owned()), (&self.reader, ":reader\r\n".to_owned())];
        for (id, name) in receivers.chain(others) {
            let integer = [b":", &id[..], b"\r\n"].concat();
            if let Some(at) = reply.windows(integer.len()).position(|window| window == integer) {
                return [&reply[..at], name.as_bytes(), &reply[at + integer.len()..]].concat();
            }
        }
        reply.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    #[test]
    fn ids_are_filled_in_and_become_names() {
        let text = |text: &str| text.as_bytes().to_vec();
        let receivers = vec![text("7"), text("71")];
        let ids = Ids { address: text("/s:0"), main: text("5"), reader: text("6"), receivers };
        let request = ["REDIRECT".as_bytes(), RECEIVER, MAIN, READER, ADDRESS].map(<[u8]>::to_vec);
        assert_eq!(ids.filled(&request), words(&["REDIRECT", "71", "5", "6", "/s:0"]));
        let check =
            |reply: &str, expected: &str| assert_eq!(ids.named(reply.as_bytes()), expected.as_bytes());
        check(":7\r\n", ":receiver 0\r\n");
        check(":71\r\n", ":receiver 1\r\n");
        check("*2\r\n:71\r\n*0\r\n", "*2\r\n:receiver 1\r\n*0\r\n");
        check(":5\r\n", ":main\r\n");
        check(":6\r\n", ":reader\r\n");
        check(":72\r\n", ":72\r\n");
        check("$1\r\n7\r\n", "$1\r\n7\r\n");
    }
}
