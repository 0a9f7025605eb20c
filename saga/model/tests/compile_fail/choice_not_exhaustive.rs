//! Every case of the value has its arm.
use sagalog_model::{Saga, just};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Pay {
    Card(String),
    Gift,
    Invoice(u32),
}

const SHOP: Saga<Pay, usize> = Saga::new("shop");

fn main() {
    let (mut saga, pay) = SHOP.define(1);
    saga.choose("pay", pay, |case| {
        let card = case.arm("card", |_, card| card.map(|card: String| card.len()));
        let gift = case.arm("gift", |_, _| just(0));
        case.pick((card, gift), |pay, (card, gift)| match pay {
            Pay::Card(token) => card.with(token),
            Pay::Gift => gift.take(),
        })
    });
}
