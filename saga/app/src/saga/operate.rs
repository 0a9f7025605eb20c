//! `sagalog saga start`, `signal`, `cancel`, `pause`, `retry` and so on: what people tell sagas.
//!
//! Whoever drives the saga does it; see `way.rs` for how it is reached.

use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use sagalog::{
    Numbered, Payload, SagaId, SagaState, Status,
    request::{Answer, Request, Standing},
};
use sagalog_model::{event::Origin, log::Time};
use sagalog_projections::held::HeldInput;
use serde::Serialize;
use ulid::Ulid;

use super::{
    bulk::{self, Many},
    dry_run, legal,
    place::{Node, NodeArg, Place, Whole, not_named},
    recorded::saga_id,
    way::{Reach, Way},
};
use crate::{
    App,
    error::{CliError, Exit},
    output::Output,
    who,
    words::{self, plain},
};

/// Starts a saga
#[derive(Debug, clap::Args)]
pub(crate) struct Start {
    /// The saga's id, of your choice: the same start under the same id is one saga
    saga: String,
    /// The name of its definition; the newest version is used
    definition: String,
    /// What it is started with
    #[arg(long, value_name = "JSON", default_value = "null", value_parser = json)]
    input: Payload,
    /// Waits for its end, and says how it ended: exit code 7 if it went back
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Sends a signal
#[derive(Debug, clap::Args)]
pub(crate) struct Signal {
    /// The saga's id; without it all that fit are meant
    saga: Option<String>,
    /// The signal's name
    #[arg(requires = "saga")]
    name: Option<String>,
    /// The same, for many sagas
    #[arg(long = "signal", value_name = "NAME", conflicts_with = "saga")]
    many_are_sent: Option<String>,
    /// Makes it safe to send twice: the same id is the same signal; a new one unless given
    #[arg(long, value_name = "SIGNAL_ID")]
    id: Option<String>,
    /// Until when it may come again under this id, as 2026-11-20T20:07:30Z: a saga takes any number of
    /// signals with such a time, and 1,000 without. The same id always has the same time
    #[arg(long, value_name = "TIME", conflicts_with = "producer", value_parser = time)]
    until: Option<Time>,
    /// Who numbers it: signals of one producer are taken in the order of their numbers
    #[arg(long, requires = "number", conflicts_with = "id")]
    producer: Option<String>,
    /// Its number among those of its producer for this saga, from 1
    #[arg(long, requires = "producer")]
    number: Option<u64>,
    /// What it carries
    #[arg(long, value_name = "JSON", default_value = "null", value_parser = json)]
    payload: Payload,
    /// Only says what would follow
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    many: Many,
    #[command(flatten)]
    reach: Reach,
}

impl Signal {
    fn name(&self) -> Option<&String> {
        self.name.as_ref().or(self.many_are_sent.as_ref())
    }

    fn numbered(&self) -> Option<Numbered> {
        Some(Numbered {
            signal: self.name()?.as_str().into(),
            producer: self.producer.as_deref()?.into(),
            number: self.number?,
            payload: self.payload.clone(),
        })
    }
}

/// Makes a saga go back
#[derive(Debug, clap::Args)]
pub(crate) struct Cancel {
    /// The saga's id; without it all that fit are meant
    saga: Option<String>,
    /// Why, for the log
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    from: From,
}

/// Has a saga undone that is before its pivot, a paused or parked one too
#[derive(Debug, clap::Args)]
pub(crate) struct Compensate {
    /// The saga's id; without it all that fit are meant
    saga: Option<String>,
    /// Why, for the log
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    from: From,
}

/// Has a saga stand still: what comes in is recorded, and nothing more is asked
#[derive(Debug, clap::Args)]
pub(crate) struct Pause {
    /// The saga's id; without it all that fit are meant
    saga: Option<String>,
    /// Why, for the log
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    from: From,
}

/// Has a paused saga go on
#[derive(Debug, clap::Args)]
pub(crate) struct Resume {
    /// The saga's id; without it all that fit are meant
    saga: Option<String>,
    #[command(flatten)]
    from: From,
}

/// Sets or removes a saga's deadline
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("when").required(true).args(["at", "within", "none"]))]
pub(crate) struct SetDeadline {
    /// The saga's id; without it all that fit are meant
    saga: Option<String>,
    /// When it turns back by itself, as 2026-11-20T20:07:30Z; at once if that is over
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Time>,
    /// How long from now, as 90s, 15m, 2h or 3d
    #[arg(long = "in", value_name = "SPAN", value_parser = from_now)]
    within: Option<Time>,
    /// It has none any more
    #[arg(long)]
    none: bool,
    /// Why, for the log
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    from: From,
}

/// Tries a parked node again
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    /// The saga's id; without it all that fit are meant
    saga: Option<String>,
    #[command(flatten)]
    node: NodeArg,
    /// Why, for the log
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    from: From,
}

/// Takes a parked node's work as done by hand
#[derive(Debug, clap::Args)]
pub(crate) struct Resolve {
    /// The saga's id; without it all that fit are meant
    saga: Option<String>,
    #[command(flatten)]
    node: NodeArg,
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
    /// The saga's id; without it all that fit are meant
    saga: Option<String>,
    #[command(flatten)]
    node: NodeArg,
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
    pub(super) request_id: Option<String>,
    /// Until when it may come again under this id, as 2026-11-20T20:07:30Z: a saga takes any number of
    /// requests with such a time, and 1,000 without. The same id always has the same time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) until: Option<Time>,
    /// Who wants it, for the log
    #[arg(long = "as", alias = "by", value_name = "NAME", default_value_t = who::this_is())]
    pub(super) by: String,
    /// Only says what would follow
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) many: Many,
    #[command(flatten)]
    pub(super) reach: Reach,
}

/// Something that is told to a saga, or to many.
pub(crate) trait Wish {
    /// Its word.
    const WORD: &'static str;

    /// What of a saga it is about.
    type Place: Place;

    /// The id that was given for it.
    fn id(&self) -> Option<String>;
    /// The saga; none if all are meant that fit.
    fn saga(&self) -> Option<&str>;
    /// Which fit; none if it is told to one saga only.
    fn many(&self) -> Option<&Many> {
        None
    }
    /// How to reach whoever drives them.
    fn reach(&self) -> &Reach;
    /// What of the saga it is about, as it was named.
    fn place(&self) -> Result<Self::Place, CliError>;
    /// The same of one of many sagas, in this state.
    fn places(&self, state: &SagaState) -> Vec<Self::Place>;
    /// As it is sent, under this id.
    fn request(&self, saga: String, place: Self::Place, id: String) -> Request;
    /// Whether a saga has had it under this id.
    fn is_known(&self, state: &SagaState, id: &str) -> bool {
        state.requests().contains(id)
    }
    /// Whether it is only said what would follow.
    fn is_dry(&self) -> bool {
        false
    }
    /// Whether the saga's end is waited for.
    fn waits(&self) -> bool {
        false
    }
}

/// What was done, as JSON.
#[derive(Serialize)]
struct Done<'a> {
    did: &'a str,
    saga: &'a str,
    id: &'a str,
    /// `owner` or `this_process`.
    by: &'a str,
    /// How it ended, if that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<&'a Standing>,
}

/// Does it, and says under which id: sent again under that id it is the same request.
pub(crate) async fn run<W: Wish>(wish: W, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let saga = match (wish.saga(), wish.many()) {
        (Some(_), Some(many)) if many.is_meant() => return Err(one_or_many()),
        (Some(saga), _) => saga_id(saga)?,
        (None, Some(many)) => {
            if wish.id().is_some() {
                return Err(one_or_many());
            }
            return bulk::run(&wish, many, app, output).await;
        }
        (None, None) => return Err(not_named("the saga", "`saga list` shows them")),
    };
    let (id, reach) = (wish.id().unwrap_or_else(new_id), wish.reach());
    let request = wish.request(saga.to_string(), wish.place()?, id.clone());
    if wish.is_dry() {
        return dry_run::run(W::WORD, &request, reach.log(), app, output).await;
    }
    let done = reach.use_way(&request, app, output, async |way: &mut Way| {
        way.ask(&request).await?;
        if wish.waits() {
            return end(way, saga.as_str()).await.map(Some);
        }
        Ok(None)
    });
    let (ended, by) = match done.await {
        Ok(done) => done,
        Err(error) => return Err(explained(error, &id, &saga, reach, app).await),
    };
    if output.is_json() {
        output.json(&Done {
            did: W::WORD,
            saga: saga.as_str(),
            id: &id,
            by,
            ended: ended.as_ref(),
        })?;
    } else {
        match &ended {
            Some(ended) => say(ended, output)?,
            None => output.line(format_args!(
                "{} recorded for saga {saga}, id {id}",
                W::WORD
            ))?,
        }
    }
    let is_undone = ended.is_some_and(|ended| ended.status != Status::Completed);
    Ok(if is_undone {
        Exit::Compensated.into()
    } else {
        Exit::Done.into()
    })
}

/// What is of one saga was said of many, or the other way round.
fn one_or_many() -> CliError {
    let message = "a saga is named, or which of many are meant is said; --request-id and --id are of one, \
                   --operation, --all and --yes of many";
    CliError::new("one_or_many", Exit::Usage, message)
}

/// What can be done about it.
async fn explained(error: CliError, id: &str, saga: &SagaId, reach: &Reach, app: &App) -> CliError {
    match error.code() {
        "no_answer" | "connection_broke" | "stopped" => {
            error.fix(format!("send it again with the id {id}: it counts once"))
        }
        _ => legal::named(error, saga, reach.log(), app).await,
    }
}

/// Waits for the end of a saga.
async fn end(way: &mut Way, saga: &str) -> Result<Standing, CliError> {
    let end = Request::End { saga: saga.into() };
    loop {
        match way.ask(&end).await? {
            Answer::Standing(standing) if standing.status.is_terminal() => return Ok(standing),
            _ => {}
        }
    }
}

fn say(ended: &Standing, output: Output) -> Result<(), CliError> {
    let (saga, status) = (&ended.saga, ended.status);
    let said = match (&ended.output, &ended.reason) {
        (Some(output), _) => output.as_str(),
        (None, Some(reason)) => reason,
        (None, None) => "",
    };
    output.line(format_args!("saga {saga} is {status}: {}", plain(said)))?;
    Ok(())
}

/// A ULID of the time and this process, for people: two commands of one process at one microsecond
/// do not happen.
pub(crate) fn new_id() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let within = u128::from(since.subsec_micros() % 1_000) << 32 | u128::from(std::process::id());
    Ulid::from_parts(since.as_millis() as u64, within).to_string()
}

fn time(text: &str) -> Result<Time, String> {
    words::moment(text).ok_or_else(|| "it is no time such as 2026-11-20T20:07:30Z".to_owned())
}

/// The time that is a span from now.
fn from_now(text: &str) -> Result<Time, String> {
    let span = words::to_span(text).ok_or_else(|| "it is no span such as 15m".to_owned())?;
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Time::default().after(since).after(span))
}

pub(super) fn json(text: &str) -> Result<Payload, String> {
    Payload::parse(text)
        .map_err(|why| format!("it is not JSON: {why}; a text needs its quotes, as in '\"text\"'"))
}

impl Wish for Start {
    const WORD: &'static str = "start";

    type Place = Whole;

    /// The saga's own id makes a start safe to send twice.
    fn id(&self) -> Option<String> {
        Some(self.saga.clone())
    }

    fn saga(&self) -> Option<&str> {
        Some(&self.saga)
    }

    fn reach(&self) -> &Reach {
        &self.reach
    }

    fn place(&self) -> Result<Whole, CliError> {
        Ok(Whole)
    }

    fn places(&self, _: &SagaState) -> Vec<Whole> {
        Vec::new()
    }

    fn request(&self, saga: String, _: Whole, _: String) -> Request {
        Request::Start {
            saga,
            definition: self.definition.clone(),
            input: self.input.clone(),
        }
    }

    fn waits(&self) -> bool {
        self.wait
    }
}

impl Wish for Signal {
    const WORD: &'static str = "signal";

    type Place = Whole;

    fn id(&self) -> Option<String> {
        self.numbered().map_or_else(
            || self.id.clone(),
            |numbered| Some(format!("{}#{}", numbered.producer, numbered.number)),
        )
    }

    fn saga(&self) -> Option<&str> {
        self.saga.as_deref()
    }

    fn many(&self) -> Option<&Many> {
        Some(&self.many)
    }

    fn reach(&self) -> &Reach {
        &self.reach
    }

    fn place(&self) -> Result<Whole, CliError> {
        let fix = "`graph` shows the signals of a definition";
        self.name()
            .map(|_| Whole)
            .ok_or_else(|| not_named("the signal", fix))
    }

    fn places(&self, _: &SagaState) -> Vec<Whole> {
        vec![Whole]
    }

    fn request(&self, saga: String, _: Whole, id: String) -> Request {
        if let Some(numbered) = self.numbered() {
            return Request::SignalInOrder { saga, numbered };
        }
        Request::Signal {
            saga,
            signal: self.name().cloned().unwrap_or_default(),
            id,
            until: self.until,
            payload: self.payload.clone(),
        }
    }

    fn is_known(&self, state: &SagaState, id: &str) -> bool {
        let is_it =
            |held: &HeldInput| matches!(&held.input, Origin::Signal { id: of, .. } if **of == *id);
        state.signals().ids().contains(id) || state.held().iter().any(is_it)
    }

    fn is_dry(&self) -> bool {
        self.dry_run
    }
}

/// What the wishes of operators have in common.
macro_rules! wish {
    (@ $word:literal, $place:ty) => {
        const WORD: &'static str = $word;

        type Place = $place;

        fn id(&self) -> Option<String> {
            self.from.request_id.clone()
        }

        fn saga(&self) -> Option<&str> {
            self.saga.as_deref()
        }

        fn many(&self) -> Option<&Many> {
            Some(&self.from.many)
        }

        fn reach(&self) -> &Reach {
            &self.from.reach
        }

        fn is_dry(&self) -> bool {
            self.from.dry_run
        }
    };
    // Of a parked node.
    ($wish:ident, $word:literal, $request:ident { node $(, $field:ident)* }) => {
        impl Wish for $wish {
            wish!(@ $word, Node);

            fn place(&self) -> Result<Node, CliError> {
                self.node.one()
            }

            fn places(&self, state: &SagaState) -> Vec<Node> {
                self.node.of(state)
            }

            fn request(&self, saga: String, Node(node): Node, id: String) -> Request {
                let (by, until) = (self.from.by.clone(), self.from.until);
                Request::$request { saga, id, by, until, node, $($field: self.$field.clone()),* }
            }
        }
    };
    // Of the saga.
    ($wish:ident, $word:literal, $request:ident { $($field:ident),* }) => {
        impl Wish for $wish {
            wish!(@ $word, Whole);

            fn place(&self) -> Result<Whole, CliError> {
                Ok(Whole)
            }

            fn places(&self, _: &SagaState) -> Vec<Whole> {
                vec![Whole]
            }

            fn request(&self, saga: String, _: Whole, id: String) -> Request {
                let (by, until) = (self.from.by.clone(), self.from.until);
                Request::$request { saga, id, by, until, $($field: self.$field.clone()),* }
            }
        }
    };
}

wish!(Cancel, "cancel", Cancel { reason });
wish!(Compensate, "compensate", Compensate { reason });
wish!(Pause, "pause", Pause { reason });
wish!(Resume, "resume", Resume {});
wish!(Retry, "retry", Retry { node, reason });
wish!(Resolve, "resolve", Resolve { node, output });
wish!(Skip, "skip", Skip { node, reason });

impl Wish for SetDeadline {
    wish!(@ "set-deadline", Whole);

    fn place(&self) -> Result<Whole, CliError> {
        Ok(Whole)
    }

    fn places(&self, _: &SagaState) -> Vec<Whole> {
        vec![Whole]
    }

    fn request(&self, saga: String, _: Whole, id: String) -> Request {
        Request::SetDeadline {
            saga,
            id,
            by: self.from.by.clone(),
            until: self.from.until,
            deadline: self.at.or(self.within),
            reason: self.reason.clone(),
        }
    }
}
