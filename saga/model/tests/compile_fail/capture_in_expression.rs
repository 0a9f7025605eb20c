//! What flows into a saga comes out of its log or its definition.
use sagalog_model::{Saga, Step};

const SHOP: Saga<u64, u64> = Saga::new("shop");
const CHARGE: Step<u64, u64> = Step::new("payments.charge").compensatable();

fn main() {
    let rate = std::env::args().count() as u64;
    let (mut saga, cents) = SHOP.define(1);
    saga.step("charge", CHARGE, cents.map(|cents| cents * rate));
}
