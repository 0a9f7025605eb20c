//! Looks for every planted bug and says how each was found, or how many runs each way needs.

use std::process::ExitCode;

use sagalog_sim::mutants::{Budget, Hunt, Mutant, Way, hunt};
use serde::Serialize;

const USAGE: &str =
    "usage: mutants [--budget ci|nightly|exhaustive|swarm|schedules|guided] [--json] [NAME...]";

#[derive(Serialize)]
struct Line {
    mutant: &'static str,
    pattern: u8,
    faults: u8,
    found: bool,
    mode: Option<&'static str>,
    saga: Option<&'static str>,
    runs: u64,
    ms: u128,
    plan_size: Option<usize>,
    replays: Option<u64>,
    shrunk_in_ms: Option<u128>,
    plan: Option<String>,
    invariant: Option<&'static str>,
}

struct Arguments {
    budget: Budget,
    json: bool,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A planted bug may well end in a panic; it is caught and reported as a violation.
    std::panic::set_hook(Box::new(|_| {}));
    let lines: Vec<_> = Mutant::ALL
        .iter()
        .filter(|mutant| {
            arguments.names.is_empty() || arguments.names.iter().any(|name| name == mutant.name())
        })
        .map(|mutant| {
            let hunt = hunt(Some(*mutant), arguments.budget);
            let line = line(*mutant, &hunt);
            if !arguments.json {
                print(&line);
                if let Some(catch) = hunt.catch.filter(|_| !arguments.names.is_empty()) {
                    println!("{}", catch.timeline);
                }
            }
            line
        })
        .collect();
    let found = lines.iter().filter(|line| line.found).count();
    if arguments.json {
        let text = serde_json::to_string_pretty(&lines).expect("lines are written as JSON");
        println!("{text}");
    } else {
        let (all, rate) = (
            lines.len(),
            100.0 * found as f64 / lines.len().max(1) as f64,
        );
        println!("{found} of {all} found ({rate:.1} %)");
        shrunk("runs", lines.iter().filter_map(|line| line.replays));
        shrunk("ms", lines.iter().filter_map(|line| line.shrunk_in_ms));
    }
    if found == lines.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        budget: Budget::Ci,
        json: false,
        names: Vec::new(),
    };
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--json" => arguments.json = true,
            "--budget" => {
                let name = given.next().unwrap_or_default();
                let way = Way::ALL.into_iter().find(|way| way.name() == name);
                arguments.budget = match (&*name, way) {
                    ("ci", _) => Budget::Ci,
                    ("nightly", _) => Budget::Nightly,
                    (_, Some(way)) => Budget::Only(way),
                    _ => return Err(format!("`{name}` is no budget")),
                }
            }
            name if Mutant::ALL.iter().any(|mutant| mutant.name() == name) => {
                arguments.names.push(argument);
            }
            other => return Err(format!("`{other}` is no option and no planted bug")),
        }
    }
    Ok(arguments)
}

/// What shrinking takes.
fn shrunk<N: Copy + Ord + std::fmt::Display>(unit: &str, needed: impl Iterator<Item = N>) {
    let mut needed: Vec<_> = needed.collect();
    needed.sort_unstable();
    if let Some(most) = needed.last() {
        let median = needed[needed.len() / 2];
        println!("shrunk in {median} {unit} (median), {most} {unit} at most");
    }
}

fn line(mutant: Mutant, hunt: &Hunt) -> Line {
    let catch = hunt.catch.as_ref();
    Line {
        mutant: mutant.name(),
        pattern: mutant.pattern(),
        faults: mutant.faults(),
        found: catch.is_some(),
        mode: catch.map(|catch| catch.mode),
        saga: catch.map(|catch| catch.saga),
        runs: hunt.runs,
        ms: hunt.millis,
        plan_size: catch.map(|catch| catch.faults),
        replays: catch.map(|catch| catch.replays),
        shrunk_in_ms: catch.map(|catch| catch.shrunk_in),
        plan: catch.map(|catch| catch.plan.to_string()),
        invariant: catch.map(|catch| catch.invariant),
    }
}

fn print(line: &Line) {
    let (mutant, runs, ms) = (line.mutant, line.runs, line.ms);
    match (line.mode, line.saga, line.plan_size, line.invariant) {
        (Some(mode), Some(saga), Some(size), Some(invariant)) => println!(
            "found  {mutant:<36} #{:<3} {invariant:<4} {size}/{} faults  {mode:<12} {saga:<11} {runs:>7} runs {ms:>6} ms",
            line.pattern, line.faults
        ),
        _ => println!(
            "ALIVE  {mutant:<36} #{:<3} {runs} runs, {ms} ms",
            line.pattern
        ),
    }
}
