//! Drafts and appends batches, as an owner would.

use std::{collections::HashMap, future::Future, pin::pin, sync::Arc};

use sagalog_model::log::{
    Batch, BatchId, Data, Digest, Epoch, InputId, NewEvent, Position, SchemaVersion, StreamKey,
    StreamName, StreamState, Time, Version,
};

use super::{PARTITION, Subject};
use crate::{
    contract::{Appended, EventLog, Ownership},
    error::AppendError,
    owner::Owner,
};

/// An owner of the partition. What it drafts goes behind what it drafted before.
pub struct Author {
    /// Its handle.
    pub log: Arc<dyn EventLog>,
    /// What it acquired.
    pub ownership: Ownership,
    next: Position,
    at: Time,
    versions: HashMap<StreamKey, Version>,
}

impl Author {
    /// Opens the log and acquires it.
    pub async fn of(subject: &dyn Subject) -> Self {
        Self::on(subject.open().await).await
    }

    /// Acquires the log on a handle.
    pub async fn on(log: Arc<dyn EventLog>) -> Self {
        let ownership = log
            .acquire(PARTITION, Self::owner())
            .await
            .expect("nobody else owns the log");
        let next = ownership.tail.next();
        // Far from zero, so that a test has room to step back.
        let at = ownership.last_at.max(Time::from_micros(1_000_000));
        Self {
            log,
            ownership,
            next,
            at,
            versions: HashMap::new(),
        }
    }

    /// A name for the owner.
    pub fn owner() -> Owner {
        Owner::this_process("conformance", Time::from_micros(0))
    }

    /// The epoch of its appends.
    pub fn epoch(&self) -> Epoch {
        self.ownership.epoch
    }

    /// The first batch of a new, open stream: two events, one with data.
    pub fn begin(&mut self, name: &str) -> Batch {
        let stream = StreamKey::new(self.next.get());
        let name = StreamName::new(name).expect("tests use fine names");
        self.draft(stream, Some(name), StreamState::Open, 2)
    }

    /// A further batch of a stream that it began: `events` events.
    pub fn more(&mut self, stream: StreamKey, events: usize) -> Batch {
        self.draft(stream, None, StreamState::Open, events)
    }

    /// The last batch of a stream.
    pub fn close(&mut self, stream: StreamKey) -> Batch {
        self.draft(stream, None, StreamState::Closed, 1)
    }

    /// Tells it where a stream is that it did not begin.
    pub fn knows(&mut self, stream: StreamKey, last: Version) {
        self.versions.insert(stream, last);
    }

    /// Appends, under its epoch.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn append(&self, batches: Vec<Batch>) -> Result<Appended, AppendError> {
        self.log.append(PARTITION, self.epoch(), batches).await
    }

    /// Renews until `other` is done.
    pub async fn alive_during<T>(&self, other: impl Future<Output = T>) -> T {
        let Some(lease) = self.log.lease() else {
            return other.await;
        };
        let mut other = pin!(other);
        loop {
            tokio::select! {
                biased;
                done = &mut other => return done,
                () = tokio::time::sleep(lease / 4) => {
                    let renewed = self.log.renew(PARTITION, self.epoch()).await;
                    renewed.expect("an owner that is alive keeps its partition");
                }
            }
        }
    }

    /// Appends what must be taken.
    pub async fn store(&self, batches: Vec<Batch>) -> Position {
        let last = batches.last().expect("something to store").last_position();
        let appended = self.append(batches).await.expect("what follows is stored");
        assert_eq!(
            appended,
            Appended {
                last,
                already: false
            }
        );
        last
    }

    /// Begins a stream and stores that.
    pub async fn stream(&mut self, name: &str) -> StreamKey {
        let batch = self.begin(name);
        let stream = batch.stream;
        self.store(vec![batch]).await;
        stream
    }

    fn draft(
        &mut self,
        stream: StreamKey,
        name: Option<StreamName>,
        state: StreamState,
        events: usize,
    ) -> Batch {
        let version = self
            .versions
            .get(&stream)
            .copied()
            .unwrap_or_default()
            .next();
        self.at = Time::from_micros(self.at.as_micros() + 10);
        let id = u128::from(self.at.as_micros()) << 80
            | u128::from(stream.get()) << 40
            | u128::from(version.get());
        let events: Vec<_> = (0..events).map(event).collect();
        let batch = Batch {
            stream,
            name,
            version,
            position: self.next,
            at: self.at,
            id: BatchId(id),
            input: InputId(id ^ 0xff),
            digest: Digest([version.get() as u8; 32]),
            state,
            events,
        };
        self.versions.insert(stream, batch.last_version());
        self.next = batch.last_position().next();
        batch
    }
}

/// Events whose text would not survive being parsed and written again.
fn event(index: usize) -> NewEvent {
    let data = match index {
        0 => Data::Inline(
            r#"{ "z": 1.50, "a":[ 1e2 ,"\u00e9 é"], "a": 12345678901234567890123 }"#.into(),
        ),
        1 => Data::None,
        _ => Data::Erased(Digest([7; 32])),
    };
    let control = r#"{"node": 0,"attempt":1}"#.to_owned();
    NewEvent {
        kind: "AttemptAsked".into(),
        schema: SchemaVersion::new(1),
        control,
        data,
    }
}
