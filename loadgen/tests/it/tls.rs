//! TLS: requests arrive whole, strangers are refused, and errors say what to do.

use std::path::Path;
use std::process::{Command, Output};

use crate::null_server::{Behaviour, NullServer};

fn loadgen(port: u16, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["run", "--live", "none", "--warmup", "0s", "-n", "3000", "-c", "4", "-p", &port.to_string()])
        .args(options)
        .output()
        .unwrap()
}

fn authority() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls/ca.pem").display().to_string()
}

#[test]
fn requests_and_replies_travel_encrypted() {
    for options in
        [&["-P", "1"][..], &["-P", "32", "-t", "2"], &["--ratio", "1:0", "--value-size", "100k", "-P", "2"]]
    {
        let server = NullServer::start(Behaviour::default());
        let port = server.tls_port();
        let authority = authority();
        let options: Vec<&str> =
            ["--tls", "--cacert", &authority].into_iter().chain(options.iter().copied()).collect();
        let output = loadgen(port, &options);
        assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(server.requests(), 3000, "{options:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("0 errors"), "{options:?}");
    }
    let server = NullServer::start(Behaviour::default());
    let output = loadgen(server.tls_port(), &["--tls", "--insecure"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn strangers_and_plain_ports_are_told() {
    let server = NullServer::start(Behaviour::default());
    let port = server.tls_port();
    let authority = authority();
    for (options, message) in [
        (&["--tls", "--cacert", &authority, "--sni", "other.example"][..], "for this host name"),
        (&["--tls", "--cacert", "/nowhere.pem"], "cannot read certificates"),
        (&["--tls", "-s", "/x"], "cannot be used with"),
        (&["--insecure"], "--tls"),
    ] {
        let output = loadgen(port, options);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(message), "{options:?}: {stderr}");
    }
}
