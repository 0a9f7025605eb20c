//! A signal may never come.
use sagalog_model::{Saga, Signal, Step};

const SHOP: Saga<u64, u64> = Saga::new("shop");
const PAID: Signal<u64> = Signal::new("paid");
const CHARGE: Step<Option<u64>, u64> = Step::new("payments.charge").compensatable();

fn main() {
    let (mut saga, _) = SHOP.define(1);
    let paid = saga.signal("paid", PAID);
    saga.step("charge", CHARGE, paid);
}
