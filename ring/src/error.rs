//! Why a ring could not be made or driven, in words that tell the operator what to do.

use std::fs;
use std::io;

use crate::sys;

/// A failure of the ring itself. Failures of single operations are in their completions.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The kernel has no io_uring, or a filter pretends so (`ENOSYS`).
    #[error(
        "io_uring is not there (ENOSYS, kernel {kernel}): Linux 6.1 or later is recommended and 5.19 the minimum; \
         if this kernel is newer, a container's seccomp filter hides it: run with a profile that allows \
         io_uring_setup, io_uring_enter and io_uring_register"
    )]
    Unsupported {
        /// Release of the running kernel.
        kernel: String,
    },
    /// Switched off for this process by `kernel.io_uring_disabled` (`EPERM`).
    #[error(
        "io_uring is switched off by the sysctl kernel.io_uring_disabled={level}: set it to 0 (sysctl -w \
         kernel.io_uring_disabled=0){}",
        if *level == 1 { ", or run as a member of the group in kernel.io_uring_group, or with CAP_SYS_ADMIN" } else { "" }
    )]
    Disabled {
        /// 1: for unprivileged processes; 2: for all.
        level: u8,
    },
    /// Refused although the sysctl allows it: a seccomp filter or security module (`EPERM`, `EACCES`).
    #[error(
        "io_uring is forbidden to this process (EPERM, and kernel.io_uring_disabled is not the reason): most likely \
         the container's seccomp filter; start it with a profile that allows io_uring_setup, io_uring_enter and \
         io_uring_register (docker run --security-opt seccomp=<profile.json>), or check SELinux and AppArmor"
    )]
    Forbidden,
    /// No memory, or more locked memory than allowed (`ENOMEM`).
    #[error(
        "no memory for the ring (ENOMEM; locked memory limit {}): raise it (ulimit -l, LimitMEMLOCK= in a systemd \
         unit, docker run --ulimit memlock=-1) or free memory",
        limit.map_or_else(|| "none".to_owned(), |bytes| format!("{bytes} bytes"))
    )]
    Memory {
        /// `RLIMIT_MEMLOCK` of this process; `None` means unlimited.
        limit: Option<u64>,
    },
    /// Out of file descriptors (`EMFILE`, `ENFILE`).
    #[error("no file descriptor left for the ring: raise the limit (ulimit -n, LimitNOFILE=) ({0})")]
    Descriptors(#[source] io::Error),
    /// The kernel lacks a part of io_uring that the crate needs.
    #[error(
        "kernel {kernel} is too old: {feature} is missing; Linux 5.19 is the minimum, 6.1 or later recommended"
    )]
    TooOld {
        /// Release of the running kernel.
        kernel: String,
        /// What it lacks.
        feature: &'static str,
    },
    /// A number in the configuration is out of its range.
    #[error("ring configuration: {0}")]
    Configuration(&'static str),
    /// The kernel dropped completions: operations are lost and the ring cannot go on.
    #[error("the kernel dropped {0} completions (out of memory): operations are lost, the process must stop")]
    CompletionsLost(u32),
    /// Any other failure of a system call on the ring.
    #[error("io_uring: {call}: {source}")]
    Call {
        /// The system call that failed.
        call: &'static str,
        /// Its error.
        source: io::Error,
    },
}

impl RingError {
    /// Explains a failed `io_uring_setup`.
    pub(crate) fn from_setup(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => match disabled_level() {
                Some(level @ 1..) => Self::Disabled { level },
                _ => Self::Forbidden,
            },
            _ => Self::from_call("io_uring_setup", error),
        }
    }

    /// Explains any other failed call.
    pub(crate) fn from_call(call: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENOSYS) => Self::Unsupported { kernel: kernel_release() },
            Some(libc::ENOMEM) => Self::Memory { limit: sys::locked_memory_limit() },
            Some(libc::EMFILE | libc::ENFILE) => Self::Descriptors(source),
            _ => Self::Call { call, source },
        }
    }
}

/// Release of the running kernel, for messages.
pub(crate) fn kernel_release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn disabled_level() -> Option<u8> {
    fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(errno: i32, expected: &[&str]) {
        let text = RingError::from_setup(io::Error::from_raw_os_error(errno)).to_string();
        for part in expected {
            assert!(text.contains(part), "{text:?} should say {part:?}");
        }
    }

    #[test]
    fn setup_errors_say_what_to_do() {
        check(libc::ENOSYS, &["ENOSYS", "5.19", "seccomp", "io_uring_setup"]);
        check(libc::ENOMEM, &["ulimit -l", "LimitMEMLOCK"]);
        check(libc::EMFILE, &["ulimit -n", "LimitNOFILE"]);
        check(libc::EINVAL, &["io_uring_setup", "os error 22"]);
    }

    #[test]
    fn refusal_names_the_sysctl_only_if_it_is_set() {
        let set = disabled_level().is_some_and(|level| level > 0);
        check(libc::EPERM, if set { &["kernel.io_uring_disabled="] } else { &["seccomp=<profile.json>"] });
        let text = RingError::Disabled { level: 1 }.to_string();
        assert!(text.contains("io_uring_disabled=1") && text.contains("io_uring_group"), "{text}");
        assert!(!RingError::Disabled { level: 2 }.to_string().contains("io_uring_group"));
    }
}
