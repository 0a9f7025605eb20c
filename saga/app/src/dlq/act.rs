//! `sagalog dlq retry`, `retry-all` and `purge`: whoever drives the log does it, reached as for sagas.

use std::process::ExitCode;

use sagalog::request::Request;
use sagalog_model::{dead_letter::LetterId, log::PartitionId};
use sagalog_projections::dead_letters::{Letter, Phase};
use serde::Serialize;

use super::filter::Filter;
use crate::{
    App,
    error::{CliError, Exit},
    output::Output,
    saga::{
        new_id,
        way::{LANES, Reach, Way},
    },
    who,
    words::plain,
};

/// Letters that are asked for over one connection, each chunk within the time there is.
const CHUNK: usize = 500;

/// Sends letters again to the queues that they died in
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    /// The letters' ids
    #[arg(required = true, value_name = "LETTER")]
    letters: Vec<LetterId>,
    /// What to send instead of what came, for one letter: JSON
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

/// Sends again all letters that wait, or those of them that are meant
#[derive(Debug, clap::Args)]
pub(crate) struct RetryAll {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    asking: Asking,
}

/// Gives letters up; their bytes stay in the log
#[derive(Debug, clap::Args)]
pub(crate) struct Purge {
    #[command(flatten)]
    filter: Filter,
    /// Purges all letters, if nothing says which
    #[arg(long)]
    all: bool,
    /// Why, for the log
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

/// Who asks whom.
#[derive(Debug, clap::Args)]
struct Asking {
    /// Says what would be done, and does nothing
    #[arg(long)]
    dry_run: bool,
    /// Makes it safe to send twice: the same id is the same request; a new one unless given
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Who wants it, for the log
    #[arg(long = "as", alias = "by", value_name = "NAME", default_value_t = who::this_is())]
    by: String,
    #[command(flatten)]
    reach: Reach,
}

/// What became of each letter, as JSON.
#[derive(Serialize)]
struct Done<'a> {
    did: &'a str,
    /// The id of the request; sent again under it, it counts once.
    id: &'a str,
    dry_run: bool,
    done: usize,
    refused: usize,
    letters: Vec<Item>,
}

/// What became of one letter.
#[derive(Clone, Serialize)]
struct Item {
    letter: String,
    /// `done`, `would_be_done` or `refused`.
    result: &'static str,
    /// Why it was refused: a word that stays the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

pub(super) async fn retry(args: Retry, app: &App, output: Output) -> Result<ExitCode, CliError> {
    if args.body.is_some() && args.letters.len() > 1 {
        let message = "a body is for one letter, and several were named";
        return Err(CliError::new("one_letter", Exit::Usage, message));
    }
    let log = args.asking.reach.log().read().await?;
    let found = Filter::of(&args.letters).find(&log).await?;
    for letter in &args.letters {
        if !found.iter().any(|(_, found)| found.died.id == *letter) {
            return Err(super::inspect::no_such_letter(*letter));
        }
    }
    args.asking.retry(found, args.body, app, output).await
}

pub(super) async fn retry_all(
    args: RetryAll,
    app: &App,
    output: Output,
) -> Result<ExitCode, CliError> {
    let log = args.asking.reach.log().read().await?;
    let mut found = args.filter.find(&log).await?;
    if !args.filter.says_phase() {
        found.retain(|(_, letter)| letter.phase == Phase::Waiting);
    }
    args.asking.retry(found, None, app, output).await
}

pub(super) async fn purge(args: Purge, app: &App, output: Output) -> Result<ExitCode, CliError> {
    if args.filter.is_all() && !args.all {
        let message = "nothing says which letters are to be purged";
        return Err(CliError::new("all_letters", Exit::Usage, message)
            .fix("name them with --id, --cause, --queue and the like, or say --all"));
    }
    let log = args.asking.reach.log().read().await?;
    let found = args.filter.find(&log).await?;
    let asking = &args.asking;
    let request = |partition: PartitionId, letter, id| Request::PurgeLetter {
        partition: partition.get(),
        letter,
        id,
        by: asking.by.clone(),
        reason: args.reason.clone(),
    };
    asking.ask("purge", found, request, app, output).await
}

impl Asking {
    /// Asks that each letter is sent again.
    async fn retry(
        &self,
        letters: Vec<(PartitionId, Letter)>,
        body: Option<String>,
        app: &App,
        output: Output,
    ) -> Result<ExitCode, CliError> {
        let request = |partition: PartitionId, letter, id| Request::RetryLetter {
            partition: partition.get(),
            letter,
            id,
            by: self.by.clone(),
            body: body.clone(),
        };
        self.ask("retry", letters, request, app, output).await
    }

    /// Asks for each letter, and says what became of it.
    async fn ask(
        &self,
        did: &str,
        letters: Vec<(PartitionId, Letter)>,
        request: impl Fn(PartitionId, LetterId, String) -> Request,
        app: &App,
        output: Output,
    ) -> Result<ExitCode, CliError> {
        let id = self.request_id.clone().unwrap_or_else(new_id);
        let mut items = Vec::new();
        let mut failed = None;
        if self.dry_run {
            items.extend(
                letters
                    .iter()
                    .map(|(_, letter)| Item::of(letter, "would_be_done")),
            );
        } else {
            for chunk in letters.chunks(CHUNK) {
                let request = |(partition, letter): &(PartitionId, Letter)| {
                    request(*partition, letter.died.id, id.clone())
                };
                let asked = self.ask_chunk(chunk, request, &mut items, app, output);
                if let Err(error) = asked.await {
                    failed = Some(error.fix(format!(
                        "send it again with --request-id {id}: what is done counts once"
                    )));
                    break;
                }
            }
        }
        say(did, &id, self.dry_run, &items, output)?;
        if let Some(error) = failed {
            return Err(error);
        }
        let refused = items.iter().find(|item| item.result == "refused");
        Ok(refused.map_or(Exit::Done, |item| item.exit).into())
    }

    async fn ask_chunk(
        &self,
        chunk: &[(PartitionId, Letter)],
        request: impl Fn(&(PartitionId, Letter)) -> Request,
        items: &mut Vec<Item>,
        app: &App,
        output: Output,
    ) -> Result<(), CliError> {
        let first = request(&chunk[0]);
        let asking = async |way: &mut Way| {
            let answers = way
                .ask_all(chunk.iter().map(request).collect(), LANES)
                .await?;
            let mut broke = None;
            for ((_, letter), answer) in chunk.iter().zip(answers) {
                match answer {
                    Some(Ok(_)) => items.push(Item::of(letter, "done")),
                    Some(Err(error)) if error.is_refusal() => {
                        items.push(Item::refused(letter, &error));
                    }
                    Some(Err(error)) => drop(broke.get_or_insert(error)),
                    None => {}
                }
            }
            broke.map_or(Ok(()), Err)
        };
        let done = self.reach.use_way(&first, app, output, asking).await;
        done.map(drop)
    }
}

impl Item {
    fn of(letter: &Letter, result: &'static str) -> Self {
        Self {
            letter: letter.died.id.to_string(),
            result,
            code: None,
            message: None,
            exit: Exit::Done,
        }
    }

    fn refused(letter: &Letter, error: &CliError) -> Self {
        Self {
            code: Some(error.code().to_owned()),
            message: Some(error.message().to_owned()),
            exit: error.exit(),
            ..Self::of(letter, "refused")
        }
    }
}

fn say(did: &str, id: &str, dry_run: bool, items: &[Item], output: Output) -> Result<(), CliError> {
    let count = |result| items.iter().filter(|item| item.result == result).count();
    let (done, refused) = (count("done"), count("refused"));
    if output.is_json() {
        return output.json(&Done {
            did,
            id,
            dry_run,
            done,
            refused,
            letters: items.to_vec(),
        });
    }
    for item in items {
        let why = item.message.as_deref().unwrap_or_default();
        let result = item.result.replace('_', " ");
        let line = format!("{} {result} {}", item.letter, plain(why));
        output.line(line.trim_end())?;
    }
    output.say(match (items.is_empty(), dry_run) {
        (true, _) => "no dead letters".to_owned(),
        (_, true) => format!("{} would be asked for: {did}", items.len()),
        _ => format!("{did}: {done} done, {refused} refused; request {id}"),
    });
    Ok(())
}
