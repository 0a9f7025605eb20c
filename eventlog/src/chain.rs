//! The hash over a partition: each row's value covers the row and everything before it.

use sagalog_model::log::{Digest, PartitionId};
use sha2::{Digest as _, Sha256};

use crate::{leaf::Leaves, row::Row};

/// Gives rows their chain values: they are what follows `last` in the partition, 32 zero bytes
/// before its first row.
pub fn seal(partition: PartitionId, last: Digest, rows: &mut [Row]) {
    let mut chain = Chain::after(partition, last);
    for row in rows {
        row.chain = chain.next(row);
    }
}

/// Computes chain values row after row, to see whether rows are what was appended.
#[derive(Debug)]
pub struct Chain {
    partition: PartitionId,
    last: Digest,
    leaves: Leaves,
}

impl Chain {
    /// Goes on behind `last`; 32 zero bytes before the first row.
    pub fn after(partition: PartitionId, last: Digest) -> Self {
        Self {
            partition,
            last,
            leaves: Leaves::default(),
        }
    }

    /// The value of the next row.
    pub fn next(&mut self, row: &Row) -> Digest {
        let mut hash = Sha256::new_with_prefix(self.last.0);
        for index in 0..row.events.len() {
            hash.update(self.leaves.of(self.partition, row, index).0);
        }
        self.last = Digest(hash.finalize().into());
        self.last
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use sagalog_model::log::{
        BatchId, Data, Epoch, InputId, Position, StreamKey, StreamName, StreamState, Time, Version,
    };
    use serde::Deserialize;

    use super::*;
    use crate::body;

    /// A row as the document writes it.
    #[derive(Deserialize)]
    struct Vector {
        position: u64,
        stream: u64,
        version: u64,
        state: u8,
        at: u64,
        epoch: u64,
        id: String,
        input: String,
        digest: String,
        name: Option<StreamName>,
        body: String,
        leaves: Vec<String>,
        chain: String,
    }

    fn hex(text: &str) -> u128 {
        u128::from_str_radix(text, 16).expect("the document writes ids as hex")
    }

    fn digest(text: &str) -> Digest {
        let (high, low) = text.split_at(32);
        let halves = [hex(high).to_be_bytes(), hex(low).to_be_bytes()];
        Digest(halves.concat().try_into().expect("twice 16 bytes"))
    }

    impl Vector {
        fn row(&self) -> Row {
            Row {
                position: Position::new(self.position),
                stream: StreamKey::new(self.stream),
                name: self.name.clone(),
                version: Version::new(self.version),
                at: Time::from_micros(self.at),
                epoch: Epoch::new(self.epoch),
                id: BatchId(hex(&self.id)),
                input: InputId(hex(&self.input)),
                digest: digest(&self.digest),
                state: if self.state == 1 {
                    StreamState::Open
                } else {
                    StreamState::Closed
                },
                chain: digest(&self.chain),
                events: body::decode(&self.body)
                    .expect("the document writes bodies that can be read"),
            }
        }
    }

    fn vectors() -> Vec<Vector> {
        let document = include_str!("../../docs/log-format.md");
        let (_, rest) = document
            .split_once("```json\n")
            .expect("the document has test vectors");
        let (json, _) = rest.split_once("```").expect("they end");
        serde_json::from_str(json).expect("they are JSON")
    }

    /// The rows that the document writes.
    pub(crate) fn rows() -> Vec<Row> {
        vectors().iter().map(Vector::row).collect()
    }

    #[test]
    fn hashes_are_those_of_the_document() {
        let mut chain = Chain::after(PartitionId::new(0), Digest::default());
        for vector in vectors() {
            let row = vector.row();
            let mut leaves = Leaves::default();
            for (index, leaf) in vector.leaves.iter().enumerate() {
                assert_eq!(
                    leaves.of(PartitionId::new(0), &row, index).to_string(),
                    *leaf,
                    "position {}",
                    vector.position
                );
            }
            assert_eq!(row.events.len(), vector.leaves.len());
            assert_eq!(chain.next(&row), row.chain, "position {}", vector.position);
            let mut body = Vec::new();
            body::encode(&row.events, &mut body);
            assert_eq!(String::from_utf8(body).expect("made of text"), vector.body);
        }
    }

    #[test]
    fn erased_data_leaves_the_chain_as_it_was() {
        let mut row = vectors()[0].row();
        let before = Chain::after(PartitionId::new(0), Digest::default()).next(&row);
        let Data::Inline(data) = &row.events[0].data else {
            panic!("the first vector has data")
        };
        row.events[0].data = Data::Erased(Digest::of(data.as_bytes()));
        assert_eq!(
            Chain::after(PartitionId::new(0), Digest::default()).next(&row),
            before
        );
    }

    #[test]
    fn every_part_of_a_row_is_covered() {
        let row = vectors()[0].row();
        let hash = |partition, row: &Row| {
            Chain::after(PartitionId::new(partition), Digest::default()).next(row)
        };
        let changes: [fn(&mut Row); 16] = [
            |row| row.position = Position::new(2),
            |row| row.stream = StreamKey::new(2),
            |row| row.name = None,
            |row| row.version = Version::new(2),
            |row| row.at = Time::from_micros(1),
            |row| row.epoch = Epoch::new(4),
            |row| row.id = BatchId(1),
            |row| row.input = InputId(1),
            |row| row.digest = Digest::default(),
            |row| row.state = StreamState::Closed,
            |row| row.events[1].kind = "AttemptAskee".into(),
            |row| row.events[1].schema = sagalog_model::log::SchemaVersion::new(3),
            |row| row.events[1].control.push(' '),
            |row| row.events[1].data = Data::Inline("{}".into()),
            |row| row.events[0].data = Data::None,
            |row| drop(row.events.pop()),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = row.clone();
            change(&mut changed);
            assert_ne!(hash(0, &changed), hash(0, &row), "change {index}");
        }
        assert_ne!(hash(1, &row), hash(0, &row));
    }
}
