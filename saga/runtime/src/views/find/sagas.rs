//! Finding sagas.

use sagalog_model::log::{PartitionId, StreamKey, Time};
use sagalog_projections::views::{NodeRow, SagaRow, Standing, WaitKind};

use super::super::{
    error::ViewError,
    link::Link,
    maker::Views,
    row::Value,
    store::{number, text},
    table::{NODE, SAGA},
};

/// Which sagas are looked for; all that can be folded unless something is said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SagaFilter {
    /// Of one of these; of any but [`Standing::Unreadable`] if there are none.
    pub standings: Vec<Standing>,
    /// Of this definition.
    pub definition: Option<String>,
    /// Of this version of it.
    pub version: Option<u32>,
    /// With something that waits for this.
    pub waiting: Option<Waiting>,
    /// With something that waits for this participant.
    pub participant: Option<String>,
    /// Started then or later.
    pub from: Option<Time>,
    /// Started before.
    pub before: Option<Time>,
}

/// What a saga waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Waiting {
    /// A node waits for something of this kind; of this contract or signal, if one is named.
    Node(WaitKind, Option<String>),
    /// Inputs wait for a person.
    Held,
    /// Whoever has it stand still.
    Paused,
}

/// A saga that was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FoundSaga {
    /// Its partition.
    pub partition: PartitionId,
    /// Its stream.
    pub stream: StreamKey,
    /// Its id.
    pub saga: String,
    /// The saga's name.
    pub definition: String,
    /// The definition's version.
    pub version: u32,
    /// Where it stands.
    pub standing: Standing,
    /// How many events it has.
    pub events: u64,
    /// When it started.
    pub started_at: Time,
    /// When it was last changed.
    pub changed_at: Time,
    /// When it turns back by itself.
    pub deadline: Option<Time>,
    /// When something happens to it by itself next.
    pub next_timer: Option<Time>,
    /// How many of its inputs wait for a person.
    pub held: u64,
    /// Since when it is paused, if it is.
    pub paused_since: Option<Time>,
    /// The nodes that wait, in the order of the definition.
    pub waiting: Vec<FoundNode>,
}

/// A node that waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FoundNode {
    /// Its id.
    pub node: String,
    /// For what.
    pub kind: WaitKind,
    /// The contract or the signal.
    pub of: Option<String>,
    /// Since when.
    pub since: Time,
    /// Until when at most.
    pub until: Option<Time>,
}

impl SagaFilter {
    /// Whether a saga is one of those that are looked for.
    pub fn fits(&self, saga: &SagaRow, nodes: &[NodeRow]) -> bool {
        let is_waiting = |waiting: &Waiting| match waiting {
            Waiting::Held => saga.held > 0,
            Waiting::Paused => saga.paused_since.is_some(),
            Waiting::Node(kind, of) => nodes.iter().any(|node| {
                let wait = node.wait.as_ref().filter(|wait| wait.kind == *kind);
                wait.is_some_and(|wait| of.is_none() || of.as_deref() == wait.of.as_deref())
            }),
        };
        let awaits = |name: &str| nodes.iter().any(|node| node.awaited() == Some(name));
        self.standings().contains(&saga.standing)
            && self
                .definition
                .as_deref()
                .is_none_or(|it| it == &*saga.definition)
            && self.version.is_none_or(|it| it == saga.version.0)
            && self.waiting.as_ref().is_none_or(is_waiting)
            && self.participant.as_deref().is_none_or(awaits)
            && self.from.is_none_or(|it| saga.started_at >= it)
            && self.before.is_none_or(|it| saga.started_at < it)
    }

    fn standings(&self) -> Vec<Standing> {
        let readable = |it: &Standing| *it != Standing::Unreadable;
        if !self.standings.is_empty() {
            self.standings.clone()
        } else if self.waiting.is_some() || self.participant.is_some() {
            vec![Standing::Running, Standing::Compensating]
        } else {
            Standing::ALL.into_iter().filter(readable).collect()
        }
    }
}

impl FoundSaga {
    /// A saga as its rows say.
    pub fn of(partition: PartitionId, saga: &SagaRow, nodes: &[NodeRow]) -> Self {
        let waiting = nodes.iter().filter_map(|node| {
            let wait = node.wait.as_ref()?;
            Some(FoundNode {
                node: node.node.to_string(),
                kind: wait.kind,
                of: wait.of.as_deref().map(str::to_owned),
                since: wait.since,
                until: wait.until,
            })
        });
        Self {
            partition,
            stream: saga.stream,
            saga: saga.saga.to_string(),
            definition: saga.definition.to_string(),
            version: saga.version.0,
            standing: saga.standing,
            events: saga.events.get(),
            started_at: saga.started_at,
            changed_at: saga.changed_at,
            deadline: saga.deadline,
            next_timer: saga.next_timer,
            held: saga.held,
            paused_since: saga.paused_since,
            waiting: waiting.collect(),
        }
    }
}

impl Views {
    /// At most `limit` sagas in the order in which they began, partition after partition, behind this
    /// stream of this partition. Nothing if there are no views.
    ///
    /// # Errors
    /// [`ViewError`]
    pub async fn sagas(
        &self,
        filter: &SagaFilter,
        after: (PartitionId, StreamKey),
        limit: usize,
    ) -> Result<Option<Vec<FoundSaga>>, ViewError> {
        let partitions = self.log().partitions();
        let found = self.store().read(async |link, generation| {
            let mut found = Vec::new();
            for partition in (after.0.get()..partitions).map(PartitionId::new) {
                let left = limit - found.len();
                if left == 0 {
                    break;
                }
                let first = if partition == after.0 {
                    after.1
                } else {
                    StreamKey::default()
                };
                let asked = Asked {
                    generation,
                    partition,
                    filter,
                };
                found.extend(asked.page(link, first, left).await?);
            }
            Ok(found)
        });
        found.await
    }

    /// How many sagas there are. Nothing if there are no views.
    ///
    /// # Errors
    /// [`ViewError`]
    pub async fn count_sagas(&self, filter: &SagaFilter) -> Result<Option<u64>, ViewError> {
        let partitions = self.log().partitions();
        let counted = self.store().read(async |link, generation| {
            let mut count = 0;
            for partition in (0..partitions).map(PartitionId::new) {
                let asked = Asked {
                    generation,
                    partition,
                    filter,
                };
                count += asked.count(link).await?;
            }
            Ok(count)
        });
        counted.await
    }
}

/// A question to one partition of the views.
struct Asked<'a> {
    generation: i64,
    partition: PartitionId,
    filter: &'a SagaFilter,
}

/// A statement as it grows.
struct Statement {
    sql: String,
    with: Vec<Value>,
}

impl Statement {
    fn new(sql: String) -> Self {
        Self {
            sql,
            with: Vec::new(),
        }
    }

    fn value(&mut self, value: Value) -> String {
        self.with.push(value);
        format!("${}", self.with.len())
    }

    fn and(&mut self, condition: &str, value: Value) {
        let value = self.value(value);
        self.sql.push_str(" and ");
        self.sql.push_str(&condition.replace('?', &value));
    }
}

impl Asked<'_> {
    /// The next sagas. Each standing is asked for alone, so that the order of an index is that of the
    /// list, and a rare one in a large log is found at once.
    async fn page(
        &self,
        link: &mut Link,
        after: StreamKey,
        limit: usize,
    ) -> Result<Vec<FoundSaga>, sqlx::Error> {
        let Some((after, end)) = self.range(link, after).await? else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for standing in self.filter.standings() {
            let names: Vec<_> = SAGA
                .columns
                .iter()
                .map(|it| format!("s.{}", it.name))
                .collect();
            let mut statement = self.from(&names.join(", "), standing, after, end);
            let limit = statement.value(Value::number(limit as u64));
            statement
                .sql
                .push_str(&format!(" order by s.stream limit {limit}"));
            let rows = link.rows(statement.sql, &statement.with).await?;
            found.extend(rows.iter().filter_map(|row| saga(row)));
        }
        found.sort_by_key(|saga| saga.stream);
        found.truncate(limit);
        self.add_waiting(link, &mut found).await?;
        Ok(found)
    }

    async fn count(&self, link: &mut Link) -> Result<u64, sqlx::Error> {
        let Some((after, end)) = self.range(link, StreamKey::default()).await? else {
            return Ok(0);
        };
        let mut count = 0;
        for standing in self.filter.standings() {
            let statement = self.from("count(*)", standing, after, end);
            let rows = link.rows(statement.sql, &statement.with).await?;
            count += rows.first().map_or(0, |row| number(&row[0]) as u64);
        }
        Ok(count)
    }

    /// Streams begin in the order of time, so a range of times is one of streams. None if it is empty.
    async fn range(
        &self,
        link: &mut Link,
        after: StreamKey,
    ) -> Result<Option<(StreamKey, Option<StreamKey>)>, sqlx::Error> {
        let mut after = after;
        if let Some(from) = self.filter.from {
            let Some(first) = self.first_from(link, from).await? else {
                return Ok(None);
            };
            after = after.max(StreamKey::new(first.get() - 1));
        }
        let end = match self.filter.before {
            Some(before) => self.first_from(link, before).await?,
            None => None,
        };
        Ok(Some((after, end)))
    }

    async fn first_from(
        &self,
        link: &mut Link,
        at: Time,
    ) -> Result<Option<StreamKey>, sqlx::Error> {
        let sql = format!(
            "select stream from {} where partition = $1 and started_at >= $2 order by started_at, stream limit 1",
            SAGA.of(self.generation)
        );
        let with = [
            Value::partition(self.partition),
            Value::number(at.as_micros()),
        ];
        let rows = link.rows(sql, &with).await?;
        Ok(rows
            .first()
            .map(|row| StreamKey::new(number(&row[0]) as u64)))
    }

    fn from(
        &self,
        what: &str,
        standing: Standing,
        after: StreamKey,
        end: Option<StreamKey>,
    ) -> Statement {
        let (saga, node) = (SAGA.of(self.generation), NODE.of(self.generation));
        let filter = self.filter;
        let mut statement = Statement::new(String::new());
        let partition = statement.value(Value::partition(self.partition));
        let mut source = saga.clone() + " s";
        let mut on_node = String::new();
        if let Some(Waiting::Node(kind, of)) = &filter.waiting {
            let kind = statement.value(Value::text(kind.as_str()));
            on_node.push_str(&format!(" and wait = {kind}"));
            if let Some(of) = of {
                let of = statement.value(Value::text(of));
                on_node.push_str(&format!(" and wait_of = {of}"));
            }
        }
        if let Some(participant) = &filter.participant {
            let participant = statement.value(Value::text(participant));
            on_node.push_str(&format!(" and awaited = {participant}"));
        }
        if !on_node.is_empty() {
            let after = statement.value(Value::number(after.get()));
            source = format!(
                "(select distinct stream from {node} where partition = {partition} and stream > {after}{on_node}) w \
                 cross join {saga} s"
            );
        }
        statement.sql = format!("select {what} from {source} where s.partition = {partition}");
        if !on_node.is_empty() {
            statement.sql.push_str(" and s.stream = w.stream");
        }
        statement.and("s.status = ?", Value::text(standing.as_str()));
        statement.and("s.stream > ?", Value::number(after.get()));
        if let Some(end) = end {
            statement.and("s.stream < ?", Value::number(end.get()));
        }
        if let Some(definition) = &filter.definition {
            statement.and("s.definition = ?", Value::text(definition));
        }
        if let Some(version) = filter.version {
            statement.and("s.version = ?", Value::number(version.into()));
        }
        match filter.waiting {
            Some(Waiting::Held) => statement.sql.push_str(" and s.held > 0"),
            Some(Waiting::Paused) => statement.sql.push_str(" and s.paused_since is not null"),
            Some(Waiting::Node(..)) | None => {}
        }
        statement
    }

    async fn add_waiting(
        &self,
        link: &mut Link,
        sagas: &mut [FoundSaga],
    ) -> Result<(), sqlx::Error> {
        let open = |saga: &&mut FoundSaga| {
            matches!(saga.standing, Standing::Running | Standing::Compensating)
        };
        for saga in sagas.iter_mut().filter(open) {
            let sql = format!(
                "select node, wait, wait_of, wait_since, wait_until from {} \
                 where partition = $1 and stream = $2 and wait is not null order by place",
                NODE.of(self.generation)
            );
            let with = [
                Value::partition(self.partition),
                Value::number(saga.stream.get()),
            ];
            let rows = link.rows(sql, &with).await?;
            saga.waiting = rows.iter().filter_map(|row| node(row)).collect();
        }
        Ok(())
    }
}

fn saga(row: &[Value]) -> Option<FoundSaga> {
    let word = text(&row[5])?;
    Some(FoundSaga {
        partition: PartitionId::new(number(&row[0]) as u32),
        stream: StreamKey::new(number(&row[1]) as u64),
        saga: text(&row[2])?.to_owned(),
        definition: text(&row[3])?.to_owned(),
        version: number(&row[4]) as u32,
        standing: Standing::ALL.into_iter().find(|it| it.as_str() == word)?,
        events: number(&row[6]) as u64,
        started_at: time(&row[7]).unwrap_or_default(),
        changed_at: time(&row[8]).unwrap_or_default(),
        deadline: time(&row[9]),
        next_timer: time(&row[10]),
        held: number(&row[11]) as u64,
        paused_since: time(&row[12]),
        waiting: Vec::new(),
    })
}

fn node(row: &[Value]) -> Option<FoundNode> {
    let word = text(&row[1])?;
    Some(FoundNode {
        node: text(&row[0])?.to_owned(),
        kind: WaitKind::ALL.into_iter().find(|it| it.as_str() == word)?,
        of: text(&row[2]).map(str::to_owned),
        since: time(&row[3]).unwrap_or_default(),
        until: time(&row[4]),
    })
}

pub(super) const fn time(value: &Value) -> Option<Time> {
    match value {
        Value::Number(Some(micros)) => Some(Time::from_micros(*micros as u64)),
        Value::Number(None) | Value::Text(_) => None,
    }
}
