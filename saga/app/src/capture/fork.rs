//! `sagalog history fork`

use std::process::ExitCode;

use sagalog_model::{Payload, log::Version};
use sagalog_sim::{CannotFork, Capture, End, Forked, Otherwise, Plan, Sim, Site};
use serde::Serialize;

use super::source::SourceArg;
use crate::{
    App,
    error::{CliError, Exit},
    output::{Output, Style},
    saga::told::Told,
    sim::world,
};

/// Its options.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArg,
    /// Up to this version of the stream both are the same; 0 is before the start
    #[arg(long, value_name = "VERSION")]
    at: usize,
    /// Something goes wrong there, as a line of a plan: `outcome s1 charge#1: fails`, `commit s1 charge#1: cancelled meanwhile`
    #[arg(long, value_name = "PLACE: FAULT")]
    fault: Vec<String>,
    /// Nothing goes wrong at this place of a plan: `outcome s1 charge#1`
    #[arg(long, value_name = "PLACE")]
    well: Vec<Site>,
    /// The saga begins with this
    #[arg(long, value_name = "JSON", value_parser = json)]
    input: Option<Payload>,
    /// A step gives this, whatever it is given
    #[arg(long, value_name = "STEP=JSON", value_parser = named)]
    gives: Vec<(String, Payload)>,
    /// A signal carries this
    #[arg(long, value_name = "NAME=JSON", value_parser = named)]
    signal: Vec<(String, Payload)>,
    /// It runs this version of the definition that the program has
    #[arg(long, value_name = "N")]
    definition_version: Option<u32>,
}

fn json(text: &str) -> Result<Payload, String> {
    Payload::parse(text).map_err(|error| error.to_string())
}

fn named(text: &str) -> Result<(String, Payload), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("it has no `=` between name and JSON")?;
    Ok((name.to_owned(), json(value)?))
}

/// Two ends, as JSON.
#[derive(Serialize)]
struct Ends {
    /// The version up to which both are the same.
    at: usize,
    /// Whether they are the same behind it as well, apart from times and ids.
    same: bool,
    /// What went wrong in the second, as the lines of a plan.
    plan: Vec<String>,
    recorded: Then,
    forked: Then,
}

/// What happened behind that version, as JSON.
#[derive(Serialize)]
struct Then {
    status: &'static str,
    then: Vec<Told>,
}

/// Forks.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let (capture, source) = args.source.capture().await?;
    let sim = args.world(&capture, &source, app)?;
    sim.sound().map_err(|error| crate::sim::unsound(&error))?;
    let otherwise = args.otherwise()?;
    let forked = sim.fork(&capture, args.at, &otherwise).map_err(refused)?;
    let ends = Ends::of(&forked);
    if output.is_json() {
        output.json(&ends)?;
    } else {
        ends.show(output)?;
    }
    Ok(Exit::Done.into())
}

impl Args {
    fn world(&self, capture: &Capture, source: &str, app: &App) -> Result<Sim, CliError> {
        let Some(version) = self.definition_version else {
            return world(capture, source, app);
        };
        let saga = &capture.graph().saga;
        let another = app.definitions().iter().find(|definition| {
            let graph = definition.graph();
            graph.saga == *saga && graph.version.0 == version
        });
        let another = another.ok_or_else(|| {
            let message = format!("this program does not define {saga} version {version}");
            CliError::new("no_such_definition", Exit::NotFound, message)
                .fix("run this command in the program that defines it")
        })?;
        Ok(Sim::of_another(another.clone(), capture))
    }

    fn otherwise(&self) -> Result<Otherwise, CliError> {
        let faults: Plan = self.fault.join("\n").parse().map_err(|error| {
            let message = format!("--fault, {}", crate::error::chain(&error));
            CliError::new("bad_plan", Exit::Usage, message)
        })?;
        Ok(Otherwise {
            faults,
            well: self.well.clone(),
            input: self.input.clone(),
            gives: self.gives.iter().cloned().collect(),
            signals: self.signal.iter().cloned().collect(),
        })
    }
}

impl Ends {
    fn of(forked: &Forked) -> Self {
        let then = |end: &End| Then {
            status: end.status.as_str(),
            then: (forked.at as u64 + 1..)
                .zip(&end.events)
                .map(|(version, event)| Told::of(Version::new(version), None, event))
                .collect(),
        };
        Self {
            at: forked.at,
            same: forked.is_same(),
            plan: forked.plan.to_string().lines().map(str::to_owned).collect(),
            recorded: then(&forked.recorded),
            forked: then(&forked.forked),
        }
    }

    fn show(&self, output: Output) -> Result<(), CliError> {
        output.line(format_args!("both are the same up to version {}", self.at))?;
        for (name, end) in [("recorded", &self.recorded), ("forked", &self.forked)] {
            let status = output.styled(Style::Bold, end.status);
            output.line(format_args!("\n{name}: {status}"))?;
            for told in &end.then {
                output.line(format_args!("{:>6}  {}", told.version, told.words))?;
            }
        }
        let wrong = match self.plan.as_slice() {
            [] => "nothing goes wrong in the fork".to_owned(),
            plan => format!("what goes wrong in the fork: {}", plan.join(", ")),
        };
        output.line(format_args!("\n{wrong}"))?;
        if self.same {
            output.line("the two ends are the same, apart from times and ids")?;
        }
        Ok(())
    }
}

fn refused(error: CannotFork) -> CliError {
    match error {
        CannotFork::NoSuchVersion { .. } => {
            CliError::new("no_such_version", Exit::NotFound, error.to_string())
        }
        CannotFork::PartEarlier(_) => {
            CliError::new("parts_earlier", Exit::Conflict, error.to_string())
                .fix("fork before that version: --at")
        }
    }
}

const HELP: &str = "\
The fork runs in the simulator: nothing is asked, sent or written. What is not said to be otherwise is as on
record: what steps gave, what clients and people did, and what went wrong.

Exit codes: 0 forked, 3 no such file, saga, definition or version, 5 the two part earlier";
