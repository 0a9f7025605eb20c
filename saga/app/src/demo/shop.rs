//! The demo in this process: a runtime on the demo's log, fed with the orders that are missing.
//!
//! A process starts the orders whose partition it drives; another one that shares the log starts its own.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use sagalog::{CallError, Client, Refusal, log::PartitionId};
use sagalog_eventlog::Row;
use tokio::{
    select,
    task::{JoinError, JoinSet},
    time::{Interval, interval},
};

use super::{
    order::ORDER,
    orders::{Ordered, Orders},
    pages::Pages,
    place::Place,
    progress::Watcher,
    tally::{State, Tally},
};
use crate::{CliError, Output, log::partitions, stop::Stop};

/// Orders under way at a time.
const UNDER_WAY_MAX: usize = 256;

/// After how long an order is tried again whose partition another process had.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// Runs all orders that the log does not know yet, and waits until those that it knows have ended
/// too, or wait for a person. Whatever it does next follows from what is in the log.
pub(super) async fn run(
    place: &Place<'_>,
    orders: &Orders,
    rate: Option<NonZeroU32>,
    watcher: &Watcher,
    (output, stop): (Output, &mut Stop),
) -> Result<(), CliError> {
    let (log, mut runtime) = place.open(output).await?;
    let mut pages = Pages::of(&log).await?;
    let mut shop = Shop::new(runtime.client().only_here(), orders);
    // Everything that is there is read first, so that nothing is started twice.
    for partition in partitions(&*log) {
        let tail = log.tail(partition).await?;
        while shop.tally.position(partition) < tail {
            shop.see(pages.next().await?);
        }
    }
    shop.list_missing();
    watcher.see(&shop.tally);
    let mut pace = rate.map(pace);
    let mut try_again = interval(TRY_AGAIN);
    while !shop.is_done() {
        select! {
            page = pages.next() => {
                shop.see(page?);
                watcher.see(&shop.tally);
            }
            Some(started) = shop.starting.join_next() => shop.started(started)?,
            () = tick(&mut pace), if shop.has_room() => shop.start_next(),
            _ = try_again.tick(), if !shop.elsewhere.is_empty() => shop.missing.append(&mut shop.elsewhere),
            stopped = runtime.failed() => { stopped?; break; }
            () = stop.asked() => break,
        }
    }
    select! {
        stopped = runtime.stop() => stopped?,
        () = stop.asked() => {}
    }
    Ok(())
}

/// The orders on their way into the log.
struct Shop<'a> {
    client: Client,
    orders: &'a Orders,
    tally: Tally,
    /// Places in the file of the orders that the log did not know when it was looked at last.
    missing: VecDeque<usize>,
    /// Those whose partition another process drives, or nobody at the moment.
    elsewhere: VecDeque<usize>,
    starting: JoinSet<(usize, Result<(), CallError>)>,
}

impl<'a> Shop<'a> {
    fn new(client: Client, orders: &'a Orders) -> Self {
        Self {
            client,
            orders,
            tally: Tally::of(orders),
            missing: VecDeque::new(),
            elsewhere: VecDeque::new(),
            starting: JoinSet::new(),
        }
    }

    fn see(&mut self, (partition, rows): (PartitionId, Vec<Row>)) {
        rows.iter().for_each(|row| self.tally.apply(partition, row));
    }

    fn list_missing(&mut self) {
        let all = 0..self.orders.good.len();
        let missing = all.filter(|index| self.tally.state(*index) == State::Missing);
        self.missing = missing.collect();
    }

    fn has_room(&self) -> bool {
        !self.missing.is_empty() && self.starting.len() + self.under_way() < UNDER_WAY_MAX
    }

    fn is_done(&self) -> bool {
        self.tally.known() == self.orders.good.len() && self.under_way() == 0
    }

    /// Orders that were started and go on by themselves.
    fn under_way(&self) -> usize {
        let count = self.tally.count();
        count.started - count.ended() - count.parked
    }

    fn start_next(&mut self) {
        let Some(index) = self.missing.pop_front() else {
            return;
        };
        // Another process may have started it meanwhile.
        if self.tally.state(index) != State::Missing {
            return;
        }
        let Ordered { id, input, .. } = &self.orders.good[index];
        let (client, id, input) = (self.client.clone(), id.clone(), input.clone());
        self.starting.spawn(async move {
            let started = client.start_payload(ORDER.name(), id.as_str(), input);
            (index, started.await)
        });
    }

    fn started(
        &mut self,
        started: Result<(usize, Result<(), CallError>), JoinError>,
    ) -> Result<(), CliError> {
        let (index, started) = started.expect("a start is not aborted and does not panic");
        match started {
            // Somebody else took the id meanwhile. The summary will say so.
            Err(CallError::Refused(Refusal::OtherContent { .. })) => {}
            Err(CallError::Elsewhere { .. }) => self.elsewhere.push_back(index),
            started => started?,
        }
        Ok(())
    }
}

fn pace(per_second: NonZeroU32) -> Interval {
    interval(Duration::from_secs(1) / per_second.get())
}

async fn tick(pace: &mut Option<Interval>) {
    if let Some(pace) = pace {
        pace.tick().await;
    }
}
