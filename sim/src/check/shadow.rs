//! I2, I3: only legal transitions, and the fold of the log is the live state.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sagalog_engine::{Partition, Resend};
use sagalog_model::{
    Command, Direction, SagaEvent, SagaId,
    dead_letter::{LetterEvent, LetterId},
    held_saga::HeldSagaEvent,
    log::{PartitionId, Time, Version},
};
use sagalog_projections::{
    SagaState, attempts::OpenAttempt, dead_letters as letters, held::HeldInput,
};

use super::{
    Broken, Violation, attempts, held,
    held_sagas::Undriven,
    ids,
    letters::Letters,
    numbers,
    publishing::{Addressee, Place, Publishing},
};
use crate::{
    fault::Fault,
    world::{Owner, Ownership, Setup, World},
};

/// What is durable, folded apart from the node's own state.
#[derive(Clone, Default)]
pub(crate) struct Shadow {
    /// Boxed, for a node of the map has room for eleven.
    states: BTreeMap<SagaId, Box<SagaState>>,
    /// What the newest event of a saga took off its held inputs.
    taken: BTreeMap<SagaId, HeldInput>,
    /// By partition.
    publishing: BTreeMap<PartitionId, Publishing>,
    letters: BTreeMap<PartitionId, Letters>,
    undriven: BTreeMap<PartitionId, Undriven>,
    /// The dead letters that the broker has confirmed, each with the number of its retry.
    with_the_broker: BTreeSet<(LetterId, u32)>,
}

impl Shadow {
    /// I2: adds a durable event.
    pub(crate) fn apply(
        &mut self,
        setup: &Setup,
        partition: PartitionId,
        saga: &SagaId,
        event: &SagaEvent,
        at: Time,
    ) -> Result<(), Violation> {
        let violation = |invariant, what| Violation {
            invariant,
            saga: Some(saga.clone()),
            what,
            at,
        };
        if let SagaEvent::Started(started) = event {
            let state =
                SagaState::start(saga.clone(), setup.definition.graph().clone(), started, at);
            return match self.states.insert(saga.clone(), Box::new(state)) {
                None => Ok(()),
                Some(_) => Err(violation("I2", "it starts twice".into())),
            };
        }
        let Some(state) = self.states.get_mut(saga) else {
            return Err(violation(
                "I2",
                format!("{} before its start", event.kind()),
            ));
        };
        if let SagaEvent::AttemptAsked(asked) = event {
            self.publishing
                .entry(partition)
                .or_default()
                .asked(saga, asked);
        }
        attempts::within_policy(state, event, at)
            .and_then(|()| numbers::as_agreed(state, event, at))
            .and_then(|()| ids::forgotten_when_over(&setup.rules, event, at))
            .and_then(|()| held::in_order(state, event, self.taken.get(saga)))
            .map_err(|(invariant, what)| violation(invariant, what))?;
        match held::taken_by(state, event) {
            Some(held) => drop(self.taken.insert(saga.clone(), held)),
            None if self.taken.is_empty() => {}
            None => drop(self.taken.remove(saga)),
        }
        state
            .apply(event, at)
            .map_err(|illegal| violation("I2", illegal.to_string()))
    }

    /// What the newest event of a saga took off its held inputs.
    pub(super) fn taken(&self, saga: &SagaId) -> Option<&HeldInput> {
        self.taken.get(saga)
    }

    /// A node has taken over.
    pub(crate) fn owned_anew(&mut self, partition: PartitionId, now: Time) {
        self.publishing
            .entry(partition)
            .or_default()
            .owned_anew(now);
        if let Some(letters) = self.letters.get_mut(&partition) {
            letters.owned_anew();
        }
    }

    /// What becomes of a dead letter is durable.
    pub(crate) fn letter_recorded(
        &mut self,
        partition: PartitionId,
        event: &LetterEvent,
        place: Version,
        at: Time,
    ) -> Result<(), Broken> {
        let with_the_broker = &self.with_the_broker;
        let letters = self.letters.entry(partition).or_default();
        letters.recorded(event, place, at, |copy| with_the_broker.contains(&copy))
    }

    /// What becomes of a saga that cannot be driven is durable.
    pub(crate) fn held_saga_recorded(
        &mut self,
        partition: PartitionId,
        event: &HeldSagaEvent,
        place: Version,
        at: Time,
    ) -> Result<(), Broken> {
        if let HeldSagaEvent::Released(event) = event {
            let publishing = self.publishing.entry(partition).or_default();
            publishing.driven_again(&event.saga, at);
        }
        let undriven = self.undriven.entry(partition).or_default();
        undriven.recorded(event, place, at)
    }

    /// I13: a batch that begins with this is durable.
    pub(crate) fn happened(
        &mut self,
        partition: PartitionId,
        saga: &SagaId,
        fact: &SagaEvent,
    ) -> Result<(), Broken> {
        match self.undriven.get_mut(&partition) {
            Some(undriven) => undriven.happened(saga, fact),
            None => Ok(()),
        }
    }

    /// The sagas of a partition that cannot be driven, if there were any.
    pub(super) fn undriven(&self, partition: PartitionId) -> Option<&Undriven> {
        self.undriven.get(&partition)
    }

    /// How much waits for each saga that cannot be driven.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = usize> {
        self.undriven.values().flat_map(Undriven::waiting)
    }

    /// The owner publishes a dead letter.
    pub(crate) fn letter_sent_again(
        &mut self,
        partition: PartitionId,
        resend: &Resend,
    ) -> Result<(), Broken> {
        let letters = self.letters.entry(partition).or_default();
        letters.sent_again(resend)
    }

    /// The broker confirms a dead letter.
    pub(crate) fn letter_is_with_the_broker(&mut self, letter: LetterId, retry: u32) {
        self.with_the_broker.insert((letter, retry));
    }

    /// Where it is with each dead letter, and how often it was to be sent again.
    pub(crate) fn phases_of_letters(&self) -> impl Iterator<Item = (letters::Phase, u32)> {
        self.letters.values().flat_map(Letters::phases)
    }

    /// The dead letters of a partition, if there were any.
    pub(super) fn letters(&self, partition: PartitionId) -> Option<&Letters> {
        self.letters.get(&partition)
    }

    /// I7, I14: a command is published. What the live state has given up already, though not yet in
    /// the log, is not published any more; nor is what nobody waits for.
    pub(crate) fn published(
        &mut self,
        partition: PartitionId,
        command: &Command,
        owner: Option<&Owner>,
        at: Time,
    ) -> Result<(), Violation> {
        let machine = owner.map(Owner::machine);
        let live = machine.and_then(|machine| machine.peek(&command.saga));
        let is_open = |node: &str, direction: Direction, attempt: u32| {
            let waits = |machine: &Partition<_>| {
                machine.waits_to_be_admitted(&command.saga, node, direction)
            };
            // An action that a pause kept back until the turn is not asked any more.
            let has_turned = live.is_some_and(|live| live.turn().is_some());
            if direction == Direction::Action && has_turned {
                return false;
            }
            let step = live.and_then(|live| live.step(live.graph().find(node)?));
            step.is_some_and(|(spec, step)| {
                let open = step.attempts(direction).open;
                open.is_some_and(|open| open.number.0 == attempt)
                    && live.is_some_and(|live| live.awaits(spec, step, direction))
                    && !machine.is_some_and(waits)
            })
        };
        self.publishing
            .entry(partition)
            .or_default()
            .published(command, is_open)
            .map_err(|(invariant, what)| Violation {
                invariant,
                saga: Some(command.saga.clone()),
                what,
                at,
            })
    }

    /// A command goes to its participant.
    pub(super) fn goes(&mut self, partition: PartitionId, addressee: Addressee, command: &Command) {
        let publishing = self.publishing.entry(partition).or_default();
        publishing.goes(addressee, command);
    }

    /// What the owner of a partition has published, and to whom.
    pub(super) fn published_by(&self, partition: PartitionId) -> &[(Addressee, Place)] {
        let publishing = self.publishing.get(&partition);
        publishing.map_or(&[], Publishing::addressees)
    }

    pub(crate) fn state(&self, saga: &str) -> Option<&SagaState> {
        self.states().find(|state| state.id().as_str() == saga)
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = &SagaState> {
        self.states.values().map(|state| &**state)
    }

    pub(crate) fn of(&self, saga: &SagaId) -> Option<&SagaState> {
        self.states.get(saga).map(|state| &**state)
    }
}

/// I3: an owner that has nothing on its way to the log holds exactly what the log adds up to.
pub(super) fn equals_live_state(world: &World, partition: PartitionId) -> Result<(), Violation> {
    let owner = world.share(partition).owner();
    let Some(owner) = owner.filter(|owner| owner.is_at_rest()) else {
        return Ok(());
    };
    for (id, live, _) in owner.machine().sagas() {
        let Some(folded) = world.shadow().of(id) else {
            continue;
        };
        if live.version() == folded.version() && live != folded {
            let what = format!(
                "at version {} the live state differs from the fold",
                live.version()
            );
            return Err(Violation::of("I3", world, id, what));
        }
    }
    Ok(())
}

/// I3: who has taken over holds exactly the sagas that are under way, each as the log adds it up.
pub(super) fn is_recovered_whole(world: &World, of: Ownership) -> Result<(), Violation> {
    let Some(owner) = world.owner(of) else {
        return Ok(());
    };
    let live: BTreeMap<_, _> = owner
        .machine()
        .sagas()
        .map(|(id, state, _)| (id, state))
        .collect();
    let under_way = |state: &&SagaState| !state.status().is_terminal();
    // What waited for one that is held no more is processed already.
    let undriven = world.shadow().undriven(of.partition);
    let was_held = |saga: &SagaId| undriven.is_some_and(|undriven| undriven.get(saga).is_some());
    let is_held = |saga: &SagaId| owner.machine().held_sagas().get(saga).is_some();
    let driven =
        |state: &&SagaState| under_way(state) && !is_held(state.id()) && !was_held(state.id());
    for folded in world.sagas_of(of.partition).filter(driven) {
        if live.get(folded.id()).is_none_or(|live| *live != folded) {
            let what = "what was recovered is not what the log adds up to".into();
            return Err(Violation::of("I3", world, folded.id(), what));
        }
    }
    let mut recovered = live.values().filter(|state| !was_held(state.id()));
    if let Some(ended) = recovered.find(|state| state.status().is_terminal()) {
        let what = "it has ended, and is recovered".into();
        return Err(Violation::of("I18", world, ended.id(), what));
    }
    Ok(())
}

/// What an append may take.
const SHORT: Duration = Duration::from_millis(200);

/// I6: nobody could answer what was never published. Behind a full window, or when the clock jumps,
/// a deadline may come first.
pub(super) fn timed_out_only_what_was_published(
    world: &World,
    partition: PartitionId,
    saga: &SagaId,
    event: &SagaEvent,
) -> Result<(), Violation> {
    let SagaEvent::AttemptTimedOut(e) = event else {
        return Ok(());
    };
    let may_come_first = |fault| {
        matches!(
            fault,
            Fault::Tight
                | Fault::ClockAhead
                | Fault::ClockBack
                | Fault::SuccessorAhead
                | Fault::SuccessorBehind
        )
    };
    let was_paused = || {
        let mut events = world.log().events_of(saga);
        events.any(|event| matches!(event, SagaEvent::Paused(_)))
    };
    // A participant that fails often is spared by the usual policies, too.
    let may_wait = |open: &OpenAttempt| open.delayed || world.setup().is_guarded || was_paused();
    let deadline = world.shadow().of(saga).and_then(|state| {
        let (_, step) = state.step(state.graph().find(&e.node)?)?;
        let attempts = step.attempts(e.direction);
        // What was accepted was published, if by an earlier owner.
        let open = attempts.open.filter(|_| attempts.heard.is_none())?;
        // One that may last no longer than an append takes is over before it can be published, and an
        // action that waited until the turn is not asked any more.
        Some(open.deadline)
            .filter(|deadline| deadline.since(open.asked_at) > SHORT)
            .filter(|_| state.turn().is_none() || !may_wait(&open))
    });
    let accounted = deadline.is_none_or(|deadline| {
        let publishing = world.shadow().publishing.get(&partition);
        publishing.is_some_and(|it| {
            it.is_accounted_for(saga, &e.node, e.direction, e.attempt.0, deadline)
        })
    });
    if accounted || world.plan().iter().any(|(_, fault)| may_come_first(fault)) {
        return Ok(());
    }
    let what = format!(
        "the {} of {} timed out and was never published",
        e.direction, e.node
    );
    Err(Violation::of("I6", world, saga, what))
}
