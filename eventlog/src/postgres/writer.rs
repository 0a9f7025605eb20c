//! The task that owns the writing connection, for all partitions of its handle.
//!
//! It alone appends: one statement per group commit and nothing around it, no transaction that a
//! dropped future could leave open, no pool that could hand such a connection on. A statement that is
//! not answered in time costs its connection: what it did is found out by acquiring again. Callers talk
//! to it through a bounded queue and may go away meanwhile.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use sagalog_model::log::{Epoch, PartitionId, Position, StreamKey, StreamName, Version};
use sqlx::{Connection, PgConnection};
use tokio::sync::{mpsc, oneshot};

use super::{
    QUEUE,
    failure::{self, Failure},
    insert::{Part, insert},
    lease::{self, Taken},
    place::Place,
    recovery, share,
};
use crate::{
    contract::{Appended, MAX_APPEND_BYTES},
    error::{AppendError, Conflict, ReadError, Refusal, RenewError},
    ledger::{self, Occupant},
    owner::Owner,
    row::Row,
    sharing::Sharer,
    sql::{
        columns::{Columns, to_sql},
        follow::Told,
        snapshot,
    },
};

/// How often a statement is made again that was given up because two waited for each other.
const TRIES: u32 = 5;

/// What the writer is asked to do.
pub(super) enum Command {
    /// The handle has taken a partition.
    Own {
        taken: Taken,
    },
    Renew(Renew),
    Share(Share),
    Leave {
        answer: oneshot::Sender<Result<(), ReadError>>,
    },
    Append(Append),
    Release {
        partition: PartitionId,
        answer: oneshot::Sender<Result<(), ReadError>>,
    },
}

pub(super) struct Renew {
    pub(super) partition: PartitionId,
    pub(super) epoch: Epoch,
    pub(super) answer: oneshot::Sender<Result<(), RenewError>>,
}

pub(super) struct Share {
    pub(super) owner: Owner,
    pub(super) gone: Vec<Sharer>,
    pub(super) answer: oneshot::Sender<Result<Vec<Sharer>, ReadError>>,
}

pub(super) struct Append {
    pub(super) partition: PartitionId,
    pub(super) epoch: Epoch,
    pub(super) rows: Vec<Row>,
    pub(super) answer: oneshot::Sender<Result<Appended, AppendError>>,
}

pub(super) struct Writer {
    pub(super) place: Place,
    /// The name of this handle in the leases.
    pub(super) handle: String,
    pub(super) snapshot_every: u64,
    /// Where readers see how far each partition is.
    pub(super) told: Vec<Told>,
    pub(super) connection: Option<PgConnection>,
    pub(super) owned: HashMap<PartitionId, Taken>,
    /// It has said that it shares the partitions.
    pub(super) shares: bool,
}

impl Writer {
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut queue = VecDeque::new();
        loop {
            if queue.is_empty() {
                match commands.recv().await {
                    Some(command) => queue.push_back(command),
                    None => break,
                }
            }
            // What came while the last commit was on its way goes with the next.
            while queue.len() < QUEUE
                && let Ok(command) = commands.try_recv()
            {
                queue.push_back(command);
            }
            match queue.pop_front() {
                Some(Command::Append(append)) => {
                    let group = group(append, &mut queue);
                    let partitions: Vec<_> = group.iter().map(|append| append.partition).collect();
                    self.append(group).await;
                    for partition in partitions {
                        self.snapshot_if_due(partition).await;
                    }
                }
                Some(Command::Renew(renew)) => {
                    let mut renewals = vec![renew];
                    while let Some(Command::Renew(renew)) =
                        queue.pop_front_if(|next| matches!(next, Command::Renew(_)))
                    {
                        renewals.push(renew);
                    }
                    self.renew(renewals).await;
                }
                Some(Command::Share(share)) => self.share(share).await,
                Some(Command::Leave { answer }) => drop(answer.send(self.leave().await)),
                Some(Command::Own { taken }) => self.own(taken),
                Some(Command::Release { partition, answer }) => {
                    drop(answer.send(self.release(partition).await));
                }
                None => {}
            }
        }
        self.give_everything_up().await;
    }

    /// A later acquisition may be told before an earlier one.
    fn own(&mut self, taken: Taken) {
        let (partition, epoch) = (taken.ledger.partition(), taken.ledger.epoch());
        let known = self.owned.get(&partition);
        if known.is_some_and(|known| known.ledger.epoch() > epoch) {
            return;
        }
        self.told[partition.get() as usize].owns(taken.ledger.end().position);
        self.owned.insert(partition, taken);
    }

    async fn renew(&mut self, renewals: Vec<Renew>) {
        let wanted: Vec<_> = renewals
            .iter()
            .map(|renew| (renew.partition, renew.epoch))
            .filter(|(partition, epoch)| {
                let owned = self.owned.get(partition);
                owned.is_some_and(|owned| owned.ledger.epoch() == *epoch)
            })
            .collect();
        let handle = self.handle.clone();
        let renewed = if wanted.is_empty() {
            Ok(Vec::new())
        } else {
            self.asking(async |connection| lease::renew(connection, &handle, &wanted).await)
                .await
        };
        for Renew {
            partition,
            epoch,
            answer,
        } in renewals
        {
            let said = match &renewed {
                Ok(renewed)
                    if renewed.contains(&partition) && wanted.contains(&(partition, epoch)) =>
                {
                    Ok(())
                }
                Ok(_) => self.not_renewed(partition, epoch).await,
                Err(error) => Err(self.not_said(error.to_string())),
            };
            drop(answer.send(said));
        }
    }

    async fn share(&mut self, asked: Share) {
        let Share {
            owner,
            gone,
            answer,
        } = asked;
        let handle = self.handle.clone();
        let shared = self
            .asking(async |connection| share::share(connection, &handle, &owner, &gone).await)
            .await;
        self.shares |= shared.is_ok();
        let shared = shared.map_err(|source| ReadError::Unavailable {
            log: self.log(),
            source: source.into(),
        });
        drop(answer.send(shared));
    }

    async fn leave(&mut self) -> Result<(), ReadError> {
        if !std::mem::take(&mut self.shares) {
            return Ok(());
        }
        let handle = self.handle.clone();
        let left = self
            .asking(async |connection| share::leave(connection, &handle).await)
            .await;
        left.map_err(|source| ReadError::Unavailable {
            log: self.log(),
            source: source.into(),
        })
    }

    async fn not_renewed(
        &mut self,
        partition: PartitionId,
        epoch: Epoch,
    ) -> Result<(), RenewError> {
        match self.stored_epoch(partition).await {
            Ok(current) => {
                let owned = self.owned.get(&partition);
                let owned = owned.is_some_and(|owned| owned.ledger.epoch() == current);
                if current > epoch && !owned {
                    self.give_up(partition);
                }
                ledger::renewed(partition, epoch, current, owned)
            }
            Err(error) => Err(self.not_said(error.to_string())),
        }
    }

    fn not_said(&self, what: String) -> RenewError {
        RenewError::Unavailable {
            log: self.log(),
            source: what.into(),
        }
    }

    /// Stores the appends of a group, each of another partition, in one commit.
    async fn append(&mut self, group: Vec<Append>) {
        let mut ready = Vec::with_capacity(group.len());
        for mut append in group {
            match self.admit(&mut append).await {
                None => ready.push(append),
                Some(answer) => drop(append.answer.send(answer)),
            }
        }
        if ready.is_empty() {
            return;
        }
        match self.insert(&ready).await {
            Ok(written) => {
                for append in ready {
                    let answer = if written.contains(&append.partition) {
                        Ok(self.stored(&append))
                    } else {
                        self.moved_on(&append).await
                    };
                    drop(append.answer.send(answer));
                }
            }
            // One of them meets a key that is taken, so nothing was written.
            Err(error) if failure::of(&error) == Failure::Constraint && ready.len() > 1 => {
                for append in ready {
                    Box::pin(self.append(vec![append])).await;
                }
            }
            Err(error) => {
                for append in ready {
                    let answer = match failure::of(&error) {
                        Failure::Constraint => self.taken(&append).await,
                        _ => Err(self.not_appended(append.partition, &error)),
                    };
                    drop(append.answer.send(answer));
                }
            }
        }
    }

    /// Prepares an append to be stored; or answers it, if it is settled without that.
    async fn admit(&mut self, append: &mut Append) -> Option<Result<Appended, AppendError>> {
        let Append {
            partition,
            epoch,
            rows,
            ..
        } = append;
        let Some(owned) = self.owned.get(partition) else {
            return Some(Err(self.not_owned(*partition, *epoch).await));
        };
        if let Err(fenced) = owned.ledger.fence(*epoch) {
            return Some(Err(fenced));
        }
        let unknown = owned.ledger.unknown(rows);
        let looked_up = match self.last_versions(*partition, &unknown).await {
            Ok(looked_up) => looked_up,
            Err(error) => return Some(Err(self.not_appended(*partition, &error))),
        };
        let owned = self.owned.get(partition)?;
        if let Err(conflict) = owned.ledger.admit(rows, &looked_up) {
            return Some(self.settle(*partition, conflict, rows).await);
        }
        if let Err(refusal) = owned.ledger.on_time(rows) {
            return Some(Err(refusal.into()));
        }
        owned.ledger.seal(rows);
        None
    }

    async fn insert(&mut self, ready: &[Append]) -> Result<HashSet<PartitionId>, sqlx::Error> {
        let parts: Vec<_> = ready
            .iter()
            .map(|append| Part {
                partition: append.partition,
                epoch: append.epoch,
                tail: self.owned[&append.partition].ledger.end().position,
                rows: &append.rows,
            })
            .collect();
        let handle = self.handle.clone();
        let mut tried = 0;
        loop {
            tried += 1;
            let inserted = self
                .asking(async |connection| insert(connection, &handle, &parts).await)
                .await;
            match inserted {
                Err(error) if failure::of(&error) == Failure::Deadlock && tried < TRIES => {}
                settled => return settled,
            }
        }
    }

    fn stored(&mut self, append: &Append) -> Appended {
        let owned = self
            .owned
            .get_mut(&append.partition)
            .expect("only an owner appends, and appending does not end that");
        let appended = owned.ledger.stored(&append.rows);
        self.told[append.partition.get() as usize].moved(appended.last);
        appended
    }

    /// The statement found another epoch or another tail in the lease than this owner knows.
    async fn moved_on(&mut self, append: &Append) -> Result<Appended, AppendError> {
        let Append {
            partition,
            epoch,
            rows,
            ..
        } = append;
        match self.stored_lease(*partition).await {
            Ok((current, _)) if current != *epoch => {
                self.give_up(*partition);
                Err(AppendError::Fenced {
                    partition: *partition,
                    epoch: *epoch,
                    current,
                })
            }
            Ok((_, tail)) => {
                let conflict = Conflict::Position {
                    given: rows[0].position,
                    tail,
                };
                self.settle(*partition, conflict, rows).await
            }
            Err(error) => Err(self.not_appended(*partition, &error)),
        }
    }

    /// A unique key refused the rows: a name, or else a place.
    async fn taken(&mut self, append: &Append) -> Result<Appended, AppendError> {
        let names: Vec<_> = append
            .rows
            .iter()
            .filter_map(|row| row.name.clone())
            .collect();
        let conflict = match self.taken_name(append.partition, &names).await {
            Ok(Some(name)) => Conflict::Name { name },
            // Rows behind the tail that the lease says: somebody wrote past it.
            Ok(None) => Conflict::Position {
                given: append.rows[0].position,
                tail: self.owned[&append.partition].ledger.end().position,
            },
            Err(error) => return Err(self.not_appended(append.partition, &error)),
        };
        self.settle(append.partition, conflict, &append.rows).await
    }

    async fn settle(
        &mut self,
        partition: PartitionId,
        conflict: Conflict,
        rows: &[Row],
    ) -> Result<Appended, AppendError> {
        match self.occupants(partition, rows).await {
            Ok(occupants) => ledger::settle(conflict, rows, &occupants),
            Err(error) => Err(self.not_appended(partition, &error)),
        }
    }

    async fn not_owned(&mut self, partition: PartitionId, epoch: Epoch) -> AppendError {
        match self.stored_epoch(partition).await {
            Ok(current) if current > epoch => AppendError::Fenced {
                partition,
                epoch,
                current,
            },
            Ok(_) => AppendError::NotOwned { partition },
            Err(error) => self.not_appended(partition, &error),
        }
    }

    async fn release(&mut self, partition: PartitionId) -> Result<(), ReadError> {
        let Some(owned) = self.owned.get(&partition) else {
            return Ok(());
        };
        let (epoch, handle) = (owned.ledger.epoch(), self.handle.clone());
        // Without this snapshot the next owner reads a little more.
        if owned.ledger.end().position != owned.snapshot {
            self.snapshot(partition).await;
        }
        self.give_up(partition);
        let freed = self
            .asking(async |connection| {
                lease::free(connection, &handle, &[(partition, epoch)]).await
            })
            .await;
        freed.map_err(|source| ReadError::Unavailable {
            log: self.log(),
            source: source.into(),
        })
    }

    /// The handle is gone, and with it its owner.
    async fn give_everything_up(mut self) {
        let owned: Vec<_> = self
            .owned
            .drain()
            .map(|(partition, owned)| (partition, owned.ledger.epoch()))
            .collect();
        for told in &self.told {
            told.gave_up();
        }
        if owned.is_empty() && !self.shares {
            return;
        }
        // If it cannot be said, whoever wants the partitions waits for the lease.
        let handle = self.handle.clone();
        let freed = self
            .asking(async |connection| {
                lease::free(connection, &handle, &owned).await?;
                share::leave(connection, &handle).await
            })
            .await;
        if let (Ok(()), Some(connection)) = (freed, self.connection.take()) {
            drop(connection.close().await);
        }
    }

    fn give_up(&mut self, partition: PartitionId) {
        self.told[partition.get() as usize].gave_up();
        self.owned.remove(&partition);
    }

    /// Writes a recovery snapshot once enough was appended since the last.
    async fn snapshot_if_due(&mut self, partition: PartitionId) {
        let owned = self.owned.get(&partition);
        let due = owned.is_some_and(|owned| {
            snapshot::is_due(&owned.ledger, owned.snapshot, self.snapshot_every)
        });
        if due {
            self.snapshot(partition).await;
        }
    }

    /// One that is not written is tried again after the next append; what was appended is not in doubt.
    async fn snapshot(&mut self, partition: PartitionId) {
        let Some(mut owned) = self.owned.remove(&partition) else {
            return;
        };
        let stored = self
            .asking(async |connection| recovery::store(connection, partition, &owned.ledger).await);
        if stored.await.is_ok() {
            owned.snapshot = owned.ledger.end().position;
        }
        self.owned.insert(partition, owned);
    }

    async fn stored_epoch(&mut self, partition: PartitionId) -> Result<Epoch, sqlx::Error> {
        self.stored_lease(partition).await.map(|(epoch, _)| epoch)
    }

    async fn stored_lease(
        &mut self,
        partition: PartitionId,
    ) -> Result<(Epoch, Position), sqlx::Error> {
        self.asking(async |connection| {
            let query = sqlx::query("select epoch, tail from lease where partition = $1");
            let row = query
                .bind(partition.get() as i32)
                .fetch_one(connection)
                .await?;
            Ok((Epoch::new(row.number(0)?), Position::new(row.number(1)?)))
        })
        .await
    }

    /// The last versions of streams that are not open.
    async fn last_versions(
        &mut self,
        partition: PartitionId,
        streams: &[StreamKey],
    ) -> Result<HashMap<StreamKey, Version>, sqlx::Error> {
        if streams.is_empty() {
            return Ok(HashMap::new());
        }
        let streams: Vec<_> = streams.iter().map(|stream| to_sql(stream.get())).collect();
        self.asking(async |connection| {
            let rows = sqlx::query(
                // One by one, so that any plan looks them up in the index of the streams.
                "select wanted.stream, last.version from unnest($2::bigint[]) as wanted (stream) \
                 cross join lateral (select version + count - 1 as version from log \
                 where partition = $1 and log.stream = wanted.stream order by log.version desc limit 1) last",
            )
            .bind(partition.get() as i32)
            .bind(&streams)
            .fetch_all(connection)
            .await?;
            rows.iter()
                .map(|row| Ok((row.key(0)?, Version::new(row.number(1)?))))
                .collect()
        })
        .await
    }

    /// The first of the names that a stream has.
    async fn taken_name(
        &mut self,
        partition: PartitionId,
        names: &[StreamName],
    ) -> Result<Option<StreamName>, sqlx::Error> {
        let texts: Vec<_> = names.iter().map(StreamName::as_str).collect();
        let taken = self.asking(async |connection| {
            let row = sqlx::query(
                "select min(name.place) - 1 from unnest($2::text[]) with ordinality as name (name, place) \
                 cross join lateral (select log.name from log \
                 where partition = $1 and log.name >= name.name order by log.name limit 1) first \
                 where first.name = name.name",
            )
            .bind(partition.get() as i32)
            .bind(&texts)
            .fetch_one(connection)
            .await?;
            sqlx::Row::try_get::<Option<i64>, _>(&row, 0)
        });
        Ok(taken.await?.map(|index| names[index as usize].clone()))
    }

    /// What is stored at the streams and versions of `rows`.
    async fn occupants(
        &mut self,
        partition: PartitionId,
        rows: &[Row],
    ) -> Result<Vec<Option<Occupant>>, sqlx::Error> {
        let streams: Vec<_> = rows.iter().map(|row| to_sql(row.stream.get())).collect();
        let versions: Vec<_> = rows.iter().map(|row| to_sql(row.version.get())).collect();
        let found = self.asking(async |connection| {
            let rows = sqlx::query(
                "select id, digest, position + count - 1, given.place - 1 \
                 from unnest($2::bigint[], $3::bigint[]) with ordinality as given (stream, version, place) \
                 cross join lateral (select * from log where partition = $1 and log.stream = given.stream \
                 and log.version >= given.version order by log.version limit 1) stored \
                 where stored.version = given.version",
            )
            .bind(partition.get() as i32)
            .bind(&streams)
            .bind(&versions)
            .fetch_all(connection)
            .await?;
            rows.iter()
                .map(|row| Ok((row.number(3)?, row.occupant()?)))
                .collect::<Result<Vec<_>, sqlx::Error>>()
        });
        let mut occupants = vec![None; rows.len()];
        for (index, occupant) in found.await? {
            occupants[index as usize] = Some(occupant);
        }
        Ok(occupants)
    }

    /// Asks over the writing connection, which is made if there is none, and thrown away if it is not
    /// known any more what it is doing.
    async fn asking<T>(
        &mut self,
        ask: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connected = self.place.connect_to_write(self.lock_timeout()).await;
                connected
                    .map_err(|error| sqlx::Error::AnyDriverError(NotConnected(error).into()))?
            }
        };
        let answered = self.place.within(ask(&mut connection)).await;
        let gone = |error: &sqlx::Error| failure::of(error) == Failure::Gone;
        if !answered.as_ref().is_err_and(gone) {
            self.connection = Some(connection);
        }
        answered
    }

    /// Short enough that the server answers before it is given up.
    fn lock_timeout(&self) -> Duration {
        self.place.patience / 2
    }

    fn not_appended(&mut self, partition: PartitionId, error: &sqlx::Error) -> AppendError {
        let log = self.log();
        if let sqlx::Error::AnyDriverError(error) = error
            && let Some(NotConnected(error)) = error.downcast_ref()
        {
            let source = error.to_string().into();
            return Refusal::Unreachable { log, source }.into();
        }
        match failure::of(error) {
            Failure::Full => Refusal::Full { log }.into(),
            Failure::Busy | Failure::Deadlock => Refusal::Busy { log }.into(),
            Failure::ReadOnly(what) | Failure::Denied(what) => {
                Refusal::ReadOnly { log, what }.into()
            }
            _ => {
                // Acquiring again tells what is stored; until then nothing more is appended.
                self.give_up(partition);
                let source = error.to_string().into();
                AppendError::Unknown { log, source }
            }
        }
    }

    fn log(&self) -> String {
        self.place.name.to_string()
    }
}

/// No connection could be made, so nothing was asked.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct NotConnected(sqlx::Error);

/// The append and those behind it that go into one commit: of other partitions, as many as fit.
fn group(first: Append, queue: &mut VecDeque<Command>) -> Vec<Append> {
    let mut partitions = HashSet::from([first.partition]);
    let mut bytes = ledger::size(&first.rows);
    let mut group = vec![first];
    while let Some(Command::Append(next)) = queue.pop_front_if(|next| match next {
        Command::Append(next) => {
            bytes += ledger::size(&next.rows);
            bytes <= MAX_APPEND_BYTES && partitions.insert(next.partition)
        }
        _ => false,
    }) {
        group.push(next);
    }
    group
}
