//! Paths of sockets in deep folders: a socket's own path has about a hundred bytes, a log's may have
//! more.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

/// The longest path that every system takes for a socket, less what is added while it is made.
const PATH_MAX: usize = 90;

/// A path to a socket that is short enough: through the open folder, where the system shows open
/// files as `/proc/self/fd`; elsewhere as it is.
pub(super) struct Near {
    path: PathBuf,
    /// Open for as long as the path is used.
    _folder: Option<File>,
}

impl Near {
    pub(super) fn to(path: &Path) -> io::Result<Self> {
        let plain = || Self {
            path: path.to_owned(),
            _folder: None,
        };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(plain());
        };
        if path.as_os_str().len() <= PATH_MAX {
            return Ok(plain());
        }
        let folder = File::open(parent)?;
        let through = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        if !through.exists() {
            return Ok(plain());
        }
        Ok(Self {
            path: through.join(name),
            _folder: Some(folder),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
