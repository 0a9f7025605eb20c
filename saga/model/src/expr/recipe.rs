//! How a value comes about, without its type.

use alloc::{boxed::Box, format, string::ToString, sync::Arc, vec, vec::Vec};
use core::any::type_name;

use serde::{Serialize, de::DeserializeOwned};

use super::{ExpressionError, Outputs};
use crate::{
    check::{Fault, Place},
    graph::{Graph, NodeIndex},
    payload::Payload,
};

/// A value before it is part of a graph.
#[derive(Clone)]
pub struct Recipe {
    pub(crate) making: Making,
    /// What was found wrong while it was put together.
    pub(crate) faults: Vec<Fault>,
}

#[derive(Clone)]
pub(crate) enum Making {
    Copy(Slot),
    Constant(Payload),
    Computed {
        reads: Vec<Slot>,
        constants: Vec<Payload>,
        code: Code,
    },
}

/// Which node of which flow a handle stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Slot {
    /// The flow's token, so that a handle of another definition is found out.
    pub(crate) flow: usize,
    pub(crate) node: NodeIndex,
}

/// The code of a computed value. It holds `fn` pointers and constants only.
pub(crate) type Code = Arc<dyn Fn(&Reading<'_>) -> Result<Payload, ExpressionError> + Send + Sync>;

/// What code reads from.
pub(crate) struct Reading<'run> {
    pub(crate) outputs: &'run dyn Outputs,
    /// For the ids of what cannot be read.
    pub(crate) graph: &'run Graph,
}

impl Recipe {
    pub(super) const fn copy(slot: Slot) -> Self {
        Self::sound(Making::Copy(slot))
    }

    pub(super) fn constant<T: Serialize>(value: &T, place: Place) -> Self {
        match Payload::of(value) {
            Ok(payload) => Self::sound(Making::Constant(payload)),
            Err(error) => Self {
                making: Making::Constant(Payload::null()),
                faults: vec![Fault::new(
                    place,
                    format!("this constant cannot be written as JSON: {error}"),
                )],
            },
        }
    }

    /// A function of its parts, which are evaluated when the function reads them.
    pub(crate) fn computed(
        parts: Vec<Self>,
        function: impl Fn(&[Making], &Reading<'_>) -> Result<Payload, ExpressionError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let (mut reads, mut constants, mut faults) = (vec![], vec![], vec![]);
        let mut makings = Vec::with_capacity(parts.len());
        for part in parts {
            part.making.note(&mut reads, &mut constants);
            faults.extend(part.faults);
            makings.push(part.making);
        }
        let makings: Box<[Making]> = makings.into();
        let making = Making::Computed {
            reads,
            constants,
            code: Arc::new(move |reading| function(&makings, reading)),
        };
        Self { making, faults }
    }

    const fn sound(making: Making) -> Self {
        Self {
            making,
            faults: vec![],
        }
    }
}

impl Making {
    /// Adds what it reads, each node once, and the constants it holds.
    fn note(&self, reads: &mut Vec<Slot>, constants: &mut Vec<Payload>) {
        match self {
            Self::Copy(slot) => note_read(reads, *slot),
            Self::Constant(payload) => constants.push(payload.clone()),
            Self::Computed {
                reads: more,
                constants: held,
                ..
            } => {
                more.iter().for_each(|slot| note_read(reads, *slot));
                constants.extend_from_slice(held);
            }
        }
    }

    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        reading: &Reading<'_>,
    ) -> Result<T, ExpressionError> {
        match self {
            Self::Copy(slot) => reading.read(slot.node),
            Self::Constant(payload) => read_back(payload),
            Self::Computed { code, .. } => read_back(&code(reading)?),
        }
    }
}

fn note_read(reads: &mut Vec<Slot>, slot: Slot) {
    if !reads.contains(&slot) {
        reads.push(slot);
    }
}

impl Reading<'_> {
    /// What the node gave.
    pub(crate) fn output(&self, node: NodeIndex) -> Result<&Payload, ExpressionError> {
        let output = self.outputs.output(node);
        output.ok_or_else(|| ExpressionError::Missing {
            node: self.id(node),
        })
    }

    fn read<T: DeserializeOwned>(&self, node: NodeIndex) -> Result<T, ExpressionError> {
        let output = self.output(node)?;
        output.read().map_err(|error| ExpressionError::Unreadable {
            node: self.id(node),
            wanted: type_name::<T>(),
            message: error.to_string(),
        })
    }

    fn id(&self, node: NodeIndex) -> Arc<str> {
        self.graph.node(node).id.clone()
    }
}

fn read_back<T: DeserializeOwned>(payload: &Payload) -> Result<T, ExpressionError> {
    payload
        .read()
        .map_err(|error| ExpressionError::NotSymmetric {
            wanted: type_name::<T>(),
            message: error.to_string(),
        })
}

/// Writes what a function gave.
pub(crate) fn write<T: Serialize>(value: &T) -> Result<Payload, ExpressionError> {
    Payload::of(value).map_err(|error| ExpressionError::Unwritable {
        given: type_name::<T>(),
        message: error.to_string(),
    })
}
