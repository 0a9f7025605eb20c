//! What a person does about a node that waits for one.

use std::sync::Arc;

use sagalog_engine::input::Wish;
use sagalog_model::{Json, Payload};

/// What a person does about a node that waits for one; see [`Sim::mends`](crate::Sim::mends).
#[derive(Clone, Debug, PartialEq)]
pub enum Mend {
    /// Tries it again.
    Retry,
    /// Takes its work as done, with this output; of a compensation the output does not matter.
    Resolve(Payload),
    /// Gives its work up.
    Skip,
    /// Cancels the whole saga.
    Cancel,
}

/// What a person does about a node that is parked for the nth time, from 1.
pub(crate) type Mends = Arc<dyn Fn(&str, u32) -> Mend + Send + Sync>;

/// What a person does about an input that is held; see [`Sim::decides`](crate::Sim::decides).
#[derive(Clone, Debug, PartialEq)]
pub enum Decide {
    /// Has it processed as it came.
    Release,
    /// Has it processed with another content.
    Edit(Payload),
    /// Gives it up.
    Drop,
}

/// What a person does about the input of this number.
pub(crate) type Decides = Arc<dyn Fn(u64) -> Decide + Send + Sync>;

impl Decide {
    /// Has it processed with this content.
    ///
    /// # Panics
    /// If it cannot be written as JSON.
    pub fn edit<T: Json>(content: &T) -> Self {
        Self::Edit(Payload::of(content).expect("the content is written as JSON"))
    }

    pub(crate) fn wish(self, number: u64) -> Wish {
        let content = match self {
            Self::Release => None,
            Self::Edit(content) => Some(content),
            Self::Drop => {
                let reason = "dropped by the simulation".into();
                return Wish::Drop { number, reason };
            }
        };
        Wish::Release { number, content }
    }
}

impl Mend {
    /// Takes its work as done with this output.
    ///
    /// # Panics
    /// If it cannot be written as JSON.
    pub fn resolve<T: Json>(output: &T) -> Self {
        Self::Resolve(Payload::of(output).expect("the output is written as JSON"))
    }

    pub(crate) fn wish(self, node: &Arc<str>) -> Wish {
        let (node, reason) = (node.clone(), "mended by the simulation".into());
        match self {
            Self::Retry => Wish::Retry { node, reason: None },
            Self::Resolve(output) => Wish::Resolve { node, output },
            Self::Skip => Wish::Skip { node, reason },
            Self::Cancel => Wish::Cancel { reason },
        }
    }
}
