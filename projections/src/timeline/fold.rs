//! From events to lanes.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use sagalog_model::{
    AttemptNumber, Direction, Graph, Kind, NodeIndex, Payload, SagaEvent, SagaId, StepSpec,
    event::{NodeId, ParkCause},
    log::Time,
};

use super::{
    Ahead, AttemptEnd, End, Ended, Entry, GapStep, HeldEnd, Item, Moment, Note, Noted, Place,
    Placed, Timeline, What,
};
use crate::{
    saga::{IllegalEvent, Phase, SagaState},
    step::{StepState, UndoEnd},
    why::why,
};

pub(super) fn timeline<'a>(
    saga: &SagaId,
    graph: &Arc<Graph>,
    mut events: impl Iterator<Item = Placed<'a>>,
) -> Result<Option<Timeline>, IllegalEvent> {
    let Some(Placed {
        place,
        event: SagaEvent::Started(started),
    }) = events.next()
    else {
        return Ok(None);
    };
    let mut fold = Fold {
        state: SagaState::start(saga.clone(), graph.clone(), started, place.at),
        started: place,
        last: place,
        turned: None,
        forward: Lane::default(),
        back: Lane::default(),
    };
    for Placed { place, event } in events {
        // Before the state moves on: what a person does is about what was parked until then.
        fold.note(event, place);
        fold.state.apply(event, place.at)?;
        fold.last = place;
    }
    Ok(Some(fold.finish()))
}

struct Fold {
    state: SagaState,
    started: Place,
    last: Place,
    turned: Option<Place>,
    forward: Lane,
    back: Lane,
}

/// Items in the order in which they began; nodes are found by their ids.
#[derive(Default)]
struct Lane {
    items: Vec<Item>,
    nodes: BTreeMap<NodeId, usize>,
}

impl Fold {
    fn note(&mut self, event: &SagaEvent, place: Place) {
        use SagaEvent as E;
        match event {
            E::AttemptAsked(e) => {
                let entry = self.entry(e.direction, &e.node, place);
                if let Some(input) = &e.input {
                    entry.input = Some(input.clone());
                }
                let (direction, attempt, deadline) = (e.direction, e.attempt.0, e.deadline);
                entry.add(
                    place,
                    What::Attempt {
                        direction,
                        attempt,
                        deadline,
                        renewed: false,
                        progress: None,
                        ended: None,
                    },
                );
            }
            E::AttemptSucceeded(e) => {
                let entry = self.entry(e.direction, &e.node, place);
                entry.answer(
                    e.direction,
                    e.attempt,
                    place,
                    Ended::new(place, AttemptEnd::Succeeded),
                );
                entry.settle(place);
                if entry.output.is_none() {
                    entry.output.clone_from(&e.output);
                }
                entry.ended.get_or_insert(place);
            }
            E::AttemptFailed(e) => {
                let ended = Ended {
                    class: Some(e.class),
                    ..Ended::because(place, AttemptEnd::Failed, &e.reason)
                };
                self.entry(e.direction, &e.node, place).answer(
                    e.direction,
                    e.attempt,
                    place,
                    ended,
                );
            }
            E::AttemptUnknown(e) => {
                let ended = Ended::because(place, AttemptEnd::Unknown, &e.reason);
                self.entry(e.direction, &e.node, place).answer(
                    e.direction,
                    e.attempt,
                    place,
                    ended,
                );
            }
            E::AttemptTimedOut(e) => {
                let ended = Ended::new(place, AttemptEnd::TimedOut);
                self.entry(e.direction, &e.node, place).answer(
                    e.direction,
                    e.attempt,
                    place,
                    ended,
                );
            }
            E::AttemptRenewed(e) => {
                self.entry(e.direction, &e.node, place)
                    .renew(e.direction, e.attempt, e.deadline)
            }
            // That it waits is told by `why`; its new deadline is told as one after a downtime is.
            E::AttemptDelayed(_) => {}
            E::AttemptAdmitted(e) => {
                self.entry(e.direction, &e.node, place)
                    .renew(e.direction, e.attempt, e.deadline)
            }
            E::AttemptExtended(e) => self.entry(Direction::Action, &e.node, place).extend(
                e.attempt,
                e.deadline,
                &e.progress,
            ),
            E::ActionNotFound(e) => {
                let ended = Ended::new(place, AttemptEnd::NotFound);
                self.entry(Direction::Probe, &e.node, place).answer(
                    Direction::Probe,
                    e.attempt,
                    place,
                    ended,
                );
            }
            E::RetryScheduled(e) => {
                let what = What::Retry {
                    direction: e.direction,
                    due: e.due,
                };
                self.entry(e.direction, &e.node, place).add(place, what);
            }
            E::StepDeadlinePassed(e) => self
                .entry(Direction::Action, &e.node, place)
                .add(place, What::StepDeadlinePassed),
            E::NodeCompleted(e) => {
                self.entry(Direction::Action, &e.node, place).done(
                    place,
                    End::Done,
                    e.output.clone(),
                );
            }
            E::ArmChosen(e) => {
                let arm = self.arm(&e.node, e.arm);
                let entry = self.entry(Direction::Action, &e.node, place);
                if arm.is_none() {
                    entry.done(place, End::Done, None);
                }
                entry.add(place, What::Arm { arm });
            }
            E::SleepStarted(e) => {
                self.entry(Direction::Action, &e.node, place).until = Some(e.until)
            }
            E::WaitStarted(e) => {
                self.entry(Direction::Action, &e.node, place).until = Some(e.until)
            }
            E::SleepEnded(e) => {
                self.entry(Direction::Action, &e.node, place)
                    .done(place, End::Done, None)
            }
            E::WaitTimedOut(e) => {
                self.entry(Direction::Action, &e.node, place)
                    .done(place, End::TimedOut, None)
            }
            E::SignalConsumed(e) => {
                let entry = self.entry(Direction::Action, &e.node, place);
                entry.add(place, What::Signal { id: e.id.clone() });
                entry.done(place, End::Done, None);
            }
            E::PivotPassed(e) => {
                self.entry(Direction::Action, &e.node, place)
                    .done(place, End::Done, None)
            }
            E::Turned(e) => {
                self.turned = Some(place);
                // A check that did not hold, and a `fail`, have no other event.
                let asks = |node: &NodeId| {
                    self.state
                        .graph()
                        .find(node)
                        .is_some_and(|at| self.state.step(at).is_some())
                };
                if let Some(node) = e.node.clone().filter(|node| !asks(node)) {
                    self.entry(Direction::Action, &node, place)
                        .done(place, End::Failed, None);
                }
            }
            E::CompensationSkipped(e) => {
                let entry = self.entry(Direction::Compensation, &e.node, place);
                entry.add(
                    place,
                    What::Skipped {
                        reason: e.reason.clone(),
                    },
                );
                entry.ended = Some(place);
            }
            E::Parked(e) => {
                let what = What::Parked {
                    cause: e.cause,
                    reason: e.reason.clone(),
                };
                self.entry(direction_of(e.cause), &e.node, place)
                    .add(place, what);
            }
            E::RetryRequested(e) => {
                let what = What::RetryRequested {
                    by: e.by.clone(),
                    reason: e.reason.clone(),
                };
                self.parked_entry(&e.node, place).add(place, what);
            }
            E::ResolvedByHand(e) => {
                let what = What::ResolvedByHand { by: e.by.clone() };
                let entry = self.parked_entry(&e.node, place);
                entry.add(place, what);
                entry.done(place, End::Done, Some(e.output.clone()));
            }
            E::SkippedByHand(e) => {
                let what = What::SkippedByHand {
                    by: e.by.clone(),
                    reason: e.reason.clone(),
                };
                let entry = self.parked_entry(&e.node, place);
                entry.add(place, what);
                entry.done(place, End::Skipped, None);
            }
            E::SignalReceived(e) => {
                self.noted(
                    place,
                    Noted::SignalReceived {
                        signal: e.signal.clone(),
                        id: e.id.clone(),
                    },
                );
            }
            E::NumberedSignalReceived(e) => {
                let (signal, producer) = (Some(e.signal.clone()), e.producer.clone());
                let number = e.number;
                self.noted(
                    place,
                    Noted::NumberedSignalReceived {
                        signal,
                        producer,
                        number,
                    },
                );
            }
            E::SignalAdmitted(e) => {
                let (producer, number) = (e.producer.clone(), e.number);
                self.noted(
                    place,
                    Noted::NumberedSignalReceived {
                        signal: None,
                        producer,
                        number,
                    },
                );
            }
            E::SignalAhead(e) => {
                let (signal, producer) = (e.signal.clone(), e.producer.clone());
                let number = e.number;
                self.noted(
                    place,
                    Noted::SignalAhead {
                        signal,
                        producer,
                        number,
                    },
                );
            }
            E::GapOpened(e) => self.gap(place, &e.producer, (e.from, e.to), GapStep::Waited),
            E::MissingAsked(e) => self.gap(place, &e.producer, (e.from, e.to), GapStep::Asked),
            E::GapAbandoned(e) => self.gap(place, &e.producer, (e.from, e.to), GapStep::Abandoned),
            E::GapRejected(e) => self.gap(place, &e.producer, (e.from, e.to), GapStep::Rejected),
            E::InputHeld(e) => {
                let (number, input) = (e.number, e.input.clone());
                let reason = e.held.reason.clone();
                self.noted(
                    place,
                    Noted::InputHeld {
                        number,
                        input,
                        reason,
                    },
                );
            }
            E::HeldReleased(e) => {
                let how = match e.content {
                    Some(_) => HeldEnd::Edited,
                    None => HeldEnd::Processed,
                };
                self.held_ended(place, e.number, Some(&e.by), how, None);
            }
            E::HeldTaken(e) => {
                self.held_ended(place, e.number, None, HeldEnd::Processed, None);
            }
            E::HeldDropped(e) => {
                let reason = Some(e.reason.clone());
                self.held_ended(place, e.number, Some(&e.by), HeldEnd::Dropped, reason);
            }
            E::SignalLate(e) => self.noted(place, Noted::SignalLate { id: e.id.clone() }),
            E::IdsForgotten(e) => {
                let (of, until) = (e.of, e.until);
                self.noted(place, Noted::IdsForgotten { of, until });
            }
            E::CancelRequested(e) => {
                self.noted(
                    place,
                    Noted::CancelRequested {
                        by: e.by.clone(),
                        reason: e.reason.clone(),
                    },
                );
            }
            E::CompensateRequested(e) => {
                let (by, reason) = (e.by.clone(), e.reason.clone());
                self.noted(place, Noted::CompensateRequested { by, reason });
            }
            E::Paused(e) => {
                let (by, reason) = (e.by.clone(), e.reason.clone());
                self.noted(place, Noted::Paused { by, reason });
            }
            E::Resumed(e) => self.noted(place, Noted::Resumed { by: e.by.clone() }),
            E::DeadlineSet(e) => {
                let (deadline, by) = (e.deadline, e.by.clone());
                let reason = e.reason.clone();
                self.noted(
                    place,
                    Noted::DeadlineSet {
                        deadline,
                        by,
                        reason,
                    },
                );
            }
            E::DeadlinePassed(_) => self.noted(place, Noted::DeadlinePassed),
            // The first is the beginning; the others are told by the state at the end.
            E::Started(_)
            | E::GapTimedOut(_)
            | E::StillHeld(_)
            | E::RetryDue(_)
            | E::Completed(_)
            | E::Compensated(_)
            | E::PartlyCompensated(_) => {}
        }
    }

    fn held_ended(
        &mut self,
        place: Place,
        number: u64,
        by: Option<&Arc<str>>,
        how: HeldEnd,
        reason: Option<String>,
    ) {
        let by = by.cloned();
        self.noted(
            place,
            Noted::HeldEnded {
                number,
                by,
                how,
                reason,
            },
        );
    }

    fn gap(&mut self, place: Place, producer: &Arc<str>, (from, to): (u64, u64), then: GapStep) {
        let producer = producer.clone();
        self.noted(
            place,
            Noted::Gap {
                producer,
                from,
                to,
                then,
            },
        );
    }

    /// The node's entry in the lane of what is asked of it; begun here if it is not there.
    fn entry(&mut self, direction: Direction, node: &NodeId, place: Place) -> &mut Entry {
        let lane = match direction {
            Direction::Action | Direction::Probe => &mut self.forward,
            Direction::Compensation | Direction::Alternative => &mut self.back,
        };
        let at = *lane.nodes.entry(node.clone()).or_insert_with(|| {
            lane.items
                .push(Item::Entry(Entry::new(self.state.graph(), node, place)));
            lane.items.len() - 1
        });
        match &mut lane.items[at] {
            Item::Entry(entry) => entry,
            Item::Note(_) => {
                unreachable!("the places of nodes are kept, and items are never moved")
            }
        }
    }

    fn parked_entry(&mut self, node: &NodeId, place: Place) -> &mut Entry {
        let at = self.state.graph().find(node);
        let parked = at.and_then(|at| self.state.node(at).parked.as_ref());
        let cause = parked.map_or(ParkCause::Action, |parked| parked.cause);
        self.entry(direction_of(cause), node, place)
    }

    fn noted(&mut self, place: Place, what: Noted) {
        let lane = if self.state.turn().is_some() {
            &mut self.back
        } else {
            &mut self.forward
        };
        lane.items.push(Item::Note(Note { place, what }));
    }

    fn arm(&self, node: &str, arm: u32) -> Option<String> {
        let graph = self.state.graph();
        let Kind::Choose { arms, .. } = &graph.node(graph.find(node)?).kind else {
            return None;
        };
        arms.get(arm as usize)
            .map(|block| graph.block(*block).label.clone())
    }

    fn finish(mut self) -> Timeline {
        let state = &self.state;
        let last = self.last;
        let step = |entry: &Entry| {
            let index = state.graph().find(&entry.node)?;
            state.step(index).map(|(spec, step)| (index, spec, step))
        };
        for entry in self.forward.entries() {
            entry.parked = is_parked(state, entry, |cause| cause != ParkCause::Compensation);
            match (step(entry), entry.end, self.turned) {
                (Some((index, spec, step)), None, _) => {
                    entry.end = forward_end(state, index, spec, step)
                }
                (None, None, Some(turned)) => {
                    (entry.end, entry.ended) = (Some(End::Dropped), Some(turned))
                }
                _ => {}
            }
            entry.close(last);
        }
        for entry in self.back.entries() {
            entry.parked = is_parked(state, entry, |cause| cause == ParkCause::Compensation);
            entry.end = step(entry).and_then(|(_, _, step)| back_end(step));
            entry.close(last);
        }
        let why = why(state);
        let ahead = |node: &NodeId| Ahead::new(state.graph(), node);
        Timeline {
            saga: state.id().clone(),
            definition: state.graph().saga.clone(),
            definition_version: state.graph().version.0,
            status: why.status,
            started: self.started,
            last,
            input: state.input().clone(),
            output: state.output().cloned(),
            deadline: why.deadline,
            pivot_passed: why.pivot_passed,
            turned: why.turned,
            paused: why.paused,
            ahead: why.to_do.iter().filter_map(ahead).collect(),
            waiting: why.waiting,
            missing: why.missing,
            held: why.held,
            left: why.left,
            forward: self.forward.items,
            compensation: self.back.items,
        }
    }
}

impl Lane {
    fn entries(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.items.iter_mut().filter_map(|item| match item {
            Item::Entry(entry) => Some(entry),
            Item::Note(_) => None,
        })
    }
}

fn direction_of(cause: ParkCause) -> Direction {
    match cause {
        ParkCause::Compensation => Direction::Compensation,
        ParkCause::Expression | ParkCause::Action => Direction::Action,
    }
}

fn is_parked(state: &SagaState, entry: &Entry, of_lane: fn(ParkCause) -> bool) -> bool {
    let index = state.graph().find(&entry.node);
    let parked = index.and_then(|index| state.node(index).parked.as_ref());
    parked.is_some_and(|parked| of_lane(parked.cause))
}

/// How a step's forward work ended, which no event says: it follows from what is settled.
fn forward_end(
    state: &SagaState,
    index: NodeIndex,
    spec: &StepSpec,
    step: &StepState,
) -> Option<End> {
    if step.has_succeeded() || state.node(index).phase == Phase::Done {
        return Some(End::Done);
    }
    let idle = step.action.is_idle() && step.probe.is_idle();
    if state.turn().is_none() || (!idle && state.awaits(spec, step, Direction::Action)) {
        return None;
    }
    let doubt = step.action.may_have_taken_effect();
    Some(if doubt { End::InDoubt } else { End::Failed })
}

fn back_end(step: &StepState) -> Option<End> {
    match step.undo {
        UndoEnd::Open => None,
        UndoEnd::Undone => Some(End::Undone),
        UndoEnd::Left { .. } => Some(End::Left),
    }
}

impl Entry {
    fn new(graph: &Graph, node: &NodeId, began: Place) -> Self {
        let (does, depth, contract) = describe(graph, node).unwrap_or(("node", 0, None));
        Self {
            node: node.clone(),
            does,
            depth,
            contract,
            began,
            ended: None,
            end: None,
            parked: false,
            until: None,
            input: None,
            output: None,
            moments: Vec::new(),
        }
    }

    fn add(&mut self, place: Place, what: What) {
        self.moments.push(Moment { place, what });
    }

    fn done(&mut self, place: Place, end: End, output: Option<Payload>) {
        self.ended = Some(place);
        self.end = Some(end);
        if output.is_some() {
            self.output = output;
        }
        self.settle(place);
    }

    /// Ends the attempt, or notes that an answer came after its end.
    fn answer(&mut self, of: Direction, number: AttemptNumber, place: Place, answer: Ended) {
        let open = self
            .moments
            .iter_mut()
            .find_map(|moment| match &mut moment.what {
                What::Attempt {
                    direction,
                    attempt,
                    ended,
                    ..
                } if *direction == of && *attempt == number.0 && ended.is_none() => Some(ended),
                _ => None,
            });
        match open {
            Some(ended) => *ended = Some(answer),
            None => self.add(
                place,
                What::LateAnswer {
                    direction: of,
                    attempt: number.0,
                    answer,
                },
            ),
        }
    }

    /// Ends all attempts that are still open: what they were for is settled.
    fn settle(&mut self, place: Place) {
        for moment in &mut self.moments {
            if let What::Attempt {
                ended: ended @ None,
                ..
            } = &mut moment.what
            {
                *ended = Some(Ended::new(place, AttemptEnd::SettledOtherwise));
            }
        }
    }

    fn renew(&mut self, of: Direction, number: AttemptNumber, until: Time) {
        for moment in &mut self.moments {
            match &mut moment.what {
                What::Attempt {
                    direction,
                    attempt,
                    deadline,
                    renewed,
                    ..
                } if *direction == of && *attempt == number.0 => {
                    (*deadline, *renewed) = (until, true);
                }
                _ => {}
            }
        }
    }

    fn extend(&mut self, number: AttemptNumber, until: Time, said: &str) {
        for moment in &mut self.moments {
            match &mut moment.what {
                What::Attempt {
                    direction: Direction::Action,
                    attempt,
                    deadline,
                    progress,
                    ..
                } if *attempt == number.0 => {
                    (*deadline, *progress) = (until, Some(said.to_string()));
                }
                _ => {}
            }
        }
    }

    /// An entry that ended without an event of its own ended with the last thing that happened.
    fn close(&mut self, last: Place) {
        if self.end.is_none() {
            self.ended = None;
        } else if self.ended.is_none() {
            let ended = self
                .moments
                .iter()
                .rev()
                .find_map(|moment| match &moment.what {
                    What::Attempt {
                        ended: Some(ended), ..
                    } => Some(ended.place),
                    _ => None,
                });
            self.ended = Some(ended.unwrap_or(last));
        }
    }
}

impl Ended {
    const fn new(place: Place, outcome: AttemptEnd) -> Self {
        Self {
            place,
            outcome,
            class: None,
            reason: None,
        }
    }

    fn because(place: Place, outcome: AttemptEnd, reason: &str) -> Self {
        Self {
            reason: Some(reason.to_string()),
            ..Self::new(place, outcome)
        }
    }
}

impl Ahead {
    fn new(graph: &Graph, node: &NodeId) -> Option<Self> {
        let (does, depth, contract) = describe(graph, node)?;
        Some(Self {
            node: node.clone(),
            does,
            depth,
            contract,
        })
    }
}

/// What a node does, in how many branches it stands, and whom it asks.
fn describe(graph: &Graph, node: &str) -> Option<(&'static str, u32, Option<Arc<str>>)> {
    let index = graph.find(node)?;
    let (does, contract) = match &graph.node(index).kind {
        Kind::Start => ("start", None),
        Kind::Entry => ("entry", None),
        Kind::Step { spec, .. } => ("step", Some(spec.name.clone())),
        Kind::Value { .. } => ("value", None),
        Kind::Check { .. } => ("check", None),
        Kind::Fail { .. } => ("fail", None),
        Kind::All { .. } => ("all", None),
        Kind::Choose { .. } => ("choice", None),
        Kind::Sleep { .. } => ("sleep", None),
        Kind::Signal { signal, .. } => ("signal", Some(signal.as_str().into())),
        Kind::Pivot => ("pivot", None),
        Kind::Return { .. } => ("return", None),
    };
    let around = core::iter::successors(graph.parent(index), |inner| graph.parent(*inner));
    Some((does, around.count() as u32, contract))
}
