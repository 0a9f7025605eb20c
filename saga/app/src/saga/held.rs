//! `sagalog held`: inputs that could not be processed, and what waits behind them.

use std::process::ExitCode;

use clap::Subcommand;
use comfy_table::Table;
use sagalog::{Payload, SagaState, request::Request};
use sagalog_model::event::Origin;
use sagalog_projections::held::HeldInput;
use serde::Serialize;

use super::{
    bulk::Many,
    operate::{self, From, Wish, json},
    place::{self, first_held, not_named},
    recorded::{Recorded, saga_id},
    rows::what_is_held,
    scan::{Filter, Scan},
    undriven::{self, Undriven},
    way::Reach,
};
use crate::{
    App,
    error::{CliError, Exit},
    log::LogArg,
    output::{Output, columns},
    words::{plain, utc},
};

/// What to do with held inputs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the sagas that held inputs keep waiting
    List(List),
    /// Shows the held inputs of a saga with what they carry
    Show(Show),
    /// Has the first held input of a saga processed, and then those behind it
    Release(Release),
    /// The same with another content: of a signal its payload, of an answer its outcome
    Edit(Edit),
    /// Gives a held input up
    Drop(Drop),
}

/// Lists the sagas that held inputs keep waiting
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// The most sagas to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Goes on behind this one: the `next` of the list before
    #[arg(long, value_name = "NEXT", default_value_t = 0)]
    after: u64,
    #[command(flatten)]
    log: LogArg,
}

/// Shows the held inputs of a saga
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The saga's id
    saga: String,
    #[command(flatten)]
    log: LogArg,
}

/// Has the first held input processed
#[derive(Debug, clap::Args)]
pub(crate) struct Release {
    #[command(flatten)]
    which: Which,
}

/// Has the first held input processed with another content
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    /// What it is to carry
    #[arg(long, value_name = "JSON", value_parser = json)]
    content: Payload,
    #[command(flatten)]
    which: Which,
}

/// Gives a held input up
#[derive(Debug, clap::Args)]
pub(crate) struct Drop {
    /// Why, for the log
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    which: Which,
}

/// Which held input.
#[derive(Debug, clap::Args)]
struct Which {
    /// The saga's id; without it all that fit are meant, and the first held input of each
    saga: Option<String>,
    /// The input's number, as `held show` says
    #[arg(requires = "saga")]
    number: Option<u64>,
    #[command(flatten)]
    from: From,
}

impl Command {
    pub(crate) async fn run(self, app: &App, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::List(args) => list(args, output).await,
            Self::Show(args) => show(args, output).await,
            Self::Release(wish) => operate::run(wish, app, output).await,
            Self::Edit(wish) => operate::run(wish, app, output).await,
            Self::Drop(wish) => operate::run(wish, app, output).await,
        }
    }
}

/// Sagas with held inputs, as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    sagas: &'a [Saga],
    /// Sagas that cannot be driven at all; on the first page.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    cannot_be_driven: &'a [Undriven],
    /// What to give as `--after` for the rest; missing if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// The held inputs of a saga, as JSON.
#[derive(Serialize)]
struct Saga {
    saga: String,
    held: Vec<Input>,
}

/// A held input, as JSON. Times are microseconds since 1970.
#[derive(Serialize)]
pub(super) struct Input {
    pub(super) number: u64,
    since: u64,
    pub(super) input: Origin,
    content: Payload,
    /// Why it cannot be processed; missing if it only waits behind another.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Saga {
    fn of(state: &SagaState) -> Self {
        let is_live = !state.status().is_terminal();
        let held = state.held().iter().filter(|_| is_live);
        Self {
            saga: state.id().to_string(),
            held: held.map(Input::of).collect(),
        }
    }
}

impl Input {
    pub(super) fn of(held: &HeldInput) -> Self {
        Self {
            number: held.number,
            since: held.since.as_micros(),
            input: held.input.clone(),
            content: held.content.clone(),
            reason: held.reason.clone(),
        }
    }

    fn reason(&self) -> &str {
        self.reason
            .as_deref()
            .unwrap_or("waits for those before it")
    }
}

async fn list(args: List, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let undriven = match args.after {
        0 => undriven::all(&log).await?,
        _ => Vec::new(),
    };
    let mut scan = Scan::of(log, args.after).await?;
    let mut sagas = Vec::new();
    let mut is_all = false;
    while sagas.len() < args.limit {
        let Some(state) = scan.next(&args.filter).await? else {
            is_all = true;
            break;
        };
        let saga = Saga::of(&state);
        if !saga.held.is_empty() {
            sagas.push(saga);
        }
    }
    let more = !is_all && scan.has_more().await?;
    let next = more.then(|| scan.place());
    if output.is_json() {
        output.json(&Listed {
            sagas: &sagas,
            cannot_be_driven: &undriven,
            next,
        })?;
        return Ok(Exit::Done.into());
    }
    if sagas.is_empty() && undriven.is_empty() {
        output.say("no inputs are held");
    } else {
        output.line(table(&undriven, &sagas).trim_fmt())?;
    }
    if let Some(next) = next {
        output.say(format_args!("there are more: --after {next}"));
    }
    Ok(Exit::Done.into())
}

fn table(undriven: &[Undriven], sagas: &[Saga]) -> Table {
    let time = sagalog_model::log::Time::from_micros;
    let mut table = columns(["SAGA", "HELD", "FIRST", "SINCE", "INPUT", "WHY"]);
    for it in undriven {
        table.add_row([
            it.saga.clone(),
            it.waits.len().to_string(),
            "0".to_owned(),
            utc(time(it.since)),
            "all of the saga".to_owned(),
            plain(&it.reason).into_owned(),
        ]);
    }
    for Saga { saga, held } in sagas {
        if let Some(first) = held.first() {
            table.add_row([
                saga.clone(),
                held.len().to_string(),
                first.number.to_string(),
                utc(time(first.since)),
                plain(&what_is_held(&first.input)).into_owned(),
                plain(first.reason()).into_owned(),
            ]);
        }
    }
    table
}

async fn show(args: Show, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    if let Some(undriven) = undriven::find(&log, &saga_id(&args.saga)?).await? {
        undriven.print(output)?;
        return Ok(Exit::Done.into());
    }
    let saga = Saga::of(&Recorded::read(&args.log, &args.saga).await?.state()?);
    if output.is_json() {
        output.json(&saga)?;
        return Ok(Exit::Done.into());
    }
    if saga.held.is_empty() {
        output.say("no inputs are held");
    }
    for held in &saga.held {
        let what = what_is_held(&held.input);
        output.line(plain(&format!("{} {what}", held.number)))?;
        output.line(plain(&format!("  why      {}", held.reason())))?;
        output.line(plain(&format!("  carries  {}", held.content)))?;
    }
    Ok(Exit::Done.into())
}

macro_rules! decision {
    ($wish:ident, $word:literal, $request:ident { $($field:ident: $value:expr),* }) => {
        impl Wish for $wish {
            const WORD: &'static str = $word;

            type Place = place::Input;

            fn id(&self) -> Option<String> {
                self.which.from.request_id.clone()
            }

            fn saga(&self) -> Option<&str> {
                self.which.saga.as_deref()
            }

            fn many(&self) -> Option<&Many> {
                Some(&self.which.from.many)
            }

            fn reach(&self) -> &Reach {
                &self.which.from.reach
            }

            fn is_dry(&self) -> bool {
                self.which.from.dry_run
            }

            fn place(&self) -> Result<place::Input, CliError> {
                let number = self.which.number.map(place::Input);
                number.ok_or_else(|| not_named("the input's number", "`held show` says it"))
            }

            fn places(&self, state: &SagaState) -> Vec<place::Input> {
                first_held(state)
            }

            fn request(&self, saga: String, place::Input(number): place::Input, id: String) -> Request {
                let (by, until) = (self.which.from.by.clone(), self.which.from.until);
                let given = self;
                Request::$request { saga, id, by, until, number, $($field: $value(given)),* }
            }
        }
    };
}

decision!(
    Release,
    "release",
    Release {
        content: |_: &Self| None
    }
);
decision!(
    Edit,
    "edit",
    Release {
        content: |edit: &Self| Some(edit.content.clone())
    }
);
decision!(
    Drop,
    "drop",
    Drop {
        reason: |drop: &Self| drop.reason.clone()
    }
);
