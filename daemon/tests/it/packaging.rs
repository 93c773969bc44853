//! The files of daemon/packaging that are made of the options: they are as the options are now. To make them anew:
//! `OURO_MAKE_PACKAGING=1 cargo test -p daemon --test it packaging`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;
use daemon::options::command_line;
use daemon::tools::whole_command_line;

use crate::server::Setup;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

/// Words of a text in lines of comment.
fn comment(text: &str, out: &mut String) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + word.len() > 98 {
            writeln!(out, "{line}").unwrap();
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(out, "{line}").unwrap();
}

/// Every option with its explanation, its values and its default, all commented out.
fn example_config(line: &Command) -> String {
    let mut out = String::from(
        "# Options of ourod (--config FILE), all at their defaults: take away the '#' in front of what you change.\n\
         # Lines are `name value`, as in redis.conf; values with blanks may be quoted. Sizes: 1k is 1000 bytes, 1kb 1024,\n\
         # likewise m, mb, g, gb. What the command line says wins.\n",
    );
    let mut heading = "";
    for arg in line.get_arguments() {
        let Some(name) = arg.get_long().filter(|name| !["config", "help", "version"].contains(name)) else {
            continue;
        };
        let its_heading = arg.get_help_heading().unwrap_or("Store");
        if its_heading != heading {
            heading = its_heading;
            write!(out, "\n# ---- {heading} ----\n").unwrap();
        }
        out.push('\n');
        comment(&arg.get_help().unwrap().to_string(), &mut out);
        let values = arg.get_possible_values();
        for value in &values {
            let help = value.get_help().map_or_else(String::new, |help| format!(": {help}"));
            writeln!(out, "#   {}{help}", value.get_name()).unwrap();
        }
        let default = arg.get_default_values().first().map(|value| value.to_str().unwrap());
        let shown = match default {
            Some("") => "\"\"".to_owned(),
            Some(value) => value.to_owned(),
            None => format!("<{}>", arg.get_value_names().unwrap()[0]),
        };
        writeln!(out, "#{name} {shown}").unwrap();
    }
    out
}

/// All that is made, by its path in the folder.
fn made() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    files.insert("ouro.conf".to_owned(), example_config(&command_line()));
    for (shell, name) in [
        (Shell::Bash, "completions/ourod.bash"),
        (Shell::Zsh, "completions/_ourod"),
        (Shell::Fish, "completions/ourod.fish"),
    ] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut whole_command_line(), "ourod", &mut text);
        files.insert(name.to_owned(), String::from_utf8(text).unwrap());
    }
    let pages = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(whole_command_line(), pages.path()).unwrap();
    for entry in fs::read_dir(pages.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        files.insert(format!("man/{name}"), fs::read_to_string(path).unwrap());
    }
    files
}

#[test]
fn what_is_made_of_the_options_is_as_they_are() {
    let files = made();
    assert!(
        files.contains_key("man/ourod.1") && files.contains_key("man/ourod-check.1"),
        "{:?}",
        files.keys()
    );
    if std::env::var_os("OURO_MAKE_PACKAGING").is_some() {
        for (name, text) in &files {
            let path = folder().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    for (name, text) in &files {
        let there = fs::read_to_string(folder().join(name)).unwrap_or_default();
        assert!(
            there == *text,
            "{name} is stale: OURO_MAKE_PACKAGING=1 cargo test -p daemon --test it packaging"
        );
    }
    for folder_of in ["completions", "man"] {
        for entry in fs::read_dir(folder().join(folder_of)).unwrap() {
            let name = format!("{folder_of}/{}", entry.unwrap().file_name().to_str().unwrap());
            assert!(files.contains_key(&name), "{name} is made of nothing");
        }
    }
}

/// The example's lines, uncommented, are options: a value that is no placeholder is the default.
#[test]
fn the_example_starts_a_daemon_as_it_is_and_with_every_default_spelled_out() {
    let temp = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(folder().join("ouro.conf")).unwrap();
    let is_option = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && !line.contains('<');
    let mut spelled: Vec<&str> = text.lines().filter(is_option).map(|line| &line[1..]).collect();
    assert!(spelled.len() > 20, "{spelled:?}");
    // The test's own directory and sync method.
    spelled.retain(|line| !line.starts_with("dir ") && !line.starts_with("wal-sync "));
    let file = temp.path().join("ouro.conf");
    for text in [text.clone(), spelled.join("\n")] {
        fs::write(&file, text).unwrap();
        let server = Setup::disk().and(&["--config", file.to_str().unwrap()]).start();
        assert_eq!(server.connect().answer(&["SET", "k", "v"]), "+OK");
    }
}

/// Where systemd is installed: it knows every line of the unit, and finds little that the unit leaves open.
#[test]
fn the_unit_is_one_that_systemd_takes() {
    let temp = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(folder().join("ouro.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/ourod "), "{unit}");
    let path = temp.path().join("ouro.service");
    fs::write(&path, unit.replace("/usr/bin/ourod", env!("CARGO_BIN_EXE_ourod"))).unwrap();
    let path = path.to_str().unwrap();
    let verify: &[&str] = &["verify", "--man=no", path];
    // Of 100 that a unit may leave open.
    let security: &[&str] = &["security", "--offline=true", "--threshold=20", path];
    for arguments in [verify, security] {
        let output = match std::process::Command::new("systemd-analyze").args(arguments).output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return eprintln!("systemd is not installed: the unit is not looked at");
            }
            Err(error) => panic!("systemd-analyze: {error}"),
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{arguments:?}: {said}");
    }
}

/// The seccomp profile is JSON of the form that container engines read, and allows what the daemon cannot do without.
#[test]
fn the_seccomp_profile_allows_io_uring() {
    let text = fs::read_to_string(folder().join("seccomp.json")).unwrap();
    let profile: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let allowed: Vec<&str> = profile["syscalls"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| rule["action"] == "SCMP_ACT_ALLOW")
        .flat_map(|rule| rule["names"].as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    for name in ["io_uring_setup", "io_uring_enter", "io_uring_register", "sched_setaffinity", "execve"] {
        assert!(allowed.contains(&name), "{name}");
    }
    for name in ["mount", "bpf", "ptrace", "keyctl", "setns", "unshare", "init_module", "perf_event_open"] {
        assert!(!allowed.contains(&name), "{name}");
    }
}
