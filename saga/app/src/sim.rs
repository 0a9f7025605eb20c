//! `sagalog sim`: a saga under every plan of few faults, under one plan, or as it was captured.

mod captured;
mod order;
mod plan;

use std::{error::Error, path::PathBuf, process::ExitCode};

use sagalog_sim::{Explore, Sim};

pub(crate) use captured::world;
pub(crate) use order::order;

use crate::{App, CliError, Exit, Output};

/// Its options.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The saga's name, if the program simulates several
    name: Option<String>,
    /// Every plan of at most so many faults
    #[arg(long, value_name = "K", default_value_t = 2, conflicts_with = "plan")]
    faults: usize,
    /// And so many random plans of more faults
    #[arg(long, value_name = "N", default_value_t = 500, conflicts_with = "plan")]
    swarm: u64,
    /// At most so many runs in all
    #[arg(
        long,
        value_name = "RUNS",
        conflicts_with = "plan",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    at_most: Option<u64>,
    /// Only the plan in this file, as a report shows it
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// What is behind the history in this file, as `history export` writes it: the plan that brings it about again,
    /// and a test to paste
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["name", "faults", "swarm", "at_most", "plan", "html"]
    )]
    capture: Option<PathBuf>,
    /// Also writes a page to look at: the failing run, or else the healthy one
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Simulates, and tells what came of it.
pub(crate) fn run(args: &Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    if let Some(file) = &args.capture {
        return captured::run(file, app, output);
    }
    let sim = pick(args.name.as_deref(), app)?;
    let holds = match &args.plan {
        Some(file) => {
            let run = plan::run(&sim, file)?;
            if let Some(file) = &args.html {
                output.write(file, run.html())?;
            }
            if output.is_json() {
                output.json(&run.document())?;
            } else {
                output.print(run.timeline())?;
            }
            run.violation().is_none()
        }
        None => {
            sim.sound().map_err(|error| unsound(&error))?;
            let explored = sim.explore(args.budget());
            if let Some(file) = &args.html {
                output.write(file, explored.html())?;
            }
            let document = explored.document();
            if output.is_json() {
                output.json(&document)?;
            } else {
                output.print(&document)?;
            }
            document.holds
        }
    };
    Ok(if holds { Exit::Done } else { Exit::Failed }.into())
}

impl Args {
    fn budget(&self) -> Explore {
        let budget = Explore::exhaustive(self.faults).and_swarm(self.swarm);
        self.at_most.map_or(budget, |runs| budget.at_most(runs))
    }
}

/// A simulation that its author has to complete.
pub(crate) fn unsound(error: &dyn Error) -> CliError {
    CliError::new("unsound_simulation", Exit::Usage, error.to_string())
}

fn pick(name: Option<&str>, app: &App) -> Result<Sim, CliError> {
    let sims: Vec<_> = app.simulations().collect();
    let name_of = |sim: &Sim| sim.definition().graph().saga.clone();
    let known = || {
        let names: Vec<_> = sims.iter().map(name_of).collect();
        names.join(", ")
    };
    match (name, &*sims) {
        (_, []) => {
            let message = "this program simulates no saga";
            Err(CliError::new("no_simulation", Exit::Usage, message)
                .fix("offer one with App::simulated, in the binary that defines the saga"))
        }
        (None, [only]) => Ok(only.clone()),
        (None, _) => {
            let message = "this program simulates several sagas";
            let fix = format!("name one of them: {}", known());
            Err(CliError::new("several_simulations", Exit::Usage, message).fix(fix))
        }
        (Some(name), sims) => {
            let found = sims.iter().find(|sim| name_of(sim) == name);
            found.cloned().ok_or_else(|| {
                let message = format!("this program does not simulate a saga {name}");
                let fix = format!("it simulates: {}", known());
                CliError::new("no_such_definition", Exit::NotFound, message).fix(fix)
            })
        }
    }
}

const HELP: &str = "\
A plan says what goes wrong in a run, one fault a line, each with its place:
  reply s1 charge#1: lost
  commit s1 charge#2: crash after
All that a plan does not name goes well. A fault bites if it has a consequence.
docs/simulation.md lists the places and the faults.

Exit codes: 0 all holds, 1 something is violated, nothing is shown, or a captured history does not happen
again, 2 the plan is not one, 3 no such file, step or place, or a fault of the plan changes nothing";
