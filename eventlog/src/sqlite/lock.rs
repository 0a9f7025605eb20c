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
        // Only the name goes here, for people; closing the file frees the lock.
        let _ = self.file.set_len(0);
    }
}
