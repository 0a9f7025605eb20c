//! What a branch that may not run gives is an `Option`.
use sagalog_model::{Saga, Step};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Shipment {
    payment: u64,
}

const SHOP: Saga<u64, u64> = Saga::new("shop");
const CHARGE: Step<u64, u64> = Step::new("payments.charge").compensatable();
const SHIP: Step<Shipment, u64> = Step::new("shipping.ship").compensatable();

fn main() {
    let (mut saga, cents) = SHOP.define(1);
    let charged = saga.when("pay", cents.map(|cents| cents > 0), |saga| {
        saga.step("charge", CHARGE, cents)
    });
    saga.step("handle", CHARGE, charged);
    saga.step("expression", SHIP, charged.map(|payment| Shipment { payment }));
}
