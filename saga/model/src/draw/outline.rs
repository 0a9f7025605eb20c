//! A graph as indented text.

use core::fmt::{Display, Formatter, Result};

use super::words::{about_gaps, plain, source, span, span_of, terms};
use crate::{
    graph::{BlockIndex, Graph, Kind, Node, Source},
    policy::Gaps,
};

pub(super) struct Outline<'graph>(pub(super) &'graph Graph);

impl Display for Outline<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let graph = self.0;
        write!(f, "saga {}, version {}", plain(&graph.saga), graph.version)?;
        if let Some(deadline) = graph.deadline {
            write!(f, ", deadline {}", span(deadline))?;
        }
        writeln!(f)?;
        self.block(f, Graph::MAIN, 1)
    }
}

impl Outline<'_> {
    fn block(&self, f: &mut Formatter<'_>, block: BlockIndex, depth: usize) -> Result {
        let block = self.0.block(block);
        for node in &block.nodes {
            self.node(f, self.0.node(*node), depth)?;
        }
        match &block.result {
            Some(result) => {
                let result = source(self.0, result);
                writeln!(f, "{:depth$}gives {result}", "", depth = depth * INDENT)
            }
            None => Ok(()),
        }
    }

    fn node(&self, f: &mut Formatter<'_>, node: &Node, depth: usize) -> Result {
        // An arm's own line stands for its entry.
        if matches!(node.kind, Kind::Entry) {
            return Ok(());
        }
        write!(
            f,
            "{:depth$}{}",
            "",
            plain(&node.id),
            depth = depth * INDENT
        )?;
        self.does(f, &node.kind)?;
        writeln!(f)?;
        self.branches(f, &node.kind, depth + 1)
    }

    fn does(&self, f: &mut Formatter<'_>, kind: &Kind) -> Result {
        let said = |given: &Source| source(self.0, given);
        match kind {
            Kind::Start | Kind::Entry | Kind::Pivot => Ok(()),
            Kind::Step { spec, input } => {
                let (name, terms) = (plain(&spec.name), terms(spec));
                write!(f, ": asks {name} ({terms}) with {}", said(input))
            }
            Kind::Value { value } => write!(f, ": is {}", said(value)),
            Kind::Check { verdict } => write!(f, ": checks {}", said(verdict)),
            Kind::Fail { reason } => write!(f, ": fails with {}", said(reason)),
            Kind::All { .. } => write!(f, ": side by side"),
            Kind::Choose { pick, optional, .. } => {
                let word = if *optional { "when" } else { "one by" };
                write!(f, ": {word} {}", said(pick))
            }
            Kind::Sleep { span } => write!(f, ": sleeps {}", span_of(self.0, span)),
            Kind::Signal {
                signal,
                within,
                gaps,
            } => {
                let span = span_of(self.0, within);
                write!(f, ": waits for {} within {span}", plain(signal))?;
                if *gaps == Gaps::DEFAULT {
                    return Ok(());
                }
                write!(f, "; {}", about_gaps(gaps))
            }
            Kind::Return { output } => write!(f, ": {}", said(output)),
        }
    }

    fn branches(&self, f: &mut Formatter<'_>, kind: &Kind, depth: usize) -> Result {
        let (Kind::All { branches } | Kind::Choose { arms: branches, .. }) = kind else {
            return Ok(());
        };
        for branch in branches {
            let label = plain(&self.0.block(*branch).label);
            writeln!(f, "{:depth$}[{label}]", "", depth = depth * INDENT)?;
            self.block(f, *branch, depth + 1)?;
        }
        Ok(())
    }
}

const INDENT: usize = 2;
