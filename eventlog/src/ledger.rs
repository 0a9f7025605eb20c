//! What an owner knows about its partition, and what that says about an append: the half of every
//! backend that is not storage.

use std::collections::{HashMap, HashSet};

use sagalog_model::log::{
    Batch, BatchId, Data, Digest, Epoch, PartitionId, Position, StreamKey, StreamState, Time,
    Version,
};

use crate::{
    body, chain,
    contract::{Appended, MAX_APPEND_BYTES, MAX_BATCHES, Ownership},
    error::{AppendError, Conflict, Refusal, RenewError},
    row::Row,
};

/// Numbers stay below this, so that every backend can store them.
const NUMBER_END: u64 = 10_000_000_000_000_000;

/// Where a partition ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct End {
    pub(crate) position: Position,
    pub(crate) at: Time,
    pub(crate) chain: Digest,
}

/// An owned partition.
#[derive(Debug)]
pub(crate) struct Ledger {
    partition: PartitionId,
    epoch: Epoch,
    end: End,
    /// Last version of each open stream: bounded by what is going on, not by what has been.
    open: HashMap<StreamKey, Version>,
}

/// What is stored where a batch wants to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occupant {
    pub(crate) id: BatchId,
    pub(crate) digest: Digest,
    pub(crate) last: Position,
}

impl Ledger {
    pub(crate) fn new(
        partition: PartitionId,
        epoch: Epoch,
        end: End,
        open: HashMap<StreamKey, Version>,
    ) -> Self {
        Self {
            partition,
            epoch,
            end,
            open,
        }
    }

    pub(crate) fn ownership(&self) -> Ownership {
        let mut open: Vec<_> = self.open.keys().copied().collect();
        open.sort_unstable();
        Ownership {
            epoch: self.epoch,
            tail: self.end.position,
            last_at: self.end.at,
            open,
        }
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn partition(&self) -> PartitionId {
        self.partition
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn end(&self) -> End {
        self.end
    }

    pub(crate) fn open(&self) -> &HashMap<StreamKey, Version> {
        &self.open
    }

    /// Whether the append comes from the current owner.
    pub(crate) fn fence(&self, epoch: Epoch) -> Result<(), AppendError> {
        if epoch == self.epoch {
            return Ok(());
        }
        Err(AppendError::Fenced {
            partition: self.partition,
            epoch,
            current: self.epoch,
        })
    }

    /// The streams whose last version has to be looked up before [`admit`](Self::admit): those that
    /// were closed and are appended to once more.
    pub(crate) fn unknown(&self, rows: &[Row]) -> Vec<StreamKey> {
        let known = |row: &Row| row.name.is_some() || self.open.contains_key(&row.stream);
        let began: HashSet<_> = rows
            .iter()
            .filter(|row| row.name.is_some())
            .map(|row| row.stream)
            .collect();
        rows.iter()
            .filter(|row| !known(row) && !began.contains(&row.stream))
            .map(|row| row.stream)
            .collect()
    }

    /// Whether the rows go right behind what is there. `looked_up` has the last versions of the
    /// [unknown](Self::unknown) streams.
    pub(crate) fn admit(
        &self,
        rows: &[Row],
        looked_up: &HashMap<StreamKey, Version>,
    ) -> Result<(), Conflict> {
        if rows[0].position != self.end.position.next() {
            return Err(Conflict::Position {
                given: rows[0].position,
                tail: self.end.position,
            });
        }
        let mut moved = HashMap::with_capacity(rows.len());
        for row in rows {
            let known = moved
                .get(&row.stream)
                .or_else(|| self.open.get(&row.stream));
            let last = known
                .or_else(|| looked_up.get(&row.stream))
                .copied()
                .unwrap_or_default();
            if row.version != last.next() {
                return Err(Conflict::Version {
                    stream: row.stream,
                    given: row.version,
                    last,
                });
            }
            moved.insert(row.stream, row.last_version());
        }
        Ok(())
    }

    /// Whether time goes on.
    pub(crate) fn on_time(&self, rows: &[Row]) -> Result<(), Refusal> {
        let mut last = self.end.at;
        for row in rows {
            if row.at < last {
                return Err(Refusal::TimeRunsBack {
                    position: row.position,
                    at: row.at,
                    last,
                });
            }
            last = row.at;
        }
        Ok(())
    }

    /// Gives the rows their chain values.
    pub(crate) fn seal(&self, rows: &mut [Row]) {
        chain::seal(self.partition, self.end.chain, rows);
    }

    /// Takes note of sealed rows that are stored.
    pub(crate) fn stored(&mut self, rows: &[Row]) -> Appended {
        for row in rows {
            match row.state {
                StreamState::Open => self.open.insert(row.stream, row.last_version()),
                StreamState::Closed => self.open.remove(&row.stream),
            };
            self.end = End {
                position: row.last_position(),
                at: row.at,
                chain: row.chain,
            };
        }
        Appended {
            last: self.end.position,
            already: false,
        }
    }
}

/// Takes batches as rows, if any log could store them.
pub(crate) fn rows(epoch: Epoch, batches: Vec<Batch>) -> Result<Vec<Row>, Refusal> {
    if batches.len() > MAX_BATCHES {
        return Err(Refusal::TooMuch {
            what: "batches",
            given: batches.len(),
            max: MAX_BATCHES,
        });
    }
    let rows: Vec<_> = batches
        .into_iter()
        .map(|batch| Row::new(batch, epoch))
        .collect();
    let Some(first) = rows.first() else {
        return Err(Refusal::Malformed {
            position: Position::default(),
            why: "an append needs a batch".to_owned(),
        });
    };
    let bytes = size(&rows);
    if bytes > MAX_APPEND_BYTES {
        return Err(Refusal::TooMuch {
            what: "bytes",
            given: bytes,
            max: MAX_APPEND_BYTES,
        });
    }
    let mut next = first.position;
    let mut names = HashSet::new();
    for row in &rows {
        let why = fault(row, next).or_else(|| {
            let name = row.name.as_ref()?;
            (!names.insert(name))
                .then(|| format!("another batch of the append begins the stream {name} too"))
        });
        if let Some(why) = why {
            return Err(Refusal::Malformed {
                position: row.position,
                why,
            });
        }
        next = row.last_position().next();
    }
    Ok(rows)
}

/// Whether an owner that says it is alive is the owner.
pub(crate) fn renewed(
    partition: PartitionId,
    epoch: Epoch,
    current: Epoch,
    owned: bool,
) -> Result<(), RenewError> {
    match () {
        () if current > epoch => Err(RenewError::Fenced {
            partition,
            epoch,
            current,
        }),
        () if !owned => Err(RenewError::NotOwned { partition }),
        () => Ok(()),
    }
}

/// What becomes of an append that conflicts: if every batch is stored already, it is answered
/// with where it is.
pub(crate) fn settle(
    conflict: Conflict,
    rows: &[Row],
    occupants: &[Option<Occupant>],
) -> Result<Appended, AppendError> {
    let mut last = Position::default();
    for (row, occupant) in rows.iter().zip(occupants) {
        match occupant {
            Some(occupant) if occupant.id == row.id && occupant.digest != row.digest => {
                return Err(Refusal::OtherContent { id: row.id }.into());
            }
            Some(occupant) if occupant.id == row.id => last = last.max(occupant.last),
            _ => return Err(conflict.into()),
        }
    }
    Ok(Appended {
        last,
        already: true,
    })
}

/// About how many bytes the events of rows take.
pub(crate) fn size(rows: &[Row]) -> usize {
    let event = |event: &crate::row::Recorded| {
        let data = match &event.data {
            Data::None => 0,
            Data::Inline(data) => data.len(),
            Data::Erased(_) => 72,
        };
        event.kind.len() + event.control.len() + data + 16
    };
    rows.iter().flat_map(|row| &row.events).map(event).sum()
}

/// Why no log could store the row behind `next`, if so.
fn fault(row: &Row, next: Position) -> Option<String> {
    if row.events.is_empty() {
        return Some("it has no events".to_owned());
    }
    if row.position != next || row.position == Position::default() {
        return Some(format!(
            "the batches of an append follow each other, this one should be at {next}"
        ));
    }
    let first = row.version == Version::new(1);
    if row.version == Version::default() || row.stream.get() > row.position.get() {
        return Some(
            "versions begin at 1, and a stream's key is the position of its first event".to_owned(),
        );
    }
    if first != (row.stream.get() == row.position.get()) || first != row.name.is_some() {
        return Some("the first batch of a stream, and no other, has version 1, a name, and its position as key".to_owned());
    }
    let numbers = [
        row.last_position().get(),
        row.last_version().get(),
        row.at.as_micros(),
        row.epoch.get(),
    ];
    if numbers.iter().any(|number| *number >= NUMBER_END) {
        return Some(format!(
            "its numbers and its time must be below {NUMBER_END}"
        ));
    }
    row.events.iter().find_map(body::fault)
}
