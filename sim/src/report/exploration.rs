//! An exploration: how far it came, and what it found.

use std::fmt;

use sagalog_model::Graph;
use serde::Serialize;

use super::{
    counted, grouped,
    run::{PlannedFault, RunDocument, Violated},
};
use crate::{
    coverage::Covered,
    explore::{Failure, Report},
    fault::Fault,
    run::Run,
};

/// The columns of a text.
const COLUMNS: usize = 120;

/// What an exploration found, with stable field names. Its text is for people.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ExplorationDocument {
    /// The definition's name.
    pub definition: String,
    /// The definition's version.
    pub version: u32,
    /// Whether every plan that was tried holds and something was shown.
    pub holds: bool,
    /// What holds, in words: how far the exploration came.
    pub bound: String,
    /// Runs in all, without those of the shrinker.
    pub runs: u64,
    /// The plans of each number of faults.
    pub tried: Vec<Tried>,
    /// Random plans, of any kinds.
    pub random: u64,
    /// The fewest and the most faults of a random plan.
    pub random_faults: Option<(u64, u64)>,
    /// Random orders of what is under way.
    pub schedules: u64,
    /// Plans that begin as one does that led to something new.
    pub guided: u64,
    /// In how many different situations these were.
    pub situations: u64,
    /// In how many runs a saga completed.
    pub completed: u64,
    /// In how many runs a saga went back.
    pub went_back: u64,
    /// In how many runs each way of the definition was gone, in its order; 0 for those that never were.
    pub coverage: Vec<Covered>,
    /// How often each kind of fault had a consequence, simplest kind first; 0 for those that never had.
    pub bites: Vec<Bite>,
    /// In how many runs each of the author's `sometimes` was true.
    pub sometimes: Vec<Sometimes>,
    /// Why nothing is shown although nothing failed: no saga completed, no fault had a consequence, or
    /// a `sometimes` was never true.
    pub shows_nothing: Option<String>,
    /// The first failure, shrunk.
    pub failure: Option<FailureDocument>,
}

/// The plans of one number of faults.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Tried {
    /// How many faults each has.
    pub faults: u64,
    /// How many plans were run.
    pub plans: u64,
    /// Whether that is all of them.
    pub all: bool,
    /// Which kinds of faults: `all`, or `core` from two faults on (see
    /// [`Fault::is_core`]).
    pub kinds: &'static str,
}

impl Tried {
    /// What an exploration does with so many faults.
    pub fn of(faults: u64, plans: u64, all: bool) -> Self {
        let kinds = if faults > 1 { "core" } else { "all" };
        Self {
            faults,
            plans,
            all,
            kinds,
        }
    }
}

/// How often a kind of fault had a consequence.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Bite {
    /// The kind.
    pub fault: String,
    /// In how many runs.
    pub runs: u64,
}

/// Something that must be true in at least one run.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Sometimes {
    /// Its name.
    pub name: String,
    /// In how many runs it was true.
    pub runs: u64,
}

/// The smallest plan that fails.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct FailureDocument {
    /// The plan, which may be run again as it is.
    pub plan: Vec<PlannedFault>,
    /// Whether the shrinker has shown that without any one of the faults it does not fail this way.
    pub all_necessary: bool,
    /// How many runs the shrinker needed.
    pub replays: u64,
    /// What is violated.
    pub violation: Violated,
    /// What happened.
    pub run: RunDocument,
    /// How many of the plan's faults go wrong; the rest makes the world smaller.
    #[serde(skip)]
    faults: u64,
    #[serde(skip)]
    timeline: String,
}

impl ExplorationDocument {
    /// `failure` is that of the report, and its run.
    pub(crate) fn of(graph: &Graph, report: &Report, failure: Option<(&Failure, Run)>) -> Self {
        let tried = report.exhausted.iter().zip(0..);
        let tried: Vec<_> = tried
            .map(|(&(plans, all), faults)| Tried::of(faults, plans, all))
            .collect();
        let tries = Fault::ALL.into_iter().filter(|fault| fault.is_tried());
        let bites = tries.map(|fault| Bite {
            fault: fault.to_string(),
            runs: report.bites.get(&fault).copied().unwrap_or_default(),
        });
        let sometimes = report.sometimes.iter().map(|(name, runs)| Sometimes {
            name: name.clone(),
            runs: *runs,
        });
        let shows_nothing = shows_nothing(report);
        let mut faults = report.swarm_faults.keys().map(|faults| *faults as u64);
        let fewest = faults.next();
        let random_faults = fewest.map(|fewest| (fewest, faults.next_back().unwrap_or(fewest)));
        Self {
            definition: graph.saga.clone(),
            version: graph.version.0,
            holds: report.failure.is_none() && shows_nothing.is_none(),
            bound: bound(report, &tried, random_faults),
            runs: report.runs,
            tried,
            random: report.swarm,
            random_faults,
            schedules: report.schedules,
            guided: report.guided,
            situations: report.situations,
            completed: report.completed,
            went_back: report.went_back,
            coverage: report.coverage.ways().to_vec(),
            bites: bites.collect(),
            sometimes: sometimes.collect(),
            shows_nothing,
            failure: failure.map(|(failure, run)| FailureDocument::of(failure, &run)),
        }
    }
}

impl FailureDocument {
    fn of(failure: &Failure, run: &Run) -> Self {
        let document = run.document();
        Self {
            plan: document.plan.clone(),
            all_necessary: failure.needed,
            replays: failure.replays,
            violation: Violated::of(&failure.violation),
            run: document,
            faults: failure.plan.faults() as u64,
            timeline: run.timeline(),
        }
    }

    fn headline(&self) -> String {
        let faults = match (self.faults, self.all_necessary) {
            (0, _) => "no fault".to_owned(),
            (1, true) => "1 fault, which is necessary,".to_owned(),
            (n, true) => format!("{}, all necessary,", counted(n, "fault")),
            (n, false) => format!("{}, perhaps not all necessary,", counted(n, "fault")),
        };
        let violated = match (&*self.violation.invariant, &self.violation.saga) {
            ("author", _) => "the author's property".to_owned(),
            (invariant, Some(saga)) => format!("{invariant} of {saga}"),
            (invariant, None) => invariant.to_owned(),
        };
        format!("with {faults} it violates {violated}")
    }
}

/// Why an exploration that found no failure shows nothing.
pub(crate) fn shows_nothing(report: &Report) -> Option<String> {
    let never = |(_, runs): &&(String, u64)| *runs == 0;
    if report.failure.is_some() {
        None
    } else if report.completed == 0 {
        Some("no saga completed in any run".into())
    } else if report.runs > 1 && report.bites.is_empty() {
        Some("no fault had a consequence".into())
    } else if let Some((name, _)) = report.sometimes.iter().find(never) {
        Some(format!("\"{name}\" was never true"))
    } else {
        None
    }
}

/// The statement that may be made.
fn bound(report: &Report, tried: &[Tried], random_faults: Option<(u64, u64)>) -> String {
    let mut parts = exhausted(tried, report.after > 0);
    if report.swarm > 0 {
        parts.push(random_plans(report.swarm, random_faults));
    }
    if report.schedules > 0 {
        parts.push(counted(report.schedules, "random order"));
    }
    if report.guided > 0 {
        parts.push(guided(report.guided, report.situations));
    }
    let text = parts.join(", and ");
    if report.after == 0 {
        text
    } else {
        format!(
            "after {} of this run: {text}",
            counted(report.after, "event")
        )
    }
}

/// A complete level counts only if all below it are complete.
fn exhausted(tried: &[Tried], is_after: bool) -> Vec<String> {
    let complete: Vec<_> = tried.iter().take_while(|tried| tried.all).collect();
    let plans: u64 = complete.iter().map(|tried| tried.plans).sum();
    let more = if is_after { "more " } else { "" };
    let faults = |faults| counted(faults, &format!("{more}fault"));
    let first = match complete.last() {
        None => "no number of faults was tried in full".to_owned(),
        Some(Tried { faults: 0, .. }) if is_after => "it holds".to_owned(),
        Some(Tried { faults: 0, .. }) => "the healthy run holds".to_owned(),
        Some(last) => format!(
            "all {} plans with at most {} hold{}",
            grouped(plans),
            faults(last.faults),
            if last.kinds == "core" {
                " (two or more: of the core kinds)"
            } else {
                ""
            }
        ),
    };
    let cut = tried.get(complete.len()).filter(|cut| cut.plans > 0);
    let cut = cut.map(|cut| {
        format!(
            "{} of the plans with {}",
            grouped(cut.plans),
            faults(cut.faults)
        )
    });
    [Some(first), cut].into_iter().flatten().collect()
}

fn guided(plans: u64, situations: u64) -> String {
    let (plans, situations) = (
        counted(plans, "guided plan"),
        counted(situations, "situation"),
    );
    format!("{plans} through {situations}")
}

fn random_plans(plans: u64, faults: Option<(u64, u64)>) -> String {
    let plans = counted(plans, "random plan");
    match faults {
        Some((fewest, most)) if fewest < most => format!("{plans} of {fewest} to {most} faults"),
        Some((faults, _)) => format!("{plans} of {}", counted(faults, "fault")),
        None => plans,
    }
}

impl fmt::Display for ExplorationDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headline = match (&self.failure, &self.shows_nothing) {
            (Some(failure), _) => failure.headline(),
            (None, Some(why)) => format!("nothing is shown, because {why}"),
            (None, None) => self.bound.clone(),
        };
        writeln!(
            f,
            "saga {}, version {}: {headline}",
            self.definition, self.version
        )?;
        if let Some(failure) = &self.failure {
            let (runs, replays) = (counted(self.runs, "run"), counted(failure.replays, "run"));
            writeln!(f, "found in {runs}, shrunk in {replays}\n")?;
            return f.write_str(&failure.timeline);
        }
        for (number, tried) in self.tried.iter().enumerate() {
            let head = if number == 0 { "tried" } else { "" };
            let (faults, plans) = (counted(tried.faults, "fault"), counted(tried.plans, "plan"));
            let all = match (tried.all, tried.kinds) {
                (false, _) => "not all",
                (true, "core") => "all of the core kinds",
                (true, _) => "all",
            };
            writeln!(f, "{head:<8}{faults:<10}{plans}, {all}")?;
        }
        let others = [
            (self.random, random_plans(self.random, self.random_faults)),
            (self.schedules, counted(self.schedules, "random order")),
            (self.guided, guided(self.guided, self.situations)),
        ];
        for (_, told) in others.iter().filter(|(plans, _)| *plans > 0) {
            writeln!(f, "{:<8}{told}", "")?;
        }
        let (completed, back) = (grouped(self.completed), grouped(self.went_back));
        let runs = counted(self.runs, "run");
        writeln!(
            f,
            "ended   of {runs}, a saga completed in {completed} and went back in {back}"
        )?;
        let ways = self.coverage.len() as u64;
        let missed = self.coverage.iter().filter(|way| way.runs == 0);
        let gone = grouped(ways - missed.clone().count() as u64);
        writeln!(f, "covers  {gone} of {} of the saga", counted(ways, "way"))?;
        listed(f, "missed", missed.map(|way| way.way.clone()))?;
        let marks = self.sometimes.iter();
        let marks = marks.map(|mark| format!("\"{}\" {}", mark.name, grouped(mark.runs)));
        listed(f, "true", marks)?;
        let had = |bite: &&Bite| bite.runs > 0;
        let bites = self.bites.iter().filter(had);
        let bites = bites.map(|bite| format!("{} {}", bite.fault, grouped(bite.runs)));
        listed(f, "bites", bites)?;
        let never = self.bites.iter().filter(|bite| !had(bite));
        listed(f, "never", never.map(|bite| bite.fault.clone()))
    }
}

/// A list in as many lines as it needs.
fn listed(
    f: &mut fmt::Formatter<'_>,
    head: &str,
    items: impl Iterator<Item = String>,
) -> fmt::Result {
    let mut line = format!("{head:<8}");
    let indent = line.len();
    for item in items {
        if line.len() > indent && line.len() + 3 + item.len() > COLUMNS {
            writeln!(f, "{line}")?;
            line = " ".repeat(indent);
        }
        if line.len() > indent {
            line.push_str(" · ");
        }
        line.push_str(&item);
    }
    if line.len() > indent {
        writeln!(f, "{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(levels: &[(u64, bool)]) -> Vec<Tried> {
        let levels = levels.iter().zip(0..);
        let level = |(&(plans, all), faults)| Tried::of(faults, plans, all);
        levels.map(level).collect()
    }

    fn told(levels: &[(u64, bool)], after: u64, more: impl Fn(&mut Report)) -> String {
        let mut report = Report {
            after,
            ..Report::default()
        };
        more(&mut report);
        let random_faults = (report.swarm > 0).then_some((1, 12));
        bound(&report, &tried(levels), random_faults)
    }

    #[test]
    fn only_what_was_tried_in_full_is_called_all() {
        let full = [(1, true), (62, true), (2_172, true)];
        assert_eq!(
            told(&full, 0, |_| {}),
            "all 2,235 plans with at most 2 faults hold (two or more: of the core kinds)"
        );
        let cut = [(1, true), (62, true), (437, false)];
        assert_eq!(
            told(&cut, 0, |_| {}),
            "all 63 plans with at most 1 fault hold, and 437 of the plans with 2 faults"
        );
        assert_eq!(
            told(&cut[..2], 7, |_| {}),
            "after 7 events of this run: all 63 plans with at most 1 more fault hold"
        );
        let random = |report: &mut Report| {
            report.swarm = 30;
            report.schedules = 1;
            (report.guided, report.situations) = (40, 1_234);
        };
        assert_eq!(
            told(&[(1, true)], 0, random),
            "the healthy run holds, and 30 random plans of 1 to 12 faults, and 1 random order, \
             and 40 guided plans through 1,234 situations"
        );
    }
}
