//! GET /health: what the server is doing and whether every worker is alive, for probes and people.
//!
//! 200 when it serves and all workers have given a sign of life of late, 503 otherwise.

use serde::Serialize;
use shard::types::UnixMs;

use super::http_response::{Response, StatusCode};
use super::limits::HEARTBEAT_AGE_MAX_MS;
use crate::server::{Counter, Server, ServerState, WorkerStats};

#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
    state: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    workers: Vec<WorkerHealth>,
}

#[derive(Debug, Serialize)]
struct WorkerHealth {
    worker: usize,
    /// None before the first sign of life.
    heartbeat_age_ms: Option<u64>,
    alive: bool,
}

/// The word for a state.
pub(super) const fn state_name(state: ServerState) -> &'static str {
    match state {
        ServerState::Starting => "starting",
        ServerState::Recovering => "recovering",
        ServerState::Serving => "serving",
        ServerState::Stopping => "stopping",
    }
}

/// The answer at this time.
pub(super) fn health(server: &Server, now: UnixMs) -> Response {
    let state = server.state();
    let worker_health = |(worker, stats): (usize, &WorkerStats)| {
        let heartbeat = stats.get(Counter::HeartbeatMs);
        let heartbeat_age_ms = (heartbeat > 0).then(|| now.0.saturating_sub(heartbeat));
        let alive = heartbeat_age_ms.is_some_and(|age| age <= HEARTBEAT_AGE_MAX_MS);
        WorkerHealth { worker, heartbeat_age_ms, alive }
    };
    let workers: Vec<_> = server.workers.iter().enumerate().map(worker_health).collect();
    let is_well = state == ServerState::Serving && workers.iter().all(|worker| worker.alive);
    let health = Health {
        status: if is_well { "ok" } else { "unavailable" },
        state: state_name(state),
        version: crate::server::OURO_VERSION,
        uptime_seconds: now.0.saturating_sub(server.started().0) / 1000,
        workers,
    };
    let mut body = serde_json::to_string(&health).expect("numbers, words and no map");
    body.push('\n');
    Response {
        status: if is_well { StatusCode::Ok } else { StatusCode::ServiceUnavailable },
        content_type: "application/json",
        body,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::options::Options;
    use crate::server::WorkerCounters;

    const NOW: u64 = 1_000_000_000_000;

    fn check(state: ServerState, heartbeats: &[u64], status: StatusCode, alive: &[bool]) -> Value {
        let options = Options { workers: heartbeats.len(), ..Options::for_tests() };
        let (server, _requests) = Server::new(options, [0; 20], UnixMs(NOW - 61_500));
        server.set_state(state);
        for (stats, heartbeat) in server.workers.iter().zip(heartbeats) {
            let mut counters = WorkerCounters::default();
            counters.set(Counter::HeartbeatMs, *heartbeat);
            stats.publish(&mut counters);
        }
        let response = health(&server, UnixMs(NOW));
        assert_eq!(response.status, status, "{}", response.body);
        let value: Value = serde_json::from_str(&response.body).unwrap();
        let seen: Vec<bool> = value["workers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|worker| worker["alive"].as_bool().unwrap())
            .collect();
        assert_eq!(seen, alive);
        assert_eq!(value["state"], state_name(state));
        value
    }

    #[test]
    fn healthy_is_serving_with_all_workers_alive() {
        use ServerState::{Recovering, Serving, Starting, Stopping};
        use StatusCode::{Ok, ServiceUnavailable};
        let value = check(Serving, &[NOW - 3, NOW - HEARTBEAT_AGE_MAX_MS], Ok, &[true, true]);
        assert_eq!(value["workers"][0]["heartbeat_age_ms"], 3);
        assert_eq!((&value["status"], &value["uptime_seconds"]), (&"ok".into(), &61.into()));
        check(Serving, &[NOW, NOW - HEARTBEAT_AGE_MAX_MS - 1], ServiceUnavailable, &[true, false]);
        for state in [Starting, Recovering, Stopping] {
            let value = check(state, &[NOW], ServiceUnavailable, &[true]);
            assert_eq!(value["status"], "unavailable");
        }
    }

    #[test]
    fn a_worker_that_never_beat_is_not_alive() {
        let value = check(ServerState::Serving, &[0], StatusCode::ServiceUnavailable, &[false]);
        assert_eq!(value["workers"][0]["heartbeat_age_ms"], Value::Null);
    }

    #[test]
    fn a_clock_set_back_does_not_kill_a_worker() {
        check(ServerState::Serving, &[NOW + 50_000], StatusCode::Ok, &[true]);
    }
}
