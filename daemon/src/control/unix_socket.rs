//! A listening Unix socket: its file has the wanted mode from its first moment on, a file left behind by a killed
//! process is replaced, a living one is not, and the file goes when the listener does.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::limits::BACKLOG;

/// Binds and listens at `path`, with file mode `mode` (like `0o600`). Nobody whom the mode keeps out can connect at
/// any moment.
///
/// # Errors
/// `AddrInUse` when somebody listens there or the file is no socket; others as the system has them. The text names
/// the path and says what to do.
pub fn bind_unix_socket(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let listener = match bind_with_mode(path, mode) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_stale(path)?;
            bind_with_mode(path, mode)
        }
        result => result,
    };
    let listener = listener.map_err(|error| explain(path, &error))?;
    let file = SocketFile::at(path).map_err(|error| explain(path, &error))?;
    Ok((listener, file))
}

fn bind_with_mode(path: &Path, mode: u32) -> io::Result<UnixListener> {
    // A path that is too long answers EINVAL or ENAMETOOLONG here.
    let address = SocketAddrUnix::new(path).map_err(|_| ErrorKind::InvalidInput)?;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Linux makes the file with the mode that the socket has when it is bound, less the umask (unix_bind_bsd in
    // net/unix/af_unix.c). So the file is never open wider than wanted, and the umask, which belongs to all threads,
    // stays as it is. What the umask took away is given back after.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(mode))?;
    rustix::net::bind(&socket, &address)?;
    if fs::symlink_metadata(path)?.mode() & 0o777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Removes a socket file that nobody listens at.
fn remove_stale(path: &Path) -> io::Result<()> {
    let in_use = |text: &str| io::Error::new(ErrorKind::AddrInUse, format!("{}: {text}", path.display()));
    let metadata = fs::symlink_metadata(path).map_err(|error| explain(path, &error))?;
    if !metadata.file_type().is_socket() {
        return Err(in_use("a file of that name is there and is no socket: remove it or give another path"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| explain(path, &error))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(in_use("another process listens there: stop it or give another path")),
        // A full backlog answers EAGAIN: somebody is there too.
        Err(error) => Err(in_use(&format!("cannot tell whether another process listens there ({error})"))),
    }
}

fn explain(path: &Path, error: &io::Error) -> io::Error {
    let hint = match error.kind() {
        ErrorKind::NotFound => ": its directory does not exist",
        ErrorKind::PermissionDenied => ": this user may not create files there",
        ErrorKind::InvalidInput => ": the path of a socket has at most 107 bytes",
        _ => "",
    };
    io::Error::new(error.kind(), format!("{}: {error}{hint}", path.display()))
}

/// The file of a listening socket; removed when this goes, unless it is another's by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode));
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "socket file not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_has_its_mode_and_goes_with_the_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        for mode in [0o600, 0o660, 0o777] {
            let (_listener, file) = bind_unix_socket(&path, mode).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
            drop(file);
            assert!(!path.exists());
        }
    }

    #[test]
    fn stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "left behind, as after a kill");
        let (living, _file) = bind_unix_socket(&path, 0o600).unwrap();
        let error = bind_unix_socket(&path, 0o600).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("listens there"), "{error}");
        drop(living);
    }

    #[test]
    fn file_that_is_no_socket_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        let error = bind_unix_socket(&path, 0o600).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }

    #[test]
    fn file_that_another_has_put_there_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let (_listener, file) = bind_unix_socket(&path, 0o600).unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn refusals_say_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let missing = bind_unix_socket(&dir.path().join("none/s"), 0o600).unwrap_err();
        assert!(missing.to_string().contains("does not exist"), "{missing}");
        let long = bind_unix_socket(&dir.path().join("x".repeat(200)), 0o600).unwrap_err();
        assert!(long.to_string().contains("107"), "{long}");
    }
}
