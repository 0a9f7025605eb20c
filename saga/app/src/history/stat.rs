//! `sagalog log stat`

use std::{collections::BTreeMap, fs, process::ExitCode, sync::Arc};

use sagalog::views::{SagaFilter, Views};
use sagalog_eventlog::{EventLog, Row};
use sagalog_model::{
    log::{PartitionId, Position, Time, Version},
    system::{SystemEvent, partition_stream},
};
use sagalog_projections::views::Standing;
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use crate::{
    error::{CliError, Exit},
    log::{LogArg, partitions},
    output::{Output, columns},
    saga::{
        caught_up,
        scan::{Filter, Scan},
    },
    words::{count, utc},
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArg,
}

/// What a log holds, as JSON. Times are microseconds since 1970.
#[derive(Serialize)]
struct Stat {
    log: String,
    events: u64,
    /// What it takes in its store, with its indexes: the file and what is written ahead of it, or the tables.
    bytes: u64,
    /// Sagas by status.
    sagas: BTreeMap<&'static str, u64>,
    partitions: Vec<Partition>,
}

/// A partition, as JSON.
#[derive(Serialize)]
struct Partition {
    partition: u32,
    /// The last position, which is the number of its events.
    tail: u64,
    /// Who took it last, if anybody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<u64>,
}

/// Who took a partition last, as its log says; whether it drives it still is not in the log.
#[derive(Serialize)]
struct Owner {
    node: String,
    epoch: u64,
    since: u64,
}

/// Says how much there is of what.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let views = args.log.views().await?;
    let log = views.log().clone();
    let mut all = Vec::new();
    for partition in partitions(&*log) {
        all.push(Partition::of(&log, partition).await?);
    }
    let stat = Stat {
        log: log.name().to_owned(),
        events: all.iter().map(|partition| partition.tail).sum(),
        bytes: bytes(&args.log).await?,
        sagas: sagas(&views, output).await?,
        partitions: all,
    };
    if output.is_json() {
        output.json(&stat)?;
    } else {
        stat.print(output)?;
    }
    Ok(Exit::Done.into())
}

impl Partition {
    async fn of(log: &Arc<dyn EventLog>, partition: PartitionId) -> Result<Self, CliError> {
        let tail = log.tail(partition).await?;
        let at = async |position| {
            let rows = log.read(partition, position, 1).await?;
            Ok::<_, CliError>(rows.first().map(|row| row.at.as_micros()))
        };
        Ok(Self {
            partition: partition.get(),
            tail: tail.get(),
            owner: owner(&**log, partition).await?,
            oldest: at(Position::new(1)).await?,
            newest: at(tail.max(Position::new(1))).await?,
        })
    }
}

/// Who took a partition last: the last event of its own stream.
async fn owner(log: &dyn EventLog, partition: PartitionId) -> Result<Option<Owner>, CliError> {
    let name = partition_stream(partition);
    let heads = log.heads(partition, std::slice::from_ref(&name)).await?;
    let Some(head) = heads.into_iter().next().flatten() else {
        return Ok(None);
    };
    let from = head.version.max(Version::new(1));
    let rows = log.read_stream(partition, head.stream, from, 1).await?;
    Ok(rows.last().and_then(owned))
}

fn owned(row: &Row) -> Option<Owner> {
    let mut events = row.events.iter().rev();
    events.find_map(
        |it| match SystemEvent::decode(&it.kind, it.schema, &it.control, &it.data) {
            Ok(SystemEvent::PartitionOwned(owned)) => Some(Owner {
                node: owned.node.to_string(),
                epoch: owned.epoch.get(),
                since: row.at.as_micros(),
            }),
            _ => None,
        },
    )
}

/// From the views if there are any, otherwise by folding each saga's events.
async fn sagas(views: &Views, output: Output) -> Result<BTreeMap<&'static str, u64>, CliError> {
    let mut sagas = BTreeMap::new();
    if caught_up::by_now(views, output).await {
        for standing in Standing::ALL {
            let filter = SagaFilter {
                standings: vec![standing],
                ..SagaFilter::default()
            };
            match views.count_sagas(&filter).await? {
                Some(0) => {}
                Some(count) => drop(sagas.insert(standing.as_str(), count)),
                None => return folded(views.log()).await,
            }
        }
        return Ok(sagas);
    }
    folded(views.log()).await
}

async fn folded(log: &Arc<dyn EventLog>) -> Result<BTreeMap<&'static str, u64>, CliError> {
    let mut sagas = BTreeMap::new();
    let mut scan = Scan::of(log.clone(), 0).await?;
    while let Some(state) = scan.next(&Filter::default()).await? {
        *sagas
            .entry(Standing::from(state.status()).as_str())
            .or_insert(0) += 1;
    }
    if scan.left_out() > 0 {
        sagas.insert(Standing::Unreadable.as_str(), scan.left_out());
    }
    Ok(sagas)
}

/// What a log takes in its store.
async fn bytes(log: &LogArg) -> Result<u64, CliError> {
    let Some(url) = log.as_url()? else {
        let file = log.as_file()?.map(|file| file.as_os_str().to_owned());
        let sizes = file.into_iter().flat_map(|file| {
            ["", "-wal"].map(|end| {
                let mut name = file.clone();
                name.push(end);
                fs::metadata(name).map_or(0, |found| found.len())
            })
        });
        return Ok(sizes.sum());
    };
    let failed = |error: sqlx::Error| CliError::failed(&error);
    let mut database = PgConnection::connect(url).await.map_err(failed)?;
    let bytes: i64 = sqlx::query_scalar(TABLES_BYTES)
        .fetch_one(&mut database)
        .await
        .map_err(failed)?;
    Ok(bytes.unsigned_abs())
}

const TABLES_BYTES: &str = "select coalesce(sum(pg_total_relation_size(t.oid)), 0)::bigint \
    from pg_class t join pg_namespace s on s.oid = t.relnamespace \
    where s.nspname = 'sagalog' and t.relkind in ('r', 'p')";

impl Stat {
    fn print(&self, output: Output) -> Result<(), CliError> {
        let mib = self.bytes as f64 / f64::from(1 << 20);
        let events = count(self.events, "event");
        output.line(format_args!("{}: {events}, {mib:.1} MiB", self.log))?;
        let sagas: Vec<_> = self
            .sagas
            .iter()
            .map(|(status, count)| format!("{count} {status}"))
            .collect();
        match sagas.as_slice() {
            [] => output.line("sagas: none")?,
            sagas => output.line(format_args!("sagas: {}", sagas.join(", ")))?,
        }
        let mut table = columns([
            "PARTITION",
            "TAIL",
            "OWNED LAST BY",
            "EPOCH",
            "SINCE",
            "OLDEST",
            "NEWEST",
        ]);
        let time =
            |at: Option<u64>| at.map_or_else(|| "-".to_owned(), |at| utc(Time::from_micros(at)));
        for it in &self.partitions {
            let owner = it.owner.as_ref();
            table.add_row([
                it.partition.to_string(),
                it.tail.to_string(),
                owner.map_or_else(|| "-".to_owned(), |owner| owner.node.clone()),
                owner.map_or_else(|| "-".to_owned(), |owner| owner.epoch.to_string()),
                time(owner.map(|owner| owner.since)),
                time(it.oldest),
                time(it.newest),
            ]);
        }
        output.line(table.trim_fmt())
    }
}
