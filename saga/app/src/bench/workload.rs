//! What is measured: three compensatable steps in sequence whose handlers return at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use clap::ValueEnum;
use sagalog::{Attempt, BadDefinition, Definition, Failure, Saga, Step, Worker};
use serde::{Deserialize, Serialize};

/// How the sagas end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Variant {
    /// All three steps are done.
    Happy,
    /// The third step fails for good, and two are undone.
    Compensate,
}

/// A saga's input, and with little change that of each step: about 200 bytes of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Work {
    step: String,
    fail: bool,
    order: String,
    items: Vec<Item>,
    pad: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Item {
    sku: String,
    qty: u32,
}

/// A step's output: about 100 bytes of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Done {
    step: String,
    r#ref: String,
    pad: String,
}

/// The saga's contract.
pub(super) const BENCH: Saga<Work, Done> = Saga::new("bench");

/// Who performs them.
pub(super) const PARTICIPANT: &str = "bench";

const RESERVE: Step<Work, Done> = Step::new("bench.reserve").compensatable().timeout(HOUR);
const CHARGE: Step<Work, Done> = Step::new("bench.charge").compensatable().timeout(HOUR);
const SHIP: Step<Work, Done> = Step::new("bench.ship").compensatable().timeout(HOUR);

/// Long enough for a log of many sagas to be made before the first attempt is overdue.
const HOUR: Duration = Duration::from_secs(3_600);

/// How often each handler ran.
#[derive(Clone, Default)]
pub(super) struct Ran(Arc<[AtomicU64; 6]>);

impl Variant {
    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Happy => "happy",
            Self::Compensate => "compensate",
        }
    }

    /// How often each handler runs for one saga: three actions, then their compensations.
    pub(super) fn runs(self) -> [u64; 6] {
        match self {
            Self::Happy => [1, 1, 1, 0, 0, 0],
            Self::Compensate => [1, 1, 1, 1, 1, 0],
        }
    }
}

impl Work {
    /// The input of a saga.
    pub(super) fn new(variant: Variant, order: u64) -> Self {
        let item = Item {
            sku: "SKU-0001".into(),
            qty: 2,
        };
        let (fail, order) = (variant == Variant::Compensate, format!("{order:016x}"));
        Self {
            step: "start".into(),
            fail,
            order,
            items: vec![item],
            pad: "x".repeat(100),
        }
    }

    /// The same for a step that builds on an earlier one.
    fn after(self, step: &str, earlier: &Done) -> Self {
        Self {
            step: step.into(),
            order: earlier.r#ref.clone(),
            ..self
        }
    }
}

/// The definition.
///
/// # Errors
/// Never, as a test shows: the graph is sound.
pub(super) fn definition() -> Result<Definition<Work, Done>, BadDefinition> {
    let (mut saga, work) = BENCH.define(1);
    let reserved = saga.step("reserve", RESERVE, work);
    let charged = saga.step(
        "charge",
        CHARGE,
        work.and(reserved)
            .map(|work, reserved| work.after("charge", &reserved)),
    );
    let shipped = saga.step(
        "ship",
        SHIP,
        work.and(charged)
            .map(|work, charged| work.after("ship", &charged)),
    );
    saga.returns(shipped)
}

/// The handlers, which count themselves.
pub(super) fn worker(ran: &Ran) -> Worker<Ran> {
    Worker::with(ran.clone())
        .action(RESERVE, |attempt, work| act(attempt, work, 0))
        .action(CHARGE, |attempt, work| act(attempt, work, 1))
        .action(SHIP, |attempt, work| act(attempt, work, 2))
        .compensation(RESERVE, |attempt, _, _| undo(attempt, 3))
        .compensation(CHARGE, |attempt, _, _| undo(attempt, 4))
        .compensation(SHIP, |attempt, _, _| undo(attempt, 5))
}

async fn act(attempt: Attempt<Ran>, work: Work, index: usize) -> Result<Done, Failure> {
    attempt.state.count(index);
    if index == 2 && work.fail {
        return Err(Failure::permanent("out of stock"));
    }
    Ok(Done {
        step: work.step,
        r#ref: work.order,
        pad: "y".repeat(50),
    })
}

async fn undo(attempt: Attempt<Ran>, index: usize) -> Result<(), Failure> {
    attempt.state.count(index);
    Ok(())
}

impl Ran {
    fn count(&self, index: usize) {
        self.0[index].fetch_add(1, Relaxed);
    }

    /// How often each handler ran: three actions, then their compensations.
    pub(super) fn counts(&self) -> [u64; 6] {
        std::array::from_fn(|index| self.0[index].load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition().expect("it is sound");
    }

    #[test]
    fn inputs_and_outputs_have_the_sizes_that_are_measured() {
        let work = Work::new(Variant::Happy, 7);
        let done = Done {
            step: "charge".into(),
            r#ref: work.order.clone(),
            pad: "y".repeat(50),
        };
        let sizes = [
            serde_json::to_string(&work).expect("it is data").len(),
            serde_json::to_string(&done).expect("it is data").len(),
        ];
        assert!(
            (180..220).contains(&sizes[0]) && (90..110).contains(&sizes[1]),
            "{sizes:?}"
        );
    }
}
