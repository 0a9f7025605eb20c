//! The task that owns the writing connection.
//!
//! It alone writes, one statement per append and nothing around it: no transaction that a dropped
//! future could leave open, no pool that could hand such a connection on, no `select!`. Callers
//! talk to it through a bounded queue and may go away meanwhile.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use sagalog_model::log::{Epoch, Position, StreamKey, StreamName, Version};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::{
    failure::{self, Failure},
    insert,
    lock::{Lock, NotLocked},
    recovery::{self, PARTITION},
};
use crate::{
    contract::{Appended, Ownership},
    error::{AcquireError, AppendError, Broken, Conflict, Damage, ReadError, Refusal, RenewError},
    ledger::{self, Ledger, Occupant},
    owner::Owner,
    row::Row,
    sql::{
        columns::Columns,
        follow::Told,
        snapshot::{self, NotRecovered, Recovered},
    },
};

/// What the writer is asked to do.
pub(super) enum Command {
    Acquire {
        owner: Owner,
        answer: oneshot::Sender<Result<Ownership, AcquireError>>,
    },
    Renew {
        epoch: Epoch,
        answer: oneshot::Sender<Result<(), RenewError>>,
    },
    Append {
        epoch: Epoch,
        rows: Vec<Row>,
        answer: oneshot::Sender<Result<Appended, AppendError>>,
    },
    Release {
        answer: oneshot::Sender<Result<(), ReadError>>,
    },
    /// Answered when the file is closed.
    Close { answer: oneshot::Sender<()> },
}

pub(super) struct Writer {
    pub(super) connection: SqliteConnection,
    pub(super) log: Arc<str>,
    pub(super) lock_file: PathBuf,
    pub(super) snapshot_every: u64,
    /// Where readers see how far the log is.
    pub(super) told: Told,
    pub(super) owned: Option<Owned>,
    /// Set by the first failure after which nothing is certain; from then on nothing is written.
    pub(super) broken: Option<Broken>,
}

/// Fields are dropped in this order: the lock goes last.
pub(super) struct Owned {
    ledger: Ledger,
    /// Up to where the recovery snapshot goes.
    snapshot: Position,
    lock: Lock,
}

impl Writer {
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut closed = None;
        while let Some(command) = commands.recv().await {
            // Whoever asked may be gone, which changes nothing.
            match command {
                Command::Acquire { owner, answer } => drop(answer.send(self.acquire(owner).await)),
                Command::Renew { epoch, answer } => drop(answer.send(self.renew(epoch).await)),
                Command::Append {
                    epoch,
                    rows,
                    answer,
                } => {
                    drop(answer.send(self.append(epoch, rows).await));
                    self.snapshot_if_due().await;
                }
                Command::Release { answer } => drop(answer.send(self.release().await)),
                Command::Close { answer } => {
                    closed = Some(answer);
                    break;
                }
            }
        }
        // The connection closes before the lock goes, so the next owner finds no writer.
        let Self {
            connection,
            owned,
            told,
            ..
        } = self;
        let _ = connection.close().await;
        told.gave_up();
        drop(owned);
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }

    async fn acquire(&mut self, owner: Owner) -> Result<Ownership, AcquireError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone().into());
        }
        let lock = match self.owned.take() {
            Some(owned) => owned.lock,
            None => Lock::take(&self.lock_file, &owner).map_err(|error| self.not_locked(error))?,
        };
        let epoch = self
            .raise(&owner)
            .await
            .map_err(|error| self.not_acquired(error))?;
        let recovered = recovery::recover(&mut self.connection).await;
        let Recovered {
            end,
            open,
            snapshot,
        } = recovered.map_err(|error| self.not_recovered(error))?;
        let ledger = Ledger::new(PARTITION, epoch, end, open);
        let ownership = ledger.ownership();
        self.told.owns(end.position);
        self.owned = Some(Owned {
            ledger,
            snapshot,
            lock,
        });
        Ok(ownership)
    }

    /// Raises the epoch durably.
    async fn raise(&mut self, owner: &Owner) -> Result<Epoch, sqlx::Error> {
        let epoch = self.stored_epoch().await?;
        let raised = sqlx::query(
            "update ownership set epoch = ?2, owner = ?3 where partition = 0 and epoch = ?1",
        )
        .bind(epoch.get() as i64)
        .bind(epoch.next().get() as i64)
        .bind(owner.to_string())
        .execute(&mut self.connection)
        .await?;
        if raised.rows_affected() != 1 {
            return Err(sqlx::Error::Protocol(
                "another process raised the epoch without holding the lock".to_owned(),
            ));
        }
        Ok(epoch.next())
    }

    /// There is nothing to renew: the lock is held as long as it is owned.
    async fn renew(&mut self, epoch: Epoch) -> Result<(), RenewError> {
        let current = match &self.owned {
            Some(owned) => owned.ledger.epoch(),
            None => self
                .stored_epoch()
                .await
                .map_err(|error| RenewError::Unavailable {
                    log: self.log.to_string(),
                    source: error.into(),
                })?,
        };
        ledger::renewed(PARTITION, epoch, current, self.owned.is_some())
    }

    async fn append(&mut self, epoch: Epoch, mut rows: Vec<Row>) -> Result<Appended, AppendError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone().into());
        }
        let Some(owned) = &self.owned else {
            let current = self
                .stored_epoch()
                .await
                .map_err(|error| self.not_appended(&error))?;
            if current > epoch {
                return Err(AppendError::Fenced {
                    partition: PARTITION,
                    epoch,
                    current,
                });
            }
            return Err(AppendError::NotOwned {
                partition: PARTITION,
            });
        };
        owned.ledger.fence(epoch)?;
        let unknown = owned.ledger.unknown(&rows);
        let looked_up = match last_versions(&mut self.connection, &unknown).await {
            Ok(looked_up) => looked_up,
            Err(error) => return Err(self.not_appended(&error)),
        };
        if let Err(conflict) = owned.ledger.admit(&rows, &looked_up) {
            return self.settle(conflict, &rows).await;
        }
        owned.ledger.on_time(&rows)?;
        owned.ledger.seal(&mut rows);
        let tail = owned.ledger.end().position;
        match insert::insert(&mut self.connection, &rows, epoch, tail).await {
            Ok(inserted) if inserted.rows_affected() == rows.len() as u64 => Ok(self.stored(&rows)),
            Ok(inserted) if inserted.rows_affected() == 0 => self.moved_on(epoch, &rows).await,
            Ok(inserted) => {
                let what = format!(
                    "{} of {} rows were stored",
                    inserted.rows_affected(),
                    rows.len()
                );
                Err(self.breaks(what).into())
            }
            Err(error) if failure::of(&error) == Failure::Constraint => {
                match self.taken(&rows).await {
                    Ok(conflict) => self.settle(conflict, &rows).await,
                    Err(error) => Err(self.not_appended(&error)),
                }
            }
            Err(error) => Err(self.not_appended(&error)),
        }
    }

    fn stored(&mut self, rows: &[Row]) -> Appended {
        let owned = self
            .owned
            .as_mut()
            .expect("only an owner appends, and appending does not end that");
        let appended = owned.ledger.stored(rows);
        self.told.moved(appended.last);
        appended
    }

    /// The statement found another epoch or another tail than this owner knows: somebody wrote
    /// past the lock, or the file was exchanged.
    async fn moved_on(&mut self, epoch: Epoch, rows: &[Row]) -> Result<Appended, AppendError> {
        let current = self
            .stored_epoch()
            .await
            .map_err(|error| self.not_appended(&error))?;
        if current != epoch {
            self.give_up();
            return Err(AppendError::Fenced {
                partition: PARTITION,
                epoch,
                current,
            });
        }
        let end = recovery::end(&mut self.connection, Position::new(i64::MAX as u64)).await;
        let tail = end.map_err(|error| self.not_appended(&error))?.position;
        self.settle(
            Conflict::Position {
                given: rows[0].position,
                tail,
            },
            rows,
        )
        .await
    }

    async fn settle(&mut self, conflict: Conflict, rows: &[Row]) -> Result<Appended, AppendError> {
        let occupants = occupants(&mut self.connection, rows).await;
        ledger::settle(
            conflict,
            rows,
            &occupants.map_err(|error| self.not_appended(&error))?,
        )
    }

    /// Which unique key refused the rows: a name, or else a place.
    async fn taken(&mut self, rows: &[Row]) -> Result<Conflict, sqlx::Error> {
        for name in rows.iter().filter_map(|row| row.name.as_ref()) {
            let stream = sqlx::query("select stream from log where name = ?1").bind(name.as_str());
            if stream.fetch_optional(&mut self.connection).await?.is_some() {
                return Ok(Conflict::Name {
                    name: StreamName::clone(name),
                });
            }
        }
        let end = recovery::end(&mut self.connection, Position::new(i64::MAX as u64)).await?;
        Ok(Conflict::Position {
            given: rows[0].position,
            tail: end.position,
        })
    }

    async fn release(&mut self) -> Result<(), ReadError> {
        let Some(owned) = &self.owned else {
            return Ok(());
        };
        let current = owned.ledger.end().position == owned.snapshot;
        // Without this snapshot the next start reads a little more.
        let stored = if current || self.broken.is_some() {
            Ok(())
        } else {
            recovery::store(&mut self.connection, &owned.ledger).await
        };
        if self.broken.is_none() {
            self.fold_in().await;
        }
        self.give_up();
        stored.map_err(|source| ReadError::Unavailable {
            log: self.log.to_string(),
            source: source.into(),
        })
    }

    /// Moves what is in the write-ahead log into the file itself, so that a copy of the file is a copy
    /// of the log. It waits for no reader: what one still needs stays where it is, as safe as before.
    async fn fold_in(&mut self) {
        let checkpoint = sqlx::query("pragma wal_checkpoint(passive)");
        drop(checkpoint.execute(&mut self.connection).await);
    }

    fn give_up(&mut self) {
        self.told.gave_up();
        self.owned = None;
    }

    /// Writes a recovery snapshot once enough was appended since the last.
    async fn snapshot_if_due(&mut self) {
        let Some(owned) = &mut self.owned else { return };
        if self.broken.is_some()
            || !snapshot::is_due(&owned.ledger, owned.snapshot, self.snapshot_every)
        {
            return;
        }
        match recovery::store(&mut self.connection, &owned.ledger).await {
            Ok(()) => owned.snapshot = owned.ledger.end().position,
            // It is tried again after the next append; what was appended is not in doubt.
            Err(error) => drop(self.not_appended(&error)),
        }
    }

    async fn stored_epoch(&mut self) -> Result<Epoch, sqlx::Error> {
        let query = sqlx::query("select epoch from ownership where partition = 0");
        let row = query.fetch_one(&mut self.connection).await?;
        Ok(Epoch::new(row.number(0)?))
    }

    /// The first failure is the one that is told from then on.
    fn breaks(&mut self, what: String) -> Broken {
        let broken = Broken {
            log: self.log.to_string(),
            what,
        };
        self.broken.get_or_insert(broken).clone()
    }

    fn not_appended(&mut self, error: &sqlx::Error) -> AppendError {
        let log = self.log.to_string();
        match failure::of(error) {
            Failure::Full => Refusal::Full { log }.into(),
            Failure::Busy => Refusal::Busy { log }.into(),
            Failure::ReadOnly(what) => Refusal::ReadOnly { log, what }.into(),
            Failure::Corrupt(what) | Failure::Io(what) => self.breaks(what).into(),
            Failure::NotADatabase => self
                .breaks("the file is not a log any more".to_owned())
                .into(),
            Failure::Constraint | Failure::Other(_) => {
                // Acquiring again tells what is stored; until then nothing more is appended.
                let source = error.to_string().into();
                AppendError::Unknown { log, source }
            }
        }
    }

    fn not_locked(&self, error: NotLocked) -> AcquireError {
        let log = self.log.to_string();
        match error {
            NotLocked::Held(by) => AcquireError::Held { log, by },
            NotLocked::Failed(error) => AcquireError::Unavailable {
                log,
                source: error.into(),
            },
        }
    }

    fn not_recovered(&mut self, error: NotRecovered) -> AcquireError {
        match error {
            NotRecovered::Store(error) => self.not_acquired(error),
            NotRecovered::Contradiction { position, what } => Damage {
                log: self.log.to_string(),
                position: Some(position),
                what: what.to_owned(),
            }
            .into(),
        }
    }

    fn not_acquired(&mut self, error: sqlx::Error) -> AcquireError {
        self.told.gave_up();
        let log = self.log.to_string();
        match failure::of(&error) {
            Failure::Corrupt(what) => Damage {
                log,
                position: None,
                what,
            }
            .into(),
            Failure::NotADatabase => Damage {
                log,
                position: None,
                what: "the file is not a log".to_owned(),
            }
            .into(),
            Failure::Io(what) => self.breaks(what).into(),
            _ => AcquireError::Unavailable {
                log,
                source: error.into(),
            },
        }
    }
}

/// The last versions of streams that are not open.
async fn last_versions(
    connection: &mut SqliteConnection,
    streams: &[StreamKey],
) -> Result<HashMap<StreamKey, Version>, sqlx::Error> {
    if streams.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(
        "select stream, max(version) + count - 1 from log where stream in (select value from json_each(?1)) group by stream",
    )
    .bind(super::json(streams))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((row.key(0)?, Version::new(row.number(1)?))))
        .collect()
}

/// What is stored at the streams and versions of `rows`.
async fn occupants(
    connection: &mut SqliteConnection,
    rows: &[Row],
) -> Result<Vec<Option<Occupant>>, sqlx::Error> {
    let mut occupants = Vec::with_capacity(rows.len());
    for row in rows {
        let query = sqlx::query(
            "select id, digest, position + count - 1 from log where stream = ?1 and version = ?2",
        );
        let query = query
            .bind(row.stream.get() as i64)
            .bind(row.version.get() as i64);
        let found = query.fetch_optional(&mut *connection).await?;
        occupants.push(found.as_ref().map(Columns::occupant).transpose()?);
    }
    Ok(occupants)
}
