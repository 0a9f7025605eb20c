//! The partition machine: one input at a time, everything gated by what is durable. No I/O.
//!
//! Whoever drives it does this, and nothing else:
//!
//! - **in**: [`Partition::handle`] what came in for sagas; [`Partition::bury`], [`Partition::handle_letter`] and
//!   [`Partition::letter_sent`] what there is about dead letters; [`Partition::handle_breaker`] what people want of
//!   breakers; [`Partition::found`] what a look-up found;
//!   [`Partition::committed`] how far the log is durable; [`Partition::fire_timers`] when
//!   [`Partition::next_timer`] has come; [`Partition::inbox_is_empty`] once after taking over;
//! - **out**, in this order after every input: [`Partition::poll_effect`] until there is none,
//!   [`Partition::poll_look_up`], and, while no append is under way, [`Partition::poll_append`].
//!
//! The machine applies its own batches at once and goes on; whatever can be seen outside (a command,
//! an acknowledgement, an answer, a state) waits until its position is durable (I5, I8). After an
//! append whose outcome is unknown the driver drops the machine, takes the partition over anew with
//! [`Partition::take_over`], and feeds again every input that was not answered: one operation for
//! start, take-over and recovery.

mod answer;
mod appending;
mod asking;
mod bounds;
mod breakers;
mod held;
mod letters;
mod live;
mod registry;
mod start;
mod take_over;
mod timing;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    vec::Vec,
};

use sagalog_model::{
    Direction, Numbered, Payload, Reply, SagaId,
    log::{Position, StreamKey, Time},
    system::LateSuccess,
};
use sagalog_projections::SagaState;

pub use answer::{Answer, Effect, Ticket};
pub use appending::system_batch;
pub use breakers::{BreakerRequest, BreakerWish};
pub use letters::{LetterRequest, LetterWish, Resend};
pub use live::{BadHistory, Found, History, Unreadable};
pub use registry::{DefinitionChanged, Registry, UnknownDefinition};
pub use take_over::{CannotTakeOver, SystemHead, SystemHeads, Taken};

use self::{
    appending::Appending, asking::Asks, breakers::OpenHere, held::HeldHere, letters::Letters,
    live::Live, timing::Timing,
};
use crate::{
    admission::Load,
    decide::{Context, Refusal, decide},
    evaluate::Evaluate,
    input::{Request, SagaInput},
    rules::Rules,
};

/// Something the machine is told, with the ticket under which it answers.
#[derive(Clone, Debug)]
pub struct Input {
    /// Names the input in its answer.
    pub ticket: Ticket,
    /// The saga it is for.
    pub saga: SagaId,
    /// What it is.
    pub what: Query,
}

/// What a saga can be told or asked.
#[derive(Clone, Debug)]
pub enum Query {
    /// Begin; answered once that is durable. The same start twice is one start.
    Start {
        /// The name of the saga's definition; its newest version is used.
        definition: Arc<str>,
        /// The input.
        input: Payload,
    },
    /// A participant answered.
    Reply(Reply),
    /// Somebody sent a signal.
    Signal {
        /// Its name.
        signal: Arc<str>,
        /// The sender's id for it.
        id: Arc<str>,
        /// Until when it may come again, if its sender says so.
        until: Option<Time>,
        /// What it carries.
        payload: Payload,
    },
    /// Somebody sent a signal that it numbers.
    Numbered(Numbered),
    /// A person wants something.
    Request(Request),
    /// What is its state? Answered once all of it is durable.
    State,
    /// How does it end? Answered when it has.
    End,
}

/// A query that tells a saga nothing.
pub(crate) enum Untold {
    Start {
        definition: Arc<str>,
        input: Payload,
    },
    State,
    End,
}

impl Query {
    /// What it tells a saga, if it does.
    pub(crate) fn told(self) -> Result<SagaInput, Untold> {
        Ok(match self {
            Self::Start { definition, input } => return Err(Untold::Start { definition, input }),
            Self::State => return Err(Untold::State),
            Self::End => return Err(Untold::End),
            Self::Reply(reply) => SagaInput::Reply(reply),
            Self::Signal {
                signal,
                id,
                until,
                payload,
            } => SagaInput::Signal {
                signal,
                id,
                until,
                payload,
            },
            Self::Numbered(numbered) => SagaInput::Numbered(numbered),
            Self::Request(request) => SagaInput::Request(request),
        })
    }
}

/// The machine of one partition. See the module's text for how it is driven.
#[derive(Clone)]
pub struct Partition<E> {
    rules: Rules,
    registry: Arc<Registry>,
    evaluate: E,
    /// Boxed, for a node of the map has room for eleven.
    sagas: BTreeMap<SagaId, Box<Live>>,
    /// Sagas that have ended in batches that are not durable yet: until then they answer from here.
    ending: VecDeque<(Position, SagaId)>,
    /// Inputs for sagas that are not here, until a look-up has settled whether they exist.
    absent: BTreeMap<SagaId, Vec<Input>>,
    to_look_up: Vec<SagaId>,
    appending: Appending,
    answers: VecDeque<(Position, Effect)>,
    asks: Asks,
    timing: Timing,
    waiters: usize,
    late: BTreeSet<LateSuccess>,
    late_head: SystemHead,
    letters: Letters,
    held: HeldHere,
    open: OpenHere,
}

impl<E: Evaluate> Partition<E> {
    /// Takes one input. Its answer comes out of [`Self::poll_effect`] when it may be seen.
    pub fn handle(&mut self, input: Input, now: Time) {
        if let Some(waiting) = self.absent.get_mut(&input.saga) {
            // Inputs of one saga keep their order while it is looked up.
            waiting.push(input);
        } else if self.sagas.contains_key(&input.saga) {
            self.handle_here(input, now);
        } else if self.held.has(&input.saga) {
            self.handle_held(input, now);
        } else {
            self.to_look_up.push(input.saga.clone());
            self.absent.insert(input.saga.clone(), alloc::vec![input]);
        }
    }

    /// The sagas that must be looked up in the log. Each is asked for once; answer with
    /// [`Self::found`].
    pub fn poll_look_up(&mut self) -> Vec<SagaId> {
        core::mem::take(&mut self.to_look_up)
    }

    /// Whether anything must be looked up.
    pub fn wants_look_up(&self) -> bool {
        !self.to_look_up.is_empty()
    }

    /// Takes what a look-up found, and handles the inputs that waited for it.
    pub fn found(&mut self, saga: &SagaId, found: Found, now: Time) {
        let inputs = self.absent.remove(saga).unwrap_or_default();
        let loaded = match found {
            Found::Nothing => None,
            Found::History(_) if mutant!(self.rules, KnowsOnlyWhatIsInMemory) => None,
            Found::History(history) => Some(Live::fold(saga, history, &self.registry)),
            Found::Unreadable(Unreadable { why, .. }) => Some(Err(Refusal::BadHistory { why })),
        };
        if self.held.has(saga) {
            let nothing = || Err(Refusal::NoSuchSaga { saga: saga.clone() });
            return self.found_held(saga, loaded.unwrap_or_else(nothing), inputs, now);
        }
        let loaded = match loaded.transpose() {
            Ok(loaded) => loaded,
            Err(refusal) => {
                for input in inputs {
                    self.refuse(input.ticket, refusal.clone());
                }
                return;
            }
        };
        if let Some(live) = loaded {
            let ended = live.state.status().is_terminal();
            self.sagas.insert(saga.clone(), Box::new(live));
            for input in inputs {
                self.handle_here(input, now);
            }
            if ended && !mutant!(self.rules, KeepsWhatWasLookedUp) {
                self.sagas.remove(saga);
            }
            return;
        }
        for input in inputs {
            if self.sagas.contains_key(&input.saga) {
                self.handle_here(input, now);
            } else if let Query::Start {
                definition,
                input: payload,
            } = input.what
            {
                self.start(input.ticket, input.saga, &definition, payload, now);
            } else {
                self.refuse(input.ticket, Refusal::NoSuchSaga { saga: input.saga });
            }
        }
    }

    fn handle_here(&mut self, input: Input, now: Time) {
        let Input { ticket, saga, what } = input;
        let told = match what.told() {
            Ok(told) => told,
            Err(Untold::Start { definition, input }) => {
                return self.start_again(ticket, &saga, &definition, &input);
            }
            Err(Untold::State) => return self.answer_state(ticket, &saga),
            Err(Untold::End) => return self.answer_end(ticket, &saga),
        };
        let told = self
            .rules
            .within_bounds(&told)
            .and_then(|()| self.tell(&saga, &told, now));
        match told {
            Ok(()) => self.answer(ticket, Answer::Recorded),
            Err(refusal) => self.refuse(ticket, refusal),
        }
    }

    /// Decides an input of a saga that is here, and takes the batch.
    fn tell(&mut self, saga: &SagaId, told: &SagaInput, now: Time) -> Result<(), Refusal> {
        let clock = now;
        let now = if mutant!(self.rules, FollowsTheClockBack) {
            clock
        } else {
            self.appending.monotone(clock)
        };
        if let SagaInput::Reply(reply) = told
            && !mutant!(self.rules, ForgetsContradictions)
        {
            self.note_late(self.sagas[saga].contradicts(reply), now);
        }
        let live = self
            .sagas
            .get_mut(saga)
            .expect("the caller has looked that it is here");
        let Some(definition) = live.definition.clone() else {
            // Ended, and of a definition that the program no longer has.
            return match told {
                SagaInput::Reply(_) => Ok(()),
                _ => Err(live.ended()),
            };
        };
        let context = Context {
            definition: &definition,
            evaluate: &self.evaluate,
            rules: &self.rules,
            now: if mutant!(self.rules, DecidesWithTheClock) {
                clock
            } else {
                now
            },
        };
        #[cfg(feature = "mutants")]
        let before = mutant!(self.rules, LosesTheWakeUp).then(|| live.state.clone());
        let events = decide(&mut live.state, told, context)?;
        #[cfg(feature = "mutants")]
        let events = match (before, told) {
            (Some(before), SagaInput::Reply(_))
                if self.appending.answers_under_way.contains(&live.key) =>
            {
                let states = (before, &mut live.state);
                crate::mutants::without_what_follows(states, events, now)
            }
            _ => events,
        };
        if !events.is_empty() {
            self.take_batch(saga, &events, told.identity(), now);
        } else if mutant!(self.rules, DuplicateAsksAgain) {
            self.asks.again(live, self.appending.tail(), now);
        }
        Ok(())
    }

    /// Takes what was decided for a saga: to the log, and into what follows from its new state.
    fn take_batch(
        &mut self,
        saga: &SagaId,
        events: &[sagalog_model::SagaEvent],
        identity: crate::input::Identity,
        now: Time,
    ) {
        let live = self
            .sagas
            .get_mut(saga)
            .expect("what was just decided is here");
        let position = self.appending.push_saga(live, events, identity, now);
        #[cfg(feature = "mutants")]
        if let Some(batch) = self.appending.newest() {
            batch.state = crate::mutants::stream_state(&self.rules, &live.state, batch.state);
        }
        #[cfg(feature = "mutants")]
        let position =
            crate::mutants::gate(&self.rules, events, self.appending.durable(), position);
        self.asks.after(live, events, position, now, &self.rules);
        self.timing.rearm(saga, live);
        #[cfg(feature = "mutants")]
        if mutant!(self.rules, TimeoutDisarmsTheOthers) && crate::mutants::is_timeout(events) {
            self.timing.disarm(saga, live);
        }
        #[cfg(feature = "mutants")]
        if mutant!(self.rules, PublishesInReverse) {
            self.asks.reverse();
        }
        if live.state.status().is_terminal() {
            self.ending.push_back((position, saga.clone()));
            self.answer_waiters(saga);
        }
    }

    /// The log is durable up to here: what waited for it may be seen, what has ended is forgotten.
    pub fn committed(&mut self, through: Position) {
        let through = if mutant!(self.rules, TakesTheTailForDurable) {
            self.appending.tail()
        } else {
            through
        };
        self.appending.committed(through);
        while let Some((_, saga)) = self
            .ending
            .pop_front_if(|(position, _)| *position <= through)
        {
            if mutant!(self.rules, KeepsWhatHasEnded) {
                continue;
            }
            self.sagas.remove(&saga);
        }
    }

    /// The last position that it has given out: whoever finds more in the log is not its owner any more.
    pub fn tail(&self) -> Position {
        self.appending.tail()
    }

    /// How many commands were published and not answered, and how many may be.
    pub const fn window(&self) -> (usize, usize) {
        (self.asks.unanswered(), self.rules.window)
    }

    /// How many sagas are under way.
    pub fn live(&self) -> usize {
        self.sagas.len() - self.ending.len() + self.held.len()
    }

    /// The state of a saga that is here, with what is not durable yet: for checks, not for answers.
    pub fn peek(&self, saga: &SagaId) -> Option<&SagaState> {
        self.sagas.get(saga).map(|live| &live.state)
    }

    /// How it stands with the participants that it has asked, by name.
    pub fn loads(&self) -> impl Iterator<Item = Load> {
        self.asks.admission().loads()
    }

    /// Whether the open attempt of a saga waits to be admitted, or for what says that it was.
    pub fn waits_to_be_admitted(&self, saga: &SagaId, node: &str, direction: Direction) -> bool {
        let live = self.sagas.get(saga);
        live.is_some_and(|live| {
            let open = live.open(node, direction);
            open.is_some_and(|place| {
                live.waiting.contains(&place) || self.asks.is_admitted(saga, place)
            })
        })
    }

    /// The sagas that are here.
    pub fn sagas(&self) -> impl Iterator<Item = (&SagaId, &SagaState, StreamKey)> {
        self.sagas
            .iter()
            .map(|(id, live)| (id, &live.state, live.key))
    }
}
