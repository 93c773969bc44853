//! TLS 1.2 and 1.3 by rustls: which files it takes, and the configuration that new connections get. A connection's own
//! part, the encryption between the ring's buffers and the parser, is `connection/tls_stream.rs`.

mod files;
mod settings;

pub use self::files::{TlsAuthClients, TlsError, TlsFiles};
pub use self::settings::TlsSettings;
