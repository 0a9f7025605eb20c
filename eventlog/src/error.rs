//! What can go wrong, named for what the caller does next.

use std::error::Error;

use sagalog_model::log::{
    BatchId, Epoch, PartitionId, Position, StreamKey, StreamName, Time, Version,
};

use crate::owner::Holder;

/// Why a log cannot be opened. It was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such log.
    #[error("there is no log at {log}")]
    Missing {
        /// The log.
        log: String,
    },
    /// What is there is something else.
    #[error("{log} is not a Sagalog log")]
    NotALog {
        /// Where.
        log: String,
    },
    /// It was written by a newer program.
    #[error(
        "{log} has log format {found}, this program knows formats up to {known}: use a newer program"
    )]
    Newer {
        /// The log.
        log: String,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// What is stored contradicts itself.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The words that say where the log is, or how to open it, do not make sense.
    #[error("the log cannot be opened like this: {why}")]
    BadOptions {
        /// What is wrong with them.
        why: String,
    },
    /// It was made with another number of partitions, which stays as it is.
    #[error("{log} has {partitions} partitions, which cannot change: {asked} were asked for")]
    Partitions {
        /// The log.
        log: String,
        /// How many it has.
        partitions: u32,
        /// How many were asked for.
        asked: u32,
    },
    /// The server is none that can keep a log.
    #[error("{log} cannot be kept there: {why}")]
    Unsuitable {
        /// The log.
        log: String,
        /// What is missing, and how to fix it.
        why: String,
    },
    /// The server has no such database. It is not made, as that is the business of whoever runs the server.
    #[error(
        "there is no database for {log}: make it with `create database {database} encoding 'UTF8' template template0`"
    )]
    NoDatabase {
        /// The log.
        log: String,
        /// What the database should be called.
        database: String,
    },
    /// The server does not let this user in, or not do what is needed.
    #[error("{log} refuses this user: {what}")]
    Denied {
        /// The log.
        log: String,
        /// What the server said.
        what: String,
    },
    /// It could not be opened now.
    #[error("{log} cannot be opened")]
    Unavailable {
        /// The log.
        log: String,
        /// What the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Why a partition could not be acquired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// Somebody else owns it. Stop that process, or talk to it.
    #[error("{log} is in use by {by}")]
    Held {
        /// The log.
        log: String,
        /// Who has it.
        by: Holder,
    },
    /// The handle was opened to read only.
    #[error("{log} was opened to read only, so it cannot be acquired")]
    ReadOnly {
        /// The log.
        log: String,
    },
    /// There is no such partition.
    #[error(transparent)]
    NoPartition(#[from] NoPartition),
    /// What is stored contradicts itself.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// An earlier failure makes this process unfit to write: it must exit.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The store could not be reached or refused; nothing is owned.
    #[error("{log} cannot be acquired now")]
    Unavailable {
        /// The log.
        log: String,
        /// What the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Why an owner could not say that it is alive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// A higher epoch owns the partition: stop.
    #[error("epoch {epoch} no longer owns partition {partition}: epoch {current} does")]
    Fenced {
        /// The partition.
        partition: PartitionId,
        /// The epoch that was renewed.
        epoch: Epoch,
        /// The epoch that owns it now.
        current: Epoch,
    },
    /// This handle does not own the partition: acquire it first.
    #[error("partition {partition} is not owned by this handle, acquire it first")]
    NotOwned {
        /// The partition.
        partition: PartitionId,
    },
    /// It could not be said now: say it again. If it cannot be said for a whole lease, another may
    /// take the partition.
    #[error("{log} cannot be told now that its owner is alive")]
    Unavailable {
        /// The log.
        log: String,
        /// What the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Why an append was not acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A higher epoch owns the partition. Nothing was written; stop.
    #[error("epoch {epoch} no longer owns partition {partition}: epoch {current} does")]
    Fenced {
        /// The partition.
        partition: PartitionId,
        /// The epoch of the append.
        epoch: Epoch,
        /// The epoch that owns it now.
        current: Epoch,
    },
    /// This handle does not own the partition. Nothing was written; acquire it first.
    #[error("partition {partition} is not owned by this handle, acquire it first")]
    NotOwned {
        /// The partition.
        partition: PartitionId,
    },
    /// Something else is where this should go. Nothing was written; acquire again and decide again.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Nothing was written; the same append may succeed once the reason is gone.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is not known whether anything was written. Acquire again and look.
    #[error("it is not known whether {log} took the append, acquire it again to find out")]
    Unknown {
        /// The log.
        log: String,
        /// What the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The process must exit: what it believes about the log may be wrong.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// What is already where an append should go.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// The append does not begin right behind the tail.
    #[error("the append begins at position {given}, the log ends at {tail}")]
    Position {
        /// Its first position.
        given: Position,
        /// The last position stored.
        tail: Position,
    },
    /// A batch does not begin right behind the last version of its stream.
    #[error("the batch for stream {stream} begins at version {given}, the stream ends at {last}")]
    Version {
        /// The stream.
        stream: StreamKey,
        /// The first version of the batch.
        given: Version,
        /// The last version stored; 0 if there is no such stream.
        last: Version,
    },
    /// A new stream has the name of one that exists.
    #[error("a stream named {name} exists already")]
    Name {
        /// The name.
        name: StreamName,
    },
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No room. Nothing of the append is stored; free space and append again.
    #[error("no room left to write {log}, free some space or raise its limit")]
    Full {
        /// The log.
        log: String,
    },
    /// Another program holds the store's write lock.
    #[error("another program keeps {log} locked, close it")]
    Busy {
        /// The log.
        log: String,
    },
    /// The store may not be written.
    #[error("{log} may not be written: {what}")]
    ReadOnly {
        /// The log.
        log: String,
        /// What the store said.
        what: String,
    },
    /// The store cannot be reached, and could not for a while.
    #[error("{log} cannot be reached")]
    Unreachable {
        /// The log.
        log: String,
        /// What was said when it was tried last.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The same batch id is stored with another content.
    #[error("batch {id} is stored with another input content: one id must always mean one content")]
    OtherContent {
        /// The id.
        id: BatchId,
    },
    /// The time of a batch is before that of the one before it.
    #[error(
        "the batch at position {position} has time {at:?}, before {last:?} of the one before it"
    )]
    TimeRunsBack {
        /// Its first position.
        position: Position,
        /// Its time.
        at: Time,
        /// The time of the batch before.
        last: Time,
    },
    /// A batch that no log could store.
    #[error("the batch at position {position} cannot be stored: {why}")]
    Malformed {
        /// Its first position.
        position: Position,
        /// What is wrong with it.
        why: String,
    },
    /// More than one append may carry.
    #[error("an append carries at most {max} {what}, this one has {given}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much there is.
        given: usize,
        /// How much there may be.
        max: usize,
    },
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such partition.
    #[error(transparent)]
    NoPartition(#[from] NoPartition),
    /// What is stored contradicts itself.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The store could not be read now.
    #[error("{log} cannot be read now")]
    Unavailable {
        /// The log.
        log: String,
        /// What the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// A partition number beyond those of the log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{log} has {partitions} partitions, numbered from 0: there is no partition {partition}")]
pub struct NoPartition {
    /// The log.
    pub log: String,
    /// The number asked for.
    pub partition: PartitionId,
    /// How many there are.
    pub partitions: u32,
}

/// Stored bytes that contradict themselves. Nothing is changed when they are found.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{log} is damaged{}: {what}", at(.position))]
pub struct Damage {
    /// The log.
    pub log: String,
    /// Where, if that is known.
    pub position: Option<Position>,
    /// What was found.
    pub what: String,
}

/// A failure after which a process cannot know what is stored: it must exit and start again.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "writing {log} failed ({what}); this process must exit, starting again finds out what is stored"
)]
pub struct Broken {
    /// The log.
    pub log: String,
    /// What the store said.
    pub what: String,
}

fn at(position: &Option<Position>) -> String {
    position.map_or_else(String::new, |position| format!(" at position {position}"))
}
