//! What an action would come to: its saga is folded from the log and the request decided on, as its owner would.
//! Nothing is written.

use std::process::ExitCode;

use sagalog::request::{Preview, Request};
use sagalog_engine::WayBack;
use sagalog_model::{Direction, SagaEvent, event::NodeId, graph};
use sagalog_projections::{timeline::Timeline, why::WaitsFor};
use serde::Serialize;

use super::{
    held::Input,
    legal,
    recorded::saga_id,
    rows::what_is_held,
    subject::Subject,
    told::Told,
    undriven,
    why::{self, Why},
};
use crate::{
    App,
    error::{CliError, Exit, listed},
    log::LogArg,
    output::Output,
    words::{count, plain},
};

/// What would be done, as JSON.
#[derive(Serialize)]
struct Would<'a> {
    would: &'a str,
    saga: &'a str,
    /// The held input that it is about; missing if it is about none.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Input>,
    /// How many wait behind that.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<usize>,
    /// What would be recorded; nothing if it says nothing new.
    events: Vec<Told>,
    /// Who would be asked for what at once.
    asks: Vec<Ask<'a>>,
    /// The node from which on it is not known, for want of the definition's own code; missing if all is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_from: Option<&'a NodeId>,
    /// Where the saga would stand, as `saga why` says it.
    then: Why<'a>,
    /// How it ends if whatever is asked is answered well; missing if it does not go back.
    #[serde(skip_serializing_if = "Option::is_none")]
    way_back: Option<Back>,
    /// What is legal as it stands now.
    legal: Vec<String>,
}

/// Where a way back leads to, as JSON.
#[derive(Serialize)]
struct Back {
    status: &'static str,
    /// The nodes that are undone from now on, in this order.
    undone: Vec<NodeId>,
    /// The nodes that wait for a person in the end.
    parked: Vec<NodeId>,
    /// The nodes whose effects are left in the end.
    left: Vec<NodeId>,
}

/// Something that a participant would be asked, as JSON.
#[derive(Serialize)]
struct Ask<'a> {
    participant: &'a str,
    step: &'a str,
    node: &'a NodeId,
    direction: Direction,
    attempt: u32,
}

/// Says what would follow.
pub(super) async fn run(
    word: &str,
    request: &Request,
    log: &LogArg,
    app: &App,
    output: Output,
) -> Result<ExitCode, CliError> {
    let saga = saga_id(request.saga().unwrap_or_default())?;
    let log = log.read().await?;
    if let Some(undriven) = undriven::find(&log, &saga).await? {
        return undriven.would(word, request, output);
    }
    let subject = Subject::read(&log, &saga, app).await?;
    let preview = match subject.preview(request) {
        Ok(preview) => preview,
        Err(error) => return Err(error.legal(legal::actions(&subject))),
    };
    let timeline = subject.timeline_with(&preview.events)?;
    let would = would(word, request, &subject, &preview, &timeline);
    if output.is_json() {
        output.json(&would)?;
    } else {
        output.print(text(&would, request, &subject, &timeline))?;
    }
    Ok(Exit::Done.into())
}

fn would<'a>(
    word: &'a str,
    request: &Request,
    subject: &'a Subject,
    preview: &'a Preview,
    timeline: &'a Timeline,
) -> Would<'a> {
    let all = subject.state.held();
    let about = match request {
        Request::Release { number, .. } | Request::Drop { number, .. } => {
            all.iter().position(|held| held.number == *number)
        }
        _ => None,
    };
    let before = subject.state.version();
    let events = (1..).zip(&preview.events);
    Would {
        would: word,
        saga: subject.recorded.id.as_str(),
        held: about.and_then(|at| all.iter().nth(at)).map(Input::of),
        behind: about.map(|at| all.len() - 1 - at),
        events: events
            .map(|(count, event)| Told::of(before.plus(count), None, event))
            .collect(),
        asks: asks(preview, timeline),
        unknown_from: preview.unknown_from.as_ref(),
        then: why::answer(timeline, &[]),
        way_back: subject.way_back(preview).map(Back::of),
        legal: legal::actions(subject),
    }
}

impl Back {
    fn of(WayBack { state, undone }: WayBack) -> Self {
        let parked = state.parked();
        let parked = parked.map(|(index, _)| state.graph().node(index).id.clone());
        Self {
            status: state.status().as_str(),
            undone,
            parked: parked.collect(),
            left: state.left().to_vec(),
        }
    }

    fn text(&self) -> String {
        let mut text = match self.parked.as_slice() {
            [] => format!("if all goes well it is {} in the end", self.status),
            parked => format!(
                "if all goes well it comes to wait for a person at {}",
                parked.join(", ")
            ),
        };
        if !self.undone.is_empty() {
            text.push_str(&format!(
                "; undone by then, in this order: {}",
                self.undone.join(", ")
            ));
        }
        if !self.left.is_empty() {
            text.push_str(&format!(
                "; left with their effects: {}",
                self.left.join(", ")
            ));
        }
        text
    }
}

/// What of that which would be waited for is asked by these events.
fn asks<'a>(preview: &'a Preview, timeline: &'a Timeline) -> Vec<Ask<'a>> {
    let asked = preview.events.iter().filter_map(|event| match event {
        SagaEvent::AttemptAsked(asked) => Some(asked),
        _ => None,
    });
    let of = |asked: &'a sagalog_model::event::AttemptAsked| {
        let waiting = timeline.waiting.iter();
        let mut steps = waiting.filter_map(|waiting| match &waiting.what {
            WaitsFor::Reply {
                step,
                direction,
                attempt,
                ..
            } => {
                let is_it = (&waiting.node, *direction, *attempt)
                    == (&asked.node, asked.direction, asked.attempt.0);
                is_it.then_some(&**step)
            }
            _ => None,
        });
        steps.next().map(|step| Ask {
            participant: graph::participant(step),
            step,
            node: &asked.node,
            direction: asked.direction,
            attempt: asked.attempt.0,
        })
    };
    asked.filter_map(of).collect()
}

fn text(would: &Would<'_>, request: &Request, subject: &Subject, timeline: &Timeline) -> String {
    let mut lines = Vec::new();
    let (word, saga) = (would.would, would.saga);
    match would.events.len() as u64 {
        0 => lines.push(format!(
            "{word} says nothing new to saga {saga}: nothing would be recorded"
        )),
        events => {
            let events = count(events, "event");
            lines.push(format!("{word} would record {events} of saga {saga}"));
        }
    }
    for Told {
        version,
        kind,
        words,
        ..
    } in &would.events
    {
        lines.push(format!("{version:>6}  {kind}  {words}"));
    }
    if let (Some(held), Some(behind)) = (&would.held, would.behind) {
        let behind = count(behind as u64, "input");
        let what = what_is_held(&held.input);
        lines.push(format!(
            "it is about input {}, {what}; behind it: {behind}",
            held.number
        ));
    }
    for ask in &would.asks {
        let Ask {
            participant,
            step,
            node,
            direction,
            attempt,
        } = ask;
        lines.push(format!(
            "it would ask {participant} for {step}: attempt {attempt} of the {direction} of {node}"
        ));
    }
    let graph = subject.state.graph();
    let (definition, version) = (&graph.saga, graph.version.0);
    let program = format!("a program that has the definition of {definition} version {version}");
    if let Some(node) = would.unknown_from {
        lines.push(format!(
            "what follows at {node} is not known here: the definition's own code computes it, and the log has only \
             its graph; {program} knows it"
        ));
    }
    if matches!(
        request,
        Request::Signal { .. } | Request::SignalInOrder { .. }
    ) && !subject.has_code
    {
        lines.push(format!(
            "whether the signal takes this payload is not known here; {program} knows it"
        ));
    }
    let mut text = String::new();
    for line in &lines {
        text.push_str(&plain(line));
        text.push('\n');
    }
    text.push_str("then\n");
    for line in why::text(timeline, &[]).lines() {
        text.push_str(&format!("  {line}\n"));
    }
    if let Some(back) = &would.way_back {
        text.push_str(&format!("{}\n", back.text()));
    }
    text.push_str(&format!("legal now: {}\n", listed(&would.legal)));
    text
}
