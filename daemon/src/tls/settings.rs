//! What new TLS connections get, and how it changes while the server runs: connections that are there keep what they
//! have. The lock is taken when a connection is accepted and when files are read, never for a command.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rustls::{ServerConfig, ServerConnection};

use super::files::{TlsAuthClients, TlsError, TlsFiles};

/// The TLS of a server.
#[derive(Debug)]
pub struct TlsSettings {
    files: Mutex<TlsFiles>,
    /// None until the first load.
    config: RwLock<Option<Arc<ServerConfig>>>,
    /// Held by who changes files and loads them.
    changing: Mutex<()>,
}

impl TlsSettings {
    /// With these files, none of them read yet.
    #[must_use]
    pub fn new(files: TlsFiles) -> Self {
        Self { files: Mutex::new(files), config: RwLock::new(None), changing: Mutex::new(()) }
    }

    fn lock(&self) -> MutexGuard<'_, TlsFiles> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files that are set.
    #[must_use]
    pub fn files(&self) -> TlsFiles {
        self.lock().clone()
    }

    /// Makes changes to be followed by [`Self::load`] or [`Self::set_files`]; others wait as long as this is held.
    pub fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets them all, and reads none.
    pub fn set_files(&self, files: TlsFiles) {
        *self.lock() = files;
    }

    /// Sets the certificate's file.
    pub fn set_cert_file(&self, file: Option<PathBuf>) {
        self.lock().cert_file = file;
    }

    /// Sets the key's file.
    pub fn set_key_file(&self, file: Option<PathBuf>) {
        self.lock().key_file = file;
    }

    /// Sets the file of what clients' certificates lead to.
    pub fn set_ca_cert_file(&self, file: Option<PathBuf>) {
        self.lock().ca_cert_file = file;
    }

    /// Sets whether clients show a certificate.
    pub fn set_auth_clients(&self, wanted: TlsAuthClients) {
        self.lock().auth_clients = wanted;
    }

    /// Reads the files: connections accepted from now on get what is in them. `must_authenticate`: nothing but a
    /// certificate keeps strangers out.
    ///
    /// # Errors
    /// What is wrong with them; new connections get what they got before.
    pub fn load(&self, must_authenticate: bool) -> Result<(), TlsError> {
        let files = self.files();
        if must_authenticate && files.auth_clients != TlsAuthClients::Yes {
            return Err(TlsError::Exposed);
        }
        let config = files.load()?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Some(config);
        Ok(())
    }

    /// The server's side of a new connection. None before the first load, or where rustls refuses.
    #[must_use]
    pub fn accept(&self) -> Option<ServerConnection> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        ServerConnection::new(config).ok()
    }
}
