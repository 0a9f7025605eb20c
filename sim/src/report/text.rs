//! Documents as text: what they are about first, then what happened, in lanes.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
};

use super::{
    HistoryDocument, RunDocument, counted,
    keep::{Stretch, stretches},
    lines::Happened,
};
use crate::world::Lane;

/// The most lines of a run's timeline; of a longer run, healthy stretches are left out.
const LINES_MAX: usize = 60;

/// The most columns of a line.
const COLUMNS: usize = 120;

/// Behind the event after which a failure was inevitable.
const BAKED_IN: &str = "  <<< baked in";

/// Where the lanes begin, from the end of the time.
const NODE: usize = 2;
const LOG: usize = NODE + 11;
const WORLD: usize = LOG + 38;

/// The timeline of a run: plan, times in milliseconds from the beginning, lanes.
impl fmt::Display for RunDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let violated_at = self.violation.as_ref().map_or(0, |it| it.at_ms);
        let mut page = Page::of(&self.lines, violated_at);
        // A plan is copied from here, so it is never cut.
        if self.plan.is_empty() {
            page.text.push_str("plan  nothing goes wrong\n");
        }
        for (number, fault) in self.plan.iter().enumerate() {
            let head = if number == 0 { "plan" } else { "" };
            writeln!(page.text, "{head:<6}{}: {}", fault.site, fault.fault)?;
        }
        page.head(true);
        let room = LINES_MAX.saturating_sub(self.plan.len().max(1) + 2).max(20);
        for stretch in stretches(&self.lines, room) {
            match stretch {
                Stretch::Shown(range) => {
                    for line in &self.lines[range] {
                        page.happened(line);
                    }
                }
                Stretch::LeftOut { count, healthy } => {
                    let healthy = if healthy { ", nothing goes wrong" } else { "" };
                    let left_out = format!("… {}{healthy} …", counted(count as u64, "line"));
                    page.at(None, NODE, &left_out);
                }
            }
        }
        match &self.violation {
            Some(violation) => {
                let of = violation.saga.as_ref();
                let of = of.map_or_else(String::new, |saga| format!(" of {saga}"));
                let what = format!("VIOLATION {}{of}: {}", violation.invariant, violation.what);
                // What is wrong is never cut.
                page.whole(violation.at_ms, &what);
            }
            None => page.at(None, NODE, "all invariants hold"),
        }
        f.write_str(&page.text)
    }
}

/// Every line: a log is looked at for what is in it.
impl fmt::Display for HistoryDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut page = Page::of(&self.lines, 0);
        page.head(false);
        for line in &self.lines {
            page.happened(line);
        }
        f.write_str(&page.text)
    }
}

/// The lines of a text.
struct Page {
    text: String,
    /// The columns of a time.
    time: usize,
    /// Several sagas run, so that each line says which it is about.
    several: bool,
}

impl Page {
    fn of(lines: &[Happened], last_ms: u64) -> Self {
        let last = lines.iter().map(|line| line.at_ms).fold(last_ms, u64::max);
        let sagas = lines.iter().filter_map(|line| line.saga.as_ref());
        Self {
            text: String::new(),
            time: last.to_string().len().max(4),
            several: sagas.collect::<BTreeSet<_>>().len() > 1,
        }
    }

    fn head(&mut self, with_the_world: bool) {
        let (node, log) = (LOG - NODE, WORLD - LOG);
        let lanes = format!("{:>width$}  {:<node$}log", "t", "node", width = self.time);
        let rest = if with_the_world {
            format!("{:log$}transport and participants", "", log = log - 3)
        } else {
            String::new()
        };
        self.push(&(lanes + &rest));
    }

    fn happened(&mut self, line: &Happened) {
        let lane = match line.lane {
            Lane::Node => NODE,
            Lane::Log => LOG,
            Lane::World => WORLD,
        };
        let mut what = match &line.saga {
            Some(saga) if self.several || line.lane == Lane::Log => {
                format!("{saga}: {}", line.what)
            }
            _ => line.what.clone(),
        };
        if line.baked_in {
            let room = COLUMNS - self.time - lane - BAKED_IN.len();
            what = cut(&what, room) + BAKED_IN;
        }
        self.at(Some(line.at_ms), lane, &what);
    }

    fn at(&mut self, at_ms: Option<u64>, column: usize, what: &str) {
        let at = at_ms.map_or_else(String::new, |at| at.to_string());
        let line = format!("{at:>width$}{:column$}{what}", "", width = self.time);
        self.push(&line);
    }

    fn whole(&mut self, at_ms: u64, what: &str) {
        let line = format!("{at_ms:>width$}  {what}", width = self.time);
        self.text.extend(line.chars().map(plain));
        self.text.push('\n');
    }

    /// Too long a line would break the lanes.
    fn push(&mut self, line: &str) {
        self.text.extend(cut(line, COLUMNS).chars().map(plain));
        self.text.push('\n');
    }
}

/// As much of a text as has room.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room - 1).chain(['…']).collect()
}

/// Control characters would break the lanes as well.
fn plain(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
