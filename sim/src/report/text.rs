//! A run as text: the plan first, then what happened, in lanes.

use std::fmt::Write as _;

use super::{
    counted,
    keep::{Stretch, stretches},
    run::millis,
};
use crate::{
    check::Violation,
    world::{Lane, TraceLine, World},
};

/// The most lines of a timeline; of a longer run, healthy stretches are left out.
const LINES_MAX: usize = 60;

/// The most columns of a line.
const COLUMNS: usize = 120;

/// Where the lanes begin, from the end of the time.
const NODE: usize = 2;
const LOG: usize = NODE + 11;
const WORLD: usize = LOG + 38;

/// The timeline of a run: plan, times in milliseconds from the beginning, lanes.
pub(crate) fn timeline(world: &World, violation: Option<&Violation>) -> String {
    let plan = world.plan().to_string();
    let plan = if plan.is_empty() {
        "nothing goes wrong".to_owned()
    } else {
        plan
    };
    let trace = world.trace();
    let last = trace.last().map_or(0, |line| millis(line.at));
    let time = last.max(violation.map_or(0, |it| millis(it.at)));
    let page = Page {
        time: time.to_string().len().max(4),
    };
    let mut text = String::new();
    for (number, fault) in plan.lines().enumerate() {
        let head = if number == 0 { "plan" } else { "" };
        // A plan is copied from here, so it is never cut.
        writeln!(text, "{head:<6}{fault}").expect("a string takes everything");
    }
    page.head(&mut text);
    let room = LINES_MAX.saturating_sub(plan.lines().count() + 2).max(20);
    for stretch in stretches(trace, room) {
        match stretch {
            Stretch::Shown(range) => {
                for line in &trace[range] {
                    page.happened(&mut text, line);
                }
            }
            Stretch::LeftOut { count, healthy } => {
                let healthy = if healthy { ", nothing goes wrong" } else { "" };
                let left_out = format!("… {}{healthy} …", counted(count as u64, "line"));
                page.at(&mut text, None, NODE, &left_out);
            }
        }
    }
    match violation {
        Some(violation) => {
            let of = violation.saga.as_ref();
            let of = of.map_or_else(String::new, |saga| format!(" of {saga}"));
            let what = format!("VIOLATION {}{of}: {}", violation.invariant, violation.what);
            // What is wrong is never cut.
            let at = millis(violation.at);
            let line = format!("{at:>width$}  {what}", width = page.time);
            text.extend(line.chars().map(plain));
            text.push('\n');
        }
        None => page.at(&mut text, None, NODE, "all invariants hold"),
    }
    text
}

struct Page {
    /// The columns of a time.
    time: usize,
}

impl Page {
    fn head(&self, text: &mut String) {
        let (node, log) = (LOG - NODE, WORLD - LOG);
        let lanes = format!(
            "{:>width$}  {:<node$}{:<log$}transport and participants",
            "t",
            "node",
            "log",
            width = self.time
        );
        push(text, &lanes);
    }

    fn happened(&self, text: &mut String, line: &TraceLine) {
        let lane = match line.lane {
            Lane::Node => NODE,
            Lane::Log => LOG,
            Lane::World => WORLD,
        };
        self.at(text, Some(millis(line.at)), lane, &line.what);
    }

    fn at(&self, text: &mut String, at: Option<u64>, column: usize, what: &str) {
        let at = at.map_or_else(String::new, |at| at.to_string());
        let line = format!("{at:>width$}{:column$}{what}", "", width = self.time);
        push(text, &line);
    }
}

/// Too long a line would break the lanes.
fn push(text: &mut String, line: &str) {
    let chars = line.chars().map(plain);
    if line.chars().count() <= COLUMNS {
        text.extend(chars);
    } else {
        text.extend(chars.take(COLUMNS - 1));
        text.push('…');
    }
    text.push('\n');
}

/// Control characters would break the lanes as well.
fn plain(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
