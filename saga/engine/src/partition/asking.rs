//! Commands that are to be published, within the window.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    vec::Vec,
};

use sagalog_model::{
    AttemptNumber, Command, Direction, FailureClass, Graph, IdempotencyKey, Kind, Missing,
    NodeIndex, SagaEvent, SagaId, Withdrawal,
    graph::participant,
    log::{Position, Time},
};
use sagalog_projections::SagaState;

use super::live::{Live, Place, Published};
use crate::{
    admission::{Admission, Class, Ended, Permit, Policies},
    command::command,
    decide::fresh_deadline,
    rules::Rules,
};

/// Attempts that were asked in state and not yet published, oldest first (I14).
#[derive(Clone)]
pub(super) struct Asks {
    queue: VecDeque<Ask>,
    /// What their participants do not take now. What is not among those that its saga knows to wait is
    /// not waited for any more.
    admission: Admission<Ask>,
    /// How many of those are not waited for any more.
    stale: usize,
    /// Those that have their whole time again, once that is durable.
    admitted: VecDeque<Ask>,
    unanswered: usize,
    /// What participants are told of a turn, once that is durable.
    withdrawals: VecDeque<(Position, Withdrawal)>,
    /// What producers are asked for, once it is on record that they are.
    missing: VecDeque<(Position, Missing)>,
}

/// What the driver of the asks does next.
pub(super) enum Next {
    /// A command may be seen outside.
    Publish(Command),
    /// One that waited for long leaves when it is on record that it has its whole time again; say so
    /// with [`Asks::admitted`].
    Admit(Ask),
}

#[derive(Clone)]
pub(super) struct Ask {
    /// I5: nothing is published before the event that asks it is durable.
    gate: Position,
    pub(super) saga: SagaId,
    pub(super) node: NodeIndex,
    pub(super) direction: Direction,
    pub(super) attempt: AttemptNumber,
    /// Whether it did not leave because its saga was paused: it may need its time anew.
    was_kept_back: bool,
}

impl Ask {
    const fn place(&self) -> Place {
        (self.node, self.direction, self.attempt)
    }
}

impl Asks {
    pub(super) const fn new(policies: Arc<Policies>) -> Self {
        Self {
            queue: VecDeque::new(),
            admission: Admission::new(policies),
            stale: 0,
            admitted: VecDeque::new(),
            unanswered: 0,
            withdrawals: VecDeque::new(),
            missing: VecDeque::new(),
        }
    }

    /// A participant that a saga of this graph needs, and that too much waits for; with the bound.
    pub(super) fn too_much_waits(&self, graph: &Graph) -> Option<(Arc<str>, usize)> {
        self.admission.full(|participant| {
            graph.iter().any(|(_, node)| {
                matches!(&node.kind, Kind::Step { spec, .. } if spec.participant() == participant)
            })
        })
    }

    /// Before anything was admitted.
    pub(super) fn admit_by(&mut self, policies: Arc<Policies>) {
        self.admission = Admission::new(policies);
    }

    pub(super) const fn admission_mut(&mut self) -> &mut Admission<Ask> {
        &mut self.admission
    }

    pub(super) const fn admission(&self) -> &Admission<Ask> {
        &self.admission
    }

    /// How many commands were published and are awaited.
    pub(super) const fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Queues what a batch asks, and gives back the places of what it settles.
    pub(super) fn after(
        &mut self,
        live: &mut Live,
        events: &[SagaEvent],
        gate: Position,
        now: Time,
        rules: &Rules,
    ) {
        self.settle(live, events, now, rules);
        let is_paused = live.state.pause().is_some();
        let goes_on = live.was_paused && !is_paused;
        live.was_paused = is_paused;
        if goes_on && !mutant!(rules, ForgetsWhatWasKeptBack) {
            self.let_go(live, events, gate);
        }
        let state = &live.state;
        for event in events {
            let (id, direction, attempt) = match event {
                SagaEvent::Turned(_) => {
                    self.withdraw(state, gate);
                    continue;
                }
                SagaEvent::MissingAsked(e) => {
                    let missing = Missing {
                        saga: state.id().clone(),
                        producer: e.producer.clone(),
                        from: e.from,
                        to: e.to,
                    };
                    self.missing.push_back((gate, missing));
                    continue;
                }
                SagaEvent::AttemptAsked(e) => (&e.node, e.direction, e.attempt),
                SagaEvent::AttemptRenewed(e) => (&e.node, e.direction, e.attempt),
                _ => continue,
            };
            let node = state
                .graph()
                .find(id)
                .expect("the fold knows the nodes of its events");
            self.queue.push_back(Ask {
                gate,
                saga: state.id().clone(),
                node,
                direction,
                attempt,
                was_kept_back: false,
            });
        }
    }

    /// Queues what did not leave because its saga was paused, before what the batch itself asks (I14).
    /// I5: none of it leaves before it is durable that the saga goes on.
    fn let_go(&mut self, live: &mut Live, events: &[SagaEvent], gate: Position) {
        let saga = live.state.id().clone();
        let is_new = |place: Place| {
            events.iter().any(|event| match event {
                SagaEvent::AttemptAsked(e) => live.open(&e.node, e.direction) == Some(place),
                _ => false,
            })
        };
        self.queue.retain(|ask| ask.saga != saga);
        for admitted in self.admitted.iter_mut().filter(|ask| ask.saga == saga) {
            admitted.gate = gate;
        }
        self.admission.retain(|ask| ask.saga != saga);
        let mut kept_back = Vec::new();
        for (node, spec, step) in live.state.steps() {
            for direction in Direction::ALL {
                let Some(open) = step.attempts(direction).open else {
                    continue;
                };
                let place = (node, direction, open.number);
                let is_out = live.published.iter().any(|it| it.place == place);
                if !is_out
                    && !is_new(place)
                    && !is_too_late(&live.state, direction)
                    && live.state.awaits(spec, step, direction)
                {
                    kept_back.push(place);
                }
            }
        }
        for (node, direction, attempt) in kept_back.iter().copied() {
            self.queue.push_back(Ask {
                gate,
                saga: saga.clone(),
                node,
                direction,
                attempt,
                was_kept_back: true,
            });
        }
        // Its time stands still until it leaves.
        live.waiting = kept_back;
    }

    /// Gives back the places of what is not awaited any more.
    fn settle(&mut self, live: &mut Live, events: &[SagaEvent], now: Time, rules: &Rules) {
        let state = &live.state;
        live.published.retain(|published| {
            let (node, direction, attempt) = published.place;
            if is_awaited(state, node, direction, attempt) && !was_accepted(state, node, direction)
            {
                return true;
            }
            self.unanswered -= 1;
            let how = ended(state, published.place, events);
            if how != Ended::Badly || !mutant!(rules, FailureKeepsItsPermit) {
                self.admission.ended(published.permit, how, now);
            }
            false
        });
        if live.waiting.is_empty() {
            return;
        }
        let before = live.waiting.len();
        live.waiting.retain(|(node, direction, attempt)| {
            is_awaited(state, *node, *direction, *attempt)
                && !was_accepted(state, *node, *direction)
                && !is_too_late(state, *direction)
        });
        self.stale += before - live.waiting.len();
    }

    /// Queues what the participants of a turned saga are told: nobody waits for long for what they
    /// have under way.
    fn withdraw(&mut self, state: &SagaState, gate: Position) {
        for (node, spec, step) in state.steps() {
            let Some(open) = step.action.open else {
                continue;
            };
            let node = state.graph().node(node).id.clone();
            let withdrawal = Withdrawal {
                saga: state.id().clone(),
                action_key: IdempotencyKey::of(state.id(), &node, Direction::Action),
                node,
                step: spec.name.clone(),
                attempt: open.number,
            };
            self.withdrawals.push_back((gate, withdrawal));
        }
    }

    /// The next withdrawal whose turn is durable (I5).
    pub(super) fn poll_withdrawal(&mut self, durable: Position) -> Option<Withdrawal> {
        let is_durable = |(gate, _): &mut (Position, Withdrawal)| *gate <= durable;
        let (_, withdrawal) = self.withdrawals.pop_front_if(is_durable)?;
        Some(withdrawal)
    }

    /// The next request for missing numbers that is durable (I5).
    pub(super) fn poll_missing(&mut self, durable: Position) -> Option<Missing> {
        let is_durable = |(gate, _): &mut (Position, Missing)| *gate <= durable;
        let (_, missing) = self.missing.pop_front_if(is_durable)?;
        Some(missing)
    }

    /// Queues what a folded state says that producers were asked for and have not sent.
    fn ask_for_missing(&mut self, state: &SagaState, gate: Position, now: Time) {
        for (_, producer) in state.sequences().producers() {
            let Some((gap, missing)) = producer.gap.zip(producer.missing()) else {
                continue;
            };
            if gap.asked > 0 && gap.until.is_some_and(|until| until > now) {
                let (from, to) = missing.into_inner();
                let missing = Missing {
                    saga: state.id().clone(),
                    producer: producer.name.clone(),
                    from,
                    to,
                };
                self.missing.push_back((gate, missing));
            }
        }
    }

    /// Queues what a folded state says is asked and unanswered. What is overdue already is left to
    /// its timer, which renews it or gives it up.
    pub(super) fn again(&mut self, live: &Live, gate: Position, now: Time) {
        for (node, spec, step) in live.state.steps() {
            for direction in Direction::ALL {
                if let Some(open) = step.attempts(direction).open
                    && (open.deadline > now || open.delayed)
                    && !(open.delayed && is_too_late(&live.state, direction))
                    && live.state.awaits(spec, step, direction)
                {
                    let saga = live.state.id().clone();
                    self.queue.push_back(Ask {
                        gate,
                        saga,
                        node,
                        direction,
                        attempt: open.number,
                        was_kept_back: false,
                    });
                }
            }
        }
        self.ask_for_missing(&live.state, gate, now);
        if live.state.turn().is_some() {
            self.withdraw(&live.state, gate);
        }
    }

    /// The next command; those that a later event has superseded are dropped (I6). What waits for its
    /// participant goes first, if anything `may_be_recorded` now: it may need its time anew.
    pub(super) fn poll(
        &mut self,
        sagas: &mut BTreeMap<SagaId, Box<Live>>,
        durable: Position,
        rules: &Rules,
        now: Time,
        may_be_recorded: bool,
    ) -> Option<Next> {
        #[cfg(feature = "mutants")]
        if mutant!(rules, HeldSagaStopsItsNeighbours)
            && sagas.values().any(|live| !live.state.held().is_empty())
        {
            return None;
        }
        let is_durable =
            |ask: &mut Ask| ask.gate <= durable || mutant!(rules, LeavesBeforeItIsAdmitted);
        while let Some(ask) = self.admitted.pop_front_if(is_durable) {
            let Some(live) = sagas.get_mut(&ask.saga) else {
                continue;
            };
            if live.state.pause().is_some() {
                self.take_back(live, ask.place(), now);
                continue;
            }
            if let Some(command) = asked(live, &ask) {
                return Some(Next::Publish(command));
            }
        }
        let clock = if mutant!(rules, BreakerNeverTries) {
            Time::default()
        } else {
            now
        };
        if self.admission.waiting() > 0 {
            self.admission.tick(clock);
            self.forget_stale(sagas);
        }
        while self.unanswered < rules.window {
            let next = may_be_recorded
                .then(|| self.admission.next(clock))
                .flatten();
            if let Some((permit, ask)) = next {
                if let Some(next) = self.leave(ask, permit, sagas, now) {
                    return Some(next);
                }
                continue;
            }
            let ask = self.queue.pop_front_if(|ask| ask.gate <= durable)?;
            let Some(live) = sagas.get_mut(&ask.saga) else {
                continue;
            };
            // What is accepted needs not be asked, and a command says no deadline that is not durable.
            let Some(command) = asked(live, &ask) else {
                continue;
            };
            let place = ask.place();
            if live.is_kept_back(place) && !mutant!(rules, PauseKeepsNothingBack) {
                continue;
            }
            if !live.published.iter().any(|it| it.place == place) {
                let (name, class) = (participant(&command.step), Class::of(ask.direction));
                let delayed = live.is_delayed(place) || ask.was_kept_back;
                let permit = (!delayed)
                    .then(|| self.admission.admit(name, class, clock))
                    .flatten();
                let Some(permit) = permit else {
                    if !is_too_late(&live.state, ask.direction) {
                        if !live.waiting.contains(&place) {
                            live.waiting.push(place);
                        }
                        if !mutant!(rules, DropsWhatIsNotAdmitted) {
                            self.admission.wait(name, class, ask);
                        }
                    }
                    continue;
                };
                live.published.push(Published { place, permit });
                self.unanswered += 1;
            }
            return Some(Next::Publish(command));
        }
        None
    }

    /// What waited leaves: at once, if most of its time is left.
    fn leave(
        &mut self,
        ask: Ask,
        permit: Permit,
        sagas: &mut BTreeMap<SagaId, Box<Live>>,
        now: Time,
    ) -> Option<Next> {
        let place = ask.place();
        let live = sagas.get_mut(&ask.saga);
        let Some(live) = live.filter(|live| live.waiting.contains(&place)) else {
            self.stale = self.stale.saturating_sub(1);
            self.admission.ended(permit, Ended::Unsaid, now);
            return None;
        };
        live.waiting.retain(|waiting| *waiting != place);
        if live.is_kept_back(place) {
            self.admission.ended(permit, Ended::Unsaid, now);
            return None;
        }
        let Some(command) = asked(live, &ask) else {
            self.admission.ended(permit, Ended::Unsaid, now);
            return None;
        };
        live.published.push(Published { place, permit });
        self.unanswered += 1;
        let fresh = fresh_deadline(&live.state, ask.node, ask.direction, now);
        if live.is_delayed(place) || fresh.since(now) > command.deadline.since(now) * 2 {
            Some(Next::Admit(ask))
        } else {
            Some(Next::Publish(command))
        }
    }

    /// What was to leave does not, as its saga is paused.
    fn take_back(&mut self, live: &mut Live, place: Place, now: Time) {
        let published = live.published.iter().position(|it| it.place == place);
        if let Some(at) = published {
            let Published { permit, .. } = live.published.remove(at);
            self.unanswered -= 1;
            self.admission.ended(permit, Ended::Unsaid, now);
        }
    }

    /// What was [admitted](Next::Admit) leaves when that is durable.
    pub(super) fn admitted(&mut self, ask: Ask, gate: Position) {
        self.admitted.push_back(Ask { gate, ..ask });
    }

    /// Whether an attempt leaves when it is durable that it has its whole time again.
    pub(super) fn is_admitted(&self, saga: &SagaId, place: Place) -> bool {
        let mut admitted = self.admitted.iter();
        admitted.any(|ask| ask.place() == place && ask.saga == *saga)
    }

    /// What is not waited for any more is forgotten before it is most of what waits.
    fn forget_stale(&mut self, sagas: &BTreeMap<SagaId, Box<Live>>) {
        if self.stale > STALE_MIN && self.stale * 2 > self.admission.waiting() {
            self.stale = 0;
            self.admission.retain(|ask| {
                let live = sagas.get(&ask.saga);
                live.is_some_and(|live| live.waiting.contains(&ask.place()))
            });
        }
    }
}

/// So many that are not waited for are left among those that are.
const STALE_MIN: usize = 64;

#[cfg(feature = "mutants")]
impl Asks {
    pub(super) fn reverse(&mut self) {
        self.queue.make_contiguous().reverse();
    }

    pub(super) fn retain(&mut self, keep: impl Fn(Direction) -> bool) {
        self.queue.retain(|ask| keep(ask.direction));
    }
}

/// The command of what is asked and awaited, and not accepted yet.
fn asked(live: &Live, ask: &Ask) -> Option<Command> {
    let state = &live.state;
    let is_asked = is_awaited(state, ask.node, ask.direction, ask.attempt)
        && !was_accepted(state, ask.node, ask.direction);
    is_asked
        .then(|| command(state, ask.node, ask.direction, ask.attempt))
        .flatten()
}

/// What the events say about the participant of an attempt that is not awaited any more.
fn ended(state: &SagaState, place: Place, events: &[SagaEvent]) -> Ended {
    use SagaEvent as E;
    let (index, direction, attempt) = place;
    let id = &state.graph().node(index).id;
    let of_it = |event: &E| {
        let (node, of, number, how) = match event {
            E::AttemptSucceeded(e) => (&e.node, e.direction, e.attempt, Ended::Well),
            E::AttemptFailed(e) if e.class == FailureClass::Permanent => {
                (&e.node, e.direction, e.attempt, Ended::Well)
            }
            E::AttemptFailed(e) => (&e.node, e.direction, e.attempt, Ended::Badly),
            E::AttemptUnknown(e) => (&e.node, e.direction, e.attempt, Ended::Badly),
            E::AttemptTimedOut(e) => (&e.node, e.direction, e.attempt, Ended::Badly),
            E::ActionNotFound(e) => (&e.node, Direction::Probe, e.attempt, Ended::Well),
            E::AttemptExtended(e) => (&e.node, Direction::Action, e.attempt, Ended::Well),
            _ => return None,
        };
        (node == id && of == direction && number == attempt).then_some(how)
    };
    events.iter().find_map(of_it).unwrap_or(Ended::Unsaid)
}

/// No action that waits is asked after the turn (I10): its deadline comes, and settles it.
fn is_too_late(state: &SagaState, direction: Direction) -> bool {
    direction == Direction::Action && state.turn().is_some()
}

/// Whether the open attempt is kept alive by its participant: then it has no place in the window,
/// where what takes long would keep others from being asked.
fn was_accepted(state: &SagaState, node: NodeIndex, direction: Direction) -> bool {
    let step = state.step(node);
    step.is_some_and(|(_, step)| step.attempts(direction).heard.is_some())
}

/// Whether an attempt is unanswered, and its answer still matters.
fn is_awaited(
    state: &SagaState,
    node: NodeIndex,
    direction: Direction,
    attempt: AttemptNumber,
) -> bool {
    !state.status().is_terminal()
        && state.step(node).is_some_and(|(spec, step)| {
            step.attempts(direction).is_open(attempt) && state.awaits(spec, step, direction)
        })
        && !state.is_answered(node, direction, attempt)
}
