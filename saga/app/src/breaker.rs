//! `sagalog breaker`: how it stands with participants, and keeping everything from one by hand.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Subcommand;
use comfy_table::Table;
use sagalog::{
    history::Reader,
    request::{Answer, AtParticipant, ByHand, Request},
};
use sagalog_model::log::{PartitionId, Time};
use serde::Serialize;

use crate::{
    App,
    error::{CliError, Exit},
    output::{Output, columns},
    saga::{
        new_id,
        way::{LANES, Reach, Way},
    },
    who,
    words::{plain, utc},
};

/// What to do with breakers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// How it stands with each participant: its breakers, and what is under way and waits
    List(List),
    /// Asks nothing of a participant until its breakers are reset; what is asked meanwhile waits
    Open(Open),
    /// Asks a participant again, whether a person or its failures had opened its breakers
    Reset(Reset),
}

/// Of which log.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    reach: Reach,
}

/// What is opened.
#[derive(Debug, clap::Args)]
pub(crate) struct Open {
    participant: String,
    /// Why, for the log
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

/// What is reset.
#[derive(Debug, clap::Args)]
pub(crate) struct Reset {
    participant: String,
    #[command(flatten)]
    asking: Asking,
}

/// Who asks whom.
#[derive(Debug, clap::Args)]
struct Asking {
    /// Makes it safe to send twice: the same id is the same request; a new one unless given
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Who wants it, for the log
    #[arg(long = "as", alias = "by", value_name = "NAME", default_value_t = who::this_is())]
    by: String,
    #[command(flatten)]
    reach: Reach,
}

/// The answer, as JSON. Times are microseconds since 1970.
#[derive(Serialize)]
struct Listed {
    /// Whether somebody drives the log; if not, only what people opened is known.
    driven: bool,
    partitions: BTreeMap<u32, Vec<AtParticipant>>,
    open_by_hand: BTreeMap<u32, BTreeMap<String, ByHand>>,
}

/// What was done, as JSON.
#[derive(Serialize)]
struct Done<'a> {
    did: &'a str,
    participant: &'a str,
    /// The id of the request; sent again under it, it counts once.
    id: &'a str,
    partitions: u32,
}

impl Command {
    pub(crate) async fn run(self, app: &App, output: Output) -> Result<ExitCode, CliError> {
        match self {
            Self::List(args) => list(&args.reach, app, output).await?,
            Self::Open(args) => {
                let Open {
                    participant,
                    reason,
                    asking,
                } = args;
                let request = |partition, id, by| Request::OpenBreaker {
                    partition,
                    participant: participant.clone(),
                    id,
                    by,
                    reason: reason.clone(),
                };
                let done = asking.of_all("open", &participant, request, app, output);
                done.await?;
            }
            Self::Reset(Reset {
                participant,
                asking,
            }) => {
                let request = |partition, id, by| Request::ResetBreaker {
                    partition,
                    participant: participant.clone(),
                    id,
                    by,
                };
                let done = asking.of_all("reset", &participant, request, app, output);
                done.await?;
            }
        }
        Ok(Exit::Done.into())
    }
}

impl Asking {
    /// Asks it of every partition: each asks participants for itself.
    async fn of_all(
        &self,
        did: &str,
        participant: &str,
        request: impl Fn(u32, String, String) -> Request,
        app: &App,
        output: Output,
    ) -> Result<(), CliError> {
        let id = self.request_id.clone().unwrap_or_else(new_id);
        let request = |partition| request(partition, id.clone(), self.by.clone());
        let asking = async |way: &mut Way| {
            let partitions = partitions(way).await?;
            let answers = way
                .ask_all((0..partitions).map(request).collect(), LANES)
                .await?;
            for answer in answers.into_iter().flatten() {
                answer?;
            }
            Ok(partitions)
        };
        let done = self.reach.use_way(&request(0), app, output, asking).await;
        let (partitions, _) = done.map_err(|error| match error.is_refusal() {
            true => error,
            false => error.fix(format!(
                "send it again with --request-id {id}: it counts once"
            )),
        })?;
        if output.is_json() {
            return output.json(&Done {
                did,
                participant,
                id: &id,
                partitions,
            });
        }
        output.line(format_args!(
            "{did}: {} in {partitions} partitions; request {id}",
            plain(participant)
        ))
    }
}

async fn partitions(way: &mut Way) -> Result<u32, CliError> {
    match way.ask(&Request::Who {}).await? {
        Answer::Owner(owner) => Ok(owner.partitions),
        _ => Err(unknown_answer()),
    }
}

fn unknown_answer() -> CliError {
    let message = "the owner of the log does not say how it stands with participants";
    CliError::new("unknown_answer", Exit::Failed, message)
}

async fn list(reach: &Reach, app: &App, output: Output) -> Result<(), CliError> {
    let first = Request::Breakers { partition: 0 };
    let asked = reach.use_way(&first, app, output, async |way: &mut Way| {
        let partitions = partitions(way).await?;
        let requests = (0..partitions).map(|partition| Request::Breakers { partition });
        let answers = way.ask_all(requests.collect(), LANES).await?;
        let mut all = BTreeMap::new();
        for (partition, answer) in (0..).zip(answers) {
            match answer.ok_or_else(unknown_answer)?? {
                Answer::Breakers(of) => _ = all.insert(partition, of),
                _ => return Err(unknown_answer()),
            }
        }
        Ok(all)
    });
    let (driven, partitions) = match asked.await {
        Ok((all, _)) => (true, all),
        // Then the log says what people opened; nothing else outlives its owner.
        Err(error) if ["nobody_drives", "no_broker_named"].contains(&error.code()) => {
            (false, BTreeMap::new())
        }
        Err(error) => return Err(error),
    };
    let open_by_hand = match driven {
        true => by_hand(&partitions),
        false => of_the_log(reach).await?,
    };
    let listed = Listed {
        driven,
        partitions,
        open_by_hand,
    };
    match output.is_json() {
        true => output.json(&listed),
        false => print(&listed, output),
    }
}

fn by_hand(
    partitions: &BTreeMap<u32, Vec<AtParticipant>>,
) -> BTreeMap<u32, BTreeMap<String, ByHand>> {
    let of = |all: &Vec<AtParticipant>| -> BTreeMap<_, _> {
        let open = all.iter().filter_map(|it| {
            let by_hand = it.by_hand.clone()?;
            Some((it.participant.to_string(), by_hand))
        });
        open.collect()
    };
    let all = partitions
        .iter()
        .map(|(partition, all)| (*partition, of(all)));
    all.filter(|(_, open)| !open.is_empty()).collect()
}

async fn of_the_log(reach: &Reach) -> Result<BTreeMap<u32, BTreeMap<String, ByHand>>, CliError> {
    let log = reach.log().read().await?;
    let mut all = BTreeMap::new();
    for number in 0..log.partitions() {
        let reader = Reader::new(log.clone(), PartitionId::new(number));
        let breakers = reader.breakers().await?;
        let open = breakers.iter();
        let open: BTreeMap<_, _> = open
            .map(|(name, open)| (name.to_string(), open.into()))
            .collect();
        if !open.is_empty() {
            all.insert(number, open);
        }
    }
    Ok(all)
}

/// How it stands with one class of a participant, in all partitions.
struct Row {
    breaker: &'static str,
    partitions: usize,
    under_way: u32,
    permits: u32,
    waiting: usize,
    opened: u32,
}

/// From what is worst to what is best.
const WORST_FIRST: [&str; 4] = ["open_by_hand", "open", "half_open", "closed"];

fn print(listed: &Listed, output: Output) -> Result<(), CliError> {
    if !listed.driven {
        output.say("nobody drives the log: it says only which breakers people opened");
    } else if listed.partitions.values().all(Vec::is_empty) {
        output.say("no participant was asked since the partitions were taken over");
    } else {
        output.line(table(&listed.partitions).trim_fmt())?;
    }
    let mut said: BTreeMap<(&str, &ByHand), usize> = BTreeMap::new();
    for open in listed.open_by_hand.values() {
        for (participant, by_hand) in open {
            *said.entry((participant, by_hand)).or_default() += 1;
        }
    }
    for ((participant, ByHand { by, reason, at }), partitions) in said {
        let at: Time = *at;
        output.line(format_args!(
            "{} is open by hand in {partitions} partitions since {}, by {}: {}",
            plain(participant),
            utc(at),
            plain(by),
            plain(reason)
        ))?;
    }
    Ok(())
}

fn table(partitions: &BTreeMap<u32, Vec<AtParticipant>>) -> Table {
    let mut rows: BTreeMap<(&str, &str), Row> = BTreeMap::new();
    for it in partitions.values().flatten() {
        let row = rows.entry((&it.participant, &it.class)).or_insert(Row {
            breaker: "closed",
            partitions: 0,
            under_way: 0,
            permits: 0,
            waiting: 0,
            opened: 0,
        });
        let places = WORST_FIRST.iter();
        let worst = places
            .copied()
            .find(|word| [row.breaker, &it.breaker].contains(word));
        row.breaker = worst.unwrap_or(row.breaker);
        row.partitions += usize::from(*it.breaker != *"closed");
        row.under_way += it.under_way;
        row.permits += it.permits;
        row.waiting += it.waiting;
        row.opened += it.opened;
    }
    let mut table = columns([
        "PARTICIPANT",
        "CLASS",
        "BREAKER",
        "IN",
        "UNDER WAY",
        "OF",
        "WAITING",
        "OPENED",
    ]);
    for ((participant, class), row) in rows {
        table.add_row([
            plain(participant).into_owned(),
            class.to_owned(),
            row.breaker.replace('_', " "),
            row.partitions.to_string(),
            row.under_way.to_string(),
            row.permits.to_string(),
            row.waiting.to_string(),
            row.opened.to_string(),
        ]);
    }
    table
}
