//! Whatever is built, its graph is data: it is written and read back, and built again alike.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use sagalog_model::{
    AnyDefinition, Fingerprint, Flow, Graph, Out, Retry, Saga, Signal, Step, just,
};

const ANY: Saga<u64, u64> = Saga::new("any");
const READ: Step<u64, u64> = Step::new("stock.read").read_only().retry(Retry::NEVER);
const TAKE: Step<u64, u64> = Step::new("stock.take")
    .compensatable()
    .probed()
    .deadline(Duration::from_secs(9))
    .or_skip("it is \"gone\"");
const MAIL: Step<u64, u64> = Step::new("mail.send").retryable().retry(Retry::listed(&[
    Duration::from_micros(1),
    Duration::from_secs(1),
]));
const GO: Signal<u64> = Signal::new("go");

proptest! {
    #[test]
    fn a_graph_survives_being_written_and_read(parts in parts(), text in ".*") {
        let definition = build(&parts, &text);
        let json = serde_json::to_string(&**definition.graph()).expect("a graph is data");
        let read: Graph = serde_json::from_str(&json).expect("what was written is read");
        prop_assert_eq!(&read, &**definition.graph());
        prop_assert_eq!(Fingerprint::of(&read), definition.fingerprint());
    }

    #[test]
    fn the_same_source_gives_the_same_graph(parts in parts(), text in ".*") {
        let (one, other) = (build(&parts, &text), build(&parts, &text));
        prop_assert_eq!(one.graph(), other.graph());
        prop_assert_eq!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn every_graph_is_drawn_with_each_of_its_nodes(parts in parts(), text in ".*") {
        let graph = build(&parts, &text).graph().clone();
        let (outline, chart) = (graph.outline().to_string(), graph.mermaid().to_string());
        for node in graph.nodes.iter().filter(|node| !node.id.contains('/')) {
            prop_assert!(outline.contains(&*node.id), "{} in {}", node.id, outline);
            prop_assert!(chart.contains(&*node.id), "{} in {}", node.id, chart);
        }
    }
}

/// A part of a definition.
#[derive(Clone, Debug)]
enum Part {
    Read,
    Take,
    Constant(u64),
    Sum,
    Check,
    Sleep(u64),
    Wait(u64),
    When(Vec<Self>),
    All(Vec<Vec<Self>>),
    Choose(Vec<Self>, Vec<Self>),
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let leaf = prop_oneof![
        Just(Part::Read),
        Just(Part::Take),
        any::<u64>().prop_map(Part::Constant),
        Just(Part::Sum),
        Just(Part::Check),
        any::<u64>().prop_map(Part::Sleep),
        any::<u64>().prop_map(Part::Wait),
    ];
    let part = leaf.prop_recursive(3, 30, 4, |part| {
        let parts = || vec(part.clone(), 0..4);
        prop_oneof![
            parts().prop_map(Part::When),
            vec(parts(), 1..4).prop_map(Part::All),
            (parts(), parts()).prop_map(|(one, other)| Part::Choose(one, other)),
        ]
    });
    vec(part, 0..6)
}

fn build(parts: &[Part], text: &str) -> AnyDefinition {
    let (mut saga, input) = ANY.define(1);
    saga.deadline(Duration::from_secs(3_600));
    let mut ids = 0;
    let last = sequence(&mut saga, &mut ids, parts, input);
    saga.value("text", just(text.to_owned()));
    saga.pivot();
    let sent = saga.step("mail", MAIL, last);
    let definition = saga.returns(sent.and(just(7)).map(|sent, more| sent + more));
    definition
        .expect("every part is sound where it stands")
        .into()
}

/// Appends the parts, each reading what the one before it gave.
fn sequence(flow: &mut Flow, ids: &mut u32, parts: &[Part], first: Out<u64>) -> Out<u64> {
    parts
        .iter()
        .fold(first, |last, part| append(flow, ids, part, last))
}

fn append(flow: &mut Flow, ids: &mut u32, part: &Part, last: Out<u64>) -> Out<u64> {
    *ids += 1;
    let id = &format!("n{ids}");
    match part {
        Part::Read => flow.step(id, READ, last),
        Part::Take => flow.step(id, TAKE, last.map(|n| n / 2)),
        Part::Constant(number) => flow.value(id, just(*number)),
        Part::Sum => flow.value(id, last.and(just(3)).and(last).map(|a, b, c| a ^ b ^ c)),
        Part::Check => flow.check(id, last.map(Ok)),
        Part::Sleep(micros) => {
            flow.sleep(id, Duration::from_micros(*micros));
            last
        }
        Part::Wait(nanos) => {
            let came = flow.signal(id, GO).within(Duration::from_nanos(*nanos));
            flow.value(&format!("{id}-came"), came.map(Option::unwrap_or_default))
        }
        Part::When(parts) => {
            let branch = |flow: &mut Flow| sequence(flow, ids, parts, last);
            let given = flow.when(id, last.map(|n| n > 3), branch);
            flow.value(&format!("{id}-given"), given.map(Option::unwrap_or_default))
        }
        Part::All(branches) => flow.all(|all| {
            let given = branches
                .iter()
                .map(|parts| all.branch(|flow| sequence(flow, ids, parts, last).map(|n| n ^ 1)));
            given.last().expect("there is at least one branch")
        }),
        Part::Choose(one, other) => flow.choose(id, last, |case| {
            let low = case.arm("low", |flow, _| sequence(flow, ids, one, last));
            let high = case.arm("high", |flow, n| {
                sequence(flow, ids, other, n).map(|n| n ^ 2)
            });
            case.pick((low, high), |n, (low, high)| match n {
                0..9 => low.take(),
                _ => high.with(n),
            })
        }),
    }
}
