//! Finding messages.

use sagalog_model::log::{PartitionId, Position, Time};
use sagalog_projections::views::MessageKind;

use super::{
    super::{
        error::ViewError,
        maker::Views,
        row::Value,
        store::{number, text},
        table::{MESSAGE, SAGA},
    },
    sagas::time,
};

/// Which messages are looked for; all unless something is said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MessageFilter {
    /// Between this saga and somebody.
    pub saga: Option<String>,
    /// Between this participant, producer or operator and a saga.
    pub party: Option<String>,
    /// Sent by the sagas (`true`) or to them.
    pub is_sent: Option<bool>,
    /// Of this type: a contract, a signal, or what an operator wants.
    pub name: Option<String>,
    /// Recorded then or later.
    pub from: Option<Time>,
    /// Recorded before.
    pub before: Option<Time>,
}

/// A message that was found. What it carries is in the log, at its position.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FoundMessage {
    /// The partition.
    pub partition: PartitionId,
    /// Where the event is that tells of it.
    pub position: Position,
    /// When that was recorded.
    pub at: Time,
    /// What kind of message.
    pub kind: MessageKind,
    /// The saga.
    pub saga: String,
    /// Who is at the other end, if that is known.
    pub party: Option<String>,
    /// Its type.
    pub name: String,
    /// The step's node, if it is about one.
    pub node: Option<String>,
    /// What was asked of it.
    pub direction: Option<String>,
    /// Which attempt.
    pub attempt: Option<u32>,
}

impl Views {
    /// At most `limit` messages in the order of time, behind that of this time, partition and position.
    /// Nothing if there are no views.
    ///
    /// # Errors
    /// [`ViewError`]
    pub async fn messages(
        &self,
        filter: &MessageFilter,
        after: (Time, PartitionId, Position),
        limit: usize,
    ) -> Result<Option<Vec<FoundMessage>>, ViewError> {
        let read = self.store().read(async |link, generation| {
            let (message, saga) = (MESSAGE.of(generation), SAGA.of(generation));
            let mut with = vec![
                Value::number(after.0.as_micros()),
                Value::partition(after.1),
                Value::number(after.2.get()),
            ];
            let mut sql = format!(
                "select m.partition, m.position, m.at, m.kind, s.saga, m.party, m.name, m.node, m.direction, m.attempt \
                 from {message} m join {saga} s on s.partition = m.partition and s.stream = m.stream \
                 where (m.at, m.partition, m.position) > ($1, $2, $3)"
            );
            if let Some(id) = &filter.saga {
                let find = format!("select partition, stream from {saga} where saga = $1");
                let found = link.rows(find, &[Value::text(id)]).await?;
                let Some([partition, stream]) = found.into_iter().next().and_then(|row| <[Value; 2]>::try_from(row).ok()) else {
                    return Ok(Vec::new());
                };
                with.extend([partition, stream]);
                sql.push_str(" and m.partition = $4 and m.stream = $5");
            }
            let mut and = |condition: &str, value| {
                with.push(value);
                sql.push_str(&format!(" and m.{condition} ${}", with.len()));
            };
            if let Some(party) = &filter.party {
                and("party =", Value::text(party));
            }
            if let Some(name) = &filter.name {
                and("name =", Value::text(name));
            }
            if let Some(from) = filter.from {
                and("at >=", Value::number(from.as_micros()));
            }
            if let Some(before) = filter.before {
                and("at <", Value::number(before.as_micros()));
            }
            match filter.is_sent {
                Some(true) => and("kind =", Value::text(MessageKind::Command.as_str())),
                Some(false) => and("kind <>", Value::text(MessageKind::Command.as_str())),
                None => {}
            }
            with.push(Value::number(limit as u64));
            let order = format!(" order by m.at, m.partition, m.position limit ${}", with.len());
            sql.push_str(&order);
            link.rows(sql, &with).await
        });
        let rows = read.await?;
        Ok(rows.map(|rows| rows.iter().filter_map(|row| message(row)).collect()))
    }
}

fn message(row: &[Value]) -> Option<FoundMessage> {
    let word = |at: usize| text(&row[at]).map(str::to_owned);
    let kind = text(&row[3])?;
    let attempt = match &row[9] {
        Value::Number(Some(attempt)) => Some(*attempt as u32),
        Value::Number(None) | Value::Text(_) => None,
    };
    Some(FoundMessage {
        partition: PartitionId::new(number(&row[0]) as u32),
        position: Position::new(number(&row[1]) as u64),
        at: time(&row[2])?,
        kind: MessageKind::ALL
            .into_iter()
            .find(|it| it.as_str() == kind)?,
        saga: word(4)?,
        party: word(5),
        name: word(6)?,
        node: word(7),
        direction: word(8),
        attempt,
    })
}
