//! The tools of `ourod` on directories that a daemon wrote: their exit codes, texts and streams, and the daemon after them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::server::{Ended, Setup};

fn ourod(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ourod")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A store of one worker, ended.
fn written(count: usize) -> Ended {
    let server = Setup::disk().workers(1).start();
    let mut wire = server.connect();
    for number in 0..count {
        assert_eq!(wire.answer(&["SET", &format!("k{number}"), &number.to_string()]), "+OK");
    }
    server.kill()
}

/// Flips a bit in the batch, of one block, whose record has this key; the segment's name, and the batch's number. A log that
/// was idle between two records has a mark there, which is a batch too.
fn flip_batch(ended: &Ended, key: &str) -> (String, usize) {
    let path = ended.files("segment-").into_iter().next().unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut offsets =
        (0..bytes.len()).step_by(4096).filter(|&at| bytes[at..].starts_with(b"OBAT")).enumerate();
    let has_key = |at: usize| bytes[at..at + 4096].windows(key.len()).any(|part| part == key.as_bytes());
    let (index, start) = offsets.find(|&(_, at)| has_key(at)).unwrap();
    let at = start + 70;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
    (path.file_name().unwrap().to_str().unwrap().to_owned(), index + 1)
}

fn dir(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_damaged_log_is_refused_checked_repaired_and_served_again() {
    let ended = written(30);
    let intact = ourod(&["check", dir(&ended.dir)]);
    assert_eq!(intact.status.code(), Some(0), "{}", text(&intact.stdout));
    assert!(text(&intact.stdout).ends_with("intact\n"), "{}", text(&intact.stdout));

    let (segment, batch) = flip_batch(&ended, "k20");
    let (code, log) = ended.refusal();
    assert!(code == 74 && log.contains(&format!("ourod check {}", dir(&ended.dir))), "{log}");

    let found = ourod(&["check", dir(&ended.dir), "--json"]);
    assert_eq!(found.status.code(), Some(4), "{}", text(&found.stdout));
    let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(report["state"], "damaged");
    let name = report["problems"][0]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with(&format!("{segment}:batch-{batch}..")), "{name}");
    assert_eq!(report["problems"][0]["repairable"], true);

    let refused = ourod(&["repair", dir(&ended.dir), "--accept-loss", "log-00001.segment-000001:batch-9..9"]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(text(&refused.stderr).contains("check does not report this now"), "{}", text(&refused.stderr));

    let repaired = ourod(&["repair", dir(&ended.dir), "--accept-loss", &name]);
    assert_eq!(repaired.status.code(), Some(0), "{}{}", text(&repaired.stdout), text(&repaired.stderr));
    assert!(
        text(&repaired.stdout).contains(&format!("repair loses batches {batch} to")),
        "{}",
        text(&repaired.stdout)
    );
    let server = ended.start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["DBSIZE"]), ":20");
    assert_eq!(wire.answer(&["GET", "k19"]), "19");
    assert_eq!(wire.answer(&["SET", "k20", "again"]), "+OK");
}

#[test]
fn a_dump_moves_a_store_to_another_number_of_shards() {
    let ended = written(500);
    let file = ended.dir.join("../backup.ouro");
    let dumped = ourod(&["dump", dir(&ended.dir), "-o", dir(&file)]);
    assert_eq!(dumped.status.code(), Some(0), "{}", text(&dumped.stderr));
    assert!(dumped.stdout.is_empty() && text(&dumped.stderr).contains("dumped 500 records"));
    let streamed = ourod(&["dump", dir(&ended.dir)]);
    assert_eq!(streamed.stdout.len(), fs::read(&file).unwrap().len(), "the stream and nothing else");

    let new = ended.dir.join("../new");
    let restored = ourod(&["restore", dir(&new), dir(&file), "--shards", "5", "--workers", "1"]);
    assert_eq!(restored.status.code(), Some(0), "{}", text(&restored.stderr));
    assert_eq!(ourod(&["check", dir(&new)]).status.code(), Some(0));
    let again = ourod(&["restore", dir(&new), dir(&file)]);
    assert_eq!(again.status.code(), Some(64), "{}", text(&again.stderr));

    let mut ended = ended;
    ended.dir = new;
    let server = ended.start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["DBSIZE"]), ":500");
    assert_eq!(wire.answer(&["GET", "k499"]), "499");
}

#[test]
fn a_dump_cut_short_in_a_pipe_leaves_nothing() {
    let ended = written(20);
    let whole = ourod(&["dump", dir(&ended.dir)]).stdout;
    let new = ended.dir.join("../new");
    let mut restore = Command::new(env!("CARGO_BIN_EXE_ourod"))
        .args(["restore", dir(&new)])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    restore.stdin.take().unwrap().write_all(&whole[..whole.len() - 3]).unwrap();
    let output = restore.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(74));
    assert!(text(&output.stderr).contains("cut short"), "{}", text(&output.stderr));
    assert!(!new.exists());
}

#[test]
fn a_running_daemon_and_a_wrong_directory_are_refused() {
    let server = Setup::disk().workers(1).start();
    for tool in [&["check"][..], &["dump"], &["repair", "--accept-loss", "x"]] {
        let mut arguments = tool.to_vec();
        arguments.insert(1, dir(&server.dir));
        let output = ourod(&arguments);
        assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
        assert!(
            text(&output.stderr).contains(&format!("process {}", server.pid())),
            "{}",
            text(&output.stderr)
        );
    }
    let empty = tempfile::tempdir().unwrap();
    let output = ourod(&["check", dir(empty.path())]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("there is no store"), "{}", text(&output.stderr));
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is made there");
    for tool in ["check", "repair", "dump", "restore"] {
        let help = ourod(&[tool, "--help"]);
        assert!(help.status.success() && text(&help.stdout).contains("Examples:"), "{tool}");
        assert!(text(&ourod(&["--help"]).stdout).contains(&format!("  {tool}")), "{tool}");
    }
}
