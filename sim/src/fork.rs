//! Another end of a captured history: what would have come of it if something had been otherwise.

use std::{collections::BTreeMap, sync::Arc};

use sagalog_engine::Query;
use sagalog_model::{AnyDefinition, Payload, SagaEvent, event::SagaEvent as E};
use sagalog_projections::Status;

use crate::{
    Capture, Fault, Leaves, Plan, Sim, Site,
    infer::{causes, counted, parted, shape},
    world::Wants,
};

/// What is otherwise in a fork.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Otherwise {
    /// What goes wrong there, whatever did on record.
    pub faults: Plan,
    /// Where nothing goes wrong, whatever did on record.
    pub well: Vec<Site>,
    /// What the saga begins with.
    pub input: Option<Payload>,
    /// What steps give, by the names of their contracts, whatever they are given.
    pub gives: BTreeMap<String, Payload>,
    /// What signals carry, by their names.
    pub signals: BTreeMap<String, Payload>,
}

/// Two ends of one history. Nothing was asked, sent or written for the second.
#[derive(Clone, Debug, PartialEq)]
pub struct Forked {
    /// The version up to which both are the same.
    pub at: usize,
    /// What went wrong in the second.
    pub plan: Plan,
    /// The end that is on record.
    pub recorded: End,
    /// The other.
    pub forked: End,
}

/// What happened behind a version.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Where the saga stands then.
    pub status: Status,
    /// What happened, without the signs of life of attempts.
    pub events: Vec<SagaEvent>,
}

impl Forked {
    /// Whether the same happened, apart from times and ids, up to the order between independent branches.
    pub fn is_same(&self) -> bool {
        parted(&all(&self.recorded.events), &all(&self.forked.events)).is_none()
    }
}

/// Why a history cannot be forked there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CannotFork {
    /// It has no such version.
    #[error("the history has versions 1 to {last}, there is no version {at}")]
    NoSuchVersion {
        /// What was asked for.
        at: usize,
        /// Its last.
        last: usize,
    },
    /// The two are no longer the same before it: what is otherwise happens earlier, or the simulated world does
    /// not come so far.
    #[error(
        "the two part at version {} already: {} is on record, and {} happens",
        .0.version,
        .0.recorded.as_deref().unwrap_or("nothing more"),
        .0.simulated.as_deref().unwrap_or("nothing more")
    )]
    PartEarlier(Leaves),
}

impl Sim {
    /// A world in which a captured saga runs by another definition than its own, to be [forked](Self::fork): as
    /// [`of_capture`](Self::of_capture), and what is not on record gives the least value of its type.
    pub fn of_another(definition: impl Into<AnyDefinition>, capture: &Capture) -> Self {
        Self::of(definition, &Payload::null()).does_what_was_done(capture)
    }

    /// The captured history up to a version, and from there on with something otherwise. It runs in this world,
    /// which [follows](Self::follows) it, so what others gave, sent and mended is as on record unless it is said
    /// otherwise.
    ///
    /// # Errors
    /// [`CannotFork`]
    ///
    /// # Panics
    /// If this world is not [sound](Self::sound).
    #[track_caller]
    pub fn fork(
        &self,
        capture: &Capture,
        at: usize,
        otherwise: &Otherwise,
    ) -> Result<Forked, CannotFork> {
        let last = capture.events().len();
        if at > last {
            return Err(CannotFork::NoSuchVersion { at, last });
        }
        let events = || capture.events().map(|placed| placed.event);
        let same = counted(events().take(at)).count();
        let history: Vec<_> = counted(events()).cloned().collect();
        let plan = otherwise.plan(self.plan_behind(capture));
        let world = otherwise.world(self).play(&plan);
        let run = world.history("s1");
        let run: Vec<_> = counted(run.iter()).cloned().collect();
        let beginning = &run[..run.len().min(same)];
        if let Some(leaves) = parted(&all(&history[..same]), &all(beginning)) {
            return Err(CannotFork::PartEarlier(leaves));
        }
        let idle: Vec<_> = world.idle().map(|(site, _)| site.clone()).collect();
        let state = world.saga("s1");
        Ok(Forked {
            at,
            plan: idle.iter().fold(plan, |plan, site| plan.without(site)),
            recorded: End {
                status: capture.state(last).status(),
                events: history[same..].to_vec(),
            },
            forked: End {
                status: state.map_or(Status::Running, |state| state.status()),
                events: run[same..].to_vec(),
            },
        })
    }

    /// What went wrong on record. By another definition it cannot be tried whether it was that, so the likeliest
    /// is taken.
    fn plan_behind(&self, capture: &Capture) -> Plan {
        if capture.runs(self.definition()).is_ok() {
            return self.infer(capture).plan;
        }
        let likeliest = causes(capture)
            .into_iter()
            .filter_map(|cause| cause.into_iter().next());
        likeliest.fold(Plan::healthy(), |plan, (site, fault): (Site, Fault)| {
            plan.with(site, fault)
        })
    }
}

impl Otherwise {
    fn plan(&self, recorded: Plan) -> Plan {
        let well = self.well.iter();
        let plan = well.fold(recorded, |plan, site| plan.without(site));
        let faults = self.faults.iter();
        faults.fold(plan, |plan, (site, fault)| plan.with(site.clone(), fault))
    }

    fn world(&self, sim: &Sim) -> Sim {
        let mut sim = sim.clone();
        for (step, output) in &self.gives {
            let participant = sim.setup.participants.entry(step.clone()).or_default();
            let output = output.clone();
            participant.action = Some(Arc::new(move |_, _, _| Ok(output.clone())));
        }
        for call in &mut sim.setup.calls {
            let call = Arc::make_mut(call);
            match &mut call.wants {
                Wants::Saga(Query::Start { input, .. }) => {
                    *input = self.input.clone().unwrap_or_else(|| input.clone());
                }
                Wants::Saga(Query::Signal {
                    signal, payload, ..
                }) => {
                    if let Some(other) = self.signals.get(&**signal) {
                        *payload = other.clone();
                    }
                }
                Wants::Saga(Query::Numbered(numbered)) => {
                    if let Some(other) = self.signals.get(&*numbered.signal) {
                        numbered.payload = other.clone();
                    }
                }
                Wants::Saga(_) | Wants::Letter(_) => {}
            }
        }
        sim
    }
}

fn all(events: &[SagaEvent]) -> Vec<String> {
    events.iter().map(happened).collect()
}

/// An event with what the saga was told and what it asks for, without times and ids.
fn happened(event: &SagaEvent) -> String {
    let payload = match event {
        E::Started(e) => Some(&e.input),
        E::AttemptAsked(e) => e.input.as_ref(),
        E::AttemptSucceeded(e) => e.output.as_ref(),
        E::SignalReceived(e) => Some(&e.payload),
        E::NumberedSignalReceived(e) => Some(&e.payload),
        _ => None,
    };
    match payload {
        Some(payload) => format!("{} {}", shape(event), payload.text()),
        None => shape(event),
    }
}
