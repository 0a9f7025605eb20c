//! I8: an acknowledgement or an answer covers only what is durable; I9, I13: what was asked for is
//! taken, and what comes after the end and contradicts it is recorded.

use sagalog_engine::{Answer, Query, Request, input::Wish};
use sagalog_model::{
    Direction, Outcome, Payload, RecoveryClass, Reply, SagaEvent, SagaId,
    event::Origin,
    log::{PartitionId, Time},
};
use sagalog_projections::{SagaState, StepState, sequence::Standing, step::UndoEnd};

use super::{Violation, held, held_sagas, letters};
use crate::world::{ClientCall, Wants, World};

/// After the acknowledgement nobody will say again what the reply said.
pub(super) fn covers_what_is_durable(
    world: &World,
    reply: &Reply,
    answer: &Answer,
) -> Result<(), Violation> {
    let found = is_in_the_log(world, reply, answer);
    if found.is_err() && matches!(answer, Answer::Recorded) && has_waited(world, reply) {
        return Ok(());
    }
    found
}

/// Whether it is on record that an answer waited while its saga was held.
fn has_waited(world: &World, reply: &Reply) -> bool {
    let partition = world.setup().partition(&reply.saga);
    let undriven = world.shadow().undriven(partition);
    undriven.is_some_and(|undriven| {
        let (origin, content) = held_sagas::parts(reply);
        undriven.has_waited(&reply.saga, &origin, &content)
    })
}

/// The saga's own events say what the reply said, or that it says nothing new.
pub(super) fn is_in_the_log(
    world: &World,
    reply: &Reply,
    answer: &Answer,
) -> Result<(), Violation> {
    let fails = |invariant, what: &str| {
        let (node, direction, attempt) = (&reply.node, reply.direction, reply.attempt);
        let what = format!("the answer to {node} {direction}#{attempt} {what}");
        Err(Violation::of(invariant, world, &reply.saga, what))
    };
    let state = world.shadow().of(&reply.saga);
    let step = state.and_then(|state| state.step(state.graph().find(&reply.node)?));
    let asked = step.filter(|(_, step)| step.attempts(reply.direction).was_asked(reply.attempt));
    match (answer, asked, state) {
        (Answer::Refused(_), Some(_), _) if !matches!(reply.outcome, Outcome::NotDone) => {
            fails("I13", "was refused, and it was asked for")
        }
        (Answer::Refused(_), ..) => Ok(()),
        (_, None, _) | (_, _, None) => fails("I8", "was acknowledged, and the log asks nothing"),
        (_, Some((spec, step)), Some(state)) if state.status().is_terminal() => {
            let only_looks = spec.class == RecoveryClass::ReadOnly;
            match is_on_record(world, reply) {
                true if only_looks => fails("I9", "has no effect, and is recorded as a late one"),
                false if !only_looks && is_contradiction(step, reply) => {
                    fails("I9", "contradicts the end, and that is not recorded")
                }
                _ => Ok(()),
            }
        }
        (_, Some((_, step)), state) => {
            let is_held = state.is_some_and(|state| held::holds(state, reply));
            if says_more(step, reply) && !is_held {
                return fails("I8", "was acknowledged, and the log does not hold it");
            }
            Ok(())
        }
    }
}

/// I12: an attempt that is under way does not end before three quarters of the silence that is allowed
/// have passed since its owner heard of it, and that is on record when the owner says that it has.
pub(super) fn keeps_what_is_alive(
    world: &World,
    reply: &Reply,
    answer: &Answer,
    heard: Option<Time>,
) -> Result<(), Violation> {
    let (Outcome::Alive { .. }, Answer::Recorded, Some(heard)) = (&reply.outcome, answer, heard)
    else {
        return Ok(());
    };
    // It is heard of when the saga is driven again.
    if has_waited(world, reply) {
        return Ok(());
    }
    let state = world.shadow().of(&reply.saga);
    let forward = state.filter(|state| state.turn().is_none() && !state.status().is_terminal());
    let step = forward.and_then(|state| state.step(state.graph().find(&reply.node)?));
    let Some((spec, step)) = step else {
        return Ok(());
    };
    let open = step.action.open.filter(|open| open.number == reply.attempt);
    let (Some(open), Some(silence)) = (open.filter(|open| !open.renewed), spec.heartbeat) else {
        return Ok(());
    };
    let latest = step.until.filter(|_| !step.until_passed);
    let latest = [latest, forward.and_then(|state| state.deadline())];
    let kept = latest
        .into_iter()
        .flatten()
        .fold(heard.after(silence / 4 * 3), Time::min);
    // What is heard of after its deadline may end at once.
    if open.deadline >= kept || open.deadline <= heard {
        return Ok(());
    }
    let what = format!(
        "{} is alive, and its attempt may end all the same",
        reply.node
    );
    Err(Violation::of("I12", world, &reply.saga, what))
}

/// Whether a reply says something that the state does not know.
fn says_more(step: &StepState, reply: &Reply) -> bool {
    let attempts = step.attempts(reply.direction);
    let settled = match reply.direction {
        Direction::Action | Direction::Probe => step.has_succeeded(),
        // What was given up may turn out to be undone.
        Direction::Compensation | Direction::Alternative => step.undo == UndoEnd::Undone,
    };
    match reply.outcome {
        Outcome::Succeeded(_) => !settled,
        Outcome::Failed { .. } => {
            attempts.is_open(reply.attempt) || attempts.is_doubtful(reply.attempt)
        }
        Outcome::Unknown { .. } | Outcome::NotDone => attempts.is_open(reply.attempt),
        // What it gives is looked at when the attempt ends.
        Outcome::Alive { .. } => false,
    }
}

/// Whether an ended saga knows nothing of an effect that a participant says it had.
fn is_contradiction(step: &StepState, reply: &Reply) -> bool {
    reply.direction == Direction::Action
        && matches!(reply.outcome, Outcome::Succeeded(_))
        && !step.has_succeeded()
}

fn is_on_record(world: &World, reply: &Reply) -> bool {
    let mut late = world.log().late();
    late.any(|late| {
        late.saga == reply.saga
            && late.node == reply.node
            && late.direction == reply.direction
            && late.attempt == reply.attempt
    })
}

/// Whether a signal of this id is on record; it need not be remembered any more.
fn is_recorded(world: &World, state: &SagaState, id: &str) -> bool {
    let mut events = world.log().events_of(state.id());
    state.signals().ids().contains(id)
        || events.any(|event| matches!(event, SagaEvent::SignalReceived(e) if *e.id == *id))
}

/// Whether it is on record that a number was kept; it may have been rejected since, with what is missing.
fn was_kept(world: &World, saga: &SagaId, producer: &str, number: u64) -> bool {
    let mut events = world.log().events_of(saga);
    events.any(|event| {
        matches!(event, SagaEvent::SignalAhead(e) if *e.producer == *producer && e.number == number)
    })
}

fn is_held(state: &SagaState, is_it: impl Fn(&Origin) -> bool) -> bool {
    state.held().iter().any(|held| is_it(&held.input))
}

/// Whether a signal is on record in its saga.
pub(super) fn knows(world: &World, saga: &SagaId, origin: &Origin, content: &Payload) -> bool {
    let Some(state) = world.shadow().of(saga) else {
        return false;
    };
    match origin {
        Origin::Signal { id, .. } => {
            let is_it = |held: &Origin| matches!(held, Origin::Signal { id: of, .. } if of == id);
            is_recorded(world, state, id) || is_held(state, is_it)
        }
        Origin::Numbered {
            signal,
            producer,
            number,
        } => {
            let is_it = |held: &Origin| matches!(held, Origin::Numbered { producer: of, number: known, .. } if of == producer && known == number);
            let standing = state
                .sequences()
                .standing(producer, *number, signal, content);
            standing == Standing::Known { differs: false }
                || was_kept(world, saga, producer, *number)
                || is_held(state, is_it)
        }
        Origin::Reply { .. } => false,
    }
}

/// A client was told that something is recorded.
pub(super) fn answers_what_is_durable(
    world: &World,
    partition: PartitionId,
    call: &ClientCall,
    answer: &Answer,
) -> Result<(), Violation> {
    if !matches!(answer, Answer::Recorded) {
        return Ok(());
    }
    let state = world.shadow().of(&call.saga);
    let query = match &call.wants {
        Wants::Saga(query) => query,
        Wants::Letter(request) if letters::is_durable(world, partition, request) => return Ok(()),
        Wants::Letter(_) => return Err(not_durable(world, call)),
    };
    let has_waited = |origin, content: &Payload| {
        let undriven = world.shadow().undriven(partition);
        undriven.is_some_and(|undriven| undriven.has_waited(&call.saga, &origin, content))
    };
    let durable = match query {
        Query::Start { .. } => state.is_some(),
        Query::Signal {
            signal,
            id,
            until,
            payload,
        } => {
            let (signal, id, until) = (signal.clone(), id.clone(), *until);
            let origin = Origin::Signal { signal, id, until };
            knows(world, &call.saga, &origin, payload) || has_waited(origin, payload)
        }
        Query::Numbered(numbered) => {
            let origin = Origin::Numbered {
                signal: numbered.signal.clone(),
                producer: numbered.producer.clone(),
                number: numbered.number,
            };
            knows(world, &call.saga, &origin, &numbered.payload)
                || has_waited(origin, &numbered.payload)
        }
        Query::Request(Request {
            wish: Wish::Release { number: 0, .. },
            ..
        }) => {
            let undriven = world.shadow().undriven(partition);
            undriven.is_none_or(|undriven| undriven.get(&call.saga).is_none())
        }
        Query::Request(request)
            if world
                .shadow()
                .undriven(partition)
                .is_some_and(|undriven| undriven.has_decided(&call.saga, &request.id)) =>
        {
            true
        }
        Query::Request(request) => state.is_some_and(|state| {
            // A cancel of a saga that goes back already says nothing new.
            state.requests().contains(&request.id) || state.turn().is_some()
        }),
        Query::Reply(_) | Query::State | Query::End => true,
    };
    if durable {
        return Ok(());
    }
    Err(not_durable(world, call))
}

fn not_durable(world: &World, call: &ClientCall) -> Violation {
    let what = "a client was told of what is not durable".into();
    Violation::of("I8", world, &call.saga, what)
}
