//! Who owns a partition: drives the production machine as the production shell does.

use std::{sync::Arc, time::Duration};

use sagalog_engine::{
    Answer, Effect, Evaluate, Input, Partition, Query, Ticket, decide::Refusal, partition::Taken,
};
use sagalog_eventlog::AppendError;
use sagalog_model::{
    AnyDefinition, Expression, Outcome, Outputs, Payload, Reply, SagaEvent, SagaId,
    event::SagaEvent as E,
    log::{Epoch, PartitionId, Time},
};

use super::{
    DOWN, HOP, Happening, JUMP, Lane, World,
    broker::{Delivery, Tag},
    letters::{Inbox, Incoming},
    log::{LogPartition, Row},
    node::NodeNumber,
    share::{Ownership, Race},
};
use crate::{
    author,
    check::{self, Violation},
    fault::Fault,
    site::{Point, Site, Subject},
};

/// Tickets of deliveries begin here, those of calls at 1.
const DELIVERIES: u64 = 1 << 32;

/// A node that drives a partition.
#[derive(Clone)]
pub(crate) struct Owner {
    pub(super) node: NodeNumber,
    pub(super) machine: Partition<Guard>,
    pub(super) epoch: Epoch,
    pub(super) appending: Option<Vec<Arc<Row>>>,
    /// It hands the partition over as soon as nothing is on its way to the log.
    pub(super) is_leaving: bool,
    /// Somebody took the partition from it while its lease was good: it owns nothing any more.
    pub(super) is_contested: bool,
}

/// What a node that was paused was about to append. It does not know that it owns nothing.
#[derive(Clone, Debug)]
pub(super) struct Zombie {
    of: Ownership,
    node: NodeNumber,
    appending: Vec<Arc<Row>>,
}

impl Zombie {
    pub(super) const fn new(of: Ownership, node: NodeNumber, appending: Vec<Arc<Row>>) -> Self {
        Self {
            of,
            node,
            appending,
        }
    }
}

/// Runs the definition's functions; a panic is told as theirs.
#[derive(Clone, Copy)]
pub(crate) struct Guard;

impl Evaluate for Guard {
    fn evaluate(
        &self,
        definition: &AnyDefinition,
        what: Expression,
        outputs: &dyn Outputs,
    ) -> Result<Payload, String> {
        let name = || match what {
            Expression::Node(node) => {
                format!("the function at `{}`", definition.graph().node(node).id)
            }
            Expression::Result(block) => {
                let label = &definition.graph().block(block).label;
                format!("the function at the end of `{label}`")
            }
        };
        author::call(name, || definition.evaluate(what, outputs)).map_err(|error| error.to_string())
    }

    fn accepts(
        &self,
        definition: &AnyDefinition,
        signal: &str,
        payload: &Payload,
    ) -> Result<(), String> {
        let name = || format!("reading the signal `{signal}`");
        author::call(name, || definition.accepts(signal, payload))
            .map_err(|error| error.to_string())
    }
}

impl Owner {
    pub(super) fn next_timer(&self) -> Option<Time> {
        self.machine
            .next_timer()
            .filter(|_| !self.machine.is_full())
    }

    pub(crate) fn machine(&self) -> &Partition<Guard> {
        &self.machine
    }

    pub(crate) const fn node(&self) -> NodeNumber {
        self.node
    }

    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether nobody owned the partition before.
    pub(crate) fn is_the_first(&self) -> bool {
        self.epoch == Epoch::new(1)
    }

    pub(crate) const fn is_at_rest(&self) -> bool {
        self.appending.is_none()
    }
}

impl World {
    /// Does what the machines ask for, as the shell's loop does.
    pub(super) fn pump(&mut self) {
        for partition in self.partitions() {
            let mut driven = Epoch::default();
            // Whoever is driven may go away by it, or be followed by another.
            while let Some(epoch) = self.share(partition).epoch_after(driven) {
                self.drive(Ownership { partition, epoch });
                driven = epoch;
            }
        }
    }

    fn drive(&mut self, of: Ownership) {
        let now = self.time_of_owner(of);
        if let Some(owner) = self.owner_mut(of) {
            if owner.is_leaving && owner.is_at_rest() {
                return self.releases(of);
            }
            owner.machine.fire_timers(now);
        }
        self.look_up(of, now);
        self.perform(of, now);
        self.append(of);
    }

    /// What the clock of an owner's node shows.
    fn time_of_owner(&self, of: Ownership) -> Time {
        let owner = self.owner(of);
        owner.map_or(self.now, |owner| self.time_of(owner.node))
    }

    fn perform(&mut self, of: Ownership, now: Time) {
        while let Some(effect) = self
            .owner_mut(of)
            .and_then(|owner| owner.machine.poll_effect(now))
        {
            match effect {
                Effect::Ask(command) => {
                    // What another has decided since is not known to one that was taken over.
                    if self.is_newest(of) {
                        let checked = check::asked(self, &command);
                        self.checked(checked);
                        let checked = check::published(self, of, &command);
                        self.checked(checked);
                        let checked = check::admitted(self, of.partition, &command);
                        self.checked(checked);
                        let owner = self.shares[of.partition.get() as usize].owner();
                        let checked =
                            self.shadow
                                .published(of.partition, &command, owner, self.now);
                        self.checked(checked);
                    }
                    self.send(of, command);
                }
                Effect::Withdraw(withdrawal) => {
                    let checked = check::withdrawn(self, &withdrawal);
                    self.checked(checked);
                    let arrives = Happening::WithdrawalArrives(Arc::new(withdrawal));
                    self.agenda.add(self.now.after(HOP), arrives);
                }
                Effect::AskForMissing(missing) => {
                    let checked = check::asked_for_missing(self, &missing);
                    self.checked(checked);
                    self.send_again(&missing);
                }
                Effect::Resend(resend) => self.resend(of, &resend),
                Effect::Answer { ticket, answer } => self.answered(of.partition, ticket.0, &answer),
            }
        }
    }

    fn answered(&mut self, partition: PartitionId, ticket: u64, answer: &Answer) {
        if ticket > DELIVERIES {
            let tag = Tag(ticket - DELIVERIES);
            let mut inboxes = Inbox::all_of(partition);
            let checked = match inboxes.find_map(|inbox| self.inboxes.acknowledge(&inbox, tag)) {
                Some(Incoming::Reply(reply)) => {
                    let heard = self.heard.remove(&(partition, tag));
                    check::acknowledged(self, &reply, answer, heard)
                }
                Some(Incoming::Dead(dead)) => check::letter_left_its_queue(self, partition, &dead),
                None => Ok(()),
            };
            self.checked(checked);
        } else if let Some(call) = self.share_mut(partition).calls.remove(&ticket) {
            let checked = check::call_answered(self, partition, &call, answer);
            self.checked(checked);
            match answer {
                Answer::Refused(Refusal::TooManyRemembered { .. }) => self.no_room_now(&call),
                Answer::Refused(refusal) => self.refused_for_now(&call, refusal),
                _ => {}
            }
        }
    }

    fn look_up(&mut self, of: Ownership, now: Time) {
        let Some(owner) = self.owner_mut(of) else {
            return;
        };
        for saga in owner.machine.poll_look_up() {
            let found = self.found_of(of, &saga);
            if let Some(owner) = self.owner_mut(of) {
                owner.machine.found(&saga, found, now);
            }
        }
    }

    fn append(&mut self, of: Ownership) {
        let Some(owner) = self.owner_mut(of) else {
            return;
        };
        if owner.appending.is_some() {
            return;
        }
        let batches = owner.machine.poll_append();
        if batches.len() == 0 {
            return;
        }
        let rows: Vec<_> = batches.map(Row::new).map(Arc::new).collect();
        let node = owner.node;
        if let Some(why) = rows.iter().find_map(|row| row.unreadable()) {
            return self.violate("I3", why.to_owned());
        }
        if std::mem::take(&mut self.share_mut(of.partition).dies_again)
            || self.now < self.database_down_until
        {
            return self.dies(node);
        }
        let visited = self.fault_of_commit(of.partition, &rows);
        match visited {
            None => self.commits(of, rows, HOP),
            Some((saga, fault)) => self.append_goes_wrong(of, node, rows, &saga, fault),
        }
    }

    fn append_goes_wrong(
        &mut self,
        of: Ownership,
        node: NodeNumber,
        rows: Vec<Arc<Row>>,
        saga: &SagaId,
        fault: Fault,
    ) {
        match fault {
            Fault::Slow => self.commits(of, rows, DOWN),
            Fault::Cancelled => {
                self.commits(of, rows, HOP);
                self.cancel(saga.clone());
            }
            Fault::Paused => {
                self.commits(of, rows, HOP);
                self.pause(saga.clone());
            }
            Fault::DeadlineSet => {
                self.commits(of, rows, HOP);
                self.hurry(saga.clone());
            }
            Fault::ClockAhead => {
                self.node_mut(node).clock.jump_ahead(JUMP);
                self.look_at_all_leases();
                self.commits(of, rows, HOP);
            }
            Fault::ClockBack => {
                self.node_mut(node).clock.jump_back(JUMP);
                self.look_at_all_leases();
                self.commits(of, rows, HOP);
            }
            Fault::CrashBeforeCommit => self.dies(node),
            #[cfg(feature = "mutants")]
            Fault::CrashAfterCommit if mutant!(self, TearsBatches) => {
                self.store(of, &crate::mutants::torn(&rows));
                self.dies(node);
            }
            Fault::CrashAfterCommit => {
                self.store(of, &rows);
                self.dies(node);
            }
            Fault::CrashTwice => {
                self.store(of, &rows);
                self.dies(node);
                self.share_mut(of.partition).dies_again = true;
            }
            Fault::DatabaseDown => {
                self.database_down_until = self.now.after(2 * DOWN);
                self.dies(node);
            }
            Fault::DownLong => self.all_die_for_long(),
            Fault::UnknownDone if mutant!(self, AppendsAgain) => {
                self.store(of, &rows);
                self.commits(of, rows, HOP);
            }
            Fault::UnknownNotDone if mutant!(self, TakesUnknownForDone) => {
                let last = rows.last().expect("there is something to append");
                let through = last.batch().last_position();
                if let Some(owner) = self.owner_mut(of) {
                    owner.machine.committed(through);
                }
            }
            Fault::UnknownNotDone if mutant!(self, KeepsTheMachine) => {}
            Fault::UnknownDone => {
                self.store(of, &rows);
                self.owns_anew(of);
            }
            Fault::UnknownNotDone => self.owns_anew(of),
            Fault::LeaseLost => {
                if let Some(owner) = self.owner_mut(of) {
                    owner.appending = Some(rows);
                }
                self.is_paused(node);
            }
            Fault::Frozen => {
                if let Some(owner) = self.owner_mut(of) {
                    owner.appending = Some(rows);
                }
                self.freezes(node);
            }
            Fault::HeartbeatFails => {
                self.heartbeats_fail(node);
                self.commits(of, rows, HOP);
            }
            Fault::TakenOver => {
                self.commits(of, rows, HOP);
                #[cfg(feature = "mutants")]
                if mutant!(self, ReadsBeforeItAcquires) {
                    let read = self.log.partition(of.partition).clone();
                    self.share_mut(of.partition).read_early = Some(Box::new(read));
                    self.agenda
                        .add(self.now.after(2 * HOP), Happening::IsForced(of));
                    return;
                }
                self.agenda
                    .add(self.now.after(HOP / 2), Happening::IsForced(of));
            }
            Fault::RacedReading => {
                self.dies(node);
                self.share_mut(of.partition).raced = Some(Race::Reading);
            }
            Fault::RacedAppending => {
                self.dies(node);
                self.share_mut(of.partition).raced = Some(Race::Appending);
            }
            Fault::Unreadable | Fault::Undefined => {
                self.store(of, &rows);
                self.cannot_be_driven(of.partition, node, saga, fault);
            }
            Fault::SuccessorAhead => {
                self.dies(node);
                let successor = self.another(of.partition, node);
                self.node_mut(successor).clock.jump_ahead(JUMP);
            }
            Fault::SuccessorBehind => {
                self.dies(node);
                let successor = self.another(of.partition, node);
                self.node_mut(successor).clock.jump_back(JUMP);
            }
            other => unreachable!("{other} does not happen to an append"),
        }
    }

    fn commits(&mut self, of: Ownership, rows: Vec<Arc<Row>>, takes: Duration) {
        if let Some(owner) = self.owner_mut(of) {
            owner.appending = Some(rows);
        }
        self.agenda
            .add(self.now.after(takes), Happening::Committed(of));
    }

    /// A group commit is named after the first saga's batch in it.
    fn fault_of_commit(
        &mut self,
        partition: PartitionId,
        rows: &[Arc<Row>],
    ) -> Option<(SagaId, Fault)> {
        let log = self.log.partition(partition);
        let (saga, subject) = rows.iter().find_map(|row| {
            if let Some(place) = self.letter_of(row) {
                return Some(place);
            }
            if let Some(place) = self.held_saga_of(row) {
                return Some(place);
            }
            let first = row.events().first()?;
            let saga = match &row.batch().name {
                Some(name) => SagaId::new(name.clone()).ok(),
                None => log.saga(row.batch().stream).cloned(),
            };
            Some((saga?, subject_of(first)))
        })?;
        let fault = self.visit(&saga, subject, Point::Commit)?;
        Some((saga, fault))
    }

    pub(super) fn committed(&mut self, of: Ownership) {
        let Some(owner) = self.owner_mut(of) else {
            return;
        };
        let Some(rows) = owner.appending.take() else {
            return;
        };
        if !self.store(of, &rows) {
            return;
        }
        if let (Some(owner), Some(last)) = (self.owner_mut(of), rows.last()) {
            owner.machine.committed(last.batch().last_position());
        }
        let checked = check::durable(self, of);
        self.checked(checked);
    }

    /// Whether it took place.
    fn store(&mut self, of: Ownership, rows: &[Arc<Row>]) -> bool {
        let Some(node) = self.owner(of).map(Owner::node) else {
            return false;
        };
        let log = self.log.partition_mut(of.partition);
        match log.append(node.in_the_log(), of.epoch, rows) {
            Ok(appended) if appended.already => {
                let what = "an append is done again, and it was stored already";
                self.violate("I1", what.into());
            }
            Ok(_) => {
                self.stored(of.partition, rows);
                return true;
            }
            Err(AppendError::Fenced { .. } | AppendError::NotOwned { .. }) => {
                let checked = check::fenced(self, of);
                self.checked(checked);
                if mutant!(self, AppendsUnderTheNewEpoch) {
                    self.appends_under_the_new_epoch(of.partition, node, rows);
                }
                self.is_fenced(of);
            }
            Err(refused) => self.violate("I1", refused.to_string()),
        }
        false
    }

    /// What a planted bug does that takes being fenced for a mishap.
    fn appends_under_the_new_epoch(
        &mut self,
        partition: PartitionId,
        node: NodeNumber,
        rows: &[Arc<Row>],
    ) {
        let epoch = self.acquire(partition, node);
        let log = self.log.partition_mut(partition);
        if let Err(refused) = log.append(node.in_the_log(), epoch, rows) {
            self.violate("I1", refused.to_string());
        }
    }

    fn stored(&mut self, partition: PartitionId, rows: &[Arc<Row>]) {
        for row in rows {
            let log = self.log.partition(partition);
            let saga = log.saga(row.batch().stream).cloned();
            if saga.is_some() != row.is_of_a_saga() {
                let stream = row.batch().stream;
                self.violate("I1", format!("events of another kind in stream {stream}"));
            }
            let Some(saga) = saga else {
                self.letters_are_stored(partition, row);
                self.held_sagas_are_stored(partition, row);
                continue;
            };
            if let Some(fact) = row.events().first() {
                let happened = self.shadow.happened(partition, &saga, fact);
                let checked = happened
                    .map_err(|(invariant, what)| Violation::of(invariant, self, &saga, what));
                self.checked(checked);
            }
            for event in row.events() {
                self.say_of(Lane::Log, Some(&saga), || crate::report::event(event));
                let at = row.batch().at;
                let checked = check::recorded(self, partition, &saga, event);
                self.checked(checked);
                let checked = self.shadow.apply(&self.setup, partition, &saga, event, at);
                self.checked(checked);
                match event {
                    E::Parked(parked) => self.node_is_parked(&saga, &parked.node),
                    E::InputHeld(e) if e.held.reason.is_some() => {
                        self.input_is_held(&saga, e.number)
                    }
                    E::StillHeld(e) => self.input_is_held(&saga, e.number),
                    E::Paused(_) => self.saga_is_paused(&saga),
                    _ => {}
                }
            }
        }
        let checked = check::properties(self);
        self.checked(checked);
    }

    /// After an append of unknown outcome its own node takes the partition over at once, unless the
    /// lease is another's by now.
    fn owns_anew(&mut self, of: Ownership) {
        let Some(owner) = self.owner(of) else {
            return;
        };
        if owner.is_contested {
            return self.is_fenced(of);
        }
        let node = owner.node;
        let owners = &mut self.share_mut(of.partition).owners;
        owners.retain(|owner| owner.epoch != of.epoch);
        self.take_over(of.partition, node);
    }

    /// Start, take-over and recovery, as in the production shell: raise the epoch, read, fold; then
    /// everything that was not answered comes again.
    pub(super) fn take_over(&mut self, partition: PartitionId, node: NodeNumber) {
        if self.now < self.database_down_until {
            return self.dies(node);
        }
        let of = Ownership {
            partition,
            epoch: self.acquire(partition, node),
        };
        self.leases(partition, node);
        let taken = self.read(of, node);
        let race = self.share_mut(partition).raced.take();
        if race == Some(Race::Reading) {
            self.take_over(partition, self.another(partition, node));
        }
        self.own(of, node, taken);
        match race {
            Some(Race::Reading) => {
                if let Some(first) = self.owner_mut(of) {
                    first.is_contested = true;
                }
            }
            Some(Race::Appending) => {
                let at = self.now.after(HOP / 2);
                self.agenda.add(at, Happening::IsForced(of));
            }
            None => {}
        }
    }

    /// Raises the epoch. The lease of whoever had the partition is out, or is taken from it.
    fn acquire(&mut self, partition: PartitionId, node: NodeNumber) -> Epoch {
        let same = mutant!(self, TakesOverWithoutAnEpoch);
        let holder = self.share(partition).lease.holder;
        let log = self.log.partition_mut(partition);
        if same && log.epoch() > Epoch::default() {
            return log.epoch();
        }
        if let Some(holder) = holder {
            log.release(holder.in_the_log());
        }
        let owned = log.acquire(node.in_the_log());
        owned.expect("its last holder was made to release it").epoch
    }

    fn read(&mut self, of: Ownership, node: NodeNumber) -> Taken {
        let now = self.time_of(node);
        let name = if self.has_several_nodes() {
            node.to_string()
        } else {
            "node".into()
        };
        #[cfg(feature = "mutants")]
        if let Some(early) = self.share_mut(of.partition).read_early.take() {
            return taken(&early, of, name, now);
        }
        let taken = taken(self.log.partition(of.partition), of, name, now);
        self.as_far_as_it_reads(taken)
    }

    fn own(&mut self, of: Ownership, node: NodeNumber, taken: Taken) {
        let partition = of.partition;
        self.shadow.owned_anew(partition, taken.now);
        let (which, epoch) = (self.in_words(partition), of.epoch);
        self.node_says(node, || format!("owns {which}, epoch {epoch}"));
        let recorded = self.log.partition(partition).system();
        let registry = match self.lacks_the_definition(node) {
            true => self.setup.registry_without_definitions(recorded),
            false => self.setup.registry_with(recorded),
        };
        let mut machine = match Partition::take_over(taken, registry, Guard, self.rules()) {
            Ok(machine) => machine.admitting(self.setup.policies.clone()),
            Err(error) => return self.violate("I3", error.to_string()),
        };
        if !self.share(partition).inbox_is_held {
            self.receiver_is_gone(partition);
            if self.inboxes.is_empty(&Inbox::Of(partition)) {
                machine.inbox_is_empty();
            }
        }
        let share = self.share_mut(partition);
        let at = share.owners.partition_point(|other| other.epoch <= epoch);
        let owner = Owner {
            node,
            machine,
            epoch,
            appending: None,
            is_leaving: false,
            is_contested: false,
        };
        // Seldom is there another; room for more would be large.
        share.owners.reserve_exact(1);
        share.owners.insert(at, owner);
        let checked = check::taken_over(self, of);
        self.checked(checked);
        self.feed_all(of);
    }

    /// Everything that was not answered comes again.
    fn feed_all(&mut self, of: Ownership) {
        self.take_deliveries(of.partition);
        let calls = &self.share(of.partition).calls;
        let calls: Vec<_> = calls.keys().copied().collect();
        if mutant!(self, ForgetsCallsInACrash) {
            return;
        }
        for ticket in calls {
            self.feed_call(of.partition, ticket);
        }
    }

    /// I4: a node that was paused beyond its lease goes on, and must not get anything into the log.
    pub(super) fn zombie_resumes(&mut self, zombie: &Zombie) {
        let of = zombie.of;
        let share = self.share(of.partition);
        if share.owner().is_none() && self.log.partition(of.partition).epoch() == of.epoch {
            // Nobody is there to fence it: its own clock says that its lease is out.
            return self.node_says(zombie.node, || "was paused, and stops".into());
        }
        let takes_stale = mutant!(self, LogTakesStaleEpochs);
        let owner = self.share(of.partition).owner().map(Owner::node);
        let log = self.log.partition_mut(of.partition);
        let (node, epoch) = if takes_stale {
            (owner.unwrap_or(zombie.node), log.epoch())
        } else {
            (zombie.node, of.epoch)
        };
        match log.append(node.in_the_log(), epoch, &zombie.appending) {
            Err(AppendError::Fenced { .. } | AppendError::NotOwned { .. }) => {
                self.zombie_stops(zombie)
            }
            Ok(_) => self.violate(
                "I4",
                format!("epoch {} appended after it was fenced", of.epoch),
            ),
            Err(refused) => self.violate("I4", refused.to_string()),
        }
    }

    fn zombie_stops(&mut self, zombie: &Zombie) {
        if self.has_several_nodes() {
            self.node_says(zombie.node, || "was paused, is fenced, and stops".into());
        } else {
            self.node_says(zombie.node, || {
                "the paused node is fenced, and stops".into()
            });
        }
    }

    pub(super) fn reply_arrives(&mut self, reply: Arc<Reply>) {
        let partition = self.setup.partition(&reply.saga);
        self.inboxes
            .arrives(&Inbox::Of(partition), Incoming::Reply(reply));
        self.take_deliveries(partition);
    }

    /// What the receiver of before held comes again.
    fn receiver_is_gone(&mut self, partition: PartitionId) {
        for inbox in Inbox::all_of(partition) {
            if let Some(before) = self.inboxes.dies(&inbox) {
                self.inboxes.is_gone(before);
            }
        }
    }

    /// A frozen owner goes on, and finds that it receives from nothing any more.
    pub(super) fn inbox_is_free(&mut self, partition: PartitionId) {
        self.share_mut(partition).inbox_is_held = false;
        self.receiver_is_gone(partition);
        self.take_deliveries(partition);
    }

    /// What waits in the inbox goes to the owner. One that has died leaves it where it is until the
    /// next one takes over: the broker finds out no earlier.
    pub(super) fn take_deliveries(&mut self, partition: PartitionId) {
        if self.share(partition).inbox_is_held {
            return;
        }
        let mut received = std::mem::take(&mut self.received);
        for inbox in Inbox::all_of(partition) {
            self.inboxes.receive(&inbox, &mut received);
            for delivery in received.drain(..) {
                self.take_delivery(partition, delivery);
            }
        }
        self.received = received;
    }

    fn take_delivery(&mut self, partition: PartitionId, delivery: Delivery<Incoming>) {
        let Delivery { tag, message, .. } = delivery;
        let ticket = Ticket(DELIVERIES + tag.0);
        match message {
            Incoming::Dead(dead) => self.bury(partition, ticket, &dead),
            Incoming::Reply(message) => {
                if let (Outcome::Alive { .. }, Some(owner)) =
                    (&message.outcome, self.share(partition).owner())
                {
                    let heard = self.time_of(owner.node);
                    self.heard.insert((partition, tag), heard);
                }
                let input = Input {
                    ticket,
                    saga: message.saga.clone(),
                    what: Query::Reply(Reply::clone(&message)),
                };
                self.feed(partition, input);
                if mutant!(self, AcknowledgesOnReceipt) {
                    self.inboxes.acknowledge(&Inbox::Of(partition), tag);
                }
            }
        }
    }

    /// What comes in goes to whoever owns the partition now.
    pub(super) fn feed(&mut self, partition: PartitionId, input: Input) {
        let Some(owner) = self.share(partition).owner() else {
            return;
        };
        let now = self.time_of(owner.node);
        if let Some(owner) = self.share_mut(partition).owner_mut() {
            owner.machine.handle(input, now);
        }
    }
}

/// What a node reads of a log when it has raised the epoch.
fn taken(log: &LogPartition, of: Ownership, node: String, now: Time) -> Taken {
    let owned = log.ownership();
    Taken {
        partition: of.partition,
        epoch: of.epoch,
        node,
        tail: owned.tail,
        last_at: owned.last_at,
        heads: log.heads(),
        open: log.histories(&owned.open),
        late: log.late().collect(),
        unreadable: Vec::new(),
        letters: log.letters(),
        held: log.held_sagas(),
        // Nobody opens a breaker by hand in a simulated world.
        breakers: Vec::new(),
        is_start: false,
        now,
    }
}

/// What a batch is about: its first event is the fact that came in.
pub(crate) fn subject_of(first: &SagaEvent) -> Subject {
    let other = |what: &str| Subject::Other(what.into());
    let attempt = |node: &Arc<str>, direction, attempt: u32| Subject::Attempt {
        node: node.clone(),
        direction,
        attempt,
    };
    match first {
        E::Started(_) => other("start"),
        E::AttemptSucceeded(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::AttemptFailed(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::AttemptUnknown(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::AttemptTimedOut(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::AttemptRenewed(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::AttemptDelayed(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::AttemptAdmitted(e) => attempt(&e.node, e.direction, e.attempt.0),
        E::AttemptExtended(e) => attempt(&e.node, sagalog_model::Direction::Action, e.attempt.0),
        E::ActionNotFound(e) => attempt(&e.node, sagalog_model::Direction::Probe, e.attempt.0),
        E::SignalReceived(e) => Subject::Other(e.signal.clone()),
        E::NumberedSignalReceived(e) => Site::numbered(&e.producer, e.number),
        E::SignalAhead(e) => Site::numbered(&e.producer, e.number),
        E::GapTimedOut(e) => Subject::Other(e.producer.clone()),
        E::InputHeld(_) => other("held"),
        E::HeldReleased(_) => other("release"),
        E::HeldDropped(_) => other("drop"),
        E::CancelRequested(_) => other("cancel"),
        E::CompensateRequested(_) => other("compensate"),
        E::Paused(_) => other("pause"),
        E::Resumed(_) => other("resume"),
        E::DeadlineSet(_) => other("set-deadline"),
        E::DeadlinePassed(_) => other("deadline"),
        E::RetryDue(e) => Subject::Other(e.node.clone()),
        E::SleepEnded(e) => Subject::Other(e.node.clone()),
        E::WaitTimedOut(e) => Subject::Other(e.node.clone()),
        E::StepDeadlinePassed(e) => Subject::Other(e.node.clone()),
        E::RetryRequested(e) => Subject::Other(e.node.clone()),
        E::ResolvedByHand(e) => Subject::Other(e.node.clone()),
        E::SkippedByHand(e) => Subject::Other(e.node.clone()),
        _ => other("batch"),
    }
}
