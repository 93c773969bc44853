//! Options that say where the server is.

use std::path::PathBuf;

use clap::Args;

/// Where the server is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct TargetArgs {
    /// Unix socket [default: ./ouro-data/ouro.sock, $XDG_RUNTIME_DIR/ouro.sock or /run/ouro/ouro.sock]
    #[arg(short = 's', long, short_alias = 'S', alias = "unix-socket", value_name = "PATH", conflicts_with_all = ["host", "port"])]
    pub socket: Option<PathBuf>,
    /// Host name or address, for TCP
    #[arg(short = 'h', long, value_name = "HOST")]
    pub host: Option<String>,
    /// TCP port [default: 6379]
    #[arg(short = 'p', long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Encrypt the connection; TCP only
    #[arg(long, conflicts_with = "socket")]
    pub tls: bool,
    /// Certificates to trust [default: those of the system]
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub cacert: Option<PathBuf>,
    /// Certificate of this client
    #[arg(long, value_name = "FILE", requires = "tls", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Key of the certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Name in the server's certificate, when it is not --host
    #[arg(long, value_name = "NAME", requires = "tls")]
    pub sni: Option<String>,
    /// Trust any server
    #[arg(long, requires = "tls", conflicts_with = "cacert")]
    pub insecure: bool,
    /// Password [default: $REDISCLI_AUTH]
    #[arg(short = 'a', long, value_name = "PASSWORD")]
    pub pass: Option<String>,
    /// User of the password
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Speak RESP3
    #[arg(short = '3', long)]
    pub resp3: bool,
    /// Database number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub db: u32,
}
