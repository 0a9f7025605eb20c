//! How a request comes to whoever drives the saga: over the socket beside a log in a file, over the
//! broker of a log in PostgreSQL, or in this process if nobody drives a file.

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sagalog::{
    Client, Runtime, SagaId,
    control::{Control, ControlError, socket_of},
    history::Reader,
    request::{Answer, Request},
};
use sagalog_eventlog::{EventLog, SqliteLog};
use tokio::task::JoinSet;

use crate::{
    App,
    broker::BrokerArg,
    error::{CliError, Exit, chain},
    log::{LogArg, PARTITION, home},
    output::Output,
};

/// How many things are asked for at a time, unless told otherwise: fewer than the connections that an owner takes.
pub(crate) const LANES: usize = 16;

/// Whom to reach, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Reach {
    /// How long to wait for the answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    #[command(flatten)]
    pub(super) log: LogArg,
    #[command(flatten)]
    broker: BrokerArg,
}

/// A way to whoever drives a saga.
pub(crate) enum Way {
    Socket {
        owner: Control,
        socket: PathBuf,
    },
    Broker(Client),
    /// This process has taken the log for a moment.
    Here(Runtime),
}

impl Reach {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// Does something over the way there is, and leaves; whoever did it is named by a word.
    pub(crate) async fn use_way<T>(
        &self,
        first: &Request,
        app: &App,
        output: Output,
        work: impl AsyncFnOnce(&mut Way) -> Result<T, CliError>,
    ) -> Result<(T, &'static str), CliError> {
        let mut way = self.way(first, app, output).await?;
        let done = self.within(work(&mut way)).await;
        let by = way.leave().await?;
        Ok((done??, by))
    }

    /// An answer, if it comes in time.
    pub(super) async fn within<T>(&self, answer: impl Future<Output = T>) -> Result<T, CliError> {
        within(self.patience(), answer).await
    }

    /// The way there is; to be left.
    pub(super) async fn way(
        &self,
        first: &Request,
        app: &App,
        output: Output,
    ) -> Result<Way, CliError> {
        match self.file()? {
            Some(file) => over_the_socket(&file, first, app).await,
            None => {
                let transport = self.broker.transport(output).await?;
                let transport = transport.ok_or_else(no_broker)?;
                let client = Client::connect(transport).within(self.patience());
                Ok(Way::Broker(client))
            }
        }
    }

    /// Whether whoever drives the log can be asked: there is a broker, or a file that somebody drives.
    pub(crate) fn is_there(&self) -> bool {
        let file = self.log.as_file().ok().flatten();
        self.broker.is_given() || file.is_some_and(|file| socket_of(file).exists())
    }

    /// The log that it is about.
    pub(crate) fn log(&self) -> &LogArg {
        &self.log
    }

    /// The log's file; none if it is reached over a broker.
    fn file(&self) -> Result<Option<PathBuf>, CliError> {
        if self.broker.is_given() && !self.log.is_given() {
            return Ok(None);
        }
        Ok(self.log.as_file()?.map(Path::to_owned))
    }
}

impl Way {
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Answer, CliError> {
        match self {
            Self::Socket { owner, .. } => over(owner, request).await,
            Self::Broker(client) => Ok(client.ask(request.clone()).await?),
            Self::Here(runtime) => Ok(runtime.client().ask(request.clone()).await?),
        }
    }

    /// Asks for things that have nothing to do with one another, so many at a time, so that one commit takes
    /// several. The answers come in the order of the requests; none for what was not asked any more
    /// because the way broke.
    pub(crate) async fn ask_all(
        &self,
        requests: Vec<Request>,
        at_once: usize,
    ) -> Result<Vec<Option<Result<Answer, CliError>>>, CliError> {
        let mut answers: Vec<_> = requests.iter().map(|_| None).collect();
        let mut shares: Vec<Vec<_>> = (0..at_once).map(|_| Vec::new()).collect();
        for (place, request) in requests.into_iter().enumerate() {
            shares[place % at_once].push((place, request));
        }
        let mut lanes = JoinSet::new();
        for share in shares.into_iter().filter(|share| !share.is_empty()) {
            let lane = self.lane().await?;
            lanes.spawn(lane.ask(share));
        }
        while let Some(answered) = lanes.join_next().await {
            for (place, answer) in answered.expect("a lane does not panic") {
                answers[place] = Some(answer);
            }
        }
        Ok(answers)
    }

    /// One more way to the same.
    async fn lane(&self) -> Result<Lane, CliError> {
        Ok(match self {
            Self::Socket { socket, .. } => match Control::connect(socket).await {
                Ok(Some(owner)) => Lane::Socket(owner),
                Ok(None) => {
                    let message = "whoever drives the log has stopped in the meantime";
                    return Err(CliError::new("connection_broke", Exit::Failed, message));
                }
                Err(error) => return Err(unreachable(socket, &error)),
            },
            Self::Broker(client) => Lane::Client(client.clone()),
            Self::Here(runtime) => Lane::Client(runtime.client()),
        })
    }

    pub(super) async fn leave(self) -> Result<&'static str, CliError> {
        match self {
            Self::Socket { .. } | Self::Broker(_) => Ok("owner"),
            Self::Here(runtime) => {
                runtime.stop().await?;
                Ok("this_process")
            }
        }
    }
}

/// One of several ways to whoever drives a saga.
enum Lane {
    Socket(Control),
    Client(Client),
}

impl Lane {
    /// Asks for one thing after the other, until the way breaks.
    async fn ask(
        mut self,
        requests: Vec<(usize, Request)>,
    ) -> Vec<(usize, Result<Answer, CliError>)> {
        let mut answers = Vec::with_capacity(requests.len());
        for (place, request) in requests {
            let answer = match &mut self {
                Self::Socket(owner) => over(owner, &request).await,
                Self::Client(client) => client.ask(request).await.map_err(CliError::from),
            };
            let broke = answer.as_ref().is_err_and(|error| !error.is_refusal());
            answers.push((place, answer));
            if broke {
                break;
            }
        }
        answers
    }
}

async fn over(owner: &mut Control, request: &Request) -> Result<Answer, CliError> {
    owner.ask(request).await.map_err(|error| match error {
        ControlError::Refused(refused) => CliError::refused(&refused),
        error => CliError::new("connection_broke", Exit::Failed, chain(&error)),
    })
}

fn unreachable(socket: &Path, error: &io::Error) -> CliError {
    let message = format!("{} cannot be reached: {error}", socket.display());
    CliError::new("owner_unreachable", Exit::Failed, message)
        .fix("run this as the user that drives the log")
}

async fn over_the_socket(file: &Path, first: &Request, app: &App) -> Result<Way, CliError> {
    // Also says whether there is such a log, and whether this release can read it.
    let log = Arc::new(SqliteLog::read_only(file).await?);
    let socket = socket_of(file);
    match Control::connect(&socket).await {
        Ok(Some(owner)) => Ok(Way::Socket { owner, socket }),
        Ok(None) => {
            check_that_we_can(log, first, app).await?;
            take(file, app).await.map(Way::Here)
        }
        Err(error) => Err(unreachable(&socket, &error)),
    }
}

/// Nobody drives the log: this program may, if it has the saga's definition.
async fn check_that_we_can(
    log: Arc<SqliteLog>,
    first: &Request,
    app: &App,
) -> Result<(), CliError> {
    let name = log.name().to_owned();
    let nobody = |needs: String| {
        let message = format!(
            "nobody drives {name}, and this program does not have the definition of {needs}"
        );
        CliError::new("nobody_drives", Exit::Conflict, message)
            .fix("start the program that has it (`node`), or run this command with that program")
    };
    let definitions = || app.definitions().iter().map(|known| known.graph());
    if let Request::Start { definition, .. } = first {
        let is_known = definitions().any(|known| known.saga == *definition);
        return is_known
            .then_some(())
            .ok_or_else(|| nobody(format!("saga {definition}")));
    }
    let Some(saga) = first.saga() else {
        let only_asks = matches!(first, Request::Breakers { .. });
        if first.partition().is_some() && !only_asks {
            // About a dead letter or a breaker. Whether it has what is under way shows when it takes the log.
            return Ok(());
        }
        let message = format!("nobody drives {name}");
        return Err(CliError::new("nobody_drives", Exit::Conflict, message)
            .fix("start the program that drives it (`node`)"));
    };
    let saga = super::recorded::saga_id(saga)?;
    let Some((definition, version)) = definition_of(log.clone(), &saga).await? else {
        let message = format!("{name} has no saga `{saga}`");
        return Err(CliError::new("no_such_saga", Exit::NotFound, message)
            .fix("`saga list` shows those it has"));
    };
    let same = |known: &Arc<sagalog::Graph>| known.saga == definition && known.version.0 == version;
    if definitions().any(same) {
        return Ok(());
    }
    Err(nobody(format!(
        "saga `{saga}`: {definition} version {version}"
    )))
}

async fn definition_of(
    log: Arc<SqliteLog>,
    saga: &SagaId,
) -> Result<Option<(String, u32)>, CliError> {
    let reader = Reader::new(log, PARTITION);
    let graphs = reader.graphs().await?;
    let state = reader.state(saga, &graphs, None).await?;
    Ok(state.map(|state| (state.graph().saga.clone(), state.graph().version.0)))
}

/// Takes the log. Whatever else is due is begun as at any start, and goes on at the next one.
async fn take(file: &Path, app: &App) -> Result<Runtime, CliError> {
    let log = Arc::new(SqliteLog::open(file).await?);
    let started = app.runtime(log, home(file))?.start().await;
    started.map_err(|error| match CliError::from(error) {
        held if held.code() == "log_in_use" => held.fix(
            "that program takes no requests; if it has just begun, or is about to end, try again",
        ),
        error => error,
    })
}

async fn within<T>(patience: Duration, answer: impl Future<Output = T>) -> Result<T, CliError> {
    let late = |_| {
        let message = format!(
            "no answer within {} s; whether it was recorded is not known",
            patience.as_secs()
        );
        CliError::new("no_answer", Exit::Timeout, message)
    };
    tokio::time::timeout(patience, answer).await.map_err(late)
}

fn no_broker() -> CliError {
    CliError::new(
        "no_broker_named",
        Exit::Usage,
        "whoever drives a log in PostgreSQL is reached over its broker, and none was named",
    )
    .fix(
        "give the nodes' broker with --broker amqp://…, or set SAGALOG_BROKER; a node without one takes \
         starts and signals from the table `request` of its database only",
    )
}
