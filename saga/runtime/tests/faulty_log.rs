//! A log that fails: what was answered is durable, nothing is lost, and the error says what to do.

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sagalog::{
    AnyDefinition, CallError, DriveError, Ended, EventLog, InProcess, MemoryLog, Runtime, Saga,
    SqliteLog, SqliteOptions, Step, StopError, Transport as _, Worker,
    log::{Batch, Epoch, PartitionId, Position, StreamKey, StreamName, Version},
};
use sagalog_eventlog::{
    AcquireError, AppendError, Appended, Head, Owner, Ownership, ReadError, RenewError, Row,
    Sharer, StreamHead,
};
use sagalog_transport::{Kind, Message, MessageId, Queue};
use tokio::sync::watch;

const ECHO: Saga<String, String> = Saga::new("echo");
const SAY: Step<String, String> = Step::new("voice.say").compensatable();

fn echo() -> AnyDefinition {
    let (mut saga, text) = ECHO.define(1);
    let said = saga.step("say", SAY, text);
    saga.returns(said).expect("a good definition").into()
}

fn worker() -> Worker {
    Worker::new()
        .action(SAY, async |_, text| Ok(text))
        .compensation(SAY, async |_, _, _| Ok(()))
}

/// A log in memory, and what goes wrong when it is appended to.
struct Faulty<F> {
    log: MemoryLog,
    fault: F,
}

impl<F: Fault + Default> Faulty<F> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            log: MemoryLog::new(),
            fault: F::default(),
        })
    }
}

#[async_trait]
trait Fault: Send + Sync + 'static {
    /// Appends to the log, or does not.
    async fn append(
        &self,
        log: &MemoryLog,
        partition: PartitionId,
        epoch: Epoch,
        batches: Vec<Batch>,
    ) -> Result<Appended, AppendError> {
        log.append(partition, epoch, batches).await
    }

    /// Where sagas are looked up.
    fn looked_up_in<'a>(&'a self, log: &'a MemoryLog) -> &'a MemoryLog {
        log
    }
}

/// Loses the answer to every third append: half of these took place, half did not.
#[derive(Default)]
struct Forgetful {
    appends: AtomicU32,
    forgotten: AtomicU32,
}

#[async_trait]
impl Fault for Forgetful {
    async fn append(
        &self,
        log: &MemoryLog,
        partition: PartitionId,
        epoch: Epoch,
        batches: Vec<Batch>,
    ) -> Result<Appended, AppendError> {
        let nth = 1 + self.appends.fetch_add(1, Ordering::Relaxed);
        if !nth.is_multiple_of(3) {
            return log.append(partition, epoch, batches).await;
        }
        if nth.is_multiple_of(2) {
            log.append(partition, epoch, batches).await?;
        }
        self.forgotten.fetch_add(1, Ordering::Relaxed);
        Err(AppendError::Unknown {
            log: "the forgetful log".into(),
            source: "the answer was lost".into(),
        })
    }
}

/// Begins no append while it is held up.
#[derive(Default)]
struct HeldUp {
    is_held: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

#[async_trait]
impl Fault for HeldUp {
    async fn append(
        &self,
        log: &MemoryLog,
        partition: PartitionId,
        epoch: Epoch,
        batches: Vec<Batch>,
    ) -> Result<Appended, AppendError> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let go = self
            .is_held
            .subscribe()
            .wait_for(|is_held| !is_held)
            .await
            .map(drop);
        go.expect("its other end is here");
        self.waiting.send_modify(|waiting| *waiting -= 1);
        log.append(partition, epoch, batches).await
    }
}

/// Another owner has begun sagas of which this one does not know yet.
#[derive(Default)]
struct Overtaken {
    further: OnceLock<Arc<MemoryLog>>,
}

impl Fault for Overtaken {
    fn looked_up_in<'a>(&'a self, log: &'a MemoryLog) -> &'a MemoryLog {
        self.further.get().map_or(log, |further| further)
    }
}

#[async_trait]
impl<F: Fault> EventLog for Faulty<F> {
    async fn append(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        batches: Vec<Batch>,
    ) -> Result<Appended, AppendError> {
        self.fault
            .append(&self.log, partition, epoch, batches)
            .await
    }

    fn name(&self) -> &str {
        "the faulty log"
    }
    fn partitions(&self) -> u32 {
        self.log.partitions()
    }
    fn lease(&self) -> Option<Duration> {
        self.log.lease()
    }
    async fn renew(&self, partition: PartitionId, epoch: Epoch) -> Result<(), RenewError> {
        self.log.renew(partition, epoch).await
    }
    async fn share(&self, owner: &Owner, gone: &[Sharer]) -> Result<Vec<Sharer>, ReadError> {
        self.log.share(owner, gone).await
    }
    async fn leave(&self) -> Result<(), ReadError> {
        self.log.leave().await
    }
    async fn acquire(
        &self,
        partition: PartitionId,
        owner: Owner,
    ) -> Result<Ownership, AcquireError> {
        self.log.acquire(partition, owner).await
    }
    async fn release(&self, partition: PartitionId) -> Result<(), ReadError> {
        self.log.release(partition).await
    }
    async fn tail(&self, partition: PartitionId) -> Result<Position, ReadError> {
        self.log.tail(partition).await
    }
    async fn heads(
        &self,
        partition: PartitionId,
        names: &[StreamName],
    ) -> Result<Vec<Option<Head>>, ReadError> {
        self.fault
            .looked_up_in(&self.log)
            .heads(partition, names)
            .await
    }
    async fn read(
        &self,
        partition: PartitionId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.log.read(partition, from, limit).await
    }
    async fn read_stream(
        &self,
        partition: PartitionId,
        stream: StreamKey,
        from: Version,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.log.read_stream(partition, stream, from, limit).await
    }
    async fn read_streams(
        &self,
        partition: PartitionId,
        streams: &[StreamKey],
        after: Option<(StreamKey, Version)>,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.fault
            .looked_up_in(&self.log)
            .read_streams(partition, streams, after, limit)
            .await
    }
    async fn stream_name(
        &self,
        partition: PartitionId,
        stream: StreamKey,
    ) -> Result<Option<StreamName>, ReadError> {
        self.log.stream_name(partition, stream).await
    }
    async fn streams(
        &self,
        partition: PartitionId,
        after: StreamKey,
        limit: usize,
    ) -> Result<Vec<StreamHead>, ReadError> {
        self.log.streams(partition, after, limit).await
    }
    async fn watch(&self, partition: PartitionId) -> Result<watch::Receiver<Position>, ReadError> {
        self.log.watch(partition).await
    }
}

#[tokio::test]
async fn appends_of_unknown_outcome_are_survived_without_losing_or_doubling_anything() {
    let log = Faulty::<Forgetful>::new();
    let runtime = Runtime::on(log.clone())
        .definition(echo())
        .worker(worker())
        .start()
        .await
        .expect("it starts");
    for n in 0..20 {
        let text = format!("hello {n}");
        let ended = runtime
            .client()
            .run(ECHO, &format!("e-{n}"), &text)
            .await
            .expect("it runs");
        assert_eq!(ended, Ended::Completed(text));
    }
    runtime.stop().await.ok();
    assert!(
        log.fault.forgotten.load(Ordering::Relaxed) > 5,
        "answers were lost"
    );
    let verified = sagalog_eventlog::verify(&*log, PartitionId::new(0)).await;
    verified.expect("the log is whole");
}

/// A start and a question for an end come from another process; then the node is told to stop, and only then
/// the start becomes durable. There is no next owner that could answer.
#[tokio::test]
async fn what_was_taken_before_the_stop_is_answered_before_the_end() {
    let log = Faulty::<HeldUp>::new();
    let transport = Arc::new(InProcess::new());
    let runtime = Runtime::on(log.clone())
        .transport(transport.clone())
        .definition(echo())
        .elsewhere("voice")
        .start();
    let runtime = runtime.await.expect("it starts");
    let queue = Queue::answers("by-hand").expect("a name");
    transport.declare(&queue, 8).await.expect("it is new");
    let ask = |id, content: &str| {
        let (kind, to) = (Kind::Control, Queue::inbox(0));
        Message::new(MessageId(id), kind, queue.clone(), to, content.to_owned())
    };
    let start = r#"{"start":{"saga":"e-1","definition":"echo","input":"hello"}}"#;
    let asked = vec![ask(1, start), ask(2, r#"{"end":{"saga":"e-1"}}"#)];
    log.fault.is_held.send_replace(true);
    transport.publish(asked).await.expect("there is room");
    let mut waiting = log.fault.waiting.subscribe();
    let begun = waiting.wait_for(|waiting| *waiting == 1).await.map(drop);
    begun.expect("its other end is here");
    // As at its stop, and nothing is waited for. Then whatever runs in this thread sees it.
    drop(runtime);
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
    log.fault.is_held.send_replace(false);
    let mut answers = transport.consume(&queue, 8).await.expect("it is there");
    let mut got = Vec::new();
    while got.len() < 2 {
        answers.receive(&mut got, 8).await.expect("it is open");
    }
    got.sort_by_key(|answer| answer.message.correlation);
    let got: Vec<_> = got.iter().map(|answer| &*answer.message.content).collect();
    let running =
        r#"{"standing":{"saga":"e-1","definition":"echo","version":1,"status":"running"}}"#;
    assert_eq!(got, [r#"{"done":{}}"#, running]);
}

/// An owner that hung for longer than its lease wakes up, and is told by the log itself.
#[tokio::test]
async fn an_owner_that_finds_what_another_has_begun_knows_that_it_has_lost() {
    let (log, further) = (Faulty::<Overtaken>::new(), Arc::new(MemoryLog::new()));
    let on = async |log: Arc<dyn EventLog>| {
        let runtime = Runtime::on(log).definition(echo()).worker(worker()).start();
        runtime.await.expect("it starts")
    };
    let mut hung = on(log.clone()).await;
    let owner = on(further.clone()).await;
    let start = async |runtime: &Runtime, id| {
        let text = "hello".to_owned();
        runtime.client().start(ECHO, id, &text).await
    };
    for id in ["e-1", "e-2"] {
        start(&owner, id).await.expect("it is recorded");
    }
    owner.stop().await.expect("it stops in peace");
    drop(log.fault.further.set(further));
    let told = start(&hung, "e-2").await;
    assert!(matches!(told, Err(CallError::Stopped { .. })), "{told:?}");
    let failed = hung.failed().await.expect_err("it could not go on");
    assert!(
        matches!(failed, StopError::Drive(DriveError::Lost(_))),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_full_disk_stops_the_runtime_with_the_files_name_and_loses_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log.db");
    let small = SqliteOptions {
        max_bytes: Some(256 * 1024),
        ..SqliteOptions::default()
    };
    let log = Arc::new(SqliteLog::open_with(&path, small).await.expect("a new log"));
    let mut runtime = Runtime::on(log)
        .definition(echo())
        .worker(worker())
        .start()
        .await
        .expect("it starts");
    let client = runtime.client();
    let mut acknowledged = 0;
    let stopped = loop {
        let text = format!("{acknowledged} {}", "x".repeat(1_000));
        match client
            .start(ECHO, &format!("e-{acknowledged}"), &text)
            .await
        {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    let CallError::Stopped { .. } = stopped else {
        panic!("{stopped}")
    };
    let failed = runtime.failed().await.expect_err("it could not go on");
    let StopError::Drive(why) = failed else {
        panic!("{failed}")
    };
    let text = format!(
        "{why}: {}",
        std::error::Error::source(&why).expect("a cause")
    );
    assert!(
        text.contains("no room left to write") && text.contains("log.db"),
        "{text}"
    );
    assert!(acknowledged > 10, "only {acknowledged} fitted");
    drop(runtime);
    everything_acknowledged_is_there(&path, acknowledged).await;
}

async fn everything_acknowledged_is_there(path: &Path, acknowledged: usize) {
    let log = Arc::new(SqliteLog::open(path).await.expect("there is room now"));
    let runtime = Runtime::on(log.clone())
        .definition(echo())
        .worker(worker())
        .start()
        .await
        .expect("it starts");
    for n in 0..acknowledged {
        let ended = runtime
            .client()
            .result(ECHO, &format!("e-{n}"))
            .await
            .expect("it was acknowledged");
        assert!(matches!(ended, Ended::Completed(text) if text.starts_with(&format!("{n} "))));
    }
    runtime.stop().await.expect("it stops in peace");
    sagalog_eventlog::verify(&*log, PartitionId::new(0))
        .await
        .expect("the log is whole");
}

#[tokio::test]
async fn a_log_that_was_released_in_peace_is_whole_in_its_one_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log.db");
    let log = Arc::new(SqliteLog::open(&path).await.expect("a new log"));
    let runtime = Runtime::on(log)
        .definition(echo())
        .worker(worker())
        .start()
        .await
        .expect("it starts");
    runtime
        .client()
        .run(ECHO, "e-1", &"hello".to_owned())
        .await
        .expect("it runs");
    runtime.stop().await.expect("it stops in peace");
    let copy = directory.path().join("copy.db");
    std::fs::copy(&path, &copy).expect("the file is there");
    let log = Arc::new(SqliteLog::open(&copy).await.expect("a whole log"));
    let runtime = Runtime::on(log)
        .definition(echo())
        .worker(worker())
        .start()
        .await
        .expect("it starts");
    let ended = runtime
        .client()
        .result(ECHO, "e-1")
        .await
        .expect("it is there");
    assert_eq!(ended, Ended::Completed("hello".to_owned()));
}
