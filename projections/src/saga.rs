//! The fold of a saga's stream. It only records what events say; the engine decides what follows.

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    sync::Arc,
    vec,
    vec::Vec,
};
use core::fmt;

use sagalog_model::{
    AttemptNumber, Direction, Graph, Kind, NodeIndex, Payload, RecoveryClass, SagaEvent, SagaId,
    StepSpec,
    event::{IdKind, NodeId, Origin, ParkCause, Started, TurnCause},
    expr::Outputs,
    graph::{BlockIndex, Source},
    log::{Time, Version},
};
use serde::{Deserialize, Serialize};

use crate::{
    attempts::{Heard, Retrying, Trouble, TroubleKind},
    dedup::{Asked, Ids},
    held::Held,
    sequence::{self, Ahead, Sequences},
    signals::{Signals, WaitingSignal},
    step::{StepState, UndoEnd},
};

/// Everything that the events of one saga add up to.
#[derive(Clone, Debug, PartialEq)]
pub struct SagaState {
    id: SagaId,
    graph: Arc<Graph>,
    version: Version,
    status: Status,
    started_at: Time,
    changed_at: Time,
    deadline: Option<Time>,
    deadline_passed: bool,
    pivot_passed: bool,
    turn: Option<Turn>,
    pause: Option<Pause>,
    nodes: Vec<NodeState>,
    signals: Signals,
    sequences: Sequences,
    held: Held,
    requests: Ids<Asked>,
    left: Vec<NodeId>,
}

/// Where a saga stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It goes forward.
    Running,
    /// It goes back.
    Compensating,
    /// It ended: everything on its path was done.
    Completed,
    /// It ended: everything that took effect was undone.
    Compensated,
    /// It ended: some effects are left.
    PartlyCompensated,
}

impl Status {
    /// Whether nothing can happen to it any more.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Compensated | Self::PartlyCompensated
        )
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Compensating => "Compensating",
            Self::Completed => "Completed",
            Self::Compensated => "Compensated",
            Self::PartlyCompensated => "PartlyCompensated",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The moment a saga started back, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Turn {
    /// What made it turn.
    pub cause: TurnCause,
    /// The node that did, if one did.
    pub node: Option<NodeId>,
    /// The reason, for people.
    pub reason: String,
    /// When.
    pub at: Time,
}

/// A saga that stands still, as somebody wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pause {
    /// Who.
    pub by: Arc<str>,
    /// Why, for people.
    pub reason: String,
    /// Since when.
    pub since: Time,
}

/// What is known of one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeState {
    /// How far it is.
    pub phase: Phase,
    /// When that was last changed.
    pub since: Time,
    /// What it gave.
    pub output: Option<Payload>,
    /// What was asked of its participant, if it is a step that was entered.
    pub step: Option<Box<StepState>>,
    /// Set while it waits for a person.
    pub parked: Option<Parked>,
    /// Whether a person did its work.
    pub by_hand: bool,
}

/// How far a node is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Phase {
    /// Its turn has not come.
    #[default]
    Ahead,
    /// Its participant was asked.
    Asking,
    /// It sleeps.
    Sleeping {
        /// Until then.
        until: Time,
    },
    /// It waits for a signal.
    Waiting {
        /// At most until then.
        until: Time,
    },
    /// It is a choice that went into an arm.
    InArm {
        /// The arm's number; beyond the last for none.
        arm: u32,
    },
    /// It is done.
    Done,
}

/// Why a node waits for a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parked {
    /// What could not be done.
    pub cause: ParkCause,
    /// Details, for people.
    pub reason: String,
    /// Since when.
    pub since: Time,
}

/// An event that cannot follow the ones before it: the log is not one of this engine.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("event {version} of saga `{saga}`, {kind}, cannot follow the ones before it: {why}")]
pub struct IllegalEvent {
    /// The saga.
    pub saga: SagaId,
    /// The event's version.
    pub version: Version,
    /// Its type.
    pub kind: &'static str,
    /// What is wrong.
    pub why: String,
}

impl SagaState {
    /// The state after `Started`.
    pub fn start(id: SagaId, graph: Arc<Graph>, started: &Started, at: Time) -> Self {
        let mut nodes = vec![NodeState::default(); graph.nodes.len()];
        let start = &mut nodes[Graph::START.0 as usize];
        start.phase = Phase::Done;
        start.since = at;
        start.output = Some(started.input.clone());
        Self {
            id,
            graph,
            version: Version::new(1),
            status: Status::Running,
            started_at: at,
            changed_at: at,
            deadline: started.deadline,
            deadline_passed: false,
            pivot_passed: false,
            turn: None,
            pause: None,
            nodes,
            signals: Signals::default(),
            sequences: Sequences::default(),
            held: Held::default(),
            requests: Ids::default(),
            left: Vec::new(),
        }
    }

    /// Adds one event.
    ///
    /// # Errors
    /// [`IllegalEvent`] if it cannot follow the ones before it; the state must not be used then.
    pub fn apply(&mut self, event: &SagaEvent, at: Time) -> Result<(), IllegalEvent> {
        self.version = self.version.next();
        self.changed_at = at;
        let legal = self.legal(event);
        legal
            .and_then(|()| self.fold(event, at))
            .map_err(|why| IllegalEvent {
                saga: self.id.clone(),
                version: self.version,
                kind: event.kind(),
                why,
            })
    }

    fn fold(&mut self, event: &SagaEvent, at: Time) -> Result<(), String> {
        use SagaEvent as E;
        match event {
            E::Started(_) => return Err("a saga starts once".into()),
            E::AttemptAsked(e) => match e.direction {
                Direction::Action if e.attempt.0 == 1 => {
                    let input = e.input.clone().ok_or("a first attempt brings the input")?;
                    self.forward_only()?;
                    let within = self.deadline.filter(|_| !self.pivot_passed);
                    let node = self.enter(&e.node, Phase::Asking, at)?;
                    let mut step = StepState::new(input, e.until);
                    step.asked_within = within;
                    step.action.ask(e.attempt, at, e.deadline);
                    node.step = Some(Box::new(step));
                }
                direction => {
                    if direction == Direction::Action {
                        self.forward_only()?;
                    }
                    let within = self.deadline.filter(|_| !self.pivot_passed);
                    let step = self.step_mut(&e.node)?;
                    let attempts = step.attempts(direction);
                    if attempts.open.is_some() || attempts.next() != e.attempt {
                        return Err(format!(
                            "attempt {} is not the next of {direction}",
                            e.attempt
                        ));
                    }
                    if direction == Direction::Action {
                        step.asked_within = within;
                    }
                    if direction == Direction::Probe {
                        step.probed_for = AttemptNumber(step.action.asked);
                    }
                    step.attempts_mut(direction).ask(e.attempt, at, e.deadline);
                    if matches!(direction, Direction::Compensation | Direction::Alternative) {
                        self.keep_what_is_undone(&e.node)?;
                    }
                }
            },
            E::AttemptSucceeded(e) => {
                let step = self.asked_step(&e.node, e.direction, e.attempt)?;
                step.attempts_mut(e.direction).succeed();
                match e.direction {
                    Direction::Action | Direction::Probe => {
                        step.action.open = None;
                        step.action.retry = Retrying::No;
                        step.probe.open = None;
                        let output = e
                            .output
                            .clone()
                            .ok_or("an action's success brings its output")?;
                        let turned = self.turn.is_some();
                        let node = self.node_mut(&e.node)?;
                        node.output.get_or_insert(output);
                        node.parked
                            .take_if(|parked| parked.cause == ParkCause::Action);
                        if !turned {
                            node.phase = Phase::Done;
                            node.since = at;
                        }
                    }
                    Direction::Compensation | Direction::Alternative => self.undone(&e.node, at)?,
                }
            }
            E::AttemptFailed(e) => {
                let trouble = Trouble {
                    kind: TroubleKind::Failed(e.class),
                    reason: e.reason.clone(),
                    at,
                };
                self.asked_step(&e.node, e.direction, e.attempt)?
                    .attempts_mut(e.direction)
                    .fail(e.attempt, trouble);
            }
            E::AttemptUnknown(e) => {
                let trouble = Trouble {
                    kind: TroubleKind::Unknown,
                    reason: e.reason.clone(),
                    at,
                };
                self.asked_step(&e.node, e.direction, e.attempt)?
                    .attempts_mut(e.direction)
                    .doubt(e.attempt, trouble);
            }
            E::AttemptTimedOut(e) => {
                let step = self.asked_step(&e.node, e.direction, e.attempt)?;
                let attempts = step.attempts_mut(e.direction);
                let open = attempts.open.ok_or("no attempt is open")?;
                let reason = match &attempts.heard {
                    Some(heard) => format!("nothing heard of it for {:?}", at.since(heard.at)),
                    None => format!("no answer within {:?}", at.since(open.asked_at)),
                };
                attempts.doubt(
                    e.attempt,
                    Trouble {
                        kind: TroubleKind::TimedOut,
                        reason,
                        at,
                    },
                );
            }
            E::AttemptRenewed(e) => {
                let step = self.asked_step(&e.node, e.direction, e.attempt)?;
                let attempts = step.attempts_mut(e.direction);
                match &mut attempts.open {
                    Some(open) if open.number == e.attempt && !open.renewed => {
                        open.deadline = e.deadline;
                        open.renewed = true;
                        attempts.heard = None;
                    }
                    _ => return Err("only an open attempt is renewed, and once".into()),
                }
            }
            E::AttemptDelayed(e) => {
                let step = self.asked_step(&e.node, e.direction, e.attempt)?;
                match &mut step.attempts_mut(e.direction).open {
                    Some(open) if open.number == e.attempt && !open.delayed => open.delayed = true,
                    _ => return Err("only an open attempt is delayed, and not twice".into()),
                }
            }
            E::AttemptAdmitted(e) => {
                let step = self.asked_step(&e.node, e.direction, e.attempt)?;
                match &mut step.attempts_mut(e.direction).open {
                    Some(open) if open.number == e.attempt => {
                        open.deadline = e.deadline;
                        open.delayed = false;
                    }
                    _ => return Err("only an open attempt is admitted".into()),
                }
            }
            E::AttemptExtended(e) => {
                let step = self.asked_step(&e.node, Direction::Action, e.attempt)?;
                match &mut step.action.open {
                    Some(open) if open.number == e.attempt && open.deadline < e.deadline => {
                        open.deadline = e.deadline;
                    }
                    _ => return Err("only an open attempt is extended, to a later time".into()),
                }
                let progress = e.progress.clone();
                step.action.heard = Some(Heard { at, progress });
            }
            E::ActionNotFound(e) => {
                let step = self.asked_step(&e.node, Direction::Probe, e.attempt)?;
                let reason = String::from("the probe found no effect so far");
                step.probe.fail(
                    e.attempt,
                    Trouble {
                        kind: TroubleKind::NotFound,
                        reason,
                        at,
                    },
                );
            }
            E::RetryScheduled(e) => {
                self.step_mut(&e.node)?.attempts_mut(e.direction).retry = Retrying::At(e.due)
            }
            E::RetryDue(e) => {
                let attempts = self.step_mut(&e.node)?.attempts_mut(e.direction);
                if !matches!(attempts.retry, Retrying::At(_)) {
                    return Err("no retry was scheduled".into());
                }
                attempts.retry = Retrying::Now;
            }
            E::StepDeadlinePassed(e) => self.step_mut(&e.node)?.until_passed = true,
            E::NodeCompleted(e) => {
                let index = self.index(&e.node)?;
                let output = match &e.output {
                    Some(output) => output.clone(),
                    None => self
                        .plain_output(index)
                        .ok_or("it brings no output, and the definition names none")?,
                };
                self.forward_only()?;
                self.complete(index, Some(output), at);
            }
            E::ArmChosen(e) => {
                let index = self.index(&e.node)?;
                let Kind::Choose { arms, .. } = &self.graph.node(index).kind else {
                    return Err("the node is not a choice".into());
                };
                let entry = arms
                    .get(e.arm as usize)
                    .map(|block| self.graph.block(*block).nodes[0]);
                self.enter(&e.node, Phase::InArm { arm: e.arm }, at)?;
                match entry {
                    Some(entry) => self.complete(entry, Some(e.payload.clone()), at),
                    None => self.complete(index, Some(Payload::null()), at),
                }
            }
            E::SleepStarted(e) => self
                .enter(&e.node, Phase::Sleeping { until: e.until }, at)
                .map(|_| ())?,
            E::SleepEnded(e) => {
                let index =
                    self.in_phase(&e.node, |phase| matches!(phase, Phase::Sleeping { .. }))?;
                self.complete(index, Some(Payload::null()), at);
            }
            E::WaitStarted(e) => self
                .enter(&e.node, Phase::Waiting { until: e.until }, at)
                .map(|_| ())?,
            E::WaitTimedOut(e) => {
                let index =
                    self.in_phase(&e.node, |phase| matches!(phase, Phase::Waiting { .. }))?;
                self.complete(index, Some(Payload::null()), at);
            }
            E::SignalReceived(e) => {
                let signal = WaitingSignal {
                    signal: e.signal.clone(),
                    id: e.id.clone(),
                    payload: e.payload.clone(),
                };
                self.signals.record(signal, e.until);
            }
            E::NumberedSignalReceived(e) => {
                self.sequences.came(&e.producer, &e.signal, &e.payload);
                self.signals.record_numbered(WaitingSignal {
                    signal: e.signal.clone(),
                    id: sequence::id_of(&e.producer, e.number),
                    payload: e.payload.clone(),
                });
            }
            E::SignalAhead(e) => {
                let ahead = Ahead {
                    signal: e.signal.clone(),
                    payload: e.payload.clone(),
                };
                self.sequences.keep(&e.producer, e.number, ahead);
            }
            E::GapOpened(e) => self.sequences.open_gap(&e.producer, at, e.until)?,
            E::MissingAsked(e) => self.sequences.asked(&e.producer, e.until)?,
            E::SignalAdmitted(e) => {
                let ahead = self.sequences.admit(&e.producer, e.number);
                let Ahead { signal, payload } = ahead.ok_or("it is not kept, or not next")?;
                let id = sequence::id_of(&e.producer, e.number);
                self.signals.record_numbered(WaitingSignal {
                    signal,
                    id,
                    payload,
                });
            }
            E::GapTimedOut(e) => self.sequences.time_out(&e.producer)?,
            E::GapAbandoned(e) => self.sequences.abandon(&e.producer)?,
            E::GapRejected(e) => self.sequences.reject(&e.producer)?,
            E::SignalConsumed(e) => {
                let index =
                    self.in_phase(&e.node, |phase| matches!(phase, Phase::Waiting { .. }))?;
                let taken = match &self.graph.node(index).kind {
                    Kind::Signal { signal, .. } => self.signals.take(signal, &e.id),
                    _ => None,
                };
                let signal = taken.ok_or("no such signal waits")?;
                self.complete(index, Some(signal.payload), at);
            }
            E::SignalLate(e) => {
                if !self.signals.mark_late(&e.id) {
                    return Err("no such signal waits".into());
                }
            }
            E::IdsForgotten(e) => match e.of {
                IdKind::Signals => self.signals.forget(e.until),
                IdKind::Requests => self.requests.forget(e.until),
            },
            E::PivotPassed(e) => {
                let index = self.index(&e.node)?;
                self.forward_only()?;
                self.pivot_passed = true;
                self.complete(index, None, at);
            }
            E::CancelRequested(e) => {
                self.requests
                    .record(&e.id, e.until, Asked::cancel(&e.reason));
            }
            E::CompensateRequested(e) => {
                self.requests
                    .record(&e.id, e.until, Asked::compensate(&e.reason));
                self.pause = None;
            }
            E::Paused(e) => {
                self.requests
                    .record(&e.id, e.until, Asked::pause(&e.reason));
                self.pause = Some(Pause {
                    by: e.by.clone(),
                    reason: e.reason.clone(),
                    since: at,
                });
            }
            E::Resumed(e) => {
                self.requests.record(&e.id, e.until, Asked::resume());
                self.pause = None;
            }
            E::DeadlineSet(e) => {
                let asked = Asked::set_deadline(e.deadline, &e.reason);
                self.requests.record(&e.id, e.until, asked);
                self.deadline = e.deadline;
                self.deadline_passed = false;
            }
            E::DeadlinePassed(_) => self.deadline_passed = true,
            E::Turned(e) => {
                self.forward_only()?;
                if self.pivot_passed {
                    return Err("nothing turns after the pivot".into());
                }
                self.status = Status::Compensating;
                self.turn = Some(Turn {
                    cause: e.cause,
                    node: e.node.clone(),
                    reason: e.reason.clone(),
                    at,
                });
                for node in &mut self.nodes {
                    node.parked = None;
                    if let Some(step) = &mut node.step {
                        step.action.retry = Retrying::No;
                    }
                }
            }
            E::CompensationSkipped(e) => self.leave(&e.node, &e.reason, at)?,
            E::Parked(e) => {
                let node = self.node_mut(&e.node)?;
                node.parked = Some(Parked {
                    cause: e.cause,
                    reason: e.reason.clone(),
                    since: at,
                });
            }
            E::RetryRequested(e) => {
                let asked = Asked::retry(&e.node, e.reason.as_deref());
                self.requests.record(&e.id, e.until, asked);
                let cause = self.unpark(&e.node)?;
                if cause != ParkCause::Expression {
                    let step = self.step_mut(&e.node)?;
                    step.alternative.forgive();
                    let direction = match cause {
                        ParkCause::Compensation => Direction::Compensation,
                        _ => Direction::Action,
                    };
                    let attempts = step.attempts_mut(direction);
                    attempts.forgive();
                    attempts.retry = Retrying::Now;
                }
            }
            E::ResolvedByHand(e) => {
                self.requests
                    .record(&e.id, e.until, Asked::resolve(&e.node, e.output.as_str()));
                match self.unpark(&e.node)? {
                    ParkCause::Compensation => self.undone(&e.node, at)?,
                    _ => {
                        self.done_by_hand(&e.node, e.output.clone(), at)?;
                        self.node_mut(&e.node)?.by_hand = true;
                    }
                }
            }
            E::SkippedByHand(e) => {
                self.requests
                    .record(&e.id, e.until, Asked::skip(&e.node, &e.reason));
                match self.unpark(&e.node)? {
                    ParkCause::Compensation => self.leave(&e.node, &e.reason, at)?,
                    _ => self.done_by_hand(&e.node, Payload::null(), at)?,
                }
            }
            E::InputHeld(e) => self.held.hold(e.input.clone(), e.held.clone(), at),
            E::HeldReleased(e) => {
                let asked = Asked::release(e.number, e.content.as_ref());
                self.requests.record(&e.id, e.until, asked);
                self.held.take(e.number).ok_or("it is not the first held")?;
            }
            E::HeldTaken(e) if self.turn.is_some() => {
                self.held.drop(e.number).ok_or("it is not held")?;
            }
            E::HeldTaken(e) => {
                self.held.take(e.number).ok_or("it is not the first held")?;
            }
            E::StillHeld(e) => {
                let kept = self.held.keep(e.number, &e.reason);
                kept.ok_or("it is not the first held")?;
            }
            E::HeldDropped(e) => {
                let asked = Asked::drop(e.number, &e.reason);
                self.requests.record(&e.id, e.until, asked);
                let dropped = self.held.drop(e.number).ok_or("it is not held")?;
                match dropped.input {
                    // It may come again, and is a duplicate then.
                    Origin::Signal { signal, id, until } => {
                        let payload = dropped.content;
                        let signal = WaitingSignal {
                            signal,
                            id,
                            payload,
                        };
                        self.signals.give_up(&signal, until);
                    }
                    Origin::Numbered {
                        producer, number, ..
                    } => self.sequences.give_up(&producer, number),
                    Origin::Reply { .. } => {}
                }
            }
            E::Completed(e) => {
                self.forward_only()?;
                let last = NodeIndex(self.nodes.len() as u32 - 1);
                self.complete(last, Some(e.output.clone()), at);
                self.status = Status::Completed;
            }
            E::Compensated(_) => self.end(Status::Compensated)?,
            E::PartlyCompensated(e) => {
                self.left.clone_from(&e.left);
                self.end(Status::PartlyCompensated)?;
            }
        }
        Ok(())
    }

    #[cfg(feature = "mutants")]
    pub(crate) fn end_pause(&mut self) {
        self.pause = None;
    }

    #[cfg(feature = "mutants")]
    pub(crate) fn nodes_mut(&mut self) -> &mut [NodeState] {
        &mut self.nodes
    }

    fn end(&mut self, status: Status) -> Result<(), String> {
        if self.turn.is_none() {
            return Err("the saga has not turned".into());
        }
        self.status = status;
        Ok(())
    }

    fn forward_only(&self) -> Result<(), String> {
        if self.turn.is_some() {
            Err("the saga has turned".into())
        } else {
            Ok(())
        }
    }

    pub(crate) fn index(&self, node: &str) -> Result<NodeIndex, String> {
        self.graph
            .find(node)
            .ok_or_else(|| format!("the definition has no node `{node}`"))
    }

    fn node_mut(&mut self, node: &str) -> Result<&mut NodeState, String> {
        let index = self.index(node)?;
        Ok(&mut self.nodes[index.0 as usize])
    }

    fn step_mut(&mut self, node: &str) -> Result<&mut StepState, String> {
        self.node_mut(node)?
            .step
            .as_deref_mut()
            .ok_or_else(|| format!("`{node}` was never asked"))
    }

    fn asked_step(
        &mut self,
        node: &str,
        direction: Direction,
        attempt: AttemptNumber,
    ) -> Result<&mut StepState, String> {
        let step = self.step_mut(node)?;
        if step.attempts(direction).was_asked(attempt) {
            Ok(step)
        } else {
            Err(format!(
                "attempt {attempt} of the {direction} of `{node}` was never asked"
            ))
        }
    }

    fn enter(&mut self, node: &str, phase: Phase, at: Time) -> Result<&mut NodeState, String> {
        self.forward_only()?;
        let node = self.node_mut(node)?;
        if node.phase != Phase::Ahead {
            return Err("a node is entered once".into());
        }
        node.phase = phase;
        node.since = at;
        Ok(node)
    }

    fn in_phase(&self, node: &str, expected: fn(&Phase) -> bool) -> Result<NodeIndex, String> {
        let index = self.index(node)?;
        let phase = &self.node(index).phase;
        if expected(phase) {
            Ok(index)
        } else {
            Err(format!("`{node}` is {phase:?}"))
        }
    }

    /// I5: a command says nothing that a later event will say, so its output is the one known now.
    fn keep_what_is_undone(&mut self, node: &str) -> Result<(), String> {
        let node = self.node_mut(node)?;
        let output = node.output.clone();
        if let Some(step) = &mut node.step {
            step.undone_with = output.filter(|_| step.has_succeeded());
        }
        Ok(())
    }

    fn complete(&mut self, index: NodeIndex, output: Option<Payload>, at: Time) {
        let node = &mut self.nodes[index.0 as usize];
        node.phase = Phase::Done;
        node.since = at;
        node.output = output;
    }

    fn done_by_hand(&mut self, node: &str, output: Payload, at: Time) -> Result<(), String> {
        let index = self.index(node)?;
        self.complete(index, Some(output), at);
        Ok(())
    }

    fn undone(&mut self, node: &str, at: Time) -> Result<(), String> {
        self.end_undo(node, UndoEnd::Undone, at)
    }

    fn leave(&mut self, node: &str, reason: &str, at: Time) -> Result<(), String> {
        self.end_undo(
            node,
            UndoEnd::Left {
                reason: reason.to_string(),
            },
            at,
        )
    }

    fn end_undo(&mut self, node: &str, end: UndoEnd, at: Time) -> Result<(), String> {
        let node = self.node_mut(node)?;
        node.since = at;
        node.parked = None;
        let step = node
            .step
            .as_mut()
            .ok_or("what was never asked is never undone")?;
        step.undo = end;
        step.compensation.open = None;
        step.compensation.retry = Retrying::No;
        step.alternative.open = None;
        step.alternative.retry = Retrying::No;
        Ok(())
    }

    fn unpark(&mut self, node: &str) -> Result<ParkCause, String> {
        let parked = self
            .node_mut(node)?
            .parked
            .take()
            .ok_or("the node is not parked")?;
        Ok(parked.cause)
    }

    /// What a node gives without any code: another node's output, or a constant.
    fn plain_output(&self, index: NodeIndex) -> Option<Payload> {
        match &self.graph.node(index).kind {
            Kind::Value { value } => self.plain(value),
            Kind::Choose { arms, .. } => match self.node(index).phase {
                Phase::InArm { arm } => {
                    self.plain(self.graph.block(*arms.get(arm as usize)?).result.as_ref()?)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The value of a source that needs no code.
    pub fn plain(&self, source: &Source) -> Option<Payload> {
        match source {
            Source::Copy(node) => self.node(*node).output.clone(),
            Source::Constant(value) => Some(value.clone()),
            Source::Computed { .. } => None,
        }
    }
}

/// What can be asked of a state.
impl SagaState {
    /// The saga's id.
    pub const fn id(&self) -> &SagaId {
        &self.id
    }

    /// The definition it runs.
    pub const fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// Version of the newest event.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Where it stands.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// When it started.
    pub const fn started_at(&self) -> Time {
        self.started_at
    }

    /// Time of the newest event.
    pub const fn changed_at(&self) -> Time {
        self.changed_at
    }

    /// When it turns back by itself.
    pub const fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// Whether that time has passed.
    pub const fn deadline_passed(&self) -> bool {
        self.deadline_passed
    }

    /// Whether nothing is compensated any more.
    pub const fn pivot_passed(&self) -> bool {
        self.pivot_passed
    }

    /// The turn, if it has turned.
    pub const fn turn(&self) -> Option<&Turn> {
        self.turn.as_ref()
    }

    /// Set while it stands still, as somebody wants.
    pub const fn pause(&self) -> Option<&Pause> {
        self.pause.as_ref()
    }

    /// Its signals.
    pub const fn signals(&self) -> &Signals {
        &self.signals
    }

    /// The inputs that wait for a person.
    pub const fn held(&self) -> &Held {
        &self.held
    }

    /// What producers have numbered.
    pub const fn sequences(&self) -> &Sequences {
        &self.sequences
    }

    /// The ids of the operator requests that are remembered.
    pub const fn requests(&self) -> &Ids<Asked> {
        &self.requests
    }

    /// The nodes whose effects are left; empty until it has ended.
    pub fn left(&self) -> &[NodeId] {
        &self.left
    }

    /// What is known of a node.
    pub fn node(&self, index: NodeIndex) -> &NodeState {
        &self.nodes[index.0 as usize]
    }

    /// The step's contract and state, if the node is a step that was asked.
    pub fn step(&self, index: NodeIndex) -> Option<(&StepSpec, &StepState)> {
        match (&self.graph.node(index).kind, &self.node(index).step) {
            (Kind::Step { spec, .. }, Some(step)) => Some((spec, step)),
            _ => None,
        }
    }

    /// All steps that were asked.
    pub fn steps(&self) -> impl Iterator<Item = (NodeIndex, &StepSpec, &StepState)> {
        self.graph
            .iter()
            .filter_map(|(index, _)| self.step(index).map(|(spec, state)| (index, spec, state)))
    }

    /// The nodes that wait for a person.
    pub fn parked(&self) -> impl Iterator<Item = (NodeIndex, &Parked)> {
        self.nodes.iter().enumerate().filter_map(|(at, node)| {
            node.parked
                .as_ref()
                .map(|parked| (NodeIndex(at as u32), parked))
        })
    }

    /// The saga's output, once it is completed.
    pub fn output(&self) -> Option<&Payload> {
        if self.status == Status::Completed {
            self.nodes.last()?.output.as_ref()
        } else {
            None
        }
    }

    /// The saga's input.
    pub fn input(&self) -> &Payload {
        self.node(Graph::START)
            .output
            .as_ref()
            .expect("a saga starts with its input")
    }

    /// Whether all nodes of a block are done.
    pub fn block_is_done(&self, block: BlockIndex) -> bool {
        self.graph
            .block(block)
            .nodes
            .last()
            .is_none_or(|last| self.is_done(*last))
    }

    /// Whether a node is done. An `all` is once its branches are; it has no event of its own.
    pub fn is_done(&self, index: NodeIndex) -> bool {
        match &self.graph.node(index).kind {
            Kind::All { branches } => branches.iter().all(|block| self.block_is_done(*block)),
            _ => self.node(index).phase == Phase::Done,
        }
    }

    /// Whether a node has been or can still be entered: no choice around it went elsewhere.
    pub fn is_reachable(&self, index: NodeIndex) -> bool {
        let mut block = self.graph.node(index).block;
        while let Some(around) = self.graph.block(block).inside {
            if let Kind::Choose { arms, .. } = &self.graph.node(around).kind {
                let gone_elsewhere = match self.node(around).phase {
                    Phase::InArm { arm } => arms.get(arm as usize) != Some(&block),
                    Phase::Done => true,
                    _ => false,
                };
                if gone_elsewhere {
                    return false;
                }
            }
            block = self.graph.node(around).block;
        }
        true
    }

    /// Whether the answer to an attempt is held: nobody waits for another until a person has decided.
    pub fn is_answered(
        &self,
        node: NodeIndex,
        direction: Direction,
        attempt: AttemptNumber,
    ) -> bool {
        !self.held.is_empty()
            && self
                .held
                .answers(&self.graph.node(node).id, direction, attempt)
    }

    /// Whether what is asked of a step in a direction still matters: after the turn the actions of
    /// read-only steps do not, and nothing is undone twice.
    pub fn awaits(&self, spec: &StepSpec, step: &StepState, direction: Direction) -> bool {
        if direction.is_forward() {
            self.turn.is_none() || spec.class != RecoveryClass::ReadOnly
        } else {
            step.undo == UndoEnd::Open
        }
    }
}

impl Outputs for SagaState {
    fn output(&self, node: NodeIndex) -> Option<&Payload> {
        self.node(node).output.as_ref()
    }
}
