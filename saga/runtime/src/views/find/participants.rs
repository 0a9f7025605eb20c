//! What participants were asked and how they answered; and the dead letters.

use std::time::Duration;

use sagalog_model::{
    graph::participant,
    log::{PartitionId, Time},
};

use super::{
    super::{
        error::ViewError,
        maker::Views,
        row::Value,
        store::{number, text},
        table::{LETTER, TALLY},
    },
    sagas::time,
};

/// How often a participant was asked for one contract, and what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParticipantTally {
    /// The participant.
    pub participant: String,
    /// The contract.
    pub contract: String,
    /// Attempts that were asked, in all directions.
    pub asked: u64,
    /// Attempts that took effect.
    pub succeeded: u64,
    /// Attempts that took no effect.
    pub failed: u64,
    /// Attempts that may have taken effect, as the participant says.
    pub unknown: u64,
    /// Attempts that were not answered in time.
    pub timed_out: u64,
    /// How long an answer took on average, if any came while it was waited for.
    pub average: Option<Duration>,
    /// How long the slowest of them took.
    pub longest: Duration,
    /// When it was last asked or heard of.
    pub last_at: Time,
}

/// A dead letter that was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FoundLetter {
    /// The partition whose owner keeps it.
    pub partition: PartitionId,
    /// Its id.
    pub id: String,
    /// Where it is: `waiting`, `sending` or `sent`.
    pub phase: String,
    /// Why it died, to group by.
    pub cause: String,
    /// Why it died, for people.
    pub reason: String,
    /// The queue it was in.
    pub queue: String,
    /// The saga that it is about.
    pub saga: Option<String>,
    /// When it died last.
    pub at: Time,
}

impl Views {
    /// What participants were asked, by contract. Nothing if there are no views.
    ///
    /// # Errors
    /// [`ViewError`]
    pub async fn participants(&self) -> Result<Option<Vec<ParticipantTally>>, ViewError> {
        let read = self.store().read(async |link, generation| {
            let sum = |name| format!("cast(sum({name}) as bigint)");
            let sums = ["asked", "succeeded", "failed", "unknown", "timed_out", "answered", "micros"];
            let sql = format!(
                "select contract, {}, max(longest), max(last_at) from {} group by contract order by contract",
                sums.map(sum).join(", "),
                TALLY.of(generation)
            );
            link.rows(sql, &[]).await
        });
        let rows = read.await?;
        Ok(rows.map(|rows| rows.iter().filter_map(|row| tally(row)).collect()))
    }

    /// At most `limit` dead letters, the oldest first. Nothing if there are no views.
    ///
    /// # Errors
    /// [`ViewError`]
    pub async fn dead_letters(&self, limit: usize) -> Result<Option<Vec<FoundLetter>>, ViewError> {
        let read = self.store().read(async |link, generation| {
            let sql = format!(
                "select partition, id, phase, cause, reason, queue, saga, at from {} order by at, id limit $1",
                LETTER.of(generation)
            );
            link.rows(sql, &[Value::number(limit as u64)]).await
        });
        let rows = read.await?;
        Ok(rows.map(|rows| rows.iter().filter_map(|row| letter(row)).collect()))
    }
}

fn tally(row: &[Value]) -> Option<ParticipantTally> {
    let contract = text(&row[0])?;
    let count = |at: usize| number(&row[at]) as u64;
    let micros = Duration::from_micros;
    Some(ParticipantTally {
        participant: participant(contract).to_owned(),
        contract: contract.to_owned(),
        asked: count(1),
        succeeded: count(2),
        failed: count(3),
        unknown: count(4),
        timed_out: count(5),
        average: count(7).checked_div(count(6)).map(micros),
        longest: micros(count(8)),
        last_at: time(&row[9])?,
    })
}

fn letter(row: &[Value]) -> Option<FoundLetter> {
    let word = |at: usize| text(&row[at]).map(str::to_owned);
    Some(FoundLetter {
        partition: PartitionId::new(number(&row[0]) as u32),
        id: word(1)?,
        phase: word(2)?,
        cause: word(3)?,
        reason: word(4)?,
        queue: word(5)?,
        saga: word(6),
        at: time(&row[7])?,
    })
}
