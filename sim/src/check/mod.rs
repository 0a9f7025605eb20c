//! What must hold in every run: the invariants of the design, one file for each property, and the
//! author's own.
//!
//! They look at what is durable, at what the participants did, and at what was acknowledged; never
//! at how the engine came to it.

mod acknowledgements;
mod admission;
mod answers;
mod asks;
mod attempts;
mod conclusions;
mod determinism;
mod effects;
mod ends;
mod held;
mod held_sagas;
mod ids;
mod letters;
mod liveness;
mod numbers;
mod order;
mod ownership;
mod publishing;
mod redecide;
mod shadow;
mod transparency;

use sagalog_engine::Answer;
use sagalog_model::{
    Command, Missing, Reply, SagaEvent, SagaId, Withdrawal,
    held_saga::HeldSagaEvent,
    log::{PartitionId, Time},
};

pub(crate) use determinism::{DETERMINISM, differs_when_repeated};
pub(crate) use redecide::redecided;
pub(crate) use shadow::Shadow;
pub(crate) use transparency::{Story, differs};

use crate::world::{ClientCall, Dead, NodeNumber, Ownership, Property, World};

/// Something that must not happen did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which invariant: `I1` to `I21`, `determinism` if the same plan gave another run, or `author`.
    pub invariant: &'static str,
    /// The saga, if it is about one.
    pub saga: Option<SagaId>,
    /// What happened.
    pub what: String,
    /// When.
    pub at: Time,
}

/// The invariant that an event breaks, and how.
pub(crate) type Broken = (&'static str, String);

impl Violation {
    pub(crate) fn of(invariant: &'static str, world: &World, saga: &SagaId, what: String) -> Self {
        Self {
            invariant,
            saga: Some(saga.clone()),
            what,
            at: world.now(),
        }
    }

    /// The same invariant; of the author's own, the same one.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        self.invariant == other.invariant && (self.invariant != "author" || self.what == other.what)
    }
}

/// A command was published.
pub(crate) fn asked(world: &World, command: &Command) -> Result<(), Violation> {
    let asked = asks::Asked::durably(world, command)?;
    asked.not_after_the_turn()?;
    asked.not_while_paused()?;
    asked.is_waited_for()?;
    asked.as_decided()
}

/// A command is published by this owner.
pub(crate) fn published(world: &World, of: Ownership, command: &Command) -> Result<(), Violation> {
    held_sagas::is_not_held(world, of, command)
}

/// What becomes of a saga that cannot be driven has become durable, and is not folded yet.
pub(crate) fn held_saga_recorded(
    world: &World,
    partition: PartitionId,
    event: &HeldSagaEvent,
) -> Result<(), Violation> {
    held_sagas::nothing_is_lost(world, partition, event)
}

/// A command goes to its participant. Where admission is as usual nothing comes to wait.
pub(crate) fn admitted(
    world: &mut World,
    partition: PartitionId,
    command: &Command,
) -> Result<(), Violation> {
    if !world.setup().is_guarded {
        return Ok(());
    }
    let addressee = admission::is_within_policy(world, partition, command)
        .map_err(|(invariant, what)| Violation::of(invariant, world, &command.saga, what))?;
    world.shadow_mut().goes(partition, addressee, command);
    Ok(())
}

/// A participant is told of a turn.
pub(crate) fn withdrawn(world: &World, withdrawal: &Withdrawal) -> Result<(), Violation> {
    asks::withdrawn_after_the_turn(world, withdrawal)
}

/// A producer is asked for what is missing.
pub(crate) fn asked_for_missing(world: &World, missing: &Missing) -> Result<(), Violation> {
    numbers::asked_on_record(world, missing)
}

/// An event has become durable, and is not folded yet.
pub(crate) fn recorded(
    world: &World,
    partition: PartitionId,
    saga: &SagaId,
    event: &SagaEvent,
) -> Result<(), Violation> {
    answers::recorded_as_given(world, saga, event)?;
    ids::taken_once(world, saga, event)?;
    shadow::timed_out_only_what_was_published(world, partition, saga, event)
}

/// A command is about to be served.
pub(crate) fn served(world: &World, command: &Command) -> Result<(), Violation> {
    order::undone_in_reverse(world, command)
}

/// A delivery was acknowledged; `heard` is when the owner took it, if it is a sign of life.
pub(crate) fn acknowledged(
    world: &World,
    reply: &Reply,
    answer: &Answer,
    heard: Option<Time>,
) -> Result<(), Violation> {
    acknowledgements::covers_what_is_durable(world, reply, answer)?;
    acknowledgements::keeps_what_is_alive(world, reply, answer, heard)
}

/// A dead letter has left the queue that it died in.
pub(crate) fn letter_left_its_queue(
    world: &World,
    partition: PartitionId,
    dead: &Dead,
) -> Result<(), Violation> {
    letters::is_on_record(world, partition, dead)
}

/// A client was answered.
pub(crate) fn call_answered(
    world: &World,
    partition: PartitionId,
    call: &ClientCall,
    answer: &Answer,
) -> Result<(), Violation> {
    ids::expired_on_record(world, call, answer)?;
    acknowledgements::answers_what_is_durable(world, partition, call, answer)
}

/// An append has become durable and its owner knows.
pub(crate) fn durable(world: &World, of: Ownership) -> Result<(), Violation> {
    ownership::is_the_only_one(world, of)?;
    shadow::equals_live_state(world, of.partition)
}

/// A node judges that a partition has no owner any more, and is about to take it over.
pub(crate) fn taken_from_nobody(
    world: &World,
    partition: PartitionId,
    by: NodeNumber,
) -> Result<(), Violation> {
    ownership::is_over(world, partition, by)
}

/// An append was refused because of its epoch.
pub(crate) fn fenced(world: &World, of: Ownership) -> Result<(), Violation> {
    ownership::could_not_know(world, of)
}

/// A node has taken over.
pub(crate) fn taken_over(world: &World, of: Ownership) -> Result<(), Violation> {
    letters::are_recovered_whole(world, of)?;
    held_sagas::are_recovered_whole(world, of)?;
    shadow::is_recovered_whole(world, of)
}

/// What must hold whenever the log has grown; the author's own properties too.
pub(crate) fn properties(world: &World) -> Result<(), Violation> {
    conclusions::are_drawn(world)?;
    for (name, holds) in &world.setup().always {
        if !is_so(name, world, holds) {
            return Err(author(world, name, "does not hold"));
        }
    }
    Ok(())
}

/// Nothing is left to do.
pub(crate) fn at_rest(world: &World) -> Result<(), Violation> {
    liveness::everything_ended_or_waits_for_somebody(world)?;
    effects::at_most_one_net_effect(world)?;
    ends::match_what_took_effect(world)?;
    for (name, holds) in &world.setup().eventually {
        if !is_so(name, world, holds) {
            return Err(author(world, name, "does not hold in the end"));
        }
    }
    Ok(())
}

fn is_so(name: &str, world: &World, holds: &Property) -> bool {
    crate::author::call(|| format!("\"{name}\""), || holds(world))
}

fn author(world: &World, name: &str, what: &str) -> Violation {
    Violation {
        invariant: "author",
        saga: None,
        what: format!("\"{name}\" {what}"),
        at: world.now(),
    }
}
