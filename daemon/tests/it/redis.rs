//! A `redis-server` to compare with, where one is installed.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::passing_over::pass_over;
use crate::server::wait_for;

/// A `redis-server` on a socket; killed by its id when it is dropped.
pub(crate) struct Redis(Child);

impl Redis {
    /// None where it is not installed.
    pub(crate) fn start(socket: &Path) -> Option<Self> {
        let args = ["--port", "0", "--save", "", "--unixsocket", socket.to_str().unwrap()];
        let spawned =
            Command::new("redis-server").args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match spawned {
            Ok(child) => {
                wait_for("redis-server to serve", || socket.exists().then_some(()));
                Some(Self(child))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                pass_over("redis-server is not installed");
                None
            }
            Err(error) => panic!("redis-server: {error}"),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
