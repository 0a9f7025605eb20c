//! The definitions that a partition knows: those of the program, and the graphs that the log holds.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use sagalog_model::{
    Fingerprint, Graph, StepSpec,
    definition::AnyDefinition,
    event::Started,
    graph::DefinitionVersion,
    log::NewEvent,
    system::{DefinitionRecorded, SystemEvent},
};

/// Definitions by name and version.
#[derive(Clone, Default)]
pub struct Registry {
    definitions: BTreeMap<(String, DefinitionVersion), Registered>,
    recorded: BTreeMap<(String, DefinitionVersion), (Fingerprint, Arc<Graph>)>,
}

/// A definition of the program.
#[derive(Clone)]
struct Registered {
    definition: AnyDefinition,
    /// As the log records it: written once, for all partitions and take-overs.
    record: NewEvent,
}

impl Registered {
    fn new(definition: AnyDefinition) -> Self {
        let graph = definition.graph().clone();
        let recorded = DefinitionRecorded {
            saga: graph.saga.as_str().into(),
            version: graph.version,
            fingerprint: definition.fingerprint(),
        };
        Self {
            definition,
            record: SystemEvent::DefinitionRecorded(recorded, graph).encode(),
        }
    }
}

/// A definition that changed without a new version.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "saga `{saga}` version {version} is recorded with fingerprint {recorded}, but this program's has {ours}; \
     a changed definition needs a new version: `define({next})`",
    next = version.0 + 1
)]
pub struct DefinitionChanged {
    /// The saga's name.
    pub saga: String,
    /// The version.
    pub version: DefinitionVersion,
    /// The fingerprint that came first.
    pub recorded: Fingerprint,
    /// The other one.
    pub ours: Fingerprint,
}

/// A definition that a saga runs and that the program does not have.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("saga `{saga}` version {version} is needed, but this program does not register it")]
pub struct UnknownDefinition {
    /// The saga's name.
    pub saga: String,
    /// The version.
    pub version: DefinitionVersion,
}

impl Registry {
    /// Adds a definition of the program.
    ///
    /// # Errors
    /// [`DefinitionChanged`] if one of the same name and version, but with another graph, is there.
    pub fn register(&mut self, definition: AnyDefinition) -> Result<(), DefinitionChanged> {
        let graph = definition.graph();
        let key = (graph.saga.clone(), graph.version);
        let ours = definition.fingerprint();
        let known = self.definitions.get(&key);
        let known = known.map(|known| known.definition.fingerprint());
        differs(
            &key,
            known.or_else(|| self.recorded.get(&key).map(|(known, _)| *known)),
            ours,
        )?;
        self.definitions.insert(key, Registered::new(definition));
        Ok(())
    }

    /// Adds a graph that the log holds.
    ///
    /// # Errors
    /// [`DefinitionChanged`] if the program's definition of that name and version has another.
    pub fn record(
        &mut self,
        fingerprint: Fingerprint,
        graph: Arc<Graph>,
    ) -> Result<(), DefinitionChanged> {
        let key = (graph.saga.clone(), graph.version);
        if let Some(ours) = self.definitions.get(&key) {
            differs(&key, Some(fingerprint), ours.definition.fingerprint())?;
        }
        self.recorded.insert(key, (fingerprint, graph));
        Ok(())
    }

    /// The facts of the program's definitions that the log does not hold yet.
    pub(super) fn unrecorded(&self) -> Vec<NewEvent> {
        self.definitions
            .iter()
            .filter(|(key, _)| !self.recorded.contains_key(*key))
            .map(|(_, registered)| registered.record.clone())
            .collect()
    }

    /// The newest version of a definition.
    pub fn newest(&self, saga: &str) -> Option<&AnyDefinition> {
        let from = (saga.to_string(), DefinitionVersion(0));
        let to = (saga.to_string(), DefinitionVersion(u32::MAX));
        self.definitions
            .range(from..=to)
            .next_back()
            .map(|(_, registered)| &registered.definition)
    }

    /// The contracts of all steps of the program's definitions.
    pub fn steps(&self) -> impl Iterator<Item = StepSpec> {
        self.definitions().flat_map(AnyDefinition::steps)
    }

    /// The program's definitions.
    pub fn definitions(&self) -> impl Iterator<Item = &AnyDefinition> {
        let registered = self.definitions.values();
        registered.map(|registered| &registered.definition)
    }

    /// The graph that a saga was started with: exactly its version, never a newer one.
    pub fn of(
        &self,
        started: &Started,
    ) -> Result<(Arc<Graph>, Option<AnyDefinition>), UnknownDefinition> {
        let key = (String::from(&*started.definition), started.version);
        if let Some(Registered { definition, .. }) = self.definitions.get(&key) {
            return Ok((definition.graph().clone(), Some(definition.clone())));
        }
        match self.recorded.get(&key) {
            Some((_, graph)) => Ok((graph.clone(), None)),
            None => Err(UnknownDefinition {
                saga: key.0,
                version: key.1,
            }),
        }
    }
}

fn differs(
    key: &(String, DefinitionVersion),
    recorded: Option<Fingerprint>,
    ours: Fingerprint,
) -> Result<(), DefinitionChanged> {
    match recorded {
        Some(recorded) if recorded != ours => Err(DefinitionChanged {
            saga: key.0.clone(),
            version: key.1,
            recorded,
            ours,
        }),
        _ => Ok(()),
    }
}
