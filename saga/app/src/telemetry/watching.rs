//! What watches a node: its metrics, and its traces if they are wanted.

use std::{sync::Arc, time::Duration};

use sagalog::{
    Command, Observe, SagaEvent, SagaState,
    dead_letter::Cause,
    log::{PartitionId, Position, Time},
    observe::{Called, Commit, Standing},
};

use super::{Metrics, trace::Tracer};

/// Tells both what happens.
pub(crate) struct Watching {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tracer: Option<Tracer>,
}

impl Observe for Watching {
    fn decided(&self, state: &SagaState, event: &SagaEvent, at: Time) {
        self.metrics.decided(state, event, at);
        if let Some(tracer) = &self.tracer {
            tracer.decided(state, event, at);
        }
    }

    fn appended(&self, partition: PartitionId, commit: Commit) {
        self.metrics.appended(partition, commit);
        if let Some(tracer) = &self.tracer {
            tracer.appended(partition, commit);
        }
    }

    fn sent(&self, partition: PartitionId, messages: usize, not_taken: usize, took: Duration) {
        self.metrics.sent(partition, messages, not_taken, took);
        if let Some(tracer) = &self.tracer {
            tracer.sent(partition, messages, not_taken, took);
        }
    }

    fn stands(&self, partition: PartitionId, standing: Standing) {
        self.metrics.stands(partition, standing);
    }

    fn given_up(&self, partition: PartitionId) {
        self.metrics.given_up(partition);
    }

    fn died(&self, cause: Cause) {
        self.metrics.died(cause);
    }

    fn disconnected(&self, partition: PartitionId) {
        self.metrics.disconnected(partition);
    }

    fn published(&self, partition: PartitionId, through: Position) {
        self.metrics.published(partition, through);
    }

    fn traceparent(&self, state: &SagaState, command: &Command) -> Option<String> {
        self.tracer.as_ref()?.traceparent(state, command)
    }

    fn called(&self, called: &Called<'_>) {
        if let Some(tracer) = &self.tracer {
            tracer.called(called);
        }
    }
}
