//! The partitions of a process: how it comes to them, drives them, and gives them up.
//!
//! A log without a lease is taken whole at the start, and when one partition cannot be driven any more
//! the process stops. A log with a lease is shared: this process says that it is there, looks who else
//! is, and takes or gives up partitions until everybody has as many; one that is lost to another, or
//! whose store cannot be reached for a while, is no reason to stop.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use sagalog_engine::{Rules, admission::Policies, partition::Registry};
use sagalog_eventlog::{EventLog, Owner, Sharer};
use sagalog_model::log::PartitionId;
use sagalog_transport::{Queue, Transport};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    balance::{Balance, balance},
    clock::Clock,
    driver::{Call, DEAD_PREFETCH, Driver, PREFETCH, Parts},
    observe::Watch,
    published::Publishers,
    request::RollCall,
    router::{Route, Router},
    runtime::DriveError,
};

/// Calls that wait to be taken by one driver; further callers wait.
const CALLS: usize = 1_024;

/// Replies that wait in one inbox.
pub(crate) const INBOX: usize = 65_536;

/// Whose owner records what comes to the queue of the dead letters.
const RECORDS_DEAD_LETTERS: PartitionId = PartitionId::new(0);

/// How often in a lease a process says that it is there, and looks who else is.
const LOOKS: u32 = 8;

/// Looks without a sign after which another process is not counted any more. Its partitions are then
/// asked for, which it keeps if it is seen alive after all.
const SILENT: u32 = 3;

/// Leases without a sign after which another process is forgotten.
const GONE: u32 = 10;

/// What all drivers of a process share.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Registry,
    pub(crate) rules: Rules,
    pub(crate) policies: Arc<Policies>,
    pub(crate) node: String,
    pub(crate) router: Arc<Router>,
    /// If the log is published.
    pub(crate) publishers: Option<Publishers>,
    pub(crate) roll: Arc<RollCall>,
    pub(crate) watch: Watch,
    /// Stops the process.
    pub(crate) stop: CancellationToken,
}

/// Keeps the partitions of a process.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    running: JoinSet<(PartitionId, Result<(), DriveError>)>,
    /// The partitions that are driven or being taken, and what gives each up.
    seats: HashMap<PartitionId, CancellationToken>,
    /// Those that share the log, by their names, and since when their signs have not moved.
    seen: HashMap<String, (Sharer, Instant)>,
}

impl Keeper {
    /// Takes the whole log, if it has no lease.
    ///
    /// # Errors
    /// [`DriveError`] of the first partition that cannot be taken; the others are given back.
    pub(crate) async fn start(shared: Shared) -> Result<Self, DriveError> {
        let mut keeper = Self {
            shared: Arc::new(shared),
            running: JoinSet::new(),
            seats: HashMap::new(),
            seen: HashMap::new(),
        };
        for partition in (0..keeper.shared.log.partitions()).map(PartitionId::new) {
            keeper.shared.declare(partition).await?;
        }
        if keeper.shared.log.lease().is_none() {
            keeper.take_all().await?;
        }
        Ok(keeper)
    }

    async fn take_all(&mut self) -> Result<(), DriveError> {
        let mut drivers = Vec::new();
        for partition in (0..self.shared.log.partitions()).map(PartitionId::new) {
            let seat = self.shared.stop.child_token();
            match self.shared.take_over(partition, seat.clone(), true).await {
                Ok(taken) => drivers.push((partition, seat, taken)),
                Err(error) => {
                    self.shared.stop.cancel();
                    for (_, _, (driver, _)) in drivers {
                        driver.run().await?;
                    }
                    return Err(error);
                }
            }
        }
        for (partition, seat, (driver, calls)) in drivers {
            self.shared.router.set(partition, Route::Here(calls));
            self.seats.insert(partition, seat);
            let shared = self.shared.clone();
            self.running
                .spawn(async move { (partition, shared.run(partition, driver).await) });
        }
        Ok(())
    }

    /// Keeps them until told to stop, or until it cannot go on.
    ///
    /// # Errors
    /// [`DriveError`] of the first that could not go on; the others stopped in peace.
    pub(crate) async fn run(mut self) -> Result<(), DriveError> {
        let kept = self.keep().await;
        self.shared.stop.cancel();
        let mut first = kept;
        while let Some(ended) = self.running.join_next().await {
            let (partition, ended) = joined(ended);
            self.shared.router.set(partition, Route::Nowhere);
            let ended = ended.or_else(|error| self.passing(error));
            first = first.and(ended);
        }
        // The process may end as soon as this has: what is not said now is found out by silence.
        if let Err(error) = self.shared.log.leave().await {
            warn!(%error, "the others will find out by themselves that this process has stopped");
        }
        if let Some(publishers) = &self.shared.publishers {
            publishers.ended().await;
        }
        first
    }

    /// Gives back what it has.
    ///
    /// # Errors
    /// [`DriveError`] if something cannot be given back.
    pub(crate) async fn give_back(self) -> Result<(), DriveError> {
        self.shared.stop.cancel();
        self.run().await
    }

    async fn keep(&mut self) -> Result<(), DriveError> {
        let stop = self.shared.stop.clone();
        let pause = self.shared.log.lease().map(|lease| lease / LOOKS);
        if pause.is_some() {
            self.look_around().await;
        }
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(ended) = self.running.join_next() => {
                    let (partition, ended) = joined(ended);
                    self.seats.remove(&partition);
                    self.shared.router.set(partition, Route::Nowhere);
                    match ended {
                        Ok(()) if pause.is_none() => return Ok(()),
                        Ok(()) => {}
                        Err(error) => self.passing(error)?,
                    }
                }
                () = pause_for(pause) => self.look_around().await,
            }
        }
    }

    /// # Errors
    /// What a shared log does not get over, and anything on one that is not shared.
    fn passing(&self, error: DriveError) -> Result<(), DriveError> {
        if self.shared.log.lease().is_some() && error.is_passing() {
            return Ok(());
        }
        Err(error)
    }

    /// Says that this process is there, sees who else is, and does its part for the balance.
    async fn look_around(&mut self) {
        let shared = self.shared.clone();
        let Some(lease) = shared.log.lease() else {
            return;
        };
        let owner = Owner::this_process(&*shared.node, shared.clock.now());
        let gone = self.gone(lease);
        let sharers = match shared.log.share(&owner, &gone).await {
            Ok(sharers) => sharers,
            Err(error) => {
                return warn!(%error, "it cannot be seen who shares the log; looking again");
            }
        };
        self.see(&sharers);
        let alive: Vec<_> = sharers
            .iter()
            .filter(|other| self.lives(other, lease))
            .collect();
        self.tell_the_router(&alive);
        let Balance { give, take } = balance(&alive, shared.log.partitions());
        for partition in give {
            if let Some(seat) = self
                .seats
                .get(&partition)
                .filter(|seat| !seat.is_cancelled())
            {
                info!(
                    partition = partition.get(),
                    "giving a partition up to others"
                );
                seat.cancel();
            }
        }
        // What it lacks is found out by a process that has nothing yet; one that has must not fail for it.
        let is_start = self.seats.is_empty();
        for partition in take {
            self.take(partition, is_start);
        }
    }

    fn tell_the_router(&self, alive: &[&Sharer]) {
        let others: HashMap<_, _> = alive
            .iter()
            .filter(|sharer| !sharer.is_me)
            .flat_map(|sharer| {
                sharer
                    .owns
                    .iter()
                    .map(|partition| (*partition, &sharer.holder))
            })
            .collect();
        for partition in (0..self.shared.log.partitions()).map(PartitionId::new) {
            let holder = others.get(&partition).copied();
            self.shared.router.see(partition, holder);
        }
    }

    fn take(&mut self, partition: PartitionId, is_start: bool) {
        if self.seats.contains_key(&partition) {
            return;
        }
        let seat = self.shared.stop.child_token();
        self.seats.insert(partition, seat.clone());
        let shared = self.shared.clone();
        self.running
            .spawn(async move { (partition, shared.drive(partition, seat, is_start).await) });
    }

    fn see(&mut self, sharers: &[Sharer]) {
        let now = Instant::now();
        let before = std::mem::take(&mut self.seen);
        for sharer in sharers {
            let known = before.get(&sharer.id);
            let since = known.filter(|(known, _)| known.sign == sharer.sign);
            let since = since.map_or(now, |(_, since)| *since);
            self.seen.insert(sharer.id.clone(), (sharer.clone(), since));
        }
    }

    fn lives(&self, sharer: &Sharer, lease: Duration) -> bool {
        sharer.is_me || self.seen[&sharer.id].1.elapsed() < lease / LOOKS * SILENT
    }

    /// Those that were silent for so long that they will not come back.
    fn gone(&self, lease: Duration) -> Vec<Sharer> {
        let silent = self.seen.values();
        let silent = silent.filter(|(_, since)| since.elapsed() > lease * GONE);
        silent.map(|(sharer, _)| sharer.clone()).collect()
    }
}

impl Shared {
    /// Takes a partition and drives it until it is given up or lost.
    async fn drive(
        &self,
        partition: PartitionId,
        seat: CancellationToken,
        is_start: bool,
    ) -> Result<(), DriveError> {
        let (driver, calls) = self.take_over(partition, seat, is_start).await?;
        self.router.set(partition, Route::Here(calls));
        self.run(partition, driver).await
    }

    /// Drives a partition, and publishes its log beside that.
    async fn run(&self, partition: PartitionId, driver: Driver) -> Result<(), DriveError> {
        let publishing = self.publishers.as_ref();
        let publishing = publishing.map(|publishers| publishers.begin(partition));
        let ended = driver.run().await;
        // Of a partition that is given up, its next owner publishes the end.
        if let Some(publishing) = publishing
            && ended.is_ok()
            && self.stop.is_cancelled()
        {
            publishing.finish();
        }
        ended
    }

    async fn declare(&self, partition: PartitionId) -> Result<(), DriveError> {
        let inbox = Queue::inbox(partition.get());
        Ok(self.transport.declare(&inbox, INBOX).await?)
    }

    async fn take_over(
        &self,
        partition: PartitionId,
        seat: CancellationToken,
        is_start: bool,
    ) -> Result<(Driver, mpsc::Sender<Call>), DriveError> {
        let inbox = Queue::inbox(partition.get());
        let dead = match partition {
            RECORDS_DEAD_LETTERS => Some(
                self.transport
                    .consume(&Queue::dead_letters(), DEAD_PREFETCH)
                    .await?,
            ),
            _ => None,
        };
        let (calls, waiting) = mpsc::channel(CALLS);
        let driver = Driver::take_over(Parts {
            log: self.log.clone(),
            inbox: self.transport.consume(&inbox, PREFETCH).await?,
            dead,
            transport: self.transport.clone(),
            clock: self.clock.clone(),
            partition,
            registry: self.registry.clone(),
            rules: self.rules,
            policies: self.policies.clone(),
            node: self.node.clone(),
            calls: waiting,
            roll: self.roll.clone(),
            watch: self.watch.clone(),
            seat,
            stop: self.stop.clone(),
            is_start,
        });
        Ok((driver.await?, calls))
    }
}

async fn pause_for(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

fn joined<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    match ended {
        Ok(ended) => ended,
        Err(bug) => std::panic::resume_unwind(bug.into_panic()),
    }
}
