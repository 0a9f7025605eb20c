//! The outside world of the demo: what its participants have done, in a database of their own.
//!
//! It stands for the databases of inventory, payments and shipping, and keeps a participant's half
//! of the contract: an effect once per idempotency key, outcomes that are answered again, and a
//! tombstone for an action that was undone before it came.

mod book;
mod store;

use std::{fmt, path::Path, sync::Arc, thread};

use tokio::sync::{mpsc, oneshot};

pub(super) use self::book::{Answer, Asked, Deed, Wish};
use self::{book::Book, store::Store};

/// The world's file in a folder.
pub(super) const FILE: &str = "world.db";

/// Requests that wait; further callers wait to get in.
const QUEUE: usize = 1_024;

/// Requests that share a commit.
const BATCH: usize = 256;

/// A handle on the world. Cheap to clone; usable from any task.
#[derive(Clone)]
pub(super) struct World(mpsc::Sender<Call>);

/// A request, and where its answer goes.
struct Call {
    asked: Asked,
    answer: oneshot::Sender<Result<Answer, Unreachable>>,
}

/// The world could not be reached, or could not tell: what was asked may have happened or not.
#[derive(Clone, Debug)]
pub(super) struct Unreachable(Arc<str>);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the outside world cannot be reached: {}", self.0)
    }
}

impl std::error::Error for Unreachable {}

impl World {
    /// Opens the world in a folder, or makes a new one there. It lives on a thread of its own, as
    /// other services do, until the last handle is gone.
    pub(super) fn open(folder: &Path) -> Result<Self, Unreachable> {
        let file = folder.join(FILE);
        let (calls, taken) = mpsc::channel(QUEUE);
        let (opened, opening) = std::sync::mpsc::channel();
        let thread = thread::Builder::new().name("world".into());
        let spawned = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(opened.send(Err(Unreachable::because(&error)))),
            };
            runtime.block_on(async {
                match Store::open(&file).await {
                    Ok(store) => {
                        drop(opened.send(Ok(())));
                        serve(store, taken).await;
                    }
                    Err(error) => drop(opened.send(Err(Unreachable::because(&error)))),
                }
            });
        });
        spawned.map_err(|error| Unreachable::because(&error))?;
        opening.recv().unwrap_or_else(|gone| Err(Unreachable::because(&gone)))?;
        Ok(Self(calls))
    }

    /// Asks for something; what it answers is durable.
    pub(super) async fn ask(&self, asked: Asked) -> Result<Answer, Unreachable> {
        let (answer, answered) = oneshot::channel();
        let gone = || Unreachable("it has ended".into());
        self.0.send(Call { asked, answer }).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Unreachable {
    fn because(error: &dyn std::error::Error) -> Self {
        Self(crate::error::chain(error).into())
    }
}

/// One commit for all that has come meanwhile.
async fn serve(mut store: Store, mut taken: mpsc::Receiver<Call>) {
    let mut calls = Vec::with_capacity(BATCH);
    while taken.recv_many(&mut calls, BATCH).await > 0 {
        let answers = settle(&mut store, &calls).await.map_err(|error| Unreachable::because(&error));
        for (index, call) in calls.drain(..).enumerate() {
            let answer = answers.as_ref().map(|answers| answers[index].clone()).map_err(Unreachable::clone);
            // Who asked may have been cancelled; what happened stays.
            drop(call.answer.send(answer));
        }
    }
}

async fn settle(store: &mut Store, calls: &[Call]) -> Result<Vec<Answer>, sqlx::Error> {
    let keys = calls.iter().flat_map(|call| call.asked.keys());
    let mut book = Book::of(store.pages(keys).await?);
    let answers = calls.iter().map(|call| book.settle(&call.asked)).collect();
    store.write(&book.into_news()).await?;
    Ok(answers)
}
