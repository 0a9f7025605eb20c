//! Making the views of one partition.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sagalog_eventlog::{EventLog, Row, StreamNames, Subscription, SubscriptionError};
use sagalog_model::log::{PartitionId, Position, StreamKey, StreamName, Version};
use sagalog_projections::views::{Changes, Entry, Fold, Stored};
use tokio::sync::watch;

use super::{
    error::ViewError,
    store::{Checkpoint, ViewStore},
};
use crate::history::Reader;

/// A commit carries the changes of about so many events, and of at least one page of the log.
const EVENTS: usize = 10_000;

/// Rows of one read of histories.
const PAGE: usize = 2_000;

/// One partition of one generation, on its way behind the log.
pub(super) struct Partition<'a> {
    log: Arc<dyn EventLog>,
    store: &'a ViewStore,
    generation: i64,
    partition: PartitionId,
    checkpoint: Checkpoint,
    fold: Fold,
    names: StreamNames,
    rows: Subscription,
    tail: watch::Receiver<Position>,
}

/// What came of storing what is next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It is stored.
    Stored,
    /// Somebody else was faster, or the tables are gone: look again.
    Overtaken,
}

impl<'a> Partition<'a> {
    /// Goes on behind a checkpoint; none if that is not one of this log.
    pub(super) async fn after(
        log: Arc<dyn EventLog>,
        store: &'a ViewStore,
        generation: i64,
        partition: PartitionId,
        checkpoint: Checkpoint,
    ) -> Result<Option<Self>, ViewError> {
        if !is_of(&*log, partition, &checkpoint).await? {
            return Ok(None);
        }
        let graphs = Reader::new(log.clone(), partition).graphs().await?;
        let graphs = graphs.into_values().map(|(_, graph)| graph);
        let subscribed = Subscription::after(log.clone(), partition, checkpoint.position).await;
        let rows = match subscribed {
            Ok(rows) => rows,
            Err(SubscriptionError::Ahead { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Self {
            tail: log.watch(partition).await?,
            names: StreamNames::of(log.clone(), partition),
            fold: Fold::new(graphs),
            log,
            store,
            generation,
            partition,
            checkpoint,
            rows,
        }))
    }

    pub(super) const fn position(&self) -> Position {
        self.checkpoint.position
    }

    /// Waits for what is next, and stores it. Given up at any moment it loses nothing, but must not be
    /// asked again.
    pub(super) async fn step(&mut self) -> Result<Step, ViewError> {
        let rows = self.next().await?;
        let Some(last) = rows.last() else {
            return Ok(Step::Stored);
        };
        let to = Checkpoint {
            position: last.last_position(),
            at: last.at,
            chain: last.chain.to_string(),
        };
        let changes = self.fold(rows).await?;
        let from = self.checkpoint.position;
        let (store, generation) = (self.store, self.generation);
        let stored = store.store(generation, self.partition, from, &to, changes);
        if !stored.await? {
            return Ok(Step::Overtaken);
        }
        self.checkpoint = to;
        Ok(Step::Stored)
    }

    /// All that can be had at once, within bounds.
    async fn next(&mut self) -> Result<Vec<Row>, ViewError> {
        let mut rows = self.rows.next_page().await?;
        let mut events: usize = rows.iter().map(|row| row.events.len()).sum();
        while events < EVENTS && self.rows.position() < *self.tail.borrow_and_update() {
            let more = self.rows.next_page().await?;
            events += more.iter().map(|row| row.events.len()).sum::<usize>();
            rows.extend(more);
        }
        Ok(rows)
    }

    async fn fold(&mut self, rows: Vec<Row>) -> Result<Changes, ViewError> {
        let mut named = Vec::with_capacity(rows.len());
        for row in rows {
            named.push((self.names.of_row(&row).await?, row));
        }
        self.fold.trim();
        self.restore(&named).await?;
        let mut changes = Changes::default();
        for (name, row) in &named {
            self.fold.apply(&entry(name, row), &mut changes);
        }
        Ok(changes)
    }

    /// Folds what came before, of the sagas that are not known any more.
    async fn restore(&mut self, named: &[(StreamName, Row)]) -> Result<(), ViewError> {
        // What begins in these rows is not needed from before.
        let begun = named.iter().filter(|(_, row)| row.name.is_some());
        let begun: BTreeSet<_> = begun.map(|(_, row)| row.stream).collect();
        let mut needed: BTreeMap<StreamKey, (&StreamName, Version)> = BTreeMap::new();
        for (name, row) in named {
            if !begun.contains(&row.stream) && self.fold.needs(&entry(name, row)) {
                needed.entry(row.stream).or_insert((name, row.version));
            }
        }
        let keys: Vec<_> = needed.keys().copied().collect();
        let mut after = None;
        while !keys.is_empty() {
            let rows = self
                .log
                .read_streams(self.partition, &keys, after, PAGE)
                .await?;
            let Some(last) = rows.last() else { break };
            after = Some((last.stream, last.last_version()));
            for row in &rows {
                let (name, before) = needed[&row.stream];
                if row.version < before {
                    self.fold.apply(&entry(name, row), &mut Changes::default());
                }
            }
        }
        Ok(())
    }
}

/// Whether the log has the row with which a checkpoint ends.
async fn is_of(
    log: &dyn EventLog,
    partition: PartitionId,
    checkpoint: &Checkpoint,
) -> Result<bool, ViewError> {
    if checkpoint.position == Position::default() {
        return Ok(true);
    }
    let rows = log.read(partition, checkpoint.position, 1).await?;
    let is_the_same = |row: &Row| {
        row.last_position() == checkpoint.position && row.chain.to_string() == checkpoint.chain
    };
    Ok(rows.first().is_some_and(is_the_same))
}

fn entry<'a>(name: &'a StreamName, row: &'a Row) -> Entry<'a> {
    let stored = |event: &'a sagalog_eventlog::Recorded| Stored {
        kind: &event.kind,
        schema: event.schema,
        control: &event.control,
        data: &event.data,
    };
    Entry {
        stream: row.stream,
        name,
        position: row.position,
        version: row.version,
        at: row.at,
        events: row.events.iter().map(stored).collect(),
    }
}
