//! The demo's order in a simulated world.

use sagalog_sim::Sim;

use crate::demo::{
    Address, CHARGE, Item, Label, Mail, NOTIFY, Order, Payment, QUOTE, Quote, RESERVE, Reservation,
    SHIP,
};

/// An order that nothing is wrong with, and participants that do what they are asked: all that goes
/// wrong comes from the plan.
pub(crate) fn order() -> Sim {
    let order = Order {
        id: "s1".into(),
        customer: "ada@example.org".into(),
        items: vec![Item {
            sku: "BOOK".into(),
            quantity: 2,
            cents: 2_100,
        }],
        card: "tok_visa".into(),
        gift: false,
        address: Address {
            country: "DE".into(),
            postcode: "10115".into(),
        },
    };
    let definition = crate::demo::order().expect("a test shows that the graph is sound");
    Sim::of(definition, &order)
        .gives(QUOTE, |_| Quote {
            carrier: "Inland Post".into(),
            cents: 640,
        })
        .gives(RESERVE, |_| Reservation { id: "res-1".into() })
        .gives(CHARGE, |charge| Payment {
            id: "pay-1".into(),
            cents: charge.cents,
        })
        .gives(SHIP, |_| Label {
            tracking: "IP-1".into(),
        })
        .gives(NOTIFY, |_| Mail {
            id: "mail-1".into(),
        })
        .always("no money without reserved goods", |world| {
            world.net("charge") <= world.net("reserve")
        })
        .always("nothing is shipped that is not paid", |world| {
            world.net("ship") <= world.net("charge")
        })
}
