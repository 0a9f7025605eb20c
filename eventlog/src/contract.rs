//! What every event log promises.

use std::time::Duration;

use async_trait::async_trait;
use sagalog_model::log::{
    Batch, Epoch, PartitionId, Position, StreamKey, StreamName, StreamState, Time, Version,
};
use tokio::sync::watch;

use crate::{
    error::{AcquireError, AppendError, ReadError, RenewError},
    owner::Owner,
    row::Row,
    sharing::Sharer,
};

/// An append-only log of events, in partitions.
///
/// ```text
///   partition 0
///   position   1     2     3     4     5     6     7     8
///            ┌───────────┬─────┬─────────────────┬───────────┬╌╌╌╌
///   row      │ stream 1  │ 3   │ 1               │ 3         │ next: position 9
///   version  │ 1     2   │ 1   │ 3     4     5   │ 2     3   │
///            └───────────┴─────┴─────────────────┴───────────┴╌╌╌╌
///              one batch = one input                       tail = 8
///   chain     h1          h2    h3                h4 = SHA-256(h3, leaves of the row)
/// ```
///
/// - **Gapless.** Positions of a partition and versions of a stream count from 1 without holes. The
///   owner assigns them; the log checks them and stores all batches of an append or none.
/// - **One owner.** [`acquire`](Self::acquire) raises the epoch durably. An append under another
///   epoch than the current one writes nothing, whatever was on its way.
/// - **A lease, where the system does not tell who died.** If the log has a [`lease`](Self::lease),
///   an owner is alive as long as it appends or [renews](Self::renew). Whoever wants its partition
///   watches it for that long, by its own clock, and takes it from one that stays silent.
/// - **Durable before answered.** What [`append`](Self::append) answered, what a reader returned
///   and what [`watch`](Self::watch) shows survives a crash.
/// - **No reader skips.** There is one writer and nothing becomes visible below the tail later.
/// - **Append again is safe.** A batch is known by its id: appended again it is answered with where
///   it is.
/// - **Stored as given.** Control and data come back byte for byte, covered by the chain.
/// - **The caller may go.** An append whose future was dropped is finished or was never begun.
///
/// The log knows streams and bytes, not what they mean.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// What to call this log in messages: its file, if it has one.
    fn name(&self) -> &str;

    /// How many partitions it has, fixed when it was created.
    fn partitions(&self) -> u32;

    /// How long an owner may be silent before another may take its partition; renewing four times as
    /// often keeps it. `None` if it is kept until it is released or its handle goes.
    fn lease(&self) -> Option<Duration>;

    /// Takes a partition: raises its epoch durably and reads where it ends. On a handle that owns
    /// it already this is how it recovers from an append of unknown outcome. If another has it and
    /// the log has a [`lease`](Self::lease), this watches that owner until it is seen alive or was
    /// silent for as long.
    ///
    /// # Errors
    /// [`AcquireError::Held`] if another process, or another handle in this one, has it.
    async fn acquire(
        &self,
        partition: PartitionId,
        owner: Owner,
    ) -> Result<Ownership, AcquireError>;

    /// Says that the owner is alive, as an append does.
    ///
    /// # Errors
    /// [`RenewError`] says what to do next.
    async fn renew(&self, partition: PartitionId, epoch: Epoch) -> Result<(), RenewError>;

    /// Says that this handle wants a share of the partitions, and sees who else does and who owns
    /// what; the order of those who share is the same for all. Empty if the log has no
    /// [`lease`](Self::lease): then it is not shared.
    ///
    /// Whoever shares lives as long as its sign moves, by the clock of who looks. `gone` are those
    /// that were seen silent for long: they are forgotten, unless they gave a sign meanwhile.
    ///
    /// # Errors
    /// [`ReadError`]; on a handle that only reads too.
    async fn share(&self, owner: &Owner, gone: &[Sharer]) -> Result<Vec<Sharer>, ReadError>;

    /// Says that this handle wants no share any more, so that those who look next divide the partitions
    /// without it. Does nothing if it has none.
    ///
    /// # Errors
    /// [`ReadError`]; then the others find it silent.
    async fn leave(&self) -> Result<(), ReadError>;

    /// Stores all batches in one commit, or none.
    ///
    /// # Errors
    /// [`AppendError`] says what to do next.
    async fn append(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        batches: Vec<Batch>,
    ) -> Result<Appended, AppendError>;

    /// Gives a partition up, after the appends under way. Does nothing if it is not owned.
    ///
    /// # Errors
    /// [`ReadError`] if the store fails; the partition is given up all the same.
    async fn release(&self, partition: PartitionId) -> Result<(), ReadError>;

    /// The last position stored; 0 if there is none.
    ///
    /// # Errors
    /// [`ReadError`]
    async fn tail(&self, partition: PartitionId) -> Result<Position, ReadError>;

    /// Where the named streams stand, in the order asked.
    ///
    /// # Errors
    /// [`ReadError`]
    async fn heads(
        &self,
        partition: PartitionId,
        names: &[StreamName],
    ) -> Result<Vec<Option<Head>>, ReadError>;

    /// A page of at most `limit` rows in position order. It begins with the row that covers `from`,
    /// so a start inside a batch gets the whole batch. A page may be shorter than `limit`, because
    /// it also ends at [`PAGE_BYTES`]; only an empty one is the end.
    ///
    /// # Errors
    /// [`ReadError`]
    async fn read(
        &self,
        partition: PartitionId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError>;

    /// A page of at most `limit` rows of one stream in version order, bounded as in
    /// [`read`](Self::read). It begins with the row that covers `from`.
    ///
    /// # Errors
    /// [`ReadError`]
    async fn read_stream(
        &self,
        partition: PartitionId,
        stream: StreamKey,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError>;

    /// A page of at most `limit` rows of many streams, stream after stream in the order of their
    /// keys, each in version order, bounded as in [`read`](Self::read). `after` names the last row
    /// of the page before: its stream and last version.
    ///
    /// # Errors
    /// [`ReadError`]
    async fn read_streams(
        &self,
        partition: PartitionId,
        streams: &[StreamKey],
        after: Option<(StreamKey, Version)>,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError>;

    /// The name of a stream.
    ///
    /// # Errors
    /// [`ReadError`]
    async fn stream_name(
        &self,
        partition: PartitionId,
        stream: StreamKey,
    ) -> Result<Option<StreamName>, ReadError>;

    /// At most `limit` streams with keys above `after`, in key order, that is in the order in which
    /// they began.
    ///
    /// # Errors
    /// [`ReadError`]
    async fn streams(
        &self,
        partition: PartitionId,
        after: StreamKey,
        limit: usize,
    ) -> Result<Vec<StreamHead>, ReadError>;

    /// The durable tail, as it moves. Across processes it is seen within a quarter of a second.
    ///
    /// # Errors
    /// [`ReadError`] if the tail cannot be read to begin with.
    async fn watch(&self, partition: PartitionId) -> Result<watch::Receiver<Position>, ReadError>;
}

/// A page of rows ends when their stored events reach this many bytes.
pub const PAGE_BYTES: usize = 8 << 20;

/// The most batches that one append carries.
pub const MAX_BATCHES: usize = 1_024;

/// The most bytes of events that one append carries.
pub const MAX_APPEND_BYTES: usize = 64 << 20;

/// A partition as it was acquired.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ownership {
    /// What the appends of this owner carry.
    pub epoch: Epoch,
    /// The last position stored.
    pub tail: Position,
    /// The time of the last batch stored; that of the next one may not be before it.
    pub last_at: Time,
    /// The streams whose last batch left them open, in key order.
    pub open: Vec<StreamKey>,
}

/// Where an append is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Appended {
    /// The position of its last event.
    pub last: Position,
    /// Whether it had been stored before.
    pub already: bool,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// Its key.
    pub stream: StreamKey,
    /// Its last version.
    pub version: Version,
    /// Whether it goes on.
    pub state: StreamState,
}

/// A stream in a listing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StreamHead {
    /// Its name.
    pub name: StreamName,
    /// Its key.
    pub key: StreamKey,
    /// Its last version.
    pub version: Version,
    /// Whether it goes on.
    pub state: StreamState,
    /// When it began.
    pub first_at: Time,
    /// When it was last appended to.
    pub last_at: Time,
}
