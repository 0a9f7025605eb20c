//! A log that fails: what was answered is durable, nothing is lost, and the error says what to do.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sagalog::{
    AnyDefinition, CallError, Ended, EventLog, MemoryLog, Runtime, Saga, SqliteLog, SqliteOptions,
    Step, StopError, Worker,
    log::{Batch, Epoch, PartitionId, Position, StreamKey, StreamName, Version},
};
use sagalog_eventlog::{
    AcquireError, AppendError, Appended, Head, Owner, Ownership, ReadError, RenewError, Row,
    Sharer, StreamHead,
};
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

/// A log that loses the answer to every third append: half of these took place, half did not.
struct Forgetful {
    log: MemoryLog,
    appends: AtomicU32,
    forgotten: AtomicU32,
}

#[async_trait]
impl EventLog for Forgetful {
    async fn append(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        batches: Vec<Batch>,
    ) -> Result<Appended, AppendError> {
        let nth = self.appends.fetch_add(1, Ordering::Relaxed);
        if !nth.is_multiple_of(3) {
            return self.log.append(partition, epoch, batches).await;
        }
        if nth.is_multiple_of(2) {
            self.log.append(partition, epoch, batches).await?;
        }
        self.forgotten.fetch_add(1, Ordering::Relaxed);
        Err(AppendError::Unknown {
            log: "the forgetful log".into(),
            source: "the answer was lost".into(),
        })
    }

    fn name(&self) -> &str {
        "the forgetful log"
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
        self.log.heads(partition, names).await
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
        self.log
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
    let log = Arc::new(Forgetful {
        log: MemoryLog::new(),
        appends: AtomicU32::new(1),
        forgotten: AtomicU32::new(0),
    });
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
        log.forgotten.load(Ordering::Relaxed) > 5,
        "answers were lost"
    );
    let verified = sagalog_eventlog::verify(&*log, PartitionId::new(0)).await;
    verified.expect("the log is whole");
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
