//! Taking a partition: watching who has it, raising the epoch, ending what its last owner left.

use std::time::Duration;

use sagalog_model::log::{Epoch, PartitionId};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use super::{
    failure::{self, Failure},
    place::Place,
    recovery,
};
use crate::{
    error::{AcquireError, Damage},
    ledger::{End, Ledger},
    owner::{Holder, Owner},
    sql::{
        columns::Columns,
        snapshot::{NotRecovered, Recovered},
    },
};

/// How long a statement of the last owner is waited for before its connection is ended.
const WAIT_OUT: Duration = Duration::from_secs(1);

/// A partition that was taken.
pub(super) struct Taken {
    pub(super) ledger: Ledger,
    /// Up to where its recovery snapshot goes.
    pub(super) snapshot: sagalog_model::log::Position,
}

/// Who takes a partition, and how long its owner may be silent.
pub(super) struct Taking<'a> {
    pub(super) place: &'a Place,
    pub(super) partition: PartitionId,
    /// The handle that takes it.
    pub(super) handle: &'a str,
    pub(super) owner: &'a Owner,
    pub(super) lease: Duration,
}

/// A lease row.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Seen {
    epoch: i64,
    renewal: i64,
    tail: i64,
    holder: String,
    owner: String,
}

/// Why a partition was not taken.
enum NotTaken {
    Held(Holder),
    Damaged(Damage),
    Store(sqlx::Error),
}

impl From<sqlx::Error> for NotTaken {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error)
    }
}

impl Taking<'_> {
    /// Takes the partition. This has a connection of its own, so that no commit of another partition
    /// waits for what it waits for.
    pub(super) async fn take(&self) -> Result<Taken, AcquireError> {
        let began = Instant::now();
        loop {
            match self.attempt().await {
                Ok(taken) => return Ok(taken),
                // A connection was lost; if the epoch was raised, this handle is the holder by now.
                Err(NotTaken::Store(error))
                    if failure::of(&error) == Failure::Gone
                        && began.elapsed() < self.place.patience => {}
                Err(NotTaken::Store(error)) => {
                    return Err(AcquireError::Unavailable {
                        log: self.log(),
                        source: error.into(),
                    });
                }
                Err(NotTaken::Held(by)) => {
                    return Err(AcquireError::Held {
                        log: self.log(),
                        by,
                    });
                }
                Err(NotTaken::Damaged(damage)) => return Err(damage.into()),
            }
        }
    }

    async fn attempt(&self) -> Result<Taken, NotTaken> {
        let mut connection = self.place.connect_to_write(WAIT_OUT).await?;
        let (epoch, end) = loop {
            let seen = self.wait_until_silent(&mut connection).await?;
            // Whoever was faster is watched in turn.
            if let Some(raised) = self.raise(&mut connection, &seen).await? {
                break raised;
            }
        };
        let recovered = recovery::recover(&mut connection, self.partition, end).await;
        let Recovered {
            end,
            open,
            snapshot,
        } = recovered.map_err(|error| self.not_recovered(error))?;
        Ok(Taken {
            ledger: Ledger::new(self.partition, epoch, end, open),
            snapshot,
        })
    }

    /// Waits until nobody is seen to own the partition: it was released, or its owner gave no sign for
    /// a lease by the clock of this process. A server that does not answer is not that owner's silence,
    /// and neither is a stop of this process: such spans do not count.
    async fn wait_until_silent(&self, connection: &mut PgConnection) -> Result<Seen, NotTaken> {
        let pause = (self.lease / 20).clamp(Duration::from_millis(5), Duration::from_millis(250));
        let first = self.see(connection).await?;
        let (mut seen, mut silent) = (first.clone(), Duration::ZERO);
        while !self.is_free(&seen) && silent < self.lease {
            let asleep = Instant::now();
            sleep(pause).await;
            seen = self.see(connection).await?;
            if !self.is_free(&seen) && seen != first {
                return Err(NotTaken::Held(Holder::from_text(&seen.owner)));
            }
            silent += asleep.elapsed().min(2 * pause);
        }
        Ok(seen)
    }

    fn is_free(&self, seen: &Seen) -> bool {
        seen.holder.is_empty() || seen.holder == self.handle
    }

    async fn see(&self, connection: &mut PgConnection) -> Result<Seen, sqlx::Error> {
        let see = sqlx::query_as(
            "select epoch, renewal, tail, holder, owner from lease where partition = $1",
        );
        let see = see.bind(self.partition.get() as i32).fetch_one(connection);
        let (epoch, renewal, tail, holder, owner) = self.place.within(see).await?;
        Ok(Seen {
            epoch,
            renewal,
            tail,
            holder,
            owner,
        })
    }

    /// Raises the epoch, if the lease is still as it was seen. A statement of the last owner that is
    /// under way holds the row: it is waited for, and then its connection is ended. So what this reads is
    /// where the partition ends for good.
    async fn raise(
        &self,
        connection: &mut PgConnection,
        seen: &Seen,
    ) -> Result<Option<(Epoch, End)>, sqlx::Error> {
        let began = Instant::now();
        loop {
            let raise = sqlx::query(
                "update lease set epoch = epoch + 1, renewal = renewal + 1, holder = $3, owner = $4 \
                 where partition = $1 and epoch = $2 and holder = $5 \
                 and (holder in ('', $3) or (renewal = $6 and tail = $7)) \
                 returning epoch, tail, at, chain",
            );
            let raise = raise
                .bind(self.partition.get() as i32)
                .bind(seen.epoch)
                .bind(self.handle)
                .bind(self.owner.to_text())
                .bind(&seen.holder)
                .bind(seen.renewal)
                .bind(seen.tail)
                .fetch_optional(&mut *connection);
            match self.place.within(raise).await {
                Ok(row) => {
                    let raised = row.map(|row| Ok((Epoch::new(row.number(0)?), row.end(1)?)));
                    return raised.transpose();
                }
                Err(error)
                    if failure::of(&error) == Failure::Busy
                        && began.elapsed() < self.place.patience =>
                {
                    self.end_who_holds_it(connection).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends the connection whose statement holds the lease row. Its client may be gone or frozen in the
    /// middle of it; nothing of that statement is written then.
    async fn end_who_holds_it(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let end = sqlx::query(
            "select pg_terminate_backend(holding.pid) from lease, pg_locks holding \
             where lease.partition = $1 and holding.locktype = 'transactionid' \
             and holding.transactionid = lease.xmax and holding.granted",
        );
        let end = end.bind(self.partition.get() as i32).execute(connection);
        self.place.within(end).await?;
        Ok(())
    }

    fn not_recovered(&self, error: NotRecovered) -> NotTaken {
        match error {
            NotRecovered::Store(error) => NotTaken::Store(error),
            NotRecovered::Contradiction { position, what } => NotTaken::Damaged(Damage {
                log: self.log(),
                position: Some(position),
                what: what.to_owned(),
            }),
        }
    }

    fn log(&self) -> String {
        self.place.name.to_string()
    }
}

/// Gives partitions up that this handle has under these epochs.
pub(super) async fn free(
    connection: &mut PgConnection,
    handle: &str,
    partitions: &[(PartitionId, Epoch)],
) -> Result<(), sqlx::Error> {
    let (partitions, epochs): (Vec<_>, Vec<_>) = partitions
        .iter()
        .map(|(partition, epoch)| (partition.get() as i32, epoch.get() as i64))
        .unzip();
    sqlx::query(
        "update lease set holder = '', owner = '' \
         from unnest($1::integer[], $2::bigint[]) as given (partition, epoch) \
         where lease.partition = given.partition and lease.epoch = given.epoch and lease.holder = $3",
    )
    .bind(partitions)
    .bind(epochs)
    .bind(handle)
    .execute(connection)
    .await?;
    Ok(())
}

/// Says that their owner is alive; gives back which of them it still owns.
pub(super) async fn renew(
    connection: &mut PgConnection,
    handle: &str,
    partitions: &[(PartitionId, Epoch)],
) -> Result<Vec<PartitionId>, sqlx::Error> {
    let (partitions, epochs): (Vec<_>, Vec<_>) = partitions
        .iter()
        .map(|(partition, epoch)| (partition.get() as i32, epoch.get() as i64))
        .unzip();
    let renewed: Vec<i32> = sqlx::query_scalar(
        "update lease set renewal = renewal + 1 \
         from unnest($1::integer[], $2::bigint[]) as given (partition, epoch) \
         where lease.partition = given.partition and lease.epoch = given.epoch and lease.holder = $3 \
         returning lease.partition",
    )
    .bind(partitions)
    .bind(epochs)
    .bind(handle)
    .fetch_all(connection)
    .await?;
    Ok(renewed
        .into_iter()
        .map(|partition| PartitionId::new(partition as u32))
        .collect())
}
