//! `sagalog saga why`

use std::{fmt::Write, process::ExitCode};

use sagalog_model::{graph, log::Time};
use sagalog_projections::{
    timeline::Timeline,
    why::{Held, Missing, Waiting, WaitsFor},
};
use serde::Serialize;

use super::{
    recorded::{Recorded, saga_id},
    rows::{kept_alive, what_is_held, what_was_parked, why_it_turned},
    undriven,
    way::Reach,
};
use crate::{
    App,
    error::{CliError, Exit},
    output::Output,
    participant,
    words::{count, numbers, plain, span, utc},
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The saga's id
    id: String,
    /// As of this version of its stream
    #[arg(long, value_name = "VERSION")]
    at: Option<u64>,
    #[command(flatten)]
    reach: Reach,
}

/// The answer, as JSON. Times are microseconds since 1970.
#[derive(Serialize)]
pub(super) struct Why<'a> {
    saga: &'a str,
    definition: &'a str,
    definition_version: u32,
    version: u64,
    status: &'a str,
    turned: &'a Option<sagalog_projections::why::Turned>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: &'a Option<sagalog_projections::why::Paused>,
    waiting: &'a [Waiting],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    held: &'a [Held],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing: &'a [Missing],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unperformed: &'a [Unperformed],
    to_do: Vec<&'a str>,
    pivot_passed: bool,
    deadline: &'a Option<sagalog_projections::why::Deadline>,
    left: &'a [sagalog_model::event::NodeId],
}

/// A step that is waited for, and that no instance which may be there performs.
#[derive(Serialize)]
pub(super) struct Unperformed {
    node: sagalog_model::event::NodeId,
    step: std::sync::Arc<str>,
    participant: String,
}

/// Explains.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let log = args.reach.log().read().await?;
    if let Some(undriven) = undriven::find(&log, &saga_id(&args.id)?).await? {
        undriven.print(output)?;
        return Ok(Exit::Done.into());
    }
    let timeline = Recorded::read(args.reach.log(), &args.id)
        .await?
        .timeline(args.at)?;
    let unperformed = unperformed(&timeline, &args.reach, app, output).await;
    if output.is_json() {
        output.json(&answer(&timeline, &unperformed))?;
    } else {
        output.print(text(&timeline, &unperformed))?;
    }
    Ok(Exit::Done.into())
}

/// Asks for the participants that a saga waits for, if somebody can be asked.
async fn unperformed(
    timeline: &Timeline,
    reach: &Reach,
    app: &App,
    output: Output,
) -> Vec<Unperformed> {
    let asked = timeline
        .waiting
        .iter()
        .filter_map(|waiting| match &waiting.what {
            WaitsFor::Reply { step, .. } => Some((waiting.node.clone(), step.clone())),
            _ => None,
        });
    let asked: Vec<_> = asked.collect();
    if asked.is_empty() || !reach.is_there() {
        return Vec::new();
    }
    let there = match participant::ask(reach, None, app, output).await {
        Ok(there) => there,
        Err(error) => {
            output.say(format_args!(
                "which participants are there is not known: {error}"
            ));
            return Vec::new();
        }
    };
    let unperformed = asked
        .into_iter()
        .filter(|(_, step)| !there.iter().any(|seen| seen.performs(step)));
    let unperformed = unperformed.map(|(node, step)| Unperformed {
        node,
        participant: graph::participant(&step).to_owned(),
        step,
    });
    unperformed.collect()
}

pub(super) fn answer<'a>(timeline: &'a Timeline, unperformed: &'a [Unperformed]) -> Why<'a> {
    Why {
        saga: timeline.saga.as_str(),
        definition: &timeline.definition,
        definition_version: timeline.definition_version,
        version: timeline.last.version.get(),
        status: timeline.status,
        turned: &timeline.turned,
        paused: &timeline.paused,
        waiting: &timeline.waiting,
        held: &timeline.held,
        missing: &timeline.missing,
        unperformed,
        to_do: timeline.ahead.iter().map(|ahead| &*ahead.node).collect(),
        pivot_passed: timeline.pivot_passed,
        deadline: &timeline.deadline,
        left: &timeline.left,
    }
}

pub(super) fn text(timeline: &Timeline, unperformed: &[Unperformed]) -> String {
    let mut text = format!(
        "{} is {} ({} version {})\n",
        timeline.saga, timeline.status, timeline.definition, timeline.definition_version
    );
    let moment = |at: Time| moment(timeline, at);
    if let Some(turned) = &timeline.turned {
        line(
            &mut text,
            format_args!("it went back {}", why_it_turned(turned)),
        );
    }
    if let Some(paused) = &timeline.paused {
        let (by, reason) = (&paused.by, &paused.reason);
        line(&mut text, format_args!("it is paused by {by}: {reason}"));
        line(
            &mut text,
            format_args!("  since      {}", moment(paused.since)),
        );
        line(&mut text, format_args!("  unblocked  by an operator"));
        line(&mut text, format_args!("  next       {}", paused.next));
    }
    for waiting in &timeline.waiting {
        line(
            &mut text,
            format_args!("{} waits for {}", waiting.node, what(waiting)),
        );
        line(
            &mut text,
            format_args!("  since      {}", moment(waiting.since)),
        );
        match waiting.until {
            Some(until) => line(&mut text, format_args!("  until      {}", moment(until))),
            None => line(&mut text, format_args!("  until      it is unblocked")),
        }
        line(&mut text, format_args!("  unblocked  by {}", waiting.who));
        line(&mut text, format_args!("  next       {}", waiting.next));
    }
    for Unperformed {
        step, participant, ..
    } in unperformed
    {
        line(
            &mut text,
            format_args!(
                "nobody performs {step}: no instance of {participant} is there that has announced it"
            ),
        );
    }
    if let Some(first) = timeline.held.first() {
        let (number, input) = (first.number, what_is_held(&first.input));
        let reason = first.reason.as_deref().unwrap_or("nobody has decided");
        line(
            &mut text,
            format_args!("input {number} is held, {input}: {reason}"),
        );
        line(
            &mut text,
            format_args!("  since      {}", moment(first.since)),
        );
        let behind = count(timeline.held.len() as u64 - 1, "input");
        line(&mut text, format_args!("  behind it  {behind}"));
        line(&mut text, format_args!("  unblocked  by an operator"));
        line(
            &mut text,
            format_args!("  next       `held release`, `held edit` or `held drop`"),
        );
    }
    for missing in &timeline.missing {
        line(&mut text, format_args!("{}", what_is_missing(missing)));
        line(
            &mut text,
            format_args!("  since      {}", moment(missing.since)),
        );
        line(
            &mut text,
            format_args!("  until      {}", moment(missing.until)),
        );
        line(
            &mut text,
            format_args!("  unblocked  by {}", missing.producer),
        );
        line(&mut text, format_args!("  next       {}", missing.next));
    }
    if !timeline.ahead.is_empty() {
        let nodes: Vec<_> = timeline.ahead.iter().map(|ahead| &*ahead.node).collect();
        let word = if timeline.turned.is_some() {
            "to undo"
        } else {
            "ahead"
        };
        line(&mut text, format_args!("{word}: {}", nodes.join(", ")));
    }
    if !timeline.left.is_empty() {
        line(
            &mut text,
            format_args!("left with their effects: {}", timeline.left.join(", ")),
        );
    }
    match &timeline.deadline {
        Some(deadline) if deadline.overdue => {
            line(
                &mut text,
                format_args!(
                    "its deadline passed after the pivot, so it goes on: {}",
                    moment(deadline.at)
                ),
            );
        }
        Some(deadline) if !is_over(timeline) && timeline.turned.is_none() => {
            line(
                &mut text,
                format_args!("its deadline: {}", moment(deadline.at)),
            );
        }
        _ => {}
    }
    if timeline.pivot_passed && !is_over(timeline) {
        line(
            &mut text,
            format_args!("its pivot is passed: from here on it only goes forward"),
        );
    }
    if is_over(timeline) {
        line(
            &mut text,
            format_args!("it ended {}", moment(timeline.last.at)),
        );
    } else if timeline.waiting.is_empty() && timeline.paused.is_none() {
        line(
            &mut text,
            format_args!("it waits for nothing: whoever drives the log goes on with it"),
        );
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{}", plain(&line.to_string())).expect("a String takes all text");
}

fn is_over(timeline: &Timeline) -> bool {
    matches!(
        timeline.status,
        "Completed" | "Compensated" | "PartlyCompensated"
    )
}

fn moment(timeline: &Timeline, at: Time) -> String {
    format!(
        "{}, {} after its start",
        utc(at),
        span(at.since(timeline.started.at))
    )
}

fn what_is_missing(missing: &Missing) -> String {
    let kept = count(missing.kept as u64, "signal");
    let numbers = numbers(missing.from, missing.to);
    format!("{kept} of {} kept, missing: {numbers}", missing.producer)
}

fn what(waiting: &Waiting) -> String {
    match &waiting.what {
        WaitsFor::Reply {
            step,
            direction,
            attempt,
            progress,
        } => {
            let progress = progress.as_deref().map_or_else(String::new, kept_alive);
            format!("the answer of {step} to attempt {attempt} of its {direction}{progress}")
        }
        WaitsFor::Retry {
            direction,
            attempt,
            trouble,
        } => {
            let trouble = trouble
                .as_ref()
                .map_or_else(String::new, |trouble| format!(", because of: {trouble}"));
            format!("the time of attempt {attempt} of its {direction}{trouble}")
        }
        WaitsFor::Sleep => "the end of its sleep".into(),
        WaitsFor::Signal { signal } => format!("the signal {signal}"),
        WaitsFor::Person { cause, reason } => {
            format!("a person: {}: {reason}", what_was_parked(*cause))
        }
    }
}
