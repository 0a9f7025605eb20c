//! Tries the sagas of the tests with more than a test can afford:
//! `sagas [--faults N] [--swarm N] [--schedules N] [--guided N] [--at-most N] [--nodes N] [--cancel STEP:UNTIL] [--plan FILE] [NAME...]`.
//!
//! All numbers are for each saga. `--nodes 3` runs each in a world of three nodes.
//! `--cancel 3:60` cancels each saga after 0, 3, 6 and so on up to 60 ms, in an exploration for each.
//! `--plan` runs one plan instead, and prints what happens.

#[path = "../sagas/mod.rs"]
mod sagas;

use std::{
    fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use sagalog_sim::{Decide, Explore, Mend, Plan, Sim, World};

const USAGE: &str = "usage: sagas [--faults N] [--swarm N] [--schedules N] [--guided N] [--at-most N] [--nodes N] [--cancel STEP:UNTIL] [--plan FILE] [NAME...]";

struct Arguments {
    budget: Explore,
    plan: Option<Plan>,
    cancels: Vec<u64>,
    nodes: u32,
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
    let wanted =
        |name| arguments.names.is_empty() || arguments.names.iter().any(|other| other == name);
    let (began, mut all_runs, mut all_hold) = (Instant::now(), 0, true);
    for saga in sagas::all().into_iter().filter(|saga| wanted(saga.name)) {
        let began = Instant::now();
        let mut runs = 0;
        let sim = saga.sim.nodes(arguments.nodes);
        for (when, sim) in cancelled(&sim, &arguments.cancels) {
            match try_out(&sim, &arguments) {
                Ok(more) => runs += more,
                Err(failure) => {
                    println!("{}{when}:\n{failure}", saga.name);
                    all_hold = false;
                }
            }
        }
        all_runs += runs;
        let ms = began.elapsed().as_millis();
        println!("{:20} {runs:>9} runs {ms:>8} ms", saga.name);
    }
    let rate = all_runs as f64 / began.elapsed().as_secs_f64();
    println!("{:20} {all_runs:>9} runs, {rate:.0} a second", "all");
    if all_hold {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The saga as it is, or cancelled at each of these times.
fn cancelled(sim: &Sim, at: &[u64]) -> Vec<(String, Sim)> {
    if at.is_empty() {
        return vec![(String::new(), sim.clone())];
    }
    let cancelled = |at: &u64| {
        let sim = sim.clone().cancel(Duration::from_millis(*at));
        (format!(", cancelled after {at} ms"), sim)
    };
    at.iter().map(cancelled).collect()
}

/// The number of runs, or what failed.
fn try_out(sim: &Sim, arguments: &Arguments) -> Result<u64, String> {
    if let Some(plan) = &arguments.plan {
        let run = sim.run(plan).map_err(|why| why.to_string())?;
        println!("{}", run.timeline());
        return run
            .violation()
            .map_or(Ok(1), |_| Err("the plan fails".to_owned()));
    }
    let explored = sim.explore(arguments.budget);
    match explored.report().failure {
        None => Ok(explored.report().runs),
        Some(_) => Err(explored.document().to_string()),
    }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut faults, mut swarm, mut schedules, mut guided) = (1, 0, 0, 0);
    let mut at_most = u64::MAX;
    let mut arguments = Arguments {
        budget: Explore::exhaustive(1),
        plan: None,
        cancels: Vec::new(),
        nodes: 1,
        names: Vec::new(),
    };
    while let Some(argument) = given.next() {
        if !argument.starts_with('-') {
            arguments.names.push(argument);
            continue;
        }
        let value = given
            .next()
            .ok_or_else(|| format!("{argument} needs a value"))?;
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("`{value}` is no number"))
        };
        match &*argument {
            "--faults" => faults = number()? as usize,
            "--swarm" => swarm = number()?,
            "--schedules" => schedules = number()?,
            "--guided" => guided = number()?,
            "--nodes" => arguments.nodes = number()? as u32,
            "--at-most" => at_most = number()?,
            "--cancel" => {
                arguments.cancels =
                    times(&value).ok_or_else(|| format!("`{value}` is not STEP:UNTIL"))?
            }
            "--plan" => {
                let text = fs::read_to_string(&value).map_err(|why| format!("{value}: {why}"))?;
                arguments.plan = Some(text.parse().map_err(|why| format!("{value}: {why}"))?);
            }
            _ => return Err(format!("`{argument}` is no option")),
        }
    }
    arguments.budget = Explore::exhaustive(faults)
        .and_swarm(swarm)
        .and_schedules(schedules)
        .and_guided(guided)
        .at_most(at_most);
    Ok(arguments)
}

fn times(given: &str) -> Option<Vec<u64>> {
    let (step, until) = given.split_once(':')?;
    let step = step.parse().ok().filter(|step| *step > 0)?;
    Some((0..=until.parse().ok()?).step_by(step).collect())
}
