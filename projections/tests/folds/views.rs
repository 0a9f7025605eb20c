//! The views of a log: the same however its batches come, and whatever is forgotten between them.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*, sample::Index};
use sagalog_model::{
    AttemptNumber, Direction, FailureClass, Fingerprint, NodeIndex, SagaEvent,
    dead_letter::{
        Body, Cause, DeadLetter, Died, LetterEvent, LetterId, Purged, Retried, WhyPurged,
    },
    event::ParkCause,
    graph::DefinitionVersion,
    log::{Digest, NewEvent, Position, StreamKey, StreamName, Time, Version},
    system::{DefinitionRecorded, SystemEvent},
};
use sagalog_projections::{
    dead_letters::Phase,
    views::{
        Changes, Entry, Fold, LetterChange, LetterRow, MessageRow, NodeRow, SagaRow, Standing,
        Stored, Tally, WaitKind,
    },
};

use crate::{prefixes::*, trip::*};

/// A batch as it is stored.
#[derive(Clone, Debug)]
struct Batch {
    stream: StreamKey,
    name: StreamName,
    position: Position,
    version: Version,
    at: Time,
    events: Vec<NewEvent>,
}

/// A log of one partition.
#[derive(Clone, Debug, Default)]
struct Log {
    batches: Vec<Batch>,
}

/// The views, as a store keeps them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tables {
    checkpoint: usize,
    sagas: BTreeMap<StreamKey, SagaRow>,
    nodes: BTreeMap<(StreamKey, NodeIndex), NodeRow>,
    messages: BTreeMap<Position, MessageRow>,
    letters: BTreeMap<LetterId, (LetterRow, Phase)>,
    tallies: BTreeMap<Arc<str>, Tally>,
}

impl Log {
    /// With the graph of the trip.
    fn new() -> Self {
        let graph = trip().graph().clone();
        let recorded = DefinitionRecorded {
            saga: "trip".into(),
            version: DefinitionVersion(1),
            fingerprint: Fingerprint::of(&graph),
        };
        let mut log = Self::default();
        let event = SystemEvent::DefinitionRecorded(recorded, graph).encode();
        log.append("$definitions", second(0), vec![event]);
        log
    }

    fn append(&mut self, name: &str, at: Time, events: Vec<NewEvent>) {
        let last = self.batches.last();
        let position = last.map_or(1, |last| last.position.get() + last.events.len() as u64);
        let of_stream = |batch: &&Batch| batch.name.as_str() == name;
        let before = self.batches.iter().rfind(of_stream);
        let stream = before.map_or_else(|| StreamKey::new(position), |before| before.stream);
        let version = before.map_or(1, |before| {
            before.version.get() + before.events.len() as u64
        });
        self.batches.push(Batch {
            stream,
            name: StreamName::new(name).expect("a good name"),
            position: Position::new(position),
            version: Version::new(version),
            at,
            events,
        });
    }

    fn saga(&mut self, name: &str, at: u64, events: impl IntoIterator<Item = SagaEvent>) {
        let events = events.into_iter().map(|event| event.encode()).collect();
        self.append(name, second(at), events);
    }

    fn letter(&mut self, at: u64, event: LetterEvent) {
        let event = SystemEvent::Letter(event).encode();
        self.append("$dead-0", second(at), vec![event]);
    }

    /// The views of all of it.
    fn views(&self) -> Tables {
        let mut tables = Tables::default();
        let mut fold = Fold::default();
        tables.follow(self, &mut fold, self.batches.len());
        tables
    }

    /// A fold that knows what a restarted process knows.
    fn fold_anew(&self, so_far: usize) -> Fold {
        let has_graph = so_far > 0;
        Fold::new(has_graph.then(|| trip().graph().clone()))
    }
}

impl Batch {
    fn entry(&self) -> Entry<'_> {
        Entry {
            stream: self.stream,
            name: &self.name,
            position: self.position,
            version: self.version,
            at: self.at,
            events: self.events.iter().map(stored).collect(),
        }
    }
}

fn stored(event: &NewEvent) -> Stored<'_> {
    Stored {
        kind: &event.kind,
        schema: event.schema,
        control: &event.control,
        data: &event.data,
    }
}

impl Tables {
    /// Goes on to so many batches, in one commit.
    fn follow(&mut self, log: &Log, fold: &mut Fold, to: usize) {
        let from = self.checkpoint;
        self.commit(from, to, changes(log, fold, from, to));
    }

    /// All of the changes with how far they go, unless somebody else has gone on from there.
    fn commit(&mut self, from: usize, to: usize, changes: Changes) {
        if self.checkpoint != from {
            return;
        }
        self.checkpoint = to;
        self.sagas.extend(changes.sagas);
        self.nodes.extend(changes.nodes);
        for message in changes.messages {
            let position = message.position;
            assert!(self.messages.insert(position, message).is_none(), "twice");
        }
        for change in changes.letters {
            match change {
                LetterChange::Died(row) => drop(self.letters.insert(row.id, (row, Phase::Waiting))),
                LetterChange::Phase(id, phase) => {
                    self.letters.entry(id).and_modify(|letter| letter.1 = phase);
                }
                LetterChange::Gone(id) => drop(self.letters.remove(&id)),
            }
        }
        for (contract, tally) in changes.tallies {
            let before = self.tallies.entry(contract).or_default();
            *before = before.plus(tally);
        }
    }
}

/// What these batches of a log change.
fn changes(log: &Log, fold: &mut Fold, from: usize, to: usize) -> Changes {
    let mut changes = Changes::default();
    for (number, batch) in log.batches[..to].iter().enumerate().skip(from) {
        let entry = batch.entry();
        if fold.needs(&entry) {
            let of_stream = |before: &&Batch| before.stream == batch.stream;
            for before in log.batches[..number].iter().filter(of_stream) {
                fold.apply(&before.entry(), &mut Changes::default());
            }
        }
        fold.apply(&entry, &mut changes);
    }
    changes
}

proptest! {
    #[test]
    fn views_are_the_same_however_often_their_maker_starts_again(log in logs(), cuts in vec(any::<Index>(), 0..6)) {
        let count = log.batches.len();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(count + 1)).collect();
        cuts.extend([count]);
        cuts.sort_unstable();
        let mut tables = Tables::default();
        for cut in cuts {
            let mut fold = log.fold_anew(tables.checkpoint);
            tables.follow(&log, &mut fold, cut);
        }
        prop_assert_eq!(tables, log.views());
    }

    #[test]
    fn of_two_that_go_on_from_one_checkpoint_the_second_changes_nothing(log in logs(), cut in any::<Index>()) {
        let count = log.batches.len();
        let mut tables = Tables::default();
        tables.follow(&log, &mut Fold::default(), cut.index(count + 1));
        let from = tables.checkpoint;
        let [one, other] = [(); 2].map(|()| changes(&log, &mut log.fold_anew(from), from, count));
        prop_assert_eq!(&one, &other);
        tables.commit(from, count, one);
        tables.commit(from, count, other);
        prop_assert_eq!(tables, log.views());
    }
}

/// Three sagas, one of which may be damaged somewhere, whose batches come in any order.
fn logs() -> impl Strategy<Value = Log> {
    let sagas = vec((candidates(), any::<Option<Index>>()), 3);
    (sagas, vec((0..3_usize, 1..4_usize), 0..120)).prop_map(|(sagas, order)| {
        let mut sagas: Vec<_> = sagas
            .into_iter()
            .map(|(events, damage)| {
                let events = legal(events).into_iter().map(|(event, _)| event.encode());
                let mut events: Vec<_> = [SagaEvent::from(started()).encode()]
                    .into_iter()
                    .chain(events)
                    .collect();
                if let Some(damage) = damage.filter(|_| events.len() > 4) {
                    let at = damage.index(events.len());
                    events[at].kind = "Teleported".into();
                }
                events.into_iter()
            })
            .collect();
        let mut log = Log::new();
        for (at, (saga, count)) in order.into_iter().enumerate() {
            let events: Vec<_> = sagas[saga].by_ref().take(count).collect();
            if !events.is_empty() {
                log.append(&format!("t-{saga}"), second(at as u64), events);
            }
        }
        log
    })
}

#[test]
fn a_saga_has_a_row_and_one_for_each_node_that_it_reached() {
    let mut log = Log::new();
    log.saga("t-1", 1, [started().into(), asked("quote", 1, 30).into()]);
    let quoted: SagaEvent = gave("quote", 1, "40").into();
    log.saga(
        "t-1",
        3,
        [
            quoted,
            asked("hotel", 1, 30).into(),
            asked("flight", 1, 31).into(),
        ],
    );
    let tables = log.views();
    let saga = &tables.sagas[&StreamKey::new(2)];
    assert_eq!(
        (
            saga.saga.as_str(),
            &*saga.definition,
            saga.version.0,
            saga.standing
        ),
        ("t-1", "trip", 1, Standing::Running)
    );
    assert_eq!(
        (saga.events.get(), saga.started_at, saga.changed_at),
        (5, second(1), second(3))
    );
    assert_eq!(saga.next_timer, Some(second(30)));
    let nodes: Vec<_> = tables
        .nodes
        .values()
        .map(|node| {
            let wait = node
                .wait
                .as_ref()
                .map(|wait| (wait.kind, wait.since, wait.until));
            (
                &*node.node,
                node.is_done,
                node.attempts,
                node.awaited(),
                wait,
            )
        })
        .collect();
    let reply = |until| Some((WaitKind::Reply, second(3), Some(second(until))));
    assert_eq!(
        nodes,
        [
            ("quote", true, 1, None, None),
            ("hotel", false, 1, Some("hotel"), reply(30)),
            ("flight", false, 1, Some("air"), reply(31)),
        ]
    );
}

#[test]
fn messages_have_who_is_at_the_other_end_and_what_they_are_about() {
    let mut log = Log::new();
    log.saga("t-1", 1, [started().into(), asked("quote", 1, 30).into()]);
    log.saga(
        "t-1",
        2,
        [failed("quote", 1, FailureClass::Transient).into()],
    );
    log.saga("t-1", 3, [signal("mail-1").into()]);
    let tables = log.views();
    let messages: Vec<_> = tables
        .messages
        .values()
        .map(|message| {
            let about = message
                .about
                .as_ref()
                .map(|about| (&*about.node, about.attempt));
            (
                message.position.get(),
                message.kind.as_str(),
                &*message.name,
                message.party.as_deref(),
                about,
            )
        })
        .collect();
    let quote = Some(("quote", AttemptNumber(1)));
    assert_eq!(
        messages,
        [
            (2, "request", "start", None, None),
            (3, "command", "agency.quote", Some("agency"), quote),
            (4, "failed", "agency.quote", Some("agency"), quote),
            (5, "signal", "approval", None, None),
        ]
    );
}

#[test]
fn participants_are_counted_by_contract_with_how_long_they_took() {
    let mut log = Log::new();
    log.saga("t-1", 1, [started().into(), asked("quote", 1, 30).into()]);
    log.saga(
        "t-1",
        4,
        [gave("quote", 1, "40").into(), asked("hotel", 1, 30).into()],
    );
    log.saga("t-1", 30, [timed_out(Direction::Action, "hotel", 1).into()]);
    let tables = log.views();
    let quote = tables.tallies["agency.quote"];
    assert_eq!((quote.asked, quote.succeeded, quote.answered), (1, 1, 1));
    assert_eq!((quote.micros, quote.longest), (3_000_000, 3_000_000));
    let hotel = tables.tallies["hotel.book"];
    assert_eq!((hotel.asked, hotel.timed_out, hotel.answered), (1, 1, 0));
}

#[test]
fn a_node_that_waits_for_a_person_says_so_until_somebody_has_seen_to_it() {
    let mut log = Log::new();
    log.saga("t-1", 1, [started().into(), asked("quote", 1, 30).into()]);
    log.saga("t-1", 2, [parked("total", ParkCause::Expression).into()]);
    let wait = |log: &Log| {
        let nodes = log.views().nodes;
        let total = nodes.into_values().find(|node| &*node.node == "total");
        total
            .and_then(|node| node.wait)
            .map(|wait| (wait.kind, wait.since))
    };
    assert_eq!(wait(&log), Some((WaitKind::Person, second(2))));
    log.saga("t-1", 3, [resolved("total").into()]);
    assert_eq!(wait(&log), None);
}

#[test]
fn what_cannot_be_folded_is_said_in_its_row_and_keeps_no_other_saga() {
    let mut log = Log::new();
    log.saga("t-1", 1, [started().into(), asked("quote", 1, 30).into()]);
    log.saga("t-1", 2, [gave("flight", 1, "1").into()]);
    log.saga("t-2", 3, [started().into()]);
    let tables = log.views();
    let [broken, sound] = tables.sagas.values().collect::<Vec<_>>()[..] else {
        panic!("two sagas");
    };
    assert_eq!(broken.standing, Standing::Unreadable);
    insta::assert_snapshot!(broken.fault.as_deref().unwrap_or_default(), @"event 3 of saga `t-1`, AttemptSucceeded, cannot follow the ones before it: `flight` was never asked");
    assert_eq!((sound.standing, &sound.fault), (Standing::Running, &None));
}

#[test]
fn a_dead_letter_is_there_until_it_is_given_up() {
    let id = LetterId::of("m-1", Digest([7; 32]));
    let oldest = Version::new(1);
    let letter = DeadLetter {
        id,
        retries: 0,
        cause: Cause::Unreadable,
        reason: "no JSON".into(),
        queue: "inbox.0".into(),
        from: "payments".into(),
        message: "m-1".into(),
        kind: "response".into(),
        correlation: None,
        deadline: None,
        saga: None,
        size: 3,
        sha_256: "".into(),
        envelope: None,
    };
    let died = Died {
        letter,
        deaths: 1,
        first_at: second(1),
        requests: Vec::new(),
        oldest,
    };
    let mut log = Log::new();
    log.letter(1, LetterEvent::Died(died, Body::of(b"{")));
    let phase = |log: &Log| log.views().letters.get(&id).map(|(_, phase)| *phase);
    assert_eq!(phase(&log), Some(Phase::Waiting));
    let retried = Retried {
        letter: id,
        id: "r-1".into(),
        by: "ada".into(),
        retry: 1,
        oldest,
    };
    log.letter(2, LetterEvent::Retried(retried, None));
    assert_eq!(phase(&log), Some(Phase::Sending));
    log.letter(
        3,
        LetterEvent::Purged(Purged {
            letter: id,
            why: WhyPurged::Expired,
            oldest,
        }),
    );
    assert_eq!(phase(&log), None);
}
