//! Unix sockets: for programs on this machine, guarded by the permissions of the directory.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use mio::net::{TcpStream, UnixListener};
use mio::{Interest, Registry, Token};

use super::pair::from_unix;

/// A listening Unix socket. Its file goes with it.
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl UnixSocket {
    pub(super) fn bind(path: &Path, token: Token, registry: &Registry) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_abandoned(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            result => result?,
        };
        let mut socket = Self {
            listener,
            path: path.to_owned(),
        };
        registry.register(&mut socket.listener, token, Interest::READABLE)?;
        Ok(socket)
    }

    pub(super) fn accept(&self) -> io::Result<TcpStream> {
        Ok(from_unix(self.listener.accept()?.0))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether it is the socket of a program that ended without removing it. Anything else there is
/// left alone.
fn is_abandoned(path: &Path) -> bool {
    let is_socket = |file: fs::Metadata| file.file_type().is_socket();
    fs::symlink_metadata(path).is_ok_and(is_socket)
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}
