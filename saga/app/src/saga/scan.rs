//! Going through the sagas of a log in the order in which they began.

use std::{collections::VecDeque, sync::Arc};

use clap::ValueEnum;
use sagalog::{
    SagaState, Status,
    history::{Graphs, Reader},
};
use sagalog_eventlog::EventLog;
use sagalog_model::{
    SagaId,
    log::{PartitionId, StreamKey},
};

use crate::error::CliError;

/// Streams whose histories are in memory at once.
const PAGE: usize = 100;

/// Which sagas are looked for; all unless something is said.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only those of this status; may be given more than once
    #[arg(long, value_enum, ignore_case = true)]
    status: Vec<Wanted>,
    /// Only those of this definition
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
}

/// A status to look for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Wanted {
    /// It goes forward
    Running,
    /// It goes back
    Compensating,
    /// Everything on its path was done
    Completed,
    /// Everything that took effect was undone
    Compensated,
    /// Some effects are left
    PartlyCompensated,
    /// A node waits for a person
    Parked,
}

impl Filter {
    /// Whether it says nothing.
    pub(crate) const fn is_all(&self) -> bool {
        self.status.is_empty() && self.definition.is_none()
    }

    fn fits(&self, state: &SagaState) -> bool {
        let status = |wanted: &Wanted| match wanted {
            Wanted::Running => state.status() == Status::Running,
            Wanted::Compensating => state.status() == Status::Compensating,
            Wanted::Completed => state.status() == Status::Completed,
            Wanted::Compensated => state.status() == Status::Compensated,
            Wanted::PartlyCompensated => state.status() == Status::PartlyCompensated,
            Wanted::Parked => state.parked().next().is_some(),
        };
        (self.status.is_empty() || self.status.iter().any(status))
            && self
                .definition
                .as_ref()
                .is_none_or(|name| *name == state.graph().saga)
    }
}

/// A way through a log.
pub(crate) struct Scan {
    log: Arc<dyn EventLog>,
    /// The partition that is being read; those before it were.
    partition: PartitionId,
    reader: Reader,
    graphs: Graphs,
    /// Streams that were read and not looked at; a state only for those that are sagas.
    ahead: VecDeque<(StreamKey, Option<SagaState>)>,
    after: StreamKey,
    left_out: u64,
}

impl Scan {
    /// Begins behind this place; 0 is the beginning of the log.
    pub(crate) async fn of(log: Arc<dyn EventLog>, after: u64) -> Result<Self, CliError> {
        let count = u64::from(log.partitions());
        let partition = PartitionId::new((after % count) as u32);
        let reader = Reader::new(log.clone(), partition);
        Ok(Self {
            graphs: reader.graphs().await?,
            log,
            partition,
            reader,
            ahead: VecDeque::new(),
            after: StreamKey::new(after / count),
            left_out: 0,
        })
    }

    /// The next saga that fits; none at the end of the log.
    pub(crate) async fn next(&mut self, filter: &Filter) -> Result<Option<SagaState>, CliError> {
        while self.has_more().await? {
            let Some((key, state)) = self.ahead.pop_front() else {
                continue;
            };
            self.after = key;
            if let Some(state) = state.filter(|state| filter.fits(state)) {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    /// Whether there are streams that were not looked at.
    pub(super) async fn has_more(&mut self) -> Result<bool, CliError> {
        if self.ahead.is_empty() {
            self.read().await?;
        }
        Ok(!self.ahead.is_empty())
    }

    /// Where to go on behind: a stream's key, and where there are several partitions which of them.
    pub(super) fn place(&self) -> u64 {
        let count = u64::from(self.log.partitions());
        self.after.get() * count + u64::from(self.partition.get())
    }

    /// How many sagas were passed whose histories do not read or fold.
    pub(crate) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The graphs that the log holds.
    pub(super) fn graphs(&self) -> &Graphs {
        &self.graphs
    }

    async fn read(&mut self) -> Result<(), CliError> {
        let mut heads = self.log.streams(self.partition, self.after, PAGE).await?;
        while heads.is_empty() && self.partition.next().get() < self.log.partitions() {
            (self.partition, self.after) = (self.partition.next(), StreamKey::default());
            self.reader = Reader::new(self.log.clone(), self.partition);
            self.graphs.extend(self.reader.graphs().await?);
            heads = self.log.streams(self.partition, self.after, PAGE).await?;
        }
        let is_saga = |name: &str| !name.starts_with('$');
        let sagas = heads.iter().filter(|head| is_saga(head.name.as_str()));
        let keys: Vec<_> = sagas.map(|head| head.key).collect();
        let mut histories = self.reader.read_histories(keys).await?;
        for head in heads {
            let state = match (histories.remove(&head.key), SagaId::new(head.name.as_str())) {
                (Some((_, Ok(history))), Ok(id)) => {
                    self.reader.fold(&id, &history, &self.graphs, None).ok()
                }
                _ => None,
            };
            let is_saga = !head.name.as_str().starts_with('$');
            self.left_out += u64::from(is_saga && state.is_none());
            self.ahead.push_back((head.key, state));
        }
        Ok(())
    }
}
