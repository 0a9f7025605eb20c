//! The wire format of the log: every event is read back as it was written, and is written for ever
//! as it is written here.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use insta::assert_snapshot;
use proptest::{
    collection::vec,
    option,
    prelude::*,
    test_runner::{TestError, TestRunner},
};
use sagalog_model::{
    AttemptNumber, Direction, FailureClass, Fingerprint, Graph, Payload, Saga, SagaEvent, SagaId,
    Step,
    breaker::{BreakerEvent, BreakerOpened, BreakerReset},
    dead_letter::{
        Body, Cause, DeadLetter, Died, Envelope, LetterEvent, LetterId, Purged, Retried, Sent,
        WhyPurged,
    },
    event::*,
    graph::DefinitionVersion,
    held_saga::{
        HeldSagaEvent, InputWaits, RefusedInput, SagaHeld, SagaReleased, WaitingDropped,
        WaitingEdited,
    },
    just,
    log::{Data, Digest, Epoch, NewEvent, Position, Time, Version},
    system::{
        DefinitionRecorded, LateSuccess, LogCopied, LogRestored, PartitionOwned, Sealed,
        SystemEvent,
    },
};

macro_rules! kinds {
    ($($name:ident)*) => {
        /// Every type of event.
        const KINDS: &[&str] = &[$(stringify!($name)),*];

        /// Does not compile if a type is missing above: then add it, here and to the tables below.
        const fn _all_are_listed(event: &SagaEvent) {
            match event {
                $(SagaEvent::$name(_) => {})*
            }
        }
    };
}

kinds! {
    Started AttemptAsked AttemptSucceeded AttemptFailed AttemptUnknown AttemptTimedOut
    AttemptRenewed AttemptDelayed AttemptAdmitted AttemptExtended ActionNotFound RetryScheduled RetryDue StepDeadlinePassed NodeCompleted ArmChosen
    SleepStarted SleepEnded WaitStarted WaitTimedOut SignalReceived SignalConsumed
    NumberedSignalReceived SignalAhead GapOpened SignalAdmitted GapTimedOut MissingAsked GapAbandoned
    GapRejected SignalLate IdsForgotten
    PivotPassed CancelRequested CompensateRequested Paused Resumed DeadlineSet DeadlinePassed Turned CompensationSkipped Parked RetryRequested
    ResolvedByHand SkippedByHand InputHeld HeldReleased HeldTaken StillHeld HeldDropped Completed Compensated PartlyCompensated
}

#[test]
fn every_event_of_a_saga_is_read_back_as_it_was_written() {
    let strategies = of_each_type();
    assert_eq!(
        strategies.len(),
        KINDS.len(),
        "one strategy for each type, in order"
    );
    for (kind, strategy) in KINDS.iter().zip(strategies) {
        let round_trip = TestRunner::default().run(&strategy, |event| {
            prop_assert_eq!(event.kind(), *kind);
            let written = event.encode();
            prop_assert_eq!(&*written.kind, *kind);
            let read = SagaEvent::decode(
                &written.kind,
                written.schema,
                &written.control,
                &written.data,
            );
            prop_assert_eq!(read, Ok(event));
            Ok(())
        });
        told(kind, round_trip);
    }
}

#[test]
fn every_event_of_the_system_is_read_back_as_it_was_written() {
    let strategies = [
        ("PartitionOwned", partition_owned()),
        ("LogCopied", log_copied()),
        ("LogRestored", log_restored()),
        ("DefinitionRecorded", definition_recorded()),
        ("LateSuccess", late_success()),
        ("SagaHeld", saga_held()),
        ("InputWaits", input_waits()),
        ("WaitingEdited", waiting_edited()),
        ("WaitingDropped", waiting_dropped()),
        ("SagaReleased", saga_released()),
        ("BreakerOpened", breaker_opened()),
        ("BreakerReset", breaker_reset()),
        ("DeadLettered", dead_lettered()),
        ("DeadLetterRetried", dead_letter_retried()),
        ("DeadLetterSent", dead_letter_sent()),
        ("DeadLetterPurged", dead_letter_purged()),
    ];
    for (kind, strategy) in strategies {
        let round_trip = TestRunner::default().run(&strategy, |event| {
            let written = event.encode();
            prop_assert_eq!(&*written.kind, kind);
            let read = SystemEvent::decode(
                &written.kind,
                written.schema,
                &written.control,
                &written.data,
            );
            prop_assert_eq!(read, Ok(event));
            Ok(())
        });
        told(kind, round_trip);
    }
}

/// If this fails, logs that exist can no longer be read. A new field needs a default that is left
/// out when it is written; another meaning needs a new schema version.
#[test]
fn every_event_of_a_saga_is_written_in_this_form() {
    let events = one_of_each_form();
    let mut kinds: Vec<_> = events.iter().map(SagaEvent::kind).collect();
    kinds.dedup();
    assert_eq!(kinds, KINDS, "every type is in the table, in order");
    let table = events
        .iter()
        .fold(String::new(), |table, event| table + &line(&event.encode()));
    assert_snapshot!(table, @r#"
    Started 1 {"definition":"order","version":3,"fingerprint":"8d176a210dee551a"} + {"cents":4200}
    Started 1 {"definition":"order","version":3,"fingerprint":"8d176a210dee551a","deadline":1760000030000000} + {"cents":4200}
    AttemptAsked 1 {"node":"charge","attempt":1,"deadline":1760000030000000,"until":1760000030000000} + {"cents":4200}
    AttemptAsked 1 {"node":"charge","direction":"compensation","attempt":2,"deadline":1760000030000000}
    AttemptSucceeded 1 {"node":"charge","attempt":2} + {"cents":4200}
    AttemptSucceeded 1 {"node":"charge","direction":"alternative","attempt":2}
    AttemptFailed 1 {"node":"charge","attempt":2,"class":"permanent"} + "the card is \"blocked\""
    AttemptFailed 1 {"node":"charge","direction":"compensation","attempt":2,"class":"transient"} + "the card is \"blocked\""
    AttemptUnknown 1 {"node":"charge","direction":"probe","attempt":2} + "the card is \"blocked\""
    AttemptTimedOut 1 {"node":"charge","attempt":2}
    AttemptRenewed 1 {"node":"charge","attempt":2,"deadline":1760000030000000}
    AttemptDelayed 1 {"node":"charge","attempt":2}
    AttemptAdmitted 1 {"node":"charge","direction":"compensation","attempt":2,"deadline":1760000030000000}
    AttemptExtended 1 {"node":"charge","attempt":2,"deadline":1760000030000000} + "3 of 7"
    ActionNotFound 1 {"node":"charge","attempt":2}
    RetryScheduled 1 {"node":"charge","due":1760000030000000}
    RetryDue 1 {"node":"charge","direction":"compensation"}
    StepDeadlinePassed 1 {"node":"charge"}
    NodeCompleted 1 {"node":"charge"} + {"cents":4200}
    NodeCompleted 1 {"node":"charge"}
    ArmChosen 1 {"node":"charge","arm":1} + {"cents":4200}
    SleepStarted 1 {"node":"charge","until":1760000030000000}
    SleepEnded 1 {"node":"charge"}
    WaitStarted 1 {"node":"charge","until":1760000030000000}
    WaitTimedOut 1 {"node":"charge"}
    SignalReceived 1 {"signal":"approval","id":"mail-1"} + {"cents":4200}
    SignalReceived 1 {"signal":"approval","id":"mail-2","until":1760000030000000} + {"cents":4200}
    SignalConsumed 1 {"node":"charge","id":"mail-1"}
    NumberedSignalReceived 1 {"signal":"price","producer":"shop","number":7} + {"cents":4200}
    SignalAhead 1 {"signal":"price","producer":"shop","number":9} + {"cents":4200}
    GapOpened 1 {"producer":"shop","from":8,"to":8,"until":1760000030000000}
    SignalAdmitted 1 {"producer":"shop","number":9}
    GapTimedOut 1 {"producer":"shop"}
    MissingAsked 1 {"producer":"shop","from":8,"to":8,"until":1760000030000000}
    GapAbandoned 1 {"producer":"shop","from":8,"to":8}
    GapRejected 1 {"producer":"shop","from":8,"to":8,"rejected":[9,11]}
    SignalLate 1 {"id":"mail-1"}
    IdsForgotten 1 {"of":"signals","until":1760000030000000}
    PivotPassed 1 {"node":"pivot"}
    CancelRequested 1 {"id":"r-1","by":"ada","until":1760000030000000} + "the card is \"blocked\""
    CompensateRequested 1 {"id":"r-1","by":"ada","until":1760000030000000} + "the card is \"blocked\""
    Paused 1 {"id":"r-1","by":"ada"} + "the card is \"blocked\""
    Resumed 1 {"id":"r-1","by":"ada"}
    DeadlineSet 1 {"deadline":1760000030000000,"id":"r-1","by":"ada"} + "the card is \"blocked\""
    DeadlineSet 1 {"id":"r-1","by":"ada"} + "the card is \"blocked\""
    DeadlinePassed 1 {}
    Turned 1 {"cause":"step_failed","node":"charge"} + "the card is \"blocked\""
    Turned 1 {"cause":"cancelled"} + "the card is \"blocked\""
    CompensationSkipped 1 {"node":"charge"} + "the card is \"blocked\""
    Parked 1 {"node":"charge","cause":"compensation"} + "the card is \"blocked\""
    RetryRequested 1 {"node":"charge","id":"r-1","by":"ada"}
    RetryRequested 1 {"node":"charge","id":"r-1","by":"ada"} + "the card is \"blocked\""
    ResolvedByHand 1 {"node":"charge","id":"r-1","by":"ada"} + {"cents":4200}
    SkippedByHand 1 {"node":"charge","id":"r-1","by":"ada"} + "the card is \"blocked\""
    InputHeld 1 {"number":1,"input":{"signal":{"signal":"approval","id":"mail-1","until":1760000030000000}}} + {"reason":"the card is \"blocked\"","content":{"cents":4200}}
    InputHeld 1 {"number":2,"input":{"numbered":{"signal":"price","producer":"shop","number":7}}} + {"reason":"the card is \"blocked\"","content":{"cents":4200}}
    InputHeld 1 {"number":3,"input":{"reply":{"node":"charge","direction":"action","attempt":2}}} + {"content":{"cents":4200}}
    HeldReleased 1 {"number":1,"id":"r-1","by":"ada"} + {"cents":4200}
    HeldReleased 1 {"number":1,"id":"r-1","by":"ada"}
    HeldTaken 1 {"number":2}
    StillHeld 1 {"number":3} + "the card is \"blocked\""
    HeldDropped 1 {"number":3,"id":"r-1","by":"ada"} + "the card is \"blocked\""
    Completed 1 {} + {"cents":4200}
    Compensated 1 {}
    PartlyCompensated 1 {"left":["charge"]}
    "#);
}

#[test]
fn every_event_of_the_system_is_written_in_this_form() {
    let (mut saga, n) = SHOP.define(2);
    let taken = saga.step("take", TAKE, n);
    let definition = saga.returns(taken).expect("it is sound");
    let events = [
        SystemEvent::PartitionOwned(PartitionOwned {
            epoch: Epoch::new(7),
            node: "shop-1".into(),
            engine: "0.1.0".into(),
            rules: 1,
        }),
        SystemEvent::LogCopied(LogCopied {
            from: "/var/shop/log.db".into(),
            sealed: vec![Sealed {
                tail: Position::new(4_711),
                chain: Digest([0xab; 32]),
            }],
            at: Time::from_micros(1_795_205_250_000_000),
            by: "ann".into(),
        }),
        SystemEvent::LogRestored(LogRestored {
            from: "/var/shop/log.db".into(),
            sealed: Sealed {
                tail: Position::new(4_711),
                chain: Digest([0xab; 32]),
            },
            backed_up_at: Time::from_micros(1_795_205_250_000_000),
            at: Time::from_micros(1_795_205_350_000_000),
            by: "ann".into(),
        }),
        SystemEvent::DefinitionRecorded(
            DefinitionRecorded {
                saga: "shop".into(),
                version: DefinitionVersion(2),
                fingerprint: definition.fingerprint(),
            },
            definition.graph().clone(),
        ),
        SystemEvent::LateSuccess(LateSuccess {
            saga: SagaId::new("o-1").expect("a good id"),
            node: "take".into(),
            direction: Direction::Action,
            attempt: AttemptNumber(2),
        }),
        LetterEvent::Died(
            Died {
                letter: DeadLetter {
                    id: LetterId(7),
                    retries: 1,
                    cause: Cause::NotAsked,
                    reason: "attempt 7 was never asked".into(),
                    queue: "inbox.0".into(),
                    from: "cmd.stock".into(),
                    message: "01K75DPZS0E2V9QT4XNBJA6WMF".into(),
                    kind: "response".into(),
                    correlation: Some("01K75DPZS0E2V9QT4XNBJA6WMG".into()),
                    deadline: Some(Time::from_micros(1_760_000_030_000_000)),
                    saga: Some(SagaId::new("o-1").expect("a good id")),
                    size: 2,
                    sha_256: "44136fa3".into(),
                    envelope: Some(Box::new(Envelope {
                        causation: Some("01K75DPZS0E2V9QT4XNBJA6WMG".into()),
                        traceparent: Some("00-1-2-01".into()),
                        tracestate: None,
                        priority: Some("high".into()),
                        metadata: [("tenant".to_owned(), "a".to_owned())].into(),
                    })),
                },
                deaths: 2,
                first_at: Time::from_micros(1_760_000_000_000_000),
                requests: vec!["r-1".into()],
                oldest: Version::new(3),
            },
            Body::of(b"{}"),
        )
        .into(),
        LetterEvent::Retried(
            Retried {
                letter: LetterId(7),
                id: "r-1".into(),
                by: "ada".into(),
                retry: 1,
                oldest: Version::new(3),
            },
            Some(Body::of(&[0xff])),
        )
        .into(),
        LetterEvent::Sent(Sent {
            letter: LetterId(7),
            retry: 1,
            oldest: Version::new(3),
        })
        .into(),
        LetterEvent::Purged(Purged {
            letter: LetterId(7),
            why: WhyPurged::Asked {
                id: "p-1".into(),
                by: "ada".into(),
                reason: "of no use".into(),
            },
            oldest: Version::new(9),
        })
        .into(),
        LetterEvent::Purged(Purged {
            letter: LetterId(7),
            why: WhyPurged::NoRoom,
            oldest: Version::new(9),
        })
        .into(),
        HeldSagaEvent::Held(SagaHeld {
            saga: SagaId::new("o-1").expect("a good id"),
            reason: "event 7 does not read".into(),
            oldest: Version::new(3),
        })
        .into(),
        HeldSagaEvent::Waits(
            InputWaits {
                saga: SagaId::new("o-1").expect("a good id"),
                number: 1,
                input: Origin::Signal {
                    signal: "approval".into(),
                    id: "mail-1".into(),
                    until: None,
                },
                oldest: Version::new(3),
            },
            Payload::from_json_text("true"),
        )
        .into(),
        HeldSagaEvent::Edited(
            WaitingEdited {
                saga: SagaId::new("o-1").expect("a good id"),
                number: 1,
                id: "r-1".into(),
                by: "ada".into(),
                until: None,
                oldest: Version::new(3),
            },
            Payload::from_json_text("false"),
        )
        .into(),
        HeldSagaEvent::Dropped(WaitingDropped {
            saga: SagaId::new("o-1").expect("a good id"),
            number: 1,
            id: "r-2".into(),
            by: "ada".into(),
            until: None,
            reason: "of no use".into(),
            oldest: Version::new(3),
        })
        .into(),
        HeldSagaEvent::Released(SagaReleased {
            saga: SagaId::new("o-1").expect("a good id"),
            refused: vec![RefusedInput {
                number: 1,
                reason: "nobody waits for it".into(),
            }],
            oldest: Version::new(6),
        })
        .into(),
        BreakerEvent::Opened(BreakerOpened {
            participant: "payments".into(),
            id: "r-1".into(),
            by: "ada".into(),
            reason: "it charges twice".into(),
            oldest: Version::new(1),
        })
        .into(),
        BreakerEvent::Reset(BreakerReset {
            participant: "payments".into(),
            id: "r-2".into(),
            by: "ada".into(),
            oldest: Version::new(1),
        })
        .into(),
    ];
    let table = events
        .iter()
        .fold(String::new(), |table, event| table + &line(&event.encode()));
    assert_snapshot!(table, @r#"
    PartitionOwned 1 {"epoch":7,"node":"shop-1","engine":"0.1.0","rules":1}
    LogCopied 1 {"from":"/var/shop/log.db","sealed":[{"tail":4711,"chain":"abababababababababababababababababababababababababababababababab"}],"at":1795205250000000,"by":"ann"}
    LogRestored 1 {"from":"/var/shop/log.db","sealed":{"tail":4711,"chain":"abababababababababababababababababababababababababababababababab"},"backed_up_at":1795205250000000,"at":1795205350000000,"by":"ann"}
    DefinitionRecorded 1 {"saga":"shop","version":2,"fingerprint":"b009173783adfe04"} + {"saga":"shop","version":2,"nodes":[{"id":"start","block":0,"kind":"start"},{"id":"take","block":0,"kind":{"step":{"spec":{"name":"stock.take","class":"compensatable","probed":false,"timeout":30000000,"retry":{"attempts":5,"delays":{"exponential":{"first":100000,"cap":60000000}},"jitter_percent":20},"undo":{"timeout":30000000,"retry":{"attempts":10,"delays":{"exponential":{"first":100000,"cap":60000000}},"jitter_percent":20},"otherwise":"park"}},"input":{"copy":0}}}},{"id":"return","block":0,"kind":{"return":{"output":{"copy":1}}}}],"blocks":[{"label":"main","nodes":[0,1,2]}]}
    LateSuccess 1 {"saga":"o-1","node":"take","direction":"action","attempt":2}
    DeadLettered 1 {"letter":{"id":"00000000000000000000000007","retries":1,"cause":"not_asked","reason":"attempt 7 was never asked","queue":"inbox.0","from":"cmd.stock","message":"01K75DPZS0E2V9QT4XNBJA6WMF","kind":"response","correlation":"01K75DPZS0E2V9QT4XNBJA6WMG","deadline":1760000030000000,"saga":"o-1","size":2,"sha_256":"44136fa3","envelope":{"causation":"01K75DPZS0E2V9QT4XNBJA6WMG","traceparent":"00-1-2-01","priority":"high","metadata":{"tenant":"a"}}},"deaths":2,"first_at":1760000000000000,"requests":["r-1"],"oldest":3} + {"text":"{}"}
    DeadLetterRetried 1 {"letter":"00000000000000000000000007","id":"r-1","by":"ada","retry":1,"oldest":3} + {"base64":"/w=="}
    DeadLetterSent 1 {"letter":"00000000000000000000000007","retry":1,"oldest":3}
    DeadLetterPurged 1 {"letter":"00000000000000000000000007","why":{"asked":{"id":"p-1","by":"ada","reason":"of no use"}},"oldest":9}
    DeadLetterPurged 1 {"letter":"00000000000000000000000007","why":"no_room","oldest":9}
    SagaHeld 1 {"saga":"o-1","reason":"event 7 does not read","oldest":3}
    InputWaits 1 {"saga":"o-1","number":1,"input":{"signal":{"signal":"approval","id":"mail-1"}},"oldest":3} + true
    WaitingEdited 1 {"saga":"o-1","number":1,"id":"r-1","by":"ada","oldest":3} + false
    WaitingDropped 1 {"saga":"o-1","number":1,"id":"r-2","by":"ada","reason":"of no use","oldest":3}
    SagaReleased 1 {"saga":"o-1","refused":[{"number":1,"reason":"nobody waits for it"}],"oldest":6}
    BreakerOpened 1 {"participant":"payments","id":"r-1","by":"ada","reason":"it charges twice","oldest":1}
    BreakerReset 1 {"participant":"payments","id":"r-2","by":"ada","oldest":1}
    "#);
}

/// An attempt's direction is left out of the log where it is the usual one.
#[test]
fn a_direction_that_is_left_out_is_the_action() {
    for kind in [
        "AttemptAsked",
        "AttemptSucceeded",
        "AttemptTimedOut",
        "AttemptRenewed",
    ] {
        let event = one_of_each_form()
            .into_iter()
            .find(|event| event.kind() == kind)
            .expect("it is in the table");
        let written = event.encode();
        assert!(!written.control.contains("direction"), "{written:?}");
        let spelled_out = written
            .control
            .replacen('{', "{\"direction\":\"action\",", 1);
        let read = SagaEvent::decode(kind, written.schema, &spelled_out, &written.data);
        assert_eq!(read, Ok(event));
    }
}

#[test]
fn only_the_three_ends_are_terminal() {
    let ends: Vec<_> = one_of_each_form()
        .into_iter()
        .filter(SagaEvent::is_terminal)
        .map(|event| event.kind())
        .collect();
    assert_eq!(ends, ["Completed", "Compensated", "PartlyCompensated"]);
}

const SHOP: Saga<u64, u64> = Saga::new("shop");
const TAKE: Step<u64, u64> = Step::new("stock.take").compensatable();

fn told<T: std::fmt::Debug>(kind: &str, round_trip: Result<(), TestError<T>>) {
    if let Err(error) = round_trip {
        panic!("{kind}: {error}");
    }
}

fn line(event: &NewEvent) -> String {
    let mut line = format!("{} {} {}", event.kind, event.schema, event.control);
    if let Data::Inline(text) = &event.data {
        write!(line, " + {text}").expect("a string takes all");
    }
    line.push('\n');
    line
}

/// Every type, and again where a field that may be left out is there.
fn one_of_each_form() -> Vec<SagaEvent> {
    let node = || NodeId::from("charge");
    let attempt = AttemptNumber(2);
    let at = Time::from_micros(1_760_000_030_000_000);
    let id = || Arc::<str>::from("r-1");
    let by = || Arc::<str>::from("ada");
    let payload = || Payload::parse(r#"{"cents":4200}"#).expect("it is JSON");
    let reason = || String::from("the card is \"blocked\"");
    let held = || HeldContent {
        reason: Some(reason()),
        content: payload(),
    };
    let fingerprint = fingerprint(0x8d17_6a21_0dee_551a);
    vec![
        Started {
            definition: "order".into(),
            version: DefinitionVersion(3),
            fingerprint,
            deadline: None,
            input: payload(),
        }
        .into(),
        Started {
            definition: "order".into(),
            version: DefinitionVersion(3),
            fingerprint,
            deadline: Some(at),
            input: payload(),
        }
        .into(),
        AttemptAsked {
            node: node(),
            direction: Direction::Action,
            attempt: AttemptNumber(1),
            deadline: at,
            until: Some(at),
            input: Some(payload()),
        }
        .into(),
        AttemptAsked {
            node: node(),
            direction: Direction::Compensation,
            attempt,
            deadline: at,
            until: None,
            input: None,
        }
        .into(),
        AttemptSucceeded {
            node: node(),
            direction: Direction::Action,
            attempt,
            output: Some(payload()),
        }
        .into(),
        AttemptSucceeded {
            node: node(),
            direction: Direction::Alternative,
            attempt,
            output: None,
        }
        .into(),
        AttemptFailed {
            node: node(),
            direction: Direction::Action,
            attempt,
            class: FailureClass::Permanent,
            reason: reason(),
        }
        .into(),
        AttemptFailed {
            node: node(),
            direction: Direction::Compensation,
            attempt,
            class: FailureClass::Transient,
            reason: reason(),
        }
        .into(),
        AttemptUnknown {
            node: node(),
            direction: Direction::Probe,
            attempt,
            reason: reason(),
        }
        .into(),
        AttemptTimedOut {
            node: node(),
            direction: Direction::Action,
            attempt,
        }
        .into(),
        AttemptRenewed {
            node: node(),
            direction: Direction::Action,
            attempt,
            deadline: at,
        }
        .into(),
        AttemptDelayed {
            node: node(),
            direction: Direction::Action,
            attempt,
        }
        .into(),
        AttemptAdmitted {
            node: node(),
            direction: Direction::Compensation,
            attempt,
            deadline: at,
        }
        .into(),
        AttemptExtended {
            node: node(),
            attempt,
            deadline: at,
            progress: String::from("3 of 7"),
        }
        .into(),
        ActionNotFound {
            node: node(),
            attempt,
        }
        .into(),
        RetryScheduled {
            node: node(),
            direction: Direction::Action,
            due: at,
        }
        .into(),
        RetryDue {
            node: node(),
            direction: Direction::Compensation,
        }
        .into(),
        StepDeadlinePassed { node: node() }.into(),
        NodeCompleted {
            node: node(),
            output: Some(payload()),
        }
        .into(),
        NodeCompleted {
            node: node(),
            output: None,
        }
        .into(),
        ArmChosen {
            node: node(),
            arm: 1,
            payload: payload(),
        }
        .into(),
        SleepStarted {
            node: node(),
            until: at,
        }
        .into(),
        SleepEnded { node: node() }.into(),
        WaitStarted {
            node: node(),
            until: at,
        }
        .into(),
        WaitTimedOut { node: node() }.into(),
        SignalReceived {
            signal: "approval".into(),
            id: "mail-1".into(),
            until: None,
            payload: payload(),
        }
        .into(),
        SignalReceived {
            signal: "approval".into(),
            id: "mail-2".into(),
            until: Some(at),
            payload: payload(),
        }
        .into(),
        SignalConsumed {
            node: node(),
            id: "mail-1".into(),
        }
        .into(),
        NumberedSignalReceived {
            signal: "price".into(),
            producer: "shop".into(),
            number: 7,
            payload: payload(),
        }
        .into(),
        SignalAhead {
            signal: "price".into(),
            producer: "shop".into(),
            number: 9,
            payload: payload(),
        }
        .into(),
        GapOpened {
            producer: "shop".into(),
            from: 8,
            to: 8,
            until: at,
        }
        .into(),
        SignalAdmitted {
            producer: "shop".into(),
            number: 9,
        }
        .into(),
        GapTimedOut {
            producer: "shop".into(),
        }
        .into(),
        MissingAsked {
            producer: "shop".into(),
            from: 8,
            to: 8,
            until: at,
        }
        .into(),
        GapAbandoned {
            producer: "shop".into(),
            from: 8,
            to: 8,
        }
        .into(),
        GapRejected {
            producer: "shop".into(),
            from: 8,
            to: 8,
            rejected: vec![9, 11],
        }
        .into(),
        SignalLate {
            id: "mail-1".into(),
        }
        .into(),
        IdsForgotten {
            of: IdKind::Signals,
            until: at,
        }
        .into(),
        PivotPassed {
            node: "pivot".into(),
        }
        .into(),
        CancelRequested {
            id: id(),
            by: by(),
            until: Some(at),
            reason: reason(),
        }
        .into(),
        CompensateRequested {
            id: id(),
            by: by(),
            until: Some(at),
            reason: reason(),
        }
        .into(),
        Paused {
            id: id(),
            by: by(),
            until: None,
            reason: reason(),
        }
        .into(),
        Resumed {
            id: id(),
            by: by(),
            until: None,
        }
        .into(),
        DeadlineSet {
            deadline: Some(at),
            id: id(),
            by: by(),
            until: None,
            reason: reason(),
        }
        .into(),
        DeadlineSet {
            deadline: None,
            id: id(),
            by: by(),
            until: None,
            reason: reason(),
        }
        .into(),
        DeadlinePassed {}.into(),
        Turned {
            cause: TurnCause::StepFailed,
            node: Some(node()),
            reason: reason(),
        }
        .into(),
        Turned {
            cause: TurnCause::Cancelled,
            node: None,
            reason: reason(),
        }
        .into(),
        CompensationSkipped {
            node: node(),
            reason: reason(),
        }
        .into(),
        Parked {
            node: node(),
            cause: ParkCause::Compensation,
            reason: reason(),
        }
        .into(),
        RetryRequested {
            node: node(),
            id: id(),
            by: by(),
            until: None,
            reason: None,
        }
        .into(),
        RetryRequested {
            node: node(),
            id: id(),
            by: by(),
            until: None,
            reason: Some(reason()),
        }
        .into(),
        ResolvedByHand {
            node: node(),
            id: id(),
            by: by(),
            until: None,
            output: payload(),
        }
        .into(),
        SkippedByHand {
            node: node(),
            id: id(),
            by: by(),
            until: None,
            reason: reason(),
        }
        .into(),
        InputHeld {
            number: 1,
            input: Origin::Signal {
                signal: "approval".into(),
                id: "mail-1".into(),
                until: Some(at),
            },
            held: held(),
        }
        .into(),
        InputHeld {
            number: 2,
            input: Origin::Numbered {
                signal: "price".into(),
                producer: "shop".into(),
                number: 7,
            },
            held: held(),
        }
        .into(),
        InputHeld {
            number: 3,
            input: Origin::Reply {
                node: node(),
                direction: Direction::Action,
                attempt: AttemptNumber(2),
            },
            held: HeldContent {
                reason: None,
                content: payload(),
            },
        }
        .into(),
        HeldReleased {
            number: 1,
            id: id(),
            by: by(),
            until: None,
            content: Some(payload()),
        }
        .into(),
        HeldReleased {
            number: 1,
            id: id(),
            by: by(),
            until: None,
            content: None,
        }
        .into(),
        HeldTaken { number: 2 }.into(),
        StillHeld {
            number: 3,
            reason: reason(),
        }
        .into(),
        HeldDropped {
            number: 3,
            id: id(),
            by: by(),
            until: None,
            reason: reason(),
        }
        .into(),
        Completed { output: payload() }.into(),
        Compensated {}.into(),
        PartlyCompensated { left: vec![node()] }.into(),
    ]
}

/// The words that stand in control parts are as much a format as the fields.
#[test]
fn the_words_in_control_parts_never_change() {
    let words = |words: Vec<String>| words.join(" ");
    let directions = [
        Direction::Action,
        Direction::Probe,
        Direction::Compensation,
        Direction::Alternative,
    ];
    assert_snapshot!(words(directions.map(json).into()), @r#""action" "probe" "compensation" "alternative""#);
    for direction in directions {
        assert_eq!(json(direction), format!("\"{direction}\""));
    }
    let classes = [FailureClass::Transient, FailureClass::Permanent];
    assert_snapshot!(words(classes.map(json).into()), @r#""transient" "permanent""#);
    let turns = [
        TurnCause::StepFailed,
        TurnCause::StepDeadline,
        TurnCause::CheckFailed,
        TurnCause::Fail,
        TurnCause::Cancelled,
        TurnCause::Operator,
        TurnCause::Deadline,
    ];
    assert_snapshot!(words(turns.map(json).into()), @r#""step_failed" "step_deadline" "check_failed" "fail" "cancelled" "operator" "deadline""#);
    let parks = [
        ParkCause::Expression,
        ParkCause::Action,
        ParkCause::Compensation,
    ];
    assert_snapshot!(words(parks.map(json).into()), @r#""expression" "action" "compensation""#);
    let ids = [IdKind::Signals, IdKind::Requests];
    assert_snapshot!(words(ids.map(json).into()), @r#""signals" "requests""#);
}

fn json(word: impl serde::Serialize) -> String {
    serde_json::to_string(&word).expect("a word is JSON")
}

macro_rules! any_event {
    ($name:ident { $($field:ident : $strategy:expr),* $(,)? }) => {
        ($($strategy,)*)
            .prop_map(|($($field,)*)| SagaEvent::from($name { $($field),* }))
            .boxed()
    };
}

/// One strategy for each type, in the order of [`KINDS`].
fn of_each_type() -> Vec<BoxedStrategy<SagaEvent>> {
    vec![
        any_event!(Started {
            definition: text(),
            version: any::<u32>().prop_map(DefinitionVersion),
            fingerprint: any::<u64>().prop_map(fingerprint),
            deadline: option::of(time()),
            input: payload(),
        }),
        any_event!(AttemptAsked {
            node: text(),
            direction: direction(),
            attempt: attempt(),
            deadline: time(),
            until: option::of(time()),
            input: option::of(payload()),
        }),
        any_event!(AttemptSucceeded {
            node: text(),
            direction: direction(),
            attempt: attempt(),
            output: option::of(payload()),
        }),
        any_event!(AttemptFailed {
            node: text(),
            direction: direction(),
            attempt: attempt(),
            class: class(),
            reason: reason(),
        }),
        any_event!(AttemptUnknown {
            node: text(),
            direction: direction(),
            attempt: attempt(),
            reason: reason(),
        }),
        any_event!(AttemptTimedOut {
            node: text(),
            direction: direction(),
            attempt: attempt(),
        }),
        any_event!(AttemptRenewed {
            node: text(),
            direction: direction(),
            attempt: attempt(),
            deadline: time(),
        }),
        any_event!(AttemptDelayed {
            node: text(),
            direction: direction(),
            attempt: attempt(),
        }),
        any_event!(AttemptAdmitted {
            node: text(),
            direction: direction(),
            attempt: attempt(),
            deadline: time(),
        }),
        any_event!(AttemptExtended {
            node: text(),
            attempt: attempt(),
            deadline: time(),
            progress: reason(),
        }),
        any_event!(ActionNotFound {
            node: text(),
            attempt: attempt(),
        }),
        any_event!(RetryScheduled {
            node: text(),
            direction: direction(),
            due: time(),
        }),
        any_event!(RetryDue {
            node: text(),
            direction: direction(),
        }),
        any_event!(StepDeadlinePassed { node: text() }),
        any_event!(NodeCompleted {
            node: text(),
            output: option::of(payload()),
        }),
        any_event!(ArmChosen {
            node: text(),
            arm: any::<u32>(),
            payload: payload(),
        }),
        any_event!(SleepStarted {
            node: text(),
            until: time(),
        }),
        any_event!(SleepEnded { node: text() }),
        any_event!(WaitStarted {
            node: text(),
            until: time(),
        }),
        any_event!(WaitTimedOut { node: text() }),
        any_event!(SignalReceived {
            signal: text(),
            id: text(),
            until: option::of(time()),
            payload: payload(),
        }),
        any_event!(SignalConsumed {
            node: text(),
            id: text(),
        }),
        any_event!(NumberedSignalReceived {
            signal: text(),
            producer: text(),
            number: any::<u64>(),
            payload: payload(),
        }),
        any_event!(SignalAhead {
            signal: text(),
            producer: text(),
            number: any::<u64>(),
            payload: payload(),
        }),
        any_event!(GapOpened {
            producer: text(),
            from: any::<u64>(),
            to: any::<u64>(),
            until: time(),
        }),
        any_event!(SignalAdmitted {
            producer: text(),
            number: any::<u64>(),
        }),
        any_event!(GapTimedOut { producer: text() }),
        any_event!(MissingAsked {
            producer: text(),
            from: any::<u64>(),
            to: any::<u64>(),
            until: time(),
        }),
        any_event!(GapAbandoned {
            producer: text(),
            from: any::<u64>(),
            to: any::<u64>(),
        }),
        any_event!(GapRejected {
            producer: text(),
            from: any::<u64>(),
            to: any::<u64>(),
            rejected: vec(any::<u64>(), 0..4),
        }),
        any_event!(SignalLate { id: text() }),
        any_event!(IdsForgotten {
            of: id_kind(),
            until: time(),
        }),
        any_event!(PivotPassed { node: text() }),
        any_event!(CancelRequested {
            id: text(),
            by: text(),
            until: option::of(time()),
            reason: reason(),
        }),
        any_event!(CompensateRequested {
            id: text(),
            by: text(),
            until: option::of(time()),
            reason: reason(),
        }),
        any_event!(Paused {
            id: text(),
            by: text(),
            until: option::of(time()),
            reason: reason(),
        }),
        any_event!(Resumed {
            id: text(),
            by: text(),
            until: option::of(time()),
        }),
        any_event!(DeadlineSet {
            deadline: option::of(time()),
            id: text(),
            by: text(),
            until: option::of(time()),
            reason: reason(),
        }),
        Just(DeadlinePassed {}.into()).boxed(),
        any_event!(Turned {
            cause: turn_cause(),
            node: option::of(text()),
            reason: reason(),
        }),
        any_event!(CompensationSkipped {
            node: text(),
            reason: reason(),
        }),
        any_event!(Parked {
            node: text(),
            cause: park_cause(),
            reason: reason(),
        }),
        any_event!(RetryRequested {
            node: text(),
            id: text(),
            by: text(),
            until: option::of(time()),
            reason: option::of(reason()),
        }),
        any_event!(ResolvedByHand {
            node: text(),
            id: text(),
            by: text(),
            until: option::of(time()),
            output: payload(),
        }),
        any_event!(SkippedByHand {
            node: text(),
            id: text(),
            by: text(),
            until: option::of(time()),
            reason: reason(),
        }),
        any_event!(InputHeld {
            number: any::<u64>(),
            input: origin(),
            held: held_content(),
        }),
        any_event!(HeldReleased {
            number: any::<u64>(),
            id: text(),
            by: text(),
            until: option::of(time()),
            content: option::of(payload()),
        }),
        any_event!(HeldTaken {
            number: any::<u64>()
        }),
        any_event!(StillHeld {
            number: any::<u64>(),
            reason: reason(),
        }),
        any_event!(HeldDropped {
            number: any::<u64>(),
            id: text(),
            by: text(),
            until: option::of(time()),
            reason: reason(),
        }),
        any_event!(Completed { output: payload() }),
        Just(Compensated {}.into()).boxed(),
        any_event!(PartlyCompensated {
            left: vec(text(), 0..4),
        }),
    ]
}

fn partition_owned() -> BoxedStrategy<SystemEvent> {
    (any::<u64>(), text(), text(), any::<u32>())
        .prop_map(|(epoch, node, engine, rules)| {
            SystemEvent::PartitionOwned(PartitionOwned {
                epoch: Epoch::new(epoch),
                node,
                engine,
                rules,
            })
        })
        .boxed()
}

fn sealed() -> impl Strategy<Value = Sealed> {
    (any::<u64>(), any::<[u8; 32]>()).prop_map(|(tail, chain)| Sealed {
        tail: Position::new(tail),
        chain: Digest(chain),
    })
}

fn log_restored() -> BoxedStrategy<SystemEvent> {
    (text(), sealed(), time(), time(), text())
        .prop_map(|(from, sealed, backed_up_at, at, by)| {
            SystemEvent::LogRestored(LogRestored {
                from,
                sealed,
                backed_up_at,
                at,
                by,
            })
        })
        .boxed()
}

fn log_copied() -> BoxedStrategy<SystemEvent> {
    (text(), vec(sealed(), 0..4), time(), text())
        .prop_map(|(from, sealed, at, by)| {
            SystemEvent::LogCopied(LogCopied {
                from,
                sealed,
                at,
                by,
            })
        })
        .boxed()
}

fn definition_recorded() -> BoxedStrategy<SystemEvent> {
    (text(), any::<u32>(), any::<u64>(), graph())
        .prop_map(|(saga, version, number, graph)| {
            let recorded = DefinitionRecorded {
                saga,
                version: DefinitionVersion(version),
                fingerprint: fingerprint(number),
            };
            SystemEvent::DefinitionRecorded(recorded, graph)
        })
        .boxed()
}

fn late_success() -> BoxedStrategy<SystemEvent> {
    ("[!-#%-~ä-ü]{1,80}", text(), direction(), attempt())
        .prop_map(|(saga, node, direction, attempt)| {
            SystemEvent::LateSuccess(LateSuccess {
                saga: SagaId::new(saga).expect("a good id"),
                node,
                direction,
                attempt,
            })
        })
        .boxed()
}

fn letter() -> impl Strategy<Value = DeadLetter> {
    let ids = (any::<u128>(), any::<u32>(), 0..Cause::ALL.len());
    let texts = (text(), text(), text(), text());
    let optional = (
        option::of(text()),
        option::of(any::<u64>()),
        option::of("[!-#%-~ä-ü]{1,80}"),
    );
    (ids, texts, optional, any::<u64>()).prop_map(
        |(
            (id, retries, cause),
            (reason, queue, from, kind),
            (correlation, deadline, saga),
            size,
        )| {
            DeadLetter {
                id: LetterId(id),
                retries,
                cause: Cause::ALL[cause],
                reason: reason.as_ref().to_owned(),
                queue,
                message: from.clone(),
                from,
                sha_256: kind.clone(),
                envelope: deadline.map(|_| {
                    Box::new(Envelope {
                        causation: Some(kind.clone()),
                        traceparent: Some(kind.clone()),
                        tracestate: None,
                        priority: Some(kind.clone()),
                        metadata: [(kind.to_string(), kind.to_string())].into(),
                    })
                }),
                kind,
                correlation,
                deadline: deadline.map(Time::from_micros),
                saga: saga.map(|saga| SagaId::new(saga).expect("a good id")),
                size,
            }
        },
    )
}

fn bytes() -> impl Strategy<Value = Body> {
    vec(any::<u8>(), 0..40).prop_map(|bytes| Body::of(&bytes))
}

fn saga_held() -> BoxedStrategy<SystemEvent> {
    (saga(), ".*", any::<u64>())
        .prop_map(|(saga, reason, oldest)| {
            let oldest = Version::new(oldest);
            HeldSagaEvent::Held(SagaHeld {
                saga,
                reason,
                oldest,
            })
            .into()
        })
        .boxed()
}

fn input_waits() -> BoxedStrategy<SystemEvent> {
    (saga(), any::<u64>(), origin(), any::<u64>(), payload())
        .prop_map(|(saga, number, input, oldest, content)| {
            let oldest = Version::new(oldest);
            let waits = InputWaits {
                saga,
                number,
                input,
                oldest,
            };
            HeldSagaEvent::Waits(waits, content).into()
        })
        .boxed()
}

fn waiting_edited() -> BoxedStrategy<SystemEvent> {
    let until = option::of(time());
    (saga(), any::<u64>(), text(), until, any::<u64>(), payload())
        .prop_map(|(saga, number, id, until, oldest, content)| {
            let edited = WaitingEdited {
                saga,
                number,
                by: id.clone(),
                id,
                until,
                oldest: Version::new(oldest),
            };
            HeldSagaEvent::Edited(edited, content).into()
        })
        .boxed()
}

fn waiting_dropped() -> BoxedStrategy<SystemEvent> {
    let until = option::of(time());
    (saga(), any::<u64>(), text(), until, ".*", any::<u64>())
        .prop_map(|(saga, number, id, until, reason, oldest)| {
            HeldSagaEvent::Dropped(WaitingDropped {
                saga,
                number,
                by: id.clone(),
                id,
                until,
                reason,
                oldest: Version::new(oldest),
            })
            .into()
        })
        .boxed()
}

fn saga_released() -> BoxedStrategy<SystemEvent> {
    let refused = (any::<u64>(), ".*").prop_map(|(number, reason)| RefusedInput { number, reason });
    (saga(), vec(refused, 0..3), any::<u64>())
        .prop_map(|(saga, refused, oldest)| {
            let oldest = Version::new(oldest);
            HeldSagaEvent::Released(SagaReleased {
                saga,
                refused,
                oldest,
            })
            .into()
        })
        .boxed()
}

fn dead_lettered() -> BoxedStrategy<SystemEvent> {
    (
        letter(),
        bytes(),
        any::<u32>(),
        any::<u64>(),
        vec(text(), 0..3),
    )
        .prop_map(|(letter, body, deaths, number, requests)| {
            let died = Died {
                letter,
                deaths,
                first_at: Time::from_micros(number),
                requests,
                oldest: Version::new(number),
            };
            LetterEvent::Died(died, body).into()
        })
        .boxed()
}

fn dead_letter_retried() -> BoxedStrategy<SystemEvent> {
    let numbers = (any::<u128>(), any::<u32>(), any::<u64>());
    (numbers, text(), text(), option::of(bytes()))
        .prop_map(|((letter, retry, oldest), id, by, body)| {
            let retried = Retried {
                letter: LetterId(letter),
                id,
                by,
                retry,
                oldest: Version::new(oldest),
            };
            LetterEvent::Retried(retried, body).into()
        })
        .boxed()
}

fn dead_letter_sent() -> BoxedStrategy<SystemEvent> {
    (any::<u128>(), any::<u32>(), any::<u64>())
        .prop_map(|(letter, retry, oldest)| {
            let (letter, oldest) = (LetterId(letter), Version::new(oldest));
            LetterEvent::Sent(Sent {
                letter,
                retry,
                oldest,
            })
            .into()
        })
        .boxed()
}

fn dead_letter_purged() -> BoxedStrategy<SystemEvent> {
    let why = prop_oneof![
        Just(WhyPurged::Expired),
        Just(WhyPurged::NoRoom),
        (text(), text(), text()).prop_map(|(id, by, reason)| WhyPurged::Asked { id, by, reason }),
    ];
    (any::<u128>(), why, any::<u64>())
        .prop_map(|(letter, why, oldest)| {
            let (letter, oldest) = (LetterId(letter), Version::new(oldest));
            LetterEvent::Purged(Purged {
                letter,
                why,
                oldest,
            })
            .into()
        })
        .boxed()
}

/// Graphs of every shape are round-tripped in `tests/graphs.rs`; here they are only on the way.
fn graph() -> impl Strategy<Value = Arc<Graph>> {
    (any::<u64>(), any::<u32>(), option::of(any::<u32>())).prop_map(
        |(constant, version, deadline)| {
            let (mut saga, n) = SHOP.define(version);
            if let Some(seconds) = deadline {
                saga.deadline(Duration::from_secs(seconds.into()));
            }
            let taken = saga.step("take", TAKE, n.and(just(constant)).map(u64::wrapping_add));
            saga.returns(taken).expect("it is sound").graph().clone()
        },
    )
}

fn fingerprint(number: u64) -> Fingerprint {
    Fingerprint::try_from(format!("{number:016x}")).expect("16 digits")
}

fn text() -> impl Strategy<Value = Arc<str>> {
    ".*".prop_map(Arc::from)
}

fn reason() -> impl Strategy<Value = String> {
    ".*"
}

fn time() -> impl Strategy<Value = Time> {
    any::<u64>().prop_map(Time::from_micros)
}

fn attempt() -> impl Strategy<Value = AttemptNumber> {
    any::<u32>().prop_map(AttemptNumber)
}

/// JSON text of all kinds, with spaces and numbers that a parser would write otherwise.
fn payload() -> impl Strategy<Value = Payload> {
    let text = prop_oneof![
        Just("null".to_owned()),
        Just(r#"{ "b": 1.50, "a": 1e3 }"#.to_owned()),
        Just("18446744073709551616".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        ".*".prop_map(|text| json(&text)),
        vec(".*", 0..4).prop_map(|texts| json(&texts)),
    ];
    text.prop_map(|text| Payload::parse(text).expect("it is JSON"))
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::Action),
        Just(Direction::Probe),
        Just(Direction::Compensation),
        Just(Direction::Alternative),
    ]
}

fn class() -> impl Strategy<Value = FailureClass> {
    prop_oneof![Just(FailureClass::Transient), Just(FailureClass::Permanent)]
}

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![
        (text(), text(), option::of(time())).prop_map(|(signal, id, until)| Origin::Signal {
            signal,
            id,
            until
        }),
        (text(), text(), any::<u64>()).prop_map(|(signal, producer, number)| Origin::Numbered {
            signal,
            producer,
            number,
        }),
        (text(), direction(), attempt()).prop_map(|(node, direction, attempt)| Origin::Reply {
            node,
            direction,
            attempt,
        }),
    ]
}

fn held_content() -> impl Strategy<Value = HeldContent> {
    (option::of(reason()), payload()).prop_map(|(reason, content)| HeldContent { reason, content })
}

fn turn_cause() -> impl Strategy<Value = TurnCause> {
    prop_oneof![
        Just(TurnCause::StepFailed),
        Just(TurnCause::StepDeadline),
        Just(TurnCause::CheckFailed),
        Just(TurnCause::Fail),
        Just(TurnCause::Cancelled),
        Just(TurnCause::Operator),
        Just(TurnCause::Deadline),
    ]
}

fn id_kind() -> impl Strategy<Value = IdKind> {
    prop_oneof![Just(IdKind::Signals), Just(IdKind::Requests)]
}

fn park_cause() -> impl Strategy<Value = ParkCause> {
    prop_oneof![
        Just(ParkCause::Expression),
        Just(ParkCause::Action),
        Just(ParkCause::Compensation),
    ]
}

fn saga() -> impl Strategy<Value = SagaId> {
    "[a-z0-9-]{1,20}".prop_map(|id| SagaId::new(id).expect("a good id"))
}

fn breaker_opened() -> BoxedStrategy<SystemEvent> {
    (".*", ".*", ".*", ".*", any::<u64>())
        .prop_map(|(participant, id, by, reason, oldest)| {
            BreakerEvent::Opened(BreakerOpened {
                participant: participant.into(),
                id: id.into(),
                by: by.into(),
                reason: reason.into(),
                oldest: Version::new(oldest),
            })
            .into()
        })
        .boxed()
}

fn breaker_reset() -> BoxedStrategy<SystemEvent> {
    (".*", ".*", ".*", any::<u64>())
        .prop_map(|(participant, id, by, oldest)| {
            BreakerEvent::Reset(BreakerReset {
                participant: participant.into(),
                id: id.into(),
                by: by.into(),
                oldest: Version::new(oldest),
            })
            .into()
        })
        .boxed()
}
