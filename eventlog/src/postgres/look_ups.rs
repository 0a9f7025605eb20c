//! Looking up names for many partitions in one statement.

use std::sync::Arc;

use sagalog_model::log::{PartitionId, StreamName};
use sqlx::PgConnection;
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::Instant,
};

use super::place::Place;
use crate::{contract::Head, sql::columns::Columns};

/// How many may wait to be asked about; more wait to get into the queue.
const QUEUE: usize = 64;

/// What each asker is told: a head for each name, in their order.
type Heads = Vec<Option<Head>>;

/// Asks the task that looks names up. One statement is under way at a time, over a connection of its own, as one
/// of a pool is looked after twice for each statement; what is asked for meanwhile goes with the next.
///
/// It is a task, and not done by whoever asks first: that one may stop to be polled in the middle, as a
/// driver does with its look-up while it takes a partition over, and nobody may wait for that.
#[derive(Clone, Debug)]
pub(super) struct LookUps(mpsc::Sender<LookUp>);

/// Names that somebody wants to know of.
struct LookUp {
    partition: PartitionId,
    names: Vec<StreamName>,
    answer: oneshot::Sender<Result<Heads, Arc<sqlx::Error>>>,
}

impl LookUps {
    /// Starts the task; it ends when nobody can ask any more.
    pub(super) fn start(place: Place) -> Self {
        let (asked, wanted) = mpsc::channel(QUEUE);
        let task = Task {
            place,
            connection: None,
        };
        tokio::spawn(task.run(wanted));
        Self(asked)
    }

    /// The heads of the streams of these names.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub(super) async fn heads(
        &self,
        partition: PartitionId,
        names: &[StreamName],
    ) -> Result<Heads, Arc<sqlx::Error>> {
        let (answer, answered) = oneshot::channel();
        let wanted = LookUp {
            partition,
            names: names.to_vec(),
            answer,
        };
        let gone = || Arc::new(sqlx::Error::WorkerCrashed);
        self.0.send(wanted).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

struct Task {
    place: Place,
    connection: Option<PgConnection>,
}

impl Task {
    async fn run(mut self, mut asked: mpsc::Receiver<LookUp>) {
        let mut wanted = Vec::with_capacity(QUEUE);
        while asked.recv_many(&mut wanted, QUEUE).await > 0 {
            // Whoever is about to ask may do so: it costs nothing if there is none.
            yield_now().await;
            while wanted.len() < QUEUE
                && let Ok(another) = asked.try_recv()
            {
                wanted.push(another);
            }
            wanted.retain(|wanted| !wanted.answer.is_closed());
            match self.look_up(&wanted).await {
                Ok(found) => {
                    for (wanted, heads) in wanted.drain(..).zip(found) {
                        // Whoever asked may have gone.
                        drop(wanted.answer.send(Ok(heads)));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    for wanted in wanted.drain(..) {
                        drop(wanted.answer.send(Err(error.clone())));
                    }
                }
            }
        }
    }

    /// The heads of what is wanted, for each who wants some. It is asked again if the connection was lost:
    /// reading changes nothing.
    async fn look_up(&mut self, wanted: &[LookUp]) -> Result<Vec<Heads>, sqlx::Error> {
        let (mut partitions, mut names, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (asker, wanted) in wanted.iter().enumerate() {
            for (index, name) in wanted.names.iter().enumerate() {
                partitions.push(wanted.partition.get() as i32);
                names.push(name.as_str());
                places.push((asker, index));
            }
        }
        let began = Instant::now();
        let found = loop {
            let looking = look_up_over(&mut self.connection, &self.place, &partitions, &names);
            match self.place.within(looking).await {
                Ok(found) => break found,
                Err(error) => self.place.before_again(began, error).await?,
            }
        };
        let mut heads: Vec<_> = wanted
            .iter()
            .map(|wanted| vec![None; wanted.names.len()])
            .collect();
        for (place, head) in found {
            let (asker, index) = places[place as usize];
            heads[asker][index] = Some(head);
        }
        Ok(heads)
    }
}

/// The place among the names and the head of each that is there. The connection is gone if something
/// goes wrong.
async fn look_up_over(
    connection: &mut Option<PgConnection>,
    place: &Place,
    partitions: &[i32],
    names: &[&str],
) -> Result<Vec<(u64, Head)>, sqlx::Error> {
    let mut reader = match connection.take() {
        Some(reader) => reader,
        None => place.connect_to_read().await?,
    };
    let query = sqlx::query(
        // The first at or behind a name, so that any plan looks it up in the index of the names. A plan
        // is kept, and the one for an equal name may be to read all of them, as if they stayed few.
        "select name.place - 1, first.stream, last.version + last.count - 1, last.state::bigint \
         from unnest($1::integer[], $2::text[]) with ordinality as name (partition, name, place) \
         cross join lateral (select log.name, stream from log \
         where partition = name.partition and log.name >= name.name order by log.name limit 1) first \
         cross join lateral (select version, count, state from log \
         where partition = name.partition and stream = first.stream order by version desc limit 1) last \
         where first.name = name.name",
    );
    let rows = query
        .bind(partitions)
        .bind(names)
        .fetch_all(&mut reader)
        .await?;
    *connection = Some(reader);
    rows.iter()
        .map(|row| Ok((row.number(0)?, row.head(1)?)))
        .collect()
}
