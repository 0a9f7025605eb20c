//! Participants say that they are there, and are asked for.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sagalog_model::{Announcement, log::Time};
use sagalog_projections::participants::{Participants, Seen};
use serde::{Deserialize, Serialize};
use tracing::info;

use super::{Answer, Refused};

/// How often an instance says that it is there.
pub(crate) const EVERY: Duration = Duration::from_secs(5);

/// About how many bytes of names stand in one page of participants.
const PAGE_BYTES: usize = 128 * 1_024;

/// What participants say, and what is asked of them. It is for the owner of the first partition, who
/// keeps the roll.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Roll {
    /// An instance is there; said again and again.
    Announce(Announcement),
    /// An instance leaves.
    Leave {
        /// The participant.
        participant: String,
        /// The instance.
        instance: String,
    },
    /// Who is there.
    List {
        /// Only those that can do this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capability: Option<String>,
        /// Only those behind this participant and instance, in the order of their names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<(String, String)>,
    },
}

/// Some of those who are there.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RollPage {
    /// In the order of their names.
    pub participants: Vec<Seen>,
    /// Whether there are others behind the last one.
    pub more: bool,
}

/// Who is there, as far as this process was told.
pub(crate) struct RollCall {
    /// Silence is counted from here, by a clock that nobody sets.
    began: Instant,
    known: Mutex<Participants>,
}

impl RollCall {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            known: Mutex::default(),
        }
    }

    pub(crate) fn answer(&self, roll: Roll) -> Answer {
        let now = Time::from_micros(0).after(self.began.elapsed());
        // Nothing that runs under the lock leaves it half changed, so a poisoned one is still good.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match roll {
            Roll::Announce(announced) => match known.announce(announced, now) {
                Ok(()) => Answer::Done {},
                Err(bad) => {
                    info!(%bad, "an announcement is not taken");
                    Answer::Refused(Refused::new("bad_announcement", bad.to_string()))
                }
            },
            Roll::Leave {
                participant,
                instance,
            } => {
                known.leave(&participant, &instance);
                Answer::Done {}
            }
            Roll::List { capability, after } => {
                let after =
                    after.map(|(participant, instance)| (participant.into(), instance.into()));
                let seen = known.seen(capability.as_deref(), after.as_ref(), now);
                Answer::Participants(page(seen))
            }
        }
    }
}

fn page(mut seen: impl Iterator<Item = Seen>) -> RollPage {
    let (mut participants, mut bytes) = (Vec::new(), 0);
    while bytes < PAGE_BYTES {
        let Some(next) = seen.next() else {
            break;
        };
        bytes += size(&next);
        participants.push(next);
    }
    RollPage {
        participants,
        more: seen.next().is_some(),
    }
}

fn size(seen: &Seen) -> usize {
    let said = &seen.announced;
    let able = said.capabilities.iter();
    let able = able.map(|(name, version)| name.len() + version.len() + 8);
    128 + said.participant.len() + said.instance.len() + able.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_roll_is_told_in_pages_of_which_each_fits_a_message() {
        let roll = RollCall::new();
        let able = (0..Participants::CAPABILITIES_MAX).map(|number| {
            let name = format!("{number:\"<width$}", width = Participants::NAME_MAX);
            (name.as_str().into(), name.as_str().into())
        });
        let capabilities: std::collections::BTreeMap<_, _> = able.collect();
        for number in 0..5 {
            let announced = Announcement {
                participant: "payments".into(),
                instance: format!("i{number}").into(),
                capabilities: capabilities.clone(),
                concurrency: 1,
                every: EVERY,
            };
            let told = roll.answer(Roll::Announce(announced));
            assert_eq!(told, Answer::Done {});
        }
        let (mut told, mut after) = (Vec::new(), None);
        loop {
            let capability = None;
            let answer = roll.answer(Roll::List { capability, after });
            let bytes = serde_json::to_string(&answer).expect("plain data").len();
            assert!(
                bytes <= sagalog_transport::rabbitmq::BODY_MAX_BYTES,
                "{bytes}"
            );
            let Answer::Participants(page) = answer else {
                panic!("{answer:?}");
            };
            let names = page
                .participants
                .iter()
                .map(|seen| seen.announced.instance.to_string());
            told.extend(names);
            if !page.more {
                break;
            }
            after = Some(("payments".to_owned(), told[told.len() - 1].clone()));
        }
        assert_eq!(told, ["i0", "i1", "i2", "i3", "i4"]);
    }
}
