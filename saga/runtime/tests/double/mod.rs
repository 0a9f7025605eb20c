//! A saga of one step, for tests in which only matters where it runs.

use std::sync::Arc;

use sagalog::{EventLog, Failure, Runtime, RuntimeBuilder, Saga, Step, Worker};

pub(crate) const DOUBLE: Saga<u32, u32> = Saga::new("double");
const ADD: Step<(u32, u32), u32> = Step::new("sums.add").read_only();

/// A runtime of it that hosts its worker.
pub(crate) fn on(log: Arc<dyn EventLog>) -> RuntimeBuilder {
    let (mut saga, number) = DOUBLE.define(1);
    let sum = saga.step("add", ADD, number.map(|number| (number, number)));
    let double = saga.returns(sum).expect("a good definition");
    let worker = Worker::new().action(ADD, async |_, (a, b): (u32, u32)| Ok::<_, Failure>(a + b));
    Runtime::on(log).definition(double).worker(worker)
}

/// The name of one of them.
pub(crate) fn id(number: u32) -> String {
    format!("d-{number}")
}
