//! One statement that stores the appends of many partitions: each moves the tail in its lease row and
//! is stored if that row still says what its owner knows, whatever becomes of the others.

use std::collections::HashSet;

use sagalog_model::log::{Epoch, PartitionId, Position, StreamState};
use sqlx::PgConnection;

use crate::{body, row::Row};

/// The rows of one partition, behind its tail.
pub(super) struct Part<'a> {
    pub(super) partition: PartitionId,
    pub(super) epoch: Epoch,
    pub(super) tail: Position,
    /// At least one.
    pub(super) rows: &'a [Row],
}

/// Stores what still fits; gives back the partitions that were written, all of them in one commit.
pub(super) async fn insert(
    connection: &mut PgConnection,
    handle: &str,
    parts: &[Part<'_>],
) -> Result<HashSet<PartitionId>, sqlx::Error> {
    let heads = parts.iter().map(|part| {
        let last = part.rows.last().expect("an append has a row");
        (part, last)
    });
    let rows = || {
        parts
            .iter()
            .flat_map(|part| part.rows.iter().map(move |row| (part.partition, row)))
    };
    let bodies = Bodies::of(rows().map(|(_, row)| row));
    macro_rules! column {
        ($from:expr, $value:expr) => {
            $from.map($value).collect::<Vec<_>>()
        };
    }
    let insert = sqlx::query_scalar(STATEMENT)
        .bind(handle)
        .bind(column!(heads.clone(), |(part, _)| part.partition.get() as i32))
        .bind(column!(heads.clone(), |(part, _)| part.epoch.get() as i64))
        .bind(column!(heads.clone(), |(part, _)| part.tail.get() as i64))
        .bind(column!(heads.clone(), |(_, row)| row.last_position().get() as i64))
        .bind(column!(heads.clone(), |(_, row)| row.at.as_micros() as i64))
        .bind(column!(heads, |(_, row)| &row.chain.0[..]))
        .bind(column!(rows(), |(partition, _)| partition.get() as i32))
        .bind(column!(rows(), |(_, row)| row.position.get() as i64))
        .bind(column!(rows(), |(_, row)| row.stream.get() as i64))
        .bind(column!(rows(), |(_, row)| row.version.get() as i64))
        .bind(column!(rows(), |(_, row)| row.events.len() as i32))
        .bind(column!(rows(), |(_, row)| match row.state {
            StreamState::Closed => 0_i16,
            StreamState::Open => 1,
        }))
        .bind(column!(rows(), |(_, row)| row.at.as_micros() as i64))
        .bind(column!(rows(), |(_, row)| row.id.0.to_be_bytes().to_vec()))
        .bind(column!(rows(), |(_, row)| row
            .input
            .0
            .to_be_bytes()
            .to_vec()))
        .bind(column!(rows(), |(_, row)| &row.digest.0[..]))
        .bind(column!(rows(), |(_, row)| &row.chain.0[..]))
        .bind(column!(rows(), |(_, row)| row
            .name
            .as_ref()
            .map(|name| name.as_str())))
        .bind(bodies.texts());
    let written: Vec<i32> = insert.fetch_all(connection).await?;
    Ok(written
        .into_iter()
        .map(|partition| PartitionId::new(partition as u32))
        .collect())
}

/// The bodies of many rows in one text.
struct Bodies {
    text: String,
    ends: Vec<usize>,
}

impl Bodies {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        for row in rows {
            body::encode(&row.events, &mut text);
            ends.push(text.len());
        }
        Self {
            text: String::from_utf8(text).expect("made of text"),
            ends,
        }
    }

    fn texts(&self) -> Vec<&str> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.text[start..*end])
            .collect()
    }
}

/// `$1` is the handle that must hold the leases, `$2` to `$7` say for each partition what its lease must
/// say and what it says afterwards, the others are columns of the rows. All arrays of one kind have
/// one length: a shorter one would be filled up with nulls, which no column but the name takes.
const STATEMENT: &str = "
    with given as (
        select * from unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[])
            as given (partition, epoch, before, tail, at, chain)
    ), moved as (
        update lease set tail = given.tail, at = given.at, chain = given.chain
        from given
        where lease.partition = given.partition and lease.epoch = given.epoch
            and lease.tail = given.before and lease.holder = $1
        returning lease.partition, lease.epoch
    ), stored as (
        insert into log (partition, position, stream, version, count, state, at, epoch,
                         id, input, digest, chain, name, body)
        select row.partition, row.position, row.stream, row.version, row.count, row.state, row.at, moved.epoch,
               row.id, row.input, row.digest, row.chain, row.name, row.body
        from unnest($8::integer[], $9::bigint[], $10::bigint[], $11::bigint[], $12::integer[], $13::smallint[],
                    $14::bigint[], $15::bytea[], $16::bytea[], $17::bytea[], $18::bytea[], $19::text[], $20::text[])
                as row (partition, position, stream, version, count, state, at, id, input, digest, chain, name, body)
            join moved on moved.partition = row.partition
    )
    select partition from moved";
