//! A graph for people: as indented text, and as a Mermaid flowchart.
//!
//! Both need nothing but the data, so a definition of long ago is drawn like one of today.

mod contracts;
mod mermaid;
mod outline;
mod words;

use core::fmt;

use crate::graph::Graph;

impl Graph {
    /// The graph as indented text: a line for each node, with how it recovers, what it reads, and
    /// the policies that are not the default.
    ///
    /// `f(a, b)` is computed from what `a` and `b` gave; a bare `a` is what `a` gave, unchanged.
    pub fn outline(&self) -> impl fmt::Display {
        outline::Outline(self)
    }

    /// The contracts that its steps ask for, each once, with all their policies.
    pub fn contracts(&self) -> impl fmt::Display {
        contracts::Contracts(self)
    }

    /// The graph as a [Mermaid](https://mermaid.js.org) flowchart: edges are the order in which
    /// nodes run.
    pub fn mermaid(&self) -> impl fmt::Display {
        mermaid::Mermaid(self)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{
        string::{String, ToString},
        sync::Arc,
    };
    use core::time::Duration;

    use crate::{Gaps, Graph, Retry, Saga, Signal, Step, Undo, just};

    const HOUR: Duration = Duration::from_secs(3_600);

    const TRIP: Saga<u64, String> = Saga::new("trip");
    const APPROVAL: Signal<bool> =
        Signal::new("approval").gaps(Gaps::within(Duration::from_secs(60)).asking(2).releasing());
    const QUOTE: Step<u64, u64> = Step::new("air.quote")
        .read_only()
        .timeout(Duration::from_secs(2))
        .retry(Retry::NEVER);
    const FLIGHT: Step<u64, u64> = Step::new("air.book")
        .compensatable()
        .probed()
        .deadline(HOUR)
        .retry(Retry::fixed(Duration::from_millis(250)).attempts(3))
        .or(WRITE_OFF);
    const WRITE_OFF: Step<Undo<u64, u64>, ()> = Step::new("books.write-off").retryable();
    const ROOM: Step<u64, u64> = Step::new("hotel.book")
        .compensatable()
        .undo_timeout(Duration::from_secs(5))
        .undo_retry(Retry::listed(&[Duration::from_secs(1), HOUR]))
        .or_skip("a \"deposit\"\nis lost");
    const MAIL: Step<String, ()> = Step::new("mail.send").retryable();

    /// A definition with everything in it.
    fn trip() -> Arc<Graph> {
        let (mut saga, cents) = TRIP.define(2);
        saga.deadline(48 * HOUR);
        let (quote, rooms) = saga.all(|all| {
            let quote = all.step("quote", QUOTE, cents);
            let rooms = all.branch(|saga| {
                saga.sleep("think", Duration::from_secs(90));
                let room = saga.step("room", ROOM, cents.and(just(2)).map(|c, n| c * n));
                room.map(|room| room + 1)
            });
            (quote, rooms)
        });
        let approved = saga.signal("approved", APPROVAL).within(24 * HOUR);
        saga.check(
            "yes",
            approved.map(|yes| yes.ok_or_else(|| "no answer".to_string())),
        );
        let paid = saga.choose("pay", quote, |case| {
            let card = case.arm("card", |saga, cents| saga.step("flight", FLIGHT, cents));
            let points = case.arm("points", |saga, _| {
                saga.value("points", rooms);
                just(0)
            });
            let none = case.arm("none", |saga, _| {
                saga.fail("refuse", just("too dear".into()))
            });
            case.pick(
                (card, points, none),
                |quote, (card, points, none)| match quote {
                    0 => points.take(),
                    1..1_000 => card.with(quote),
                    _ => none.take(),
                },
            )
        });
        saga.pivot();
        let text = saga.value("text", paid.map(|paid| paid.to_string()));
        saga.when("news", approved.map(|yes| yes == Some(true)), |saga| {
            saga.step("mail", MAIL, text)
        });
        let definition = saga.returns(text).expect("it is sound");
        definition.graph().clone()
    }

    #[test]
    fn an_outline_says_what_each_node_does_and_what_is_unusual() {
        insta::assert_snapshot!(trip().outline(), @r#"
        saga trip, version 2, deadline 2 d
          start
          all: side by side
            [1]
              quote: asks air.quote (read-only, timeout 2 s, 1 attempt) with start
              gives quote
            [2]
              think: sleeps 90 s
              room: asks hotel.book (compensatable, undo timeout 5 s, undo 3 attempts, undo waits 1 s then 1 h, undo jitter 0 %, undo or skip: a "deposit"\nis lost) with f(start, 2)
              all/2: is f(room)
              gives all/2
          approved: waits for approval within 1 d; waits 1 min for missing numbers, asks 2 times, then releases
          yes: checks f(approved)
          pay: one by f(quote)
            [card]
              flight: asks air.book (compensatable, probed, deadline 1 h, 3 attempts, waits 250 ms, jitter 0 %, undo or books.write-off) with pay/card
              gives flight
            [points]
              points: is all/2
              gives 0
            [none]
              refuse: fails with "too dear"
              gives refuse
          pivot
          text: is f(pay)
          news: when f(approved)
            [yes]
              mail: asks mail.send (retryable) with text
              gives mail
          return: text
        "#);
    }

    #[test]
    fn contracts_are_said_with_all_their_policies() {
        insta::assert_snapshot!(trip().contracts(), @r#"
        air.book: compensatable, probed, timeout 30 s, deadline 1 h, 3 attempts, waits 250 ms, jitter 0 %
          undo: timeout 30 s, 10 attempts, waits 100 ms doubling to 1 min, jitter 20 %, then books.write-off instead, timeout 30 s, 100 attempts, waits 100 ms doubling to 1 min, jitter 20 %
        air.quote: read-only, timeout 2 s, 1 attempt
        hotel.book: compensatable, timeout 30 s, 5 attempts, waits 100 ms doubling to 1 min, jitter 20 %
          undo: timeout 5 s, 3 attempts, waits 1 s then 1 h, jitter 0 %, then is left: a "deposit"\nis lost
        mail.send: retryable, timeout 30 s, 100 attempts, waits 100 ms doubling to 1 min, jitter 20 %
        "#);
    }

    #[test]
    fn a_flowchart_shows_the_order_in_which_nodes_run() {
        insta::assert_snapshot!(trip().mermaid(), @r#"
        flowchart TD
          n0(["start"])
          n1(("all"))
          n0 --> n1
          n2["quote<br/>air.quote<br/>read-only"]
          n1 --> n2
          n3("think<br/>sleeps 90 s")
          n1 --> n3
          n4["room<br/>hotel.book<br/>compensatable"]
          n3 --> n4
          n5("all/2")
          n4 --> n5
          n6>"approved<br/>approval within 1 d"]
          n2 --> n6
          n5 --> n6
          n7{{"yes"}}
          n6 --> n7
          n8{"pay"}
          n7 --> n8
          n10["flight<br/>air.book<br/>compensatable"]
          n8 -->|"card"| n10
          n12("points")
          n8 -->|"points"| n12
          n14[["refuse"]]
          n8 -->|"none"| n14
          n15[/"pivot"\]
          n10 --> n15
          n12 --> n15
          n16("text")
          n15 --> n16
          n17{"news"}
          n16 --> n17
          n19["mail<br/>mail.send<br/>retryable"]
          n17 -->|"yes"| n19
          n20(["return"])
          n19 --> n20
          n17 -->|"no"| n20
        "#);
    }

    #[test]
    fn labels_cannot_break_out_of_a_flowchart() {
        let mut graph = Graph::clone(&trip());
        graph.nodes.truncate(1);
        graph.blocks.truncate(1);
        graph.blocks[0].nodes.truncate(1);
        graph.nodes[0].id = "a\"]; click <b>`|#&\n".into();
        assert_eq!(
            graph.mermaid().to_string(),
            "flowchart TD\n  n0([\"a#34;]#59; click #60;b#62;#96;#124;#35;#38;#92;n\"])\n"
        );
    }
}
