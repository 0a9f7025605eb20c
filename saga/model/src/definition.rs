//! A checked definition: its graph, and the functions that a graph does not hold.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
    vec::Vec,
};
use core::{fmt, marker::PhantomData, ops::Deref};

use crate::{
    contract::RecoveryClass,
    expr::{Code, ExpressionError, Outputs, Reading},
    fingerprint::Fingerprint,
    flow::{Aside, Flow, Reads},
    graph::{BlockIndex, Graph, Kind, NodeIndex, Otherwise, Source, StepSpec},
    payload::Payload,
    sample::{NoSample, Sample},
};

/// A definition of a saga that starts with an `I` and ends with an `O`. It derefs to
/// [`AnyDefinition`], which has its methods.
pub struct Definition<I, O> {
    any: AnyDefinition,
    types: PhantomData<fn(I) -> O>,
}

/// A definition whose types are forgotten: what a runtime keeps. Cheap to clone.
#[derive(Clone)]
pub struct AnyDefinition(Arc<Parts>);

struct Parts {
    graph: Arc<Graph>,
    fingerprint: Fingerprint,
    nodes: Vec<Option<Code>>,
    blocks: Vec<Option<Code>>,
    samples: Vec<Option<Sample>>,
    reads: Vec<Option<Reads>>,
}

/// Which expression of a definition.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Expression {
    /// The one of a node: its input, value, verdict, reason, pick, span or output.
    Node(NodeIndex),
    /// The result of an arm or branch.
    Result(BlockIndex),
}

impl AnyDefinition {
    /// A definition of which only the graph is known, as a log holds it. What it copies has its value, what its
    /// own code computes has none, and every payload counts as one of its signals'.
    pub fn of_graph(graph: Arc<Graph>) -> Self {
        const UNKNOWN: NoSample = NoSample {
            of: "value",
            why: String::new(),
        };
        let nodes = graph.nodes.len();
        Self(Arc::new(Parts {
            fingerprint: Fingerprint::of(&graph),
            nodes: (0..nodes).map(|_| None).collect(),
            blocks: graph.blocks.iter().map(|_| None).collect(),
            samples: alloc::vec![Some(|| Err(UNKNOWN)); nodes],
            reads: alloc::vec![None; nodes],
            graph,
        }))
    }

    /// The graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.0.graph
    }

    /// The graph's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Evaluates an expression over what the nodes gave.
    ///
    /// # Errors
    /// An output is missing, or something cannot be read or written.
    ///
    /// # Panics
    /// If a function of the definition does; nothing else panics.
    pub fn evaluate(
        &self,
        what: Expression,
        outputs: &dyn Outputs,
    ) -> Result<Payload, ExpressionError> {
        let (source, code) = self.find(what).ok_or(ExpressionError::NoExpression)?;
        let graph = &self.0.graph;
        let reading = Reading { outputs, graph };
        match (source, code) {
            (Source::Copy(node), _) => reading.output(*node).cloned(),
            (Source::Constant(payload), _) => Ok(payload.clone()),
            (Source::Computed { .. }, Some(code)) => code(&reading),
            (Source::Computed { .. }, None) => Err(ExpressionError::NoCode),
        }
    }

    /// Whether a payload is one of the signal of this name; of a signal that it does not know, any is.
    ///
    /// # Errors
    /// Where the payload is not what the signal's contract says.
    ///
    /// # Panics
    /// If reading the contract's type does.
    pub fn accepts(&self, signal: &str, payload: &Payload) -> Result<(), serde_json::Error> {
        let is_it = |kind: &Kind| matches!(kind, Kind::Signal { signal: of, .. } if of == signal);
        let mut nodes = self.0.graph.iter();
        let node = nodes.find(|(_, node)| is_it(&node.kind));
        let reads = node.and_then(|(node, _)| self.0.reads[node.0 as usize]);
        reads.map_or(Ok(()), |reads| reads(payload))
    }

    /// The contracts that its nodes ask for, by name, each once. An alternative to a compensation
    /// is among them, as a retryable step: it is only asked, never probed or undone.
    pub fn steps(&self) -> impl Iterator<Item = StepSpec> + use<> {
        let mut steps = BTreeMap::new();
        for spec in self.specs() {
            steps.insert(spec.name.clone(), spec.clone());
        }
        for alternative in self.specs().filter_map(alternative) {
            let name = alternative.name.clone();
            steps.entry(name).or_insert(alternative);
        }
        steps.into_values()
    }

    /// The participants that its steps need, by name, each once.
    pub fn participants(&self) -> impl Iterator<Item = String> + use<> {
        let names = self.steps().map(|step| step.participant().into());
        names.collect::<BTreeSet<_>>().into_iter()
    }

    /// The least value of the type of the saga's input: zeros, empty texts, no options.
    ///
    /// # Errors
    /// The type refuses it.
    pub fn sample_input(&self) -> Result<Payload, NoSample> {
        let sample = self.0.samples[Graph::START.0 as usize];
        sample.expect("a definition begins with its contract")()
    }

    /// The least value of the type that a step gives, by its contract's name; none if no node asks
    /// for it. An alternative to a compensation gives `null`.
    ///
    /// # Errors
    /// The type refuses it.
    pub fn sample_output(&self, step: &str) -> Option<Result<Payload, NoSample>> {
        let is_it = |kind: &Kind| matches!(kind, Kind::Step { spec, .. } if *spec.name == *step);
        let mut nodes = self.0.graph.iter();
        if let Some((node, _)) = nodes.find(|(_, node)| is_it(&node.kind)) {
            return Some(self.0.samples[node.0 as usize]?());
        }
        let mut alternatives = self.specs().filter_map(alternative);
        let known = alternatives.any(|alternative| *alternative.name == *step);
        known.then(|| Ok(Payload::null()))
    }

    fn specs(&self) -> impl Iterator<Item = &StepSpec> {
        self.0
            .graph
            .nodes
            .iter()
            .filter_map(|node| match &node.kind {
                Kind::Step { spec, .. } => Some(spec),
                _ => None,
            })
    }

    fn find(&self, what: Expression) -> Option<(&Source, Option<&Code>)> {
        match what {
            Expression::Node(node) => {
                let at = node.0 as usize;
                let source = self.0.graph.nodes.get(at)?.kind.source()?;
                Some((source, self.0.nodes[at].as_ref()))
            }
            Expression::Result(block) => {
                let at = block.0 as usize;
                let source = self.0.graph.blocks.get(at)?.result.as_ref()?;
                Some((source, self.0.blocks[at].as_ref()))
            }
        }
    }
}

fn alternative(step: &StepSpec) -> Option<StepSpec> {
    let Otherwise::Alternative {
        name,
        timeout,
        retry,
    } = &step.undo.as_ref()?.otherwise
    else {
        return None;
    };
    Some(StepSpec {
        name: name.clone(),
        class: RecoveryClass::Retryable,
        probed: false,
        timeout: *timeout,
        deadline: None,
        heartbeat: None,
        retry: *retry,
        undo: None,
    })
}

impl fmt::Debug for AnyDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("graph", &self.0.graph)
            .field("fingerprint", &self.0.fingerprint)
            .finish_non_exhaustive()
    }
}

impl<I, O> Definition<I, O> {
    /// Closes a flow that was checked.
    pub(crate) fn new(flow: Flow) -> Self {
        let code = |asides: Vec<Aside>| asides.into_iter().map(|aside| aside.code).collect();
        let parts = Parts {
            reads: flow.nodes.iter().map(|aside| aside.reads).collect(),
            samples: flow.nodes.iter().map(|aside| aside.sample).collect(),
            fingerprint: Fingerprint::of(&flow.graph),
            graph: Arc::new(flow.graph),
            nodes: code(flow.nodes),
            blocks: code(flow.blocks),
        };
        Self {
            any: AnyDefinition(Arc::new(parts)),
            types: PhantomData,
        }
    }
}

impl<I, O> Deref for Definition<I, O> {
    type Target = AnyDefinition;

    fn deref(&self) -> &AnyDefinition {
        &self.any
    }
}

impl<I, O> Clone for Definition<I, O> {
    fn clone(&self) -> Self {
        Self {
            any: self.any.clone(),
            types: PhantomData,
        }
    }
}

impl<I, O> fmt::Debug for Definition<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.any.fmt(f)
    }
}

impl<I, O> From<Definition<I, O>> for AnyDefinition {
    fn from(definition: Definition<I, O>) -> Self {
        definition.any
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};
    use core::time::Duration;

    use super::*;
    use crate::{BadDefinition, Saga, Signal, Step, Undo, just};

    const SHOP: Saga<u64, String> = Saga::new("shop");
    const DOUBLE: Step<u64, u64> = Step::new("maths.double").compensatable();

    /// What nodes gave: node 0 is the saga's input.
    struct Gave(Vec<Payload>);

    impl Gave {
        fn of(texts: &[&'static str]) -> Self {
            let gave = texts.iter().map(|text| Payload::from_json_text(*text));
            Self(gave.collect())
        }
    }

    impl Outputs for Gave {
        fn output(&self, node: NodeIndex) -> Option<&Payload> {
            self.0.get(node.0 as usize)
        }
    }

    fn evaluate<I, O>(
        definition: Result<Definition<I, O>, BadDefinition>,
        id: &str,
        gave: &'static [&'static str],
    ) -> Result<String, ExpressionError> {
        let definition = definition.expect("the definition is sound");
        let node = definition.graph().find(id).expect("the node exists");
        let payload = definition.evaluate(Expression::Node(node), &Gave::of(gave))?;
        Ok(payload.to_string())
    }

    #[test]
    fn a_handle_passed_on_is_copied_as_it_was_logged() {
        const ANY: Saga<f64, f64> = Saga::new("any");
        let (saga, input) = ANY.define(1);
        let text = " 1.50e3";
        assert_eq!(
            evaluate(saga.returns(input), "return", &[" 1.50e3"]),
            Ok(text.into())
        );
    }

    #[test]
    fn a_function_of_a_handle_reads_what_the_node_gave() {
        let (saga, input) = SHOP.define(1);
        let definition = saga.returns(input.map(|n| n.to_string()));
        assert_eq!(evaluate(definition, "return", &["7"]), Ok("\"7\"".into()));
    }

    #[test]
    fn functions_of_functions_and_constants_are_evaluated_inside_out() {
        let (mut saga, n) = SHOP.define(1);
        let sum = n
            .map(|n| n + 1)
            .and(just(10))
            .and(n)
            .map(|a, b, c| a * b + c);
        saga.value("sum", sum.map(|sum| sum * 2));
        let definition = saga.returns(just(String::new()));
        assert_eq!(evaluate(definition, "sum", &["2"]), Ok("64".into()));
    }

    #[test]
    fn up_to_six_values_are_read_together_in_their_order() {
        let (mut saga, n) = SHOP.define(1);
        let six = n
            .and(just(2))
            .and(just(3))
            .and(just(4))
            .and(just(5))
            .and(just(6));
        saga.value(
            "six",
            six.map(|a, b, c, d, e, f: u64| vec![a, b, c, d, e, f]),
        );
        let definition = saga.returns(just(String::new()));
        assert_eq!(
            evaluate(definition, "six", &["1"]),
            Ok("[1,2,3,4,5,6]".into())
        );
    }

    #[test]
    fn what_a_node_gave_must_be_of_the_type_that_is_read() {
        let (saga, n) = SHOP.define(1);
        let error = evaluate(saga.returns(n.map(|n| n.to_string())), "return", &["\"x\""]);
        let error = error.expect_err("text is no number").to_string();
        assert_eq!(
            error,
            "what `start` gave does not read as `u64`: invalid type: string \"x\", expected u64 at line 1 column 3"
        );
    }

    #[test]
    fn a_node_that_gave_nothing_cannot_be_read() {
        let (saga, n) = SHOP.define(1);
        let error = evaluate(saga.returns(n.map(|n| n.to_string())), "return", &[]);
        let error = error.expect_err("nothing was given").to_string();
        assert_eq!(error, "`start` has given nothing that could be read");
    }

    #[test]
    fn what_cannot_be_written_as_json_is_an_error() {
        let (mut saga, n) = SHOP.define(1);
        saga.value("map", n.map(|n| BTreeMap::from([((n, n), n)])));
        let error = evaluate(saga.returns(just(String::new())), "map", &["1"]);
        assert!(
            matches!(error, Err(ExpressionError::Unwritable { .. })),
            "{error:?}"
        );
    }

    #[test]
    #[should_panic(expected = "the author's own")]
    fn a_panic_of_the_authors_code_passes_through() {
        let (saga, n) = SHOP.define(1);
        let definition = saga.returns(n.map(|_| -> String { panic!("the author's own") }));
        let _ = evaluate(definition, "return", &["1"]);
    }

    #[test]
    fn a_when_picks_its_branch_or_none() {
        let definition = || {
            let (mut saga, n) = SHOP.define(1);
            let doubled = saga.when("big", n.map(|n| n > 9), |saga| {
                saga.step("double", DOUBLE, n)
            });
            saga.returns(doubled.map(|n| n.map_or_else(String::new, |n| n.to_string())))
        };
        assert_eq!(
            evaluate(definition(), "big", &["10"]),
            Ok(r#"{"arm":0,"with":null}"#.into())
        );
        assert_eq!(
            evaluate(definition(), "big", &["9"]),
            Ok(r#"{"arm":1,"with":null}"#.into())
        );
    }

    #[test]
    fn a_choice_picks_an_arm_with_what_it_is_taken_with() {
        let definition = || {
            let (mut saga, n) = SHOP.define(1);
            let said = saga.choose("size", n, |case| {
                let small = case.arm("small", |_, _| just("small".to_string()));
                let big = case.arm("big", |_, excess| excess.map(|n: u64| n.to_string()));
                case.pick((small, big), |n, (small, big)| match n {
                    0..10 => small.take(),
                    n => big.with(n - 10),
                })
            });
            saga.returns(said)
        };
        assert_eq!(
            evaluate(definition(), "size", &["9"]),
            Ok(r#"{"arm":0,"with":null}"#.into())
        );
        assert_eq!(
            evaluate(definition(), "size", &["13"]),
            Ok(r#"{"arm":1,"with":3}"#.into())
        );
    }

    #[test]
    fn the_result_of_an_arm_is_evaluated_over_its_payload() {
        let (mut saga, n) = SHOP.define(1);
        let said = saga.choose("size", n, |case| {
            let any = case.arm("any", |_, n| n.map(|n: u64| n.to_string()));
            case.pick(any, |n, any| any.with(n))
        });
        let definition = saga.returns(said).expect("it is sound");
        // Node 1 is the choice, node 2 the entry of its arm.
        let result = definition.evaluate(
            Expression::Result(BlockIndex(1)),
            &Gave::of(&["5", "", "6"]),
        );
        assert_eq!(result, Ok(Payload::from_json_text("\"6\"")));
    }

    #[test]
    fn a_plain_span_is_a_constant() {
        const GO: Signal<u64> = Signal::new("go");
        let (mut saga, n) = SHOP.define(1);
        saga.signal("gone", GO).within(Duration::from_secs(3));
        saga.sleep("nap", n.map(Duration::from_millis));
        let definition = saga.returns(just(String::new()));
        let definition = definition.expect("it is sound");
        let span = |node| {
            let span = definition.evaluate(Expression::Node(NodeIndex(node)), &Gave::of(&["1500"]));
            let span = span.expect("it evaluates").read::<Duration>();
            span.expect("it is a span")
        };
        assert_eq!(span(1), Duration::from_secs(3));
        assert_eq!(span(2), Duration::from_millis(1500));
    }

    #[test]
    fn of_a_graph_alone_what_is_copied_has_a_value_and_what_is_computed_has_none() {
        let (mut saga, n) = SHOP.define(1);
        saga.step("double", DOUBLE, n);
        let whole = saga.returns(n.map(|n| n.to_string())).expect("sound");
        let graph = AnyDefinition::of_graph(whole.graph().clone());
        assert_eq!(graph.fingerprint(), whole.fingerprint());
        let evaluate = |id| {
            let node = graph.graph().find(id).expect("the node exists");
            graph.evaluate(Expression::Node(node), &Gave::of(&["7"]))
        };
        assert_eq!(evaluate("double"), Ok(Payload::from_json_text("7")));
        assert_eq!(evaluate("return"), Err(ExpressionError::NoCode));
        assert!(graph.sample_input().is_err());
        assert!(
            graph
                .sample_output("maths.double")
                .is_some_and(|it| it.is_err())
        );
    }

    #[test]
    fn where_nothing_is_computed_there_is_nothing_to_evaluate() {
        let (saga, _) = SHOP.define(1);
        let definition = saga.returns(just(String::new())).expect("it is sound");
        for nothing in [
            Expression::Node(Graph::START),
            Expression::Node(NodeIndex(99)),
            Expression::Result(Graph::MAIN),
            Expression::Result(BlockIndex(99)),
        ] {
            let error = definition.evaluate(nothing, &Gave::of(&[]));
            assert_eq!(error, Err(ExpressionError::NoExpression));
        }
    }

    #[test]
    fn steps_are_listed_once_with_what_makes_up_for_them() {
        const WRITE_OFF: Step<Undo<u64, u64>, ()> = Step::new("books.write-off").retryable();
        const TAKE: Step<u64, u64> = Step::new("maths.take").compensatable().or(WRITE_OFF);
        let (mut saga, n) = SHOP.define(1);
        let one = saga.step("one", DOUBLE, n);
        saga.step("two", DOUBLE, one);
        saga.when("more", just(true), |saga| saga.step("three", TAKE, one));
        let definition = saga.returns(just(String::new())).expect("it is sound");
        let names: Vec<_> = definition
            .steps()
            .map(|step| step.name.to_string())
            .collect();
        assert_eq!(names, ["books.write-off", "maths.double", "maths.take"]);
        assert!(definition.participants().eq(["books", "maths"]));
    }

    #[test]
    fn definitions_are_shared_between_threads() {
        const fn shared<T: Clone + Send + Sync + 'static>() {}
        shared::<AnyDefinition>();
        shared::<Definition<u64, String>>();
    }
}
