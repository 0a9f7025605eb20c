//! A runtime: one process that drives sagas on a log, with the workers it hosts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use sagalog_engine::{
    Rules,
    admission::Policies,
    partition::{DefinitionChanged, Registry},
};
use sagalog_eventlog::EventLog;
use sagalog_model::{AnyDefinition, graph::participant};
use sagalog_transport::{DeclareError, InProcess, LogStreams, Queue, Transport};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

#[cfg(unix)]
use crate::control::{Place, Server};
pub use crate::driver::DriveError;
use crate::{
    client::Client,
    clock::{Clock, SystemClock},
    keeper::{Keeper, Shared},
    observe::{Observe, Watch},
    probe::Probe,
    published::Publishers,
    request::{EVERY, OwnerName, RollCall},
    router::Router,
    worker::{COMMANDS_MAX, HandlerFault, HostError, PAUSE_MAX, Worker, WorkerHost, steps_of},
};

/// How long a call waits for somebody to drive its saga's partition: longer than it takes to see that
/// a process is gone, and to take over what it had.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that drives sagas. Dropped, it stops without waiting for anything: nothing is lost, and
/// what is unfinished goes on at the next start.
pub struct Runtime {
    client: Client,
    probe: Probe,
    stop: Stop,
    keeper: JoinHandle<Result<(), DriveError>>,
    host: JoinHandle<Result<(), HostError>>,
    _warning: Option<AbortOnDropHandle<()>>,
    #[cfg(unix)]
    control: Option<JoinHandle<Place>>,
    #[cfg(feature = "postgres")]
    pick_up: Option<AbortOnDropHandle<()>>,
}

/// Puts a runtime together.
#[must_use = "a runtime does nothing until it is started"]
pub struct RuntimeBuilder {
    log: Arc<dyn EventLog>,
    /// One inside this process, unless another was given.
    transport: Option<Arc<dyn Transport>>,
    clock: Arc<dyn Clock>,
    rules: Rules,
    policies: Policies,
    node: String,
    #[cfg(unix)]
    socket: Option<std::path::PathBuf>,
    definitions: Vec<AnyDefinition>,
    worker: Worker,
    elsewhere: BTreeSet<String>,
    published: Option<Arc<dyn LogStreams>>,
    watch: Watch,
    #[cfg(feature = "postgres")]
    requests: Option<crate::postgres::Requests>,
}

/// Why a runtime does not start. Nothing was begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Two definitions have one name and version.
    #[error(transparent)]
    DefinitionChanged(#[from] DefinitionChanged),
    /// Steps have no handler in this process.
    #[error("handlers are missing or wrong:{}", lines(.0))]
    Handlers(Vec<HandlerFault>),
    /// A worker cannot be hosted.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A queue cannot be declared.
    #[error(transparent)]
    Declare(#[from] DeclareError),
    /// The partition cannot be driven.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The control socket cannot be made.
    #[cfg(unix)]
    #[error(transparent)]
    Control(#[from] crate::control::BindError),
}

/// What made a runtime stop otherwise than in peace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// The partition could not be driven any more.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A worker could not be hosted any more.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A task of the runtime panicked: a bug of ours.
    #[error("a task of the runtime panicked")]
    Panicked,
}

/// Cancels everything that the runtime started when it is dropped.
struct Stop {
    intake: CancellationToken,
    host: CancellationToken,
    control: CancellationToken,
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.intake.cancel();
        self.host.cancel();
        self.control.cancel();
    }
}

impl Runtime {
    /// A runtime on this log; in one process and by the system's clock, unless said otherwise.
    pub fn on(log: Arc<dyn EventLog>) -> RuntimeBuilder {
        RuntimeBuilder {
            log,
            transport: None,
            clock: Arc::new(SystemClock),
            rules: Rules::DEFAULT,
            policies: Policies::default(),
            node: default_node(),
            #[cfg(unix)]
            socket: None,
            definitions: Vec::new(),
            worker: Worker::new(),
            elsewhere: BTreeSet::new(),
            published: None,
            watch: Watch::nobody(),
            #[cfg(feature = "postgres")]
            requests: None,
        }
    }

    /// Talks to it.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Asks what it stands on for a sign of life.
    pub fn probe(&self) -> Probe {
        self.probe.clone()
    }

    /// Waits until it cannot go on; in peace it never does.
    ///
    /// # Errors
    /// [`StopError`] says why.
    pub async fn failed(&mut self) -> Result<(), StopError> {
        joined((&mut self.keeper).await)?;
        Ok(())
    }

    /// Stops in peace: nothing new is taken, running calls end within the workers' grace, what they
    /// answered becomes durable, the log is released. What is unfinished goes on at the next start.
    ///
    /// # Errors
    /// [`StopError`] if it had stopped for another reason, or could not stop in peace.
    pub async fn stop(self) -> Result<(), StopError> {
        // The socket goes while the log is still owned, and nobody is left without an answer.
        #[cfg(unix)]
        if let Some(control) = self.control {
            self.stop.control.cancel();
            control.await.map_err(|_| StopError::Panicked)?.clear();
        }
        // It may be ended anywhere: what it has not settled is picked up again.
        #[cfg(feature = "postgres")]
        drop(self.pick_up);
        // Workers first, so that the driver still takes their last replies.
        self.stop.host.cancel();
        let hosted = self.host.await.map_err(|_| StopError::Panicked)?;
        self.stop.intake.cancel();
        joined(self.keeper.await)?;
        hosted.map_err(StopError::from)
    }
}

fn joined(ended: Result<Result<(), DriveError>, tokio::task::JoinError>) -> Result<(), StopError> {
    ended
        .map_err(|_| StopError::Panicked)?
        .map_err(StopError::from)
}

impl RuntimeBuilder {
    /// Adds a definition. Several versions of one saga may run side by side; new sagas start with
    /// the newest.
    pub fn definition(mut self, definition: impl Into<AnyDefinition>) -> Self {
        self.definitions.push(definition.into());
        self
    }

    /// Hosts the steps of a worker in this process, beside those of others.
    pub fn worker<S: Clone + Send + Sync + 'static>(mut self, worker: Worker<S>) -> Self {
        // One host for all of them: it keeps one call at a time for each key, whoever has the steps.
        self.worker = self.worker.and(worker);
        self
    }

    /// Says that another process performs the steps of this participant: their handlers are not missed
    /// here, and not used if there are some. Its commands wait for that process.
    pub fn elsewhere(mut self, participant: impl Into<String>) -> Self {
        self.elsewhere.insert(participant.into());
        self
    }

    /// Uses this transport, over which the clients of this process then also reach the others that drive
    /// partitions of the log.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Publishes the log to these streams, for others to [follow](crate::follow): of each partition that this
    /// process drives what is durable, in the order of the log. Sagas never wait for it.
    pub fn publish_log(mut self, streams: Arc<dyn LogStreams>) -> Self {
        self.published = Some(streams);
        self
    }

    /// Tells this one what happens while it happens.
    pub fn observed(mut self, observer: Arc<dyn Observe>) -> Self {
        self.watch = Watch::by(observer);
        self
    }

    /// Uses another clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Uses other bounds.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Admits commands to participants by these policies: how many may be under way, and when a
    /// participant that fails is left alone. Each partition does so for itself.
    pub fn admission(mut self, policies: Policies) -> Self {
        self.policies = policies;
        self
    }

    /// What this process is called in the log and towards others that want the log.
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.node = name.into();
        self
    }

    /// Takes operators' requests and signals of other processes over a socket at this path; see
    /// [`control`](crate::control).
    #[cfg(unix)]
    pub fn control_socket(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.socket = Some(path.into());
        self
    }

    /// Picks up the starts and signals that programs write in their own transactions. Given again, it
    /// picks up from the last.
    #[cfg(feature = "postgres")]
    pub fn requests(mut self, requests: crate::postgres::Requests) -> Self {
        self.requests = Some(requests);
        self
    }

    /// Starts: checks the handlers, takes the log over, and goes on with whatever is unfinished.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(self) -> Result<Runtime, StartError> {
        self.check_handlers()?;
        let mut registry = Registry::default();
        for definition in &self.definitions {
            registry.register(definition.clone())?;
        }
        let between = self.transport.clone();
        let transport = self.transport.unwrap_or_else(|| Arc::new(InProcess::new()));
        let worker = self.worker.without(&self.elsewhere);
        let host = WorkerHost::new(worker, transport.clone(), self.clock.clone())?;
        host.declare().await?;
        for participant in &self.elsewhere {
            let queue = Queue::commands(participant).map_err(HostError::from)?;
            transport.declare(&queue, COMMANDS_MAX).await?;
        }
        let stop = Stop {
            intake: CancellationToken::new(),
            host: CancellationToken::new(),
            control: CancellationToken::new(),
        };
        let owner = OwnerName {
            program: self.node.clone(),
            pid: std::process::id(),
            partitions: self.log.partitions(),
        };
        let roll = Arc::new(RollCall::new());
        let router = Router::new(owner, roll.clone(), PATIENCE, stop.intake.clone());
        let router = Arc::new(router);
        let is_shared = between.is_some();
        let probe = Probe {
            log: self.log.clone(),
            broker: between.clone(),
        };
        let client = Client::new(router.clone(), self.log.clone(), between);
        let publishers = self
            .published
            .map(|streams| Publishers::new(self.log.clone(), streams, self.watch.clone()));
        if let Some(publishers) = &publishers {
            publishers.declare().await?;
        }
        let warning = is_shared.then(|| {
            let steps = steps(&self.definitions);
            AbortOnDropHandle::new(tokio::spawn(warn_of_absent(client.clone(), steps)))
        });
        let host = host
            .watched(self.watch.clone())
            .announced(client.clone(), &self.node);
        let keeper = Keeper::start(Shared {
            publishers,
            router,
            roll,
            watch: self.watch,
            log: self.log,
            transport,
            clock: self.clock,
            registry,
            rules: self.rules,
            policies: Arc::new(self.policies),
            node: self.node,
            stop: stop.intake.clone(),
        })
        .await?;
        #[cfg(unix)]
        let control = match self.socket {
            Some(path) => match Server::bind(&path, client.clone(), self.rules.payload_max) {
                Ok(server) => Some(tokio::spawn(server.run(stop.control.clone()))),
                Err(error) => {
                    keeper.give_back().await?;
                    return Err(error.into());
                }
            },
            None => None,
        };
        #[cfg(feature = "postgres")]
        let pick_up = self.requests.map(|requests| {
            AbortOnDropHandle::new(tokio::spawn(requests.pick_up(client.only_here())))
        });
        Ok(Runtime {
            client,
            probe,
            #[cfg(feature = "postgres")]
            pick_up,
            #[cfg(unix)]
            control,
            keeper: tokio::spawn(keeper.run()),
            host: tokio::spawn(host.run(stop.host.clone())),
            _warning: warning,
            stop,
        })
    }

    /// A missing handler is found now, not when the first saga needs it.
    fn check_handlers(&self) -> Result<(), StartError> {
        let graphs = self.definitions.iter().map(AnyDefinition::graph);
        let faults: Vec<_> = graphs
            .flat_map(|graph| self.worker.faults(graph))
            .filter(|fault| !self.elsewhere.contains(fault.participant()))
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(StartError::Handlers(faults))
        }
    }
}

/// The steps of these definitions, each with the first saga that has it.
fn steps(definitions: &[AnyDefinition]) -> BTreeMap<String, String> {
    let mut steps = BTreeMap::new();
    for graph in definitions.iter().map(AnyDefinition::graph) {
        for step in steps_of(graph) {
            steps
                .entry(step.to_owned())
                .or_insert_with(|| graph.saga.clone());
        }
    }
    steps
}

/// Once everybody had the time to announce itself, says of which steps nobody has said that it
/// performs them.
async fn warn_of_absent(client: Client, steps: BTreeMap<String, String>) {
    tokio::time::sleep(PAUSE_MAX + EVERY).await;
    let there = match client.participants(None).await {
        Ok(there) => there,
        Err(why) => return warn!(%why, "it is not known which participants are there"),
    };
    for (step, saga) in &steps {
        if !there.iter().any(|seen| seen.performs(step)) {
            let participant = participant(step);
            warn!(
                step,
                saga,
                participant,
                "no instance of the participant has announced that it performs a step"
            );
        }
    }
}

pub(crate) fn default_node() -> String {
    let program = std::env::args_os().next().map(std::path::PathBuf::from);
    let name = program
        .as_ref()
        .and_then(|path| path.file_name())
        .map(|name| name.to_string_lossy());
    name.map_or_else(|| "a program".to_owned(), std::borrow::Cow::into_owned)
}

fn lines(faults: &[HandlerFault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}
