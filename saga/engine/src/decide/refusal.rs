//! Why an input is not accepted.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

use sagalog_model::{
    AttemptNumber, Direction, SagaId, dead_letter::LetterId, event::IdKind, log::Time,
};
use sagalog_projections::{
    Status, dedup::LASTING_MAX, held::Held, sequence::Sequences, signals::Signals,
};
use serde::{Deserialize, Serialize};

/// Why an input is not accepted. Nothing is recorded of it.
///
/// As JSON it travels to callers in other processes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// No saga of this id was ever started.
    #[error("there is no saga `{saga}`")]
    NoSuchSaga {
        /// The id.
        saga: SagaId,
    },
    /// A saga of this id was started with another definition or input.
    #[error(
        "saga `{saga}` was started before, with another definition or input; choose another id"
    )]
    OtherContent {
        /// The id.
        saga: SagaId,
    },
    /// No definition of this name is registered.
    #[error("no definition of saga `{definition}` is registered{}", version_hint(.version))]
    NoSuchDefinition {
        /// The name.
        definition: String,
        /// The version, if a certain one is needed.
        version: Option<u32>,
    },
    /// The saga's recorded history cannot be folded by this program.
    #[error("the saga's history cannot be used: {why}")]
    BadHistory {
        /// Why.
        why: String,
    },
    /// The saga cannot be driven for now, so nothing can be said of it or done with it.
    #[error("saga `{saga}` is held, as it cannot be driven: {why}")]
    SagaHeld {
        /// The saga.
        saga: SagaId,
        /// Why.
        why: String,
    },
    /// No definition of the program asks this participant.
    #[error("no saga of this program asks a participant `{participant}`")]
    NoSuchParticipant {
        /// The name.
        participant: String,
    },
    /// No dead letter of this id is there: it never was, or it was given up.
    #[error("there is no dead letter {letter}")]
    NoSuchLetter {
        /// The id.
        letter: LetterId,
    },
    /// The dead letter is on its way: somebody had it sent again.
    #[error("dead letter {letter} is being sent again; wait until it has left or died again")]
    LetterUnderWay {
        /// The id.
        letter: LetterId,
    },
    /// What is kept of the dead letter cannot be sent.
    #[error(
        "dead letter {letter} cannot be sent as it came: its bytes are not text, or were not all kept; give another body"
    )]
    LetterUnsendable {
        /// The id.
        letter: LetterId,
    },
    /// The dead letter came after its time, and nobody would take it.
    #[error(
        "dead letter {letter} is of no use any more: its deadline has passed, and whoever gets it drops it; the saga has settled that attempt"
    )]
    LetterPast {
        /// The id.
        letter: LetterId,
    },
    /// The payload is over the limit.
    #[error(
        "the payload has {bytes} bytes, at most {max} are accepted; store it elsewhere and send a reference"
    )]
    PayloadTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The id of a signal or request, or the name of who asks, is over the limit.
    #[error("ids and names have 1 to {max} bytes, this one has {bytes}")]
    IdLength {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Too many sagas are under way, or too many callers wait.
    #[error("{what} ({max}) is reached; try again when some have ended")]
    Busy {
        /// The limit's name.
        what: Cow<'static, str>,
        /// The limit.
        max: usize,
    },
    /// The saga has ended.
    #[error("saga `{saga}` has ended: it is {status}")]
    Ended {
        /// The saga.
        saga: SagaId,
        /// How it ended.
        status: Status,
    },
    /// A cancel after the point of no return.
    #[error("saga `{saga}` has passed its pivot: from there on it only goes forward")]
    PivotPassed {
        /// The saga.
        saga: SagaId,
    },
    /// The saga stands still already.
    #[error("saga `{saga}` is paused already, by {by}: it is to be resumed first")]
    AlreadyPaused {
        /// The saga.
        saga: SagaId,
        /// Who paused it.
        by: String,
    },
    /// The saga does not stand still.
    #[error("saga `{saga}` is not paused: only one that is paused is resumed")]
    NotPaused {
        /// The saga.
        saga: SagaId,
    },
    /// A deadline for a saga that goes back.
    #[error("saga `{saga}` goes back already: no deadline counts any more")]
    HasTurned {
        /// The saga.
        saga: SagaId,
    },
    /// An answer to something that was never asked.
    #[error("attempt {attempt} of the {direction} of `{node}` was never asked")]
    NotAsked {
        /// The node named.
        node: String,
        /// The direction named.
        direction: Direction,
        /// The attempt named.
        attempt: AttemptNumber,
    },
    /// Only a probe is answered with "not done".
    #[error("the {direction} of `{node}` was answered with `not_done`, which only a probe can be")]
    NotAProbe {
        /// The node.
        node: String,
        /// What was asked.
        direction: Direction,
    },
    /// Only actions whose step has a heartbeat are accepted and answered later.
    #[error(
        "the {direction} of `{node}` was answered with `alive`, which only the action of a step with a heartbeat can be"
    )]
    NoHeartbeat {
        /// The node.
        node: String,
        /// What was asked.
        direction: Direction,
    },
    /// The definition waits for no signal of this name.
    #[error("the definition waits for no signal `{signal}`; {}", known_signals(.known))]
    UnknownSignal {
        /// The name.
        signal: String,
        /// The names it does wait for.
        known: Vec<String>,
    },
    /// The saga has had as many signals as it may, of those that neither have a number nor a time.
    #[error(
        "the saga has had {LASTING_MAX} signals, which is the limit for those that are not numbered and do not say until when they may come again"
    )]
    TooManySignals,
    /// The saga has had as many requests as it may, of those that have no time.
    #[error(
        "the saga has had {LASTING_MAX} requests, which is the limit for those that do not say until when they may come again; say it"
    )]
    TooManyRequests,
    /// So many that may still come again are remembered that no further one may be.
    #[error(
        "{max} {of} of the saga may still come again, which is the limit; send it again when the time of some is over"
    )]
    TooManyRemembered {
        /// Of which kind.
        of: IdKind,
        /// The limit.
        max: usize,
    },
    /// It may have come before: ids whose time is over are not remembered for ever.
    #[error(
        "`{id}` has expired: it may have come before, and its time is over, so that is not remembered any more; \
         look at what the saga did, and choose another id if it is still wanted"
    )]
    Expired {
        /// The id.
        id: String,
        /// What could come until then, at the latest, is not remembered.
        watermark: Time,
    },
    /// As many signals wait to be consumed as may.
    #[error(
        "{} signals of the saga wait to be consumed, which is the limit; send it again later",
        Signals::MAX
    )]
    TooManyWaiting,
    /// A number that no producer gives.
    #[error(
        "a producer numbers what it sends from 1 to {}, not {number}",
        Sequences::NUMBER_MAX
    )]
    BadNumber {
        /// The number.
        number: u64,
    },
    /// So many producers number what they send to the saga that no further one may.
    #[error(
        "{} producers number what they send to the saga, which is the limit",
        Sequences::PRODUCERS_MAX
    )]
    TooManyProducers,
    /// Numbers are missing before this one, and no more is kept behind them.
    #[error(
        "numbers are missing before {number} of `{producer}`, and at most {} signals with {} bytes are kept until they come; \
         send those that are missing, then this one again",
        Sequences::AHEAD_MAX,
        Sequences::AHEAD_BYTES_MAX
    )]
    TooFarAhead {
        /// Who numbers.
        producer: String,
        /// The number.
        number: u64,
    },
    /// The number was given up before it came.
    #[error("number {number} of `{producer}` comes too late: the saga has gone on without it")]
    GivenUp {
        /// Who numbers.
        producer: String,
        /// The number.
        number: u64,
    },
    /// The producer used this number before, for something else.
    #[error(
        "number {number} of `{producer}` was used before for something else; each number is used once for each saga"
    )]
    OtherContentOfNumber {
        /// Who numbers.
        producer: String,
        /// The number.
        number: u64,
    },
    /// A signal or request of this id was recorded before, with another content or another time
    /// until which it may come again.
    #[error(
        "the id `{id}` was used before for something else, or with another time; choose another id"
    )]
    OtherContentOf {
        /// The id.
        id: String,
    },
    /// The definition's code cannot take it. Seen only by who releases a held input: others' are
    /// held.
    #[error("it cannot be processed: {why}")]
    CannotBeProcessed {
        /// Why.
        why: String,
    },
    /// As many inputs of the saga are held as may be.
    #[error(
        "{} inputs with {} bytes of the saga are held, which is the limit; see `sagalog held list`",
        Held::MAX,
        Held::BYTES_MAX
    )]
    TooManyHeld,
    /// No input of this number is held.
    #[error("input {number} is not held; {}", first_held(.first))]
    NotHeld {
        /// The number named.
        number: u64,
        /// The first that is, if any.
        first: Option<u64>,
    },
    /// Another held input must go first.
    #[error("input {number} is not the first that is held; {}", first_held(.first))]
    NotTheFirstHeld {
        /// The number named.
        number: u64,
        /// The first, if any is held.
        first: Option<u64>,
    },
    /// The definition has no such node.
    #[error("the definition has no node `{node}`")]
    NoSuchNode {
        /// The id named.
        node: String,
    },
    /// Only a parked node is retried, resolved or skipped.
    #[error("node `{node}` is not parked; {}", parked_nodes(.parked))]
    NotParked {
        /// The node named.
        node: String,
        /// Those that are.
        parked: Vec<String>,
    },
}

fn version_hint(version: &Option<u32>) -> impl fmt::Display {
    version.map_or_else(String::new, |version| {
        alloc::format!(" in version {version}, which this saga runs")
    })
}

fn known_signals(known: &[String]) -> String {
    match known {
        [] => "it waits for none".into(),
        known => alloc::format!("it waits for: {}", known.join(", ")),
    }
}

fn first_held(first: &Option<u64>) -> String {
    first.map_or_else(
        || "no input of this saga is held".into(),
        |first| alloc::format!("the first is {first}"),
    )
}

fn parked_nodes(parked: &[String]) -> String {
    match parked {
        [] => "no node of this saga is".into(),
        parked => alloc::format!("parked are: {}", parked.join(", ")),
    }
}
