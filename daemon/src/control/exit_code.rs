//! With what code the process ends. Scripts and service managers read it: a code never changes its meaning.
//!
//! | code | name | when | what to do |
//! |---:|---|---|---|
//! | 0 | `Ok` | an orderly stop, or `--help` and `--version` | nothing |
//! | 1 | `Interrupted` | a second SIGTERM or SIGINT during an orderly stop | nothing: the next start recovers the log |
//! | 3 | `Notes` | `check`, `repair`: something is worth saying, nothing is lost | read it |
//! | 4 | `Damaged` | `check`, `repair`: a start refuses the store, or keys are lost | repair, or restore a copy |
//! | 64 | `Usage` | an option is wrong, on the command line or in the file | correct it; a restart alone never helps |
//! | 69 | `Unavailable` | an address to serve on cannot be had | see who has it, or give another |
//! | 70 | `Bug` | a broken invariant of Ouro's own | report it with the log; the next start recovers |
//! | 71 | `System` | the system refuses memory, descriptors, threads or CPUs | raise the limit that the log names |
//! | 74 | `Storage` | files cannot be read, written or synced, or are damaged | read the log before starting again |
//! | 75 | `Busy` | another daemon has the directory | stop it, or give another directory |
//! | 78 | `IoUring` | io_uring is not to be had | do what the log says: kernel, sysctl or seccomp profile |
//!
//! The numbers are those of `sysexits.h` where it has one that fits. A service manager may restart after 1, 70, 71
//! and 75; after 64, 74 and 78 it only fails again (systemd: `RestartPreventExitStatus=64 74 78`).

use std::panic::PanicHookInfo;

use ring::RingError;

/// With what code the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// An orderly stop.
    Ok = 0,
    /// A second signal: stopped at once.
    Interrupted = 1,
    /// A check found something worth saying, nothing is lost.
    Notes = 3,
    /// A check found damage.
    Damaged = 4,
    /// An option is wrong.
    Usage = 64,
    /// An address to serve on cannot be had.
    Unavailable = 69,
    /// A broken invariant of our own.
    Bug = 70,
    /// The system refuses what is needed.
    System = 71,
    /// Files cannot be read, written or synced, or are damaged.
    Storage = 74,
    /// Another daemon has the directory.
    Busy = 75,
    /// io_uring is not to be had.
    IoUring = 78,
}

impl ExitCode {
    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Ends the process at once, from any thread. Nothing is finished or flushed: what was acknowledged is durable
    /// already, the rest may go.
    pub fn exit(self) -> ! {
        std::process::exit(i32::from(self.number()))
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

impl From<&RingError> for ExitCode {
    fn from(error: &RingError) -> Self {
        match error {
            RingError::Unsupported { .. }
            | RingError::Disabled { .. }
            | RingError::Forbidden
            | RingError::TooOld { .. } => Self::IoUring,
            RingError::Configuration(_) => Self::Bug,
            RingError::Memory { .. }
            | RingError::Descriptors(_)
            | RingError::CompletionsLost(_)
            | RingError::Call { .. } => Self::System,
        }
    }
}

/// From now on a panic of any thread is one line of the log, and the end of the process with [`ExitCode::Bug`]. With
/// `RUST_BACKTRACE` set the backtrace follows on stderr.
pub fn end_process_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        log_panic(info);
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            print(info);
        }
        ExitCode::Bug.exit()
    }));
}

fn log_panic(info: &PanicHookInfo<'_>) {
    // What `panic!` gives: text as it stands in the source, or text made by formatting.
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let what = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no text");
    let place = info.location().map_or_else(|| "nowhere known".to_owned(), ToString::to_string);
    tracing::error!(%place, "a bug of ourod, the process ends: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_table() {
        let all = [
            ExitCode::Ok,
            ExitCode::Interrupted,
            ExitCode::Notes,
            ExitCode::Damaged,
            ExitCode::Usage,
            ExitCode::Unavailable,
            ExitCode::Bug,
            ExitCode::System,
            ExitCode::Storage,
            ExitCode::Busy,
            ExitCode::IoUring,
        ];
        let table = include_str!("exit_code.rs");
        for code in all {
            let row = format!("//! | {} | `{code:?}` |", code.number());
            assert!(table.contains(&row), "{row}");
        }
        assert_eq!(all.map(ExitCode::number), [0, 1, 3, 4, 64, 69, 70, 71, 74, 75, 78]);
    }

    #[test]
    fn refusals_of_io_uring_have_a_code_of_their_own() {
        assert_eq!(ExitCode::from(&RingError::Disabled { level: 2 }), ExitCode::IoUring);
        assert_eq!(ExitCode::from(&RingError::Forbidden), ExitCode::IoUring);
        assert_eq!(ExitCode::from(&RingError::Memory { limit: Some(0) }), ExitCode::System);
    }
}
