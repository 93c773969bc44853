//! A running `ourod` on a directory of its own. Dropped, it is killed by its process id.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::wire::Wire;

/// How long anything may take on a slow machine before the test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until the answer is there.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// As many workers as a test wants, or as this machine has processors.
pub(crate) fn workers(wanted: usize) -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(wanted)
}

/// How to start.
pub(crate) struct Setup {
    pub(crate) options: Vec<String>,
    pub(crate) workers: usize,
    /// Variables of its environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Most open files, if not as this process.
    pub(crate) open_files_max: Option<u64>,
    /// What starts it, given its program and arguments, if it is not started as it is.
    pub(crate) starter: Option<Starter>,
}

/// Makes the command that becomes another one.
pub(crate) type Starter = Box<dyn Fn(&[String]) -> Command + Send + Sync>;

impl Setup {
    /// Memory only.
    pub(crate) fn memory() -> Self {
        Self::with(&["--storage", "memory", "--wal", "no"])
    }

    /// On disk, with small segments, which are quick to prepare.
    pub(crate) fn disk() -> Self {
        Self::with(&["--wal-segment-bytes", "2mb", "--wal-sync", "fdatasync"])
    }

    pub(crate) fn with(options: &[&str]) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self { options, workers: workers(2), environment: Vec::new(), open_files_max: None, starter: None }
    }

    pub(crate) fn and(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|&option| option.to_owned()));
        self
    }

    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    fn spawn(&self, dir: &Path) -> Child {
        let mut words: Vec<String> = [env!("CARGO_BIN_EXE_ourod"), "--dir"].map(str::to_owned).into();
        words.extend([dir.display().to_string(), "--workers".to_owned(), self.workers.to_string()]);
        words.extend_from_slice(&self.options);
        let mut command = match (&self.starter, self.open_files_max) {
            (Some(starter), _) => starter(&words),
            (None, Some(most)) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")]).args(&words);
                shell
            }
            (None, None) => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]);
                command
            }
        };
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Starts on a fresh directory and waits until it serves.
    pub(crate) fn start(self) -> Server {
        self.start_in(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// Starts on a fresh directory in this one.
    pub(crate) fn start_in(self, temp: Arc<TempDir>) -> Server {
        let dir = temp.path().join("store");
        fs::create_dir(&dir).unwrap();
        Server::start(self, temp, dir)
    }

    /// Starts on a directory where it is expected to refuse; its exit code and what it said.
    pub(crate) fn refusal(&self, dir: &Path) -> (i32, String) {
        let mut child = self.spawn(dir);
        let log = Log::follow(&mut child);
        let status = ended(&mut child);
        let log = log.whole();
        let status = status.unwrap_or_else(|| panic!("{:?} was not refused: {log}", self.options));
        (status.code().unwrap_or(-1), log)
    }
}

/// How a process ends; none if it does not.
fn ended(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// What a process says on stderr, read as it comes.
struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    reader: thread::JoinHandle<()>,
}

impl Log {
    fn follow(child: &mut Child) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let (mut from, into) = (child.stderr.take().unwrap(), Arc::clone(&text));
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = std::io::Read::read(&mut from, &mut chunk) {
                into.lock().unwrap().write_all(&chunk[..count]).unwrap();
            }
        });
        Self { text, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    /// Once the process has ended.
    fn whole(self) -> String {
        self.reader.join().unwrap();
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }
}

/// A running daemon.
pub(crate) struct Server {
    setup: Setup,
    temp: Arc<TempDir>,
    pub(crate) dir: PathBuf,
    child: Option<Child>,
    log: Option<Log>,
}

/// A daemon that has ended, and its directory.
pub(crate) struct Ended {
    pub(crate) setup: Setup,
    temp: Arc<TempDir>,
    pub(crate) dir: PathBuf,
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

impl Server {
    fn start(setup: Setup, temp: Arc<TempDir>, dir: PathBuf) -> Self {
        let mut child = setup.spawn(&dir);
        let log = Log::follow(&mut child);
        let mut server = Self { setup, temp, dir, child: Some(child), log: Some(log) };
        wait_for("ourod to serve", || {
            if let Some(status) = server.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("ourod ended at its start, {status}: {}", server.log());
            }
            server.log().contains("ready for connections").then_some(())
        });
        server
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn workers(&self) -> usize {
        self.setup.workers
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("ouro.sock")
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::unix(&self.socket())
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        self.log.as_ref().unwrap().so_far()
    }

    fn status_field(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The most memory it ever had, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        self.status_field("VmHWM:") / 1024
    }

    /// The memory that it has now, in MiB.
    pub(crate) fn resident_mib(&self) -> u64 {
        self.status_field("VmRSS:") / 1024
    }

    /// Its open files.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until it ends by itself.
    pub(crate) fn ended(mut self) -> Ended {
        let status = ended(self.child.as_mut().unwrap());
        self.child = None;
        let log = self.log.take().unwrap().whole();
        let status = status.unwrap_or_else(|| panic!("ourod did not end within {PATIENCE:?}: {log}"));
        let setup = std::mem::replace(&mut self.setup, Setup::with(&[]));
        Ended { setup, temp: Arc::clone(&self.temp), dir: self.dir.clone(), status, log }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.as_mut().unwrap().kill().unwrap();
        self.ended()
    }

    /// SIGTERM; it ends in order.
    pub(crate) fn terminate(self) -> Ended {
        self.signal("TERM");
        let ended = self.ended();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
        ended
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
            if thread::panicking() {
                eprint!("the log of ourod:\n{}", self.log());
            }
        }
    }
}

impl Ended {
    /// Starts again on the same directory.
    pub(crate) fn start(self) -> Server {
        Server::start(self.setup, self.temp, self.dir)
    }

    /// Starts again and kills the process so much later, wherever it is then.
    pub(crate) fn start_and_kill(self, after: Duration) -> Self {
        let mut child = self.setup.spawn(&self.dir);
        let log = Log::follow(&mut child);
        thread::sleep(after);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        Self { status, log: log.whole(), ..self }
    }

    /// Starts again, where both is right; how it refused, if it did.
    pub(crate) fn refusal_or_server(self) -> Result<Server, (i32, String)> {
        let mut child = self.setup.spawn(&self.dir);
        let log = Log::follow(&mut child);
        let ended = wait_for("ourod to serve or to refuse", || match child.try_wait().unwrap() {
            Some(status) => Some(Some(status)),
            None => log.so_far().contains("ready for connections").then_some(None),
        });
        match ended {
            Some(status) => Err((status.code().unwrap_or(-1), log.whole())),
            None => Ok(Server {
                setup: self.setup,
                temp: self.temp,
                dir: self.dir,
                child: Some(child),
                log: Some(log),
            }),
        }
    }

    /// Starts again, where a refusal is expected; its exit code and what it said.
    pub(crate) fn refusal(&self) -> (i32, String) {
        self.setup.refusal(&self.dir)
    }

    /// Files of the store whose name contains this, in order.
    pub(crate) fn files(&self, part: &str) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.file_name().unwrap().to_string_lossy().contains(part));
        files.sort();
        files
    }
}
