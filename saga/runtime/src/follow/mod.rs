//! Following a log from outside the processes that drive it: read models, search indexes, alarms.
//!
//! A [`Follower`] reads the published log of all partitions, or of some. It hands out every row once behind the
//! [`Checkpoint`] it began at, in the order of its partition, and needs no access to the log itself as long as the
//! streams have everything. What they have twice is passed over. What they do not have, because it was cut off or a
//! stream was deleted, is read from the log if the follower was given it with
//! [`store`](FollowerBuilder::store); without it, a gap is an error.
//!
//! ```no_run
//! use std::sync::Arc;
//! use sagalog::{PostgresLog, RabbitStreams, follow::Follower, postgres::{Checkpoints, sqlx::{self, PgPool}}};
//!
//! # async fn count(pool: PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let checkpoints = Checkpoints::on(pool.clone(), "sagalog_followers").await?;
//! let mut follower = Follower::of(Arc::new(RabbitStreams::connect("amqp://localhost/shop").await?))
//!     .store(Arc::new(PostgresLog::read_only("postgres://localhost/shop", Default::default()).await?))
//!     .from(checkpoints.load("counter").await?)
//!     .start();
//! loop {
//!     let page = follower.next().await?;
//!     let mut transaction = pool.begin().await?;
//!     let events = page.rows.iter().map(|named| named.row.events.len() as i64).sum::<i64>();
//!     sqlx::query("update counter set events = events + $1").bind(events).execute(&mut *transaction).await?;
//!     checkpoints.store(&mut transaction, "counter", &page).await?;
//!     transaction.commit().await?;
//! }
//! # }
//! ```
//!
//! **Exactly once** is what the checkpoint makes of it. Stored in the transaction of what was made of a page, both
//! are there or neither is, and a follower that was killed goes on behind what it has. Stored anywhere else, what was
//! made of the last pages is made again after a crash; a follower that can do a position twice without harm may
//! keep its checkpoints in a file, with [`CheckpointStore`](sagalog_eventlog::CheckpointStore).
//!
//! **Every row is verified** by the chain of hashes: it is what was appended, and nothing before it is missing since
//! the checkpoint. A row that does not fit is read from the store, or is an error.
//!
//! **Bounds.** Of each partition 64 messages are on their way from the broker, 16 are looked at at a time, and
//! two pages in all wait for [`next`](Follower::next). A follower that is slow is given no more meanwhile; it holds up
//! nobody else. If the streams cut off what it has not read, it reads that from the store.
//!
//! **A stream that gives nothing** for 5 seconds is checked against the store, if there is one: so a follower goes on,
//! from the store alone, also when the log is not published or the broker is gone.

mod checkpoint;
mod compare;
mod follower;
mod partition;

pub use checkpoint::Checkpoint;
pub use compare::{CompareError, Compared, compare};
pub use follower::{FollowError, Follower, FollowerBuilder, Page};
