//! The operating system's lock beside the log: it goes when its process goes.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
};

use crate::owner::{Holder, Owner};

/// The lock, held. Its file says who holds it and stays when it is given up: removing a lock file
/// would let two processes lock two files of one name.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

/// Why the lock was not taken.
pub(super) enum NotLocked {
    /// Somebody has it.
    Held(Holder),
    /// The file could not be opened, locked or written.
    Failed(io::Error),
}

impl Lock {
    pub(super) fn take(path: &Path, owner: &Owner) -> Result<Self, NotLocked> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let mut file = file.map_err(NotLocked::Failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // A holder whose name cannot be read is still a holder.
                let _ = (&mut file).take(4_096).read_to_string(&mut text);
                return Err(NotLocked::Held(Holder::from_text(&text)));
            }
            Err(TryLockError::Error(error)) => return Err(NotLocked::Failed(error)),
        }
        let mut lock = Self { file };
        lock.write(&owner.to_text()).map_err(NotLocked::Failed)?;
        Ok(lock)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The name goes first, for people.
        let _ = self.file.set_len(0);
        // Closing the file frees the lock only when the last copy of it is closed, and a process that is
        // being started elsewhere in this one has a copy until it runs its own program.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use sagalog_model::log::Time;
    use tempfile::TempDir;

    use super::*;

    /// As a child process has it between its fork and its program.
    #[test]
    fn a_copy_of_the_file_does_not_keep_the_lock() {
        let folder = TempDir::new().expect("room");
        let path = folder.path().join("log.db.lock");
        let owner = Owner::this_process("node", Time::default());
        let Ok(lock) = Lock::take(&path, &owner) else {
            panic!("nobody has it");
        };
        let copy = lock.file.try_clone().expect("a copy");
        assert!(Lock::take(&path, &owner).is_err());
        drop(lock);
        assert!(Lock::take(&path, &owner).is_ok());
        drop(copy);
    }
}
