//! `sagalog saga signal`, `cancel`, `retry`, `resolve` and `skip`: what people tell sagas.
//!
//! Whoever drives the log does it, reached over its socket. If nobody does, a program that has the
//! saga's definition takes the log for a moment; one that has not says what to start.

use std::{
    future::Future,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sagalog::{
    Payload, SagaId,
    control::{Control, ControlError, Request, socket_of},
    history::Reader,
};
use sagalog_eventlog::{EventLog, SqliteLog};
use serde::Serialize;
use ulid::Ulid;

use super::recorded::saga_id;
use crate::{
    App,
    error::{CliError, Exit, chain},
    log::{LogArg, PARTITION, home},
    output::Output,
};

/// Sends a signal
#[derive(Debug, clap::Args)]
pub(crate) struct Signal {
    /// The saga's id
    saga: String,
    /// The signal's name
    name: String,
    /// Makes it safe to send twice: the same id is the same signal; a new one unless given
    #[arg(long, value_name = "SIGNAL_ID")]
    id: Option<String>,
    /// What it carries
    #[arg(long, value_name = "JSON", default_value = "null", value_parser = json)]
    payload: Payload,
    #[command(flatten)]
    reach: Reach,
}

/// Makes a saga go back
#[derive(Debug, clap::Args)]
pub(crate) struct Cancel {
    /// The saga's id
    saga: String,
    /// Why, for the log
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    from: From,
}

/// Tries a parked node again
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    /// The saga's id
    saga: String,
    /// The parked node
    node: String,
    #[command(flatten)]
    from: From,
}

/// Takes a parked node's work as done by hand
#[derive(Debug, clap::Args)]
pub(crate) struct Resolve {
    /// The saga's id
    saga: String,
    /// The parked node
    node: String,
    /// What it gives; `null` for a compensation
    // Its long name is that of the format elsewhere, so the format is only `-o` and `--json` here.
    #[arg(long = "output", id = "given", value_name = "JSON", value_parser = json)]
    output: Payload,
    #[command(flatten)]
    from: From,
}

/// Gives a parked node's work up
#[derive(Debug, clap::Args)]
pub(crate) struct Skip {
    /// The saga's id
    saga: String,
    /// The parked node
    node: String,
    /// Why, for the log
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    from: From,
}

/// Who wants something of which log.
#[derive(Debug, clap::Args)]
pub(crate) struct From {
    /// Makes it safe to send twice: the same id is the same request; a new one unless given
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Who wants it, for the log
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
    #[command(flatten)]
    reach: Reach,
}

/// Which log, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Reach {
    /// How long to wait for the answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    #[command(flatten)]
    log: LogArg,
}

/// Something that is told to a saga.
pub(crate) trait Wish {
    /// Its word.
    const WORD: &'static str;

    /// The id that was given for it.
    fn id(&self) -> Option<&str>;
    /// The saga, and how to reach it.
    fn addressed(&self) -> (&str, &Reach);
    /// As it is sent, under this id.
    fn request(self, id: String) -> Request;
}

/// What was done, as JSON.
#[derive(Serialize)]
struct Done<'a> {
    did: &'a str,
    saga: &'a str,
    id: &'a str,
    /// `owner` or `this_process`.
    by: &'a str,
}

/// Does it, and says under which id: sent again under that id it is the same request.
pub(crate) async fn run<W: Wish>(wish: W, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let id = wish.id().map_or_else(new_id, str::to_owned);
    let (saga, reach) = wish.addressed();
    let (saga, file) = (saga_id(saga)?, reach.log.file()?.to_owned());
    let patience = Duration::from_secs(reach.timeout);
    let request = wish.request(id.clone());
    let by = send(&file, &saga, &request, patience, app)
        .await
        .map_err(|error| match error.code() {
            "no_answer" | "connection_broke" | "stopped" => {
                error.fix(format!("send it again with the id {id}: it counts once"))
            }
            _ => error,
        })?;
    if output.is_json() {
        output.json(&Done {
            did: W::WORD,
            saga: saga.as_str(),
            id: &id,
            by,
        })?;
    } else {
        output.line(format_args!(
            "{} recorded for saga {saga}, id {id}",
            W::WORD
        ))?;
    }
    Ok(Exit::Done.into())
}

async fn send(
    file: &Path,
    saga: &SagaId,
    request: &Request,
    patience: Duration,
    app: &App,
) -> Result<&'static str, CliError> {
    // Also says whether there is such a log, and whether this release can read it.
    let log = Arc::new(SqliteLog::read_only(file).await?);
    let socket = socket_of(file);
    match Control::connect(&socket).await {
        Ok(Some(mut owner)) => {
            within(patience, owner.request(request))
                .await?
                .map_err(|error| match error {
                    ControlError::Refused(refused) => CliError::refused(&refused),
                    error => CliError::new("connection_broke", Exit::Failed, chain(&error)),
                })?;
            Ok("owner")
        }
        Ok(None) => {
            check_that_we_can(log, saga, app).await?;
            in_this_process(file, request, patience, app).await?;
            Ok("this_process")
        }
        Err(error) => {
            let message = format!("{} cannot be reached: {error}", socket.display());
            Err(CliError::new("owner_unreachable", Exit::Failed, message)
                .fix("run this as the user that drives the log"))
        }
    }
}

/// Nobody drives the log: this program may, if it has the saga's definition.
async fn check_that_we_can(log: Arc<SqliteLog>, saga: &SagaId, app: &App) -> Result<(), CliError> {
    let name = log.name().to_owned();
    let reader = Reader::new(log, PARTITION);
    let graphs = reader.graphs().await?;
    let Some(state) = reader.state(saga, &graphs, None).await? else {
        return Err(CliError::new(
            "no_such_saga",
            Exit::NotFound,
            format!("{name} has no saga `{saga}`"),
        )
        .fix("`saga list` shows those it has"));
    };
    let graph = state.graph();
    let same = |known: &sagalog::AnyDefinition| {
        known.graph().saga == graph.saga && known.graph().version == graph.version
    };
    if app.definitions().iter().any(same) {
        return Ok(());
    }
    let message = format!(
        "nobody drives {name}, and this program does not have the definition of saga `{saga}`: {} version {}",
        graph.saga, graph.version
    );
    Err(CliError::new("nobody_drives", Exit::Conflict, message)
        .fix("start the program that has it (`serve`), or run this command with that program"))
}

/// Takes the log, does it, and gives the log up again. Whatever else was due meanwhile is begun as
/// at any start, and goes on at the next one.
async fn in_this_process(
    file: &Path,
    request: &Request,
    patience: Duration,
    app: &App,
) -> Result<(), CliError> {
    let log = Arc::new(SqliteLog::open(file).await?);
    let runtime = app.runtime(log, home(file))?.start().await.map_err(|error| match CliError::from(error) {
        held if held.code() == "log_in_use" => {
            held.fix("that program takes no requests; if it has just begun, or is about to end, try again")
        }
        error => error,
    })?;
    let done = within(patience, request.apply(&runtime.client())).await;
    runtime.stop().await?;
    Ok(done??)
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

/// A ULID of the time and this process, for people: two commands of one process at one microsecond
/// do not happen.
fn new_id() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let within = u128::from(since.subsec_micros() % 1_000) << 32 | u128::from(std::process::id());
    Ulid::from_parts(since.as_millis() as u64, within).to_string()
}

fn json(text: &str) -> Result<Payload, String> {
    Payload::parse(text)
        .map_err(|why| format!("it is not JSON: {why}; a text needs its quotes, as in '\"text\"'"))
}

impl Wish for Signal {
    const WORD: &'static str = "signal";

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn addressed(&self) -> (&str, &Reach) {
        (&self.saga, &self.reach)
    }

    fn request(self, id: String) -> Request {
        Request::Signal {
            saga: self.saga,
            signal: self.name,
            id,
            payload: self.payload,
        }
    }
}

macro_rules! wish {
    ($wish:ident, $word:literal, $request:ident { $($field:ident),* }) => {
        impl Wish for $wish {
            const WORD: &'static str = $word;

            fn id(&self) -> Option<&str> {
                self.from.request_id.as_deref()
            }

            fn addressed(&self) -> (&str, &Reach) {
                (&self.saga, &self.from.reach)
            }

            fn request(self, id: String) -> Request {
                Request::$request { saga: self.saga, id, by: self.from.by, $($field: self.$field),* }
            }
        }
    };
}

wish!(Cancel, "cancel", Cancel { reason });
wish!(Retry, "retry", Retry { node });
wish!(Resolve, "resolve", Resolve { node, output });
wish!(Skip, "skip", Skip { node, reason });
