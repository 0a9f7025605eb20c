//! Looking up names for many partitions in one statement.

use std::sync::{Mutex, PoisonError};

use sagalog_model::log::{PartitionId, StreamName};
use sqlx::PgConnection;
use tokio::{
    select,
    sync::oneshot::{self, error::TryRecvError},
    task::yield_now,
};

use super::reader::Reader;
use crate::{contract::Head, error::ReadError};

/// What each asker is told: a head for each name, in their order.
pub(super) type Heads = Vec<Option<Head>>;

/// The names that are to be looked up. One statement is under way at a time; what is asked for
/// meanwhile goes with the next. Each partition asks once at a time, so this has a bound.
#[derive(Debug, Default)]
pub(super) struct LookUps {
    waiting: Mutex<Vec<LookUp>>,
    /// Whose turn it is, and the connection for it: one of the pool is looked after twice for each statement.
    turn: tokio::sync::Mutex<Option<PgConnection>>,
}

/// Names that somebody wants to know of.
#[derive(Debug)]
pub(super) struct LookUp {
    pub(super) partition: PartitionId,
    pub(super) names: Vec<StreamName>,
    answer: oneshot::Sender<Heads>,
}

impl Reader {
    /// The heads of the streams of these names, found together with what others ask for.
    ///
    /// Waits for the turn and looks everything up that waits, or is answered by another who does.
    pub(super) async fn heads(
        &self,
        partition: PartitionId,
        names: &[StreamName],
    ) -> Result<Heads, ReadError> {
        loop {
            let mut answered = self.look_ups.wait(partition, names);
            let mut turn = select! {
                biased;
                heads = &mut answered => match heads {
                    Ok(heads) => return Ok(heads),
                    // Whoever looked it up went away or failed.
                    Err(_) => continue,
                },
                turn = self.look_ups.turn.lock() => turn,
            };
            // Whoever is about to ask may do so: it costs nothing if there is none.
            yield_now().await;
            match answered.try_recv() {
                Ok(heads) => return Ok(heads),
                Err(TryRecvError::Closed) => continue,
                Err(TryRecvError::Empty) => {}
            }
            let wanted = self.look_ups.take();
            let found = self.look_up(&mut turn, &wanted).await?;
            drop(turn);
            for (wanted, heads) in wanted.into_iter().zip(found) {
                drop(wanted.answer.send(heads));
            }
            if let Ok(heads) = answered.try_recv() {
                return Ok(heads);
            }
        }
    }
}

impl LookUps {
    fn wait(&self, partition: PartitionId, names: &[StreamName]) -> oneshot::Receiver<Heads> {
        let (answer, answered) = oneshot::channel();
        self.waiting().push(LookUp {
            partition,
            names: names.to_vec(),
            answer,
        });
        answered
    }

    fn take(&self) -> Vec<LookUp> {
        let mut wanted = std::mem::take(&mut *self.waiting());
        wanted.retain(|wanted| !wanted.answer.is_closed());
        wanted
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<LookUp>> {
        // It is a list, whatever became of a thread that held it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
