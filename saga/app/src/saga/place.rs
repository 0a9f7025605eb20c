//! What of a saga an action is about.

use std::fmt;

use sagalog::SagaState;

use crate::error::{CliError, Exit};

/// What of a saga an action is about: how it is written behind the saga's id, if at all.
pub(crate) trait Place: fmt::Display + Sized {
    /// What it is called.
    const WHAT: &'static str;
    /// Whether a saga that has such a one is in trouble: an action that is about it did not help if it is there
    /// still.
    const IS_TROUBLE: bool;
}

/// The saga as a whole.
pub(crate) struct Whole;

/// A parked node.
pub(crate) struct Node(pub(super) String);

/// The number of a held input.
pub(crate) struct Input(pub(super) u64);

/// Which node is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArg {
    /// The parked node
    #[arg(requires = "saga")]
    node: Option<String>,
    /// Of many sagas, only this node; without it all that are parked
    #[arg(long = "node", value_name = "NODE", conflicts_with = "saga")]
    only: Option<String>,
}

impl NodeArg {
    pub(super) fn one(&self) -> Result<Node, CliError> {
        let node = self.node.clone().map(Node);
        node.ok_or_else(|| not_named("the node", "`saga why` names those that are parked"))
    }

    pub(super) fn of(&self, state: &SagaState) -> Vec<Node> {
        let parked = state.parked();
        let ids = parked.map(|(index, _)| state.graph().node(index).id.to_string());
        let is_meant = |id: &String| self.only.as_ref().is_none_or(|only| only == id);
        ids.filter(is_meant).map(Node).collect()
    }
}

/// The held input that goes first, which is what an action on many sagas is about.
pub(super) fn first_held(state: &SagaState) -> Vec<Input> {
    let first = state.held().first();
    first.map(|first| Input(first.number)).into_iter().collect()
}

/// What is to be named beside a saga was not.
pub(super) fn not_named(what: &str, fix: &str) -> CliError {
    let message = format!("{what} was not named");
    CliError::new("not_named", Exit::Usage, message).fix(fix.to_owned())
}

impl Place for Whole {
    const WHAT: &'static str = "saga";
    const IS_TROUBLE: bool = false;
}

impl Place for Node {
    const WHAT: &'static str = "parked node";
    const IS_TROUBLE: bool = true;
}

impl Place for Input {
    const WHAT: &'static str = "held input";
    const IS_TROUBLE: bool = true;
}

impl fmt::Display for Whole {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
