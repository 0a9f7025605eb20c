//! Sagas of a restored log stand still, and what they have asked is in doubt.

use std::{ops::AddAssign, sync::Arc};

use sagalog::{Clock, DriveError, SystemClock, history::Graphs, history::Reader};
use sagalog_engine::{
    Rules,
    partition::{SystemHead, SystemHeads, system_batch},
};
use sagalog_eventlog::{EventLog, MAX_BATCHES, Owner};
use sagalog_model::{
    Direction, SagaEvent, SagaId,
    event::{AttemptUnknown, Paused},
    log::{Batch, PartitionId, Position, StreamKey, StreamState, Time, Version},
    system::{LogRestored, PartitionOwned, SystemEvent},
};
use sagalog_projections::SagaState;
use serde::Serialize;

use crate::error::{CliError, Exit};

/// What was recorded.
#[derive(Default, Serialize)]
pub(super) struct Stilled {
    /// Sagas that stand still now.
    pub(super) paused: u64,
    /// Attempts whose answers are not known.
    pub(super) in_doubt: u64,
    /// Sagas that cannot be read.
    pub(super) unreadable: Vec<SagaId>,
}

impl AddAssign for Stilled {
    fn add_assign(&mut self, other: Self) {
        self.paused += other.paused;
        self.in_doubt += other.in_doubt;
        self.unreadable.extend(other.unreadable);
    }
}

/// Records that a partition was restored, and what follows for its sagas.
pub(super) async fn stand_still(
    log: &Arc<dyn EventLog>,
    partition: PartitionId,
    restored: LogRestored,
    reason: &str,
) -> Result<Stilled, CliError> {
    let owner = Owner::this_process("sagalog log restore", SystemClock.now());
    let owned = log.acquire(partition, owner).await;
    let owned = owned.map_err(DriveError::Acquire)?;
    let reader = Reader::new(log.clone(), partition);
    let mut writing = Writing {
        tail: owned.tail,
        at: restored.at.max(owned.last_at),
        batches: Vec::new(),
    };
    let mut head = head_of(&**log, partition).await?;
    let taken = PartitionOwned {
        epoch: owned.epoch,
        node: "sagalog log restore".into(),
        engine: env!("CARGO_PKG_VERSION").into(),
        rules: Rules::VERSION,
    };
    let by = restored.by.clone();
    let id: Arc<str> = format!("restore-{}", restored.at.as_micros()).into();
    writing.system(&mut head, &SystemEvent::PartitionOwned(taken));
    writing.system(&mut head, &SystemEvent::LogRestored(restored));
    let graphs = reader.graphs().await?;
    let mut stilled = Stilled::default();
    for key in owned.open {
        let name = log.stream_name(partition, key).await?;
        let Some(saga) = name.and_then(|name| SagaId::new(name.as_str()).ok()) else {
            continue;
        };
        let Some(mut state) = state(&reader, &saga, &graphs).await else {
            stilled.unreadable.push(saga);
            continue;
        };
        let paused = Paused {
            id: id.clone(),
            by: by.clone(),
            until: None,
            reason: reason.to_owned(),
        };
        if state.pause().is_none() {
            writing.saga(&mut state, key, paused.into())?;
            stilled.paused += 1;
        }
        for event in in_doubt(&state, reason) {
            writing.saga(&mut state, key, event.into())?;
            stilled.in_doubt += 1;
        }
    }
    let mut batches = writing.batches.into_iter().peekable();
    while batches.peek().is_some() {
        let some = batches.by_ref().take(MAX_BATCHES).collect();
        let appended = log.append(partition, owned.epoch, some).await;
        appended.map_err(DriveError::Append)?;
    }
    Ok(stilled)
}

async fn head_of(log: &dyn EventLog, partition: PartitionId) -> Result<SystemHead, CliError> {
    let mut head = SystemHeads::none(partition).partition;
    let found = log
        .heads(partition, std::slice::from_ref(&head.name))
        .await?;
    if let Some(found) = found.into_iter().flatten().next() {
        head.key = Some(found.stream);
        head.version = found.version;
    }
    Ok(head)
}

/// None if it does not read: then it cannot be driven either, and asks nothing.
async fn state(reader: &Reader, saga: &SagaId, graphs: &Graphs) -> Option<SagaState> {
    reader.state(saga, graphs, None).await.ok().flatten()
}

/// Whatever was asked and not answered.
fn in_doubt(state: &SagaState, reason: &str) -> Vec<AttemptUnknown> {
    let directions = [Direction::Action, Direction::Compensation, Direction::Probe];
    let steps = state.steps();
    let open = steps.flat_map(|(index, _, step)| {
        let node = &state.graph().node(index).id;
        directions.into_iter().filter_map(move |direction| {
            let open = step.attempts(direction).open?;
            Some(AttemptUnknown {
                node: node.clone(),
                direction,
                attempt: open.number,
                reason: reason.to_owned(),
            })
        })
    });
    open.collect()
}

/// What is to be appended.
struct Writing {
    tail: Position,
    at: Time,
    batches: Vec<Batch>,
}

impl Writing {
    fn system(&mut self, head: &mut SystemHead, event: &SystemEvent) {
        let batch = system_batch(head, self.tail.next(), vec![event.encode()], self.at);
        self.push(batch);
    }

    /// # Errors
    /// If it cannot follow in that saga.
    fn saga(
        &mut self,
        state: &mut SagaState,
        key: StreamKey,
        event: SagaEvent,
    ) -> Result<(), CliError> {
        let mut head = SystemHead {
            name: state.id().stream().clone(),
            key: Some(key),
            version: Version::new(state.version().get()),
        };
        state
            .apply(&event, self.at)
            .map_err(|error| CliError::new("not_restored", Exit::Failed, error.to_string()))?;
        let batch = system_batch(&mut head, self.tail.next(), vec![event.encode()], self.at);
        self.push(Batch {
            state: StreamState::Open,
            ..batch
        });
        Ok(())
    }

    fn push(&mut self, batch: Batch) {
        self.tail = batch.last_position();
        self.batches.push(batch);
    }
}
