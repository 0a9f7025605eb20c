//! The simulated log and the log in memory come to the same, whatever is done with them: after
//! appends of unknown outcome, under stale epochs, and in any other order.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};
use sagalog_eventlog::{
    AcquireError, AppendError, EventLog, MemoryLog, Refusal, Row,
    conformance::{Author, PARTITION},
};
use sagalog_model::log::{
    Batch, BatchId, Data, Digest, Epoch, InputId, NewEvent, Position, SchemaVersion, StreamKey,
    StreamName, StreamState, Time, Version,
};

use super::conformance::SimHandle;

/// How many handles there are on each log.
const HANDLES: usize = 3;

/// What is done with a log. Handles and earlier appends are named by numbers, taken modulo how many
/// there are.
#[derive(Clone, Debug)]
enum Step {
    Acquire(usize),
    Release(usize),
    /// Under the epoch that the handle acquired last.
    Append(usize, Vec<Draft>),
    /// What was appended before, as after an outcome that is not known: under the handle's epoch now.
    AppendAgain(usize, usize),
}

/// A batch, by how it differs from one that fits.
#[derive(Clone, Debug)]
struct Draft {
    /// Begins a stream of this name, or goes on with one of those that there are.
    begins: Option<u8>,
    stream: usize,
    events: usize,
    closes: bool,
    later_by: u64,
    off: Off,
}

#[derive(Clone, Copy, Debug)]
enum Off {
    Nothing,
    Position(u64),
    Version(u64),
    Time,
    Content,
}

/// Both logs, and what their callers know.
struct Both {
    pairs: Vec<(Arc<dyn EventLog>, Arc<dyn EventLog>)>,
    epochs: Vec<Epoch>,
    appended: Vec<Vec<Batch>>,
    /// What a reader has seen that went on behind the last row after each step.
    followed: Vec<Row>,
}

impl Both {
    fn new() -> Self {
        let (simulated, memory) = (SimHandle::with_partitions(1), MemoryLog::new());
        let pair = |_| -> (Arc<dyn EventLog>, Arc<dyn EventLog>) {
            (Arc::new(simulated.another()), Arc::new(memory.another()))
        };
        Self {
            pairs: (0..HANDLES).map(pair).collect(),
            epochs: vec![Epoch::default(); HANDLES],
            appended: Vec::new(),
            followed: Vec::new(),
        }
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Acquire(handle) => self.acquire(handle % HANDLES).await,
            Step::Release(handle) => {
                let (simulated, memory) = &self.pairs[handle % HANDLES];
                let released = (
                    simulated.release(PARTITION).await,
                    memory.release(PARTITION).await,
                );
                assert!(released.0.is_ok() && released.1.is_ok(), "{released:?}");
            }
            Step::Append(handle, drafts) => {
                let batches = self.draft(drafts).await;
                self.append(handle % HANDLES, batches.clone()).await;
                self.appended.push(batches);
            }
            Step::AppendAgain(_, _) if self.appended.is_empty() => {}
            Step::AppendAgain(handle, back) => {
                let batches = self.appended[back % self.appended.len()].clone();
                self.append(handle % HANDLES, batches).await;
            }
        }
    }

    async fn acquire(&mut self, handle: usize) {
        let (simulated, memory) = &self.pairs[handle];
        let owner = Author::owner;
        let one = simulated.acquire(PARTITION, owner()).await;
        let other = memory.acquire(PARTITION, owner()).await;
        match (one, other) {
            (Ok(one), Ok(other)) => {
                assert_eq!(one, other);
                self.epochs[handle] = one.epoch;
            }
            (
                Err(AcquireError::Held { by: one, .. }),
                Err(AcquireError::Held { by: other, .. }),
            ) => {
                assert_eq!(one, other);
            }
            (one, other) => panic!("{one:?}, and in memory {other:?}"),
        }
    }

    async fn append(&self, handle: usize, batches: Vec<Batch>) {
        let (simulated, memory) = &self.pairs[handle];
        let epoch = self.epochs[handle];
        let one = simulated.append(PARTITION, epoch, batches.clone()).await;
        let other = memory.append(PARTITION, epoch, batches).await;
        assert_eq!(one.map_err(told), other.map_err(told));
    }

    /// Batches that fit behind what is stored, but for what is off.
    async fn draft(&self, drafts: &[Draft]) -> Vec<Batch> {
        let (log, _) = &self.pairs[0];
        let rows = rows(log).await;
        let mut next = log.tail(PARTITION).await.expect("readable").next();
        let mut at = rows.last().map_or(Time::from_micros(1_000), |row| row.at);
        let mut heads: Vec<(StreamKey, Version)> = Vec::new();
        for row in &rows {
            heads.retain(|(stream, _)| *stream != row.stream);
            heads.push((row.stream, row.last_version()));
        }
        let mut batches = Vec::new();
        for draft in drafts {
            let goes_on = draft.begins.is_none() && !heads.is_empty();
            let (stream, last) = if goes_on {
                heads[draft.stream % heads.len()]
            } else {
                (StreamKey::new(next.get()), Version::default())
            };
            at = Time::from_micros(at.as_micros() + draft.later_by);
            let mut batch = batch(draft, stream, last.next(), next, at);
            if goes_on {
                batch.name = None;
            }
            heads.retain(|(known, _)| *known != stream);
            heads.push((stream, batch.last_version()));
            next = batch.last_position().next();
            match draft.off {
                Off::Nothing => {}
                Off::Position(by) => batch.position = Position::new(by),
                Off::Version(by) => batch.version = Version::new(by),
                Off::Time => batch.at = Time::from_micros(1),
                Off::Content => batch.digest = Digest([9; 32]),
            }
            batches.push(batch);
        }
        batches
    }

    /// I15: nothing becomes visible behind a reader that follows.
    async fn follow(&mut self) {
        let (log, _) = &self.pairs[2];
        let last = self.followed.last();
        let next = last.map_or(Position::new(1), |row| row.last_position().next());
        let page = log.read(PARTITION, next, usize::MAX).await;
        self.followed.extend(page.expect("readable"));
        assert_eq!(self.followed, rows(log).await);
    }

    /// Every way of reading shows the same.
    async fn compare(&self) {
        let (simulated, memory) = &self.pairs[1];
        assert_eq!(rows(simulated).await, rows(memory).await);
        let names: Vec<_> = (0..8).map(name).collect();
        let all = StreamKey::default();
        for (limit, from) in [(1, 0), (2, 1), (3, 3), (100, 5)] {
            let (position, version) = (Position::new(from), Version::new(from));
            let streams: Vec<_> = (0..9).rev().map(StreamKey::new).collect();
            let after = Some((StreamKey::new(from), Version::new(1)));
            let pages = async |log: &Arc<dyn EventLog>| {
                let one = log.read_stream(PARTITION, StreamKey::new(1), version, limit);
                let many = log.read_streams(PARTITION, &streams, after, limit);
                (
                    log.read(PARTITION, position, limit)
                        .await
                        .expect("readable"),
                    one.await.expect("readable"),
                    many.await.expect("readable"),
                    log.streams(PARTITION, all, limit).await.expect("readable"),
                )
            };
            assert_eq!(pages(simulated).await, pages(memory).await);
        }
        let ends = async |log: &Arc<dyn EventLog>| {
            (
                log.tail(PARTITION).await.expect("readable"),
                log.heads(PARTITION, &names).await.expect("readable"),
                *log.watch(PARTITION).await.expect("readable").borrow(),
            )
        };
        assert_eq!(ends(simulated).await, ends(memory).await);
    }
}

/// What an error says; the words for a batch that no log could store may differ.
fn told(error: AppendError) -> String {
    match error {
        AppendError::Refused(Refusal::Malformed { position, .. }) => {
            format!("malformed at {position}")
        }
        other => other.to_string(),
    }
}

async fn rows(log: &Arc<dyn EventLog>) -> Vec<Row> {
    let rows = log.read(PARTITION, Position::default(), usize::MAX);
    rows.await.expect("readable")
}

fn name(number: u8) -> StreamName {
    StreamName::new(format!("stream-{number}")).expect("a good name")
}

fn batch(
    draft: &Draft,
    stream: StreamKey,
    version: Version,
    position: Position,
    at: Time,
) -> Batch {
    let event = NewEvent {
        kind: "Happened".into(),
        schema: SchemaVersion::new(1),
        control: "{}".into(),
        data: Data::None,
    };
    Batch {
        stream,
        name: Some(name(draft.begins.unwrap_or_default())),
        version,
        position,
        at,
        id: BatchId(u128::from(position.get()) << 64 | u128::from(at.as_micros())),
        input: InputId(1),
        digest: Digest([1; 32]),
        state: if draft.closes {
            StreamState::Closed
        } else {
            StreamState::Open
        },
        events: vec![event; draft.events],
    }
}

fn draft(off: impl Strategy<Value = Off>) -> impl Strategy<Value = Draft> {
    let begins = prop::option::of(0_u8..8);
    let rest = (any::<usize>(), 1_usize..4, any::<bool>(), 0_u64..3);
    (begins, rest, off).prop_map(|(begins, (stream, events, closes, later_by), off)| Draft {
        begins,
        stream,
        events,
        closes,
        later_by,
        off,
    })
}

fn fitting() -> impl Strategy<Value = Vec<Draft>> {
    vec(draft(Just(Off::Nothing)), 1..4)
}

fn any_drafts() -> impl Strategy<Value = Vec<Draft>> {
    let off = prop_oneof![
        6 => Just(Off::Nothing),
        1 => (0_u64..12).prop_map(Off::Position),
        1 => (0_u64..5).prop_map(Off::Version),
        1 => Just(Off::Time),
        1 => Just(Off::Content),
    ];
    vec(draft(off), 0..4)
}

fn agree(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a thread").block_on(async {
        let mut both = Both::new();
        for step in steps {
            both.take(step).await;
            both.compare().await;
            both.follow().await;
        }
    });
}

proptest! {
    /// An owner that does not know what became of an append takes the partition anew and appends
    /// again: what was stored is answered as stored, what was not is stored.
    #[test]
    fn an_append_of_unknown_outcome_comes_to_the_same(
        appends in vec((fitting(), any::<bool>(), any::<usize>()), 1..8),
    ) {
        let mut steps = vec![Step::Acquire(0)];
        for (drafts, again, back) in appends {
            steps.extend([Step::Append(0, drafts), Step::Acquire(0)]);
            if again {
                steps.push(Step::AppendAgain(0, back));
            }
        }
        agree(&steps);
    }

    /// An owner that was followed by another goes on with what it had in hand.
    #[test]
    fn a_stale_epoch_comes_to_the_same(
        rounds in vec((fitting(), 0..HANDLES, 0..HANDLES, any::<usize>()), 1..8),
    ) {
        let mut steps = Vec::new();
        for (drafts, old, new, back) in rounds {
            steps.extend([Step::Acquire(old), Step::Append(old, drafts.clone())]);
            steps.extend([Step::Release(old), Step::Acquire(new)]);
            steps.extend([Step::AppendAgain(old, back), Step::Append(old, drafts)]);
            steps.push(Step::Release(new));
        }
        agree(&steps);
    }

    /// Whatever else callers may do, also what no caller should.
    #[test]
    fn any_order_comes_to_the_same(
        steps in vec(
            prop_oneof![
                2 => (0..HANDLES).prop_map(Step::Acquire),
                1 => (0..HANDLES).prop_map(Step::Release),
                6 => (0..HANDLES, any_drafts()).prop_map(|(handle, drafts)| Step::Append(handle, drafts)),
                2 => (0..HANDLES, any::<usize>()).prop_map(|(handle, back)| Step::AppendAgain(handle, back)),
            ],
            1..25,
        ),
    ) {
        agree(&steps);
    }
}
