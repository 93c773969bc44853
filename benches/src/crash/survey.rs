//! All that a server has: each key of each writer with its deadline, and whatever else it lists.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use resp::Reply;

use super::key_state::{Shown, Sighting, now_ms};
use super::operation::{ShownReply, value_of};
use super::violation::{Promise, Violation};
use crate::client::Client;

/// SCAN calls at most: far above what the keys of a run take.
const SCAN_CALLS_MAX: usize = 100_000;

/// What was found after a start.
#[derive(Debug)]
pub struct Survey {
    /// By writer and key.
    pub found: Vec<Vec<Sighting>>,
    /// What is wrong by itself: keys that nobody wrote, keys that SCAN does not list.
    pub violations: Vec<Violation>,
}

/// Asks for everything.
///
/// # Errors
/// Those of the connection; `InvalidData` for a reply that a question does not have.
pub fn survey(client: &mut Client, names: &[Arc<[Vec<u8>]>]) -> io::Result<Survey> {
    let mut found = Vec::with_capacity(names.len());
    for names in names {
        found.push(sightings(client, names)?);
    }
    let listed = scan(client)?;
    let mut violations = Vec::new();
    let known: HashSet<&[u8]> = names.iter().flat_map(|names| names.iter().map(Vec::as_slice)).collect();
    for name in listed.iter().filter(|name| !known.contains(name.as_slice())) {
        let text = format!("SCAN lists {}", Shown(name));
        violations.push(Violation::new(Promise::NothingIsInvented, text));
    }
    for (names, found) in names.iter().zip(&found) {
        for (name, sighting) in names.iter().zip(found) {
            // A key that ends may have ended since.
            let stays = sighting.value.is_some() && sighting.deadline_ms.flatten().is_none();
            if stays && !listed.contains(name) {
                let text = format!("SCAN does not list {}, which is {sighting}", Shown(name));
                violations.push(Violation::new(Promise::AcknowledgedIsKept, text));
            }
        }
    }
    Ok(Survey { found, violations })
}

fn sightings(client: &mut Client, names: &[Vec<u8>]) -> io::Result<Vec<Sighting>> {
    let questions: Vec<Vec<&[u8]>> =
        names.iter().flat_map(|name| [vec![&b"GET"[..], name], vec![&b"PEXPIRETIME"[..], name]]).collect();
    let asked_ms = now_ms();
    let replies = client.ask_all(&questions)?;
    let answered_ms = now_ms();
    replies
        .chunks(2)
        .map(|pair| {
            let mut value = value_of(&pair[0]).ok_or_else(|| unexpected(&pair[0]))?;
            let deadline_ms = match &pair[1] {
                // Gone, and there again although nobody writes.
                other if value.is_none() && *other != Reply::Integer(-2) => return Err(unexpected(other)),
                Reply::Integer(-1) => Some(None),
                // Ended between the two questions, or was not there at all.
                Reply::Integer(-2) => {
                    value = None;
                    None
                }
                Reply::Integer(ms) => Some(Some(u64::try_from(*ms).map_err(|_| unexpected(&pair[1]))?)),
                other => return Err(unexpected(other)),
            };
            Ok(Sighting { value, deadline_ms, asked_ms, answered_ms })
        })
        .collect()
}

fn scan(client: &mut Client) -> io::Result<HashSet<Vec<u8>>> {
    let mut listed = HashSet::new();
    let mut cursor = b"0".to_vec();
    for _ in 0..SCAN_CALLS_MAX {
        let reply = client.ask(&[b"SCAN", &cursor, b"COUNT", b"1000"])?;
        let Reply::Array(parts) = &reply else { return Err(unexpected(&reply)) };
        let [Reply::Bulk(next), Reply::Array(keys)] = parts.as_slice() else {
            return Err(unexpected(&reply));
        };
        for key in keys {
            let Reply::Bulk(name) = key else { return Err(unexpected(key)) };
            listed.insert(name.clone());
        }
        if next == b"0" {
            return Ok(listed);
        }
        cursor.clone_from(next);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "SCAN does not end"))
}

fn unexpected(reply: &Reply) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected reply {}", ShownReply(reply)))
}
