//! Where a history is not what is decided now.

use std::fmt;

use sagalog_model::log::{Data, NewEvent};
use serde::Serialize;

use super::Stored;

/// The first event that is not decided again as it is on record.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Difference {
    /// The saga.
    pub saga: String,
    /// The event's version in the saga's stream.
    pub version: u64,
    /// When it was decided: microseconds since 1970.
    pub at_us: u64,
    /// The input that was decided on, in words; none if it does not read.
    pub decided_on: Option<String>,
    /// What differs.
    #[serde(flatten)]
    pub what: What,
}

/// What differs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "differs")]
#[non_exhaustive]
pub enum What {
    /// The event.
    Events {
        /// What is on record; none if no more is.
        recorded: Option<Side>,
        /// What is decided now; none if no more is.
        decided: Option<Side>,
    },
    /// The input cannot be decided now.
    Undecided {
        /// Why.
        why: String,
    },
}

/// One side of a difference: an event as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Side {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of the type's schema.
    pub schema: u16,
    /// Its control part, byte for byte.
    pub control: String,
    /// Its data, byte for byte; none if it has none, or they were erased.
    pub data: Option<String>,
}

impl Side {
    pub(super) fn recorded(event: &Stored<'_>) -> Self {
        Self {
            kind: event.kind.to_owned(),
            schema: event.schema.get(),
            control: event.control.to_owned(),
            data: shown(event.data),
        }
    }

    pub(super) fn decided(event: &NewEvent) -> Self {
        Self {
            kind: event.kind.to_string(),
            schema: event.schema.get(),
            control: event.control.clone(),
            data: shown(&event.data),
        }
    }
}

fn shown(data: &Data) -> Option<String> {
    match data {
        Data::Inline(text) => Some(text.to_string()),
        Data::None | Data::Erased(_) => None,
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { saga, version, .. } = self;
        match &self.decided_on {
            Some(fact) => write!(f, "{saga}, version {version}, decided on `{fact}`")?,
            None => write!(f, "{saga}, version {version}")?,
        }
        match &self.what {
            What::Events { recorded, decided } => {
                write!(f, "\n  recorded  {}", line(recorded.as_ref()))?;
                write!(f, "\n  decided   {}", line(decided.as_ref()))
            }
            What::Undecided { why } => write!(f, "\n  cannot be decided: {why}"),
        }
    }
}

/// An event in a line, as it is written.
fn line(side: Option<&Side>) -> String {
    let Some(side) = side else {
        return "nothing more".to_owned();
    };
    let data = side
        .data
        .as_deref()
        .map_or_else(String::new, |data| format!(" {data}"));
    format!("{} {}{data}", side.kind, side.control)
}
