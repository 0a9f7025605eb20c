//! Where a capture comes from: a file, or a saga in a log.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sagalog::history::{HistoryError, Reader};
use sagalog_eventlog::{EventLog, Row};
use sagalog_model::{
    AnyDefinition, SagaEvent, SagaId,
    log::{Digest, PartitionId, Position, Version},
    system::{SystemEvent, partition_stream},
};
use sagalog_sim::{BadCapture, CannotReplay, Capture, Owner};

use crate::{
    App,
    error::{CliError, Exit, chain},
    log::{LogArg, partition_of},
    saga::recorded::{events, saga_id},
};

/// Rows of one read.
const PAGE: usize = 500;

/// What it is about.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArg {
    /// A capture's file; if there is none of this name, the id of a saga in the log
    #[arg(value_name = "FILE|SAGA")]
    what: String,
    #[command(flatten)]
    log: LogArg,
}

impl SourceArg {
    pub(super) fn new(what: String, log: LogArg) -> Self {
        Self { what, log }
    }

    /// The capture, and what to call it.
    pub(super) async fn capture(&self) -> Result<(Capture, String), CliError> {
        let file = PathBuf::from(&self.what);
        if file.is_file() {
            return Ok((read(&file)?, file.display().to_string()));
        }
        if !self.log.is_given() {
            let message = format!("there is no file {}", file.display());
            return Err(CliError::new("no_such_file", Exit::NotFound, message)
                .fix("name a capture's file, or a saga and its log with --log"));
        }
        let log = self.log.read().await?;
        let capture = of_saga(&log, &saga_id(&self.what)?).await?;
        Ok((capture, self.what.clone()))
    }
}

/// Reads a capture from a file.
pub(crate) fn read(file: &Path) -> Result<Capture, CliError> {
    let unread = |error: io::Error| {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failed,
        };
        let message = format!("{} cannot be read: {error}", file.display());
        CliError::new("no_capture", exit, message)
    };
    let bytes = fs::metadata(file).map_err(unread)?.len();
    if bytes > Capture::BYTES_MAX {
        return Err(bad(
            &file.display().to_string(),
            &BadCapture::TooLong { bytes },
        ));
    }
    let text = fs::read_to_string(file).map_err(unread)?;
    let capture = text.parse::<Capture>();
    capture.map_err(|error| bad(&file.display().to_string(), &error))
}

/// What a log holds of a saga.
pub(super) async fn of_saga(log: &Arc<dyn EventLog>, id: &SagaId) -> Result<Capture, CliError> {
    let partition = partition_of(&**log, id);
    let head = log
        .heads(partition, std::slice::from_ref(id.stream()))
        .await?;
    let Some(head) = head.into_iter().next().flatten() else {
        let message = format!("{} has no saga `{id}`", log.name());
        return Err(CliError::new("no_such_saga", Exit::NotFound, message)
            .fix("`saga list` shows those it has"));
    };
    let mut rows = Vec::new();
    let mut from = Version::new(1);
    loop {
        let page = log.read_stream(partition, head.stream, from, PAGE).await?;
        let Some(last) = page.last() else { break };
        from = last.last_version().next();
        for row in page {
            let before = chain_before(&**log, partition, rows.last(), &row).await?;
            rows.push((before, row));
        }
    }
    let (Some((_, first)), Some((_, last))) = (rows.first(), rows.last()) else {
        unreachable!("a stream that the log knows has rows");
    };
    let owners = owners(&**log, partition, first.position, last.position).await?;
    let graph = graph(log, partition, id, first).await?;
    Capture::of(id.clone(), partition, graph, owners, rows).map_err(|error| bad(log.name(), &error))
}

/// The chain value of the row before this one in the partition.
async fn chain_before(
    log: &dyn EventLog,
    partition: PartitionId,
    last: Option<&(Digest, Row)>,
    row: &Row,
) -> Result<Digest, CliError> {
    if row.position <= Position::new(1) {
        return Ok(Digest::default());
    }
    let before = Position::new(row.position.get() - 1);
    if let Some((_, last)) = last.filter(|(_, last)| last.last_position() == before) {
        return Ok(last.chain);
    }
    let found = log.read(partition, before, 1).await?;
    Ok(found.first().map_or_else(Digest::default, |row| row.chain))
}

/// Who owned the partition between two positions.
async fn owners(
    log: &dyn EventLog,
    partition: PartitionId,
    from: Position,
    to: Position,
) -> Result<Vec<Owner>, CliError> {
    let system = events(
        log,
        partition,
        &partition_stream(partition),
        SystemEvent::decode,
    )
    .await?;
    let owners = system.into_iter().filter_map(|(place, event)| match event {
        SystemEvent::PartitionOwned(owned) => Some(Owner {
            position: place.position,
            at: place.at,
            owned,
        }),
        _ => None,
    });
    let owners: Vec<_> = owners.take_while(|owner| owner.position < to).collect();
    let first = owners.iter().rposition(|owner| owner.position < from);
    Ok(owners.into_iter().skip(first.unwrap_or(0)).collect())
}

async fn graph(
    log: &Arc<dyn EventLog>,
    partition: PartitionId,
    id: &SagaId,
    first: &Row,
) -> Result<Arc<sagalog_model::Graph>, CliError> {
    let graphs = Reader::new(log.clone(), partition).graphs().await?;
    let it = &first.events[0];
    let started = SagaEvent::decode(&it.kind, it.schema, &it.control, &it.data);
    let graph = match started {
        Ok(SagaEvent::Started(started)) => {
            graphs.get(&(started.definition.to_string(), started.version.0))
        }
        _ => None,
    };
    let (_, graph) = graph.ok_or_else(|| HistoryError::NoGraph {
        log: log.name().to_owned(),
        saga: id.clone(),
    })?;
    Ok(graph.clone())
}

impl App {
    /// The definition that a capture's saga runs, if this program has it.
    pub(crate) fn definition_of(&self, capture: &Capture) -> Option<&AnyDefinition> {
        let runs = capture.graph();
        self.definitions().iter().find(|definition| {
            let graph = definition.graph();
            graph.saga == runs.saga && graph.version == runs.version
        })
    }
}

/// This program does not have the definition that a capture's saga runs.
pub(crate) fn no_definition(capture: &Capture) -> CliError {
    let (saga, version) = (&capture.graph().saga, capture.graph().version.0);
    let message = format!("this program does not define {saga} version {version}");
    CliError::new("no_such_definition", Exit::NotFound, message)
        .fix("run this command in the program that defines it")
}

/// A file or a history that is no capture.
fn bad(source: &str, error: &BadCapture) -> CliError {
    let message = format!("{source}: {}", chain(error));
    if error.is_newer() {
        let fix = match error {
            BadCapture::Newer { by, .. } if !by.is_empty() => {
                format!("use release {by}, or a newer one")
            }
            _ => "use the release that wrote it, or a newer one".to_owned(),
        };
        return CliError::new("newer_capture", Exit::Failed, message).fix(fix);
    }
    let fix = match error {
        BadCapture::TooLong { .. } => "a saga of that length is looked at in its log: `saga show`",
        _ => "export it again, and pass the file on as it is: `history export SAGA --file FILE`",
    };
    CliError::new("bad_capture", Exit::Failed, message).fix(fix)
}

/// A capture whose saga runs something else.
pub(crate) fn other_definition(source: &str, error: &CannotReplay) -> CliError {
    let message = format!("{source}: {error}");
    match error {
        CannotReplay::ChangedDefinition { .. } => {
            CliError::new("definition_changed", Exit::Conflict, message)
                .fix("run the build that drove it, or give the changed definition a new version")
        }
        _ => CliError::new("no_such_definition", Exit::NotFound, message)
            .fix("run this in the program that defines it, with this version"),
    }
}
