//! What is wrong with a worker's handlers, found before the first command.

use std::{fmt, sync::Arc};

use sagalog_model::{
    Direction, Graph, Kind, RecoveryClass, StepSpec,
    graph::{Otherwise, participant},
};

use super::steps::Worker;

/// One thing that is wrong with a worker's handlers.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub struct HandlerFault {
    /// The node that needs the step; none if it is wrong whatever the graph.
    pub node: Option<Arc<str>>,
    /// The step's name.
    pub step: Arc<str>,
    /// What is wrong.
    pub wrong: WhatIsWrong,
}

/// What is wrong with a step's handlers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhatIsWrong {
    /// There is none for what the step's contract asks.
    Missing(Direction),
    /// There are two for the same; the later one counts.
    Twice(Direction),
    /// They are of steps with the same name and other types.
    OtherTypes,
    /// It may accept work and answer later, and its step has no heartbeat.
    NoHeartbeat,
}

impl HandlerFault {
    pub(super) fn new(node: Option<Arc<str>>, step: Arc<str>, wrong: WhatIsWrong) -> Self {
        Self { node, step, wrong }
    }

    /// The participant that should perform the step: whoever knows that another process serves it
    /// need not mind what is missing here.
    pub fn participant(&self) -> &str {
        participant(&self.step)
    }
}

impl fmt::Display for HandlerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = &self.step;
        if let Some(node) = &self.node {
            write!(f, "node `{node}`: ")?;
        }
        match self.wrong {
            // An alternative is handled as the action of a step of its own.
            WhatIsWrong::Missing(Direction::Alternative) => {
                write!(f, "the alternative `{step}` has no action handler")
            }
            WhatIsWrong::Missing(direction) => {
                write!(f, "step `{step}` has no {direction} handler")
            }
            WhatIsWrong::Twice(direction) => {
                write!(f, "step `{step}` has more than one {direction} handler")
            }
            WhatIsWrong::NoHeartbeat => write!(
                f,
                "step `{step}` has a handler that may answer later, and no heartbeat; add \
                 `.heartbeat(span)` to it, or use `.action(..)`"
            ),
            WhatIsWrong::OtherTypes => write!(
                f,
                "the handlers of step `{step}` are for steps with different input or output types"
            ),
        }
    }
}

/// What is wrong with `worker` for the steps of `graph`.
pub(super) fn of<S>(worker: &Worker<S>, graph: &Graph) -> Vec<HandlerFault> {
    let mut faults = worker.faults.clone();
    for (_, node) in graph.iter() {
        let Kind::Step { spec, .. } = &node.kind else {
            continue;
        };
        for (step, direction) in needed(spec) {
            let handlers = worker.steps.get(step);
            if handlers.and_then(|it| it.of(direction)).is_none() {
                let wrong = WhatIsWrong::Missing(direction);
                let node = Some((&*node.id).into());
                faults.push(HandlerFault::new(node, step.into(), wrong));
            }
        }
    }
    faults
}

/// The steps of a graph, and the alternatives to their compensations.
pub(crate) fn steps_of(graph: &Graph) -> impl Iterator<Item = &str> {
    let specs = graph.iter().filter_map(|(_, node)| match &node.kind {
        Kind::Step { spec, .. } => Some(spec),
        _ => None,
    });
    specs.flat_map(needed).map(|(step, _)| step)
}

/// What a contract asks of its participant, and of the one of its alternative.
fn needed(spec: &StepSpec) -> impl Iterator<Item = (&str, Direction)> {
    let name: &str = &spec.name;
    let undone = spec.class == RecoveryClass::Compensatable;
    let otherwise = spec.undo.as_ref().map(|undo| &undo.otherwise);
    let alternative = otherwise.and_then(|otherwise| match otherwise {
        Otherwise::Alternative { name, .. } => Some((&**name, Direction::Alternative)),
        Otherwise::Park | Otherwise::Skip { .. } => None,
    });
    [(name, Direction::Action)]
        .into_iter()
        .chain(undone.then_some((name, Direction::Compensation)))
        .chain(spec.probed.then_some((name, Direction::Probe)))
        .chain(alternative)
}
