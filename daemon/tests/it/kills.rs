//! The short version of `kill_cycles` (in `benches/`), on the binary that cargo has built for these tests.

use benches::crash::cycles::{Cycles, Plan};
use benches::machine::fresh_seed;
use benches::progress::Progress;
use benches::server::{Durability, ServerKind, ServerSpec};

#[test]
fn what_was_acknowledged_or_read_survives_ten_kills_of_two_workers() {
    let dir = tempfile::tempdir().unwrap();
    let seed = fresh_seed();
    let workers = crate::server::workers(2);
    let plan = Plan {
        server: ServerSpec {
            kind: ServerKind::Ouro,
            program: env!("CARGO_BIN_EXE_ourod").into(),
            durability: Durability::Always,
            workers,
            cpus: Vec::new(),
            extra: Vec::new(),
        },
        workers: vec![workers],
        cycles: 10,
        seed,
        writers: 4,
        readers: 2,
        load_ms: (20, 200),
        stop_one_in: 5,
        kill_again_one_in: 4,
        flush_every: 4,
        dir: dir.path().to_owned(),
        copy_store: false,
        power: None,
    };
    let (tally, violations) = Cycles::new(plan).unwrap().run(&mut Progress::new()).unwrap();
    assert!(violations.is_empty(), "--cycles 10 --seed {seed}: {tally:?}\n{}", violations[0]);
    assert_eq!(tally.kills, 10);
    assert!(tally.operations_acknowledged > 1000 && tally.sightings > 100, "{tally:?}");
}
