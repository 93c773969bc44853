//! One published message, and how it is written for those who get it.

use std::sync::Arc;

use resp::{Protocol, ReplyWriter};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Published by SPUBLISH.
    pub is_sharded: bool,
    /// The channel.
    pub channel: Box<[u8]>,
    /// What is said.
    pub payload: Box<[u8]>,
}

impl Message {
    /// Bytes of channel and payload.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.channel.len() + self.payload.len()
    }

    /// What all receivers get alike, in both protocols: the payload and the end of its line.
    #[must_use]
    pub fn body(&self) -> Arc<[u8]> {
        [&*self.payload, b"\r\n"].concat().into()
    }

    /// Writes all that goes before the body: for those who listen to the channel, or to a pattern.
    pub fn write_head(&self, pattern: Option<&[u8]>, protocol: Protocol, out: &mut Vec<u8>) {
        let mut reply = ReplyWriter::new(out, protocol);
        match pattern {
            None => {
                reply.push(3);
                reply.bulk(if self.is_sharded { b"smessage" } else { b"message" });
            }
            Some(pattern) => {
                reply.push(4);
                reply.bulk(b"pmessage");
                reply.bulk(pattern);
            }
        }
        reply.bulk(&self.channel);
        out.push(b'$');
        out.extend_from_slice(itoa::Buffer::new().format(self.payload.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(message: &Message, pattern: Option<&[u8]>, protocol: Protocol) -> String {
        let mut out = Vec::new();
        message.write_head(pattern, protocol, &mut out);
        out.extend_from_slice(&message.body());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn messages_are_written_as_redis_writes_them() {
        let mut message = Message { is_sharded: false, channel: b"a"[..].into(), payload: b"hi"[..].into() };
        let plain = whole(&message, None, Protocol::Resp2);
        assert_eq!(plain, "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
        let by_pattern = whole(&message, Some(b"a*"), Protocol::Resp3);
        assert_eq!(by_pattern, ">4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$1\r\na\r\n$2\r\nhi\r\n");
        message.is_sharded = true;
        assert_eq!(whole(&message, None, Protocol::Resp3), ">3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
    }
}
