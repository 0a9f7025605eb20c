//! The hash of one event. The exact bytes are in `docs/log-format.md`.

use sagalog_model::log::{Data, Digest, PartitionId, StreamState};

use crate::row::Row;

/// Version of the byte layout below.
const LAYOUT: u8 = 1;
/// The tenant of everything until tenants exist.
const TENANT: &str = "default";

/// Computes leaves; keeps its buffer between them.
#[derive(Debug, Default)]
pub(crate) struct Leaves {
    bytes: Vec<u8>,
}

impl Leaves {
    /// The leaf of the event at `index` of `row`.
    pub(crate) fn of(&mut self, partition: PartitionId, row: &Row, index: usize) -> Digest {
        let event = &row.events[index];
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(&[0x00, LAYOUT]);
        bytes.extend_from_slice(&partition.get().to_be_bytes());
        for number in [
            row.position.get() + index as u64,
            row.epoch.get(),
            row.stream.get(),
            row.version.get() + index as u64,
            row.at.as_micros(),
        ] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&row.id.event(index).0.to_be_bytes());
        bytes.extend_from_slice(&row.input.0.to_be_bytes());
        bytes.extend_from_slice(&event.schema.get().to_be_bytes());
        short(bytes, &event.kind);
        short(bytes, TENANT);
        if index == 0 {
            batch(bytes, row);
        } else {
            bytes.push(0);
        }
        bytes.extend_from_slice(&(event.control.len() as u32).to_be_bytes());
        bytes.extend_from_slice(event.control.as_bytes());
        match &event.data {
            Data::None => bytes.push(0),
            Data::Inline(data) => hashed(bytes, &Digest::of(data.as_bytes())),
            Data::Erased(digest) => hashed(bytes, digest),
        }
        Digest::of(bytes)
    }
}

/// What is said once for a batch, in the leaf of its first event.
fn batch(bytes: &mut Vec<u8>, row: &Row) {
    bytes.push(1);
    bytes.extend_from_slice(&(row.events.len() as u32).to_be_bytes());
    bytes.push(match row.state {
        StreamState::Closed => 0,
        StreamState::Open => 1,
    });
    bytes.extend_from_slice(&row.digest.0);
    short(bytes, row.name.as_ref().map_or("", |name| name.as_str()));
}

/// A text of at most 255 bytes behind its length.
fn short(bytes: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len())
        .expect("names and types are at most 255 bytes, checked when they are made");
    bytes.push(length);
    bytes.extend_from_slice(text.as_bytes());
}

/// The hash of data, the same whether the data is still there or not.
fn hashed(bytes: &mut Vec<u8>, digest: &Digest) {
    bytes.push(1);
    bytes.extend_from_slice(&digest.0);
}
