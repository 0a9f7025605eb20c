//! What the world answers, from what it has on record.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

/// Something asked of the world.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Its idempotency key.
    pub(crate) key: Arc<str>,
    /// The key of the action that is meant; the same as `key` for an action.
    pub(crate) action_key: Arc<str>,
    /// Whose it is and what it is.
    pub(crate) deed: Deed,
    /// What is wanted.
    pub(crate) wish: Wish,
}

/// Whose effect it is, and which.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) saga: Arc<str>,
    pub(crate) step: Arc<str>,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// Do it; this comes of it.
    Do(String),
    /// Do it, but the first times it does not work.
    Stumble {
        /// So many times.
        times: u32,
        /// For this reason.
        reason: &'static str,
        /// This comes of it then.
        output: String,
    },
    /// It cannot be done, for this reason: that is the answer for ever.
    Refuse(String),
    /// Undo it, or see to it that it never happens.
    Undo,
    /// Was it done?
    Find,
}

/// What the world answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// It is done, with this output.
    Done(String),
    /// It was not done and never will be.
    Refused(String),
    /// It was not done this time.
    Stumbled(&'static str),
    /// It is not done so far.
    NotDone,
}

/// What became of a key, as it is kept.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kept {
    Done(String),
    Refused(String),
}

/// What is on record about some keys.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pub(super) outcomes: HashMap<Arc<str>, Kept>,
    pub(super) tombstones: HashSet<Arc<str>>,
    pub(super) stumbles: HashMap<Arc<str>, u32>,
}

/// The record of some keys while requests are settled, one after the other.
#[derive(Debug, Default)]
pub(super) struct Book {
    pages: Pages,
    news: News,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) effects: Vec<Effect>,
    pub(super) outcomes: Vec<(Arc<str>, Kept)>,
    pub(super) tombstones: Vec<Arc<str>>,
    pub(super) stumbles: Vec<(Arc<str>, u32)>,
}

/// A change of the world.
#[derive(Debug, Serialize)]
pub(super) struct Effect {
    pub(super) key: Arc<str>,
    pub(super) saga: Arc<str>,
    pub(super) step: Arc<str>,
    pub(super) direction: &'static str,
}

impl Asked {
    /// The keys whose record decides the answer.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        [&self.key, &self.action_key].into_iter()
    }
}

impl Book {
    pub(super) fn of(pages: Pages) -> Self {
        Self {
            pages,
            news: News::default(),
        }
    }

    pub(super) fn into_news(self) -> News {
        self.news
    }

    /// Answers a request, and notes what it changed.
    pub(super) fn settle(&mut self, asked: &Asked) -> Answer {
        if let Wish::Find = asked.wish {
            return match self.pages.outcomes.get(&asked.action_key) {
                Some(Kept::Done(output)) => Answer::Done(output.clone()),
                Some(Kept::Refused(_)) | None => Answer::NotDone,
            };
        }
        match self.pages.outcomes.get(&asked.key) {
            Some(Kept::Done(output)) => return Answer::Done(output.clone()),
            Some(Kept::Refused(reason)) => return Answer::Refused(reason.clone()),
            None => {}
        }
        match &asked.wish {
            Wish::Undo => self.undo(asked),
            _ if self.pages.tombstones.contains(&asked.key) => self.refuse(
                asked,
                "it was undone before it came, so it must not happen any more",
            ),
            Wish::Refuse(reason) => self.refuse(asked, reason),
            Wish::Stumble {
                times,
                reason,
                output,
            } => {
                let before = self.pages.stumbles.get(&asked.key).copied().unwrap_or(0);
                if before >= *times {
                    return self.apply(asked, "action", output);
                }
                self.pages.stumbles.insert(asked.key.clone(), before + 1);
                self.news.stumbles.push((asked.key.clone(), before + 1));
                Answer::Stumbled(reason)
            }
            Wish::Do(output) => self.apply(asked, "action", output),
            Wish::Find => unreachable!("a question was answered above"),
        }
    }

    fn undo(&mut self, asked: &Asked) -> Answer {
        let applied = matches!(
            self.pages.outcomes.get(&asked.action_key),
            Some(Kept::Done(_))
        );
        if applied {
            return self.apply(asked, "compensation", "null");
        }
        self.pages.tombstones.insert(asked.action_key.clone());
        self.news.tombstones.push(asked.action_key.clone());
        self.keep(asked, Kept::Done("null".into()));
        Answer::Done("null".into())
    }

    fn apply(&mut self, asked: &Asked, direction: &'static str, output: &str) -> Answer {
        let Deed { saga, step } = asked.deed.clone();
        self.news.effects.push(Effect {
            key: asked.key.clone(),
            saga,
            step,
            direction,
        });
        self.keep(asked, Kept::Done(output.into()));
        Answer::Done(output.into())
    }

    fn refuse(&mut self, asked: &Asked, reason: &str) -> Answer {
        self.keep(asked, Kept::Refused(reason.into()));
        Answer::Refused(reason.into())
    }

    fn keep(&mut self, asked: &Asked, kept: Kept) {
        self.pages.outcomes.insert(asked.key.clone(), kept.clone());
        self.news.outcomes.push((asked.key.clone(), kept));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: &str = r#"{"id":"p-1"}"#;

    fn action(wish: Wish) -> Asked {
        let deed = Deed {
            saga: "o-1".into(),
            step: "charge".into(),
        };
        Asked {
            key: "charge/action".into(),
            action_key: "charge/action".into(),
            deed,
            wish,
        }
    }

    fn undo() -> Asked {
        Asked {
            key: "charge/compensation".into(),
            ..action(Wish::Undo)
        }
    }

    fn directions(book: Book) -> Vec<&'static str> {
        book.into_news()
            .effects
            .iter()
            .map(|effect| effect.direction)
            .collect()
    }

    #[test]
    fn an_action_takes_effect_once_and_is_answered_again() {
        let mut book = Book::default();
        for _ in 0..3 {
            assert_eq!(
                book.settle(&action(Wish::Do(DONE.into()))),
                Answer::Done(DONE.into())
            );
        }
        assert_eq!(book.settle(&action(Wish::Find)), Answer::Done(DONE.into()));
        assert_eq!(directions(book), ["action"]);
    }

    #[test]
    fn an_action_is_undone_once() {
        let mut book = Book::default();
        book.settle(&action(Wish::Do(DONE.into())));
        for _ in 0..2 {
            assert_eq!(book.settle(&undo()), Answer::Done("null".into()));
        }
        assert_eq!(directions(book), ["action", "compensation"]);
    }

    #[test]
    fn undoing_what_never_happened_leaves_a_tombstone_and_no_effect() {
        let mut book = Book::default();
        assert_eq!(book.settle(&undo()), Answer::Done("null".into()));
        assert!(matches!(
            book.settle(&action(Wish::Do(DONE.into()))),
            Answer::Refused(_)
        ));
        assert_eq!(book.settle(&action(Wish::Find)), Answer::NotDone);
        let news = book.into_news();
        assert!(news.effects.is_empty());
        assert_eq!(news.tombstones, [Arc::from("charge/action")]);
    }

    #[test]
    fn what_stumbles_works_in_the_end() {
        let mut book = Book::default();
        let wish = Wish::Stumble {
            times: 2,
            reason: "busy",
            output: DONE.into(),
        };
        let answers: Vec<_> = (0..4).map(|_| book.settle(&action(wish.clone()))).collect();
        let (stumbled, done) = (Answer::Stumbled("busy"), Answer::Done(DONE.into()));
        assert_eq!(answers, [stumbled.clone(), stumbled, done.clone(), done]);
        assert_eq!(directions(book), ["action"]);
    }
}
