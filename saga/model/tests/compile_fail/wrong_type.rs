//! A step and a return take what their contracts say.
use sagalog_model::{BadDefinition, Definition, Saga, Step};

const SHOP: Saga<u64, String> = Saga::new("shop");
const CHARGE: Step<String, u64> = Step::new("payments.charge").compensatable();

fn shop() -> Result<Definition<u64, String>, BadDefinition> {
    let (mut saga, cents) = SHOP.define(1);
    saga.step("handle", CHARGE, cents);
    saga.step("expression", CHARGE, cents.map(|cents| cents + 1));
    let paid = saga.step("value", CHARGE, "a value");
    saga.returns(paid)
}

fn main() {
    let _ = shop();
}
