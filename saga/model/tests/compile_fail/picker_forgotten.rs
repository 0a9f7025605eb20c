//! A choice says how its arm is picked.
use sagalog_model::{Saga, just};

const SHOP: Saga<u64, u64> = Saga::new("shop");

fn main() {
    let (mut saga, cents) = SHOP.define(1);
    let _: sagalog_model::Out<u64> = saga.choose("size", cents, |case| {
        case.arm("any", |_, _: sagalog_model::Out<u64>| just(1));
    });
}
