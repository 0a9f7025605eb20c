//! Going through the sagas of a log in the order in which they began.

use std::{collections::VecDeque, sync::Arc};

use clap::ValueEnum;
use sagalog::{
    SagaState,
    history::{Graphs, Reader},
    views::{FoundSaga, SagaFilter, Waiting},
};
use sagalog_eventlog::{EventLog, StreamHead};
use sagalog_model::{
    SagaId,
    log::{PartitionId, StreamKey, StreamState},
};
use sagalog_projections::views::{NodeRow, SagaRow, Standing, WaitKind};

use crate::{error::CliError, when::When};

/// Streams whose histories are in memory at once.
const PAGE: usize = 100;

/// Which sagas are looked for; all unless something is said.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Filter {
    /// Only those of this status; may be given more than once
    #[arg(long, value_enum, ignore_case = true)]
    status: Vec<Wanted>,
    /// Only those of this definition
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// Only those of this version of the definition
    #[arg(id = "definition_version", long = "version", value_name = "N")]
    version: Option<u32>,
    /// Only those that wait for this: `reply`, `retry`, `sleep`, `signal`, `person`, `held` or `paused`;
    /// `reply:payments.charge` or `signal:approval` for one in particular
    #[arg(long, value_name = "KIND[:NAME]", value_parser = waiting)]
    waiting_for: Option<Waiting>,
    /// Only those that wait for this participant
    #[arg(long, value_name = "NAME")]
    participant: Option<String>,
    /// Only those that started before then: so long ago as 90s, 15m, 2h, 3d, or before a moment as 2026-11-20T20:07:30Z
    #[arg(long, value_name = "WHEN")]
    older_than: Option<When>,
    /// Only those that started since then
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
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
    /// Somebody has it stand still
    Paused,
}

impl Filter {
    /// Those of this version of a definition that are under way.
    pub(crate) fn under_way(definition: String, version: u32) -> Self {
        Self {
            status: vec![Wanted::Running, Wanted::Compensating],
            definition: Some(definition),
            version: Some(version),
            waiting_for: None,
            participant: None,
            older_than: None,
            since: None,
        }
    }

    /// Whether a saga that has ended cannot fit.
    fn is_under_way(&self) -> bool {
        let goes_on = [Wanted::Running, Wanted::Compensating, Wanted::Parked];
        !self.status.is_empty() && self.status.iter().all(|it| goes_on.contains(it))
    }

    /// The same question to the views. None if they cannot be asked it: they keep apart who waits for a person
    /// and who stands where.
    pub(super) fn of_views(&self) -> Option<SagaFilter> {
        let Some(waiting) = self.status.iter().find_map(|it| it.waiting()) else {
            let standings = self.status.iter().filter_map(|it| it.standing());
            return Some(SagaFilter {
                standings: standings.collect(),
                ..self.apart_from_status()
            });
        };
        let is_alone = self.status.len() == 1 && self.waiting_for.is_none();
        is_alone.then(|| SagaFilter {
            waiting: Some(waiting),
            ..self.apart_from_status()
        })
    }

    /// Whether nothing was said.
    pub(crate) fn is_all(&self) -> bool {
        self.status.is_empty() && self.apart_from_status() == SagaFilter::default()
    }

    fn apart_from_status(&self) -> SagaFilter {
        SagaFilter {
            standings: Vec::new(),
            definition: self.definition.clone(),
            version: self.version,
            waiting: self.waiting_for.clone(),
            participant: self.participant.clone(),
            from: self.since.map(|when| when.0),
            before: self.older_than.map(|when| when.0),
        }
    }

    fn fits(&self, state: &SagaState) -> bool {
        let status = |wanted: &Wanted| match wanted.standing() {
            Some(standing) => standing == state.status().into(),
            None if *wanted == Wanted::Paused => state.pause().is_some(),
            None => state.parked().next().is_some(),
        };
        if !self.status.is_empty() && !self.status.iter().any(status) {
            return false;
        }
        let (saga, nodes) = rows(StreamKey::default(), state);
        self.apart_from_status().fits(&saga, &nodes)
    }
}

impl Wanted {
    const fn standing(self) -> Option<Standing> {
        Some(match self {
            Self::Running => Standing::Running,
            Self::Compensating => Standing::Compensating,
            Self::Completed => Standing::Completed,
            Self::Compensated => Standing::Compensated,
            Self::PartlyCompensated => Standing::PartlyCompensated,
            Self::Parked | Self::Paused => return None,
        })
    }

    /// What it waits for, of a status that is no standing.
    const fn waiting(self) -> Option<Waiting> {
        match self {
            Self::Parked => Some(Waiting::Node(WaitKind::Person, None)),
            Self::Paused => Some(Waiting::Paused),
            _ => None,
        }
    }
}

fn waiting(text: &str) -> Result<Waiting, String> {
    let (kind, name) = match text.split_once(':') {
        Some((kind, name)) => (kind, Some(name.to_owned())),
        None => (text, None),
    };
    match (kind, &name) {
        ("held", None) => return Ok(Waiting::Held),
        ("paused", None) => return Ok(Waiting::Paused),
        _ => {}
    }
    let known = WaitKind::ALL.into_iter().find(|it| it.as_str() == kind);
    known.map(|kind| Waiting::Node(kind, name)).ok_or_else(|| {
        let words = WaitKind::ALL.map(WaitKind::as_str);
        format!("known are: {}, held, paused", words.join(", "))
    })
}

/// What views say of a saga in this state.
pub(super) fn rows(stream: StreamKey, state: &SagaState) -> (SagaRow, Vec<NodeRow>) {
    let nodes = state.graph().iter();
    let nodes = nodes.map(|(index, _)| NodeRow::of(stream, state, index));
    (SagaRow::of(stream, state), nodes.collect())
}

/// A stream among those of all partitions of a log, as one number.
pub(super) fn place(log: &dyn EventLog, partition: PartitionId, stream: StreamKey) -> u64 {
    stream.get() * u64::from(log.partitions()) + u64::from(partition.get())
}

/// What a [`place`] says.
pub(super) fn behind(log: &dyn EventLog, place: u64) -> (PartitionId, StreamKey) {
    let count = u64::from(log.partitions());
    let partition = PartitionId::new((place % count) as u32);
    (partition, StreamKey::new(place / count))
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
    /// Sagas that have ended are not read.
    is_under_way: bool,
    left_out: u64,
}

impl Scan {
    /// Begins behind this place; 0 is the beginning of the log.
    pub(crate) async fn of(log: Arc<dyn EventLog>, after: u64) -> Result<Self, CliError> {
        let (partition, after) = behind(&*log, after);
        let reader = Reader::new(log.clone(), partition);
        Ok(Self {
            graphs: reader.graphs().await?,
            log,
            partition,
            reader,
            ahead: VecDeque::new(),
            after,
            is_under_way: false,
            left_out: 0,
        })
    }

    /// Does not read what cannot fit.
    #[must_use]
    pub(super) fn only(mut self, filter: &Filter) -> Self {
        self.is_under_way = filter.is_under_way();
        self
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
        place(&*self.log, self.partition, self.after)
    }

    /// What views say of the saga that was found last, whose state this is.
    pub(super) fn found(&self, state: &SagaState) -> FoundSaga {
        let (saga, nodes) = rows(self.after, state);
        FoundSaga::of(self.partition, &saga, &nodes)
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
        let is_under_way = self.is_under_way;
        let mut heads = self.log.streams(self.partition, self.after, PAGE).await?;
        while heads.is_empty() && self.partition.next().get() < self.log.partitions() {
            (self.partition, self.after) = (self.partition.next(), StreamKey::default());
            self.reader = Reader::new(self.log.clone(), self.partition);
            self.graphs.extend(self.reader.graphs().await?);
            heads = self.log.streams(self.partition, self.after, PAGE).await?;
        }
        let is_wanted = |head: &StreamHead| {
            let is_saga = !head.name.as_str().starts_with('$');
            is_saga && (!is_under_way || head.state == StreamState::Open)
        };
        let sagas = heads.iter().filter(|head| is_wanted(head));
        let keys: Vec<_> = sagas.map(|head| head.key).collect();
        let mut histories = self.reader.read_histories(keys).await?;
        for head in heads {
            let state = match (histories.remove(&head.key), SagaId::new(head.name.as_str())) {
                (Some((_, Ok(history))), Ok(id)) => {
                    self.reader.fold(&id, &history, &self.graphs, None).ok()
                }
                _ => None,
            };
            self.left_out += u64::from(is_wanted(&head) && state.is_none());
            self.ahead.push_back((head.key, state));
        }
        Ok(())
    }
}
