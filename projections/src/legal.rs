//! I2: which event may follow in which state. Looked at before an event is folded.

use alloc::{format, string::String};
use core::ops::RangeInclusive;

use sagalog_model::{
    Direction, Graph, Kind, Payload, SagaEvent, StepSpec,
    event::{AttemptAsked, IdKind, NodeId, ParkCause},
    log::Time,
};

use crate::{
    attempts::Retrying,
    dedup::Ids,
    saga::{Phase, SagaState},
    sequence::Standing,
    step::{StepState, UndoEnd},
    undoing::{self, Undoing},
};

impl SagaState {
    /// Whether an event may follow; if not, why.
    pub(crate) fn legal(&self, event: &SagaEvent) -> Result<(), String> {
        use SagaEvent as E;
        expect(!self.status().is_terminal(), "the saga has ended")?;
        expect(
            self.pause().is_none() || !goes_on(event),
            "the saga is paused",
        )?;
        match event {
            E::AttemptAsked(e) => self.may_ask(e),
            E::AttemptSucceeded(e) => self.may_succeed(&e.node, e.direction),
            E::AttemptDelayed(e) => self.may_wait(e.direction),
            E::AttemptAdmitted(e) => self.may_wait(e.direction),
            E::AttemptExtended(e) => self.may_extend(&e.node),
            E::RetryScheduled(e) => self.may_plan(&e.node, e.direction),
            E::StepDeadlinePassed(e) => {
                let (_, step) = self.asked(&e.node)?;
                expect(
                    step.until.is_some() && !step.until_passed,
                    "the step has no deadline ahead",
                )
            }
            E::DeadlinePassed(_) => expect(
                self.deadline().is_some() && !self.deadline_passed(),
                "the saga has no deadline ahead",
            ),
            E::NodeCompleted(e) => self.may_complete(&e.node),
            E::SleepStarted(e) => self.is_kind(&e.node, |kind| matches!(kind, Kind::Sleep { .. })),
            E::WaitStarted(e) => self.is_kind(&e.node, |kind| matches!(kind, Kind::Signal { .. })),
            E::SignalReceived(e) => {
                self.knows_signal(&e.signal)?;
                is_new(self.signals().ids(), &e.id, e.until)
            }
            E::IdsForgotten(e) => {
                let watermark = match e.of {
                    IdKind::Signals => self.signals().ids().watermark(),
                    IdKind::Requests => self.requests().watermark(),
                };
                expect(watermark < Some(e.until), "the watermark does not move up")
            }
            E::NumberedSignalReceived(e) => {
                self.knows_signal(&e.signal)?;
                let standing = self.standing(&e.producer, e.number, &e.signal, &e.payload);
                expect(standing == Standing::Next, "its number is not the next one")
            }
            E::SignalAhead(e) => {
                self.knows_signal(&e.signal)?;
                let standing = self.standing(&e.producer, e.number, &e.signal, &e.payload);
                expect(standing == Standing::Ahead, "nothing is missing before it")
            }
            E::GapOpened(e) => self.is_missing(&e.producer, e.from..=e.to),
            E::MissingAsked(e) => self.is_missing(&e.producer, e.from..=e.to),
            E::GapAbandoned(e) => self.is_missing(&e.producer, e.from..=e.to),
            E::GapRejected(e) => {
                self.is_missing(&e.producer, e.from..=e.to)?;
                let producer = self.sequences().find(&e.producer);
                let kept = producer.map(|(_, producer)| producer.ahead().keys());
                let same = kept.is_some_and(|kept| kept.eq(&e.rejected));
                expect(same, "what is kept is not what it names")
            }
            E::PivotPassed(e) => {
                self.is_kind(&e.node, |kind| matches!(kind, Kind::Pivot))?;
                expect(!self.pivot_passed(), "there is one pivot")
            }
            E::CompensationSkipped(e) => {
                self.has_turned()?;
                let (_, step) = self.asked(&e.node)?;
                expect(step.undo == UndoEnd::Open, "its undoing has ended")
            }
            E::Parked(e) => self.may_park(&e.node, e.cause),
            E::CancelRequested(e) => is_new(self.requests(), &e.id, e.until),
            E::CompensateRequested(e) => is_new(self.requests(), &e.id, e.until),
            E::Paused(e) => {
                is_new(self.requests(), &e.id, e.until)?;
                expect(self.pause().is_none(), "the saga is paused already")
            }
            E::Resumed(e) => {
                is_new(self.requests(), &e.id, e.until)?;
                expect(self.pause().is_some(), "the saga is not paused")
            }
            E::DeadlineSet(e) => {
                is_new(self.requests(), &e.id, e.until)?;
                expect(self.turn().is_none(), "the saga has turned")
            }
            E::RetryRequested(e) => is_new(self.requests(), &e.id, e.until),
            E::ResolvedByHand(e) => is_new(self.requests(), &e.id, e.until),
            E::SkippedByHand(e) => is_new(self.requests(), &e.id, e.until),
            E::InputHeld(e) => {
                let held = self.held();
                expect(held.next() == e.number, "its number is not the next one")?;
                expect(held.takes(&e.held.content), "no more may be held")
            }
            E::HeldTaken(e) if self.turn().is_some() => {
                let held = self.held().answers_held();
                let mut answers = held.map(|held| held.number);
                expect(
                    answers.any(|number| number == e.number),
                    "after the turn only held answers are taken",
                )
            }
            E::HeldReleased(e) => is_new(self.requests(), &e.id, e.until),
            E::HeldDropped(e) => is_new(self.requests(), &e.id, e.until),
            E::Completed(_) => self.may_end_forward(),
            E::Compensated(_) => self.may_end_back(&[]),
            E::PartlyCompensated(e) => self.may_end_back(&e.left),
            _ => Ok(()),
        }
    }

    fn knows_signal(&self, name: &str) -> Result<(), String> {
        let mut nodes = self.graph().nodes.iter();
        let known = nodes
            .any(|node| matches!(&node.kind, Kind::Signal { signal, .. } if **signal == *name));
        expect(known, "the definition waits for no such signal")
    }

    fn standing(&self, producer: &str, number: u64, signal: &str, payload: &Payload) -> Standing {
        let sequences = self.sequences();
        sequences.standing(producer, number, signal, payload)
    }

    fn is_missing(&self, producer: &str, numbers: RangeInclusive<u64>) -> Result<(), String> {
        let producer = self.sequences().find(producer);
        let missing = producer.and_then(|(_, producer)| producer.missing());
        expect(
            missing == Some(numbers),
            "what is missing is not what it names",
        )
    }

    fn may_ask(&self, e: &AttemptAsked) -> Result<(), String> {
        self.is_kind(&e.node, |kind| matches!(kind, Kind::Step { .. }))?;
        let step = self.step(self.index(&e.node)?);
        match e.direction {
            Direction::Action | Direction::Probe => expect(
                step.is_none_or(|(_, step)| !step.has_succeeded()),
                "the action has succeeded",
            ),
            Direction::Compensation | Direction::Alternative => {
                self.has_turned()?;
                expect(
                    step.is_some_and(|(_, step)| step.undo == UndoEnd::Open),
                    "there is nothing to undo",
                )
            }
        }
    }

    fn may_succeed(&self, node: &str, direction: Direction) -> Result<(), String> {
        let (_, step) = self.asked(node)?;
        expect(!step.is_settled(direction), "it was settled before")
    }

    /// After the turn no action waits to be asked (I10).
    fn may_wait(&self, direction: Direction) -> Result<(), String> {
        expect(
            direction != Direction::Action || self.turn().is_none(),
            "the saga has turned",
        )
    }

    /// After the turn nothing is waited for longer than was recorded before it.
    fn may_extend(&self, node: &str) -> Result<(), String> {
        expect(self.turn().is_none(), "the saga has turned")?;
        let (spec, _) = self.asked(node)?;
        expect(spec.heartbeat.is_some(), "the step has no heartbeat")
    }

    fn may_plan(&self, node: &str, direction: Direction) -> Result<(), String> {
        let (_, step) = self.asked(node)?;
        if matches!(direction, Direction::Action | Direction::Probe) {
            expect(self.turn().is_none(), "the saga has turned")?;
        }
        let attempts = step.attempts(direction);
        let idle = attempts.open.is_none() && attempts.retry == Retrying::No;
        expect(
            idle && attempts.asked > 0,
            "an attempt is open or planned already, or none was asked",
        )
    }

    fn may_complete(&self, node: &str) -> Result<(), String> {
        let kind = |kind: &Kind| {
            matches!(
                kind,
                Kind::Value { .. } | Kind::Check { .. } | Kind::Choose { .. }
            )
        };
        self.is_kind(node, kind)?;
        let node = self.node(self.index(node)?);
        expect(node.phase != Phase::Done, "it is done already")
    }

    fn may_park(&self, node: &str, cause: ParkCause) -> Result<(), String> {
        let node = self.node(self.index(node)?);
        expect(node.parked.is_none(), "it is parked already")?;
        let turned = self.turn().is_some();
        expect(
            (cause == ParkCause::Compensation) == turned,
            "actions park before the turn, compensations after it",
        )
    }

    /// Everything on the main line before the return is done.
    fn may_end_forward(&self) -> Result<(), String> {
        expect(self.turn().is_none(), "the saga has turned")?;
        let line = &self.graph().block(Graph::MAIN).nodes;
        let before = line.split_last().map_or(&[][..], |(_, before)| before);
        expect(
            before.iter().all(|node| self.is_done(*node)),
            "not everything before the end is done",
        )
    }

    /// Nothing is in doubt or left to undo, but what is named.
    fn may_end_back(&self, left: &[NodeId]) -> Result<(), String> {
        self.has_turned()?;
        let over = |state| matches!(state, Undoing::Nothing | Undoing::Over);
        let all = self
            .steps()
            .all(|(_, spec, step)| over(undoing::of(spec, step)));
        expect(all, "not everything is settled and undone")?;
        let named = undoing::left(self)
            .into_iter()
            .map(|index| &self.graph().node(index).id);
        expect(named.eq(left), "what is left is not what it names")
    }

    fn has_turned(&self) -> Result<(), String> {
        expect(self.turn().is_some(), "the saga has not turned")
    }

    fn is_kind(&self, node: &str, expected: impl Fn(&Kind) -> bool) -> Result<(), String> {
        let index = self.index(node)?;
        expect(
            expected(&self.graph().node(index).kind),
            "the node is of another kind",
        )
    }

    fn asked(&self, node: &str) -> Result<(&StepSpec, &StepState), String> {
        self.step(self.index(node)?)
            .ok_or_else(|| format!("`{node}` was never asked"))
    }
}

/// Whether the saga goes on with it: none of these comes from outside, and a paused saga has none.
const fn goes_on(event: &SagaEvent) -> bool {
    use SagaEvent as E;
    matches!(
        event,
        E::AttemptAsked(_)
            | E::RetryScheduled(_)
            | E::NodeCompleted(_)
            | E::ArmChosen(_)
            | E::SleepStarted(_)
            | E::WaitStarted(_)
            | E::SignalConsumed(_)
            | E::PivotPassed(_)
            | E::CompensationSkipped(_)
            | E::Parked(_)
            | E::Completed(_)
            | E::Compensated(_)
            | E::PartlyCompensated(_)
    )
}

fn is_new<C: PartialEq>(ids: &Ids<C>, id: &str, until: Option<Time>) -> Result<(), String> {
    expect(!ids.contains(id), "its id was used before")?;
    expect(
        !ids.is_behind(until),
        "what could come until then is not remembered",
    )
}

fn expect(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}
