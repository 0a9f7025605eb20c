//! `sagalog log read`

use std::{collections::HashMap, process::ExitCode, sync::Arc};

use sagalog_eventlog::{Event, EventLog, Row, Subscription};
use sagalog_model::{
    Payload,
    log::{Data, PartitionId, Position, StreamKey},
};
use serde::Serialize;

use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::{Output, Style},
    words::{plain, utc},
};

/// Rows of one read.
const PAGE: usize = 500;

/// The most stream names that are kept at once.
const NAMES: usize = 10_000;

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The partition to show, from 0
    #[arg(long, value_name = "PARTITION", default_value_t = 0)]
    partition: u32,
    /// The first position to show
    #[arg(long, value_name = "POSITION", default_value_t = 1)]
    from: u64,
    /// The most events to show
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Waits for what comes
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    log: LogArg,
}

/// One event, as JSON: everything that is stored of it.
#[derive(Serialize)]
struct Line<'a> {
    partition: u32,
    position: u64,
    time: String,
    time_us: u64,
    stream: &'a str,
    version: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    schema: u16,
    control: Payload,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Payload>,
    /// The hash that erased data left.
    #[serde(skip_serializing_if = "Option::is_none")]
    erased: Option<String>,
    id: String,
    batch: String,
    input: String,
    input_digest: String,
    epoch: u64,
    chain: String,
}

/// Shows events in the order of the log.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let log = args.log.read().await?;
    let partition = PartitionId::new(args.partition);
    let mut shown = Shown::of(log.clone(), partition, output);
    shown.left = args.limit.unwrap_or(u64::MAX);
    let next = Position::new(args.from.max(1));
    if args.follow {
        let before = Position::new(next.get() - 1);
        let mut rows = Subscription::after(log, partition, before).await?;
        while shown.left > 0 {
            tokio::select! {
                row = rows.next() => shown.row(&row?, next).await?,
                _ = tokio::signal::ctrl_c() => break,
            }
        }
        return Ok(Exit::Done.into());
    }
    let mut rows = log.read(partition, next, PAGE).await?;
    while let (Some(last), true) = (rows.last(), shown.left > 0) {
        let after = last.last_position().next();
        for row in &rows {
            shown.row(row, next).await?;
        }
        rows = log.read(partition, after, PAGE).await?;
    }
    Ok(Exit::Done.into())
}

/// Shows events of a partition.
pub(super) struct Shown {
    log: Arc<dyn EventLog>,
    partition: PartitionId,
    output: Output,
    /// Names of streams that were seen; only a stream's first row has its name.
    names: HashMap<StreamKey, String>,
    /// How many more events are shown.
    pub(super) left: u64,
    /// Whether each line says of which partition it is.
    pub(super) with_partition: bool,
}

impl Shown {
    pub(super) fn of(log: Arc<dyn EventLog>, partition: PartitionId, output: Output) -> Self {
        Self {
            log,
            partition,
            output,
            names: HashMap::new(),
            left: u64::MAX,
            with_partition: false,
        }
    }

    /// Shows those of a row from this position on.
    pub(super) async fn row(&mut self, row: &Row, from: Position) -> Result<(), CliError> {
        let name = self.name(row).await?;
        for event in row.events_from(from) {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            if self.output.is_json() {
                self.output
                    .json(&json(self.partition, row, &event, &name))?;
            } else {
                let partition = self.with_partition.then_some(self.partition);
                self.output
                    .line(text(partition, row, &event, &name, self.output))?;
            }
        }
        Ok(())
    }

    async fn name(&mut self, row: &Row) -> Result<String, CliError> {
        if let Some(name) = self.names.get(&row.stream) {
            return Ok(name.clone());
        }
        let name = match &row.name {
            Some(name) => Some(name.clone()),
            None => self.log.stream_name(self.partition, row.stream).await?,
        };
        // A stream without a name is damage that `log verify` names; here it is shown as it is.
        let name = name.map_or_else(|| format!("#{}", row.stream), String::from);
        if self.names.len() >= NAMES {
            self.names.clear();
        }
        self.names.insert(row.stream, name.clone());
        Ok(name)
    }
}

fn json<'a>(partition: PartitionId, row: &Row, event: &Event<'a>, stream: &'a str) -> Line<'a> {
    let recorded = event.recorded;
    let (data, erased) = match &recorded.data {
        Data::None => (None, None),
        Data::Inline(text) => (Some(as_json(text)), None),
        Data::Erased(hash) => (None, Some(hash.to_string())),
    };
    Line {
        partition: partition.get(),
        position: event.position.get(),
        time: utc(row.at),
        time_us: row.at.as_micros(),
        stream,
        version: event.version.get(),
        kind: &recorded.kind,
        schema: recorded.schema.get(),
        control: as_json(&recorded.control),
        data,
        erased,
        id: event.id.to_string(),
        batch: row.id.to_string(),
        input: row.input.to_string(),
        input_digest: row.digest.to_string(),
        epoch: row.epoch.get(),
        chain: row.chain.to_string(),
    }
}

/// Stored text is JSON; what is not, in a damaged log, is shown as a string.
fn as_json(text: &str) -> Payload {
    Payload::parse(text)
        .unwrap_or_else(|_| Payload::of(text).expect("a text always writes as JSON"))
}

fn text(
    partition: Option<PartitionId>,
    row: &Row,
    event: &Event<'_>,
    stream: &str,
    output: Output,
) -> String {
    let recorded = event.recorded;
    let of = partition.map_or_else(String::new, |partition| format!("{partition:>2} "));
    let head = format!(
        "{of}{:>6}  {}  {stream} {}  ",
        event.position,
        utc(row.at),
        event.version
    );
    let data = match &recorded.data {
        Data::None => String::new(),
        Data::Inline(text) => format!("  {text}"),
        Data::Erased(_) => "  (erased)".into(),
    };
    let rest = format!("{}{data}", recorded.control);
    let used = head.chars().count() + recorded.kind.len() + 1;
    let rest = output.cut(&plain(&rest), used);
    format!(
        "{head}{} {}",
        output.styled(Style::Bold, &recorded.kind),
        output.styled(Style::Dim, rest)
    )
}
