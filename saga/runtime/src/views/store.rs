//! Where views are kept: rows, and how far they go, in one transaction.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use sagalog_model::log::{PartitionId, Position, Time};
use sagalog_projections::views::{Changes, LetterChange};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use tokio::sync::{Mutex, MutexGuard};

use super::{
    error::ViewError,
    link::{Link, PATIENCE},
    row::{self, Value},
    table::{LETTER, MESSAGE, NODE, SAGA, TABLES, TALLY},
};

/// The format of the tables that this release makes and reads. Another one is made again from the log.
pub(super) const FORMAT: i64 = 2;

/// Which tables there are, and how far each is. These two stay the same in every format.
const CATALOGUE: &str = "\
create table if not exists generation (number bigint primary key, format bigint not null, live bigint not null);
create table if not exists checkpoint (generation bigint not null, partition bigint not null, position bigint not null, \
at bigint not null, chain text not null, primary key (generation, partition));";

/// A place for the views of one log.
pub struct ViewStore {
    place: Place,
    /// None while nobody is connected; taken out while its work is under way, so that a connection
    /// whose work was given up is closed and not used again.
    link: Mutex<Option<Link>>,
}

#[derive(Clone, Debug)]
enum Place {
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres {
        url: String,
        schema: Box<str>,
    },
}

/// Tables that are made together and go together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Generation {
    pub(super) number: i64,
    pub(super) format: i64,
    pub(super) is_live: bool,
}

/// How far the views of a partition are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Checkpoint {
    /// The last position that is in them.
    pub(super) position: Position,
    /// When that was recorded.
    pub(super) at: Time,
    /// The chain value of its row, by which the log is known again.
    pub(super) chain: String,
}

impl ViewStore {
    /// In a file: for a log in a file, [`ViewStore::beside`] it.
    pub fn in_file(file: impl Into<PathBuf>) -> Self {
        Self::at(Place::Sqlite(file.into()))
    }

    /// In the file that belongs to a log's: its name with `.views.db` behind it.
    pub fn beside(log: &Path) -> Self {
        let mut name = log.as_os_str().to_owned();
        name.push(".views.db");
        Self::in_file(name)
    }

    /// In a schema of a database of PostgreSQL, which is made if it is not there. `sagalog_views` is for
    /// the log in the schema `sagalog`.
    #[cfg(feature = "postgres")]
    pub fn in_postgres(url: impl Into<String>, schema: &str) -> Self {
        Self::at(Place::Postgres {
            url: url.into(),
            schema: schema.into(),
        })
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            link: Mutex::new(None),
        }
    }

    /// Whether there may be something: only a file that is not there is known to be empty without
    /// looking into it.
    fn may_exist(&self) -> bool {
        match &self.place {
            Place::Sqlite(file) => file.exists(),
            #[cfg(feature = "postgres")]
            Place::Postgres { .. } => true,
        }
    }

    /// The generations that are there. To look makes no file.
    pub(super) async fn generations(&self) -> Result<Vec<Generation>, ViewError> {
        if !self.may_exist() {
            return Ok(Vec::new());
        }
        let mut session = self.session().await?;
        let sql = "select number, format, live from generation order by number";
        let rows = session.link().rows(sql.to_owned(), &[]).await;
        let rows = rows.map_err(|error| self.failed(error))?;
        session.give_back();
        let generation = |row: Vec<Value>| Generation {
            number: number(&row[0]),
            format: number(&row[1]),
            is_live: number(&row[2]) == 1,
        };
        Ok(rows.into_iter().map(generation).collect())
    }

    /// Makes empty tables beside those that are there, or finds those that somebody has begun.
    pub(super) async fn begin(&self, partitions: u32) -> Result<i64, ViewError> {
        let mut session = self.session().await?;
        let begun = begin(session.link(), partitions).await;
        let begun = begun.map_err(|error| self.failed(error))?;
        session.give_back();
        Ok(begun)
    }

    /// Makes these tables the live ones, and removes all others. Does nothing if they are gone.
    pub(super) async fn swap(&self, generation: i64) -> Result<(), ViewError> {
        let mut session = self.session().await?;
        let swapped = swap(session.link(), generation).await;
        swapped.map_err(|error| self.failed(error))?;
        session.give_back();
        Ok(())
    }

    /// Removes these tables.
    pub(super) async fn remove(&self, generation: i64) -> Result<(), ViewError> {
        let mut session = self.session().await?;
        let removed = remove(session.link(), generation).await;
        removed.map_err(|error| self.failed(error))?;
        session.give_back();
        Ok(())
    }

    /// How far each partition is; nothing of tables that are gone.
    pub(super) async fn checkpoints(
        &self,
        generation: i64,
    ) -> Result<Vec<(PartitionId, Checkpoint)>, ViewError> {
        let mut session = self.session().await?;
        let sql = "select partition, position, at, chain from checkpoint where generation = $1 order by partition";
        let with = [Value::Number(Some(generation))];
        let rows = session.link().rows(sql.to_owned(), &with).await;
        let rows = rows.map_err(|error| self.failed(error))?;
        session.give_back();
        let checkpoint = |row: Vec<Value>| {
            let partition = PartitionId::new(number(&row[0]) as u32);
            let checkpoint = Checkpoint {
                position: Position::new(number(&row[1]) as u64),
                at: Time::from_micros(number(&row[2]) as u64),
                chain: text(&row[3]).unwrap_or_default().to_owned(),
            };
            (partition, checkpoint)
        };
        Ok(rows.into_iter().map(checkpoint).collect())
    }

    /// Stores changes and how far they go, all or nothing. Nothing, and false, if the views are not where
    /// the changes begin: somebody else has gone on, or the tables are gone.
    pub(super) async fn store(
        &self,
        generation: i64,
        partition: PartitionId,
        from: Position,
        to: &Checkpoint,
        changes: Changes,
    ) -> Result<bool, ViewError> {
        let mut session = self.session().await?;
        let stored = store(session.link(), generation, partition, from, to, changes).await;
        let stored = stored.map_err(|error| self.failed(error))?;
        session.give_back();
        Ok(stored)
    }

    /// Reads the live tables in one snapshot; nothing if there are none of this format.
    pub(super) async fn read<T>(
        &self,
        reading: impl AsyncFnOnce(&mut Link, i64) -> Result<T, sqlx::Error>,
    ) -> Result<Option<T>, ViewError> {
        let mut session = self.session().await?;
        let read = async {
            let link = session.link();
            link.begin_reading().await?;
            let sql = format!("select number from generation where live = 1 and format = {FORMAT}");
            let live = link.rows(sql, &[]).await?;
            let read = match live.first() {
                Some(row) => Some(reading(link, number(&row[0])).await?),
                None => None,
            };
            link.commit().await?;
            Ok(read)
        };
        let read = read.await.map_err(|error| self.failed(error))?;
        session.give_back();
        Ok(read)
    }

    /// The connection, alone; made if there is none.
    async fn session(&self) -> Result<Session<'_>, ViewError> {
        let mut kept = self.link.lock().await;
        let link = match kept.take() {
            Some(link) => link,
            None => {
                let connected = self.connect().await;
                connected.map_err(|error| self.failed(error))?
            }
        };
        let link = Some(link);
        Ok(Session { kept, link })
    }

    async fn connect(&self) -> Result<Link, sqlx::Error> {
        match &self.place {
            Place::Sqlite(file) => {
                let options = SqliteConnectOptions::new()
                    .filename(file)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // What a loss of power takes is made again: rows and checkpoint go together.
                    .synchronous(SqliteSynchronous::Normal)
                    .pragma("cache_size", "-65536")
                    .pragma("temp_store", "memory");
                let connected = sagalog_eventlog::connect_patiently(options, PATIENCE).await?;
                let mut link = Link::Sqlite(Box::new(connected));
                link.all(CATALOGUE.to_owned()).await?;
                Ok(link)
            }
            #[cfg(feature = "postgres")]
            Place::Postgres { url, schema } => {
                use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};

                let options: PgConnectOptions = url.parse()?;
                let options = options.application_name("sagalog views").options([
                    ("search_path", format!("\"{schema}\"").as_str()),
                    ("synchronous_commit", "off"),
                    ("lock_timeout", "15s"),
                ]);
                let connected = tokio::time::timeout(PATIENCE, options.connect()).await;
                let connected = connected.map_err(|_| {
                    let what = "the server does not answer";
                    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what))
                })?;
                let mut link = Link::Postgres(Box::new(connected?));
                let there = format!("select count(to_regclass('\"{schema}\".checkpoint'))");
                if link.rows(there, &[]).await? == [[Value::Number(Some(0))]] {
                    // Statements that are sent as one text are one transaction, which has the lock to its end.
                    let make = format!(
                        "select pg_advisory_xact_lock(hashtextextended('sagalog makes {schema}', 0)); \
                         create schema if not exists \"{schema}\"; {CATALOGUE}"
                    );
                    link.all(make).await?;
                }
                Ok(link)
            }
        }
    }

    fn failed(&self, source: sqlx::Error) -> ViewError {
        ViewError::Store {
            place: self.to_string(),
            source,
        }
    }
}

impl fmt::Display for ViewStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Sqlite(file) => write!(f, "{}", file.display()),
            #[cfg(feature = "postgres")]
            Place::Postgres { schema, .. } => write!(f, "the schema {schema} in PostgreSQL"),
        }
    }
}

impl fmt::Debug for ViewStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ViewStore").field(&self.to_string()).finish()
    }
}

/// A connection while it is used. It goes back only when its work has ended in order: otherwise it is
/// closed, and what it had begun is undone.
struct Session<'a> {
    kept: MutexGuard<'a, Option<Link>>,
    link: Option<Link>,
}

impl Session<'_> {
    const fn link(&mut self) -> &mut Link {
        self.link.as_mut().expect("it is taken only at the end")
    }

    fn give_back(mut self) {
        *self.kept = self.link.take();
    }
}

async fn begin(link: &mut Link, partitions: u32) -> Result<i64, sqlx::Error> {
    link.begin().await?;
    lock(link).await?;
    let begun = format!("select number from generation where live = 0 and format = {FORMAT}");
    if let Some(row) = link.rows(begun, &[]).await?.first() {
        let begun = number(&row[0]);
        link.commit().await?;
        return Ok(begun);
    }
    let last = "select coalesce(max(number), 0) from generation".to_owned();
    let last = link.rows(last, &[]).await?;
    let next = last.first().map_or(1, |row| number(&row[0]) + 1);
    let ending = match link {
        Link::Sqlite(_) => " without rowid",
        #[cfg(feature = "postgres")]
        Link::Postgres(_) => "",
    };
    for table in TABLES {
        link.all(table.create(next, ending)).await?;
    }
    link.all(format!(
        "insert into generation values ({next}, {FORMAT}, 0)"
    ))
    .await?;
    for partition in 0..partitions {
        let sql = format!("insert into checkpoint values ({next}, {partition}, 0, 0, '')");
        link.all(sql).await?;
    }
    link.commit().await?;
    Ok(next)
}

async fn swap(link: &mut Link, generation: i64) -> Result<(), sqlx::Error> {
    // Without statistics SQLite looks for a rare status in every row, and PostgreSQL has none yet.
    for table in TABLES {
        link.all(format!("analyze {}", table.of(generation)))
            .await?;
    }
    link.begin().await?;
    lock(link).await?;
    let live = format!("update generation set live = 1 where number = {generation}");
    if link.run(live, &[]).await? == 1 {
        let others = format!("select number from generation where number <> {generation}");
        for row in link.rows(others, &[]).await? {
            drop_tables(link, number(&row[0])).await?;
        }
    }
    link.commit().await
}

async fn remove(link: &mut Link, generation: i64) -> Result<(), sqlx::Error> {
    link.begin().await?;
    lock(link).await?;
    drop_tables(link, generation).await?;
    link.commit().await
}

async fn drop_tables(link: &mut Link, generation: i64) -> Result<(), sqlx::Error> {
    for table in TABLES {
        link.all(format!("drop table if exists {}", table.of(generation)))
            .await?;
    }
    let gone = format!("delete from checkpoint where generation = {generation}");
    link.run(gone, &[]).await?;
    let gone = format!("delete from generation where number = {generation}");
    link.run(gone, &[]).await.map(drop)
}

/// One at a time makes or removes tables. SQLite has one writer anyway.
async fn lock(link: &mut Link) -> Result<(), sqlx::Error> {
    match link {
        Link::Sqlite(_) => Ok(()),
        #[cfg(feature = "postgres")]
        Link::Postgres(_) => {
            let lock = "lock table generation in share row exclusive mode".to_owned();
            link.all(lock).await
        }
    }
}

async fn store(
    link: &mut Link,
    generation: i64,
    partition: PartitionId,
    from: Position,
    to: &Checkpoint,
    changes: Changes,
) -> Result<bool, sqlx::Error> {
    link.begin().await?;
    let moved = "update checkpoint set position = $4, at = $5, chain = $6 \
                 where generation = $1 and partition = $2 and position = $3";
    let with = [
        Value::Number(Some(generation)),
        Value::partition(partition),
        Value::number(from.get()),
        Value::number(to.position.get()),
        Value::number(to.at.as_micros()),
        Value::text(&to.chain),
    ];
    if link.run(moved.to_owned(), &with).await? == 0 {
        link.roll_back().await?;
        return Ok(false);
    }
    let Changes {
        sagas,
        nodes,
        messages,
        letters,
        tallies,
    } = changes;
    let rows = sagas.values().map(|saga| row::saga(partition, saga));
    link.store(&SAGA, generation, rows.collect()).await?;
    let rows = nodes.values().map(|node| row::node(partition, node));
    link.store(&NODE, generation, rows.collect()).await?;
    let rows = messages.iter().map(|it| row::message(partition, it));
    link.store(&MESSAGE, generation, rows.collect()).await?;
    let rows = tallies.iter();
    let rows = rows.map(|(contract, tally)| row::tally(partition, contract, tally));
    link.store(&TALLY, generation, rows.collect()).await?;
    for letter in letters {
        change(link, generation, partition, letter).await?;
    }
    link.commit().await?;
    Ok(true)
}

async fn change(
    link: &mut Link,
    generation: i64,
    partition: PartitionId,
    letter: LetterChange,
) -> Result<(), sqlx::Error> {
    let table = LETTER.of(generation);
    let key = |id: &dyn ToString| vec![Value::partition(partition), Value::text(id.to_string())];
    match letter {
        LetterChange::Died(row) => {
            let rows = vec![row::letter(partition, &row)];
            return link.store(&LETTER, generation, rows).await;
        }
        LetterChange::Phase(id, phase) => {
            let sql = format!("update {table} set phase = $3 where partition = $1 and id = $2");
            let mut with = key(&id);
            with.push(Value::text(phase.as_str()));
            link.run(sql, &with).await?;
        }
        LetterChange::Gone(id) => {
            let sql = format!("delete from {table} where partition = $1 and id = $2");
            link.run(sql, &key(&id)).await?;
        }
    }
    Ok(())
}

pub(super) const fn number(value: &Value) -> i64 {
    match value {
        Value::Number(Some(number)) => *number,
        Value::Number(None) | Value::Text(_) => 0,
    }
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => text.as_deref(),
        Value::Number(_) => None,
    }
}
