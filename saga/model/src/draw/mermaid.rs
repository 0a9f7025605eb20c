//! A graph as a Mermaid flowchart.

use alloc::{format, string::String, vec, vec::Vec};
use core::fmt::{Display, Formatter, Result};

use super::words::{class, plain, span_of};
use crate::graph::{BlockIndex, Graph, Kind, NodeIndex};

pub(super) struct Mermaid<'graph>(pub(super) &'graph Graph);

/// An arrow that has no head yet.
#[derive(Clone)]
struct Arrow {
    from: NodeIndex,
    label: Option<String>,
}

impl Display for Mermaid<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "flowchart TD")?;
        self.block(f, Graph::MAIN, vec![]).map(drop)
    }
}

impl Mermaid<'_> {
    /// Draws a block that these arrows lead into; gives the arrows that lead out of it.
    fn block(
        &self,
        f: &mut Formatter<'_>,
        block: BlockIndex,
        mut arrows: Vec<Arrow>,
    ) -> core::result::Result<Vec<Arrow>, core::fmt::Error> {
        for &node in &self.0.block(block).nodes {
            // An arm begins at its choice, with the arm's name on the arrow.
            if matches!(self.0.node(node).kind, Kind::Entry) {
                continue;
            }
            writeln!(f, "  n{}{}", node.0, self.shape(node))?;
            for arrow in &arrows {
                arrow.draw(f, node)?;
            }
            arrows = self.leaving(f, node)?;
        }
        Ok(arrows)
    }

    fn leaving(
        &self,
        f: &mut Formatter<'_>,
        node: NodeIndex,
    ) -> core::result::Result<Vec<Arrow>, core::fmt::Error> {
        let arrow = |label| Arrow { from: node, label };
        let mut leaving = vec![];
        match &self.0.node(node).kind {
            Kind::Fail { .. } | Kind::Return { .. } => {}
            Kind::All { branches } => {
                for branch in branches {
                    leaving.extend(self.block(f, *branch, vec![arrow(None)])?);
                }
            }
            Kind::Choose { arms, optional, .. } => {
                for arm in arms {
                    let label = self.0.block(*arm).label.clone();
                    leaving.extend(self.block(f, *arm, vec![arrow(Some(label))])?);
                }
                if *optional {
                    leaving.push(arrow(Some("no".into())));
                }
            }
            _ => leaving.push(arrow(None)),
        }
        Ok(leaving)
    }

    fn shape(&self, node: NodeIndex) -> String {
        let node = self.0.node(node);
        let id = safe(&node.id);
        match &node.kind {
            Kind::Start | Kind::Return { .. } => format!("([\"{id}\"])"),
            Kind::Step { spec, .. } => {
                let (name, class) = (safe(&spec.name), class(spec.class));
                format!("[\"{id}<br/>{name}<br/>{class}\"]")
            }
            Kind::Value { .. } | Kind::Entry => format!("(\"{id}\")"),
            Kind::Check { .. } => format!("{{{{\"{id}\"}}}}"),
            Kind::Fail { .. } => format!("[[\"{id}\"]]"),
            Kind::All { .. } => format!("((\"{id}\"))"),
            Kind::Choose { .. } => format!("{{\"{id}\"}}"),
            Kind::Sleep { span } => {
                format!("(\"{id}<br/>sleeps {}\")", safe(&span_of(self.0, span)))
            }
            Kind::Signal { signal, within, .. } => {
                let (signal, span) = (safe(signal), safe(&span_of(self.0, within)));
                format!(">\"{id}<br/>{signal} within {span}\"]")
            }
            Kind::Pivot => format!("[/\"{id}\"\\]"),
        }
    }
}

impl Arrow {
    fn draw(&self, f: &mut Formatter<'_>, to: NodeIndex) -> Result {
        match &self.label {
            Some(label) => writeln!(f, "  n{} -->|\"{}\"| n{}", self.from.0, safe(label), to.0),
            None => writeln!(f, "  n{} --> n{}", self.from.0, to.0),
        }
    }
}

/// Text inside quotes: whatever could end it, or be taken as markup, as a Mermaid entity.
fn safe(text: &str) -> String {
    let mut safe = String::new();
    for letter in plain(text).chars() {
        match letter {
            '"' | '#' | '&' | '<' | '>' | '`' | '|' | ';' | '\\' => {
                safe.push_str(&format!("#{};", u32::from(letter)));
            }
            letter => safe.push(letter),
        }
    }
    safe
}
