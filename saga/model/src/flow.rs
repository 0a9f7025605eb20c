//! A definition under construction: nodes are appended to a sequence, and every branch is such a
//! sequence too.

mod all;
mod choice;
mod draft;

use alloc::{collections::BTreeSet, format, string::String, sync::Arc, vec, vec::Vec};
use core::{
    marker::PhantomData,
    panic::Location,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

pub use self::{
    all::All,
    choice::{Arm, Arms, Choice, Pick, Picker},
    draft::Draft,
};
use crate::{
    check::{Fault, Place, names::malformed},
    contract::{Json, Signal, Step},
    expr::{Code, Gives, Making, Out, Recipe, Slot, just, write},
    graph::{Block, BlockIndex, DefinitionVersion, Graph, Kind, Node, NodeIndex, Source},
    payload::Payload,
    sample::Sample,
};

/// A sequence under construction: the main line of a definition, or one of its branches.
///
/// A part that several definitions share is a plain function of a `&mut Flow` and some handles:
///
/// ```
/// # use sagalog_model::{BadDefinition, Flow, Out, Saga, Step, just};
/// # const TRIP: Saga<u64, u64> = Saga::new("trip");
/// # const BOOK: Step<u64, u64> = Step::new("air.book").compensatable();
/// # const ASK: Step<u64, u64> = Step::new("air.ask").read_only();
/// fn flight(saga: &mut Flow, id: &str, day: Out<u64>) -> Out<u64> {
///     let quote = saga.step(&format!("{id}-ask"), ASK, day);
///     saga.step(&format!("{id}-book"), BOOK, quote)
/// }
///
/// let (mut saga, day) = TRIP.define(1);
/// let back = saga.value("back", day.map(|day| day + 7));
/// let (out, back) = saga.all(|all| (
///     all.branch(|saga| flight(saga, "out", day)),
///     all.branch(|saga| flight(saga, "back", back)),
/// ));
/// let trip = saga.returns(out.and(back).map(|out, back| out + back))?;
/// # Ok::<_, BadDefinition>(())
/// ```
pub struct Flow {
    pub(crate) graph: Graph,
    /// What a graph does not hold, by node and by block.
    pub(crate) nodes: Vec<Aside>,
    pub(crate) blocks: Vec<Aside>,
    /// What was found wrong so far.
    pub(crate) faults: Vec<Fault>,
    /// Signals that nobody has given a deadline yet.
    pub(crate) endless: BTreeSet<NodeIndex>,
    /// Nodes that give an `Option` whose `Some` may be written as `null`, as its `None` is.
    pub(crate) ambiguous: BTreeSet<NodeIndex>,
    token: usize,
    here: BlockIndex,
}

/// What a graph does not hold about a node or a block.
pub(crate) struct Aside {
    pub(crate) place: Place,
    pub(crate) code: Option<Code>,
    /// Of a step's output or the saga's input: the least value.
    pub(crate) sample: Option<Sample>,
    /// Of a signal's payload: whether it reads as its type.
    pub(crate) reads: Option<Reads>,
}

/// Whether JSON reads as a type.
pub(crate) type Reads = fn(&Payload) -> Result<(), serde_json::Error>;

impl Aside {
    pub(crate) const fn new(place: Place, code: Option<Code>) -> Self {
        Self {
            place,
            code,
            sample: None,
            reads: None,
        }
    }
}

/// A signal that has no deadline yet: follow with `.within(..)`.
#[must_use = "a signal needs a deadline: .within(span)"]
pub struct NeedsDeadline<'flow, T> {
    flow: &'flow mut Flow,
    node: NodeIndex,
    place: Place,
    types: PhantomData<fn() -> T>,
}

impl Flow {
    /// Asks a participant; gives what the step gave.
    #[track_caller]
    pub fn step<I, O>(&mut self, id: &str, step: Step<I, O>, input: impl Gives<I>) -> Out<O> {
        self.step_at(Location::caller(), id, step, input)
    }

    /// Computes a value once and gives it a handle of its own.
    #[track_caller]
    pub fn value<T>(&mut self, id: &str, value: impl Gives<T>) -> Out<T> {
        let place = Location::caller();
        let node = self.computing(place, id, value, |value| Kind::Value { value });
        self.handle(node)
    }

    /// Goes on with the `Ok` value; an `Err` says why the saga turns and undoes what it did.
    #[track_caller]
    pub fn check<T>(&mut self, id: &str, verdict: impl Gives<Result<T, String>>) -> Out<T> {
        let place = Location::caller();
        let node = self.computing(place, id, verdict, |verdict| Kind::Check { verdict });
        self.handle(node)
    }

    /// Turns the saga: it undoes what it did. As nothing follows, the handle is of any type.
    ///
    /// It ends an arm of a choice. A condition that must hold is a [`check`](Self::check).
    #[track_caller]
    pub fn fail<T>(&mut self, id: &str, reason: impl Gives<String>) -> Out<T> {
        let place = Location::caller();
        let node = self.computing(place, id, reason, |reason| Kind::Fail { reason });
        self.handle(node)
    }

    /// Runs branches side by side and goes on when all of them have ended. Gives what the closure
    /// gives: the handles of its branches.
    #[track_caller]
    pub fn all<R>(&mut self, branches: impl FnOnce(&mut All<'_>) -> R) -> R {
        let place = Location::caller();
        let id = self.numbered("all", |kind| matches!(kind, Kind::All { .. }));
        let node = self.push(place, id, Kind::All { branches: vec![] }, None);
        branches(&mut All::new(self, node))
    }

    /// Runs one of several arms, the one that the picker takes for `value`, and gives what that arm
    /// gives.
    ///
    /// ```
    /// # use sagalog_model::{Saga, Step, just};
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Serialize, Deserialize)]
    /// enum Pay { Card(String), Gift }
    ///
    /// const SHOP: Saga<Pay, u32> = Saga::new("shop");
    /// const CHARGE: Step<String, u32> = Step::new("payments.charge").compensatable();
    ///
    /// let (mut saga, pay) = SHOP.define(1);
    /// let paid = saga.choose("pay", pay, |case| {
    ///     let card = case.arm("card", |saga, token| saga.step("charge", CHARGE, token));
    ///     let gift = case.arm("gift", |_, _| just(0));
    ///     case.pick((card, gift), |pay, (card, gift)| match pay {
    ///         Pay::Card(token) => card.with(token),
    ///         Pay::Gift => gift.take(),
    ///     })
    /// });
    /// let definition = saga.returns(paid)?;
    /// # Ok::<_, sagalog_model::BadDefinition>(())
    /// ```
    #[track_caller]
    pub fn choose<V: Json, T: 'static>(
        &mut self,
        id: &str,
        value: impl Gives<V>,
        arms: impl FnOnce(&mut Choice<'_, V, T>) -> Picker<T>,
    ) -> Out<T> {
        let place = Location::caller();
        let node = self.named(place, id, UNPICKED, None);
        let mut choice = Choice::new(self, node, place, value.recipe());
        let picker = arms(&mut choice);
        choice.finish(picker);
        self.handle(node)
    }

    /// Runs a branch only if the condition holds, and gives what it gives, or `None`.
    ///
    /// What a branch gives may be `()` as long as nobody asks whether it ran: JSON writes `None` and
    /// `Some(())` alike, so a definition that reads such a handle is refused.
    #[track_caller]
    pub fn when<R: Json, E: Gives<R>>(
        &mut self,
        id: &str,
        condition: impl Gives<bool>,
        branch: impl FnOnce(&mut Self) -> E,
    ) -> Out<Option<R>> {
        let place = Location::caller();
        let pick = Recipe::computed(vec![condition.recipe()], |parts, reading| {
            let arm = if parts[0].read(reading)? { 0 } else { 1 };
            write(&choice::Picked { arm, with: () })
        });
        let (pick, code) = self.admit(place, pick);
        let kind = Kind::Choose {
            pick,
            arms: vec![],
            optional: true,
        };
        let node = self.named(place, id, kind, code);
        let arm = self.arm(place, node, "yes", |flow, _: Out<()>| branch(flow));
        self.add_arm(node, arm);
        self.optional(node)
    }

    /// Waits for a span: a plain [`Duration`], a handle or an expression.
    #[track_caller]
    pub fn sleep(&mut self, id: &str, span: impl Gives<Duration>) {
        self.computing(Location::caller(), id, span, |span| Kind::Sleep { span });
    }

    /// Waits for a signal; say next how long at most: `.within(span)`.
    #[track_caller]
    pub fn signal<T: Json>(&mut self, id: &str, signal: Signal<T>) -> NeedsDeadline<'_, T> {
        let place = Location::caller();
        let kind = |within| Kind::Signal {
            signal: signal.name().into(),
            within,
            gaps: signal.gap_policy(),
        };
        let node = self.computing(place, id, just(Duration::ZERO), kind);
        self.nodes[node.0 as usize].reads = Some(|payload| payload.read::<T>().map(drop));
        self.endless.insert(node);
        NeedsDeadline {
            flow: self,
            node,
            place,
            types: PhantomData,
        }
    }

    /// The point of no return, on the main line: what was done before it is undone no more, and
    /// what comes after it is repeated until it succeeds.
    #[track_caller]
    pub fn pivot(&mut self) {
        let id = self.numbered("pivot", |kind| matches!(kind, Kind::Pivot));
        self.push(Location::caller(), id, Kind::Pivot, None);
    }
}

impl<T: Json> NeedsDeadline<'_, T> {
    /// Gives the signal's payload, or `None` once this span is over.
    pub fn within(self, span: impl Gives<Duration>) -> Out<Option<T>> {
        let (source, code) = self.flow.admit(self.place, span.recipe());
        if let Kind::Signal { within, .. } = self.flow.kind(self.node) {
            *within = source;
        }
        self.flow.nodes[self.node.0 as usize].code = code;
        self.flow.endless.remove(&self.node);
        self.flow.optional(self.node)
    }
}

// What the parts of a flow are made with.
impl Flow {
    fn new(place: Place, saga: &str, version: DefinitionVersion) -> Self {
        let main = Block {
            inside: None,
            label: "main".into(),
            nodes: vec![],
            result: None,
        };
        let mut flow = Self {
            graph: Graph {
                saga: saga.into(),
                version,
                deadline: None,
                nodes: vec![],
                blocks: vec![main],
            },
            nodes: vec![],
            blocks: vec![Aside::new(place, None)],
            faults: vec![],
            endless: BTreeSet::new(),
            ambiguous: BTreeSet::new(),
            token: next_token(),
            here: Graph::MAIN,
        };
        flow.push(place, "start", Kind::Start, None);
        flow
    }

    fn step_at<I, O>(
        &mut self,
        place: Place,
        id: &str,
        step: Step<I, O>,
        input: impl Gives<I>,
    ) -> Out<O> {
        let kind = |input| Kind::Step {
            spec: step.spec(),
            input,
        };
        let node = self.computing(place, id, input, kind);
        self.nodes[node.0 as usize].sample = Some(step.output());
        self.handle(node)
    }

    /// Appends a node that computes something when it is entered.
    fn computing<T>(
        &mut self,
        place: Place,
        id: &str,
        given: impl Gives<T>,
        kind: impl FnOnce(Source) -> Kind,
    ) -> NodeIndex {
        let (source, code) = self.admit(place, given.recipe());
        self.named(place, id, kind(source), code)
    }

    /// Appends a node whose id the author chose.
    fn named(&mut self, place: Place, id: &str, kind: Kind, code: Option<Code>) -> NodeIndex {
        self.faults.extend(malformed(place, "id", id));
        self.push(place, id, kind, code)
    }

    fn push(
        &mut self,
        place: Place,
        id: impl Into<Arc<str>>,
        kind: Kind,
        code: Option<Code>,
    ) -> NodeIndex {
        let node = NodeIndex(self.graph.nodes.len() as u32);
        self.graph.nodes.push(Node {
            id: id.into(),
            block: self.here,
            kind,
        });
        self.nodes.push(Aside::new(place, code));
        self.graph.blocks[self.here.0 as usize].nodes.push(node);
        node
    }

    /// Takes a value into the graph, and what is wrong with it into the faults.
    fn admit(&mut self, place: Place, recipe: Recipe) -> (Source, Option<Code>) {
        self.faults.extend(recipe.faults);
        match recipe.making {
            Making::Copy(slot) => match self.own(place, slot) {
                Some(node) => (Source::Copy(node), None),
                None => (Source::Copy(Graph::START), None),
            },
            Making::Constant(payload) => (Source::Constant(payload), None),
            Making::Computed {
                reads,
                constants,
                code,
            } => {
                let reads = reads
                    .into_iter()
                    .filter_map(|slot| self.own(place, slot))
                    .collect();
                (Source::Computed { reads, constants }, Some(code))
            }
        }
    }

    /// The node of a handle, if it is a handle of this definition.
    fn own(&mut self, place: Place, slot: Slot) -> Option<NodeIndex> {
        if slot.flow == self.token {
            return Some(slot.node);
        }
        let what = "a handle of another definition is used here; use handles of this one only";
        self.faults.push(Fault::new(place, what));
        None
    }

    pub(crate) fn place(&self, node: NodeIndex) -> Place {
        self.nodes[node.0 as usize].place
    }

    fn handle<T>(&self, node: NodeIndex) -> Out<T> {
        Out::new(self.slot(node))
    }

    /// A handle to what is `null` unless there is a `T`.
    fn optional<T: Json>(&mut self, node: NodeIndex) -> Out<Option<T>> {
        if Payload::null().read::<T>().is_ok() {
            self.ambiguous.insert(node);
        }
        self.handle(node)
    }

    fn slot(&self, node: NodeIndex) -> Slot {
        Slot {
            flow: self.token,
            node,
        }
    }

    /// Builds what is inside a new block of `node`, and comes back.
    fn block<R>(
        &mut self,
        place: Place,
        node: NodeIndex,
        label: &str,
        body: impl FnOnce(&mut Self) -> R,
    ) -> (BlockIndex, R) {
        let block = BlockIndex(self.graph.blocks.len() as u32);
        self.graph.blocks.push(Block {
            inside: Some(node),
            label: label.into(),
            nodes: vec![],
            result: None,
        });
        self.blocks.push(Aside::new(place, None));
        let before = core::mem::replace(&mut self.here, block);
        let given = body(self);
        self.here = before;
        (block, given)
    }

    /// An arm: its entry gives what it is taken with, its result is evaluated when it ends.
    fn arm<P, R, E: Gives<R>>(
        &mut self,
        place: Place,
        node: NodeIndex,
        label: &str,
        body: impl FnOnce(&mut Self, Out<P>) -> E,
    ) -> BlockIndex {
        self.faults.extend(malformed(place, "arm", label));
        let id = format!("{}/{label}", self.graph.node(node).id);
        let (block, (result, code)) = self.block(place, node, label, |flow| {
            let entry = flow.push(place, id, Kind::Entry, None);
            let entry = flow.handle(entry);
            let given = body(flow, entry);
            flow.admit(place, given.recipe())
        });
        self.graph.blocks[block.0 as usize].result = Some(result);
        self.blocks[block.0 as usize].code = code;
        block
    }

    fn add_arm(&mut self, node: NodeIndex, arm: BlockIndex) {
        if let Kind::Choose { arms, .. } = self.kind(node) {
            arms.push(arm);
        }
    }

    /// Whether nothing was appended to this sequence yet.
    fn is_empty(&self) -> bool {
        self.graph.block(self.here).nodes.is_empty()
    }

    fn kind(&mut self, node: NodeIndex) -> &mut Kind {
        &mut self.graph.nodes[node.0 as usize].kind
    }

    /// `word`, then `word-2`, `word-3`, by order of appearance.
    fn numbered(&self, word: &str, like: impl Fn(&Kind) -> bool) -> String {
        match self
            .graph
            .nodes
            .iter()
            .filter(|node| like(&node.kind))
            .count()
        {
            0 => word.into(),
            before => format!("{word}-{}", before + 1),
        }
    }
}

/// A choice before its arms are known.
const UNPICKED: Kind = Kind::Choose {
    pick: Source::Copy(Graph::START),
    arms: vec![],
    optional: false,
};

/// Tells the handles of one flow from those of another. It never becomes part of a definition.
fn next_token() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{BadDefinition, Definition, Saga};

    const SHOP: Saga<u64, u64> = Saga::new("shop");
    const GO: Signal<u64> = Signal::new("go");
    const READ: Step<u64, u64> = Step::new("stock.read").read_only();

    fn graph(definition: Result<Definition<u64, u64>, BadDefinition>) -> Arc<Graph> {
        definition.expect("it is sound").graph().clone()
    }

    fn ids(graph: &Graph) -> Vec<&str> {
        graph.nodes.iter().map(|node| &*node.id).collect()
    }

    #[test]
    fn the_main_line_runs_from_the_start_to_the_return() {
        let (mut saga, n) = SHOP.define(1);
        let read = saga.step("read", READ, n);
        let graph = graph(saga.returns(read));
        assert_eq!(ids(&graph), ["start", "read", "return"]);
        assert_eq!(graph.block(Graph::MAIN).nodes, [0, 1, 2].map(NodeIndex));
        let output = Source::Copy(NodeIndex(1));
        assert_eq!(graph.nodes[2].kind, Kind::Return { output });
    }

    #[test]
    fn an_arm_begins_with_an_entry_that_gives_its_payload() {
        let (mut saga, n) = SHOP.define(1);
        let chosen = saga.choose("size", n, |case| {
            let any = case.arm("any", |_, n| n);
            case.pick(any, |n, any| any.with(n))
        });
        let graph = graph(saga.returns(chosen));
        assert_eq!(ids(&graph), ["start", "size", "size/any", "return"]);
        let arm = &graph.blocks[1];
        assert_eq!(arm.nodes, [NodeIndex(2)]);
        assert_eq!(arm.result, Some(Source::Copy(NodeIndex(2))));
        assert_eq!(arm.inside, Some(NodeIndex(1)));
    }

    #[test]
    fn what_a_branch_gives_is_a_node_of_its_own_unless_it_is_one_already() {
        let (mut saga, n) = SHOP.define(1);
        let (plain, computed, passed) = saga.all(|all| {
            let plain = all.step("plain", READ, n);
            let computed = all.branch(|saga| saga.step("read", READ, n).map(|n| n + 1));
            let passed = all.branch(|_| n);
            (plain, computed, passed)
        });
        let sum = plain.and(computed).and(passed).map(|a, b, c| a + b + c);
        let graph = graph(saga.returns(sum));
        assert_eq!(
            ids(&graph),
            ["start", "all", "plain", "read", "all/2", "all/3", "return"]
        );
        let Kind::Return { output } = &graph.nodes[6].kind else {
            panic!("the last node returns")
        };
        assert_eq!(output.reads(), [2, 4, 5].map(NodeIndex));
    }

    #[test]
    fn nodes_without_an_id_are_numbered_by_appearance() {
        let (mut saga, n) = SHOP.define(1);
        saga.all(|all| {
            all.branch(|saga| saga.all(|all| all.step("inner", READ, n)));
        });
        saga.all(|all| all.step("later", READ, n));
        let graph = graph(saga.returns(n));
        let ids = ids(&graph);
        let numbered: Vec<_> = ids.iter().filter(|id| id.starts_with("all")).collect();
        assert_eq!(numbered, [&"all", &"all-2", &"all-3"]);
    }

    #[test]
    fn a_handle_read_twice_is_one_read() {
        let (mut saga, n) = SHOP.define(1);
        let read = saga.step("read", READ, n);
        let sum = read.and(n).and(read).map(|a, b, c| a + b + c);
        let graph = graph(saga.returns(sum));
        let reads = [1, 0].map(NodeIndex).into();
        let constants = vec![];
        let output = Source::Computed { reads, constants };
        assert_eq!(graph.nodes[2].kind, Kind::Return { output });
    }

    #[test]
    fn a_signal_waits_for_the_span_it_was_given() {
        let (mut saga, n) = SHOP.define(1);
        saga.signal("gone", GO).within(n.map(Duration::from_secs));
        let graph = graph(saga.returns(n));
        let kind = &graph.nodes[1].kind;
        assert!(matches!(kind, Kind::Signal { signal, .. } if signal == "go"));
        assert_eq!(kind.source().map(Source::reads), Some(&[Graph::START][..]));
    }
}
