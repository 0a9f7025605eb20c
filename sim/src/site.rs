//! Where a decision is taken in a simulated run: stable under unrelated code changes.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use sagalog_model::Direction;

/// A place in a run where something may go wrong, named by what it is about and not by when it
/// happens: it survives refactorings, shrinks, and reads well.
///
/// Its text is `POINT sN SUBJECT`, with ` (n)` behind it from the second visit on: `reply s1
/// charge#1`, `commit s1 start`, `deliver s2 charge compensation#1 (2)`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Site {
    /// The saga, by the order of starting, from 1; 0 is the world.
    pub saga: u32,
    /// What it is about.
    pub subject: Subject,
    /// What happens there.
    pub point: Point,
    /// Which visit, from 1.
    pub nth: u32,
}

/// What can go wrong in.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Point {
    /// The whole run: of the world, or of a node of a saga.
    Config,
    /// A client's call on its way to the node.
    Call,
    /// A command on its way to its participant.
    Deliver,
    /// A command in its participant's queue, while others are under way.
    Queue,
    /// What the participant does.
    Outcome,
    /// The answer on its way back.
    Reply,
    /// An answer or a call in the node's inbox, while others are under way.
    Inbox,
    /// The append of what was decided on it.
    Commit,
}

/// What a site is about.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Subject {
    /// An attempt of a node.
    Attempt {
        /// The node's id.
        node: Arc<str>,
        /// What is asked.
        direction: Direction,
        /// Which attempt.
        attempt: u32,
    },
    /// Anything else, in one word: `start`, `cancel`, the name of a signal or of a node.
    Other(Arc<str>),
}

impl Site {
    /// The saga number of the world's own sites.
    pub(crate) const WORLD: u32 = 0;

    /// A condition of the whole world.
    pub(crate) fn of_the_world(nth: u32) -> Self {
        Self {
            saga: Self::WORLD,
            subject: Subject::Other("world".into()),
            point: Point::Config,
            nth,
        }
    }

    /// Whether it is a dead letter on its way out of the log.
    pub(crate) fn is_of_a_letter(&self) -> bool {
        self.point == Point::Deliver && matches!(self.subject, Subject::Other(_))
    }

    /// A signal by its number. Written otherwise than an attempt, so that a plan can be read back.
    pub(crate) fn numbered(producer: &str, number: u64) -> Subject {
        Subject::Other(format!("{producer}/{number}").into())
    }

    /// What a call is about that says until when it may come again.
    pub(crate) fn timed(word: &str, lifetime: Duration) -> Subject {
        Subject::Other(format!("{word}@{}ms", lifetime.as_millis()).into())
    }

    /// Whether it is about a call that says until when it may come again.
    pub(crate) fn has_a_time(&self) -> bool {
        matches!(&self.subject, Subject::Other(word) if word.contains('@'))
    }

    /// Whether it is a condition of the whole world.
    pub(crate) fn is_of_the_world(&self) -> bool {
        self.point == Point::Config && self.saga == Self::WORLD
    }
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Config,
        Self::Call,
        Self::Deliver,
        Self::Queue,
        Self::Outcome,
        Self::Reply,
        Self::Inbox,
        Self::Commit,
    ];

    /// Its name in a plan.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Call => "call",
            Self::Deliver => "deliver",
            Self::Queue => "queue",
            Self::Outcome => "outcome",
            Self::Reply => "reply",
            Self::Inbox => "inbox",
            Self::Commit => "commit",
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s{} {}", self.point.as_str(), self.saga, self.subject)?;
        if self.nth > 1 {
            write!(f, " ({})", self.nth)
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt {
                node,
                direction: Direction::Action,
                attempt,
            } => write!(f, "{node}#{attempt}"),
            Self::Attempt {
                node,
                direction,
                attempt,
            } => write!(f, "{node} {direction}#{attempt}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// A text that names no site.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` names no place of a run: {why}; an example is `reply s1 charge#1`")]
pub struct BadSite {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

const NO_POINT: &str =
    "it begins with config, call, deliver, queue, outcome, reply, inbox or commit";

impl FromStr for Site {
    type Err = BadSite;

    fn from_str(text: &str) -> Result<Self, BadSite> {
        let bad = |why| BadSite {
            text: text.to_owned(),
            why,
        };
        let (text_of_place, nth) = match text
            .trim()
            .strip_suffix(')')
            .and_then(|rest| rest.rsplit_once(" ("))
        {
            Some((place, nth)) => (
                place,
                nth.parse().map_err(|_| bad("the visit is no number"))?,
            ),
            None => (text.trim(), 1),
        };
        let mut words = text_of_place.splitn(3, ' ');
        let point = words
            .next()
            .and_then(|word| Point::ALL.into_iter().find(|point| point.as_str() == word));
        let point = point.ok_or_else(|| bad(NO_POINT))?;
        let saga = words
            .next()
            .and_then(|word| word.strip_prefix('s')?.parse().ok());
        let saga = saga.ok_or_else(|| bad("the saga is s1, s2 or the like"))?;
        let subject = words
            .next()
            .ok_or_else(|| bad("it does not say what it is about"))?;
        Ok(Self {
            saga,
            subject: subject_of(subject).ok_or_else(|| bad("the attempt is no number"))?,
            point,
            nth,
        })
    }
}

fn subject_of(text: &str) -> Option<Subject> {
    let Some((place, attempt)) = text.rsplit_once('#') else {
        return Some(Subject::Other(text.into()));
    };
    let attempt = attempt.parse().ok()?;
    let directions = [
        Direction::Probe,
        Direction::Compensation,
        Direction::Alternative,
    ];
    let named = directions.into_iter().find_map(|direction| {
        Some((
            place.strip_suffix(direction.as_str())?.strip_suffix(' ')?,
            direction,
        ))
    });
    let (node, direction) = named.unwrap_or((place, Direction::Action));
    Some(Subject::Attempt {
        node: node.into(),
        direction,
        attempt,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_read_back_as_they_are_written() {
        for text in [
            "reply s1 charge#1",
            "commit s2 start",
            "deliver s1 charge compensation#2 (3)",
            "outcome s12 a-b probe#1",
            "config s0 world (2)",
            "config s1 charge",
            "call s1 start",
            "queue s1 charge#1 (2)",
            "inbox s2 approval",
            "commit s1 letter-retry",
        ] {
            let site: Site = text.parse().expect("a good site");
            assert_eq!(site.to_string(), text);
        }
    }

    #[test]
    fn a_text_that_names_no_site_says_why() {
        for (text, why) in [
            ("rply s1 charge#1", NO_POINT),
            ("reply charge#1", "the saga is s1, s2 or the like"),
            ("reply s1", "it does not say what it is about"),
            ("reply s1 charge#x", "the attempt is no number"),
            ("reply s1 charge#1 (x)", "the visit is no number"),
        ] {
            assert_eq!(
                text.parse::<Site>().expect_err("it is bad").why,
                why,
                "{text}"
            );
        }
    }
}
