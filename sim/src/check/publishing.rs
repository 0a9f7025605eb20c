//! I6, I7, I14: what is asked is published, once for each ownership, in the order of the log.

use std::sync::Arc;

use sagalog_engine::admission::Class;
use sagalog_model::{
    AttemptNumber, Command, Direction, SagaId, event::AttemptAsked, graph::participant, log::Time,
};

/// What the first append of an owner may take.
const FIRST_APPEND: std::time::Duration = std::time::Duration::from_millis(200);

/// What was asked and what was published under the ownership of now.
#[derive(Clone, Default)]
pub(super) struct Publishing {
    owned_since: Time,
    /// When sagas that were held were driven again.
    driven_since: Vec<(SagaId, Time)>,
    asked: Vec<Place>,
    /// With the deadlines that the commands say: a renewed attempt has another.
    published: Vec<(Time, Place)>,
    /// To whom, if somebody looks at that.
    addressees: Vec<(Addressee, Place)>,
}

/// To whom a command goes, and how.
#[derive(Clone)]
pub(super) struct Addressee {
    pub(super) participant: Arc<str>,
    pub(super) class: Class,
    /// Whether the participant's breaker was half-open.
    pub(super) is_trial: bool,
}

impl Addressee {
    pub(super) fn of(command: &Command) -> Self {
        Self {
            participant: participant(&command.step).into(),
            class: Class::of(command.direction),
            is_trial: false,
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    // What is compared fastest comes first.
    attempt: u32,
    pub(super) direction: Direction,
    pub(super) node: Arc<str>,
    pub(super) saga: SagaId,
}

impl Place {
    fn of(command: &Command) -> Self {
        Self {
            saga: command.saga.clone(),
            node: command.node.clone(),
            direction: command.direction,
            attempt: command.attempt.0,
        }
    }

    pub(super) const fn number(&self) -> AttemptNumber {
        AttemptNumber(self.attempt)
    }
}

impl Publishing {
    /// After a take-over whatever is unanswered is published again, in an order of its own.
    pub(super) fn owned_anew(&mut self, now: Time) {
        self.owned_since = now;
        self.driven_since.clear();
        self.asked.clear();
        self.published.clear();
        self.addressees.clear();
    }

    /// To whom the command goes that is being published.
    pub(super) fn goes(&mut self, addressee: Addressee, command: &Command) {
        self.addressees.push((addressee, Place::of(command)));
    }

    /// What was published, and to whom.
    pub(super) fn addressees(&self) -> &[(Addressee, Place)] {
        &self.addressees
    }

    /// A saga that was held is driven again.
    pub(super) fn driven_again(&mut self, saga: &SagaId, at: Time) {
        self.driven_since.push((saga.clone(), at));
    }

    /// An attempt was asked in the log.
    pub(super) fn asked(&mut self, saga: &SagaId, event: &AttemptAsked) {
        self.asked.push(Place {
            saga: saga.clone(),
            node: event.node.clone(),
            direction: event.direction,
            attempt: event.attempt.0,
        });
    }

    /// A command is published. `is_open` says whether an earlier one still waits for its answer, and
    /// not to be admitted to its participant.
    pub(super) fn published(
        &mut self,
        command: &Command,
        is_open: impl Fn(&str, Direction, u32) -> bool,
    ) -> Result<(), (&'static str, String)> {
        let place = Place::of(command);
        let of = || format!("the {} of {}", command.direction, command.node);
        let published = (command.deadline, place);
        if self.published.contains(&published) {
            return Err(("I7", format!("{} was published twice by one owner", of())));
        }
        let place = &published.1;
        if let Some(at) = self.asked.iter().position(|asked| asked == place) {
            let overtakes = |earlier: &&Place| {
                earlier.saga == place.saga
                    && is_open(&earlier.node, earlier.direction, earlier.attempt)
            };
            if let Some(earlier) = self.asked[..at].iter().find(overtakes) {
                let earlier = &earlier.node;
                return Err((
                    "I14",
                    format!(
                        "{} was published before {earlier}, which was asked earlier",
                        of()
                    ),
                ));
            }
            self.asked.remove(at);
        }
        self.published.push(published);
        Ok(())
    }

    /// Whether an attempt with this deadline was published, or was over when this owner came.
    pub(super) fn is_accounted_for(
        &self,
        saga: &SagaId,
        node: &str,
        direction: Direction,
        attempt: u32,
        deadline: Time,
    ) -> bool {
        let this = |place: &Place| {
            place.saga == *saga
                && *place.node == *node
                && place.direction == direction
                && place.attempt == attempt
        };
        // An owner asks nothing again before its first append is durable.
        deadline <= self.driven_since(saga).after(FIRST_APPEND)
            || self.published.iter().any(|(_, place)| this(place))
    }

    fn driven_since(&self, saga: &SagaId) -> Time {
        let mut again = self.driven_since.iter().rev();
        let again = again.find(|(of, _)| of == saga);
        again.map_or(self.owned_since, |(_, at)| *at)
    }
}
