//! The backup as text.
//!
//! The first line says of which log it is, and where each partition ended. Then come the rows, one on a line, of
//! one partition after the other, each as it is published: `docs/protocol.md` says how. The chain value of the
//! last row of a partition is the one that the first line says, so a file that was changed or cut off is found out.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Lines, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use sagalog_eventlog::{Chain, NamedRow, Row};
use sagalog_model::{
    log::{Digest, PartitionId, Position, Time},
    system::Sealed,
};
use serde::{Deserialize, Serialize};

use crate::error::{CliError, Exit};

/// The form that this release writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// The form of the file.
    pub(super) sagalog_backup: u32,
    /// What the log is called, without a password.
    pub(super) log: Arc<str>,
    /// The release that wrote it.
    pub(super) by: Arc<str>,
    /// When.
    pub(super) at: Time,
    /// Where its partitions ended.
    pub(super) sealed: Vec<Sealed>,
}

impl Head {
    pub(super) fn of(log: &str, at: Time, sealed: Vec<Sealed>) -> Self {
        Self {
            sagalog_backup: FORMAT,
            log: log.into(),
            by: env!("CARGO_PKG_VERSION").into(),
            at,
            sealed,
        }
    }
}

/// Writes a backup. It has its name only when it is complete, and only its owner may read it.
pub(super) struct Writer {
    to: BufWriter<File>,
    part: PathBuf,
    file: PathBuf,
}

impl Writer {
    pub(super) fn begin(file: &Path, head: &Head) -> Result<Self, CliError> {
        use std::os::unix::fs::OpenOptionsExt as _;
        if file.exists() {
            let message = format!("{} is there already", file.display());
            return Err(CliError::new("backup_exists", Exit::Conflict, message)
                .fix("name another file, or move that one away"));
        }
        let mut part = file.as_os_str().to_owned();
        part.push(".part");
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut writer = Self {
            to: BufWriter::new(options.open(&part)?),
            part: part.into(),
            file: file.to_owned(),
        };
        writer.line(&serde_json::to_string(head).map_err(std::io::Error::from)?)?;
        Ok(writer)
    }

    pub(super) fn row(&mut self, row: &NamedRow) -> Result<(), CliError> {
        self.line(&row.to_json())
    }

    pub(super) fn finish(self) -> Result<(), CliError> {
        let file = self
            .to
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        // Unlike a renaming, this never replaces a file.
        std::fs::hard_link(&self.part, &self.file)?;
        std::fs::remove_file(&self.part)?;
        File::open(crate::log::home(&self.file))?.sync_all()?;
        Ok(())
    }

    fn line(&mut self, text: &str) -> Result<(), CliError> {
        self.to.write_all(text.as_bytes())?;
        Ok(self.to.write_all(b"\n")?)
    }
}

/// Reads a backup, and proves row by row that it is what was backed up.
pub(super) struct Reader {
    name: String,
    lines: Lines<BufReader<File>>,
    number: u64,
    pub(super) head: Head,
    /// The partition that is read, its chain, and where it is.
    partition: usize,
    chain: Chain,
    end: Sealed,
}

const NOTHING: Sealed = Sealed {
    tail: Position::new(0),
    chain: Digest([0; 32]),
};

impl Reader {
    pub(super) fn open(file: &Path) -> Result<Self, CliError> {
        let name = file.display().to_string();
        let mut lines = BufReader::new(File::open(file)?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let head: Head = serde_json::from_str(&first).map_err(|_| {
            let message = format!("{name} is no backup of a log");
            CliError::new("bad_backup", Exit::Failed, message)
        })?;
        if head.sagalog_backup > FORMAT {
            let message = format!(
                "{name} has backup format {}, this program knows formats up to {FORMAT}",
                head.sagalog_backup
            );
            return Err(CliError::new("newer_format", Exit::Failed, message)
                .fix(format!("use release {}, or a newer one", head.by)));
        }
        Ok(Self {
            name,
            lines,
            number: 1,
            head,
            partition: 0,
            chain: Chain::after(PartitionId::new(0), Digest::default()),
            end: NOTHING,
        })
    }

    /// The next row, with its partition; none behind the last.
    ///
    /// # Errors
    /// If it is not what was backed up.
    pub(super) fn next(&mut self) -> Result<Option<(PartitionId, Row)>, CliError> {
        loop {
            let Some(sealed) = self.head.sealed.get(self.partition) else {
                return match self.lines.next() {
                    None => Ok(None),
                    Some(_) => Err(self.bad("it goes on behind its last row")),
                };
            };
            if self.end.tail < sealed.tail {
                break;
            }
            if self.end != *sealed {
                return Err(self.bad("its hash chain does not end as its first line says"));
            }
            self.partition += 1;
            let partition = PartitionId::new(self.partition as u32);
            self.chain = Chain::after(partition, Digest::default());
            self.end = NOTHING;
        }
        let Some(line) = self.lines.next().transpose()? else {
            return Err(self.bad("it ends too early"));
        };
        self.number += 1;
        let row = NamedRow::from_json(&line).map_err(|error| self.bad(&error.to_string()))?;
        let row = row.row;
        if row.position != self.end.tail.next() || row.chain != self.chain.next(&row) {
            return Err(self.bad("its hash chain does not fit"));
        }
        self.end = Sealed {
            tail: row.last_position(),
            chain: row.chain,
        };
        Ok(Some((PartitionId::new(self.partition as u32), row)))
    }

    fn bad(&self, what: &str) -> CliError {
        let message = format!(
            "{} is not what was backed up, at line {}: {what}",
            self.name, self.number
        );
        CliError::new("bad_backup", Exit::Failed, message).fix("use another backup")
    }
}
