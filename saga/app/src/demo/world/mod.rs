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
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
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
        opening
            .recv()
            .unwrap_or_else(|gone| Err(Unreachable::because(&gone)))?;
        Ok(Self(calls))
    }

    /// Asks for something; what it answers is durable.
    pub(super) async fn ask(&self, asked: Asked) -> Result<Answer, Unreachable> {
        let (answer, answered) = oneshot::channel();
        let gone = || Unreachable("it has ended".into());
        self.0
            .send(Call { asked, answer })
            .await
            .map_err(|_| gone())?;
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
        let answers = settle(&mut store, &calls)
            .await
            .map_err(|error| Unreachable::because(&error));
        for (index, call) in calls.drain(..).enumerate() {
            let answer = answers
                .as_ref()
                .map(|answers| answers[index].clone())
                .map_err(Unreachable::clone);
            // Who asked may have been cancelled; what happened stays.
            drop(call.answer.send(answer));
        }
    }
}

async fn settle(store: &mut Store, calls: &[Call]) -> Result<Vec<Answer>, sqlx::Error> {
    store.begin().await?;
    let settled = settle_alone(store, calls).await;
    store.end(settled).await
}

/// While no other process acts in the world.
async fn settle_alone(store: &mut Store, calls: &[Call]) -> Result<Vec<Answer>, sqlx::Error> {
    let keys = calls.iter().flat_map(|call| call.asked.keys());
    let mut book = Book::of(store.pages(keys).await?);
    let answers = calls.iter().map(|call| book.settle(&call.asked)).collect();
    store.write(&book.into_news()).await?;
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(direction: &str, wish: Wish) -> Asked {
        let deed = Deed {
            saga: "o-1".into(),
            step: "charge".into(),
        };
        let (key, action_key) = (
            format!("o-1/charge/{direction}").into(),
            "o-1/charge/action".into(),
        );
        Asked {
            key,
            action_key,
            deed,
            wish,
        }
    }

    async fn effects(folder: &Path) -> Vec<String> {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join(FILE));
        let mut store = sqlx::ConnectOptions::connect(&options)
            .await
            .expect("the world is there");
        let directions =
            sqlx::query_scalar("select direction from effects order by applied_at, key");
        directions
            .fetch_all(&mut store)
            .await
            .expect("it has this table")
    }

    #[tokio::test]
    async fn undoing_what_was_never_done_leaves_no_effect_and_forbids_it_for_ever() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let world = World::open(folder.path()).expect("it opens");
        let undone = world
            .ask(asked("compensation", Wish::Undo))
            .await
            .expect("it answers");
        assert_eq!(undone, Answer::Done("null".into()));
        drop(world);
        let world = World::open(folder.path()).expect("it opens again");
        let late = world
            .ask(asked("action", Wish::Do("1".into())))
            .await
            .expect("it answers");
        assert!(matches!(late, Answer::Refused(_)), "{late:?}");
        assert_eq!(effects(folder.path()).await, [""; 0]);
    }

    #[test]
    fn a_new_world_may_be_opened_by_many_at_once() {
        for _ in 0..8 {
            let folder = tempfile::tempdir().expect("there is room for a folder");
            thread::scope(|scope| {
                let opening: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| World::open(folder.path())))
                    .collect();
                for opened in opening {
                    let opened = opened.join().expect("it does not panic");
                    assert_eq!(opened.err().map(|error| error.to_string()), None);
                }
            });
        }
    }

    #[tokio::test]
    async fn an_effect_and_its_answer_outlive_the_process() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        for _ in 0..2 {
            let world = World::open(folder.path()).expect("it opens");
            let done = world
                .ask(asked("action", Wish::Do("1".into())))
                .await
                .expect("it answers");
            assert_eq!(done, Answer::Done("1".into()));
            let undone = world
                .ask(asked("compensation", Wish::Undo))
                .await
                .expect("it answers");
            assert_eq!(undone, Answer::Done("null".into()));
        }
        assert_eq!(effects(folder.path()).await, ["action", "compensation"]);
    }

    #[tokio::test]
    async fn how_often_something_stumbled_outlives_the_process() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let mut answers = Vec::new();
        for _ in 0..3 {
            let world = World::open(folder.path()).expect("it opens");
            let wish = Wish::Stumble {
                times: 2,
                reason: "busy",
                output: "1".into(),
            };
            answers.push(world.ask(asked("action", wish)).await.expect("it answers"));
        }
        assert_eq!(
            answers,
            [
                Answer::Stumbled("busy"),
                Answer::Stumbled("busy"),
                Answer::Done("1".into())
            ]
        );
    }
}
