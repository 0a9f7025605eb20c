//! What can happen to a saga, as recorded facts. This file is the wire format of the log: change it
//! with care, and never the meaning of a type without a new schema version.
//!
//! The first event of a batch states the fact that came in; the others are what was concluded. An
//! event is a small `control` part, always in the clear, and at most one piece of user data.

use alloc::{borrow::Cow, format, string::String, sync::Arc, vec::Vec};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Visitor};

use crate::{
    fingerprint::Fingerprint,
    graph::DefinitionVersion,
    log::{Data, NewEvent, SchemaVersion, Time},
    message::{AttemptNumber, Direction, FailureClass},
    payload::Payload,
};

/// The id of a node, as in its graph.
pub type NodeId = Arc<str>;

macro_rules! events {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident ($schema:literal) {
            $( $(#[$meta:meta])* $field:ident : $type:ty ),* $(,)?
        }
        $( with $(#[$data_meta:meta])* $data:ident : $data_type:ty )?;
    )*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name {
                $( $(#[$meta])* pub $field: $type, )*
                $( $(#[$data_meta])* #[serde(skip)] pub $data: $data_type, )?
            }

            impl From<$name> for SagaEvent {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )*

        /// One recorded fact about a saga.
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub enum SagaEvent {
            $( $(#[doc = $doc])* $name($name), )*
        }

        impl SagaEvent {
            /// The names of all types.
            pub const KINDS: &[&str] = &[$( stringify!($name) ),*];

            /// Its type's name, as in the log.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $( Self::$name(_) => stringify!($name), )*
                }
            }

            /// The event as it is appended.
            pub fn encode(&self) -> NewEvent {
                match self {
                    $( Self::$name(event) => NewEvent {
                        kind: Cow::Borrowed(stringify!($name)),
                        schema: SchemaVersion::new($schema),
                        control: serde_json::to_string(event)
                            .expect("control parts are plain structs, which always write as JSON"),
                        data: events!(@data event $(, $data)?),
                    }, )*
                }
            }

            /// Reads an event back.
            ///
            /// # Errors
            /// [`UnreadableEvent`]: this build does not know the type or the schema version, or the
            /// parts are not what they should be. Never skipped silently.
            pub fn decode(
                kind: &str,
                schema: SchemaVersion,
                control: &str,
                data: &Data,
            ) -> Result<Self, UnreadableEvent> {
                match kind {
                    $( stringify!($name) => {
                        known(kind, schema, $schema)?;
                        #[allow(unused_mut, reason = "not every event has data")]
                        let mut event: $name = serde_json::from_str(control)
                            .map_err(|cause| UnreadableEvent::control(kind, &cause))?;
                        events!(@read kind, data, event $(, $data)?);
                        Ok(Self::$name(event))
                    } )*
                    _ => Err(UnreadableEvent::UnknownType { kind: kind.into() }),
                }
            }
        }
    };
    (@data $event:ident) => { Data::None };
    (@data $event:ident, $data:ident) => { $event.$data.to_data() };
    (@read $kind:ident, $from:ident, $event:ident) => {
        if *$from != Data::None {
            return Err(UnreadableEvent::data($kind, "it has data, but its type has none"));
        }
    };
    (@read $kind:ident, $from:ident, $event:ident, $data:ident) => {
        $event.$data = Datum::from_data($from).map_err(|what| UnreadableEvent::data($kind, &what))?
    };
}

events! {
    /// A saga began. The definition's version and fingerprint stay with it for life.
    Started(1) {
        /// The saga's name.
        definition: Arc<str>,
        /// The definition's version.
        version: DefinitionVersion,
        /// The graph that was decided with.
        fingerprint: Fingerprint,
        /// When it turns back by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
    } with
        /// The saga's input.
        input: Payload;

    /// A participant is asked for one attempt. An action's input comes with its first attempt and
    /// is used by all that follow.
    AttemptAsked(1) {
        /// The step's node.
        #[serde(deserialize_with = "shared")]
        node: NodeId,
        /// What is asked.
        #[serde(default = "action", skip_serializing_if = "is_action")]
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
        /// When it counts as unknown.
        deadline: Time,
        /// When all attempts of the action are over; with the first attempt, if the step has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    } with
        /// The action's input, with its first attempt.
        input: Option<Payload>;

    /// An attempt took effect. Any attempt's success settles its direction.
    AttemptSucceeded(1) {
        /// The step's node.
        #[serde(deserialize_with = "shared")]
        node: NodeId,
        /// What was asked.
        #[serde(default = "action", skip_serializing_if = "is_action")]
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
    } with
        /// The action's output, from the action or its probe.
        output: Option<Payload>;

    /// An attempt took no effect; its participant vouches for that.
    AttemptFailed(1) {
        /// The step's node.
        node: NodeId,
        /// What was asked.
        #[serde(default = "action", skip_serializing_if = "is_action")]
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
        /// Whether asking again can help.
        class: FailureClass,
    } with
        /// Why.
        reason: String;

    /// An attempt may have taken effect or not; its participant says so.
    AttemptUnknown(1) {
        /// The step's node.
        node: NodeId,
        /// What was asked.
        #[serde(default = "action", skip_serializing_if = "is_action")]
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
    } with
        /// Why.
        reason: String;

    /// No answer came before the attempt's deadline.
    AttemptTimedOut(1) {
        /// The step's node.
        node: NodeId,
        /// What was asked.
        #[serde(default = "action", skip_serializing_if = "is_action")]
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
    };

    /// The attempt's deadline passed while nobody owned the partition: the same attempt is asked
    /// again, once.
    AttemptRenewed(1) {
        /// The step's node.
        node: NodeId,
        /// What is asked.
        #[serde(default = "action", skip_serializing_if = "is_action")]
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
        /// When it counts as unknown now.
        deadline: Time,
    };

    /// The attempt's deadline passed while its command waited to be admitted to its participant: its
    /// time stands still until then.
    AttemptDelayed(1) {
        /// The step's node.
        node: NodeId,
        /// What is asked.
        #[serde(default = "action", skip_serializing_if = "is_action")]
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
    };

    /// The attempt's command waited for long, and leaves now: it has its whole time again.
    AttemptAdmitted(1) {
        /// The step's node.
        node: NodeId,
        /// What is asked.
        #[serde(default = "action", skip_serializing_if = "is_action")]
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
        /// When it counts as unknown now.
        deadline: Time,
    };

    /// The participant has an action under way: the attempt ends later.
    AttemptExtended(1) {
        /// The step's node.
        node: NodeId,
        /// Which attempt of its action.
        attempt: AttemptNumber,
        /// When it counts as unknown now.
        deadline: Time,
    } with
        /// How far it is, for people; empty if the participant did not say.
        progress: String;

    /// A probe found that the action has not taken effect so far.
    ActionNotFound(1) {
        /// The step's node.
        node: NodeId,
        /// Which probe.
        attempt: AttemptNumber,
    };

    /// The next attempt waits for its time.
    RetryScheduled(1) {
        /// The step's node.
        node: NodeId,
        /// What will be asked.
        #[serde(default = "action", skip_serializing_if = "is_action")]
        direction: Direction,
        /// When.
        due: Time,
    };

    /// The time of the next attempt has come.
    RetryDue(1) {
        /// The step's node.
        node: NodeId,
        /// What will be asked.
        #[serde(default = "action", skip_serializing_if = "is_action")]
        direction: Direction,
    };

    /// A step's own deadline passed.
    StepDeadlinePassed(1) {
        /// The step's node.
        node: NodeId,
    };

    /// A node that asks nobody is done: a value, a check, a choice whose arm has ended.
    NodeCompleted(1) {
        /// The node.
        node: NodeId,
    } with
        /// What it gives; left out where the definition says that it is another node's output or a
        /// constant.
        output: Option<Payload>;

    /// A choice went into one of its arms, or into none.
    ArmChosen(1) {
        /// The choice.
        node: NodeId,
        /// The arm's number; beyond the last for none.
        arm: u32,
    } with
        /// The arm's payload.
        payload: Payload;

    /// A sleep began.
    SleepStarted(1) {
        /// The node.
        node: NodeId,
        /// When it ends.
        until: Time,
    };

    /// A sleep is over.
    SleepEnded(1) {
        /// The node.
        node: NodeId,
    };

    /// A wait for a signal began.
    WaitStarted(1) {
        /// The node.
        node: NodeId,
        /// When it ends without one.
        until: Time,
    };

    /// A wait ended without its signal.
    WaitTimedOut(1) {
        /// The node.
        node: NodeId,
    };

    /// A signal came in.
    SignalReceived(1) {
        /// Its name.
        signal: Arc<str>,
        /// The sender's id for it; the same id twice is the same signal.
        id: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    } with
        /// What it carries.
        payload: Payload;

    /// A wait took the oldest waiting signal of its name, and is done with its payload.
    SignalConsumed(1) {
        /// The wait.
        node: NodeId,
        /// The signal's id.
        id: Arc<str>,
    };

    /// A signal came in that its producer numbered, and its number was the next one.
    NumberedSignalReceived(1) {
        /// Its name.
        signal: Arc<str>,
        /// Who numbers it.
        producer: Arc<str>,
        /// Its number among those of that producer for this saga, from 1.
        number: u64,
    } with
        /// What it carries.
        payload: Payload;

    /// A numbered signal came before others of its producer: it is kept until they came.
    SignalAhead(1) {
        /// Its name.
        signal: Arc<str>,
        /// Who numbers it.
        producer: Arc<str>,
        /// Its number.
        number: u64,
    } with
        /// What it carries.
        payload: Payload;

    /// Numbers are missing before those that are kept: they are waited for.
    GapOpened(1) {
        /// Whose numbers.
        producer: Arc<str>,
        /// The first that is missing.
        from: u64,
        /// The last that is missing before the first that is kept.
        to: u64,
        /// Until when.
        until: Time,
    };

    /// What was kept ahead is next now: it came in.
    SignalAdmitted(1) {
        /// Who numbers it.
        producer: Arc<str>,
        /// Its number.
        number: u64,
    };

    /// The time for which missing numbers are waited for is over.
    GapTimedOut(1) {
        /// Whose numbers.
        producer: Arc<str>,
    };

    /// The producer is asked for what is missing, which is waited for again.
    MissingAsked(1) {
        /// Whose numbers.
        producer: Arc<str>,
        /// The first that is missing.
        from: u64,
        /// The last.
        to: u64,
        /// Until when.
        until: Time,
    };

    /// Missing numbers were given up: what is kept behind them is next.
    GapAbandoned(1) {
        /// Whose numbers.
        producer: Arc<str>,
        /// The first that is given up.
        from: u64,
        /// The last.
        to: u64,
    };

    /// What was kept behind missing numbers was given up; its producer may send all of it again.
    GapRejected(1) {
        /// Whose numbers.
        producer: Arc<str>,
        /// The first that is missing.
        from: u64,
        /// The last.
        to: u64,
        /// Those that were kept and are given up.
        rejected: Vec<u64>,
    };

    /// A signal came when nothing waits or will wait for its name any more.
    SignalLate(1) {
        /// The signal's id.
        id: Arc<str>,
    };

    /// Ids whose time is over are not remembered any more. What is not known and could come until
    /// then, at the latest, is refused from here on: it may have come.
    IdsForgotten(1) {
        /// Whose ids.
        of: IdKind,
        /// Those that could come again until then, or until an earlier time.
        until: Time,
    };

    /// From here on nothing is compensated.
    PivotPassed(1) {
        /// The pivot.
        node: NodeId,
    };

    /// Somebody wants the saga undone.
    CancelRequested(1) {
        /// The caller's id for the request.
        id: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    } with
        /// Why.
        reason: String;

    /// An operator has the saga undone.
    CompensateRequested(1) {
        /// The caller's id for the request.
        id: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    } with
        /// Why.
        reason: String;

    /// A person has the saga stand still: what comes in is recorded, and nothing more is asked.
    Paused(1) {
        /// The caller's id for the request.
        id: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    } with
        /// Why.
        reason: String;

    /// A person has a paused saga go on.
    Resumed(1) {
        /// The caller's id for the request.
        id: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    };

    /// A person has set the saga's deadline anew.
    DeadlineSet(1) {
        /// When the saga turns back by itself; none if it has no deadline any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
        /// The caller's id for the request.
        id: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    } with
        /// Why.
        reason: String;

    /// The saga's deadline passed.
    DeadlinePassed(1) {};

    /// The saga starts back: from here on no action is asked.
    Turned(1) {
        /// Why.
        cause: TurnCause,
        /// The node that caused it, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeId>,
    } with
        /// The reason, for people.
        reason: String;

    /// A compensation failed for good and is left undone, as its policy says.
    CompensationSkipped(1) {
        /// The step's node.
        node: NodeId,
    } with
        /// Why that is acceptable.
        reason: String;

    /// A node waits for a person.
    Parked(1) {
        /// The node.
        node: NodeId,
        /// What could not be done.
        cause: ParkCause,
    } with
        /// Details, for people.
        reason: String;

    /// A person wants a parked node tried again, with a new budget.
    RetryRequested(1) {
        /// The node.
        node: NodeId,
        /// The caller's id for the request.
        id: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    } with
        /// Why, if that was said.
        reason: Option<String>;

    /// A person has done a parked node's work by hand.
    ResolvedByHand(1) {
        /// The node.
        node: NodeId,
        /// The caller's id for the request.
        id: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    } with
        /// The node's output.
        output: Payload;

    /// A person has given a parked node's work up.
    SkippedByHand(1) {
        /// The node.
        node: NodeId,
        /// The caller's id for the request.
        id: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    } with
        /// Why.
        reason: String;

    /// An input could not be processed, or came behind one that could not: it waits for a person.
    InputHeld(1) {
        /// Its number among those that were held of this saga, from 1.
        number: u64,
        /// What it is.
        input: Origin,
    } with
        /// What it carries, and why it is held.
        held: HeldContent;

    /// A person wants the first held input processed.
    HeldReleased(1) {
        /// Its number.
        number: u64,
        /// The caller's id for the request.
        id: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    } with
        /// What it is to carry instead, if that was edited.
        content: Option<Payload>;

    /// A held input is processed because those before it are gone.
    HeldTaken(1) {
        /// Its number.
        number: u64,
    };

    /// The input that is the first now cannot be processed either.
    StillHeld(1) {
        /// Its number.
        number: u64,
    } with
        /// Why.
        reason: String;

    /// A person has given a held input up.
    HeldDropped(1) {
        /// Its number.
        number: u64,
        /// The caller's id for the request.
        id: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    } with
        /// Why.
        reason: String;

    /// The end: everything on the path was done.
    Completed(1) {} with
        /// The saga's output.
        output: Payload;

    /// The end: everything that took effect was undone.
    Compensated(1) {};

    /// The end: what took effect was undone, but for these nodes.
    PartlyCompensated(1) {
        /// The nodes whose effects are left.
        left: Vec<NodeId>,
    };
}

impl SagaEvent {
    /// Whether nothing can come after it in its stream.
    pub const fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Completed(_) | Self::Compensated(_) | Self::PartlyCompensated(_)
        )
    }
}

/// What is known by an id that its sender chose.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdKind {
    /// Signals that nobody numbers.
    Signals,
    /// Operators' requests.
    Requests,
}

impl IdKind {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::Requests => "requests",
        }
    }
}

impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a held input is, and where it comes from. What it carries is apart, with the data.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Origin {
    /// A signal; it carries the payload.
    Signal {
        /// Its name.
        signal: Arc<str>,
        /// The sender's id for it.
        id: Arc<str>,
        /// Until when it may come again, if its sender says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    },
    /// A signal that its producer numbers; it carries the payload.
    Numbered {
        /// Its name.
        signal: Arc<str>,
        /// Who numbers it.
        producer: Arc<str>,
        /// Its number.
        number: u64,
    },
    /// An answer of a participant; it carries the outcome.
    Reply {
        /// The step's node.
        node: NodeId,
        /// What was asked.
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
    },
}

/// What a held input carries.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldContent {
    /// Why it could not be processed; none if it only came behind one that could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it carries, as JSON.
    pub content: Payload,
}

/// Why a saga starts back.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnCause {
    /// A step failed permanently or spent its attempts.
    StepFailed,
    /// A step's own deadline passed.
    StepDeadline,
    /// A check did not hold.
    CheckFailed,
    /// The definition gave up.
    Fail,
    /// Somebody cancelled.
    Cancelled,
    /// An operator had it undone.
    Operator,
    /// The saga's deadline passed.
    Deadline,
}

/// Why a node waits for a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkCause {
    /// The definition's own code failed: it panicked or could not read or write a value.
    Expression,
    /// A step after the pivot failed for good.
    Action,
    /// A compensation, and its alternative if there is one, failed for good.
    Compensation,
}

/// Reads a text into where it stays; serde copies it twice. For what is read most often.
fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Arc<str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E>(self, text: &str) -> Result<Arc<str>, E> {
            Ok(text.into())
        }
    }

    deserializer.deserialize_str(Text)
}

const fn action() -> Direction {
    Direction::Action
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
const fn is_action(direction: &Direction) -> bool {
    matches!(direction, Direction::Action)
}

/// Why an event cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableEvent {
    /// A type that this build does not know: the log was written by a newer release.
    #[error(
        "event type `{kind}` is unknown to this release; use the release that wrote the log, or a newer one"
    )]
    UnknownType {
        /// The type.
        kind: String,
    },
    /// A schema version that this build does not know: the log was written by a newer release.
    #[error(
        "event type `{kind}` has schema version {found}, this release knows {known}; \
         use the release that wrote the log, or a newer one"
    )]
    NewerSchema {
        /// The type.
        kind: String,
        /// The version in the log.
        found: SchemaVersion,
        /// The newest known version.
        known: SchemaVersion,
    },
    /// Its parts are not what the type says.
    #[error("event of type `{kind}` is damaged: {what}")]
    Damaged {
        /// The type.
        kind: String,
        /// What is wrong.
        what: String,
    },
}

impl UnreadableEvent {
    fn control(kind: &str, cause: &serde_json::Error) -> Self {
        Self::Damaged {
            kind: kind.into(),
            what: format!("its control part does not read: {cause}"),
        }
    }

    fn data(kind: &str, what: &str) -> Self {
        Self::Damaged {
            kind: kind.into(),
            what: what.into(),
        }
    }
}

fn known(kind: &str, found: SchemaVersion, known: u16) -> Result<(), UnreadableEvent> {
    if found.get() == 0 {
        return Err(UnreadableEvent::data(kind, "its schema version is 0"));
    }
    if found.get() == known {
        Ok(())
    } else {
        Err(UnreadableEvent::NewerSchema {
            kind: kind.into(),
            found,
            known: SchemaVersion::new(known),
        })
    }
}

/// The one piece of user data that an event may carry.
trait Datum: Sized {
    fn to_data(&self) -> Data;
    fn from_data(data: &Data) -> Result<Self, String>;
}

impl Datum for Option<Payload> {
    fn to_data(&self) -> Data {
        self.as_ref()
            .map_or(Data::None, |payload| Data::Inline(payload.text()))
    }

    fn from_data(data: &Data) -> Result<Self, String> {
        match data {
            Data::None => Ok(None),
            Data::Inline(text) => Ok(Some(Payload::from_json_text(text.clone()))),
            // Erased data leaves its place: it folds as `null` and still verifies by its hash.
            Data::Erased(_) => Ok(Some(Payload::null())),
        }
    }
}

impl Datum for Payload {
    fn to_data(&self) -> Data {
        Data::Inline(self.text())
    }

    fn from_data(data: &Data) -> Result<Self, String> {
        Option::<Self>::from_data(data)?.ok_or_else(|| "its data is missing".into())
    }
}

impl Datum for HeldContent {
    fn to_data(&self) -> Data {
        let text = serde_json::to_string(self).expect("it is plain data");
        Data::Inline(text.into())
    }

    fn from_data(data: &Data) -> Result<Self, String> {
        match data {
            Data::Erased(_) => Ok(Self::default()),
            Data::Inline(text) => serde_json::from_str(text)
                .map_err(|why| format!("its data is not what a held input carries: {why}")),
            Data::None => Err("its data is missing".into()),
        }
    }
}

impl Datum for Option<String> {
    fn to_data(&self) -> Data {
        self.as_ref().map_or(Data::None, Datum::to_data)
    }

    fn from_data(data: &Data) -> Result<Self, String> {
        match data {
            Data::None => Ok(None),
            data => String::from_data(data).map(Some),
        }
    }
}

impl Datum for String {
    fn to_data(&self) -> Data {
        let text = serde_json::to_string(self).expect("a string always writes as JSON");
        Data::Inline(text.into())
    }

    fn from_data(data: &Data) -> Result<Self, String> {
        match data {
            Data::Erased(_) => Ok("(erased)".into()),
            Data::Inline(text) => {
                serde_json::from_str(text).map_err(|_| "its data is not a string".into())
            }
            Data::None => Err("its data is missing".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use insta::assert_snapshot;

    use super::*;
    use crate::log::Digest;

    const FIRST: SchemaVersion = SchemaVersion::new(1);

    fn inline(text: &str) -> Data {
        Data::Inline(text.into())
    }

    #[track_caller]
    fn unreadable(kind: &str, schema: u16, control: &str, data: &Data) -> String {
        SagaEvent::decode(kind, SchemaVersion::new(schema), control, data)
            .expect_err("it cannot be read")
            .to_string()
    }

    #[test]
    fn a_type_of_a_newer_release_is_an_error() {
        assert_snapshot!(unreadable("Teleported", 1, "{}", &Data::None), @"event type `Teleported` is unknown to this release; use the release that wrote the log, or a newer one");
    }

    #[test]
    fn a_schema_of_a_newer_release_is_an_error() {
        let control = r#"{"node":"nap"}"#;
        assert_snapshot!(unreadable("SleepEnded", 2, control, &Data::None), @"event type `SleepEnded` has schema version 2, this release knows 1; use the release that wrote the log, or a newer one");
    }

    #[test]
    fn a_damaged_control_part_is_an_error_that_says_where() {
        let errors = [
            "",
            "{",
            "[7]",
            "{}",
            r#"{"node":7}"#,
            r#"{"node":"nap"}{}"#,
            r#"{"node":"nap","mood":"good"}"#,
        ]
        .map(|control| unreadable("SleepEnded", 1, control, &Data::None));
        assert_snapshot!(errors.join("\n"), @r"
        event of type `SleepEnded` is damaged: its control part does not read: EOF while parsing a value at line 1 column 0
        event of type `SleepEnded` is damaged: its control part does not read: EOF while parsing an object at line 1 column 1
        event of type `SleepEnded` is damaged: its control part does not read: invalid type: integer `7`, expected a string at line 1 column 2
        event of type `SleepEnded` is damaged: its control part does not read: missing field `node` at line 1 column 2
        event of type `SleepEnded` is damaged: its control part does not read: invalid type: integer `7`, expected a string at line 1 column 9
        event of type `SleepEnded` is damaged: its control part does not read: trailing characters at line 1 column 15
        event of type `SleepEnded` is damaged: its control part does not read: unknown field `mood`, expected `node` at line 1 column 20
        ");
    }

    /// What is in the data part is not read from the control part.
    #[test]
    fn data_inside_the_control_part_is_an_error() {
        let control = r#"{"output":7}"#;
        assert_snapshot!(unreadable("Completed", 1, control, &inline("7")), @"event of type `Completed` is damaged: its control part does not read: unknown field `output`, there are no fields at line 1 column 9");
    }

    #[test]
    fn missing_data_is_an_error() {
        let errors = [
            unreadable("Completed", 1, "{}", &Data::None),
            unreadable(
                "CompensationSkipped",
                1,
                r#"{"node":"charge"}"#,
                &Data::None,
            ),
        ];
        assert_snapshot!(errors.join("\n"), @r"
        event of type `Completed` is damaged: its data is missing
        event of type `CompensationSkipped` is damaged: its data is missing
        ");
    }

    #[test]
    fn data_that_is_not_what_the_type_has_is_an_error() {
        let errors = [
            unreadable("Compensated", 1, "{}", &inline("7")),
            unreadable("Compensated", 1, "{}", &Data::Erased(Digest([7; 32]))),
            unreadable(
                "CompensationSkipped",
                1,
                r#"{"node":"charge"}"#,
                &inline("7"),
            ),
        ];
        assert_snapshot!(errors.join("\n"), @r"
        event of type `Compensated` is damaged: it has data, but its type has none
        event of type `Compensated` is damaged: it has data, but its type has none
        event of type `CompensationSkipped` is damaged: its data is not a string
        ");
    }

    #[test]
    fn erased_data_leaves_its_place() {
        let erased = Data::Erased(Digest([7; 32]));
        let decode = |kind, control| {
            SagaEvent::decode(kind, FIRST, control, &erased).expect("what is left is enough")
        };
        let output = Payload::null();
        assert_eq!(decode("Completed", "{}"), Completed { output }.into());
        let node = NodeId::from("charge");
        let output = Some(Payload::null());
        assert_eq!(
            decode("NodeCompleted", r#"{"node":"charge"}"#),
            NodeCompleted {
                node: node.clone(),
                output
            }
            .into()
        );
        let reason = String::from("(erased)");
        assert_eq!(
            decode("CompensationSkipped", r#"{"node":"charge"}"#),
            CompensationSkipped { node, reason }.into()
        );
    }

    #[test]
    fn the_systems_events_are_refused_with_the_same_reasons() {
        use crate::system::SystemEvent;
        let unreadable = |kind, schema, control, data: &Data| {
            SystemEvent::decode(kind, SchemaVersion::new(schema), control, data)
                .expect_err("it cannot be read")
                .to_string()
        };
        let recorded = r#"{"saga":"shop","version":1,"fingerprint":"8d176a210dee551a"}"#;
        let errors = [
            unreadable("Started", 1, "{}", &Data::None),
            unreadable("LateSuccess", 2, "{}", &Data::None),
            unreadable("PartitionOwned", 1, r#"{"epoch":1}"#, &Data::None),
            unreadable("DefinitionRecorded", 1, recorded, &Data::None),
            unreadable("DefinitionRecorded", 1, recorded, &inline("{}")),
        ];
        assert_snapshot!(errors.join("\n"), @r"
        event type `Started` is unknown to this release; use the release that wrote the log, or a newer one
        event type `LateSuccess` has schema version 2, this release knows 1; use the release that wrote the log, or a newer one
        event of type `PartitionOwned` is damaged: it does not read: missing field `node` at line 1 column 11
        event of type `DefinitionRecorded` is damaged: its graph is missing
        event of type `DefinitionRecorded` is damaged: it does not read: missing field `saga` at line 1 column 2
        ");
    }
}
