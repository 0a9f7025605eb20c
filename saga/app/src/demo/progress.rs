//! Who watches the demo: a person, or the process that started this one.

use std::io::Write as _;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::tally::Tally;

/// How far the demo is, as far as the log says.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Progress {
    /// How many events of the log were read: in a log of one partition, its last position.
    pub(super) events: u64,
    /// How many orders there are.
    pub(super) orders: usize,
    /// How many sagas were started.
    pub(super) started: usize,
    /// How many have ended.
    pub(super) ended: usize,
}

/// Who is told of it.
pub(super) enum Watcher {
    /// A person at a terminal; nobody if there is none.
    Bar(ProgressBar),
    /// A process that reads a line of JSON for each step.
    Lines,
}

impl Watcher {
    /// A bar on stderr.
    pub(super) fn bar(orders: usize) -> Self {
        let style = ProgressStyle::with_template("{bar:40.green} {pos}/{len} orders ended  {msg}");
        let style = style.expect("the template is a constant and well formed");
        Self::Bar(ProgressBar::new(orders as u64).with_style(style))
    }

    /// Shows where the log is.
    pub(super) fn see(&self, tally: &Tally) {
        self.show(Progress::of(tally));
    }

    /// Shows where somebody says it is.
    pub(super) fn show(&self, progress: Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(progress.ended as u64);
                bar.set_message(format!("{} under way", progress.started - progress.ended));
            }
            Self::Lines => {
                let line = serde_json::to_string(&progress).expect("progress is plain data");
                // Nobody reads any more: then stdin is closed too, and that stops us.
                drop(writeln!(std::io::stdout(), "{line}"));
            }
        }
    }

    /// Says something above the bar.
    pub(super) fn say(&self, text: impl std::fmt::Display) {
        match self {
            Self::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            Self::Lines => {}
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Progress {
    fn of(tally: &Tally) -> Self {
        let count = tally.count();
        Self {
            events: tally.events(),
            orders: tally.orders(),
            started: count.started,
            ended: count.ended(),
        }
    }

    /// Whether half of the sagas have ended while others certainly have not.
    pub(super) fn is_in_the_middle(self) -> bool {
        self.ended * 2 >= self.orders && self.started > self.ended
    }
}
