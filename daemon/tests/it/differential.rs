//! The same random requests to `ourod` and to `redis-server`, where that is installed: the same replies, and the same
//! keys in the end. `benches/src/bin/differential.rs` does it for longer.

use benches::differential::{Comparison, run};
use benches::server::{Durability, Server, ServerKind, ServerSpec};

use crate::passing_over::pass_over;
use crate::server::Setup;

/// Requests of one run: a matter of seconds.
const COMMANDS: u64 = 20_000;

fn check(setup: Setup, workers: usize) {
    let dir = tempfile::tempdir().unwrap();
    let spec = ServerSpec {
        kind: ServerKind::Redis,
        program: "redis-server".into(),
        durability: Durability::Memory,
        workers: 1,
        cpus: Vec::new(),
        extra: Vec::new(),
    };
    let Ok(mut theirs) = Server::start(&spec, dir.path()) else {
        return pass_over("redis-server is not installed");
    };
    theirs.wait_until_serving(None).unwrap();
    let ours = setup.workers(crate::server::workers(workers)).start();
    let given = std::env::var("OURO_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or(1);
    eprintln!("OURO_SEED={seed}");
    let comparison =
        Comparison { ours: ours.socket(), theirs: theirs.socket().to_owned(), commands: COMMANDS, seed };
    let (tally, difference) = run(&comparison, |_| {}).unwrap();
    if let Some(difference) = difference {
        panic!("seed {seed}: {difference}");
    }
    assert!(tally.commands >= COMMANDS && tally.keys > 0 && tally.told > 0, "{tally:?}");
    assert!(tally.redirected > 0 && tally.broken > 0, "{tally:?}");
}

#[test]
fn replies_over_sockets_are_those_of_redis_in_memory() {
    check(Setup::memory(), 2);
}

#[test]
fn replies_over_sockets_are_those_of_redis_on_disk() {
    check(Setup::disk(), 2);
}
