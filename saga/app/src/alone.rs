//! A node without a broker must be alone on its log: what it asks, nobody else could answer, and of what the
//! others ask nothing reaches it.

use std::time::Instant;

use sagalog::{Clock, SystemClock};
use sagalog_eventlog::{EventLog, Owner, Sharer};

use crate::error::{CliError, Exit};

/// How often in a lease the others are looked for; they give a sign as often.
const LOOKS: u32 = 8;

/// Refuses if another process shares the log. One that was killed is still among those that do, so this
/// looks for a lease whether any of them gives a sign.
pub(crate) async fn or_refused(log: &dyn EventLog, name: &str) -> Result<(), CliError> {
    let Some(lease) = log.lease() else {
        return Ok(());
    };
    let me = Owner::this_process(name, SystemClock.now());
    let (began, first) = (Instant::now(), log.share(&me, &[]).await?);
    let others = first.iter().any(|sharer| !sharer.is_me);
    while others && began.elapsed() < lease {
        tokio::time::sleep(lease / LOOKS).await;
        let seen = log.share(&me, &[]).await?;
        if let Some(other) = seen.iter().find(|sharer| lives(sharer, &first)) {
            log.leave().await?;
            let message = format!(
                "another node drives this log, {}, and none can reach the other without a broker",
                other.holder
            );
            return Err(CliError::new("not_alone", Exit::Conflict, message)
                .fix("give both the same --broker amqp://…, or stop the other"));
        }
    }
    Ok(())
}

/// Whether another has given a sign since it was seen first.
fn lives(sharer: &Sharer, first: &[Sharer]) -> bool {
    let before = first.iter().find(|before| before.id == sharer.id);
    !sharer.is_me && before.is_none_or(|before| before.sign < sharer.sign)
}
