//! What a saga keeps can be written and read back.
use sagalog_model::{Saga, Step};

struct Plain(u64);

const SHOP: Saga<u64, u64> = Saga::new("shop");
const CHARGE: Step<Plain, u64> = Step::new("payments.charge").compensatable();

fn main() {
    let (mut saga, cents) = SHOP.define(1);
    saga.value("plain", cents.map(Plain));
}
