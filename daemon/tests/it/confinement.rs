//! `ourod` under what daemon/packaging lets it do: the seccomp profile that containers get, and the system calls that the
//! systemd unit allows. Where what is not allowed kills, a whole life shows that nothing which the daemon does is refused;
//! where it is refused, what the daemon does not need fails.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use seccompiler::{BpfProgram, TargetArch, compile_from_json};
use serde_json::{Value, json};

use crate::connections::free_port;
use crate::passing_over::pass_over;
use crate::server::{Server, Setup, wait_for};
use crate::tls::{ANY, ask, ping, text};
use crate::wire::{Wire, key_of, request};

const SIGSYS: i32 = 31;
const EPERM: u32 = 1;
/// Where the process that is confined finds what it becomes, and what it may do.
const WORDS: &str = "OURO_TEST_CONFINED_WORDS";
const FILTERS: &str = "OURO_TEST_CONFINED_FILTERS";

fn packaged(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn arch() -> TargetArch {
    std::env::consts::ARCH.try_into().unwrap()
}

/// A filter in the form that seccompiler reads.
fn filter(matching: &Value, otherwise: &Value, rules: &[Value]) -> Value {
    json!({ "filter": { "match_action": matching, "mismatch_action": otherwise, "filter": rules } })
}

fn compile(filter: &Value) -> Result<BpfProgram, seccompiler::Error> {
    Ok(compile_from_json(filter.to_string().as_bytes(), arch())?.remove("filter").unwrap())
}

fn rule(syscall: &str) -> Value {
    json!({ "syscall": syscall })
}

fn one_argument(syscall: &str, index: u8, op: &Value, value: u64) -> Value {
    json!({ "syscall": syscall, "args": [{ "index": index, "type": "dword", "op": op, "val": value }] })
}

/// Whether this processor has such a system call: profiles name those of all.
fn is_known(syscall: &str) -> bool {
    compile(&filter(&json!("allow"), &json!("kill_process"), &[rule(syscall)])).is_ok()
}

/// What a filter does to what it does not allow.
#[derive(Clone, Copy)]
enum Denial {
    Kills,
    Refuses,
}

impl Denial {
    fn action(self) -> Value {
        match self {
            Self::Kills => json!("kill_process"),
            Self::Refuses => json!({ "errno": EPERM }),
        }
    }
}

/// A profile as a container engine takes it, one filter for each action that is not the default.
fn profile_filters(profile: &Value, denial: Denial) -> Vec<Value> {
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!(profile["defaultErrnoRet"], EPERM);
    let (mut allowed, mut filters) = (Vec::new(), Vec::new());
    for part in profile["syscalls"].as_array().unwrap() {
        let names: Vec<&str> =
            part["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let known = names.into_iter().filter(|name| is_known(name));
        match (part["action"].as_str().unwrap(), part["args"].as_array()) {
            ("SCMP_ACT_ALLOW", None) => allowed.extend(known.map(rule)),
            ("SCMP_ACT_ALLOW", Some(args)) => {
                let [arg] = &args[..] else { panic!("one argument is looked at: {part}") };
                assert_eq!(arg["op"], "SCMP_CMP_MASKED_EQ");
                // `value` is the mask, `valueTwo` what is to be left.
                let op = json!({ "masked_eq": arg["value"] });
                let (index, left) = (arg["index"].as_u64().unwrap(), arg["valueTwo"].as_u64().unwrap());
                allowed.extend(known.map(|name| one_argument(name, u8::try_from(index).unwrap(), &op, left)));
            }
            ("SCMP_ACT_ERRNO", None) => {
                let rules: Vec<Value> = known.map(rule).collect();
                // The stricter of two filters counts: here it is allowed, there it is an error of its own.
                allowed.extend(rules.clone());
                filters.push(filter(&json!({ "errno": part["errnoRet"] }), &json!("allow"), &rules));
            }
            other => panic!("{other:?}"),
        }
    }
    filters.push(filter(&json!("allow"), &denial.action(), &allowed));
    filters
}

fn packaged_profile() -> Value {
    serde_json::from_str(&packaged("seccomp.json")).unwrap()
}

/// Values of a setting of the unit, one for each line.
fn unit_values(name: &str) -> Vec<String> {
    let unit = packaged("ouro.service");
    let values =
        unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
    let values: Vec<String> = values.collect();
    assert!(!values.is_empty(), "{name} is set");
    values
}

/// System calls of a set that systemd knows by name. None where systemd is not installed.
fn systemd_set(name: &str) -> Option<Vec<String>> {
    if !name.starts_with('@') {
        return Some(vec![name.to_owned()]);
    }
    let output = match Command::new("systemd-analyze").args(["syscall-filter", name]).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("systemd-analyze: {error}"),
    };
    assert!(output.status.success(), "{output:?}");
    let listed = String::from_utf8(output.stdout).unwrap();
    let members =
        listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut all = Vec::new();
    for member in members {
        all.extend(systemd_set(member)?);
    }
    Some(all)
}

/// What the unit lets a process do, as far as systemd keeps it by seccomp. None where systemd is not installed.
fn unit_filters(denial: Denial) -> Option<Vec<Value>> {
    let mut allowed = std::collections::BTreeSet::new();
    for line in unit_values("SystemCallFilter") {
        let (takes, words) = line.strip_prefix('~').map_or((false, line.as_str()), |rest| (true, rest));
        for word in words.split_whitespace() {
            for syscall in systemd_set(word)? {
                if takes {
                    allowed.remove(&syscall)
                } else {
                    allowed.insert(syscall)
                };
            }
        }
    }
    // systemd allows what it needs itself to start a program.
    allowed.extend(systemd_set("@default")?);
    allowed.extend(["execve", "exit", "exit_group"].map(str::to_owned));
    let deny = |rules: &[Value]| filter(&denial.action(), &json!("allow"), rules);
    let (exec, write_exec) = (json!({ "masked_eq": 4 }), json!({ "masked_eq": 6 }));
    assert_eq!(unit_values("MemoryDenyWriteExecute"), ["yes"]);
    let memory = [
        one_argument("mmap", 2, &write_exec, 6),
        one_argument("mprotect", 2, &exec, 4),
        one_argument("pkey_mprotect", 2, &exec, 4),
    ];
    assert_eq!(unit_values("RestrictAddressFamilies"), ["AF_UNIX AF_INET AF_INET6"]);
    let not = |family: u64| json!({ "index": 0, "type": "dword", "op": "ne", "val": family });
    let families = json!({ "syscall": "socket", "args": [not(1), not(2), not(10)] });
    assert_eq!(unit_values("RestrictNamespaces"), ["yes"]);
    assert_eq!(unit_values("RestrictRealtime"), ["yes"]);
    let policy = |number| one_argument("sched_setscheduler", 1, &json!("eq"), number);
    let rest = [rule("unshare"), rule("setns"), policy(1), policy(2), policy(6)];
    let known: Vec<Value> = allowed.iter().filter(|name| is_known(name)).map(|name| rule(name)).collect();
    Some(vec![
        deny(&memory),
        deny(&[families]),
        deny(&rest),
        filter(&json!("allow"), &denial.action(), &known),
    ])
}

/// A filter under which a system call fails with this error, and all others do what they do.
pub(crate) fn failing(syscall: &str, errno: i32) -> Value {
    filter(&json!({ "errno": errno }), &json!("allow"), &[rule(syscall)])
}

/// The command that becomes another one under filters: this program, told so.
pub(crate) fn confined(filters: &[Value], words: &[String]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["confinement::becomes_what_is_confined", "--exact", "--ignored", "--nocapture"]);
    command.env(FILTERS, json!(filters).to_string()).env(WORDS, json!(words).to_string());
    command
}

fn run(filters: &[Value], words: &[&str]) -> Output {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    confined(filters, &words).stdin(Stdio::null()).output().unwrap()
}

#[test]
#[ignore = "is started by the others, and becomes what they confine"]
fn becomes_what_is_confined() {
    let Ok(words) = std::env::var(WORDS) else { return };
    let words: Vec<String> = serde_json::from_str(&words).unwrap();
    let filters: Vec<Value> = serde_json::from_str(&std::env::var(FILTERS).unwrap()).unwrap();
    let programs: Vec<BpfProgram> = filters.iter().map(|filter| compile(filter).unwrap()).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_remove(WORDS).env_remove(FILTERS);
    // The one that allows least comes last: what installs a filter is not in it.
    for program in &programs {
        seccompiler::apply_filter(program).unwrap();
    }
    panic!("{}: {}", words[0], command.exec());
}

fn fill(wire: &mut Wire, round: usize) {
    let value = vec![b'x'; 4096];
    let mut pipeline = Vec::new();
    for number in 0..1500 {
        pipeline.extend(request(&[b"SET", format!("{round}:{number}").as_bytes(), &value]));
    }
    wire.send(&pipeline);
    wire.expect(&b"+OK\r\n".repeat(1500));
}

/// Waits for the end of what `name` tells of.
fn wait_for_end(wire: &mut Wire, name: &str) {
    wait_for(name, || {
        wire.answer(&["INFO", "persistence"]).contains(&format!("{name}:0\\r\\n")).then_some(())
    });
}

fn serves(server: &Server, port: u16, tls_port: u16) -> Wire {
    let mut wire = server.connect();
    for mut other in [server.connect(), Wire::tcp(port)] {
        for key in [key_of(0, 0), key_of(1, 0)] {
            assert_eq!(other.answer(&["SET", &key, "v"]), "+OK");
            assert_eq!(wire.answer(&["GET", &key]), "v");
        }
    }
    let mut stream = ANY.connect(tls_port).unwrap();
    ping(&mut stream);
    ask(&mut stream, &request(&[b"GET", key_of(1, 0).as_bytes()]), b"$1\r\nv\r\n");
    wire
}

/// A life with everything in it: three ways in, checkpoints, compaction, rotation, files of the control plane, an orderly
/// stop, a start from what it left, a kill and a recovery.
fn lives(filters: &[Value]) {
    let temp = tempfile::tempdir().unwrap();
    let (port, tls_port) = (free_port(), free_port());
    let (users, config) = (temp.path().join("users.acl"), temp.path().join("ouro.conf"));
    std::fs::write(&users, "user default on nopass ~* &* +@all\n").unwrap();
    std::fs::write(&config, "timeout 0\n").unwrap();
    let (cert, key) = (text("server.pem"), text("server.key"));
    let mut setup = Setup::with(&["--wal-segment-bytes", "1mb", "--maxmemory", "24mb"])
        .and(&["--port", &port.to_string(), "--tls-port", &tls_port.to_string(), "--tls-auth-clients", "no"])
        .and(&["--tls-cert-file", &cert, "--tls-key-file", &key, "--aclfile", users.to_str().unwrap()])
        .and(&["--admin", temp.path().join("admin.sock").to_str().unwrap()])
        .and(&["--config", config.to_str().unwrap()]);
    let filters = filters.to_vec();
    setup.starter = Some(Box::new(move |words| confined(&filters, words)));
    let server = setup.start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
    let mut wire = serves(&server, port, tls_port);
    for round in 0..4 {
        fill(&mut wire, round);
    }
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    fill(&mut wire, 1);
    assert_eq!(wire.answer(&["OURO.COMPACT"]), "+OK");
    wait_for_end(&mut wire, "aof_rewrite_in_progress");
    assert!(wire.answer(&["BGSAVE"]).starts_with('+'));
    wait_for_end(&mut wire, "rdb_bgsave_in_progress");
    for words in
        [&["OURO.WAL", "ROTATE"][..], &["OURO.WAL", "CLEAR"], &["ACL", "SAVE"], &["CONFIG", "REWRITE"]]
    {
        assert_eq!(wire.answer(words), "+OK", "{words:?}");
    }
    // Records that left memory are read back.
    for number in 0..200 {
        assert_eq!(wire.answer(&["STRLEN", &format!("0:{number}")]), ":4096");
    }
    for section in ["everything", "server"] {
        assert!(wire.answer(&["INFO", section]).contains("redis_version"));
    }
    assert!(wire.answer(&["CLIENT", "LIST"]).contains("cmd=client"));
    server.signal("HUP");
    wait_for("the files to be read again", || server.log().contains("are read again").then_some(()));
    serves(&server, port, tls_port);
    let mut leaving = server.connect();
    leaving.send_if_open(b"SHUTDOWN\r\n");
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    let server = ended.start();
    let mut wire = serves(&server, port, tls_port);
    assert_eq!(wire.answer(&["STRLEN", "3:7"]), ":4096");
    assert_eq!(wire.answer(&["SET", "last", "word"]), "+OK");
    let server = server.kill().start();
    let mut wire = serves(&server, port, tls_port);
    assert_eq!(wire.answer(&["GET", "last"]), "word");
    assert_eq!(wire.answer(&["DBSIZE"]), ":6003");
    server.terminate();
}

#[test]
fn a_whole_life_passes_under_the_seccomp_profile() {
    lives(&profile_filters(&packaged_profile(), Denial::Kills));
}

#[test]
fn a_whole_life_passes_under_what_the_unit_allows() {
    let Some(filters) = unit_filters(Denial::Kills) else {
        return eprintln!("systemd is not installed: what its sets of system calls are is not known");
    };
    lives(&filters);
}

#[test]
fn what_is_not_allowed_is_denied() {
    let words = ["chroot", "/", "true"];
    let free = run(&[], &words);
    if !free.status.success() {
        return pass_over(&format!("chroot takes root: {}", String::from_utf8_lossy(&free.stderr)));
    }
    let profile = packaged_profile();
    let of = |denial| [Some(profile_filters(&profile, denial)), unit_filters(denial)];
    for filters in of(Denial::Refuses).into_iter().flatten() {
        let refused = run(&filters, &words);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("Operation not permitted"), "{refused:?}");
        assert!(run(&filters, &["true"]).status.success(), "it is not everything that is refused");
    }
    for filters in of(Denial::Kills).into_iter().flatten() {
        assert_eq!(run(&filters, &words).status.signal(), Some(SIGSYS));
    }
}

#[test]
fn names_of_the_profile_are_system_calls_of_some_processor() {
    // Of those that this one does not have, all are old forms, forms for 32 bits, or another processor's: a name that is
    // misspelled would stand here.
    let of_others = [
        "_llseek",
        "_newselect",
        "alarm",
        "arm_fadvise64_64",
        "cacheflush",
        "chown32",
        "clock_getres_time64",
        "clock_gettime64",
        "clock_nanosleep_time64",
        "fadvise64_64",
        "fchown32",
        "fcntl64",
        "fstat64",
        "fstatat64",
        "fstatfs64",
        "ftruncate64",
        "futex_time64",
        "getegid32",
        "geteuid32",
        "getgid32",
        "getgroups32",
        "getresgid32",
        "getresuid32",
        "getuid32",
        "ipc",
        "lchown32",
        "lstat64",
        "mmap2",
        "mq_timedreceive_time64",
        "mq_timedsend_time64",
        "nice",
        "oldfstat",
        "oldlstat",
        "oldolduname",
        "oldstat",
        "olduname",
        "ppoll_time64",
        "pselect6_time64",
        "readdir",
        "recv",
        "recvmmsg_time64",
        "riscv_flush_icache",
        "riscv_hwprobe",
        "rt_sigtimedwait_time64",
        "sched_rr_get_interval_time64",
        "semtimedop_time64",
        "send",
        "sendfile64",
        "set_tls",
        "setfsgid32",
        "setfsuid32",
        "setgid32",
        "setgroups32",
        "setregid32",
        "setresgid32",
        "setresuid32",
        "setreuid32",
        "setuid32",
        "sigaction",
        "signal",
        "sigpending",
        "sigprocmask",
        "sigreturn",
        "sigsuspend",
        "socketcall",
        "stat64",
        "statfs64",
        "swapcontext",
        "sync_file_range2",
        "timer_gettime64",
        "timer_settime64",
        "timerfd_gettime64",
        "timerfd_settime64",
        "truncate64",
        "ugetrlimit",
        "utimensat_time64",
        "waitpid",
    ];
    // Newer than the table of names that the tests have.
    let new = ["fchmodat2", "futex_waitv", "set_mempolicy_home_node", "uretprobe"];
    let profile = packaged_profile();
    let parts = profile["syscalls"].as_array().unwrap();
    let names = parts.iter().flat_map(|part| part["names"].as_array().unwrap());
    for name in names.map(|name| name.as_str().unwrap()) {
        let is_listed = of_others.contains(&name) || new.contains(&name);
        // Processors differ in which old forms they have.
        assert!(is_known(name) || is_listed || cfg!(not(target_arch = "x86_64")), "{name} is no system call");
    }
}

#[test]
fn without_io_uring_in_the_filter_the_daemon_says_what_to_do() {
    let mut profile = packaged_profile();
    for part in profile["syscalls"].as_array_mut().unwrap() {
        let names = part["names"].as_array_mut().unwrap();
        names.retain(|name| !name.as_str().unwrap().starts_with("io_uring"));
    }
    let filters = profile_filters(&profile, Denial::Refuses);
    let temp = tempfile::tempdir().unwrap();
    let mut setup = Setup::disk();
    setup.starter = Some(Box::new(move |words| confined(&filters, words)));
    let (code, log) = setup.refusal(&temp.path().join("store"));
    assert_eq!(code, 78, "{log}");
    assert!(log.contains("seccomp=<profile.json>"), "{log}");
    assert!(!temp.path().join("store").exists(), "nothing was made");
}
