//! A log in one file.
//!
//! ```text
//!   log.db        rows, epoch, recovery snapshot       one writer task, many readers
//!   log.db-wal    what was committed last              made and folded in by SQLite
//!   log.db.lock   held by the owner, names it          freed when its process ends
//! ```

mod connect;
mod failure;
mod insert;
mod lock;
mod reader;
mod recovery;
mod schema;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use sagalog_model::log::{Batch, Epoch, PartitionId, Position, StreamKey, StreamName, Version};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::connect::connect as connect_patiently;
use self::{
    reader::Reader,
    recovery::PARTITION,
    schema::Found,
    writer::{Command, Writer},
};
use crate::{
    contract::{Appended, EventLog, Head, Ownership, StreamHead},
    error::{AcquireError, AppendError, NoPartition, OpenError, ReadError, RenewError},
    ledger,
    owner::Owner,
    row::Row,
    sharing::Sharer,
    sql::follow::Follower,
};

/// How many callers may wait for the writer; more wait to get into the queue.
const QUEUE: usize = 64;
/// The page size of a new log.
const PAGE_SIZE: u32 = 4_096;
/// How many pages the write-ahead log may have before they are folded in.
const CHECKPOINT_PAGES: u32 = 4_000;

/// A handle on a log in a SQLite file. It has one partition.
pub struct SqliteLog {
    log: Arc<str>,
    reader: Reader,
    follower: Follower,
    /// None on a handle that only reads.
    writer: Option<mpsc::Sender<Command>>,
}

/// When a commit counts as durable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// When the disk has it: it survives a loss of power.
    #[default]
    Full,
    /// When the operating system has it: it survives the end of the process; a loss of power may
    /// take the last commits, in order, and leaves the rest whole.
    Normal,
}

/// How a log in a file is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// When a commit counts as durable.
    pub durability: Durability,
    /// How large the file may grow; an append beyond it is refused as on a full disk.
    pub max_bytes: Option<u64>,
    /// After how many positions the recovery snapshot is written again.
    pub snapshot_every: u64,
    /// How long to wait for another program that has the file locked, before an append is refused.
    pub patience: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            max_bytes: None,
            snapshot_every: 20_000,
            patience: Duration::from_secs(5),
        }
    }
}

impl SqliteLog {
    /// Opens the log in `file`, or makes a new one there.
    ///
    /// # Errors
    /// [`OpenError`]; the file was not changed.
    pub async fn open(file: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(file, SqliteOptions::default()).await
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    /// [`OpenError`]; the file was not changed.
    pub async fn open_with(
        file: impl AsRef<Path>,
        options: SqliteOptions,
    ) -> Result<Self, OpenError> {
        let file = file.as_ref();
        let found = schema::look(file).await?;
        let synchronous = match options.durability {
            Durability::Full => SqliteSynchronous::Full,
            Durability::Normal => SqliteSynchronous::Normal,
        };
        let connect = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .page_size(PAGE_SIZE);
        let mut connect = connect
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            // What a statement gathers on its way stays in memory; an append is bounded.
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string());
        if let Some(bytes) = options.max_bytes {
            connect = connect.pragma(
                "max_page_count",
                (bytes / u64::from(PAGE_SIZE)).max(1).to_string(),
            );
        }
        let mut connection = connect::connect(connect, options.patience)
            .await
            .map_err(|error| schema::unreadable(file, error))?;
        if found == Found::Nothing {
            schema::create(file, &mut connection).await?;
        }
        let mut log = Self::reading(file).await?;
        let (commands, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            connection,
            log: log.log.clone(),
            lock_file: lock_file(file),
            snapshot_every: options.snapshot_every,
            told: log.follower.told(),
            owned: None,
            broken: None,
        };
        tokio::spawn(writer.run(receiver));
        log.writer = Some(commands);
        Ok(log)
    }

    /// Opens the log in `file` to read it, whoever owns it.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is made or changed.
    pub async fn read_only(file: impl AsRef<Path>) -> Result<Self, OpenError> {
        let file = file.as_ref();
        if schema::look(file).await? == Found::Nothing {
            return Err(OpenError::Missing {
                log: schema::name(file),
            });
        }
        Self::reading(file).await
    }

    /// Gives the log up and closes its file, with all that was committed in it and nothing beside it: it may
    /// be moved then. What is asked of this handle afterwards fails.
    pub async fn close(&self) {
        self.reader.close().await;
        let (answer, closed) = oneshot::channel();
        if let Some(writer) = &self.writer
            && writer.send(Command::Close { answer }).await.is_ok()
        {
            let _ = closed.await;
        }
    }

    async fn reading(file: &Path) -> Result<Self, OpenError> {
        let log: Arc<str> = schema::name(file).into();
        let reader = Reader::open(SqliteConnectOptions::new().filename(file), log.clone()).await;
        let reader = reader.map_err(|error| schema::unreadable(file, error))?;
        let looked_at = reader.clone();
        let follower = Follower::new(move || {
            let reader = looked_at.clone();
            async move { reader.tail().await }
        });
        Ok(Self {
            log,
            reader,
            follower,
            writer: None,
        })
    }

    fn check(&self, partition: PartitionId) -> Result<(), NoPartition> {
        if partition == PARTITION {
            return Ok(());
        }
        Err(NoPartition {
            log: self.log.to_string(),
            partition,
            partitions: 1,
        })
    }

    /// Asks the writer; None if there is none (any more).
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.writer.as_ref()?.send(command(answer)).await.ok()?;
        answered.await.ok()
    }
}

#[async_trait]
impl EventLog for SqliteLog {
    fn name(&self) -> &str {
        &self.log
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn lease(&self) -> Option<Duration> {
        // The lock beside the file goes with its process.
        None
    }

    async fn acquire(
        &self,
        partition: PartitionId,
        owner: Owner,
    ) -> Result<Ownership, AcquireError> {
        self.check(partition)?;
        let log = || self.log.to_string();
        if self.writer.is_none() {
            return Err(AcquireError::ReadOnly { log: log() });
        }
        let acquired = self.ask(|answer| Command::Acquire { owner, answer }).await;
        acquired.unwrap_or_else(|| {
            Err(AcquireError::Unavailable {
                log: log(),
                source: WriterEnded.into(),
            })
        })
    }

    async fn renew(&self, partition: PartitionId, epoch: Epoch) -> Result<(), RenewError> {
        if self.check(partition).is_err() || self.writer.is_none() {
            return Err(RenewError::NotOwned { partition });
        }
        let renewed = self.ask(|answer| Command::Renew { epoch, answer }).await;
        renewed.unwrap_or_else(|| {
            Err(RenewError::Unavailable {
                log: self.log.to_string(),
                source: WriterEnded.into(),
            })
        })
    }

    async fn share(&self, _: &Owner, _: &[Sharer]) -> Result<Vec<Sharer>, ReadError> {
        Ok(Vec::new())
    }

    async fn leave(&self) -> Result<(), ReadError> {
        Ok(())
    }

    async fn append(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        batches: Vec<Batch>,
    ) -> Result<Appended, AppendError> {
        if self.check(partition).is_err() || self.writer.is_none() {
            return Err(AppendError::NotOwned { partition });
        }
        let rows = ledger::rows(epoch, batches)?;
        let appended = self
            .ask(|answer| Command::Append {
                epoch,
                rows,
                answer,
            })
            .await;
        appended.unwrap_or_else(|| {
            Err(AppendError::Unknown {
                log: self.log.to_string(),
                source: WriterEnded.into(),
            })
        })
    }

    async fn release(&self, partition: PartitionId) -> Result<(), ReadError> {
        self.check(partition)?;
        self.ask(|answer| Command::Release { answer })
            .await
            .unwrap_or(Ok(()))
    }

    async fn tail(&self, partition: PartitionId) -> Result<Position, ReadError> {
        self.check(partition)?;
        self.reader.tail().await
    }

    async fn heads(
        &self,
        partition: PartitionId,
        names: &[StreamName],
    ) -> Result<Vec<Option<Head>>, ReadError> {
        self.check(partition)?;
        self.reader.heads(names).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.check(partition)?;
        self.reader.read(from, limit).await
    }

    async fn read_stream(
        &self,
        partition: PartitionId,
        stream: StreamKey,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.check(partition)?;
        self.reader.read_stream(stream, from, limit).await
    }

    async fn read_streams(
        &self,
        partition: PartitionId,
        streams: &[StreamKey],
        after: Option<(StreamKey, Version)>,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.check(partition)?;
        self.reader.read_streams(streams, after, limit).await
    }

    async fn stream_name(
        &self,
        partition: PartitionId,
        stream: StreamKey,
    ) -> Result<Option<StreamName>, ReadError> {
        self.check(partition)?;
        self.reader.stream_name(stream).await
    }

    async fn streams(
        &self,
        partition: PartitionId,
        after: StreamKey,
        limit: usize,
    ) -> Result<Vec<StreamHead>, ReadError> {
        self.check(partition)?;
        self.reader.streams(after, limit).await
    }

    async fn watch(&self, partition: PartitionId) -> Result<watch::Receiver<Position>, ReadError> {
        self.check(partition)?;
        self.follower.watch().await
    }
}

impl fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLog")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

/// The runtime that the writer ran on has ended.
#[derive(Debug, thiserror::Error)]
#[error("the task that writes it has ended")]
struct WriterEnded;

/// `log.db` is locked through `log.db.lock`, whatever path or link it was opened by.
fn lock_file(file: &Path) -> PathBuf {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let mut path = file.into_os_string();
    path.push(".lock");
    path.into()
}

/// Stream keys for `json_each`.
fn json(streams: &[StreamKey]) -> String {
    serde_json::to_string(streams).expect("keys are numbers")
}
