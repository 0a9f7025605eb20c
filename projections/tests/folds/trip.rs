//! A saga with one of everything, and its events in few words.

use std::{sync::Arc, time::Duration};

use sagalog_model::{
    AttemptNumber, Direction, FailureClass, Graph, Payload, Retry, Saga, SagaEvent, SagaId, Signal,
    Step, Undo, definition::AnyDefinition, event::*, log::Time,
};
use sagalog_projections::SagaState;

const SECOND: Duration = Duration::from_secs(1);
const THRICE: Retry = Retry::fixed(Duration::from_secs(5)).attempts(3);

const TRIP: Saga<u64, u64> = Saga::new("trip");
const QUOTE: Step<u64, u64> = Step::new("agency.quote").read_only().retry(THRICE);
const HOTEL: Step<u64, u64> = Step::new("hotel.book")
    .compensatable()
    .retry(THRICE)
    .undo_retry(THRICE)
    .or(VOUCHER);
const VOUCHER: Step<Undo<u64, u64>, ()> = Step::new("desk.voucher").retryable().retry(THRICE);
const FLIGHT: Step<u64, u64> = Step::new("air.book")
    .compensatable()
    .probed()
    .retry(THRICE)
    .heartbeat(Duration::from_secs(20))
    .deadline(Duration::from_secs(60));
const CHARGE: Step<u64, u64> = Step::new("money.charge")
    .compensatable()
    .or_skip("the fee is small");
const SEND: Step<u64, u64> = Step::new("mail.send").retryable().retry(THRICE);
const APPROVAL: Signal<bool> = Signal::new("approval");

/// Quote; hotel beside flight; a nap; an approval; a charge unless it is free; a value, a copy and a
/// check; the pivot; the tickets.
pub(crate) fn trip() -> AnyDefinition {
    let (mut saga, days) = TRIP.define(1);
    saga.deadline(1_000 * SECOND);
    let quote = saga.step("quote", QUOTE, days);
    let (hotel, flight) = saga.all(|all| {
        let hotel = all.step("hotel", HOTEL, quote);
        (hotel, all.step("flight", FLIGHT, quote))
    });
    saga.sleep("nap", 10 * SECOND);
    let approved = saga.signal("approved", APPROVAL).within(100 * SECOND);
    let paid = saga.when("pay", quote.map(|cents| cents > 0), |saga| {
        saga.step("charge", CHARGE, quote)
    });
    let total = saga.value(
        "total",
        hotel.and(flight).map(|hotel, flight| hotel + flight),
    );
    saga.value("same", total);
    saga.check(
        "is-approved",
        approved
            .and(paid)
            .map(|approved, _| approved.ok_or_else(|| "no".to_owned())),
    );
    saga.pivot();
    let sent = saga.step("tickets", SEND, total);
    saga.returns(sent).expect("a good definition").into()
}

/// A saga as it unfolds. Times are in seconds after its start.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) state: SagaState,
    now: Time,
}

impl Story {
    pub(crate) fn begun() -> Self {
        Self::of(&started())
    }

    /// It may take as long as it likes.
    pub(crate) fn without_deadline() -> Self {
        Self::of(&Started {
            deadline: None,
            ..started()
        })
    }

    fn of(started: &Started) -> Self {
        let definition = trip();
        let id = SagaId::new("t-1").expect("a good id");
        let graph: Arc<Graph> = definition.graph().clone();
        Self {
            state: SagaState::start(id, graph, started, second(0)),
            now: second(0),
        }
    }

    /// What comes next happens then.
    pub(crate) fn at(mut self, seconds: u64) -> Self {
        self.now = second(seconds);
        self
    }

    #[track_caller]
    pub(crate) fn then(mut self, event: impl Into<SagaEvent>) -> Self {
        if let Err(illegal) = self.state.apply(&event.into(), self.now) {
            panic!("{illegal}");
        }
        self
    }

    /// Whether this can come next.
    pub(crate) fn follows(&self, event: impl Into<SagaEvent>) -> bool {
        self.state.clone().apply(&event.into(), self.now).is_ok()
    }

    /// Why this cannot come next.
    #[track_caller]
    pub(crate) fn refuses(&self, event: impl Into<SagaEvent>) -> String {
        let event = event.into();
        let illegal = self.state.clone().apply(&event, self.now);
        format!(
            "{}: {}",
            event.kind(),
            illegal.expect_err("it cannot follow").why
        )
    }

    /// The quote is there.
    pub(crate) fn quoted() -> Self {
        Self::begun()
            .then(asked("quote", 1, 30))
            .then(gave("quote", 1, "40"))
    }

    /// Hotel and flight are asked.
    pub(crate) fn booking() -> Self {
        Self::quoted()
            .then(asked("hotel", 1, 30))
            .then(AttemptAsked {
                until: Some(second(60)),
                ..asked("flight", 1, 30)
            })
    }

    /// Hotel and flight are booked.
    pub(crate) fn booked() -> Self {
        Self::booking()
            .then(gave("hotel", 1, "1"))
            .then(gave("flight", 1, "2"))
    }

    /// It waits for its approval, at most until second 110.
    pub(crate) fn waiting() -> Self {
        Self::booked()
            .then(SleepStarted {
                node: "nap".into(),
                until: second(10),
            })
            .at(10)
            .then(SleepEnded { node: "nap".into() })
            .then(WaitStarted {
                node: "approved".into(),
                until: second(110),
            })
    }

    /// The charge is asked.
    pub(crate) fn charging() -> Self {
        Self::waiting()
            .at(20)
            .then(signal("mail-1"))
            .then(SignalConsumed {
                node: "approved".into(),
                id: "mail-1".into(),
            })
            .then(ArmChosen {
                node: "pay".into(),
                arm: 0,
                payload: Payload::null(),
            })
            .then(asked("charge", 1, 50))
    }

    /// All but the tickets is done, and the pivot is behind.
    pub(crate) fn past_the_pivot() -> Self {
        Self::charging()
            .then(gave("charge", 1, "40"))
            .then(completed("pay", None))
            .then(completed("total", Some("3")))
            .then(completed("same", None))
            .then(completed("is-approved", Some("true")))
            .then(PivotPassed {
                node: "pivot".into(),
            })
    }

    /// It has turned after the charge failed.
    pub(crate) fn turned() -> Self {
        Self::charging()
            .then(failed("charge", 1, FailureClass::Permanent))
            .then(turned("charge"))
    }

    /// It has turned, and the flight is cancelled.
    pub(crate) fn unbooking() -> Self {
        Self::turned()
            .then(asked_to(Direction::Compensation, "flight", 1, 80))
            .then(did(Direction::Compensation, "flight", 1))
    }

    /// Everything that took effect is undone.
    pub(crate) fn unbooked() -> Self {
        Self::unbooking()
            .then(asked_to(Direction::Compensation, "hotel", 1, 80))
            .then(did(Direction::Compensation, "hotel", 1))
    }

    /// A person gave up to cancel the hotel.
    pub(crate) fn hotel_left() -> Self {
        Self::unbooking()
            .then(asked_to(Direction::Compensation, "hotel", 1, 80))
            .then(failed_to(
                Direction::Compensation,
                "hotel",
                1,
                FailureClass::Permanent,
            ))
            .then(parked("hotel", ParkCause::Compensation))
            .then(skipped("hotel"))
    }

    /// It ended well.
    pub(crate) fn completed() -> Self {
        Self::past_the_pivot()
            .then(asked("tickets", 1, 50))
            .then(gave("tickets", 1, "3"))
            .then(Completed { output: json("3") })
    }

    /// It ended as if it had never been.
    pub(crate) fn compensated() -> Self {
        Self::unbooked().then(Compensated {})
    }

    /// It ended, and the hotel is still booked.
    pub(crate) fn partly_compensated() -> Self {
        Self::hotel_left().then(left(&["hotel"]))
    }
}

pub(crate) fn started() -> Started {
    let definition = trip();
    Started {
        definition: "trip".into(),
        version: definition.graph().version,
        fingerprint: definition.fingerprint(),
        deadline: Some(second(1_000)),
        input: json("2"),
    }
}

pub(crate) fn second(seconds: u64) -> Time {
    Time::from_micros(seconds * 1_000_000)
}

pub(crate) fn json(text: &str) -> Payload {
    Payload::parse(text).expect("it is JSON")
}

pub(crate) fn asked(node: &str, attempt: u32, deadline: u64) -> AttemptAsked {
    AttemptAsked {
        node: node.into(),
        direction: Direction::Action,
        attempt: AttemptNumber(attempt),
        deadline: second(deadline),
        until: None,
        input: (attempt == 1).then(|| json("2")),
    }
}

pub(crate) fn asked_to(
    direction: Direction,
    node: &str,
    attempt: u32,
    deadline: u64,
) -> AttemptAsked {
    AttemptAsked {
        direction,
        input: None,
        ..asked(node, attempt, deadline)
    }
}

pub(crate) fn gave(node: &str, attempt: u32, output: &str) -> AttemptSucceeded {
    AttemptSucceeded {
        node: node.into(),
        direction: Direction::Action,
        attempt: AttemptNumber(attempt),
        output: Some(json(output)),
    }
}

pub(crate) fn did(direction: Direction, node: &str, attempt: u32) -> AttemptSucceeded {
    AttemptSucceeded {
        node: node.into(),
        direction,
        attempt: AttemptNumber(attempt),
        output: None,
    }
}

pub(crate) fn failed(node: &str, attempt: u32, class: FailureClass) -> AttemptFailed {
    failed_to(Direction::Action, node, attempt, class)
}

pub(crate) fn failed_to(
    direction: Direction,
    node: &str,
    attempt: u32,
    class: FailureClass,
) -> AttemptFailed {
    AttemptFailed {
        node: node.into(),
        direction,
        attempt: AttemptNumber(attempt),
        class,
        reason: "no".into(),
    }
}

pub(crate) fn in_doubt(node: &str, attempt: u32) -> AttemptUnknown {
    AttemptUnknown {
        node: node.into(),
        direction: Direction::Action,
        attempt: AttemptNumber(attempt),
        reason: "who knows".into(),
    }
}

pub(crate) fn timed_out(direction: Direction, node: &str, attempt: u32) -> AttemptTimedOut {
    AttemptTimedOut {
        node: node.into(),
        direction,
        attempt: AttemptNumber(attempt),
    }
}

pub(crate) fn renewed(node: &str, attempt: u32, deadline: u64) -> AttemptRenewed {
    AttemptRenewed {
        node: node.into(),
        direction: Direction::Action,
        attempt: AttemptNumber(attempt),
        deadline: second(deadline),
    }
}

pub(crate) fn delayed(direction: Direction, node: &str, attempt: u32) -> AttemptDelayed {
    AttemptDelayed {
        node: node.into(),
        direction,
        attempt: AttemptNumber(attempt),
    }
}

pub(crate) fn let_in(
    direction: Direction,
    node: &str,
    attempt: u32,
    deadline: u64,
) -> AttemptAdmitted {
    AttemptAdmitted {
        node: node.into(),
        direction,
        attempt: AttemptNumber(attempt),
        deadline: second(deadline),
    }
}

pub(crate) fn extended(node: &str, attempt: u32, deadline: u64) -> AttemptExtended {
    AttemptExtended {
        node: node.into(),
        attempt: AttemptNumber(attempt),
        deadline: second(deadline),
        progress: "half of it".into(),
    }
}

pub(crate) fn retry_at(direction: Direction, node: &str, due: u64) -> RetryScheduled {
    RetryScheduled {
        node: node.into(),
        direction,
        due: second(due),
    }
}

pub(crate) fn completed(node: &str, output: Option<&str>) -> NodeCompleted {
    NodeCompleted {
        node: node.into(),
        output: output.map(json),
    }
}

pub(crate) fn signal(id: &str) -> SignalReceived {
    SignalReceived {
        signal: "approval".into(),
        id: id.into(),
        until: None,
        payload: json("true"),
    }
}

pub(crate) fn turned(node: &str) -> Turned {
    Turned {
        cause: TurnCause::StepFailed,
        node: Some(node.into()),
        reason: "no".into(),
    }
}

pub(crate) fn compensation_skipped(node: &str) -> CompensationSkipped {
    CompensationSkipped {
        node: node.into(),
        reason: "no".into(),
    }
}

pub(crate) fn left(nodes: &[&str]) -> PartlyCompensated {
    PartlyCompensated {
        left: nodes.iter().map(|node| (*node).into()).collect(),
    }
}

pub(crate) fn parked(node: &str, cause: ParkCause) -> Parked {
    Parked {
        node: node.into(),
        cause,
        reason: "no".into(),
    }
}

pub(crate) fn retried(node: &str) -> RetryRequested {
    RetryRequested {
        node: node.into(),
        id: "r-1".into(),
        by: "ada".into(),
        until: None,
        reason: None,
    }
}

pub(crate) fn paused(id: &str) -> Paused {
    Paused {
        id: id.into(),
        by: "ada".into(),
        until: None,
        reason: "she looks into it".into(),
    }
}

pub(crate) fn resumed(id: &str) -> Resumed {
    Resumed {
        id: id.into(),
        by: "ada".into(),
        until: None,
    }
}

pub(crate) fn deadline_set(id: &str, deadline: Option<u64>) -> DeadlineSet {
    DeadlineSet {
        deadline: deadline.map(second),
        id: id.into(),
        by: "ada".into(),
        until: None,
        reason: "as agreed".into(),
    }
}

pub(crate) fn compensate(id: &str) -> CompensateRequested {
    CompensateRequested {
        id: id.into(),
        by: "ada".into(),
        until: None,
        reason: "a mistake".into(),
    }
}

pub(crate) fn resolved(node: &str) -> ResolvedByHand {
    ResolvedByHand {
        node: node.into(),
        id: "r-1".into(),
        by: "ada".into(),
        until: None,
        output: json("7"),
    }
}

pub(crate) fn skipped(node: &str) -> SkippedByHand {
    SkippedByHand {
        node: node.into(),
        id: "r-1".into(),
        by: "ada".into(),
        until: None,
        reason: "it was a test".into(),
    }
}
