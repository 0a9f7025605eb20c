//! Comparing a copy with the log that it came from.

use std::sync::Arc;

use sagalog_eventlog::{EventLog, Row, Verified};
use sagalog_model::{
    log::{PartitionId, Position},
    system::{LogCopied, SystemEvent},
};

use super::{
    FIRST,
    homes::Homes,
    merge::{Cursor, Merge},
    partition_count, sealed,
};
use crate::{
    at_rest::verified,
    error::{CliError, Exit},
    log::partitions,
};

/// Proves that a log goes on from all that another holds, and is whole itself. Gives how many events it has
/// beyond that.
///
/// # Errors
/// With the first position of the copy where it is something else.
pub(super) async fn same(
    from: &Arc<dyn EventLog>,
    was: &[Verified],
    to: &Arc<dyn EventLog>,
) -> Result<u64, CliError> {
    let now = verified(&**to).await?;
    let mut rows = Vec::new();
    for (partition, now) in partitions(&**to).zip(&now) {
        let mut cursor = Cursor::new(to.clone(), partition, now.tail);
        refuse_other(&**to, cursor.next().await?, was)?;
        cursor.next().await?;
        rows.push(cursor);
    }
    let mut homes = Homes::new(partition_count(&**to), FIRST);
    let mut originals = Merge::of(from, was.iter().map(|was| was.tail)).await?;
    while let Some((partition, row)) = originals.next().await? {
        for (home, batch) in homes.place(partition, row)? {
            let copied = rows[home.get() as usize].next().await?;
            let position = batch.position;
            let is_same = copied.is_some_and(|copied| {
                let mut original = Row::new(batch, copied.epoch);
                original.chain = copied.chain;
                original == copied
            });
            if !is_same {
                return Err(different(&**to, home, position));
            }
        }
    }
    let since = now.iter().zip(homes.tails());
    Ok(since
        .map(|(now, copied)| now.tail.get() - copied.get())
        .sum())
}

fn refuse_other(to: &dyn EventLog, first: Option<Row>, was: &[Verified]) -> Result<(), CliError> {
    let decode = |row: &Row| {
        let it = &row.events[0];
        SystemEvent::decode(&it.kind, it.schema, &it.control, &it.data)
    };
    let other = |why: String| {
        let message = format!("{} {why}", to.name());
        Err(CliError::new("not_a_copy", Exit::Conflict, message))
    };
    match first.as_ref().map(decode) {
        Some(Ok(SystemEvent::LogCopied(LogCopied { sealed: then, .. }))) if then == sealed(was) => {
            Ok(())
        }
        Some(Ok(SystemEvent::LogCopied(LogCopied { from, .. }))) => other(format!(
            "is a copy of {from} as that ended elsewhere: it is another log, or was driven since"
        )),
        _ => other("is no copy of a log".to_owned()),
    }
}

fn different(to: &dyn EventLog, partition: PartitionId, position: Position) -> CliError {
    let message = format!(
        "{} is not what was copied, from position {position} of partition {partition} on",
        to.name()
    );
    CliError::new("not_a_copy", Exit::Failed, message)
}
