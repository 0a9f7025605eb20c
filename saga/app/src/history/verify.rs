//! `sagalog log verify`

use std::{collections::BTreeMap, fmt, process::ExitCode, sync::Arc};

use sagalog::{
    LogStreams,
    follow::{CompareError, Compared, compare},
};
use sagalog_eventlog::{EventLog, Verified, VerifyError, verify};
use sagalog_transport::rabbitmq::StreamBounds;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::{
    broker::BrokerArg,
    error::{CliError, Exit},
    log::{LogArg, partitions},
    output::Output,
    words::count,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArg,
    /// Compares the published log, in the streams of --broker, with what is stored as well
    #[arg(long)]
    published: bool,
    #[command(flatten)]
    broker: BrokerArg,
}

/// What was found, as JSON.
#[derive(Serialize)]
struct Report {
    whole: bool,
    /// Where it is not, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_bad_position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    #[serde(flatten)]
    counted: Option<Counted>,
}

/// What a whole log has.
#[derive(Serialize)]
struct Counted {
    events: u64,
    inputs: u64,
    streams: u64,
    open_streams: u64,
    erased: u64,
    #[serde(flatten)]
    ends: Ends,
    /// The streams of its partitions, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<Vec<Published>>,
}

/// What the published log has of a partition.
#[derive(Serialize)]
struct Published {
    /// The first position in the stream: what is before was cut off, or never published.
    from: u64,
    events: u64,
    /// Rows that are there again.
    again: u64,
    /// Positions that are missing behind the first: from and to.
    missing: Vec<[u64; 2]>,
    /// Positions of rows that are other than stored.
    different: Vec<u64>,
    /// Messages that are no part of a log.
    unreadable: u64,
}

/// Where its partitions end.
#[derive(Serialize)]
#[serde(untagged)]
enum Ends {
    One(End),
    Many { partitions: Vec<End> },
}

#[derive(Serialize)]
struct End {
    tail: u64,
    chain: String,
}

/// Verifies; a log that is not whole is data with exit code 1, not an error of the command.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let streams = match args.published {
        true => {
            args.broker.named()?;
            args.broker.streams(StreamBounds::default(), output).await?
        }
        false => None,
    };
    let mut verified = Vec::new();
    let (position, fault) = loop {
        let Some(partition) = partitions(&*log).nth(verified.len()) else {
            let published = match streams {
                Some(streams) => Some(published(&streams, &log).await?),
                None => None,
            };
            return whole(log.name(), &verified, published, output);
        };
        match verify(&*log, partition).await {
            Ok(whole) => verified.push(whole),
            Err(VerifyError::Bad {
                position, fault, ..
            }) => break (Some(position), fault.to_string()),
            Err(VerifyError::Damaged(damage)) => break (damage.position, damage.what),
            Err(error) => return Err(error.into()),
        }
    };
    let partition = (log.partitions() > 1).then_some(verified.len());
    let position = position.map(sagalog_model::log::Position::get);
    let report = Report {
        whole: false,
        partition,
        first_bad_position: position,
        fault: Some(fault.clone()),
        counted: None,
    };
    if output.is_json() {
        output.json(&report)?;
    } else {
        let partition =
            partition.map_or_else(String::new, |number| format!(" in partition {number}"));
        let from = position.map_or_else(String::new, |position| {
            format!(" from position {position} on")
        });
        output.line(format_args!(
            "{} is not what was appended{partition}{from}: {fault}",
            log.name()
        ))?;
    }
    output.say("restore a copy that verifies; what is before that position is as it was appended");
    Ok(Exit::Failed.into())
}

/// Compares all partitions side by side: of each, the end of its stream may have to be waited for.
async fn published(
    streams: &Arc<dyn LogStreams>,
    log: &Arc<dyn EventLog>,
) -> Result<Vec<Published>, CliError> {
    let mut comparing = JoinSet::new();
    for partition in partitions(&**log) {
        let (streams, log) = (streams.clone(), log.clone());
        comparing.spawn(async move { (partition, compare(&*streams, &*log, partition).await) });
    }
    let mut published = BTreeMap::new();
    while let Some(compared) = comparing.join_next().await {
        let (partition, compared) = compared.expect("it is not aborted and does not panic");
        let compared = compared.map_err(|error| match error {
            CompareError::Log(error) => error.into(),
            error => CliError::failed(&error)
                .fix("is it published there? nodes do so unless started with --no-published-log"),
        })?;
        published.insert(partition, Published::of(&compared));
    }
    Ok(published.into_values().collect())
}

fn whole(
    log: &str,
    verified: &[Verified],
    published: Option<Vec<Published>>,
    output: Output,
) -> Result<ExitCode, CliError> {
    let is_published = published.iter().flatten().all(Published::is_good);
    let exit = if is_published {
        Exit::Done
    } else {
        Exit::Failed
    };
    let sum = |count: fn(&Verified) -> u64| verified.iter().map(count).sum();
    let mut ends: Vec<_> = verified.iter().map(End::of).collect();
    let counted = Counted {
        events: sum(|verified| verified.events),
        inputs: sum(|verified| verified.rows),
        streams: sum(|verified| verified.streams),
        open_streams: sum(|verified| verified.open),
        erased: sum(|verified| verified.erased),
        ends: match ends.pop() {
            Some(only) if ends.is_empty() => Ends::One(only),
            last => {
                ends.extend(last);
                Ends::Many { partitions: ends }
            }
        },
        published,
    };
    if output.is_json() {
        let report = Report {
            whole: true,
            partition: None,
            first_bad_position: None,
            fault: None,
            counted: Some(counted),
        };
        output.json(&report)?;
        return Ok(exit.into());
    }
    output.line(format_args!(
        "{} is whole: {} of {} in {}, {} open",
        log,
        count(counted.events, "event"),
        count(counted.inputs, "input"),
        count(counted.streams, "stream"),
        counted.open_streams,
    ))?;
    if counted.erased > 0 {
        output.line(format_args!(
            "the data of {} was erased; the hashes fit",
            count(counted.erased, "event")
        ))?;
    }
    let mut streams = counted.published.iter().flatten();
    let mut tell = |what: String| {
        output.line(what)?;
        let told = streams.next();
        told.map_or(Ok(()), |stream| output.line(format_args!("  {stream}")))
    };
    match &counted.ends {
        Ends::One(End { tail, chain }) => tell(format!("chain {chain} at position {tail}"))?,
        Ends::Many { partitions } => {
            for (number, End { tail, chain }) in partitions.iter().enumerate() {
                tell(format!(
                    "partition {number}: chain {chain} at position {tail}"
                ))?;
            }
        }
    }
    if !is_published {
        output.say(
            "what is missing at the end may be published any moment, if a node runs; followers read the rest from \
             the log; to have all of it published anew, delete the stream",
        );
    }
    Ok(exit.into())
}

impl Published {
    fn of(compared: &Compared) -> Self {
        let gaps = compared.gaps().iter();
        let different = compared.different.iter();
        Self {
            from: compared.begins_at().get(),
            events: compared.events,
            again: compared.again,
            missing: gaps
                .map(|gap| [gap.start.get(), gap.end.get() - 1])
                .collect(),
            different: different.map(|position| position.get()).collect(),
            unreadable: compared.unreadable,
        }
    }

    fn is_good(&self) -> bool {
        self.missing.is_empty() && self.different.is_empty() && self.unreadable == 0
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "published: {}", count(self.events, "event"))?;
        if self.from > 1 {
            write!(f, " from position {} on", self.from)?;
        }
        if self.again > 0 {
            write!(f, ", {} again", count(self.again, "input"))?;
        }
        for [from, to] in &self.missing {
            write!(f, ", positions {from} to {to} are missing")?;
        }
        for position in &self.different {
            write!(f, ", at position {position} it is not what is stored")?;
        }
        if self.unreadable > 0 {
            let messages = count(self.unreadable, "message");
            write!(f, ", {messages} in it cannot be read")?;
        }
        Ok(())
    }
}

impl End {
    fn of(verified: &Verified) -> Self {
        Self {
            tail: verified.tail.get(),
            chain: verified.chain.to_string(),
        }
    }
}
