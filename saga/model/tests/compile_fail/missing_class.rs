//! A step says how it recovers.
use sagalog_model::Step;

const CHARGE: Step<u64, u64> = Step::new("payments.charge");

fn main() {
    let _ = CHARGE;
}
