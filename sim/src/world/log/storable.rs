//! What no log could store, whatever it holds.

use std::{collections::BTreeSet, sync::Arc};

use sagalog_eventlog::{MAX_APPEND_BYTES, MAX_BATCHES, Refusal};
use sagalog_model::log::{Batch, Data, NewEvent, Position, Version};
use serde::de::IgnoredAny;

use super::row::Row;

/// Numbers stay below this, so that every log can store them.
const NUMBER_END: u64 = 10_000_000_000_000_000;

/// The longest name of an event's type, in bytes.
const KIND_BYTES_MAX: usize = 64;

/// Whether some log could store the rows as one append.
pub(super) fn storable(rows: &[Arc<Row>]) -> Result<(), Refusal> {
    within("batches", rows.len(), MAX_BATCHES)?;
    let bytes = rows.iter().flat_map(|row| &row.batch().events).map(size);
    within("bytes", bytes.sum(), MAX_APPEND_BYTES)?;
    let Some(first) = rows.first() else {
        return Err(malformed(
            Position::default(),
            "an append needs a batch".into(),
        ));
    };
    let mut next = first.batch().position;
    let mut names = BTreeSet::new();
    for row in rows {
        let batch = row.batch();
        if let Some(why) = fault(row, next) {
            return Err(malformed(batch.position, why.into()));
        }
        if let Some(name) = &batch.name
            && !names.insert(name)
        {
            let why = format!("another batch of the append begins the stream {name} too");
            return Err(malformed(batch.position, why));
        }
        next = batch.last_position().next();
    }
    Ok(())
}

fn within(what: &'static str, given: usize, max: usize) -> Result<(), Refusal> {
    if given <= max {
        return Ok(());
    }
    Err(Refusal::TooMuch { what, given, max })
}

fn malformed(position: Position, why: String) -> Refusal {
    Refusal::Malformed { position, why }
}

fn size(event: &NewEvent) -> usize {
    let data = match &event.data {
        Data::Inline(data) => data.len(),
        Data::None | Data::Erased(_) => 0,
    };
    event.kind.len() + event.control.len() + data
}

fn fault(row: &Row, next: Position) -> Option<&'static str> {
    let batch = row.batch();
    if batch.events.is_empty() {
        return Some("it has no events");
    }
    if batch.position != next || batch.position == Position::default() {
        return Some("the batches of an append follow each other");
    }
    if !is_begun_as_a_stream_is(batch) {
        return Some(
            "the first batch of a stream, and no other, has version 1, a name, and its position as key",
        );
    }
    let numbers = [
        batch.last_position().get(),
        batch.last_version().get(),
        batch.at.as_micros(),
    ];
    if numbers.iter().any(|number| *number >= NUMBER_END) {
        return Some("its numbers are too large");
    }
    // What the engine has read is JSON under a name of the engine's.
    let is_read = row.unreadable().is_none();
    let exact = |event: &NewEvent| is_bare(event) && (is_read || is_named_json(event));
    (!batch.events.iter().all(exact)).then_some("its events would not read back the same")
}

fn is_begun_as_a_stream_is(batch: &Batch) -> bool {
    let (stream, position) = (batch.stream.get(), batch.position.get());
    let is_first = batch.version == Version::new(1);
    let is_named = batch.name.is_some();
    batch.version != Version::default()
        && stream <= position
        && is_first == (stream == position)
        && is_first == is_named
}

/// No white space around what it says: it would not be read back.
fn is_bare(event: &NewEvent) -> bool {
    let space = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    let bare = |text: &str| {
        let bytes = text.as_bytes();
        !space(bytes.first()) && !space(bytes.last())
    };
    let data = match &event.data {
        Data::Inline(data) => bare(data),
        Data::None | Data::Erased(_) => true,
    };
    data && bare(&event.control)
}

fn is_named_json(event: &NewEvent) -> bool {
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    let is_name = !event.kind.is_empty()
        && event.kind.len() <= KIND_BYTES_MAX
        && event.kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let data = match &event.data {
        Data::Inline(data) => is_json(data),
        Data::None | Data::Erased(_) => true,
    };
    is_name && data && is_json(&event.control)
}
