//! A server that does nothing but answer, to find the generator's own ceiling: `null_server PATH` serves at a Unix
//! socket until it is killed.

use std::path::PathBuf;

use loadgen::null_server::NullServer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("usage: null_server PATH")?);
    let _server = NullServer::start(&path, &[])?;
    loop {
        std::thread::park();
    }
}
