//! Sagas that end in all ways, or wait.

use std::{sync::Arc, time::Duration};

use sagalog::{
    AnyDefinition, EventLog, Failure, Retry, Runtime, Saga, SagaId, Signal, Step, Worker,
    history::Reader,
    views::{FoundSaga, SagaFilter},
};
use sagalog_model::log::{PartitionId, StreamKey};
use sagalog_projections::{
    SagaState,
    views::{NodeRow, SagaRow},
};

const JOB: Saga<u32, u32> = Saga::new("job");
const WORK: Step<u32, u32> = Step::new("plant.work").compensatable();
const GO: Signal<u32> = Signal::new("go");
const SHIP: Step<u32, u32> = Step::new("docks.ship").retryable().retry(ONCE);
const ONCE: Retry = Retry::fixed(Duration::from_secs(3_600)).attempts(1);

fn job() -> AnyDefinition {
    let (mut saga, number) = JOB.define(1);
    let worked = saga.step("work", WORK, number);
    saga.signal("wait", GO).within(Duration::from_secs(3_600));
    saga.pivot();
    let shipped = saga.step("ship", SHIP, worked);
    saga.returns(shipped).expect("a good definition").into()
}

fn worker() -> Worker {
    Worker::new()
        .action(WORK, async |_, number| unless_divisible(number, 3))
        .compensation(WORK, async |_, _, _| Ok(()))
        .action(SHIP, async |_, number| unless_divisible(number, 5))
}

fn unless_divisible(number: u32, divisor: u32) -> Result<u32, Failure> {
    match number % divisor {
        0 => Err(Failure::permanent("it cannot be done")),
        _ => Ok(number),
    }
}

/// Runs the jobs of these numbers until nothing happens any more. A third goes back, half of the others
/// wait for their signal, and of the rest some wait for a person.
pub(crate) async fn run(log: &Arc<dyn EventLog>, numbers: std::ops::Range<u32>) {
    let runtime = Runtime::on(log.clone()).definition(job()).worker(worker());
    let runtime = runtime.start().await.expect("nobody else drives it");
    let client = runtime.client();
    for number in numbers {
        let id = format!("j-{number}");
        client.start(JOB, &id, &number).await.expect("it starts");
        if number % 2 == 0 {
            let signalled = client.signal(GO, &id, "s-1", &number).await;
            assert!(
                signalled.is_ok() || number % 3 == 0,
                "{id} takes its signal"
            );
        }
    }
    runtime.stop().await.expect("in peace");
}

/// What folding every history says, in the order of the list.
pub(crate) async fn folded(log: &Arc<dyn EventLog>, filter: &SagaFilter) -> Vec<FoundSaga> {
    let mut found = Vec::new();
    for partition in (0..log.partitions()).map(PartitionId::new) {
        for (stream, state) in states(log, partition).await {
            let saga = SagaRow::of(stream, &state);
            let nodes = state.graph().iter();
            let nodes: Vec<_> = nodes
                .map(|(index, _)| NodeRow::of(stream, &state, index))
                .collect();
            if filter.fits(&saga, &nodes) {
                found.push(FoundSaga::of(partition, &saga, &nodes));
            }
        }
    }
    found
}

async fn states(log: &Arc<dyn EventLog>, partition: PartitionId) -> Vec<(StreamKey, SagaState)> {
    let reader = Reader::new(log.clone(), partition);
    let graphs = reader.graphs().await.expect("it reads");
    let heads = log.streams(partition, StreamKey::default(), 10_000).await;
    let mut states = Vec::new();
    for head in heads.expect("it reads") {
        if let Ok(id) = SagaId::new(head.name.as_str()) {
            let state = reader.state(&id, &graphs, None).await.expect("it folds");
            states.push((head.key, state.expect("it is there")));
        }
    }
    states
}
