//! Dead letters in the partition machine: recorded once, sent again from state, bounded.

mod support;

use std::{collections::BTreeSet, time::Duration};

use sagalog_engine::{
    Answer, Effect, LetterRequest, LetterWish, Partition, Refusal, Resend, Rules, Ticket,
};
use sagalog_model::{
    dead_letter::{Body, Cause, DeadLetter, LetterEvent, LetterId},
    log::{Batch, Digest, Time, Version},
    system::SystemEvent,
};
use sagalog_projections::{DeadLetters, dead_letters::Phase};
use support::{Guard, take_over};

const START: Time = Time::from_micros(1_000_000_000);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A partition without sagas.
struct Office {
    machine: Partition<Guard>,
    rows: Vec<Batch>,
    rules: Rules,
    now: Time,
    tickets: u64,
}

impl Office {
    fn open() -> Self {
        Self::with(Rules::DEFAULT)
    }

    fn with(rules: Rules) -> Self {
        let machine = take_over(&[], 1, &[], rules, START).expect("nothing is under way");
        let mut office = Self {
            machine,
            rows: Vec::new(),
            rules,
            now: START,
            tickets: 0,
        };
        office.commit();
        office
    }

    /// Everything decided becomes durable.
    fn commit(&mut self) {
        loop {
            let batches: Vec<_> = self.machine.poll_append().collect();
            let Some(last) = batches.last().map(Batch::last_position) else {
                return;
            };
            self.rows.extend(batches);
            self.machine.committed(last);
        }
    }

    /// The node dies; what was not committed is lost.
    fn die(&mut self) {
        let epoch = self.rows.len() as u64 + 2;
        self.machine =
            take_over(&self.rows, epoch, &[], self.rules, self.now).expect("nothing is under way");
        self.commit();
    }

    fn dies(&mut self, text: &str, retries: u32) -> u64 {
        self.tickets += 1;
        let letter = letter(text, retries);
        let ticket = Ticket(self.tickets);
        self.machine
            .bury(ticket, letter, Body::of(text.as_bytes()), self.now);
        self.tickets
    }

    fn wants(&mut self, text: &str, id: &str, wish: LetterWish) -> u64 {
        self.tickets += 1;
        let request = LetterRequest {
            letter: id_of(text),
            id: id.into(),
            by: "ada".into(),
            wish,
        };
        self.machine
            .handle_letter(Ticket(self.tickets), request, self.now);
        self.tickets
    }

    fn retry(&mut self, text: &str, id: &str) -> u64 {
        self.wants(text, id, LetterWish::Retry { body: None })
    }

    /// What may be seen outside now: tickets that were answered, and what is to be sent.
    fn seen(&mut self) -> (Vec<u64>, Vec<Resend>) {
        let (mut answered, mut sent) = (Vec::new(), Vec::new());
        while let Some(effect) = self.machine.poll_effect(self.now) {
            match effect {
                Effect::Answer { ticket, answer } => {
                    assert!(matches!(answer, Answer::Recorded), "{answer:?}");
                    answered.push(ticket.0);
                }
                Effect::Resend(resend) => sent.push(*resend),
                other => panic!("there is no saga: {other:?}"),
            }
        }
        (answered, sent)
    }

    fn sent(&mut self) -> Vec<(String, u32)> {
        let sent = self.seen().1.into_iter();
        sent.map(|resend| (resend.body.to_string(), resend.retry))
            .collect()
    }

    fn refusal(&mut self) -> Refusal {
        self.commit();
        match self.machine.poll_effect(self.now) {
            Some(Effect::Answer {
                answer: Answer::Refused(refusal),
                ..
            }) => refusal,
            other => panic!("{other:?}"),
        }
    }

    fn letters(&self) -> Vec<(String, Phase, u32)> {
        let letters = self.machine.dead_letters().iter();
        letters
            .map(|letter| {
                let body = letter.body.text().expect("it is text").to_string();
                (body, letter.phase, letter.deaths)
            })
            .collect()
    }

    fn events(&self) -> Vec<(Version, Time, LetterEvent)> {
        let mut events = Vec::new();
        for row in &self.rows {
            for (index, event) in row.events.iter().enumerate() {
                let event =
                    SystemEvent::decode(&event.kind, event.schema, &event.control, &event.data);
                if let Ok(SystemEvent::Letter(event)) = event {
                    events.push((row.version.plus(index as u64), row.at, event));
                }
            }
        }
        events
    }
}

fn id_of(text: &str) -> LetterId {
    LetterId::of(text, Digest::default())
}

fn letter(text: &str, retries: u32) -> DeadLetter {
    DeadLetter {
        id: id_of(text),
        retries,
        cause: Cause::Refused,
        reason: "not a command".into(),
        queue: "cmd.payments".into(),
        from: "inbox.0".into(),
        message: text.into(),
        kind: "request".into(),
        correlation: None,
        deadline: None,
        saga: None,
        size: text.len() as u64,
        sha_256: Digest::default().to_string().into(),
        envelope: None,
    }
}

#[test]
fn a_letter_leaves_its_queue_when_it_is_durable() {
    let mut office = Office::open();
    let ticket = office.dies("a", 0);
    assert!(office.seen().0.is_empty(), "I8: nothing of it is durable");
    office.commit();
    assert_eq!(office.seen().0, [ticket]);
}

#[test]
fn a_letter_that_comes_again_after_a_crash_is_one_letter() {
    let mut office = Office::open();
    office.dies("a", 0);
    office.commit();
    office.die();
    let again = office.dies("a", 0);
    let batches: Vec<_> = office.machine.poll_append().collect();
    assert_eq!(batches, [], "it is on record");
    assert_eq!(office.seen().0, [again], "so it may leave its queue");
    assert_eq!(office.letters(), [("a".into(), Phase::Waiting, 1)]);
}

#[test]
fn a_letter_is_sent_again_when_that_is_durable_and_once() {
    let mut office = Office::open();
    office.dies("a", 0);
    office.commit();
    office.retry("a", "r-1");
    assert_eq!(office.sent(), [], "I5: nothing of it is durable");
    office.commit();
    assert_eq!(office.sent(), [("a".into(), 1)]);
    office.machine.letter_sent(id_of("a"), 1, office.now);
    office.commit();
    office.die();
    assert_eq!(office.sent(), [], "it is on record that the broker has it");
    assert_eq!(office.letters(), [("a".into(), Phase::Sent, 1)]);
}

#[test]
fn a_letter_whose_sender_died_is_sent_by_the_successor() {
    let mut office = Office::open();
    office.dies("a", 0);
    office.retry("a", "r-1");
    office.commit();
    office.die();
    assert_eq!(office.sent(), [("a".into(), 1)]);
}

#[test]
fn a_letter_that_dies_again_is_the_same_letter_with_a_count() {
    let mut office = Office::open();
    office.dies("a", 0);
    office.now = office.now.after(DAY);
    office.retry("a", "r-1");
    office.commit();
    office.seen();
    // It dies before its sender knows that it was sent, and dies twice: the broker delivers at least once.
    office.dies("a", 1);
    office.dies("a", 1);
    office.machine.letter_sent(id_of("a"), 1, office.now);
    office.commit();
    assert_eq!(office.letters(), [("a".into(), Phase::Waiting, 2)]);
    let letter = office.machine.dead_letters().get(id_of("a"));
    let letter = letter.expect("it is there");
    assert_eq!((letter.first_at, letter.at), (START, START.after(DAY)));
    // Its first death, delivered once more, says nothing new.
    office.dies("a", 0);
    office.commit();
    assert_eq!(office.letters(), [("a".into(), Phase::Waiting, 2)]);
}

#[test]
fn a_retry_that_comes_again_says_nothing_new_although_the_letter_died_of_it() {
    let mut office = Office::open();
    office.dies("a", 0);
    office.retry("a", "r-1");
    office.commit();
    office.seen();
    office.dies("a", 1);
    office.commit();
    // From here on nothing is read that was before the newest death.
    office.die();
    let again = office.retry("a", "r-1");
    office.commit();
    assert_eq!(office.seen(), (vec![again], Vec::new()));
    office.retry("a", "r-2");
    office.commit();
    assert_eq!(office.sent(), [("a".into(), 2)]);
    office.machine.letter_sent(id_of("a"), 2, office.now);
    office.retry("a", "r-1");
    office.commit();
    assert_eq!(office.sent(), []);
}

#[test]
fn of_a_letter_the_newest_sixteen_requests_are_known() {
    let mut office = Office::open();
    office.dies("a", 0);
    for number in 1..=17 {
        office.retry("a", &format!("r-{number}"));
        office.machine.letter_sent(id_of("a"), number, office.now);
    }
    office.commit();
    office.seen();
    office.retry("a", "r-2");
    office.commit();
    assert_eq!(office.sent(), []);
    office.retry("a", "r-1");
    office.commit();
    assert_eq!(
        office.sent(),
        [("a".into(), 18)],
        "it is not known any more"
    );
}

#[test]
fn another_body_is_sent_instead_of_what_came() {
    let mut office = Office::open();
    let mut died = letter("a", 0);
    died.deadline = Some(START);
    office
        .machine
        .bury(Ticket(1), died, Body::of(&[0xff]), office.now);
    office.commit();
    office.seen();
    office.retry("a", "r-1");
    assert_eq!(
        office.refusal(),
        Refusal::LetterUnsendable { letter: id_of("a") }
    );
    let body = Some("{}".into());
    office.wants("a", "r-2", LetterWish::Retry { body });
    office.commit();
    assert_eq!(office.sent(), [("{}".into(), 1)]);
    office.die();
    assert_eq!(office.sent(), [("{}".into(), 1)], "it is recorded");
}

#[test]
fn what_cannot_be_done_with_a_letter_is_refused_with_the_reason() {
    let mut office = Office::open();
    office.retry("a", "r-1");
    let letter = id_of("a");
    assert_eq!(office.refusal(), Refusal::NoSuchLetter { letter });
    let mut died = self::letter("a", 0);
    died.deadline = Some(START);
    office
        .machine
        .bury(Ticket(1), died, Body::of(b"a"), office.now);
    office.commit();
    office.seen();
    office.retry("a", "r-1");
    assert_eq!(office.refusal(), Refusal::LetterPast { letter });
    let body = Some("{}".into());
    office.wants("a", "r-2", LetterWish::Retry { body });
    office.commit();
    office.seen();
    let twice = office.retry("a", "r-2");
    assert_eq!(office.seen().0, [twice], "the same request counts once");
    let reason = "of no use".into();
    office.wants("a", "p-1", LetterWish::Purge { reason });
    assert_eq!(office.refusal(), Refusal::LetterUnderWay { letter });
    office.retry("a", "r-3");
    assert_eq!(office.refusal(), Refusal::LetterUnderWay { letter });
}

#[test]
fn a_purged_letter_is_gone_and_stays_in_the_log() {
    let mut office = Office::open();
    office.dies("a", 0);
    let purge = || LetterWish::Purge {
        reason: "of no use".into(),
    };
    office.wants("a", "p-1", purge());
    let again = office.wants("a", "p-1", purge());
    office.commit();
    assert!(office.seen().0.contains(&again), "it is gone already");
    assert!(office.machine.dead_letters().is_empty());
    assert_eq!(office.events().len(), 2);
}

#[test]
fn at_the_bound_of_letters_the_oldest_gives_way_and_that_is_recorded() {
    let rules = Rules {
        letters_max: 3,
        ..Rules::DEFAULT
    };
    let mut office = Office::with(rules);
    for text in ["a", "b", "c"] {
        office.dies(text, 0);
    }
    // What is to be sent never gives way; what was sent goes first.
    office.retry("a", "r-1");
    office.commit();
    office.dies("d", 0);
    office.commit();
    let left: Vec<_> = office
        .letters()
        .into_iter()
        .map(|(text, ..)| text)
        .collect();
    assert_eq!(left, ["a", "c", "d"]);
    office.seen();
    office.machine.letter_sent(id_of("a"), 1, office.now);
    office.dies("e", 0);
    office.commit();
    let left: Vec<_> = office
        .letters()
        .into_iter()
        .map(|(text, ..)| text)
        .collect();
    assert_eq!(left, ["c", "d", "e"]);
    let dropped = office.rows.iter().flat_map(|row| &row.events);
    let dropped = dropped.filter(|event| event.control.contains("no_room"));
    assert_eq!(dropped.count(), 2);
    office.retry("c", "r-1");
    office.retry("d", "r-1");
    office.commit();
    let refused = loop {
        let effect = office.machine.poll_effect(office.now);
        if let Effect::Answer {
            answer: Answer::Refused(refusal),
            ..
        } = effect.expect("the second is refused")
        {
            break refusal;
        }
    };
    assert!(matches!(refused, Refusal::Busy { max: 1, .. }));
}

#[test]
fn at_the_bound_of_bytes_the_oldest_give_way() {
    let rules = Rules {
        letters_bytes_max: 10,
        ..Rules::DEFAULT
    };
    let mut office = Office::with(rules);
    for text in ["aaaa", "bbbb", "cccccccc"] {
        office.dies(text, 0);
    }
    let left: Vec<_> = office
        .letters()
        .into_iter()
        .map(|(text, ..)| text)
        .collect();
    assert_eq!(left, ["cccccccc"]);
    assert_eq!(office.machine.dead_letters().bytes(), 8);
}

#[test]
fn letters_expire_by_their_age_which_a_restart_does_not_change() {
    let mut office = Office::open();
    office.dies("a", 0);
    office.now = office.now.after(DAY);
    office.dies("b", 0);
    office.commit();
    let age = Rules::DEFAULT.letter_age_max;
    assert_eq!(office.machine.next_timer(), Some(START.after(age)));
    office.die();
    assert_eq!(office.machine.next_timer(), Some(START.after(age)));
    office.now = START.after(age);
    office.machine.fire_timers(office.now);
    assert_eq!(office.letters(), [("b".into(), Phase::Waiting, 1)]);
    assert_eq!(
        office.machine.next_timer(),
        Some(START.after(DAY).after(age))
    );
}

#[test]
fn whatever_happens_to_letters_the_newest_event_says_where_to_begin_to_read() {
    let rules = Rules {
        letters_max: 6,
        ..Rules::DEFAULT
    };
    let mut office = Office::with(rules);
    let mut number = 1_u64;
    let mut draw = |below: u64| {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (number >> 33) % below
    };
    let mut begun = BTreeSet::new();
    for round in 0..2_000 {
        let text = draw(10).to_string();
        let retries = office.machine.dead_letters().get(id_of(&text));
        let retries = retries.map_or(0, |letter| letter.retries);
        match draw(5) {
            0 | 1 => drop(office.dies(&text, retries)),
            2 => drop(office.retry(&text, &round.to_string())),
            3 => office
                .machine
                .letter_sent(id_of(&text), retries, office.now),
            _ => {
                let reason = "of no use".into();
                office.wants(&text, "p", LetterWish::Purge { reason });
            }
        }
        office.now = office.now.after(Duration::from_secs(1));
        office.commit();
        let events = office.events();
        let Some((_, _, newest)) = events.last() else {
            continue;
        };
        let (oldest, mut read) = (newest.oldest(), DeadLetters::default());
        begun.insert(oldest);
        for (version, at, event) in events.iter().filter(|(version, ..)| *version >= oldest) {
            read.apply(event, *version, *at);
        }
        assert_eq!(&read, office.machine.dead_letters(), "round {round}");
    }
    assert!(
        begun.len() > 100,
        "what is read begins further and further on"
    );
    let ends = office.events();
    let kinds = |wanted: fn(&LetterEvent) -> bool| {
        ends.iter().filter(|(_, _, event)| wanted(event)).count()
    };
    assert!(kinds(|event| matches!(event, LetterEvent::Sent(_))) > 20);
}
