//! The parameters of TLS: what CONFIG SET names is set together, the files are read, and all stays as it was where they
//! cannot be used. Setting a file to what it is reads it again.

use clap::ValueEnum as _;
use std::path::PathBuf;

use super::config::Setter;
use crate::server::Server;
use crate::tls::{TlsAuthClients, TlsError};

/// Whether a parameter is one of those that are set together.
pub(super) fn is_of_tls(name: &str) -> bool {
    name.starts_with("tls-")
}

/// Sets them and reads the files.
///
/// # Errors
/// What is wrong with the files: nothing has changed then.
pub(super) fn change(server: &Server, setters: Vec<Setter>) -> Result<(), TlsError> {
    let _changing = server.tls.change();
    let before = server.tls.files();
    for setter in setters {
        setter(server);
    }
    server.reload_tls().inspect_err(|_| server.tls.set_files(before))
}

fn text(file: Option<PathBuf>) -> String {
    file.map_or_else(String::new, |file| file.display().to_string())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a file is read when all are set, other parameters are checked here"
)]
fn file(text: &str, set: fn(&Server, Option<PathBuf>)) -> Result<Setter, String> {
    let file = Some(PathBuf::from(text)).filter(|file| !file.as_os_str().is_empty());
    Ok(Box::new(move |server| set(server, file)))
}

pub(super) fn cert_file(server: &Server) -> String {
    text(server.tls.files().cert_file)
}

pub(super) fn set_cert_file(text: &str) -> Result<Setter, String> {
    file(text, |server, file| server.tls.set_cert_file(file))
}

pub(super) fn key_file(server: &Server) -> String {
    text(server.tls.files().key_file)
}

pub(super) fn set_key_file(text: &str) -> Result<Setter, String> {
    file(text, |server, file| server.tls.set_key_file(file))
}

pub(super) fn ca_cert_file(server: &Server) -> String {
    text(server.tls.files().ca_cert_file)
}

pub(super) fn set_ca_cert_file(text: &str) -> Result<Setter, String> {
    file(text, |server, file| server.tls.set_ca_cert_file(file))
}

pub(super) fn auth_clients(server: &Server) -> String {
    server.tls.files().auth_clients.to_string()
}

pub(super) fn set_auth_clients(text: &str) -> Result<Setter, String> {
    let wanted = TlsAuthClients::from_str(text, true)
        .map_err(|_| "argument(s) must be one of the following: no, yes, optional".to_owned())?;
    Ok(Box::new(move |server| server.tls.set_auth_clients(wanted)))
}
