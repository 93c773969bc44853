//! The admin address: one request a connection, GET /health or GET /metrics, answered in bounded time and memory.
//!
//! A connection's life: accepted while there are fewer than the bound (the others wait in the listener's backlog) ->
//! the head of its request read -> answered -> our side closed -> what it still sends thrown away for a moment, as
//! a close on unread bytes would take the answer back -> closed. Each step has the deadline of the whole exchange.

use std::net::Shutdown;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shard::types::UnixMs;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use super::admin_socket::{AdminListener, AdminStream, Ended};
use super::health::health;
use super::http_request::{Method, Request, parse_request};
use super::http_response::{Response, StatusCode};
use super::limits::{ACCEPT_REST, AdminLimits, LINGER_BYTES_MAX, REQUEST_BYTES_MAX};
use super::metrics::metrics;
use super::process_figures::ProcessFigures;
use crate::server::Server;

/// Serves until `stop` becomes true, then lets answers under way end for a moment.
pub(super) async fn serve(
    listener: AdminListener,
    server: Arc<Server>,
    limits: AdminLimits,
    mut stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let server = Rc::new(server);
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => {
                let server = Rc::clone(&server);
                tokio_uring::spawn(async move {
                    exchange(&stream, &server, limits).await;
                    drop(stream);
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "admin address: a connection cannot be accepted");
                // Most likely no descriptor is left; the connection is still there and would be tried again at once.
                sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    let slot_count = u32::try_from(limits.connections_max).unwrap_or(u32::MAX);
    // Those that do not end in time are cut off with the thread.
    let _ = timeout(limits.stop, slots.acquire_many(slot_count)).await;
}

async fn accept(
    listener: &AdminListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(AdminStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(std::io::Error::other)?;
    Ok((listener.accept().await?, slot))
}

/// One connection, from its acceptance to where it may be closed.
async fn exchange(stream: &AdminStream, server: &Server, limits: AdminLimits) {
    let deadline = Instant::now() + limits.exchange;
    let (method, response, deadline) = match read_request(stream, deadline).await {
        Received::Request(request) => (request.method, answer(&request, server), deadline),
        Received::Bad(status) => (Method::Other, Response::refusal(status), deadline),
        Received::TooLate => {
            let response = Response::refusal(StatusCode::RequestTimeout);
            (Method::Other, response, Instant::now() + limits.apology)
        }
        Received::Nothing => return,
    };
    tracing::debug!(status = ?response.status, "admin request");
    let bytes = response.to_bytes(method, SystemTime::now());
    if matches!(stream.write_all(bytes, deadline).await, Ended::Moved(_)) {
        linger(stream, deadline.min(Instant::now() + limits.linger)).await;
    }
}

enum Received {
    Request(Request),
    /// Answered with this.
    Bad(StatusCode),
    /// It has begun to ask, and not ended in time.
    TooLate,
    /// It has gone, or never said a word.
    Nothing,
}

async fn read_request(stream: &AdminStream, deadline: Instant) -> Received {
    let mut buffer = Vec::with_capacity(REQUEST_BYTES_MAX);
    loop {
        let ended;
        (ended, buffer) = stream.read(buffer, deadline).await;
        match ended {
            Ended::Moved(0) if buffer.is_empty() => return Received::Nothing,
            // It may have closed its sending side only, and still be there to be told.
            Ended::Moved(0) => return Received::Bad(StatusCode::BadRequest),
            Ended::Moved(_) => {}
            Ended::TooLate => return Received::TooLate,
            Ended::Broken => return Received::Nothing,
        }
        // An allocator may give more room than it was asked for.
        match parse_request(&buffer[..buffer.len().min(REQUEST_BYTES_MAX)]) {
            Ok(Some(request)) => return Received::Request(request),
            Ok(None) => {}
            Err(status) => return Received::Bad(status),
        }
    }
}

fn answer(request: &Request, server: &Server) -> Response {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let now = UnixMs(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX));
    match (request.path.as_str(), request.method) {
        ("/health" | "/metrics", Method::Other) => Response::refusal(StatusCode::MethodNotAllowed),
        ("/health", _) => health(server, now),
        ("/metrics", _) => metrics(server, now, &ProcessFigures::read()),
        _ => Response::refusal(StatusCode::NotFound),
    }
}

/// Throws away what the client still sends, until it closes, is too slow or sends too much.
async fn linger(stream: &AdminStream, deadline: Instant) {
    stream.shutdown(Shutdown::Write);
    let (mut buffer, mut thrown_away) = (Vec::with_capacity(REQUEST_BYTES_MAX), 0);
    while thrown_away < LINGER_BYTES_MAX {
        let ended;
        buffer.clear();
        (ended, buffer) = stream.read(buffer, deadline).await;
        match ended {
            Ended::Moved(0) | Ended::TooLate | Ended::Broken => return,
            Ended::Moved(bytes) => thrown_away += bytes,
        }
    }
}
