//! All rows of a log as one sequence.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use sagalog_eventlog::{EventLog, ReadError, Row};
use sagalog_model::log::{PartitionId, Position, Time};

/// Rows of one read.
const PAGE: usize = 1_000;

/// The rows of all partitions, oldest first; of rows of one time, those of the lower partition. So a partition's
/// rows keep their order, and the same log always gives the same sequence.
pub(super) struct Merge {
    log: Arc<dyn EventLog>,
    cursors: Vec<Cursor>,
    /// The next row of each partition that has one.
    next: BTreeSet<(Time, usize)>,
}

/// Reads a partition up to a position, a page at a time.
pub(super) struct Cursor {
    log: Arc<dyn EventLog>,
    partition: PartitionId,
    through: Position,
    from: Position,
    rows: VecDeque<Row>,
}

impl Merge {
    /// The rows up to these positions, one for each partition.
    pub(super) async fn of(
        log: &Arc<dyn EventLog>,
        through: impl IntoIterator<Item = Position>,
    ) -> Result<Self, ReadError> {
        let mut merge = Self {
            log: log.clone(),
            cursors: Vec::new(),
            next: BTreeSet::new(),
        };
        for (index, through) in through.into_iter().enumerate() {
            let partition = PartitionId::new(index as u32);
            let cursor = Cursor::new(merge.log.clone(), partition, through);
            merge.cursors.push(cursor);
            merge.look(index).await?;
        }
        Ok(merge)
    }

    /// The next row, with its partition.
    pub(super) async fn next(&mut self) -> Result<Option<(PartitionId, Row)>, ReadError> {
        let Some((_, index)) = self.next.pop_first() else {
            return Ok(None);
        };
        let cursor = &mut self.cursors[index];
        let partition = cursor.partition;
        let row = cursor.rows.pop_front();
        self.look(index).await?;
        Ok(row.map(|row| (partition, row)))
    }

    async fn look(&mut self, index: usize) -> Result<(), ReadError> {
        let cursor = &mut self.cursors[index];
        if let Some(row) = cursor.peek().await? {
            self.next.insert((row.at, index));
        }
        Ok(())
    }
}

impl Cursor {
    pub(super) fn new(log: Arc<dyn EventLog>, partition: PartitionId, through: Position) -> Self {
        Self {
            log,
            partition,
            through,
            from: Position::new(1),
            rows: VecDeque::new(),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Row>, ReadError> {
        self.peek().await?;
        Ok(self.rows.pop_front())
    }

    async fn peek(&mut self) -> Result<Option<&Row>, ReadError> {
        if self.rows.is_empty() && self.from <= self.through {
            let rows = self.log.read(self.partition, self.from, PAGE).await?;
            let through = self.through;
            self.from = rows
                .last()
                .map_or_else(|| through.next(), |row| row.last_position().next());
            let rows = rows.into_iter().filter(|row| row.position <= through);
            self.rows.extend(rows);
        }
        Ok(self.rows.front())
    }
}
