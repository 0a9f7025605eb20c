//! The sagas under way that fit a filter, all of them.

use sagalog::views::{SagaFilter, Views};
use sagalog_model::{
    SagaId,
    log::{PartitionId, StreamKey, Time},
};
use sagalog_projections::views::Standing;

use super::{
    caught_up,
    scan::{Filter, Scan},
};
use crate::{
    error::{CliError, Exit},
    log::LogArg,
    output::Output,
};

/// Sagas that are read from the views at a time.
const PAGE: usize = 1_000;

/// The most sagas of one operation.
const MAX: usize = 100_000;

/// Their ids, in the order in which they began; those that began later than `until` are left out. From the views
/// if there are any, otherwise by folding each saga's events.
pub(super) async fn that_fit(
    filter: &Filter,
    until: Option<Time>,
    log: &LogArg,
    output: Output,
) -> Result<Vec<SagaId>, CliError> {
    let views = log.views().await?;
    let is_in_time = |began: Time| until.is_none_or(|until| began <= until);
    if let Some(filter) = filter.of_views()
        && caught_up::by_now(&views, output).await
        && let Some(sagas) = in_views(&filter, is_in_time, &views).await?
    {
        return Ok(sagas);
    }
    let mut scan = Scan::of(views.log().clone(), 0).await?;
    let mut sagas = Vec::new();
    while let Some(state) = scan.next(filter).await? {
        if !state.status().is_terminal() && is_in_time(state.started_at()) {
            one_more(state.id().clone(), &mut sagas)?;
        }
    }
    Ok(sagas)
}

/// None if the views are gone meanwhile.
async fn in_views(
    filter: &SagaFilter,
    is_in_time: impl Fn(Time) -> bool,
    views: &Views,
) -> Result<Option<Vec<SagaId>>, CliError> {
    let mut sagas = Vec::new();
    let mut after = (PartitionId::default(), StreamKey::default());
    loop {
        let Some(found) = views.sagas(filter, after, PAGE).await? else {
            return Ok(None);
        };
        let Some(last) = found.last() else {
            return Ok(Some(sagas));
        };
        after = (last.partition, last.stream);
        for saga in found {
            let is_under_way = matches!(saga.standing, Standing::Running | Standing::Compensating);
            if is_under_way && is_in_time(saga.started_at) {
                one_more(super::recorded::saga_id(&saga.saga)?, &mut sagas)?;
            }
        }
    }
}

fn one_more(saga: SagaId, sagas: &mut Vec<SagaId>) -> Result<(), CliError> {
    if sagas.len() == MAX {
        let message = format!("more than {MAX} sagas fit, which is the limit of one operation");
        return Err(CliError::new("too_many_sagas", Exit::Usage, message).fix(
            "narrow them down, with --since and --older-than for example, and do it in parts",
        ));
    }
    sagas.push(saga);
    Ok(())
}
