//! A `redis-server` to compare with: of our own, on a Unix socket in a directory that goes away with it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use resp::parse_reply;

pub(super) struct Redis {
    process: Child,
    dir: tempfile::TempDir,
}

impl Redis {
    /// None where it is not installed: then nothing is compared, and the test says so.
    pub(super) fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let spawned = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket", "redis.sock"])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .spawn();
        let Ok(process) = spawned else {
            assert!(
                std::env::var_os("OURO_TESTS_MUST_RUN").is_none(),
                "redis-server is not installed, and all tests must run"
            );
            println!("redis-server is not installed: not compared");
            return None;
        };
        let redis = Self { process, dir };
        let end = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(redis.dir.path().join("redis.sock")).is_err() {
            assert!(Instant::now() < end, "redis-server starts");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(redis)
    }

    /// A fresh connection to an empty store.
    pub(super) fn connect(&self) -> RedisClient {
        let stream = UnixStream::connect(self.dir.path().join("redis.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut client = RedisClient { stream, input: Vec::new() };
        client.ask(b"*1\r\n$8\r\nFLUSHALL\r\n");
        client
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) struct RedisClient {
    stream: UnixStream,
    input: Vec<u8>,
}

impl RedisClient {
    /// Sends one request and returns the bytes of its reply.
    pub(super) fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        self.stream.write_all(request).unwrap();
        loop {
            if let Some((_, consumed)) = parse_reply(&self.input).unwrap() {
                return self.input.drain(..consumed).collect();
            }
            let mut chunk = [0; 65536];
            let len = self.stream.read(&mut chunk).unwrap();
            assert!(len > 0, "redis-server answers");
            self.input.extend_from_slice(&chunk[..len]);
        }
    }
}
