//! From a captured history to the plan that brings it about again.

use std::{collections::BTreeMap, fmt, sync::Arc};

use sagalog_engine::{Query, Request, input::Wish};
use sagalog_model::{
    AnyDefinition, Direction, FailureClass, Kind, Numbered, Payload, SagaEvent,
    event::SagaEvent as E, log::Time,
};
use sagalog_projections::timeline::Placed;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    CannotReplay, Capture, Fault, Mend, Plan, Point, Sim, Site, Subject, World,
    world::{BEGINNING, Fails, subject_of},
};

/// The most plans that are tried.
const TRIED_MAX: usize = 64;

/// What fails a test until it is so.
const PROPERTY: &str = r#"
        .eventually("it completes", |world| {
            let saga = world.saga("s1");
            saga.is_some_and(|saga| saga.status() == sagalog::Status::Completed)
        })"#;

/// What of an event's control part depends on when things happen, or on who said them.
const PASSING: [&str; 6] = ["deadline", "until", "due", "id", "by", "fingerprint"];

/// What a capture comes to in a simulated world.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Inferred {
    /// The faults behind the history, as far as they show.
    #[serde(serialize_with = "as_text")]
    pub plan: Plan,
    /// Where the run with this plan leaves the history: none if it brings all of it about again, apart from
    /// times, ids and payloads, and up to the order between independent branches.
    pub leaves: Option<Leaves>,
    /// How many plans were tried.
    pub tried: usize,
}

/// The first event of a history that a run does not bring about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Leaves {
    /// Its version.
    pub version: usize,
    /// What is on record; none if the run goes on longer.
    pub recorded: Option<String>,
    /// What happens in the run; none if nothing more does.
    pub simulated: Option<String>,
}

impl Sim {
    /// A world in which a captured saga runs once more, as `s1`: begun with the recorded input; participants
    /// give what they gave, and clients and people do what they did.
    ///
    /// # Errors
    /// [`CannotReplay`] if the saga does not run this definition.
    pub fn of_capture(
        definition: impl Into<AnyDefinition>,
        capture: &Capture,
    ) -> Result<Self, CannotReplay> {
        let definition = definition.into();
        capture.runs(&definition)?;
        Self::of(definition, &Payload::null()).follows(capture)
    }

    /// This world with a captured saga instead of its own. What is recorded goes before what this world's
    /// participants give; its properties stay.
    ///
    /// # Errors
    /// [`CannotReplay`] if the saga does not run this world's definition.
    pub fn follows(self, capture: &Capture) -> Result<Self, CannotReplay> {
        capture.runs(self.definition())?;
        Ok(self.does_what_was_done(capture))
    }

    pub(crate) fn does_what_was_done(mut self, capture: &Capture) -> Self {
        self.setup.calls.clear();
        self.setup.sagas.clear();
        let events: Vec<_> = capture.events().collect();
        let Some(E::Started(started)) = events.first().map(|placed| placed.event) else {
            unreachable!("a capture begins with the start");
        };
        let mut sim = self.and_saga(&started.input);
        sim.gives_what_was_given(&events);
        sim.calls_as_was_called(&events);
        sim.mends_as_was_mended(&events);
        sim
    }

    fn gives_what_was_given(&mut self, events: &[Placed<'_>]) {
        let definition = self.definition().clone();
        let mut inputs = BTreeMap::new();
        let mut given: BTreeMap<String, BTreeMap<Arc<str>, Payload>> = BTreeMap::new();
        for placed in events {
            match placed.event {
                E::AttemptAsked(e) => {
                    if let (Direction::Action, Some(input)) = (e.direction, &e.input) {
                        inputs.insert(e.node.clone(), input.text());
                    }
                }
                E::AttemptSucceeded(e) => {
                    let step = step(&definition, &e.node);
                    if let (Some(step), Some(input), Some(output)) =
                        (step, inputs.get(&e.node), &e.output)
                    {
                        let of_step = given.entry(step).or_default();
                        of_step
                            .entry(input.clone())
                            .or_insert_with(|| output.clone());
                    }
                }
                _ => {}
            }
        }
        for step in definition.steps() {
            let name = step.name.to_string();
            let given = given.remove(&name).unwrap_or_default();
            let sample = definition.sample_output(&name).and_then(Result::ok);
            let participant = self.setup.participants.entry(name.clone()).or_default();
            let otherwise = participant.action.take();
            participant.action = Some(Arc::new(move |models, input, output| {
                match (given.get(input.as_str()), &otherwise, &sample) {
                    (Some(given), ..) => Ok(given.clone()),
                    (None, Some(otherwise), _) => otherwise(models, input, output),
                    (None, None, Some(sample)) => Ok(sample.clone()),
                    (None, None, None) => {
                        let why = format!("the capture does not say what `{name}` gives");
                        Err(Fails::permanent(why).into())
                    }
                }
            }));
        }
    }

    fn calls_as_was_called(&mut self, events: &[Placed<'_>]) {
        let (Some(first), saga) = (events.first(), self.setup.sagas[0].clone()) else {
            return;
        };
        let numbered = |signal: &Arc<str>, producer: &Arc<str>, number, payload: &Payload| {
            Query::Numbered(Numbered {
                signal: signal.clone(),
                producer: producer.clone(),
                number,
                payload: payload.clone(),
            })
        };
        let wished = |id: &Arc<str>, by: &Arc<str>, wish| {
            Query::Request(Request {
                id: id.clone(),
                by: by.clone(),
                until: None,
                wish,
            })
        };
        // Whoever resumes is on record.
        self.setup.resumes = None;
        for placed in events {
            let query = match placed.event {
                E::SignalReceived(e) => Query::Signal {
                    signal: e.signal.clone(),
                    id: e.id.clone(),
                    until: None,
                    payload: e.payload.clone(),
                },
                E::NumberedSignalReceived(e) => {
                    numbered(&e.signal, &e.producer, e.number, &e.payload)
                }
                E::SignalAhead(e) => numbered(&e.signal, &e.producer, e.number, &e.payload),
                E::CancelRequested(e) => {
                    let reason = e.reason.as_str().into();
                    wished(&e.id, &e.by, Wish::Cancel { reason })
                }
                E::CompensateRequested(e) => {
                    let reason = e.reason.as_str().into();
                    wished(&e.id, &e.by, Wish::Compensate { reason })
                }
                E::Paused(e) => {
                    let reason = e.reason.as_str().into();
                    wished(&e.id, &e.by, Wish::Pause { reason })
                }
                E::Resumed(e) => wished(&e.id, &e.by, Wish::Resume),
                E::DeadlineSet(e) => {
                    let from_the_start = |at: Time| BEGINNING.after(at.since(first.place.at));
                    let deadline = e.deadline.map(from_the_start);
                    let reason = e.reason.as_str().into();
                    wished(&e.id, &e.by, Wish::SetDeadline { deadline, reason })
                }
                _ => continue,
            };
            self.setup.races = true;
            let after = placed.place.since(first.place);
            self.call(after, saga.clone(), query, None);
        }
    }

    fn mends_as_was_mended(&mut self, events: &[Placed<'_>]) {
        let mut mended: BTreeMap<Arc<str>, Vec<Mend>> = BTreeMap::new();
        let mut waited = None;
        let mut parked = None;
        for placed in events {
            let (node, mend) = match placed.event {
                E::Parked(_) => {
                    parked = Some(placed.place);
                    continue;
                }
                E::RetryRequested(e) => (&e.node, Mend::Retry),
                E::ResolvedByHand(e) => (&e.node, Mend::Resolve(e.output.clone())),
                E::SkippedByHand(e) => (&e.node, Mend::Skip),
                _ => continue,
            };
            mended.entry(node.clone()).or_default().push(mend);
            waited = waited.or_else(|| parked.map(|parked| placed.place.since(parked)));
        }
        if let Some(waited) = waited {
            let mends = move |node: &str, times: u32| {
                let of_node = mended.get(node).map_or(&[][..], Vec::as_slice);
                let mend = of_node.get(times as usize - 1);
                // What was left alone on record is retried as often as it parks, and so differs.
                mend.cloned().unwrap_or(Mend::Skip)
            };
            self.setup.races = true;
            self.setup.mends = Some((waited, Arc::new(mends)));
        }
    }

    /// The plan that brings a captured history about again in this world, which
    /// [follows](Self::follows) it.
    ///
    /// # Panics
    /// If it is not [sound](Self::sound).
    #[track_caller]
    pub fn infer(&self, capture: &Capture) -> Inferred {
        let history = shapes(capture.events().map(|placed| placed.event));
        let is_over = capture
            .events()
            .last()
            .is_some_and(|last| last.event.is_terminal());
        let causes = causes(capture);
        let mut best: Option<(usize, Inferred)> = None;
        let mut chosen = vec![0; causes.len()];
        for tried in 1..=TRIED_MAX {
            let faults = causes.iter().zip(&chosen);
            let plan = faults.fold(Plan::healthy(), |plan, (cause, at)| {
                let (site, fault) = &cause[*at];
                plan.with(site.clone(), *fault)
            });
            let world = self.play(&plan);
            let plan = world
                .idle()
                .fold(plan.clone(), |plan, (site, _)| plan.without(site));
            let leaves = leaves(&history, is_over, &world);
            let reached = leaves.as_ref().map_or(usize::MAX, |leaves| leaves.version);
            let inferred = Inferred {
                plan,
                leaves,
                tried,
            };
            if best.as_ref().is_none_or(|(other, _)| reached > *other) {
                best = Some((reached, inferred));
            }
            if reached == usize::MAX || !next(&mut chosen, &causes) {
                break;
            }
        }
        let (_, inferred) = best.expect("one plan was tried");
        inferred
    }
}

/// What may be behind something that was recorded, the likeliest first.
pub(crate) type Cause = Vec<(Site, Fault)>;

/// The next choice of causes; none if there is no more.
fn next(chosen: &mut [usize], causes: &[Cause]) -> bool {
    for (at, cause) in chosen.iter_mut().zip(causes) {
        *at += 1;
        if *at < cause.len() {
            return true;
        }
        *at = 0;
    }
    false
}

/// What may be behind each thing that went wrong.
pub(crate) fn causes(capture: &Capture) -> Vec<Cause> {
    let events: Vec<_> = capture.events().map(|placed| placed.event).collect();
    let mut causes = Vec::new();
    let mut last = None;
    let mut number = 0;
    for row in capture.rows() {
        let fact = events[number];
        number += row.row.events.len();
        let of = |node: &Arc<str>, direction, attempt: u32| Subject::Attempt {
            node: node.clone(),
            direction,
            attempt,
        };
        let at = |point, subject: Subject| Site {
            saga: 1,
            subject,
            point,
            nth: 1,
        };
        match (last, fact) {
            (Some((_, before)), E::AttemptRenewed(_)) => {
                let commit = at(Point::Commit, subject_of(before));
                causes.push(vec![(commit, Fault::DownLong)]);
            }
            (Some((epoch, before)), _) if epoch != row.row.epoch => {
                let commit = at(Point::Commit, subject_of(before));
                causes.push(vec![(commit, Fault::CrashAfterCommit)]);
            }
            _ => {}
        }
        match fact {
            E::AttemptFailed(e) => {
                let fault = match e.class {
                    FailureClass::Permanent => Fault::Fails,
                    FailureClass::Transient => Fault::FailsForNow,
                };
                let subject = of(&e.node, e.direction, e.attempt.0);
                causes.push(vec![(at(Point::Outcome, subject), fault)]);
            }
            E::AttemptUnknown(e) => {
                let outcome = at(Point::Outcome, of(&e.node, e.direction, e.attempt.0));
                causes.push(vec![
                    (outcome.clone(), Fault::InDoubt),
                    (outcome, Fault::InDoubtUndone),
                ]);
            }
            E::AttemptTimedOut(e) => {
                let subject = of(&e.node, e.direction, e.attempt.0);
                let (deliver, reply) = (
                    at(Point::Deliver, subject.clone()),
                    at(Point::Reply, subject),
                );
                let answered = events[number..].iter().any(|later| match later {
                    E::AttemptSucceeded(late) => {
                        (&late.node, late.direction, late.attempt)
                            == (&e.node, e.direction, e.attempt)
                    }
                    _ => false,
                });
                causes.push(if answered {
                    vec![(reply.clone(), Fault::Late), (reply, Fault::Lost)]
                } else {
                    vec![(reply, Fault::Lost), (deliver, Fault::Lost)]
                });
            }
            _ => {}
        }
        last = Some((row.row.epoch, fact));
    }
    causes
}

/// Where a run leaves the history.
fn leaves(history: &[String], is_over: bool, world: &World) -> Option<Leaves> {
    let events = world.history("s1");
    let mut run = shapes(events.iter());
    // What is under way on record goes on in the run, and a run ends where something is violated.
    if !is_over {
        run.truncate(history.len());
    }
    let history = match world.violation() {
        Some(_) => &history[..history.len().min(run.len())],
        None => history,
    };
    parted(history, &run)
}

/// Where a run leaves a history, up to the order between independent branches.
pub(crate) fn parted(history: &[String], run: &[String]) -> Option<Leaves> {
    let sorted = |events: &[String]| {
        let mut events = events.to_vec();
        events.sort();
        events
    };
    if sorted(history) == sorted(run) {
        return None;
    }
    let pairs = history.iter().zip(run);
    let common = pairs.take_while(|(one, other)| one == other).count();
    Some(Leaves {
        version: common + 1,
        recorded: history.get(common).cloned(),
        simulated: run.get(common).cloned(),
    })
}

/// Events without what passes: times, ids, payloads, and how often something was said to be under way.
fn shapes<'a>(events: impl Iterator<Item = &'a SagaEvent>) -> Vec<String> {
    counted(events).map(shape).collect()
}

/// Those that count: not how often something was said to be under way.
pub(crate) fn counted<'a>(
    events: impl Iterator<Item = &'a SagaEvent>,
) -> impl Iterator<Item = &'a SagaEvent> {
    events.filter(|event| !matches!(event, E::AttemptExtended(_)))
}

pub(crate) fn shape(event: &SagaEvent) -> String {
    let control = event.encode().control;
    let mut fields: Map<String, Value> =
        serde_json::from_str(&control).expect("a control part is an object");
    fields.retain(|name, _| !PASSING.contains(&name.as_str()));
    format!("{} {}", event.kind(), Value::Object(fields))
}

fn step(definition: &AnyDefinition, node: &str) -> Option<String> {
    let graph = definition.graph();
    match &graph.node(graph.find(node)?).kind {
        Kind::Step { spec, .. } => Some(spec.name.to_string()),
        _ => None,
    }
}

fn as_text<S: serde::Serializer>(plan: &Plan, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(plan)
}

impl Inferred {
    /// Whether the run with this plan brings the whole history about again.
    pub fn reproduces(&self) -> bool {
        self.leaves.is_none()
    }

    /// A test of it, to be pasted beside the capture's file of this name. It fails where the saga did not complete,
    /// until that is no longer so. What makes the definition is taken to be a function of the saga's name.
    pub fn test(&self, capture: &Capture, file: &str) -> String {
        let word = |text: &str| {
            let letter = |c: char| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '_'
                }
            };
            text.chars().map(letter).collect::<String>()
        };
        let last = capture.events().last().map(|placed| placed.event);
        let property = match last {
            Some(E::Completed(_)) => "",
            _ => PROPERTY,
        };
        let lines = self.plan.to_string();
        let lines = lines.lines().map(|line| format!("        {line}\n"));
        let lines = lines.collect::<String>();
        format!(
            r#"#[test]
fn {saga}_of_{definition}_happens_again() {{
    let capture: Capture = include_str!({file:?})
        .parse()
        .expect("it is whole");
    let sim = Sim::of_capture({definition}(), &capture)
        .expect("it runs this definition"){property};
    let plan: Plan = "
{lines}    "
    .parse()
    .expect("a good plan");
    let run = sim.run(&plan).expect("the run comes there");
    run.check();
}}
"#,
            saga = word(capture.saga().as_str()),
            definition = word(&capture.graph().saga),
        )
    }
}

impl fmt::Display for Inferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.plan.is_empty() {
            writeln!(f, "plan  nothing went wrong")?;
        }
        for line in self.plan.to_string().lines() {
            writeln!(f, "plan  {line}")?;
        }
        match &self.leaves {
            None => write!(f, "its run is the recorded history"),
            Some(Leaves {
                version,
                recorded,
                simulated,
            }) => {
                let side =
                    |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing more".into());
                write!(
                    f,
                    "its run leaves the recorded history at version {version}\n  recorded   {}\n  simulated  {}",
                    side(recorded),
                    side(simulated)
                )
            }
        }
    }
}
