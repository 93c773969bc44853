//! A server that this program started: it is killed and started again with the same command, in a process of its own.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The command and, while it runs, its process.
#[derive(Debug)]
pub struct SpawnedServer {
    command: Vec<String>,
    log: Option<PathBuf>,
    process: Option<Child>,
}

impl SpawnedServer {
    /// A server that is not running yet. Its output is appended to `log`, or thrown away.
    #[must_use]
    pub const fn new(command: Vec<String>, log: Option<PathBuf>) -> Self {
        Self { command, log, process: None }
    }

    /// Starts it.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn start(&mut self) -> Result<(), String> {
        let (program, arguments) = self.command.split_first().ok_or("--spawn needs a command after --")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(path) = &self.log {
            let open = || OpenOptions::new().create(true).append(true).open(path);
            let shown = |error| format!("cannot write the server's output to {}: {error}", path.display());
            command.stdout(open().map_err(shown)?).stderr(open().map_err(shown)?);
        }
        let process = command.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
        self.process = Some(process);
        Ok(())
    }

    /// Its exit status, if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.try_wait().ok().flatten()
    }

    /// Ends it at once, as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn kill(&mut self) -> Result<(), String> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process
            .kill()
            .and_then(|()| process.wait())
            .map_err(|error| format!("cannot kill the server: {error}"))?;
        Ok(())
    }

    /// Asks it to end, and kills it when it does not within `patience`.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn stop(&mut self, patience: Duration) -> Result<(), String> {
        let pid = self.process.as_ref().and_then(|process| Pid::from_raw(process.id().cast_signed()));
        if let Some(pid) = pid {
            // A process that is gone already needs no signal; `kill` below collects it.
            let _ = kill_process(pid, Signal::TERM);
            let began = Instant::now();
            while self.ended().is_none() && began.elapsed() < patience {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.kill()
    }
}

impl Drop for SpawnedServer {
    fn drop(&mut self) {
        // Nothing is left behind; on errors there is nobody to tell.
        let _ = self.kill();
    }
}
