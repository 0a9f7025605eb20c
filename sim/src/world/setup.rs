//! What a world is made of: the same for all runs of an exploration.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, OnceLock},
    time::Duration,
};

use sagalog_engine::{LetterRequest, Query, Rules, admission::Policies, partition::Registry};
use sagalog_model::{
    AnyDefinition, Kind, SagaId,
    log::{NewEvent, PartitionId},
    system::SystemEvent,
};

use super::{
    Models, Participant, World,
    log::{SimLog, system_event},
};
use crate::{
    fault::Fault,
    mend::{Decides, Mends},
    plan::Plan,
    site::Site,
};

/// What a client does, and when.
#[derive(Clone, Debug)]
pub(crate) struct ClientCall {
    pub(crate) after: Duration,
    pub(crate) saga: SagaId,
    pub(crate) wants: Wants,
    /// How long it may come again, if its client says so.
    pub(crate) lifetime: Option<Duration>,
}

/// What a client calls for.
#[derive(Clone, Debug)]
pub(crate) enum Wants {
    /// Something of the saga.
    Saga(Query),
    /// Something of a dead letter of it.
    Letter(LetterRequest),
}

/// A property of every world that its author states.
pub(crate) type Property = Arc<dyn Fn(&World) -> bool + Send + Sync>;

/// What a world is made of.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) definition: AnyDefinition,
    pub(crate) registry: Arc<Registry>,
    /// The registry with what the first take-over records: the same bytes in every run, so they are
    /// read once.
    pub(crate) recorded: OnceLock<(NewEvent, Arc<Registry>)>,
    /// The log as every run begins.
    pub(crate) empty_log: OnceLock<SimLog>,
    pub(crate) rules: Rules,
    /// By which commands are admitted to participants.
    pub(crate) policies: Arc<Policies>,
    /// Whether they are others than usual, so that some commands come to wait.
    pub(crate) is_guarded: bool,
    /// Who serves each step, by its contract's name.
    pub(crate) participants: BTreeMap<String, Participant>,
    /// What their functions work on, as every run begins.
    pub(crate) models: Models,
    pub(crate) nodes: NonZeroU32,
    /// As many as nodes, if not said otherwise.
    pub(crate) partitions: Option<NonZeroU32>,
    pub(crate) sagas: Vec<SagaId>,
    pub(crate) calls: Vec<Arc<ClientCall>>,
    /// Who looks after parked nodes, and how long after.
    pub(crate) mends: Option<(Duration, Mends)>,
    pub(crate) decides: Option<(Duration, Decides)>,
    /// How long after a pause somebody resumes; never without one.
    pub(crate) resumes: Option<Duration>,
    pub(crate) always: Vec<(String, Property)>,
    pub(crate) eventually: Vec<(String, Property)>,
    pub(crate) sometimes: Vec<(String, Property)>,
    /// Somebody acts at a time of the clock, so that a delay changes what it meets: then runs are not
    /// compared with the healthy one.
    pub(crate) races: bool,
    pub(crate) traces: bool,
}

impl Setup {
    /// The number of a saga in plans and reports: by the order of starting, from 1.
    pub(crate) fn ordinal(&self, saga: &SagaId) -> u32 {
        let number = saga.as_str().strip_prefix('s');
        number
            .and_then(|number| number.parse().ok())
            .expect("sagas are numbered")
    }

    /// Whether somebody else may come to a model first when things are delayed: then what it gives
    /// differs, and no fault can be masked.
    pub(crate) fn is_raced_for(&self, plan: &Plan) -> bool {
        let sagas =
            self.sagas.len() > 1 || plan.iter().any(|(_, fault)| fault == Fault::OneMoreSaga);
        let mut nodes = self.definition.graph().nodes.iter();
        let mut branches = || nodes.any(|node| matches!(node.kind, Kind::All { .. }));
        !self.models.is_empty() && (sagas || branches())
    }

    /// Into how many partitions the log is split.
    pub(crate) fn partitions(&self) -> NonZeroU32 {
        self.partitions.unwrap_or(self.nodes)
    }

    /// A log in which nothing has happened yet.
    pub(super) fn log(&self) -> SimLog {
        let empty = || SimLog::with_partitions(self.partitions().get());
        self.empty_log.get_or_init(empty).clone()
    }

    /// Where a saga is.
    pub(crate) fn partition(&self, saga: &SagaId) -> PartitionId {
        match self.partitions().get() {
            1 => PartitionId::new(0),
            _ => PartitionId::of(saga.as_str(), self.partitions()),
        }
    }

    /// Whether a kind of fault can happen in such a world.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        (self.nodes.get() > 1 || !fault.needs_several_nodes())
            && (!fault.needs_a_time() || self.calls.iter().any(|call| call.lifetime.is_some()))
    }

    /// Whether explorations of such a world try a kind of fault.
    pub(crate) fn tries(&self, fault: Fault) -> bool {
        fault.is_tried() && self.has(fault)
    }

    /// What is tried at a site of such a world, simplest first.
    pub(crate) fn faults_at(&self, site: &Site) -> impl Iterator<Item = Fault> {
        Fault::at_site(site).filter(|fault| self.tries(*fault))
    }

    /// What clients do with the `nth` saga that a plan adds: what they do with the first.
    pub(crate) fn calls_of_one_more(&self, nth: u32) -> impl Iterator<Item = ClientCall> {
        let number = self.sagas.len() as u32 + nth;
        let more = SagaId::new(format!("s{number}")).expect("a good id");
        let first = self.sagas[0].clone();
        let calls = self.calls.iter().filter(move |call| call.saga == first);
        calls.map(move |call| ClientCall {
            saga: more.clone(),
            ..ClientCall::clone(call)
        })
    }

    /// The program's definitions with those that the log holds.
    pub(crate) fn registry_with<'a>(
        &self,
        system: impl Iterator<Item = &'a NewEvent>,
    ) -> Arc<Registry> {
        let mut recorded = system.filter(|event| event.kind == "DefinitionRecorded");
        let Some(first) = recorded.next() else {
            return self.registry.clone();
        };
        assert!(recorded.next().is_none(), "a world has one definition");
        let read = || (first.clone(), self.record(first));
        let (known, registry) = self.recorded.get_or_init(read);
        if known == first {
            registry.clone()
        } else {
            self.record(first)
        }
    }

    /// The definitions that the log holds, to a program that has none.
    pub(crate) fn registry_without_definitions<'a>(
        &self,
        mut system: impl Iterator<Item = &'a NewEvent>,
    ) -> Arc<Registry> {
        let recorded = system.find(|event| event.kind == "DefinitionRecorded");
        let none = Registry::default();
        match recorded {
            Some(event) => record(none, event),
            None => Arc::new(none),
        }
    }

    fn record(&self, event: &NewEvent) -> Arc<Registry> {
        record(Registry::clone(&self.registry), event)
    }
}

fn record(mut registry: Registry, event: &NewEvent) -> Arc<Registry> {
    let Some(SystemEvent::DefinitionRecorded(recorded, graph)) = system_event(event) else {
        panic!("a recorded definition reads back");
    };
    registry
        .record(recorded.fingerprint, graph)
        .expect("the definition does not change in a run");
    Arc::new(registry)
}
