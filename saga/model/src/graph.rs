//! A definition as data: what is printed, compared, recorded in the log and walked by the engine.
//!
//! A graph holds no code. Where an input is computed, it says from which nodes; the functions
//! themselves stay in the [`Definition`](crate::Definition) that the graph was built with.

use alloc::{string::String, sync::Arc, vec::Vec};
use core::{fmt, ptr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    contract::RecoveryClass,
    message::Direction,
    payload::Payload,
    policy::{Gaps, Retry},
};

/// Number of a node in its graph.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIndex(pub u32);

/// Number of a block in its graph; block 0 is the main line.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockIndex(pub u32);

/// Version of a definition, chosen by its author, from 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DefinitionVersion(pub u32);

impl fmt::Display for DefinitionVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One definition's nodes and blocks. Built by [`Saga::define`](crate::Saga::define), checked, and
/// unchangeable from then on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// The saga's name.
    pub saga: String,
    /// The definition's version.
    pub version: DefinitionVersion,
    /// How long a run may take before it turns back; after the pivot it only alerts.
    #[serde(
        with = "crate::micros::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub deadline: Option<Duration>,
    /// The nodes, in the order of the source. Node 0 is the start and gives the saga's input; the
    /// last node of block 0 is the return.
    pub nodes: Vec<Node>,
    /// The sequences of nodes. Block 0 is the main line.
    pub blocks: Vec<Block>,
}

/// A place in a graph.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its id: for the log and for people, unique in its graph.
    pub id: Arc<str>,
    /// The block it stands in.
    pub block: BlockIndex,
    /// What it does.
    pub kind: Kind,
}

/// A sequence of nodes: the main line, a branch or an arm.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The node it is a branch of; none for the main line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<NodeIndex>,
    /// Its name among its siblings.
    pub label: String,
    /// Its nodes in order.
    pub nodes: Vec<NodeIndex>,
    /// What it gives; none for the main line, whose last node is the return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Source>,
}

/// Where a value comes from.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The output of a node, unchanged.
    Copy(NodeIndex),
    /// A constant of the definition.
    Constant(Payload),
    /// A pure function of outputs and constants.
    Computed {
        /// The nodes whose outputs it reads.
        reads: Vec<NodeIndex>,
        /// The constants it was built with, so that a fingerprint notices when one changes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        constants: Vec<Payload>,
    },
}

impl Source {
    /// The nodes whose outputs it reads.
    pub fn reads(&self) -> &[NodeIndex] {
        match self {
            Self::Copy(node) => core::slice::from_ref(node),
            Self::Constant(_) => &[],
            Self::Computed { reads, .. } => reads,
        }
    }
}

/// What a node does.
// Not tagged by a field: serde buffers the content of such an enum, and JSON text kept as it was
// written, which a constant is, does not survive that.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The beginning; its output is the saga's input.
    Start,
    /// The beginning of an arm; its output is the arm's payload.
    Entry,
    /// Asks a participant.
    Step {
        /// The contract.
        spec: StepSpec,
        /// The action's input.
        input: Source,
    },
    /// Computes a value.
    Value {
        /// The value.
        value: Source,
    },
    /// Goes on with the `Ok` value of a `Result<T, String>`; an `Err` turns the saga.
    Check {
        /// The result.
        verdict: Source,
    },
    /// Turns the saga.
    Fail {
        /// Why: a string.
        reason: Source,
    },
    /// Runs its branches side by side and ends when all have.
    All {
        /// The branches.
        branches: Vec<BlockIndex>,
    },
    /// Runs one of its arms; its output is the arm's result.
    Choose {
        /// Gives `{"arm": index, "with": payload}`.
        pick: Source,
        /// The arms.
        arms: Vec<BlockIndex>,
        /// Whether no arm may run (an index beyond the last), which gives `null`: a `when`.
        optional: bool,
    },
    /// Waits for a span.
    Sleep {
        /// The span, a serialised `Duration`.
        span: Source,
    },
    /// Waits for a signal, at most for a span; gives the signal's payload or `null`.
    Signal {
        /// The signal's name.
        signal: String,
        /// The span, a serialised `Duration`.
        within: Source,
        /// What is done about missing numbers, if its producer numbers it.
        #[serde(default, skip_serializing_if = "Gaps::is_default")]
        gaps: Gaps,
    },
    /// The point of no return.
    Pivot,
    /// The end: gives the saga's output.
    Return {
        /// The output.
        output: Source,
    },
}

impl Kind {
    /// What is evaluated when the node is entered; nothing for the start, an entry, `all` and the
    /// pivot.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Start | Self::Entry | Self::All { .. } | Self::Pivot => None,
            Self::Step { input: source, .. }
            | Self::Value { value: source }
            | Self::Check { verdict: source }
            | Self::Fail { reason: source }
            | Self::Choose { pick: source, .. }
            | Self::Sleep { span: source }
            | Self::Signal { within: source, .. }
            | Self::Return { output: source } => Some(source),
        }
    }
}

/// What a step's contract agrees to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct StepSpec {
    /// The contract's name.
    pub name: Arc<str>,
    /// How it recovers.
    pub class: RecoveryClass,
    /// Whether its participant can say if the action took effect.
    pub probed: bool,
    /// How long one attempt of the action, or one probe, may take.
    #[serde(with = "crate::micros")]
    pub timeout: Duration,
    /// How long all attempts of the action may take together.
    #[serde(
        with = "crate::micros::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub deadline: Option<Duration>,
    /// How long the participant may be silent about an action that it has under way; without it an
    /// action is answered within its timeout.
    #[serde(
        with = "crate::micros::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub heartbeat: Option<Duration>,
    /// When the action is asked again.
    pub retry: Retry,
    /// How it is undone; some exactly if it is compensatable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<UndoPolicy>,
}

/// How a step is undone.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct UndoPolicy {
    /// How long one attempt of the compensation may take.
    #[serde(with = "crate::micros")]
    pub timeout: Duration,
    /// When the compensation is asked again.
    pub retry: Retry,
    /// What happens when it fails for good.
    pub otherwise: Otherwise,
}

/// What happens when a compensation fails for good.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// It waits for a person.
    Park,
    /// It is left undone.
    Skip {
        /// Why that is acceptable.
        reason: String,
    },
    /// Another step makes up for it; if that fails too, it waits for a person.
    Alternative {
        /// That step's name.
        name: Arc<str>,
        /// How long one attempt of it may take.
        #[serde(with = "crate::micros")]
        timeout: Duration,
        /// When it is asked again.
        retry: Retry,
    },
}

impl Graph {
    /// The main line.
    pub const MAIN: BlockIndex = BlockIndex(0);
    /// The node that gives the saga's input.
    pub const START: NodeIndex = NodeIndex(0);

    /// The node at `index`.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0 as usize]
    }

    /// The block at `index`.
    pub fn block(&self, index: BlockIndex) -> &Block {
        &self.blocks[index.0 as usize]
    }

    /// The node with this id.
    pub fn find(&self, id: &str) -> Option<NodeIndex> {
        // Most often it is the graph's own text, so that no text needs to be read. Others differ early:
        // looking at them byte by byte is over before a comparison of memory would begin.
        let same = |node: &Node| ptr::eq(&*node.id, id);
        let equal = |node: &Node| node.id.len() == id.len() && node.id.bytes().eq(id.bytes());
        let at = self.nodes.iter().position(same);
        let at = at.or_else(|| self.nodes.iter().position(equal))?;
        Some(NodeIndex(at as u32))
    }

    /// What is done about numbers that are missing before a signal of this name.
    pub fn gaps(&self, signal: &str) -> Gaps {
        let of = |node: &Node| match &node.kind {
            Kind::Signal {
                signal: of, gaps, ..
            } if of == signal => Some(*gaps),
            _ => None,
        };
        self.nodes.iter().find_map(of).unwrap_or_default()
    }

    /// All nodes with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(at, node)| (NodeIndex(at as u32), node))
    }

    /// The node whose block this is a branch or arm of; none for the main line.
    pub fn parent(&self, node: NodeIndex) -> Option<NodeIndex> {
        self.block(self.node(node).block).inside
    }
}

impl StepSpec {
    /// The participant that performs the step: its name up to the last dot, or all of it.
    pub fn participant(&self) -> &str {
        participant(&self.name)
    }

    /// By which terms it is asked in a direction; none where its policy has nothing to ask.
    pub fn terms(&self, direction: Direction) -> Option<Terms<'_>> {
        let (name, timeout, retry) = match direction {
            Direction::Action | Direction::Probe => (&self.name, self.timeout, self.retry),
            Direction::Compensation => {
                let undo = self.undo.as_ref()?;
                (&self.name, undo.timeout, undo.retry)
            }
            Direction::Alternative => match &self.undo.as_ref()?.otherwise {
                Otherwise::Alternative {
                    name,
                    timeout,
                    retry,
                } => (name, *timeout, *retry),
                Otherwise::Park | Otherwise::Skip { .. } => return None,
            },
        };
        Some(Terms {
            name,
            timeout,
            retry,
        })
    }
}

/// The terms of one direction of a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms<'a> {
    /// The contract that is asked: the step's, or its alternative's.
    pub name: &'a Arc<str>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// When it is asked again.
    pub retry: Retry,
}

/// The participant that performs the step of this name: the part before the last dot, or all of it.
pub fn participant(step: &str) -> &str {
    step.rsplit_once('.')
        .map_or(step, |(participant, _)| participant)
}
