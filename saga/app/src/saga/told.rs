//! An event of a saga, as JSON and in words.

use sagalog_model::{
    Payload, SagaEvent,
    log::{Data, Time, Version},
};
use sagalog_sim::in_words;
use serde::Serialize;

/// An event of a saga, as JSON.
#[derive(Clone, PartialEq, Serialize)]
pub(crate) struct Told {
    pub(crate) version: u64,
    /// When, in microseconds since 1970; missing if it is not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<u64>,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) control: Payload,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Payload>,
    /// In words, without its time; they may change.
    #[serde(skip)]
    pub(crate) words: String,
}

impl Told {
    pub(crate) fn of(version: Version, at: Option<Time>, event: &SagaEvent) -> Self {
        let written = event.encode();
        let json = |text: &str| Payload::parse(text).expect("an event is written as JSON");
        Self {
            version: version.get(),
            at: at.map(Time::as_micros),
            kind: event.kind(),
            control: json(&written.control),
            data: match &written.data {
                Data::Inline(text) => Some(json(text)),
                Data::None | Data::Erased(_) => None,
            },
            words: in_words(event),
        }
    }
}
