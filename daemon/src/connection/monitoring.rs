//! MONITOR: connections that are shown every request as it runs. The worker of a connection shows its requests, in the queue
//! of all that is published; other workers get a line only while they have somebody who looks on. Nobody looking on costs
//! nothing: requests are looked at one by one (`watched.rs`) only while somebody does.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use engine::worker::Worker;
use resp::Args;
use shard::types::BatchNumber;

use super::connection::{Client, Life};
use super::core::Core;
use super::publishing::Told;
use super::service::Service;
use crate::commands::{Command, Flags, shown};
use crate::session::Session;

/// Whether those who look on are shown a command: not those of administrators.
pub(super) fn is_shown(command: &Command) -> bool {
    !command.flags.contains(Flags::ADMIN)
}

/// Appends an argument as Redis shows it: in quotes, what is not printable escaped.
fn quote(arg: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in arg {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            7 => out.extend(b"\\a"),
            8 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                // Writing to a vector cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(b'"');
}

/// The line of a request: time, database, who asks, and its words.
fn line(session: &Session, command: &Command, args: Args<'_>) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let peer = if session.is_unix {
        format!("unix:{}", session.peer.strip_suffix(":0").unwrap_or(&session.peer))
    } else {
        session.peer.clone()
    };
    let mut out =
        format!("+{}.{:06} [{} {peer}]", now.as_secs(), now.subsec_micros(), session.db.0).into_bytes();
    for arg in shown(command, args) {
        out.push(b' ');
        quote(arg, &mut out);
    }
    out.extend_from_slice(b"\r\n");
    out
}

impl Core {
    /// MONITOR
    pub(super) fn begin_monitoring(&mut self, worker: &Worker<Service>, client: &mut Client, me: (u32, u32)) {
        client.session.is_monitor = true;
        self.monitors.insert(me);
        self.server.onlookers.set_monitors(worker.index, self.monitors.len());
        self.answer(worker, client, me, |_, mut reply| reply.ok());
    }

    /// Shows a request of a connection, which has run, to those who look on; as in Redis in the database that is selected
    /// then.
    pub(super) fn show_request(
        &mut self,
        worker: &Worker<Service>,
        session: &Session,
        command: &Command,
        args: Args<'_>,
    ) {
        let others = self.others(worker.index, |other| self.server.onlookers.has_monitors(other));
        if others.is_empty() && self.monitors.is_empty() {
            return;
        }
        let line: Arc<[u8]> = line(session, command, args).into();
        self.publishing.queue(Told::Request(line), BatchNumber::ZERO, others);
    }
}

impl Service {
    /// Shows a line to our connections that look on.
    pub(super) fn give_line(&mut self, line: &Arc<[u8]>) {
        let Self { core, connections, dirty, .. } = self;
        for me in &core.monitors {
            let Some(connection) = connections.get_mut(me.0, me.1) else { continue };
            if connection.client.life != Life::Open {
                continue;
            }
            connection.client.output.push_message(b"", line);
            if !connection.is_dirty {
                connection.is_dirty = true;
                dirty.push(*me);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn arguments_are_shown_as_by_redis() {
        let mut out = Vec::new();
        super::quote(b"a\"b\\c\n\r\t\x07\x08\x00\xff ~", &mut out);
        assert_eq!(out, br#""a\"b\\c\n\r\t\a\b\x00\xff ~""#);
    }
}
