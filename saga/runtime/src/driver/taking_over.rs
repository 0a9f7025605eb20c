//! Start, take-over and recovery: one operation.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use sagalog_engine::{
    Partition, Rules,
    partition::{Registry, Taken},
};
use sagalog_eventlog::{AppendError, Appended, Owner};
use sagalog_model::log::Epoch;
use sagalog_transport::Queue;
use tracing::{error, info, warn};

use super::{
    DEAD_PREFETCH, DriveError, Driver, PREFETCH, Parts, announced::Announced, inbox::Inbox,
    inputs::From, renewing::alive_during,
};
use crate::{
    clock::Clock,
    guard::Guard,
    history::Reader,
    observe::{Commit, Watch},
};

impl Driver {
    /// Takes the partition over.
    ///
    /// # Errors
    /// [`DriveError`]
    pub(crate) async fn take_over(parts: Parts) -> Result<Self, DriveError> {
        let Parts {
            log,
            transport,
            clock,
            partition,
            registry,
            rules,
            policies,
            node,
            inbox,
            dead,
            calls,
            roll,
            watch,
            seat,
            stop,
            is_start,
        } = parts;
        let reader = Reader::new(log.clone(), partition);
        let (machine, epoch) =
            take(&reader, &registry, rules, &node, &*clock, &watch, is_start).await?;
        let machine = machine.admitting(policies.clone());
        let receiving = |queue, prefetch, consumer| {
            let (transport, clock, watch) = (transport.clone(), clock.clone(), watch.clone());
            Inbox::new(
                queue, prefetch, transport, clock, consumer, watch, partition,
            )
        };
        let inbox = receiving(Queue::inbox(partition.get()), PREFETCH, inbox);
        let dead = dead.map(|dead| receiving(Queue::dead_letters(), DEAD_PREFETCH, dead));
        let began = clock.now();
        let mut driver = Self {
            log,
            transport,
            clock,
            reader,
            partition,
            registry,
            rules,
            policies,
            node,
            inbox,
            dead,
            calls,
            roll,
            seat,
            stop,
            machine,
            epoch,
            pending: HashMap::new(),
            next_ticket: 0,
            queues: HashMap::new(),
            outgoing: Vec::new(),
            waits_for_room: false,
            resending: Vec::new(),
            acknowledged: Vec::new(),
            dead_acknowledged: Vec::new(),
            appending: None,
            looking_up: None,
            publishing: None,
            renewing: None,
            waking: None,
            ends: VecDeque::new(),
            announced: Announced::default(),
            next_stock: watch.is_wanted().then_some(began),
            watch,
            commit: (Instant::now(), 0, 0),
            sending: (Instant::now(), 0),
        };
        driver.look_at_the_inbox().await?;
        Ok(driver)
    }

    pub(super) async fn appended(
        &mut self,
        result: Result<Appended, AppendError>,
    ) -> Result<(), DriveError> {
        match result {
            Ok(appended) => {
                self.is_durable(&appended);
                Ok(())
            }
            Err(AppendError::Unknown { log, source }) => {
                warn!(log, error = %source, "it is not known what was appended; taking the partition over anew");
                self.take_over_again().await
            }
            Err(AppendError::Conflict(conflict)) => {
                warn!(%conflict, "the log is not where it was left; taking the partition over anew");
                self.take_over_again().await
            }
            Err(other) => Err(DriveError::Append(other)),
        }
    }

    /// What was appended may be seen.
    pub(super) fn is_durable(&mut self, appended: &Appended) {
        let (began, batches, events) = self.commit;
        let took = began.elapsed();
        let commit = Commit {
            batches,
            events,
            took,
        };
        self.watch.appended(self.partition, commit);
        self.machine.committed(appended.last);
    }

    /// The machine is built anew from the log, under a higher epoch, and every input that was not
    /// answered is fed again in order. Nothing is decided twice under one epoch.
    async fn take_over_again(&mut self) -> Result<(), DriveError> {
        let (machine, epoch) = take(
            &self.reader,
            &self.registry,
            self.rules,
            &self.node,
            &*self.clock,
            &self.watch,
            false,
        )
        .await?;
        self.machine = machine.admitting(self.policies.clone());
        self.epoch = epoch;
        self.looking_up = None;
        self.renewing = None;
        self.look_at_the_inbox().await?;
        // Questions of other processes are asked again.
        self.ends.clear();
        self.pending
            .retain(|_, pending| !matches!(pending.from, From::Far(None, _)));
        let mut pending: Vec<_> = std::mem::take(&mut self.pending).into_iter().collect();
        pending.sort_unstable_by_key(|(ticket, _)| *ticket);
        let now = self.clock.now();
        for (_, pending) in pending {
            self.feed(pending, now);
        }
        Ok(())
    }

    pub(super) async fn look_at_the_inbox(&mut self) -> Result<(), DriveError> {
        if self.inbox.is_empty().await? {
            self.machine.inbox_is_empty();
        }
        Ok(())
    }
}

/// Start, take-over and recovery are this one operation.
async fn take(
    reader: &Reader,
    registry: &Registry,
    rules: Rules,
    node: &str,
    clock: &dyn Clock,
    watch: &Watch,
    is_start: bool,
) -> Result<(Partition<Guard>, Epoch), DriveError> {
    let (log, partition) = (reader.log(), reader.partition());
    let owned = log
        .acquire(partition, Owner::this_process(node, clock.now()))
        .await?;
    let mut registry = registry.clone();
    let reading = async {
        for (fingerprint, graph) in reader.graphs().await?.into_values() {
            registry.record(fingerprint, graph)?;
        }
        Ok((
            reader.system_streams().await?,
            reader.open(owned.open).await?,
        ))
    };
    let (system, open) = alive_during(log, partition, owned.epoch, reading).await?;
    info!(
        partition = partition.get(),
        epoch = owned.epoch.get(),
        open = open.histories.len() + open.unreadable.len(),
        "took the partition over"
    );
    let taken = Taken {
        partition,
        epoch: owned.epoch,
        node: node.to_owned(),
        tail: owned.tail,
        last_at: owned.last_at,
        heads: system.heads,
        open: open.histories,
        unreadable: open.unreadable,
        late: system.late,
        letters: system.letters,
        held: system.held,
        breakers: system.breakers,
        is_start,
        now: clock.now(),
    };
    let machine = Partition::take_over(
        taken,
        Arc::new(registry),
        Guard::watched(watch.clone()),
        rules,
    )?;
    for (saga, held) in machine.held_sagas().iter() {
        error!(%saga, why = held.reason, "a saga cannot be driven; it is held, and the others go on");
    }
    Ok((machine, owned.epoch))
}
