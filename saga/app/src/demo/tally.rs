//! What the log says about the sagas of one file of orders: a fold of its rows.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use sagalog::{
    Payload, SagaId,
    log::{Data, Epoch, PartitionId, Position, StreamKey, Time},
};
use sagalog_eventlog::Row;
use serde::{Deserialize, Serialize};

use super::orders::Orders;

/// The sagas of a file's orders, as far as the log was read.
pub(super) struct Tally {
    sagas: Vec<Seen>,
    by_id: HashMap<SagaId, usize>,
    by_stream: HashMap<(PartitionId, StreamKey), usize>,
    parts: BTreeMap<PartitionId, Part>,
    known: usize,
    count: Count,
}

/// A partition, as far as it was read.
#[derive(Default)]
struct Part {
    position: Position,
    driven: Driven,
}

/// One order's saga.
struct Seen {
    id: SagaId,
    input: Payload,
    state: State,
    began: Time,
    ended: Time,
    events: usize,
}

/// Where a saga stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// The log does not know it.
    Missing,
    /// The id is taken by another saga or another order.
    Foreign,
    /// It goes on by itself, but for so many nodes that wait for a person.
    UnderWay {
        /// How many wait.
        parked: usize,
    },
    /// Everything was done.
    Completed,
    /// What was done was undone.
    Compensated,
    /// Something is left that could not be undone.
    PartlyCompensated,
}

/// How many sagas stand where.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) started: usize,
    pub(super) completed: usize,
    pub(super) compensated: usize,
    pub(super) partly_compensated: usize,
    pub(super) parked: usize,
}

/// When somebody owned a partition and worked: the spans from an owner's first to its last row.
#[derive(Default)]
struct Driven {
    before: Vec<(Time, Time)>,
    now: Option<(Epoch, Time, Time)>,
}

impl Tally {
    /// A tally of these orders, before the log is read.
    pub(super) fn of(orders: &Orders) -> Self {
        let seen = orders.good.iter().map(|order| Seen {
            id: order.id.clone(),
            input: order.input.clone(),
            state: State::Missing,
            began: Time::default(),
            ended: Time::default(),
            events: 0,
        });
        Self {
            sagas: seen.collect(),
            by_id: orders
                .good
                .iter()
                .enumerate()
                .map(|(index, order)| (order.id.clone(), index))
                .collect(),
            by_stream: HashMap::new(),
            parts: BTreeMap::new(),
            known: 0,
            count: Count::default(),
        }
    }

    /// Takes the next row of a partition.
    pub(super) fn apply(&mut self, partition: PartitionId, row: &Row) {
        let part = self.parts.entry(partition).or_default();
        part.position = row.last_position();
        part.driven.apply(row);
        if let Some(name) = &row.name
            && let Ok(id) = SagaId::new(name.as_str())
            && let Some(index) = self.by_id.get(&id)
        {
            self.by_stream.insert((partition, row.stream), *index);
        }
        let Some(index) = self.by_stream.get(&(partition, row.stream)) else {
            return;
        };
        let seen = &mut self.sagas[*index];
        self.known += usize::from(seen.state == State::Missing);
        self.count.leaves(seen.state);
        for event in &row.events {
            seen.apply(&event.kind, &event.data, row.at);
        }
        self.count.comes_to(seen.state);
    }

    /// How far a partition was read.
    pub(super) fn position(&self, partition: PartitionId) -> Position {
        let part = self.parts.get(&partition);
        part.map_or(Position::new(0), |part| part.position)
    }

    /// How many events were read, of all partitions.
    pub(super) fn events(&self) -> u64 {
        self.parts.values().map(|part| part.position.get()).sum()
    }

    /// How many orders the log knows, or at least their ids.
    pub(super) fn known(&self) -> usize {
        self.known
    }

    /// Where the saga of the order with this place in the file stands.
    pub(super) fn state(&self, index: usize) -> State {
        self.sagas[index].state
    }

    /// How many orders there are.
    pub(super) fn orders(&self) -> usize {
        self.sagas.len()
    }

    /// How many of their sagas stand where.
    pub(super) fn count(&self) -> Count {
        self.count
    }

    /// The compensated saga with the longest story.
    pub(super) fn example(&self) -> Option<&SagaId> {
        let compensated = self
            .sagas
            .iter()
            .filter(|seen| seen.state == State::Compensated);
        compensated
            .rev()
            .max_by_key(|seen| seen.events)
            .map(|seen| &seen.id)
    }

    /// Sagas that ended, for each second in which somebody owned a partition and worked.
    pub(super) fn per_second(&self) -> f64 {
        let spans = self.parts.values().flat_map(|part| part.driven.spans());
        let seconds = covered(spans.collect()).as_secs_f64();
        if seconds > 0.0 {
            self.count.ended() as f64 / seconds
        } else {
            0.0
        }
    }

    /// From a saga's first to its last event, in ms, for this share of the sagas that ended. What
    /// passed while nobody owned the log is part of it.
    pub(super) fn latency_ms(&self, share: f64) -> f64 {
        let ended = self.sagas.iter().filter(|seen| seen.state.is_end());
        let mut spans: Vec<_> = ended.map(|seen| seen.ended.since(seen.began)).collect();
        spans.sort_unstable();
        let at = (spans.len().saturating_sub(1) as f64 * share).round() as usize;
        spans
            .get(at)
            .map_or(0.0, |span| span.as_secs_f64() * 1_000.0)
    }
}

impl Seen {
    fn apply(&mut self, kind: &str, data: &Data, at: Time) {
        self.events += 1;
        self.ended = at;
        self.state = match (kind, self.state) {
            ("Started", _) => {
                self.began = at;
                if matches!(data, Data::Inline(text) if **text == *self.input.as_str()) {
                    State::UnderWay { parked: 0 }
                } else {
                    State::Foreign
                }
            }
            (_, State::Foreign) => State::Foreign,
            ("Completed", _) => State::Completed,
            ("Compensated", _) => State::Compensated,
            ("PartlyCompensated", _) => State::PartlyCompensated,
            ("Parked", State::UnderWay { parked }) => State::UnderWay { parked: parked + 1 },
            ("RetryRequested" | "ResolvedByHand" | "SkippedByHand", State::UnderWay { parked }) => {
                State::UnderWay {
                    parked: parked.saturating_sub(1),
                }
            }
            (_, state) => state,
        };
    }
}

impl State {
    fn is_end(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Compensated | Self::PartlyCompensated
        )
    }
}

impl Count {
    /// How many have ended.
    pub(super) fn ended(&self) -> usize {
        self.completed + self.compensated + self.partly_compensated
    }

    fn leaves(&mut self, state: State) {
        self.each(state, |count| *count -= 1);
    }

    fn comes_to(&mut self, state: State) {
        self.each(state, |count| *count += 1);
    }

    fn each(&mut self, state: State, change: impl Fn(&mut usize)) {
        match state {
            State::Missing | State::Foreign => return,
            State::UnderWay { parked: 0 } => {}
            State::UnderWay { .. } => change(&mut self.parked),
            State::Completed => change(&mut self.completed),
            State::Compensated => change(&mut self.compensated),
            State::PartlyCompensated => change(&mut self.partly_compensated),
        }
        change(&mut self.started);
    }
}

impl Driven {
    fn apply(&mut self, row: &Row) {
        match &mut self.now {
            Some((epoch, _, last)) if *epoch == row.epoch => *last = row.at,
            now => {
                let before = now.replace((row.epoch, row.at, row.at));
                self.before
                    .extend(before.map(|(_, first, last)| (first, last)));
            }
        }
    }

    fn spans(&self) -> impl Iterator<Item = (Time, Time)> {
        let now = self.now.map(|(_, first, last)| (first, last));
        self.before.iter().copied().chain(now)
    }
}

/// How much time these spans cover together.
fn covered(mut spans: Vec<(Time, Time)>) -> Duration {
    spans.sort_unstable();
    let (mut covered, mut until) = (Duration::ZERO, Time::default());
    for (first, last) in spans {
        covered += last.since(first.max(until));
        until = until.max(last);
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_several_worked_in_counts_once() {
        let span = |first, last| (Time::from_micros(first), Time::from_micros(last));
        let spans = vec![span(50, 70), span(10, 30), span(20, 40), span(55, 60)];
        assert_eq!(covered(spans), Duration::from_micros(50));
    }
}
