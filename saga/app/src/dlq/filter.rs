//! Which letters are meant.

use clap::{Args, ValueEnum};
use sagalog::history::Reader;
use sagalog_eventlog::EventLog;
use sagalog_model::{
    dead_letter::{Cause, LetterId},
    log::PartitionId,
};
use sagalog_projections::dead_letters::{Letter, Phase};

use crate::{error::CliError, log::partitions, when::When};

/// Which letters are meant; all unless something is said.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Filter {
    /// Only those that died of this; may be given more than once
    #[arg(long, value_parser = cause, value_name = "CAUSE")]
    cause: Vec<Cause>,
    /// Only those that died in this queue
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Only those about this saga
    #[arg(long, value_name = "SAGA")]
    saga: Option<String>,
    /// Only those that died since then: a moment as 2026-11-20T20:07:30Z, or so long ago as 90s, 15m, 2h, 3d
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Only those that died before then
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// Only this one; may be given more than once
    #[arg(long, value_name = "LETTER")]
    id: Vec<LetterId>,
    /// Only those in this phase
    #[arg(long, value_enum, value_name = "PHASE")]
    phase: Option<Wanted>,
}

/// A phase to look for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Wanted {
    /// It waits for a person
    Waiting,
    /// It is to be sent again
    Sending,
    /// It was sent again, and has not died since
    Sent,
}

fn cause(text: &str) -> Result<Cause, String> {
    let known = Cause::ALL.into_iter().find(|known| known.as_str() == text);
    known.ok_or_else(|| format!("known are: {}", Cause::ALL.map(Cause::as_str).join(", ")))
}

impl Filter {
    /// These.
    pub(super) fn of(letters: &[LetterId]) -> Self {
        Self {
            id: letters.to_vec(),
            ..Self::default()
        }
    }

    /// Whether it says in which phase they are.
    pub(super) const fn says_phase(&self) -> bool {
        self.phase.is_some()
    }

    /// Whether it says nothing.
    pub(super) const fn is_all(&self) -> bool {
        self.cause.is_empty()
            && self.id.is_empty()
            && self.queue.is_none()
            && self.saga.is_none()
            && self.since.is_none()
            && self.until.is_none()
            && self.phase.is_none()
    }

    fn fits(&self, letter: &Letter) -> bool {
        let died = &letter.died;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
        };
        let phase = |wanted: Wanted| match wanted {
            Wanted::Waiting => letter.phase == Phase::Waiting,
            Wanted::Sending => letter.phase == Phase::Sending,
            Wanted::Sent => letter.phase == Phase::Sent,
        };
        (self.cause.is_empty() || self.cause.contains(&died.cause))
            && is(&self.queue, Some(&died.queue))
            && is(&self.saga, died.saga.as_ref().map(|saga| saga.as_str()))
            && self.since.is_none_or(|since| letter.at >= since.0)
            && self.until.is_none_or(|until| letter.at < until.0)
            && (self.id.is_empty() || self.id.contains(&died.id))
            && self.phase.is_none_or(phase)
    }

    /// The letters of a log that are meant, with the partition that has each, the one that died first being
    /// first.
    pub(super) async fn find(
        &self,
        log: &std::sync::Arc<dyn EventLog>,
    ) -> Result<Vec<(PartitionId, Letter)>, CliError> {
        let mut found = Vec::new();
        for partition in partitions(&**log) {
            let letters = Reader::new(log.clone(), partition).dead_letters().await?;
            let letters = letters.iter().filter(|letter| self.fits(letter));
            found.extend(letters.map(|letter| (partition, letter.clone())));
        }
        found.sort_by_key(|(partition, letter)| (letter.at, *partition));
        Ok(found)
    }
}
