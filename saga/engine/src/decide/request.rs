//! What people want: cancel, and mending parked nodes.

use alloc::{string::ToString, sync::Arc};

use sagalog_model::event::{
    CancelRequested, ResolvedByHand, RetryRequested, SkippedByHand, TurnCause,
};

use sagalog_projections::dedup::Asked;

use super::{Decider, Refusal};
use crate::input::{Request, Wish};

impl Decider<'_> {
    pub(super) fn request(&mut self, request: &Request) -> Result<(), Refusal> {
        if let Some(known) = self.state.requests().find(&request.id) {
            return if *known == asked(&request.wish) {
                Ok(())
            } else {
                let id = (*request.id).into();
                Err(Refusal::OtherContentOf { id })
            };
        }
        self.not_ended()?;
        let (id, by) = (request.id.clone(), request.by.clone());
        match &request.wish {
            Wish::Cancel { reason } => return self.cancel(id, by, reason),
            Wish::Release { number, content } => {
                return self.release(*number, id, by, content.clone());
            }
            Wish::Drop { number, reason } => {
                return self.give_up_held(*number, id, by, reason.to_string());
            }
            Wish::Retry { node } => {
                self.parked(node)?;
                self.emit(RetryRequested {
                    node: node.clone(),
                    id,
                    by,
                });
            }
            Wish::Resolve { node, output } => {
                self.parked(node)?;
                self.emit(ResolvedByHand {
                    node: node.clone(),
                    id,
                    by,
                    output: output.clone(),
                });
            }
            Wish::Skip { node, reason } => {
                self.parked(node)?;
                self.emit(SkippedByHand {
                    node: node.clone(),
                    id,
                    by,
                    reason: reason.to_string(),
                });
            }
        }
        self.go_on();
        Ok(())
    }

    /// I20: a cancel is either refused, or turns the saga in the same batch.
    fn cancel(&mut self, id: Arc<str>, by: Arc<str>, reason: &str) -> Result<(), Refusal> {
        if self.state.turn().is_some() && !mutant!(self.context.rules, CancelTurnsAgain) {
            return Ok(());
        }
        if self.state.pivot_passed() && !mutant!(self.context.rules, CancelsAfterThePivot) {
            return Err(Refusal::PivotPassed {
                saga: self.state.id().clone(),
            });
        }
        self.emit(CancelRequested {
            id,
            by,
            reason: reason.to_string(),
        });
        if mutant!(self.context.rules, CancelIsOnlyRecorded) {
            return Ok(());
        }
        self.turn(TurnCause::Cancelled, None, reason.to_string());
        self.go_on();
        Ok(())
    }

    fn parked(&self, node: &str) -> Result<(), Refusal> {
        let graph = self.state.graph();
        let index = graph
            .find(node)
            .ok_or_else(|| Refusal::NoSuchNode { node: node.into() })?;
        if self.state.node(index).parked.is_some() {
            return Ok(());
        }
        let parked = self
            .state
            .parked()
            .map(|(index, _)| (*graph.node(index).id).into())
            .collect();
        Err(Refusal::NotParked {
            node: node.into(),
            parked,
        })
    }
}

fn asked(wish: &Wish) -> Asked {
    match wish {
        Wish::Cancel { reason } => Asked::cancel(reason),
        Wish::Retry { node } => Asked::retry(node),
        Wish::Resolve { node, output } => Asked::resolve(node, output.as_str()),
        Wish::Skip { node, reason } => Asked::skip(node, reason),
        Wish::Release { number, content } => Asked::release(*number, content.as_ref()),
        Wish::Drop { number, reason } => Asked::drop(*number, reason),
    }
}
