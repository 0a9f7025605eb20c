//! `sagalog saga watch`

use std::{process::ExitCode, sync::Arc};

use sagalog::{SagaState, Status, history::HistoryError};
use sagalog_eventlog::{EventLog, Row, Subscription};
use sagalog_model::{SagaEvent, log::Time};
use sagalog_projections::timeline::Place;

use super::{
    recorded::{Recorded, saga_id},
    rows::at_time,
    told::Told,
};
use crate::{
    error::{CliError, Exit},
    log::{LogArg, partition_of},
    output::{Output, Style},
    words::plain,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The saga's id
    id: String,
    #[command(flatten)]
    log: LogArg,
}

/// Shows what is on record, and then what comes, until the saga has ended.
pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    let (id, log) = (saga_id(&args.id)?, args.log.read().await?);
    let partition = partition_of(&*log, &id);
    // What is up to here is in the history that is read after it, and the rest comes behind it.
    let tail = log.tail(partition).await?;
    let recorded = Recorded::read(&args.log, &args.id).await?;
    let mut watched = Watched {
        state: recorded.state()?,
        started: recorded.events[0].0.at,
        output,
        log: log.clone(),
    };
    for (place, event) in &recorded.events {
        watched.show(*place, event)?;
    }
    let mut rows = Subscription::after(log, partition, tail).await?;
    while !watched.state.status().is_terminal() {
        tokio::select! {
            row = rows.next() => watched.row(&row?, recorded.events[0].0)?,
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done.into()),
        }
    }
    Ok(match watched.state.status() {
        Status::Completed => Exit::Done.into(),
        _ => Exit::Compensated.into(),
    })
}

struct Watched {
    state: SagaState,
    started: Time,
    output: Output,
    log: Arc<dyn EventLog>,
}

impl Watched {
    /// Shows what of a row is the saga's, and was not shown. A stream is named by the position of its first event.
    fn row(&mut self, row: &Row, first: Place) -> Result<(), CliError> {
        if row.stream.get() != first.position.get() {
            return Ok(());
        }
        for event in row.events() {
            if event.version <= self.state.version() {
                continue;
            }
            let place = Place {
                position: event.position,
                version: event.version,
                at: row.at,
            };
            let it = event.recorded;
            let decoded = SagaEvent::decode(&it.kind, it.schema, &it.control, &it.data);
            let decoded = decoded.map_err(|source| HistoryError::Unreadable {
                log: self.log.name().to_owned(),
                partition: partition_of(&*self.log, self.state.id()),
                position: place.position,
                source,
            })?;
            let applied = self.state.apply(&decoded, place.at);
            applied.map_err(HistoryError::from)?;
            self.show(place, &decoded)?;
        }
        Ok(())
    }

    fn show(&self, place: Place, event: &SagaEvent) -> Result<(), CliError> {
        let told = Told::of(place.version, Some(place.at), event);
        if self.output.is_json() {
            return self.output.json(&told);
        }
        let after = at_time(place.at.since(self.started));
        let words = plain(&told.words);
        let words = self.output.cut(&words, after.len() + told.kind.len() + 4);
        let kind = self.output.styled(Style::Bold, told.kind);
        self.output.line(format_args!("{after}  {kind}  {words}"))
    }
}
