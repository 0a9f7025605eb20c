//! A log in a schema of a PostgreSQL database.
//!
//! ```text
//!   log        rows of all partitions
//!   lease      a row per partition: owner, epoch, tail      an append moves the tail where both fit
//!   sharer     the handles that share the partitions
//!   recovery   open streams up to a position                made again if lost
//!   migration  what was done to the schema                  its last version is the format
//! ```
//!
//! One task per handle writes, for all partitions that the handle owns; reading and acquiring have
//! connections of their own.

mod failure;
mod insert;
mod lease;
mod look_ups;
mod migrate;
mod place;
mod reader;
mod recovery;
mod share;
mod writer;

use std::{collections::HashMap, fmt, time::Duration};

use async_trait::async_trait;
use sagalog_model::log::{Batch, Epoch, PartitionId, Position, StreamKey, StreamName, Version};
use sqlx::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use self::{
    lease::Taking,
    migrate::MIGRATIONS,
    place::Place,
    reader::Reader,
    writer::{Append, Command, Renew, Share, Writer},
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
const QUEUE: usize = 256;
/// The schema that a log is in if nobody says otherwise.
const SCHEMA: &str = "sagalog";
/// The most partitions that a log has.
const MAX_PARTITIONS: u32 = 1_024;

/// A handle on a log in PostgreSQL 15 or newer.
///
/// It connects without TLS, so the server should be on this machine or in a network that is trusted.
pub struct PostgresLog {
    place: Place,
    partitions: u32,
    lease: Duration,
    /// What this handle is called in the leases that it has.
    handle: String,
    reader: Reader,
    followers: Vec<Follower>,
    /// None on a handle that only reads.
    writer: Option<mpsc::Sender<Command>>,
}

/// How a log in PostgreSQL is opened.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// The schema that it is in: small letters, digits and underscores.
    pub schema: String,
    /// How many partitions it has: 1 to 1,024. A new log gets 16 if this does not say otherwise; one
    /// that exists must have as many.
    pub partitions: Option<u32>,
    /// How long an owner may be silent before another may take its partition.
    pub lease: Duration,
    /// How long to wait for a server that refuses, starts or does not answer.
    pub patience: Duration,
    /// After how many positions of a partition its recovery snapshot is written again.
    pub snapshot_every: u64,
}

impl PostgresOptions {
    /// How many partitions a new log gets.
    pub const PARTITIONS: u32 = 16;
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            partitions: None,
            lease: Duration::from_secs(3),
            patience: Duration::from_secs(15),
            snapshot_every: 20_000,
        }
    }
}

impl PostgresLog {
    /// Opens the log in the database that `url` names, or makes a new one there:
    /// `postgres://user:password@host:5432/database`.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        Self::open_with(url, PostgresOptions::default()).await
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    pub async fn open_with(url: &str, options: PostgresOptions) -> Result<Self, OpenError> {
        let place = Place::new(url, &options.schema, options.patience)?;
        let asked = options.partitions.unwrap_or(PostgresOptions::PARTITIONS);
        if !(1..=MAX_PARTITIONS).contains(&asked) || options.lease.is_zero() {
            return Err(OpenError::BadOptions {
                why: format!("a log has 1 to {MAX_PARTITIONS} partitions and a lease above zero"),
            });
        }
        let connected = place.connect().await;
        let mut connection = connected.map_err(|error| migrate::not_opened(&place, error))?;
        let partitions = migrate::prepare(&mut connection, &place, MIGRATIONS, asked).await?;
        let handle = sqlx::query_scalar("select gen_random_uuid()::text");
        let handle: Result<String, _> = place.within(handle.fetch_one(&mut connection)).await;
        let handle = handle.map_err(|error| migrate::not_opened(&place, error))?;
        drop(connection.close().await);
        if options.partitions.is_some() && partitions != asked {
            return Err(OpenError::Partitions {
                log: place.name.to_string(),
                partitions,
                asked,
            });
        }
        let mut log = Self::reading(place, partitions, options.lease);
        log.handle.clone_from(&handle);
        let (commands, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            place: log.place.clone(),
            handle,
            snapshot_every: options.snapshot_every,
            told: log.followers.iter().map(Follower::told).collect(),
            connection: None,
            owned: HashMap::new(),
            shares: false,
        };
        tokio::spawn(writer.run(receiver));
        log.writer = Some(commands);
        Ok(log)
    }

    /// Opens the log in the database that `url` names to read it, whoever owns it; a standby will do.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is made or changed.
    pub async fn read_only(url: &str, options: PostgresOptions) -> Result<Self, OpenError> {
        let place = Place::new(url, &options.schema, options.patience)?;
        let connected = place.connect().await;
        let mut connection = connected.map_err(|error| migrate::not_opened(&place, error))?;
        let partitions = migrate::look(&mut connection, &place).await?;
        drop(connection.close().await);
        Ok(Self::reading(place, partitions, options.lease))
    }

    /// Gives the schema that the log is in another name, under which it is opened from then on. What is asked of
    /// this handle afterwards fails.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed. There may be a schema of that name already.
    pub async fn rename(&self, schema: &str) -> Result<(), OpenError> {
        place::check_schema(schema)?;
        let rename = format!(
            "alter schema \"{}\" rename to \"{schema}\"",
            self.place.schema
        );
        self.place.change(rename).await
    }

    /// Removes the schema with all that is in it. What is asked of this handle afterwards fails.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    pub async fn remove(&self) -> Result<(), OpenError> {
        let remove = format!("drop schema \"{}\" cascade", self.place.schema);
        self.place.change(remove).await
    }

    fn reading(place: Place, partitions: u32, lease: Duration) -> Self {
        let reader = Reader::new(place.clone());
        let follower = |partition| {
            let reader = reader.clone();
            Follower::new(move || {
                let reader = reader.clone();
                async move { reader.tail(PartitionId::new(partition)).await }
            })
        };
        Self {
            followers: (0..partitions).map(follower).collect(),
            place,
            partitions,
            lease,
            handle: String::new(),
            reader,
            writer: None,
        }
    }

    fn check(&self, partition: PartitionId) -> Result<(), NoPartition> {
        if partition.get() < self.partitions {
            return Ok(());
        }
        Err(NoPartition {
            log: self.place.name.to_string(),
            partition,
            partitions: self.partitions,
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
impl EventLog for PostgresLog {
    fn name(&self) -> &str {
        &self.place.name
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn lease(&self) -> Option<Duration> {
        Some(self.lease)
    }

    async fn acquire(
        &self,
        partition: PartitionId,
        owner: Owner,
    ) -> Result<Ownership, AcquireError> {
        self.check(partition)?;
        let log = self.place.name.to_string();
        let Some(writer) = self.writer.clone() else {
            return Err(AcquireError::ReadOnly { log });
        };
        let (place, handle, lease) = (self.place.clone(), self.handle.clone(), self.lease);
        // Whoever asks may stop waiting; what is begun is finished all the same.
        let taking = tokio::spawn(async move {
            let taking = Taking {
                place: &place,
                partition,
                handle: &handle,
                owner: &owner,
                lease,
            };
            let taken = taking.take().await?;
            let ownership = taken.ledger.ownership();
            if writer.send(Command::Own { taken }).await.is_err() {
                return Err(AcquireError::Unavailable {
                    log: place.name.to_string(),
                    source: WriterEnded.into(),
                });
            }
            Ok(ownership)
        });
        taking.await.unwrap_or_else(|error| {
            Err(AcquireError::Unavailable {
                log,
                source: error.into(),
            })
        })
    }

    async fn renew(&self, partition: PartitionId, epoch: Epoch) -> Result<(), RenewError> {
        if self.check(partition).is_err() || self.writer.is_none() {
            return Err(RenewError::NotOwned { partition });
        }
        let renewed = self.ask(|answer| {
            Command::Renew(Renew {
                partition,
                epoch,
                answer,
            })
        });
        renewed.await.unwrap_or_else(|| {
            Err(RenewError::Unavailable {
                log: self.place.name.to_string(),
                source: WriterEnded.into(),
            })
        })
    }

    async fn share(&self, owner: &Owner, gone: &[Sharer]) -> Result<Vec<Sharer>, ReadError> {
        let shared = self.ask(|answer| {
            Command::Share(Share {
                owner: owner.clone(),
                gone: gone.to_vec(),
                answer,
            })
        });
        shared.await.unwrap_or_else(|| {
            Err(ReadError::Unavailable {
                log: self.place.name.to_string(),
                source: WriterEnded.into(),
            })
        })
    }

    async fn leave(&self) -> Result<(), ReadError> {
        self.ask(|answer| Command::Leave { answer })
            .await
            .unwrap_or(Ok(()))
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
        let appended = self.ask(|answer| {
            Command::Append(Append {
                partition,
                epoch,
                rows,
                answer,
            })
        });
        appended.await.unwrap_or_else(|| {
            Err(AppendError::Unknown {
                log: self.place.name.to_string(),
                source: WriterEnded.into(),
            })
        })
    }

    async fn release(&self, partition: PartitionId) -> Result<(), ReadError> {
        self.check(partition)?;
        self.ask(|answer| Command::Release { partition, answer })
            .await
            .unwrap_or(Ok(()))
    }

    async fn tail(&self, partition: PartitionId) -> Result<Position, ReadError> {
        self.check(partition)?;
        self.reader.tail(partition).await
    }

    async fn heads(
        &self,
        partition: PartitionId,
        names: &[StreamName],
    ) -> Result<Vec<Option<Head>>, ReadError> {
        self.check(partition)?;
        self.reader.heads(partition, names).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.check(partition)?;
        self.reader.read(partition, from, limit).await
    }

    async fn read_stream(
        &self,
        partition: PartitionId,
        stream: StreamKey,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.check(partition)?;
        self.reader
            .read_stream(partition, stream, from, limit)
            .await
    }

    async fn read_streams(
        &self,
        partition: PartitionId,
        streams: &[StreamKey],
        after: Option<(StreamKey, Version)>,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.check(partition)?;
        self.reader
            .read_streams(partition, streams, after, limit)
            .await
    }

    async fn stream_name(
        &self,
        partition: PartitionId,
        stream: StreamKey,
    ) -> Result<Option<StreamName>, ReadError> {
        self.check(partition)?;
        self.reader.stream_name(partition, stream).await
    }

    async fn streams(
        &self,
        partition: PartitionId,
        after: StreamKey,
        limit: usize,
    ) -> Result<Vec<StreamHead>, ReadError> {
        self.check(partition)?;
        self.reader.streams(partition, after, limit).await
    }

    async fn watch(&self, partition: PartitionId) -> Result<watch::Receiver<Position>, ReadError> {
        self.check(partition)?;
        self.followers[partition.get() as usize].watch().await
    }
}

impl fmt::Debug for PostgresLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLog")
            .field("log", &self.place.name)
            .finish_non_exhaustive()
    }
}

/// The runtime that the writer ran on has ended.
#[derive(Debug, thiserror::Error)]
#[error("the task that writes it has ended")]
struct WriterEnded;
