//! I5, I6, I7, I8: a dead letter is recorded once before it leaves its queue, and is sent again once for each
//! time that somebody wants it, when that is durable.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sagalog_engine::{LetterRequest, LetterWish, Resend};
use sagalog_model::{
    dead_letter::{LetterEvent, LetterId},
    log::{PartitionId, Time, Version},
};
use sagalog_projections::{DeadLetters, dead_letters::Phase};

use super::{Broken, Violation};
use crate::world::{Dead, Ownership, World};

/// A letter, and how often it had been sent again.
type Copy = (LetterId, u32);

/// What is durable of the dead letters of a partition, folded apart from the node's own state.
#[derive(Clone, Default)]
pub(super) struct Letters {
    fold: DeadLetters,
    died: BTreeSet<Copy>,
    /// Who wanted one sent again, and whether that letter has been there since.
    requests: BTreeMap<Arc<str>, (LetterId, bool)>,
    /// By the owner of now.
    sent_again: BTreeSet<Copy>,
}

impl Letters {
    /// After a take-over what is not on record as sent is sent once more.
    pub(super) fn owned_anew(&mut self) {
        self.sent_again.clear();
    }

    /// Where it is with each.
    pub(super) fn phases(&self) -> impl Iterator<Item = (Phase, u32)> {
        self.fold
            .iter()
            .map(|letter| (letter.phase, letter.retries))
    }

    /// Adds a durable event.
    pub(super) fn recorded(
        &mut self,
        event: &LetterEvent,
        place: Version,
        at: Time,
        is_with_the_broker: impl Fn(Copy) -> bool,
    ) -> Result<(), Broken> {
        let phase = |letter| self.fold.get(letter).map(|letter| letter.phase);
        match event {
            LetterEvent::Died(event, _) => {
                let copy = (event.letter.id, event.letter.retries);
                if self.fold.get(copy.0).is_some() && self.died.contains(&copy) {
                    return Err(("I2", "a dead letter is recorded twice".into()));
                }
                self.died.insert(copy);
            }
            LetterEvent::Retried(event, _) => {
                let known = self.fold.get(event.letter);
                let retry = known.map(|known| known.retries + 1);
                if retry != Some(event.retry) || phase(event.letter) == Some(Phase::Sending) {
                    let what = format!("retry {} of a dead letter follows on none", event.retry);
                    return Err(("I2", what));
                }
                let request = (event.letter, true);
                if self.requests.insert(event.id.clone(), request) == Some(request) {
                    return Err(("I7", format!("{} is recorded twice", event.id)));
                }
            }
            LetterEvent::Sent(event) => {
                if phase(event.letter) != Some(Phase::Sending) {
                    return Err(("I2", "a dead letter is sent that nobody wants sent".into()));
                }
                if !is_with_the_broker((event.letter, event.retry)) {
                    let what =
                        "a dead letter is on record as sent, and the broker does not have it";
                    return Err(("I6", what.into()));
                }
            }
            LetterEvent::Purged(event) => match phase(event.letter) {
                // What is given up is forgotten: a copy that comes again is another letter.
                Some(Phase::Waiting | Phase::Sent) => {
                    self.sent_again
                        .retain(|(letter, _)| *letter != event.letter);
                    let requests = self.requests.values_mut();
                    for (_, there) in requests.filter(|(letter, _)| *letter == event.letter) {
                        *there = false;
                    }
                }
                Some(Phase::Sending) => {
                    return Err(("I6", "a dead letter is given up that is to be sent".into()));
                }
                None => return Err(("I2", "a dead letter is given up that is not there".into())),
            },
        }
        self.fold.apply(event, place, at);
        Ok(())
    }

    /// An owner publishes one.
    pub(super) fn sent_again(&mut self, resend: &Resend) -> Result<(), Broken> {
        let copy = (resend.letter.id, resend.retry);
        let letter = self.fold.get(copy.0);
        let letter = letter.filter(|letter| letter.retries == resend.retry);
        match letter.map(|letter| (letter.phase, letter.body.text())) {
            Some((Phase::Sending, Some(body))) if *body == resend.body => {}
            Some((Phase::Sending, _)) => {
                return Err(("I19", "a dead letter is sent with another body".into()));
            }
            Some((Phase::Sent, _)) => {
                return Err(("I7", "a dead letter is sent that was sent".into()));
            }
            Some((Phase::Waiting, _)) | None => {
                return Err(("I5", "a dead letter is sent before that is durable".into()));
            }
        }
        if !self.sent_again.insert(copy) {
            return Err(("I7", "a dead letter is sent twice by one owner".into()));
        }
        Ok(())
    }
}

/// I8: after that nobody will bring the message again.
pub(super) fn is_on_record(
    world: &World,
    partition: PartitionId,
    dead: &Dead,
) -> Result<(), Violation> {
    let copy = (dead.letter.id, dead.letter.retries);
    let letters = world.shadow().letters(partition);
    if letters.is_some_and(|letters| letters.died.contains(&copy)) {
        return Ok(());
    }
    let saga = world.saga_of_letter(copy.0);
    let what = "a dead letter left its queue, and is not on record".into();
    Err(Violation::of("I8", world, saga, what))
}

/// I8: whoever looks after a letter is told of what is durable.
pub(super) fn is_durable(world: &World, partition: PartitionId, request: &LetterRequest) -> bool {
    let letters = world.shadow().letters(partition);
    letters.is_some_and(|letters| match request.wish {
        LetterWish::Retry { .. } => letters.requests.contains_key(&request.id),
        LetterWish::Purge { .. } => letters.fold.get(request.letter).is_none(),
    })
}

/// I3: who has taken over has the letters that the log adds up to.
pub(super) fn are_recovered_whole(world: &World, of: Ownership) -> Result<(), Violation> {
    let Some(owner) = world.owner(of) else {
        return Ok(());
    };
    let nothing = DeadLetters::default();
    let letters = world.shadow().letters(of.partition);
    let folded = letters.map_or(&nothing, |letters| &letters.fold);
    if owner.machine().dead_letters() == folded {
        return Ok(());
    }
    Err(Violation {
        invariant: "I3",
        saga: None,
        what: "the dead letters that were recovered are not those of the log".into(),
        at: world.now(),
    })
}

/// I6, I18: nobody looks after a letter for ever.
pub(super) fn none_is_left(world: &World, partition: PartitionId) -> Result<(), Broken> {
    let letters = world.shadow().letters(partition);
    let Some(left) = letters.and_then(|letters| letters.fold.iter().next()) else {
        return Ok(());
    };
    match left.phase {
        Phase::Sending => Err(("I6", "a dead letter was never sent again".into())),
        Phase::Waiting | Phase::Sent => Err(("I18", "a dead letter is kept for ever".into())),
    }
}
