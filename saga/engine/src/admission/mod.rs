//! What leaves a partition for a participant is admitted first: by the participant's bulkhead, which
//! bounds what is under way there, and by its breaker, which leaves it alone while it fails.
//!
//! Both are of one partition and of this ownership: nothing of them is in the log, but the breakers that people
//! open. They only decide when a
//! command leaves that the log authorises. A command that is not admitted waits in order, for as long as
//! it takes.

pub mod breaker;
pub mod bulkhead;
mod policy;

use alloc::{sync::Arc, vec::Vec};

use sagalog_model::{Direction, log::Time};

pub use breaker::{Breaker, BreakerPolicy, Ended, Pass, Standing};
pub use bulkhead::{Bulkhead, BulkheadPolicy};
pub use policy::{Policies, Policy};

/// What a command does, as far as its admission goes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// It begins something: an action.
    Begins,
    /// It settles what was begun: a probe, a compensation, an alternative. It has a breaker of its
    /// own, goes first, and has permits reserved for it.
    Settles,
}

impl Class {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Begins, Self::Settles];

    /// The class of what is asked.
    pub const fn of(direction: Direction) -> Self {
        match direction {
            Direction::Action => Self::Begins,
            Direction::Probe | Direction::Compensation | Direction::Alternative => Self::Settles,
        }
    }

    /// Its name, as people see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begins => "begins",
            Self::Settles => "settles",
        }
    }
}

/// What was admitted. Its end is told with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Permit {
    participant: u32,
    class: Class,
    pass: Pass,
}

/// The participants that a partition has asked, and what waits for them.
#[derive(Clone, Debug)]
pub struct Admission<T> {
    policies: Arc<Policies>,
    participants: Vec<Participant<T>>,
    /// Their places, by name.
    by_name: Vec<u32>,
    waiting: usize,
}

#[derive(Clone, Debug)]
struct Participant<T> {
    name: Arc<str>,
    bulkhead: Bulkhead<T>,
    breakers: [Breaker; 2],
}

/// How it stands with one class of commands of a participant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Load {
    /// The participant.
    pub participant: Arc<str>,
    /// The class.
    pub class: Class,
    /// Where the breaker stands.
    pub breaker: Standing,
    /// How often the breaker opened by itself.
    pub opened: u32,
    /// How many commands are under way.
    pub under_way: u32,
    /// How many may be, of both classes.
    pub permits: u32,
    /// How many wait.
    pub waiting: usize,
}

impl<T> Admission<T> {
    /// Of a partition that has asked nobody yet.
    pub const fn new(policies: Arc<Policies>) -> Self {
        Self {
            policies,
            participants: Vec::new(),
            by_name: Vec::new(),
            waiting: 0,
        }
    }

    /// Admits a command to a participant. If it is not admitted it is given back, to
    /// [wait](Self::wait).
    pub fn admit(&mut self, participant: &str, class: Class, now: Time) -> Option<Permit> {
        let index = self.find_or_add(participant);
        if self.participants[index].bulkhead.waiting(class) > 0 {
            return None;
        }
        self.permit(index, class, now)
    }

    /// Keeps a command that was not admitted, behind those of its class.
    pub fn wait(&mut self, participant: &str, class: Class, command: T) {
        let index = self.find_or_add(participant);
        self.participants[index].bulkhead.wait(class, command);
        self.waiting += 1;
    }

    /// Admits the next command that waits: of each participant what settles first, each class in
    /// order.
    pub fn next(&mut self, now: Time) -> Option<(Permit, T)> {
        if self.waiting == 0 {
            return None;
        }
        for index in 0..self.participants.len() {
            for class in [Class::Settles, Class::Begins] {
                if self.participants[index].bulkhead.waiting(class) > 0
                    && let Some(permit) = self.permit(index, class, now)
                {
                    let next = self.participants[index].bulkhead.next(class);
                    self.waiting -= 1;
                    return Some((permit, next.expect("it was counted")));
                }
            }
        }
        None
    }

    fn permit(&mut self, index: usize, class: Class, now: Time) -> Option<Permit> {
        let participant = &mut self.participants[index];
        let breaker = &mut participant.breakers[class as usize];
        breaker.tick(now);
        if !breaker.lets_through() || !participant.bulkhead.has_room(class) {
            return None;
        }
        participant.bulkhead.take(class);
        Some(Permit {
            participant: index as u32,
            class,
            pass: breaker.pass(),
        })
    }

    /// What was admitted has ended.
    pub fn ended(&mut self, permit: Permit, how: Ended, now: Time) {
        let participant = &mut self.participants[permit.participant as usize];
        participant.bulkhead.give_back(permit.class);
        participant.breakers[permit.class as usize].ended(permit.pass, how, now);
    }

    /// Takes notice of the time.
    pub fn tick(&mut self, now: Time) {
        for participant in &mut self.participants {
            for breaker in &mut participant.breakers {
                breaker.tick(now);
            }
        }
    }

    /// When something that waits may be admitted because of the time; none if nothing waits for that.
    pub fn next_trial(&self) -> Option<Time> {
        if self.waiting == 0 {
            return None;
        }
        let opens = self.participants.iter().flat_map(|participant| {
            Class::ALL.iter().filter_map(|class| {
                match participant.breakers[*class as usize].standing() {
                    Standing::Open { until } if participant.bulkhead.waiting(*class) > 0 => {
                        Some(until)
                    }
                    _ => None,
                }
            })
        });
        opens.min()
    }

    /// How many commands wait.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Forgets what need not wait any more.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for participant in &mut self.participants {
            participant.bulkhead.retain(&mut keep);
        }
        let waiting = |it: &Participant<T>| Class::ALL.map(|class| it.bulkhead.waiting(class));
        self.waiting = self.participants.iter().flat_map(waiting).sum();
    }

    /// The first of the participants that are needed for which too much waits, and the bound.
    pub fn full(&self, is_needed: impl Fn(&str) -> bool) -> Option<(Arc<str>, usize)> {
        if self.waiting == 0 {
            return None;
        }
        self.participants.iter().find_map(|participant| {
            let max = participant.bulkhead.is_full()?;
            is_needed(&participant.name).then(|| (participant.name.clone(), max))
        })
    }

    /// A person keeps everything from a participant until [`Self::reset`].
    pub fn open(&mut self, participant: &str) {
        let index = self.find_or_add(participant);
        for breaker in &mut self.participants[index].breakers {
            breaker.open_by_hand();
        }
    }

    /// A person has a participant asked again. Whether it was ever asked.
    pub fn reset(&mut self, participant: &str) -> bool {
        let Ok(place) = self.place(participant) else {
            return false;
        };
        let index = self.by_name[place] as usize;
        for breaker in &mut self.participants[index].breakers {
            breaker.reset();
        }
        true
    }

    /// How it stands with each participant, by name.
    pub fn loads(&self) -> impl Iterator<Item = Load> {
        self.by_name.iter().flat_map(|index| {
            let participant = &self.participants[*index as usize];
            Class::ALL.map(|class| Load {
                participant: participant.name.clone(),
                class,
                breaker: participant.breakers[class as usize].standing(),
                opened: participant.breakers[class as usize].opened(),
                under_way: participant.bulkhead.under_way(class),
                permits: participant.bulkhead.permits(),
                waiting: participant.bulkhead.waiting(class),
            })
        })
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.by_name
            .binary_search_by(|index| (*self.participants[*index as usize].name).cmp(name))
    }

    fn find_or_add(&mut self, name: &str) -> usize {
        match self.place(name) {
            Ok(place) => self.by_name[place] as usize,
            Err(place) => {
                let index = self.participants.len();
                let policy = self.policies.of(name);
                self.participants.push(Participant {
                    name: name.into(),
                    bulkhead: Bulkhead::new(policy.bulkhead),
                    breakers: policy.breakers.map(Breaker::new),
                });
                self.by_name.insert(place, index as u32);
                index
            }
        }
    }
}
