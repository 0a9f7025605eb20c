//! The names of streams, for readers that begin in the middle of a log.

use std::{collections::HashMap, sync::Arc};

use sagalog_model::log::{PartitionId, StreamKey, StreamName, StreamState};

use crate::{
    contract::EventLog,
    error::{Damage, ReadError},
    row::Row,
};

/// The most names that are kept at once.
const NAMES: usize = 65_536;

/// Knows the names of the streams of a partition: a row has it only if it is its stream's first.
///
/// Bound: it keeps 65,536 names of streams that go on, and looks up the others.
pub struct StreamNames {
    log: Arc<dyn EventLog>,
    partition: PartitionId,
    known: HashMap<StreamKey, StreamName>,
}

impl StreamNames {
    /// The names in this partition.
    pub fn of(log: Arc<dyn EventLog>, partition: PartitionId) -> Self {
        Self {
            log,
            partition,
            known: HashMap::new(),
        }
    }

    /// The name of the stream of a row of this partition.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn of_row(&mut self, row: &Row) -> Result<StreamName, ReadError> {
        let known = row.name.as_ref().or_else(|| self.known.get(&row.stream));
        let name = match known {
            Some(name) => name.clone(),
            None => self.look_up(row).await?,
        };
        match row.state {
            StreamState::Closed => {
                self.known.remove(&row.stream);
            }
            StreamState::Open => {
                if self.known.len() >= NAMES {
                    self.known.clear();
                }
                self.known.insert(row.stream, name.clone());
            }
        }
        Ok(name)
    }

    async fn look_up(&self, row: &Row) -> Result<StreamName, ReadError> {
        let name = self.log.stream_name(self.partition, row.stream).await?;
        name.ok_or_else(|| {
            ReadError::from(Damage {
                log: self.log.name().to_owned(),
                position: Some(row.position),
                what: format!("its stream {} has no first row with its name", row.stream),
            })
        })
    }
}
