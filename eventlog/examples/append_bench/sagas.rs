//! Synthetic three-step sagas.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use sagalog_model::log::{
    Batch, BatchId, Data, Digest, InputId, NewEvent, Position, SchemaVersion, StreamKey,
    StreamName, StreamState, Time, Version,
};

/// Drafts batches of many sagas that run at the same time.
pub(super) struct Sagas {
    left: u64,
    live: Vec<Live>,
    pub(super) stay_open: usize,
    pub(super) finished: u64,
    position: u64,
    at: u64,
    pub(super) drafting: Duration,
}

#[derive(Clone, Copy)]
struct Live {
    number: u64,
    stream: u64,
    version: u64,
    step: u64,
}

impl Sagas {
    pub(super) fn new(count: u64) -> Self {
        Self {
            left: count,
            live: Vec::new(),
            stay_open: 0,
            finished: 0,
            position: 1,
            at: 1_795_000_000_000_000,
            drafting: Duration::ZERO,
        }
    }

    pub(super) fn next_group(&mut self, count: usize) -> Option<Vec<Batch>> {
        let began = Instant::now();
        let mut batches = Vec::with_capacity(count);
        let mut waiting = Vec::new();
        while batches.len() < count {
            let ready = self
                .live
                .iter()
                .rposition(|saga| saga.number as usize >= self.stay_open || saga.step == 0);
            let mut saga = match ready {
                Some(index) => self.live.swap_remove(index),
                None if self.left > 0 => {
                    self.left -= 1;
                    Live {
                        number: self.left,
                        stream: self.position,
                        version: 1,
                        step: 0,
                    }
                }
                None => break,
            };
            batches.push(self.draft(&mut saga));
            match saga.step {
                4 => self.finished += 1,
                _ => waiting.push(saga),
            }
        }
        self.live.extend(waiting);
        self.live
            .retain(|saga| saga.step == 0 || saga.number as usize >= self.stay_open);
        self.drafting += began.elapsed();
        (!batches.is_empty()).then_some(batches)
    }

    fn draft(&mut self, saga: &mut Live) -> Batch {
        let Live {
            number,
            stream,
            version,
            step,
        } = *saga;
        self.at += 7;
        let id = u128::from(self.at / 1_000) << 80 | u128::from(stream) << 20 | u128::from(version);
        let events = events(number, step, self.at);
        let batch = Batch {
            stream: StreamKey::new(stream),
            name: (step == 0)
                .then(|| StreamName::new(format!("order-{number:010}")).expect("a fine name")),
            version: Version::new(version),
            position: Position::new(self.position),
            at: Time::from_micros(self.at),
            id: BatchId(id),
            input: InputId(id ^ 0x5555_5555_5555),
            digest: Digest([number as u8; 32]),
            state: if step == 3 {
                StreamState::Closed
            } else {
                StreamState::Open
            },
            events,
        };
        self.position += batch.events.len() as u64;
        saga.version += batch.events.len() as u64;
        saga.step += 1;
        batch
    }
}

fn events(number: u64, step: u64, at: u64) -> Vec<NewEvent> {
    let event = |kind: &'static str, control: String, data: Option<String>| NewEvent {
        kind: Cow::Borrowed(kind),
        schema: SchemaVersion::new(1),
        control,
        data: data.map_or(Data::None, |data| Data::Inline(data.into())),
    };
    let input = |step: u64| {
        format!(
            r#"{{"order":"order-{number:010}","sku":"SKU-{number:08}","cents":12999,"reference":"customer-{:010}","line":{step},"at":"2026-11-20T20:07:30Z"}}"#,
            number % 9_973,
        )
    };
    let asked = |step: u64| {
        let control = format!(
            r#"{{"node":{step},"attempt":1,"deadline":{}}}"#,
            at + 30_000_000
        );
        event("AttemptAsked", control, Some(input(step)))
    };
    let replied = |step: u64| {
        let control = format!(r#"{{"node":{},"attempt":1}}"#, step - 1);
        let data = format!(
            r#"{{"id":"customer-{number:010}","amount":12999,"note":"thank you for shopping with us, see you soon!","seal":"{number:024x}"}}"#
        );
        event("StepSucceeded", control, Some(data))
    };
    match step {
        0 => {
            let order = format!(
                r#"{{"sku":"SKU-{number:08}","quantity":2,"cents":12999,"customer":"customer-{:010}","address":"12 Long Street, 90210 Springfield","note":"please leave it with the neighbour, ring twice, thank you so much"}}"#,
                number % 9_973
            );
            let control = r#"{"saga":"order","version":1,"fingerprint":"5f2b8a1c"}"#.to_owned();
            vec![event("Started", control, Some(order)), asked(0)]
        }
        1 | 2 => vec![replied(step), asked(step)],
        _ => vec![
            replied(step),
            event("PivotPassed", r#"{"node":3}"#.to_owned(), None),
            event(
                "Completed",
                "{}".to_owned(),
                Some(format!(r#"{{"receipt":"customer-{number:010}"}}"#)),
            ),
        ],
    }
}
