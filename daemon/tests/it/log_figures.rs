//! What INFO tells of each worker's turns and log is what was written: records, batches, files, how it is made durable, and
//! histograms that add up.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::info::Info;
use crate::server::{Server, Setup, wait_for};
use crate::wire::{Wire, key_of, request};

fn set(wire: &mut Wire, worker: usize, count: usize, bytes: usize) {
    let value = vec![b'v'; bytes];
    for number in 0..count {
        wire.send(&request(&[b"SET", key_of(worker, number % 4).as_bytes(), &value]));
        wire.expect(b"+OK\r\n");
    }
}

/// Sizes of a log's segments as they are on disk, those ahead, free and kept included.
fn segment_bytes(server: &Server) -> u64 {
    let entries = fs::read_dir(&server.dir).unwrap().map(Result::unwrap);
    let segments = entries.filter(|entry| entry.file_name().to_string_lossy().contains(".segment-"));
    segments.map(|entry| entry.metadata().unwrap().size()).sum()
}

/// INFO when all logs are at rest: nothing in flight, all that is appended durable, and the idle mark written.
fn info_at_rest(server: &Server, wire: &mut Wire) -> Info {
    let mut before = None;
    wait_for("all logs to be at rest", || {
        let info = Info::of(wire, "ouro");
        // Just started, it has told nothing yet.
        if !(0..server.workers()).all(|log| info.has(&format!("log{log}_wal"))) {
            return None;
        }
        let sum = |ending, field| info.sum(server.workers(), ("log", ending), field);
        let batches = sum("_wal", "appended_batch");
        let is_at_rest = sum("_wal", "durable_batch") == batches
            && sum("", "durable_batch") == batches
            && sum("", "in_flight") == 0
            && sum("", "oldest_unflushed_ms") == 0
            && sum("_wal", "file_bytes") == segment_bytes(server);
        if !is_at_rest || before != Some(batches) {
            before = Some(batches);
            // Longer than a log waits before it writes its mark.
            std::thread::sleep(std::time::Duration::from_millis(300));
            return None;
        }
        Some(info)
    })
}

#[test]
fn records_batches_and_files_of_each_log_are_those_that_were_written() {
    let server = Setup::disk().and(&["--shards", "2", "--checkpoint-log-bytes", "1gb"]).start();
    let mut wire = server.connect();
    let workers = server.workers();
    let old = info_at_rest(&server, &mut wire);
    assert_eq!(old.sum(workers, ("log", ""), "records"), 0);
    for worker in 0..workers {
        let (log, wal) = (format!("log{worker}"), format!("log{worker}_wal"));
        let (count, bytes) = (40 * (worker + 1), 3_000);
        let before = info_at_rest(&server, &mut wire);
        set(&mut wire, worker, count, bytes);
        let info = info_at_rest(&server, &mut wire);
        let grown = |line: &str, field: &str| info.field(line, field) - before.field(line, field);
        // One at a time, each is a batch of its own; behind any of them may come the mark of an idle log, and one does.
        let count = count as u64;
        assert_eq!(grown(&log, "records"), count);
        assert!((count..=2 * count + 1).contains(&grown(&wal, "appended_batch")), "{}", info.line(&wal));
        assert_eq!(grown(&wal, "durable_batch"), grown(&wal, "appended_batch"));
        assert_eq!(grown(&log, "durable_batch"), grown(&wal, "appended_batch"));
        assert_eq!(grown(&log, "batches"), grown(&wal, "appended_batch"));
        // A record of 3,000 bytes takes a block, and so does a mark.
        assert_eq!(grown(&log, "bytes"), 4096 * grown(&wal, "appended_batch"));
        assert_eq!(grown(&format!("log{worker}_batch_kib_histogram"), "le_4"), grown(&log, "batches"));
        assert_eq!(grown(&wal, "replay_bytes"), grown(&log, "bytes"), "a start would read all of it");
        for other in (0..workers).filter(|other| *other != worker) {
            let other = format!("log{other}");
            assert_eq!(info.field(&other, "records"), before.field(&other, "records"), "{other}");
        }
    }
    let size = wire.answer(&["OURO.WAL", "SIZE"]);
    assert_eq!(size, format!(":{}", segment_bytes(&server)));
}

#[test]
fn rotations_and_saves_show_in_the_figures_of_a_log() {
    let server = Setup::disk().and(&["--shards", "2", "--checkpoint-log-bytes", "1gb"]).start();
    let mut wire = server.connect();
    let workers = server.workers();
    for worker in 0..workers {
        set(&mut wire, worker, 200, 30_000);
    }
    let full = info_at_rest(&server, &mut wire);
    for worker in 0..workers {
        // 200 batches of 32 KiB in segments of 2 MiB.
        let (log, wal) = (format!("log{worker}"), format!("log{worker}_wal"));
        assert!(full.field(&wal, "rotations") >= 3, "{}", full.line(&wal));
        assert_eq!(full.field(&wal, "generation"), full.field(&wal, "rotations") + 1);
        assert_eq!(full.field(&log, "segments"), full.field(&wal, "rotations") + 1, "none is given back yet");
        assert_eq!(full.field(&wal, "recycled"), 0);
        assert!(full.field(&wal, "replay_bytes") >= 200 * 30_000, "{}", full.line(&wal));
        assert!(full.field(&wal, "file_bytes") > full.field(&wal, "replay_bytes"), "{}", full.line(&wal));
    }
    assert_eq!(wire.answer(&["OURO.WAL", "ROTATE"]), "+OK");
    // A checkpoint begins behind these: nothing of the segments before is needed.
    for worker in 0..workers {
        set(&mut wire, worker, 4, 100);
    }
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    let info = wait_for("segments to be given back", || {
        let info = info_at_rest(&server, &mut wire);
        (info.sum(workers, ("log", ""), "segments") == workers as u64).then_some(info)
    });
    for worker in 0..workers {
        let wal = format!("log{worker}_wal");
        assert_eq!(info.field(&wal, "rotations"), full.field(&wal, "rotations") + 1);
        assert_eq!(info.field(&wal, "generation"), full.field(&wal, "generation") + 1);
        assert_eq!(info.field(&wal, "recycled"), info.field(&wal, "rotations"), "{}", info.line(&wal));
        assert!(info.field(&wal, "replay_bytes") < 64 << 10, "{}", info.line(&wal));
    }
}

#[test]
fn the_flush_method_is_told_with_what_it_measured() {
    for method in ["fdatasync", "dsync"] {
        let server = Setup::with(&["--wal-segment-bytes", "2mb", "--wal-sync", method]).workers(1).start();
        let mut wire = server.connect();
        set(&mut wire, 0, 50, 100);
        let info = info_at_rest(&server, &mut wire);
        assert_eq!(info.word("log0_flush_us", "method"), method);
        let [p50, p99, max] = ["p50", "p99", "max"].map(|field| info.field("log0_flush_us", field));
        assert!(0 < p50 && p50 <= p99 && p99 <= max, "{}", info.line("log0_flush_us"));
        assert_eq!(info.field("log0", "write_us_max"), max);
        let average: f64 = info.word("log0", "write_us_avg").parse().unwrap();
        assert!(average > 0.0 && average <= max as f64, "{average}");
        let text = Info::of(&mut wire, "persistence");
        assert!(text.line("durability").contains(if method == "dsync" { "O_DSYNC" } else { "fdatasync" }));
    }
}

/// Counts up to each bound of a line of INFO, with the count and the sum before them.
fn cumulative(info: &Info, line: &str) -> (u64, u64, Vec<(u64, u64)>) {
    let fields = info.line(line).split(',').map(|field| field.split_once('=').unwrap());
    let fields: Vec<(&str, u64)> = fields.map(|(name, value)| (name, value.parse().unwrap())).collect();
    assert_eq!((fields[0].0, fields[1].0), ("count", "sum"), "{line}");
    let steps =
        fields[2..].iter().map(|(name, count)| (name.strip_prefix("le_").unwrap().parse().unwrap(), *count));
    (fields[0].1, fields[1].1, steps.collect())
}

/// The law of such a line, and that it agrees with the percentiles of the line of the same name.
fn check_histogram(info: &Info, name: &str) -> u64 {
    let (count, sum, steps) = cumulative(info, &format!("{name}_histogram"));
    let bounds: Vec<u64> = steps.iter().map(|(bound, _)| *bound).collect();
    assert_eq!(bounds, (0..23).map(|power| 1 << power).collect::<Vec<u64>>(), "1 to 2^22, all of them");
    assert!(steps.is_sorted_by_key(|(_, counted)| *counted) && steps[22].1 <= count, "{steps:?}");
    let max = info.field(name, "max");
    assert!(sum <= max * count && sum >= max, "{name}: {count} of {sum}, the largest {max}");
    for (percentile, per_mille) in [("p50", 500), ("p99", 990)] {
        let told = info.field(name, percentile);
        let at_most = steps.iter().find(|(bound, _)| *bound >= told).map_or(count, |(_, counted)| *counted);
        assert!(
            at_most * 1000 >= count * per_mille,
            "{name}: {at_most} of {count} up to {percentile}={told}"
        );
    }
    if max <= 1 << 22 {
        assert_eq!(steps[22].1, count, "{name}: none above the last bound");
        let first_full = steps.iter().find(|(_, counted)| *counted == count).unwrap().0;
        assert!(max <= first_full && (first_full == 1 || max > first_full / 2), "{name}: {max} {steps:?}");
    }
    count
}

#[test]
fn histograms_of_turns_flushes_and_batches_add_up_and_grow() {
    let server = Setup::disk().start();
    let mut wire = server.connect();
    let workers = server.workers();
    let mut before = vec![[0; 3]; workers];
    for round in 1..4 {
        for worker in 0..workers {
            set(&mut wire, worker, 50 * round, 100 << (2 * round));
        }
        let info = info_at_rest(&server, &mut wire);
        for (worker, before) in before.iter_mut().enumerate() {
            let names = [
                format!("worker{worker}_turn_us"),
                format!("log{worker}_flush_us"),
                format!("log{worker}_batch_kib"),
            ];
            let counts = names.each_ref().map(|name| check_histogram(&info, name));
            let grown: [u64; 3] = std::array::from_fn(|at| counts[at] - before[at]);
            assert!(grown.iter().all(|grown| *grown >= 50 * round as u64), "{grown:?}");
            assert_eq!(counts[2], info.field(&format!("log{worker}"), "batches"), "each batch has a size");
            *before = counts;
            // 20 ms lies between two bounds: the exact count is between theirs.
            let (count, _, steps) = cumulative(&info, &format!("{}_histogram", names[0]));
            let above = |bound| count - steps.iter().find(|(other, _)| *other == bound).unwrap().1;
            let slow = info.field(&names[0], "over_20_ms");
            assert!((above(1 << 15)..=above(1 << 14)).contains(&slow), "{slow} of {steps:?}");
        }
    }
}
