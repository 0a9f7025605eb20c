//! A saga's history in two lanes: what it did going forward, and what it made up for going back.
//!
//! A view for people: it keeps what [`SagaState`](crate::SagaState) may forget, such as how each attempt ended, and it
//! takes from that state everything that the state knows, so the two cannot disagree.

mod fold;

use alloc::{string::String, sync::Arc, vec::Vec};

use sagalog_model::{
    Direction, FailureClass, Graph, Payload, SagaEvent, SagaId,
    event::{IdKind, NodeId, Origin, ParkCause},
    log::{Position, Time, Version},
};
use serde::Serialize;

use crate::{
    saga::IllegalEvent,
    why::{Deadline, Held, Missing, Paused, Turned, Waiting},
};

/// What has happened to a saga, up to some event.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    /// The saga.
    pub saga: SagaId,
    /// Its definition.
    pub definition: String,
    /// Its definition's version.
    pub definition_version: u32,
    /// Where it stands.
    pub status: &'static str,
    /// Its beginning.
    pub started: Place,
    /// The newest event.
    pub last: Place,
    /// What it was started with.
    pub input: Payload,
    /// What it gave, once it is completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// Its own deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// Whether the point of no return is behind.
    pub pivot_passed: bool,
    /// Why it went back, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turned: Option<Turned>,
    /// That somebody has it stand still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// What was done going forward, in the order in which it began.
    pub forward: Vec<Item>,
    /// What was done going back, in the order in which it began.
    pub compensation: Vec<Item>,
    /// What it waits for now.
    pub waiting: Vec<Waiting>,
    /// The numbers that are missing before signals that are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
    /// The inputs that wait for a person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// What is not begun: the nodes that may still run, or the steps that are still to be undone.
    pub ahead: Vec<Ahead>,
    /// The nodes whose effects are left, once it has ended partly compensated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<NodeId>,
}

/// An event of the saga and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Where.
    pub place: Place,
    /// What.
    pub event: &'a SagaEvent,
}

/// Where and when an event is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Place {
    /// Place in the partition.
    pub position: Position,
    /// Place in the saga's stream.
    pub version: Version,
    /// When.
    pub at: Time,
}

/// Something in a lane.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A node that was entered, or that is undone.
    Entry(Entry),
    /// Something that happened to the saga as a whole.
    Note(Note),
}

/// A node that was entered, or that is undone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The node.
    pub node: NodeId,
    /// What it does: `step`, `value`, `check`, `fail`, `choice`, `sleep`, `signal` or `pivot`.
    pub does: &'static str,
    /// In how many branches and arms it stands.
    pub depth: u32,
    /// The contract that is asked, or the signal that is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Arc<str>>,
    /// Its beginning.
    pub began: Place,
    /// Its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Place>,
    /// How it ended; nothing while it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// Whether it waits for a person.
    pub parked: bool,
    /// When it ends by itself, if it is a sleep or a wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// What its participant was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Payload>,
    /// What it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// What happened at it, in order.
    pub moments: Vec<Moment>,
}

/// How a node ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It is done.
    Done,
    /// It is not, and took no effect.
    Failed,
    /// It may have taken effect.
    InDoubt,
    /// A person gave it up.
    Skipped,
    /// The saga turned before it ended.
    Dropped,
    /// A wait ended without its signal.
    TimedOut,
    /// Its effect is undone.
    Undone,
    /// Its effect is left.
    Left,
}

/// Something that happened at a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened at a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum What {
    /// A participant was asked.
    Attempt {
        /// For what.
        direction: Direction,
        /// Which attempt.
        attempt: u32,
        /// When it counts as unknown.
        deadline: Time,
        /// Whether that was set anew after a downtime.
        renewed: bool,
        /// How far its participant said last that it is, if it was kept alive.
        #[serde(skip_serializing_if = "Option::is_none")]
        progress: Option<String>,
        /// How it ended; nothing while it is unanswered.
        #[serde(skip_serializing_if = "Option::is_none")]
        ended: Option<Ended>,
    },
    /// An answer to an attempt that had ended already.
    LateAnswer {
        /// To what was asked.
        direction: Direction,
        /// Which attempt.
        attempt: u32,
        /// The answer.
        answer: Ended,
    },
    /// The next attempt waits.
    Retry {
        /// For what.
        direction: Direction,
        /// Until then.
        due: Time,
    },
    /// The step's own deadline passed.
    StepDeadlinePassed,
    /// A choice went into an arm.
    Arm {
        /// The arm; nothing if it went into none.
        #[serde(skip_serializing_if = "Option::is_none")]
        arm: Option<String>,
    },
    /// A wait took a signal.
    Signal {
        /// The signal's id.
        id: Arc<str>,
    },
    /// It waits for a person.
    Parked {
        /// What could not be done.
        cause: ParkCause,
        /// Details.
        reason: String,
    },
    /// A person wants it tried again.
    RetryRequested {
        /// Who.
        by: Arc<str>,
        /// Why, if that was said.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person has done it by hand.
    ResolvedByHand {
        /// Who.
        by: Arc<str>,
    },
    /// A person has given it up.
    SkippedByHand {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: String,
    },
    /// It is left undone, as its policy says.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// How an attempt ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ended {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place,
    /// How.
    pub outcome: AttemptEnd,
    /// Whether asking again could help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<FailureClass>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The ways in which an attempt ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnd {
    /// It took effect.
    Succeeded,
    /// It took no effect.
    Failed,
    /// It may have taken effect, says its participant.
    Unknown,
    /// No answer came in time.
    TimedOut,
    /// A probe found no effect so far.
    NotFound,
    /// Another attempt, a probe or a person settled what it was for.
    SettledOtherwise,
}

/// Something that happened to the saga as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Note {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place,
    /// What.
    #[serde(flatten)]
    pub what: Noted,
}

/// What happened to the saga as a whole.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Noted {
    /// A signal came in.
    SignalReceived {
        /// Its name.
        signal: Arc<str>,
        /// The sender's id for it.
        id: Arc<str>,
    },
    /// A signal came in that its producer numbered, or one that was kept came in now.
    NumberedSignalReceived {
        /// Its name, if it was not kept before.
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<Arc<str>>,
        /// Who numbers it.
        producer: Arc<str>,
        /// Its number.
        number: u64,
    },
    /// A numbered signal came before others, and is kept.
    SignalAhead {
        /// Its name.
        signal: Arc<str>,
        /// Who numbers it.
        producer: Arc<str>,
        /// Its number.
        number: u64,
    },
    /// Numbers are missing.
    Gap {
        /// Whose.
        producer: Arc<str>,
        /// The first that is missing.
        from: u64,
        /// The last.
        to: u64,
        /// What is done about it.
        then: GapStep,
    },
    /// An input could not be processed, or came behind one that could not.
    InputHeld {
        /// Its number among those that were held.
        number: u64,
        /// What it is.
        input: Origin,
        /// Why; none if it only came behind another.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A held input is processed, or given up.
    HeldEnded {
        /// Its number.
        number: u64,
        /// Who wanted it; none if it only waited for another.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
        /// How.
        how: HeldEnd,
        /// Why, if it was given up.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A signal came when nothing waits for it any more.
    SignalLate {
        /// The sender's id for it.
        id: Arc<str>,
    },
    /// Ids whose time is over are not remembered any more.
    IdsForgotten {
        /// Whose.
        of: IdKind,
        /// Those that could come again until then, or until an earlier time.
        until: Time,
    },
    /// Somebody wants the saga undone.
    CancelRequested {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: String,
    },
    /// An operator has the saga undone.
    CompensateRequested {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: String,
    },
    /// Somebody has it stand still.
    Paused {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: String,
    },
    /// Somebody has it go on.
    Resumed {
        /// Who.
        by: Arc<str>,
    },
    /// Somebody has set its deadline anew.
    DeadlineSet {
        /// When it turns back by itself; none if it has no deadline any more.
        #[serde(skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: String,
    },
    /// The saga's deadline passed.
    DeadlinePassed,
}

/// How an input is held no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldEnd {
    /// It was processed.
    Processed,
    /// It was processed with another content.
    Edited,
    /// It was given up.
    Dropped,
}

/// What is done about missing numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapStep {
    /// They are waited for.
    Waited,
    /// The producer is asked for them.
    Asked,
    /// They are given up.
    Abandoned,
    /// What came behind them is given up.
    Rejected,
}

/// A node that is not begun.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ahead {
    /// The node.
    pub node: NodeId,
    /// What it does.
    pub does: &'static str,
    /// In how many branches and arms it stands.
    pub depth: u32,
    /// The contract that is asked, or the signal that is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Arc<str>>,
}

impl Timeline {
    /// Folds the first events of a saga's stream; `None` if they do not begin with its start.
    ///
    /// # Errors
    /// [`IllegalEvent`] if one cannot follow the ones before it.
    pub fn of<'a>(
        saga: &SagaId,
        graph: &Arc<Graph>,
        events: impl IntoIterator<Item = Placed<'a>>,
    ) -> Result<Option<Self>, IllegalEvent> {
        fold::timeline(saga, graph, events.into_iter())
    }
}

impl Place {
    /// How long after `earlier` this is.
    pub const fn since(self, earlier: Self) -> core::time::Duration {
        self.at.since(earlier.at)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec};
    use core::time::Duration;

    use sagalog_model::{AttemptNumber, Saga, Signal, Step, event as e, graph::DefinitionVersion};

    use super::*;

    const JOB: Saga<u64, u64> = Saga::new("job");
    const WORK: Step<u64, u64> = Step::new("plant.work").compensatable().probed();
    const GO: Signal<u64> = Signal::new("go");

    fn job() -> Arc<Graph> {
        let (mut saga, input) = JOB.define(1);
        let worked = saga.step("work", WORK, input);
        saga.signal("wait", GO).within(Duration::from_secs(9));
        saga.returns(worked).expect("it is sound").graph().clone()
    }

    /// The saga's start, and then these events, a second apart.
    fn history(events: impl IntoIterator<Item = SagaEvent>) -> Vec<SagaEvent> {
        let started = e::Started {
            definition: "job".into(),
            version: DefinitionVersion(1),
            fingerprint: sagalog_model::Fingerprint::of(&job()),
            deadline: None,
            input: Payload::from_json_text("1"),
        };
        core::iter::once(started.into()).chain(events).collect()
    }

    fn timeline(events: &[SagaEvent]) -> Timeline {
        let placed = (1..).zip(events).map(|(number, event)| {
            let (version, at) = (Version::new(number), Time::from_micros(number * 1_000_000));
            Placed {
                place: Place {
                    position: Position::new(number + 10),
                    version,
                    at,
                },
                event,
            }
        });
        let saga = SagaId::new("j-1").expect("a good id");
        Timeline::of(&saga, &job(), placed)
            .expect("they follow one another")
            .expect("it begins with the start")
    }

    /// A lane in short: nodes with their ends, and their moments.
    fn drawn(lane: &[Item]) -> String {
        let lines = lane.iter().flat_map(|item| match item {
            Item::Entry(entry) => {
                let head = format!("{} {:?}", entry.node, entry.end);
                let moments = entry
                    .moments
                    .iter()
                    .map(|moment| format!("  {}", short(&moment.what)));
                core::iter::once(head).chain(moments).collect()
            }
            Item::Note(note) => vec![format!("{:?}", note.what)],
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn short(what: &What) -> String {
        match what {
            What::Attempt {
                direction,
                attempt,
                renewed,
                ended,
                ..
            } => {
                let ended = ended
                    .as_ref()
                    .map(|ended| (ended.outcome, ended.place.version.get()));
                format!(
                    "{direction} {attempt} {ended:?}{}",
                    if *renewed { " renewed" } else { "" }
                )
            }
            What::LateAnswer {
                direction,
                attempt,
                answer,
            } => {
                format!("late, to {direction} {attempt}: {:?}", answer.outcome)
            }
            What::Parked { reason, .. } => format!("parked: {reason}"),
            other => format!("{other:?}"),
        }
    }

    fn asked(direction: Direction, attempt: u32) -> SagaEvent {
        let input =
            (attempt == 1 && direction == Direction::Action).then(|| Payload::from_json_text("1"));
        let (node, attempt, deadline) = (
            "work".into(),
            AttemptNumber(attempt),
            Time::from_micros(99_000_000),
        );
        e::AttemptAsked {
            node,
            direction,
            attempt,
            deadline,
            until: None,
            input,
        }
        .into()
    }

    fn timed_out(direction: Direction, attempt: u32) -> SagaEvent {
        e::AttemptTimedOut {
            node: "work".into(),
            direction,
            attempt: AttemptNumber(attempt),
        }
        .into()
    }

    fn succeeded(direction: Direction, attempt: u32) -> SagaEvent {
        let output = matches!(direction, Direction::Action | Direction::Probe)
            .then(|| Payload::from_json_text("2"));
        e::AttemptSucceeded {
            node: "work".into(),
            direction,
            attempt: AttemptNumber(attempt),
            output,
        }
        .into()
    }

    fn turned() -> SagaEvent {
        e::Turned {
            cause: e::TurnCause::Cancelled,
            node: None,
            reason: "enough".to_string(),
        }
        .into()
    }

    #[test]
    fn a_late_answer_to_one_attempt_settles_the_others() {
        use Direction::{Action, Probe};
        let history = history([
            asked(Action, 1),
            timed_out(Action, 1),
            asked(Probe, 1),
            timed_out(Probe, 1),
            asked(Action, 2),
            succeeded(Action, 1),
        ]);
        insta::assert_snapshot!(drawn(&timeline(&history).forward), @r#"
        work Some(Done)
          action 1 Some((TimedOut, 3))
          probe 1 Some((TimedOut, 5))
          action 2 Some((SettledOtherwise, 7))
          late, to action 1: Succeeded
        "#);
    }

    #[test]
    fn a_deadline_that_was_renewed_is_said_so() {
        let node = || "work".into();
        let renewed = e::AttemptRenewed {
            node: node(),
            direction: Direction::Action,
            attempt: AttemptNumber(1),
            deadline: Time::from_micros(200_000_000),
        };
        let timeline = timeline(&history([asked(Direction::Action, 1), renewed.into()]));
        insta::assert_snapshot!(drawn(&timeline.forward), @r#"
        work None
          action 1 None renewed
        "#);
        assert_eq!(timeline.waiting.len(), 1);
    }

    #[test]
    fn what_may_have_taken_effect_at_the_turn_is_in_doubt_until_it_is_undone() {
        use Direction::{Action, Compensation};
        let mut events = history([asked(Action, 1), turned(), timed_out(Action, 1)]);
        insta::assert_snapshot!(drawn(&timeline(&events).forward), @r#"
        work Some(InDoubt)
          action 1 Some((TimedOut, 4))
        "#);
        assert_eq!(timeline(&events).ahead.len(), 1, "it is still to undo");
        events.extend([
            asked(Compensation, 1),
            succeeded(Compensation, 1),
            e::Compensated {}.into(),
        ]);
        let timeline = timeline(&events);
        insta::assert_snapshot!(drawn(&timeline.compensation), @r#"
        work Some(Undone)
          compensation 1 Some((Succeeded, 6))
        "#);
        assert_eq!((timeline.status, timeline.ahead.len()), ("Compensated", 0));
    }

    #[test]
    fn a_wait_that_the_turn_cut_off_is_dropped_and_its_signal_noted() {
        let wait = e::WaitStarted {
            node: "wait".into(),
            until: Time::from_micros(99_000_000),
        };
        let late = e::SignalReceived {
            until: None,
            signal: "go".into(),
            id: "s-1".into(),
            payload: Payload::null(),
        };
        let events = history([
            asked(Direction::Action, 1),
            succeeded(Direction::Action, 1),
            wait.into(),
            turned(),
            late.into(),
            e::SignalLate { id: "s-1".into() }.into(),
        ]);
        let timeline = timeline(&events);
        insta::assert_snapshot!(drawn(&timeline.forward), @r#"
        work Some(Done)
          action 1 Some((Succeeded, 3))
        wait Some(Dropped)
        "#);
        insta::assert_snapshot!(drawn(&timeline.compensation), @r#"
        SignalReceived { signal: "go", id: "s-1" }
        SignalLate { id: "s-1" }
        "#);
    }

    #[test]
    fn the_end_of_an_attempt_is_where_its_event_is() {
        let events = history([asked(Direction::Action, 1), succeeded(Direction::Action, 1)]);
        let timeline = timeline(&events);
        let [Item::Entry(entry)] = timeline.forward.as_slice() else {
            panic!("one entry")
        };
        let ended = entry.ended.expect("it ended");
        assert_eq!((ended.position.get(), ended.version.get()), (13, 3));
        assert_eq!(ended.since(entry.began), Duration::from_secs(1));
    }

    #[test]
    fn events_without_a_start_are_no_timeline() {
        let saga = SagaId::new("j-1").expect("a good id");
        let nothing = Timeline::of(&saga, &job(), []).expect("nothing is wrong with nothing");
        assert!(nothing.is_none());
    }
}
