//! Runs against redis-server. Where it is not installed these tests say so and check nothing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use loadgen::control::Control;
use loadgen::plan::Session;
use loadgen::target::Target;
use resp::Reply;

use crate::{outcome, plan, run};

pub(crate) struct Redis {
    process: Child,
    pub(crate) path: PathBuf,
    pass: Option<&'static str>,
    _directory: tempfile::TempDir,
}

impl Redis {
    pub(crate) fn start(pass: Option<&'static str>) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&path);
        command.arg("--dir").arg(directory.path()).stdout(Stdio::null());
        if let Some(pass) = pass {
            command.args(["--requirepass", pass]);
        }
        let Ok(process) = command.spawn() else {
            assert!(
                std::env::var_os("OURO_TESTS_MUST_RUN").is_none(),
                "redis-server is not installed, and all tests must run"
            );
            eprintln!("redis-server is not installed: not tested");
            return None;
        };
        let redis = Self { process, path, pass, _directory: directory };
        let began = Instant::now();
        while Target::Unix(redis.path.clone()).connect().is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "redis-server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(redis)
    }

    pub(crate) fn key_count(&self, db: u32) -> Option<u64> {
        self.control(db).key_count().unwrap()
    }

    pub(crate) fn control(&self, db: u32) -> Control {
        let session = Session { user: None, pass: self.pass.map(str::to_owned), resp3: false, db };
        Control::open(&Target::Unix(self.path.clone()), &session).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn prefill_writes_every_key_and_then_no_get_misses() {
    let Some(redis) = Redis::start(None) else { return };
    for line in
        ["-c 50 -t 2 -n 20000 -P 16", "-c 1 -t 1 -n 1000 --dist zipf", "-c 7 -t 3 -n 5000 -3 --ratio 0:1"]
    {
        redis.control(0).ask(&[b"FLUSHALL"]).unwrap();
        let report = run(&redis.path, &format!("--prefill --keys 30011 --warmup 0s {line}"));
        assert_eq!(redis.key_count(0), Some(30_011), "{line}");
        let prefill = report.prefill.as_ref().unwrap();
        assert_eq!(prefill.keys, 30_011, "{line}");
        let result = outcome(&report);
        assert_eq!((result.misses, result.errors.total), (0, 0), "{line}");
        assert_eq!(result.hits, result.ops_by_type["GET"].count, "{line}");
        assert_eq!(report.server.keys_before, Some(30_011), "{line}");
    }
}

#[test]
fn the_first_and_last_key_have_the_asked_name_and_size() {
    let Some(redis) = Redis::start(None) else { return };
    run(
        &redis.path,
        "--prefill --keys 1000 -n 10 --warmup 0s --key-prefix user: --key-size 20 --value-size 77",
    );
    let mut control = redis.control(0);
    for key in ["user:000000000000000", "user:000000000000999"] {
        assert_eq!(control.ask(&[b"STRLEN", key.as_bytes()]).unwrap(), Reply::Integer(77), "{key}");
    }
    assert_eq!(control.ask(&[b"EXISTS", b"user:000000000001000"]).unwrap(), Reply::Integer(0));
}

#[test]
fn large_values_arrive_whole_over_many_receive_buffers() {
    let Some(redis) = Redis::start(None) else { return };
    let report =
        run(&redis.path, "--prefill --keys 50 --value-size 300k -n 500 -c 4 -P 3 --ratio 1:4 --warmup 0s");
    let result = outcome(&report);
    assert_eq!((result.ops, result.errors.total, result.misses), (500, 0, 0));
    assert!(result.bytes_rx > result.hits * 300 * 1024);
}

#[test]
fn a_password_protocol_3_and_a_database_are_used() {
    let Some(redis) = Redis::start(Some("secret")) else { return };
    let without = plan(&redis.path, "-n 10");
    let error = loadgen::run::execute(&without, Vec::new(), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.contains("--pass"), "{error}");
    let wrong = plan(&redis.path, "-n 10 -a wrong");
    let error = loadgen::run::execute(&wrong, Vec::new(), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.contains("WRONGPASS"), "{error}");
    for protocol in ["", "-3"] {
        let line =
            format!("-a secret --user default --db 5 {protocol} --prefill --keys 100 -n 1000 --warmup 0s");
        let report = run(&redis.path, &line);
        assert_eq!(outcome(&report).errors.total, 0, "{line}");
        assert_eq!((redis.key_count(5), redis.key_count(0)), (Some(100), Some(0)), "{line}");
    }
}

#[test]
fn the_cpu_time_and_memory_of_the_server_are_measured() {
    let Some(redis) = Redis::start(None) else { return };
    let report = run(&redis.path, "-d 1s -c 20 -P 16 --warmup 200ms");
    let server = &report.server;
    assert_eq!(server.pid, Some(redis.process.id()));
    assert_eq!(server.name.as_deref(), Some("redis"));
    assert_eq!(server.fsync_mode.as_deref(), Some("everysec"));
    // Between 50 ns and 1 ms: a request costs redis about a microsecond.
    assert!((0.05..1000.0).contains(&server.cpu_us_per_op.unwrap()), "{:?}", server.cpu_us_per_op);
    assert!(server.rss_bytes.unwrap() > 1_000_000);
    assert!(report.client.cpu_us_per_op.unwrap() > 0.0);
    assert!(!server.info_before.is_empty() && !server.info_after.is_empty());
}

#[test]
fn a_prefill_that_is_refused_says_why() {
    let Some(redis) = Redis::start(None) else { return };
    redis.control(0).ask(&[b"CONFIG", b"SET", b"maxmemory", b"1"]).unwrap();
    let plan = plan(&redis.path, "--prefill --keys 1000 -n 10");
    let error = loadgen::run::execute(&plan, Vec::new(), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.contains("loading keys failed") && error.contains("OOM"), "{error}");
}

#[test]
fn wrong_types_are_counted_by_kind() {
    let Some(redis) = Redis::start(None) else { return };
    redis.control(0).ask(&[b"LPUSH", b"key:000000000000", b"x"]).unwrap();
    let report = run(&redis.path, "--keys 1 --ratio 0:1 -n 100 --warmup 0s");
    assert_eq!(outcome(&report).errors.by_kind["WRONGTYPE"].count, 100);
    assert_eq!(outcome(&report).ops, 0);
    assert!(crate::reason_codes(&report).contains(&"no_samples"));
}

#[test]
fn the_binary_loads_keys_without_measuring() {
    let Some(redis) = Redis::start(None) else { return };
    let status = load(&redis.path, &["--keys", "12345", "--live", "none"]);
    assert!(status.contains("12,345 keys"), "{status}");
    assert_eq!(redis.key_count(0), Some(12_345));
}

fn load(socket: &Path, options: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["load", "-s"])
        .arg(socket)
        .args(options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
