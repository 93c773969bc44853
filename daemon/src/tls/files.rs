//! The files that TLS is made of, and what is wrong with them. Nothing here keeps a secret longer than rustls does.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsAuthClients {
    /// They must
    Yes,
    /// They are not asked
    No,
    /// They may; one that is shown must be good
    Optional,
}

impl fmt::Display for TlsAuthClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

/// What TLS is made of. All files are PEM; they are read at the start, and again when they are set or at SIGHUP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, followed by those between it and a root.
    pub cert_file: Option<PathBuf>,
    /// Its private key, not encrypted.
    pub key_file: Option<PathBuf>,
    /// The certificates that clients' ones must lead to.
    pub ca_cert_file: Option<PathBuf>,
    /// Whether clients show one.
    pub auth_clients: TlsAuthClients,
}

/// Why TLS cannot be had from these files. Each text says which option it is about.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// An option that is needed has no value.
    #[error("{option} is needed: {why}")]
    Missing {
        /// The option.
        option: &'static str,
        /// What for.
        why: &'static str,
    },
    /// A file that cannot be read or holds something else.
    #[error("{option} {file}: {message}")]
    File {
        /// The option.
        option: &'static str,
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// The files are readable and do not go together.
    #[error("--tls-cert-file and --tls-key-file do not go together, or cannot be used: {0}")]
    Pair(rustls::Error),
    /// The certificates of --tls-ca-cert-file cannot be used.
    #[error("--tls-ca-cert-file: {0}")]
    Verifier(String),
    /// The cryptography is not to be had.
    #[error("TLS: {0}")]
    Provider(rustls::Error),
    /// Anyone could get in.
    #[error(
        "tls-auth-clients must be yes while an address that is not loopback is open and the user `default` needs no \
         password"
    )]
    Exposed,
}

impl TlsFiles {
    /// Reads them into what new connections need.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        const SERVE: &str = "TLS is served with a certificate and its private key";
        let missing = |option| TlsError::Missing { option, why: SERVE };
        let cert_file = self.cert_file.as_deref().ok_or_else(|| missing("--tls-cert-file"))?;
        let key_file = self.key_file.as_deref().ok_or_else(|| missing("--tls-key-file"))?;
        let chain = certificates("--tls-cert-file", cert_file)?;
        let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| TlsError::File {
            option: "--tls-key-file",
            file: key_file.display().to_string(),
            message: format!("no private key that is not encrypted can be read from it: {error}"),
        })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?;
        let builder = match self.auth_clients {
            TlsAuthClients::No => builder.with_no_client_auth(),
            wanted => {
                let roots = Arc::new(self.roots()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = if wanted == TlsAuthClients::Optional {
                    verifier.allow_unauthenticated()
                } else {
                    verifier
                };
                let verifier = verifier.build().map_err(|error| TlsError::Verifier(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
        // Sessions are resumed by tickets that the client keeps: nothing is kept here, and workers share no table. The
        // tickets' key is new with every load, so that a change of who may connect holds for all.
        config.ticketer = Ticketer::new().map_err(TlsError::Provider)?;
        config.send_tls13_tickets = 1;
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let option = "--tls-ca-cert-file";
        let why = "clients' certificates are checked against it, unless --tls-auth-clients is no";
        let file = self.ca_cert_file.as_deref().ok_or(TlsError::Missing { option, why })?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(option, file)? {
            roots.add(certificate).map_err(|error| TlsError::File {
                option,
                file: file.display().to_string(),
                message: error.to_string(),
            })?;
        }
        Ok(roots)
    }
}

fn certificates(option: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |message: String| TlsError::File { option, file: file.display().to_string(), message };
    let all = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(format!("certificates cannot be read from it: {error}")))?;
    if all.is_empty() { Err(wrong("it holds no certificate".into())) } else { Ok(all) }
}
