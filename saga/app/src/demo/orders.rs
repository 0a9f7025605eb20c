//! The file of orders: one JSON object a line.

use std::{collections::HashMap, fs::File, io::Read, path::Path};

use sagalog::{Payload, SagaId};

use super::order::Order;
use crate::{CliError, Exit};

/// The orders that the program brings along.
const BUNDLED: &str = include_str!("../../orders/orders.jsonl");

/// The longest line, in bytes.
const LINE_MAX: usize = 64 * 1024;

/// The most lines of a file.
const LINES_MAX: usize = 200_000;

/// The largest file, in bytes.
const FILE_MAX: u64 = 256 << 20;

/// What a file of orders holds.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// The orders that can be run, each id once, in the order of the file.
    pub(super) good: Vec<Ordered>,
    /// The lines that are none.
    pub(super) bad: Vec<BadLine>,
}

/// An order that can be run.
#[derive(Debug)]
pub(super) struct Ordered {
    /// The saga's id: the order's.
    pub(super) id: SagaId,
    /// The order, as a saga starts with it.
    pub(super) input: Payload,
    /// Its line in the file, from 1.
    pub(super) line: usize,
}

/// A line that cannot be run, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct BadLine {
    pub(super) line: usize,
    pub(super) reason: String,
}

impl Orders {
    /// The orders of a file, or the bundled ones.
    pub(super) fn load(file: Option<&Path>) -> Result<Self, CliError> {
        let Some(file) = file else {
            return Self::read(BUNDLED);
        };
        let mut bytes = Vec::new();
        let read =
            File::open(file).and_then(|opened| opened.take(FILE_MAX + 1).read_to_end(&mut bytes));
        read.map_err(|error| {
            let exit = if error.kind() == std::io::ErrorKind::NotFound {
                Exit::NotFound
            } else {
                Exit::Failed
            };
            CliError::new(
                "no_orders",
                exit,
                format!("{} cannot be read: {error}", file.display()),
            )
        })?;
        if bytes.len() as u64 > FILE_MAX {
            return Err(too_large(format_args!("{FILE_MAX} bytes")));
        }
        // A line that is no UTF-8 is a bad line like any other, not a bad file.
        Self::read(&String::from_utf8_lossy(&bytes))
    }

    fn read(text: &str) -> Result<Self, CliError> {
        let mut orders = Self::default();
        let mut known = HashMap::new();
        for (index, text) in text
            .lines()
            .enumerate()
            .filter(|(_, text)| !text.trim().is_empty())
        {
            let line = index + 1;
            if line > LINES_MAX {
                return Err(too_large(format_args!("{LINES_MAX} lines")));
            }
            match Ordered::read(text, line) {
                Err(reason) => orders.bad.push(BadLine { line, reason }),
                Ok(order) => match known.get(&order.id) {
                    None => {
                        known.insert(order.id.clone(), order.input.clone());
                        orders.good.push(order);
                    }
                    // The same order twice is one order.
                    Some(input) if *input == order.input => {}
                    Some(_) => orders.bad.push(BadLine::other_content(line, &order.id)),
                },
            }
        }
        Ok(orders)
    }
}

impl Ordered {
    fn read(text: &str, line: usize) -> Result<Self, String> {
        if text.len() > LINE_MAX {
            return Err(format!("it is longer than {LINE_MAX} bytes"));
        }
        // Each line is a text of its own to the reader, which would call every one of them line 1.
        let order: Order = serde_json::from_str(text).map_err(|error| {
            error
                .to_string()
                .replace(" at line 1 column ", " at column ")
        })?;
        let id = SagaId::new(&*order.id)
            .map_err(|why| format!("{:?} cannot be an order's id: {why}", order.id))?;
        if order.items.is_empty() {
            return Err(format!("order {id} has no items"));
        }
        if let Some(item) = order.items.iter().find(|item| item.quantity == 0) {
            return Err(format!("order {id} is for no {}", item.sku));
        }
        let input = Payload::of(&order).map_err(|error| error.to_string())?;
        Ok(Self { id, input, line })
    }
}

impl BadLine {
    /// The id is taken by an order that is not the same.
    pub(super) fn other_content(line: usize, id: &SagaId) -> Self {
        Self {
            line,
            reason: format!("order {id} is known with other content; give it an id of its own"),
        }
    }
}

fn too_large(limit: std::fmt::Arguments<'_>) -> CliError {
    CliError::new(
        "too_many_orders",
        Exit::Usage,
        format!("the file of orders has more than {limit}"),
    )
    .fix("split it: the same --dir takes one file after the other")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"id":"o-1","customer":"c","items":[{"sku":"LAMP-3","quantity":2,"cents":1999}],"card":"tok_ok","gift":false,"address":{"country":"DE","postcode":"10115"}}"#;

    #[test]
    fn the_bundled_orders_are_good() {
        let orders = Orders::load(None).expect("it is a file of orders");
        assert_eq!(orders.bad, []);
        assert!(orders.good.len() >= 1_000, "{}", orders.good.len());
    }

    #[test]
    fn a_bad_line_is_told_with_its_number_and_the_rest_goes_on() {
        let gift = GOOD.replace("false", "true");
        let empty = GOOD
            .replace(r#"{"sku":"LAMP-3","quantity":2,"cents":1999}"#, "")
            .replace("o-1", "o-2");
        let typo = GOOD.replace("gift", "present");
        let text = [
            GOOD,
            "{",
            "",
            GOOD,
            &gift,
            &empty,
            &typo,
            &GOOD.replace("o-1", "$9"),
            &GOOD.replace("o-1", "o-3"),
        ]
        .join("\n");
        let orders = Orders::read(&text).expect("it is small");
        let good: Vec<_> = orders
            .good
            .iter()
            .map(|order| (order.line, order.id.as_str()))
            .collect();
        assert_eq!(good, [(1, "o-1"), (9, "o-3")]);
        let bad: Vec<_> = orders
            .bad
            .iter()
            .map(|bad| format!("{}: {}", bad.line, bad.reason))
            .collect();
        insta::assert_snapshot!(bad.join("\n"), @r#"
        2: EOF while parsing an object at column 1
        5: order o-1 is known with other content; give it an id of its own
        6: order o-2 has no items
        7: unknown field `present`, expected one of `id`, `customer`, `items`, `card`, `gift`, `address` at column 105
        8: "$9" cannot be an order's id: ids that begin with `$` belong to the system
        "#);
    }
}
