//! The demo in this process: a runtime on the folder's log, fed with the orders that are missing.

use std::{collections::VecDeque, num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use sagalog::{CallError, Client, EventLog, Refusal, SqliteLog, control, log::Position};
use sagalog_eventlog::{Row, Subscription};
use tokio::{
    select,
    task::{JoinError, JoinSet},
    time::{Interval, interval},
};

use super::{
    order::ORDER,
    orders::{Ordered, Orders},
    progress::Watcher,
    tally::{State, Tally},
};
use crate::{CliError, log::PARTITION, stop::Stop};

/// The log's file in a folder.
pub(super) const LOG: &str = "log.db";

/// Orders under way at a time.
const UNDER_WAY_MAX: usize = 256;

/// Runs all orders that the log does not know yet, and waits until those that it knows have ended
/// too, or wait for a person. Whatever it does next follows from what is in the log.
pub(super) async fn run(
    folder: &Path,
    orders: &Orders,
    rate: Option<NonZeroU32>,
    watcher: &Watcher,
    stop: &mut Stop,
) -> Result<(), CliError> {
    let file = folder.join(LOG);
    let log: Arc<dyn EventLog> = Arc::new(SqliteLog::open(&file).await?);
    let runtime = super::app().runtime(log.clone(), folder)?;
    // Whoever wants something of a saga meanwhile reaches this process beside its log.
    let runtime = runtime.control_socket(control::socket_of(&file));
    let mut runtime = runtime.start().await?;
    let mut rows = Subscription::after(log.clone(), PARTITION, Position::new(0)).await?;
    let mut shop = Shop::new(runtime.client(), orders);
    // Everything that is there is read first, so that nothing is started twice.
    let tail = log.tail(PARTITION).await?;
    while shop.tally.position() < tail {
        shop.see(&rows.next_page().await?);
    }
    shop.list_missing();
    watcher.see(&shop.tally);
    let mut pace = rate.map(pace);
    while !shop.is_done() {
        select! {
            page = rows.next_page() => {
                shop.see(&page?);
                watcher.see(&shop.tally);
            }
            Some(started) = shop.starting.join_next() => shop.started(started)?,
            () = tick(&mut pace), if shop.has_room() => shop.start_next(),
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
    /// Places in the file of the orders that the log does not know.
    missing: VecDeque<usize>,
    starting: JoinSet<Result<(), CallError>>,
    /// Orders whose id is taken.
    refused: usize,
}

impl<'a> Shop<'a> {
    fn new(client: Client, orders: &'a Orders) -> Self {
        let (tally, missing, starting) = (Tally::of(orders), VecDeque::new(), JoinSet::new());
        Self {
            client,
            orders,
            tally,
            missing,
            starting,
            refused: 0,
        }
    }

    fn see(&mut self, rows: &[Row]) {
        rows.iter().for_each(|row| self.tally.apply(row));
    }

    fn list_missing(&mut self) {
        for index in 0..self.orders.good.len() {
            match self.tally.state(index) {
                State::Missing => self.missing.push_back(index),
                State::Foreign => self.refused += 1,
                _ => {}
            }
        }
    }

    fn has_room(&self) -> bool {
        !self.missing.is_empty() && self.under_way() < UNDER_WAY_MAX
    }

    fn is_done(&self) -> bool {
        self.missing.is_empty() && self.under_way() == 0
    }

    /// Orders that were started, or are being started, and go on by themselves.
    fn under_way(&self) -> usize {
        let count = self.tally.count();
        self.orders.good.len() - self.missing.len() - self.refused - count.ended() - count.parked
    }

    fn start_next(&mut self) {
        let Some(index) = self.missing.pop_front() else {
            return;
        };
        let Ordered { id, input, .. } = &self.orders.good[index];
        let (client, id, input) = (self.client.clone(), id.clone(), input.clone());
        self.starting
            .spawn(async move { client.start_payload(ORDER.name(), id.as_str(), input).await });
    }

    fn started(
        &mut self,
        started: Result<Result<(), CallError>, JoinError>,
    ) -> Result<(), CliError> {
        match started.expect("a start is not aborted and does not panic") {
            // Somebody else took the id meanwhile. The summary will say so.
            Err(CallError::Refused(Refusal::OtherContent { .. })) => self.refused += 1,
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
