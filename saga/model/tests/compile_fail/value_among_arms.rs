//! Nothing is smuggled into a picker beside the arms.
use sagalog_model::{Saga, just};

const SHOP: Saga<u64, u64> = Saga::new("shop");

fn main() {
    let limit = std::env::args().count() as u64;
    let (mut saga, cents) = SHOP.define(1);
    saga.choose("size", cents, |case| {
        let small = case.arm("small", |_, _| just(1));
        let large = case.arm("large", |_, _| just(2));
        case.pick((small, large, limit), |cents, (small, large, limit)| {
            if cents < limit { small.take() } else { large.take() }
        })
    });
}
