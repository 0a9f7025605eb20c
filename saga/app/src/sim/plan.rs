//! A plan in a file.

use std::{fs, io, path::Path};

use sagalog_model::Kind;
use sagalog_sim::{CannotRun, NoSuchPlace, Plan, Point, Run, Sim, Site, Subject};

use crate::{CliError, Exit, error::chain};

/// Runs the plan of a file.
pub(super) fn run(sim: &Sim, file: &Path) -> Result<Run, CliError> {
    let text = fs::read_to_string(file).map_err(|error| {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failed,
        };
        let message = format!("{} cannot be read: {error}", file.display());
        CliError::new("no_plan", exit, message)
    })?;
    let plan: Plan = text.parse().map_err(|error| {
        let message = format!("{}, {}", file.display(), chain(&error));
        CliError::new("bad_plan", Exit::Usage, message)
    })?;
    sim.run(&plan).map_err(|error| match error {
        CannotRun::NoSuchPlace(error) => no_such_place(sim, file, &text, &error),
        error => super::unsound(&error),
    })
}

/// A plan that reads well and does not fit: it says what would.
fn no_such_place(sim: &Sim, file: &Path, text: &str, error: &NoSuchPlace) -> CliError {
    let line = text.lines().position(|line| names(line, &error.site));
    let line = line.map_or_else(String::new, |at| format!(", line {}", at + 1));
    let graph = sim.definition().graph();
    let node = match (&error.site.subject, error.site.point) {
        (Subject::Attempt { node, .. }, _) => Some(node),
        (Subject::Other(node), Point::Config) if error.site.saga > 0 => Some(node),
        _ => None,
    };
    let unknown = node.filter(|node| graph.find(node).is_none());
    let place = error.site.to_string();
    let (what, fix) = match (unknown, error.idle) {
        (Some(node), _) => {
            let steps = graph
                .iter()
                .filter(|(_, node)| matches!(node.kind, Kind::Step { .. }))
                .map(|(_, node)| &*node.id);
            let steps: Vec<_> = steps.collect();
            (
                format!("the saga {} has no step `{node}`", graph.saga),
                meant(node, &steps, "its steps are"),
            )
        }
        (None, Some(fault)) => (
            format!("`{place}: {fault}` changes nothing in this run"),
            "leave it out, or put it where it matters".to_owned(),
        ),
        (None, None) => {
            let point = |place: &str| place.split(' ').next().map(str::to_owned);
            let visited = error.visited.iter().map(String::as_str);
            let alike = visited.filter(|other| point(other) == point(&place));
            let alike: Vec<_> = alike.collect();
            (
                format!("the run does not go through `{place}`"),
                meant(&place, &alike, "of that kind it goes through"),
            )
        }
    };
    let message = format!("{}{line}: {what}", file.display());
    CliError::new("no_such_place", Exit::NotFound, message).fix(fix)
}

/// The nearest of what there is, and all of it.
fn meant(word: &str, known: &[&str], are: &str) -> String {
    let nearest = known
        .iter()
        .min_by_key(|known| strsim::damerau_levenshtein(word, known));
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`? {are}: {}", known.join(", ")),
        None => "it goes through none of that kind".to_owned(),
    }
}

fn names(line: &str, site: &Site) -> bool {
    let place = line.trim().split_once(": ");
    place.is_some_and(|(place, _)| place.parse().as_ref() == Ok(site))
}
