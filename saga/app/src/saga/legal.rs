//! What can be done with a saga as it stands: what its owner would not refuse, and what would change something.

use std::{collections::BTreeSet, sync::Arc};

use sagalog::{SagaState, request::Request};
use sagalog_eventlog::EventLog;
use sagalog_model::{Kind, Payload, SagaId};

use super::{new_id, subject::Subject, undriven};
use crate::{App, error::CliError, log::LogArg, who};

/// The refusals that are about where a saga stands.
const ABOUT_THE_STATE: [&str; 12] = [
    "ended",
    "pivot_passed",
    "already_paused",
    "not_paused",
    "has_turned",
    "not_parked",
    "no_such_node",
    "not_held",
    "not_the_first_held",
    "unknown_signal",
    "cannot_be_processed",
    "saga_held",
];

/// A refusal that is about where the saga stands says what is legal, if the log can be read.
pub(super) async fn named(error: CliError, saga: &SagaId, log: &LogArg, app: &App) -> CliError {
    if !ABOUT_THE_STATE.contains(&error.code()) || !log.is_given() {
        return error;
    }
    let Ok(log) = log.read().await else {
        return error;
    };
    match in_log(&log, saga, app).await {
        Ok(legal) => error.legal(legal),
        Err(_) => error,
    }
}

async fn in_log(
    log: &Arc<dyn EventLog>,
    saga: &SagaId,
    app: &App,
) -> Result<Vec<String>, CliError> {
    match undriven::find(log, saga).await? {
        Some(undriven) => Ok(undriven.actions()),
        None => Ok(actions(&Subject::read(log, saga, app).await?)),
    }
}

/// The actions that are legal now, as they are typed, without their options.
pub(super) fn actions(subject: &Subject) -> Vec<String> {
    let legal = candidates(&subject.state).into_iter().filter(|(_, it)| {
        let preview = subject.preview(it);
        preview.is_ok_and(|preview| !preview.events.is_empty())
    });
    legal.map(|(typed, _)| typed).collect()
}

/// All that could be wanted of a saga in this state.
fn candidates(state: &SagaState) -> Vec<(String, Request)> {
    let id = state.id().to_string();
    let saga = || id.clone();
    let by = who::this_is;
    let (until, reason) = (None, String::new);
    let mut all = vec![(
        format!("saga cancel {id}"),
        Request::Cancel {
            saga: saga(),
            id: new_id(),
            by: by(),
            until,
            reason: reason(),
        },
    )];
    let deadline = state.deadline();
    all.extend([
        (
            format!("saga compensate {id}"),
            Request::Compensate {
                saga: saga(),
                id: new_id(),
                by: by(),
                until,
                reason: reason(),
            },
        ),
        (
            format!("saga pause {id}"),
            Request::Pause {
                saga: saga(),
                id: new_id(),
                by: by(),
                until,
                reason: reason(),
            },
        ),
        (
            format!("saga resume {id}"),
            Request::Resume {
                saga: saga(),
                id: new_id(),
                by: by(),
                until,
            },
        ),
        (
            format!("saga set-deadline {id}"),
            Request::SetDeadline {
                saga: saga(),
                id: new_id(),
                by: by(),
                until,
                deadline,
                reason: reason(),
            },
        ),
    ]);
    let parked = state
        .parked()
        .map(|(index, _)| &state.graph().node(index).id);
    for node in parked.map(|node| node.to_string()) {
        all.extend([
            (
                format!("saga retry {id} {node}"),
                Request::Retry {
                    saga: saga(),
                    id: new_id(),
                    by: by(),
                    until,
                    node: node.clone(),
                    reason: None,
                },
            ),
            (
                format!("saga resolve {id} {node}"),
                Request::Resolve {
                    saga: saga(),
                    id: new_id(),
                    by: by(),
                    until,
                    node: node.clone(),
                    output: Payload::null(),
                },
            ),
            (
                format!("saga skip {id} {node}"),
                Request::Skip {
                    saga: saga(),
                    id: new_id(),
                    by: by(),
                    until,
                    node,
                    reason: reason(),
                },
            ),
        ]);
    }
    if let Some(first) = state.held().first() {
        let number = first.number;
        let release = |content| Request::Release {
            saga: saga(),
            id: new_id(),
            by: by(),
            until,
            number,
            content,
        };
        all.extend([
            (format!("held release {id} {number}"), release(None)),
            (
                format!("held edit {id} {number}"),
                release(Some(first.content.clone())),
            ),
        ]);
    }
    for number in state.held().iter().map(|held| held.number) {
        all.push((
            format!("held drop {id} {number}"),
            Request::Drop {
                saga: saga(),
                id: new_id(),
                by: by(),
                until,
                number,
                reason: reason(),
            },
        ));
    }
    if state.turn().is_none() {
        all.extend(signals(state).into_iter().map(|signal| {
            let typed = format!("saga signal {id} {signal}");
            let payload = Payload::null();
            (
                typed,
                Request::Signal {
                    saga: saga(),
                    signal,
                    id: new_id(),
                    until,
                    payload,
                },
            )
        }));
    }
    all
}

/// The signals of its definition, each once.
fn signals(state: &SagaState) -> BTreeSet<String> {
    let nodes = state.graph().iter();
    let signals = nodes.filter_map(|(_, node)| match &node.kind {
        Kind::Signal { signal, .. } => Some(signal.clone()),
        _ => None,
    });
    signals.collect()
}
