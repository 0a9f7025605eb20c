//! The saga of the demo: an order, from the quote for its shipping to the mail that it is on its way.

use std::time::Duration;

use sagalog::{BadDefinition, Definition, Retry, Saga, Step};
use serde::{Deserialize, Serialize};

/// An order of a shop, as a line of the file of orders.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The order's id, which is also its saga's.
    pub id: String,
    /// Who ordered.
    pub customer: String,
    /// What, at least one thing.
    pub items: Vec<Item>,
    /// The token of the card to charge.
    pub card: String,
    /// Whether it is a gift: then nothing is charged.
    pub gift: bool,
    /// Where it goes.
    pub address: Address,
}

/// A line of an order.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// The price of one, in cents.
    pub cents: u64,
}

/// Where an order goes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The country, as in ISO 3166.
    pub country: String,
    /// The postcode.
    pub postcode: String,
}

/// What is left of an order that was completed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The payment; none for a gift.
    pub payment: Option<String>,
    /// The parcel's number.
    pub tracking: String,
    /// What was charged, in cents.
    pub cents: u64,
}

/// What a quote is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Route {
    /// Where the parcel goes.
    pub address: Address,
    /// How many things are in it.
    pub pieces: u64,
}

/// What shipping costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quote {
    /// Who carries it.
    pub carrier: String,
    /// The price, in cents.
    pub cents: u64,
}

/// What is taken from the shelves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reserve {
    /// The things.
    pub items: Vec<Item>,
}

/// What was taken from the shelves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reservation {
    /// The reservation's id.
    pub id: String,
}

/// What is charged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Charge {
    /// How much, in cents.
    pub cents: u64,
    /// The card's token.
    pub card: String,
    /// For which reservation.
    pub reservation: String,
}

/// What was charged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payment {
    /// The payment's id.
    pub id: String,
    /// How much, in cents.
    pub cents: u64,
}

/// What is shipped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parcel {
    /// The reservation that is in it.
    pub reservation: String,
    /// Who carries it.
    pub carrier: String,
    /// Where it goes.
    pub address: Address,
}

/// What was shipped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Label {
    /// The parcel's number.
    pub tracking: String,
}

/// Who is told, and what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// The customer.
    pub customer: String,
    /// The parcel's number.
    pub tracking: String,
}

/// A mail that was sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mail {
    /// The mail's id.
    pub id: String,
}

/// The saga.
pub const ORDER: Saga<Order, Receipt> = Saga::new("order");

/// Asks what shipping costs.
pub const QUOTE: Step<Route, Quote> = Step::new("shipping.quote").read_only();

/// Takes the things from the shelves.
pub const RESERVE: Step<Reserve, Reservation> = Step::new("inventory.reserve").compensatable();

/// Charges the card. An answer that does not come is not waited for long: the probe finds out.
pub const CHARGE: Step<Charge, Payment> = Step::new("payments.charge")
    .compensatable()
    .probed()
    .timeout(Duration::from_millis(1_200))
    .retry(Retry::exponential(Duration::from_millis(20), Duration::from_secs(2)).attempts(8));

/// Hands the parcel over.
pub const SHIP: Step<Parcel, Label> = Step::new("shipping.ship").retryable();

/// Tells the customer.
pub const NOTIFY: Step<Notice, Mail> = Step::new("mail.notify").retryable();

/// The definition of the saga.
///
/// # Errors
/// Never, as a test shows: the graph is sound.
pub fn order() -> Result<Definition<Order, Receipt>, BadDefinition> {
    let (mut saga, order) = ORDER.define(1);
    let quote = saga.step("quote", QUOTE, order.map(route));
    let reserved = saga.step("reserve", RESERVE, order.map(reserve));
    let paid = saga.when("pay", order.map(|order| !order.gift), |saga| {
        saga.step("charge", CHARGE, order.and(quote).and(reserved).map(charge))
    });
    saga.pivot();
    let label = saga.step("ship", SHIP, order.and(quote).and(reserved).map(parcel));
    saga.step("notify", NOTIFY, order.and(label).map(notice));
    saga.returns(paid.and(label).map(receipt))
}

fn route(order: Order) -> Route {
    let pieces = order
        .items
        .iter()
        .map(|item| u64::from(item.quantity))
        .sum();
    Route {
        address: order.address,
        pieces,
    }
}

fn reserve(order: Order) -> Reserve {
    Reserve { items: order.items }
}

fn charge(order: Order, quote: Quote, reserved: Reservation) -> Charge {
    // Prices come from a file: sums that are out of this world stop at the largest number.
    let price = |item: &Item| item.cents.saturating_mul(item.quantity.into());
    let cents = order
        .items
        .iter()
        .map(price)
        .fold(quote.cents, u64::saturating_add);
    Charge {
        cents,
        card: order.card,
        reservation: reserved.id,
    }
}

fn parcel(order: Order, quote: Quote, reserved: Reservation) -> Parcel {
    Parcel {
        reservation: reserved.id,
        carrier: quote.carrier,
        address: order.address,
    }
}

fn notice(order: Order, label: Label) -> Notice {
    Notice {
        customer: order.customer,
        tracking: label.tracking,
    }
}

fn receipt(paid: Option<Payment>, label: Label) -> Receipt {
    let cents = paid.as_ref().map_or(0, |payment| payment.cents);
    Receipt {
        payment: paid.map(|payment| payment.id),
        tracking: label.tracking,
        cents,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        let definition = order().expect("it is sound");
        insta::assert_snapshot!(definition.graph().outline(), @"
        saga order, version 1
          start
          quote: asks shipping.quote (read-only) with f(start)
          reserve: asks inventory.reserve (compensatable) with f(start)
          pay: when f(start)
            [yes]
              charge: asks payments.charge (compensatable, probed, timeout 1200 ms, 8 attempts, waits 20 ms doubling to 2 s) with f(start, quote, reserve)
              gives charge
          pivot
          ship: asks shipping.ship (retryable) with f(start, quote, reserve)
          notify: asks mail.notify (retryable) with f(start, ship)
          return: f(pay, ship)
        ");
    }
}
