//! A connection to the database of the views. Its statements are the same for SQLite and PostgreSQL.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Row as _, TypeInfo as _, ValueRef as _,
    sqlite::{SqliteArguments, SqliteConnection, SqliteRow},
};
#[cfg(feature = "postgres")]
use sqlx::{
    Column as _,
    postgres::{PgArguments, PgConnection, PgRow},
};

#[cfg(feature = "postgres")]
use super::table::Holds;
use super::{row::Value, table::Table};

/// How many rows a statement of SQLite stores; what is left over goes by the next smaller number.
const ROWS: [usize; 3] = [64, 8, 1];

/// A connection.
pub(super) enum Link {
    Sqlite(Box<SqliteConnection>),
    #[cfg(feature = "postgres")]
    Postgres(Box<PgConnection>),
}

/// How long another process that writes is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

impl Link {
    /// Runs statements without parameters.
    pub(super) async fn all(&mut self, sql: String) -> Result<(), sqlx::Error> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql));
        match self {
            Self::Sqlite(link) => query.execute(&mut **link).await.map(drop),
            #[cfg(feature = "postgres")]
            Self::Postgres(link) => query.execute(&mut **link).await.map(drop),
        }
    }

    /// Begins to write: nobody else writes what this does before it ends.
    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let begin = match self {
            Self::Sqlite(_) => "begin immediate",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "begin isolation level read committed read write",
        };
        self.all(begin.to_owned()).await
    }

    /// Begins to read: all statements up to the end see the same.
    pub(super) async fn begin_reading(&mut self) -> Result<(), sqlx::Error> {
        let begin = match self {
            Self::Sqlite(_) => "begin",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "begin isolation level repeatable read read only",
        };
        self.all(begin.to_owned()).await
    }

    /// Ends in order.
    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.all("commit".to_owned()).await
    }

    /// Ends without a change.
    pub(super) async fn roll_back(&mut self) -> Result<(), sqlx::Error> {
        self.all("rollback".to_owned()).await
    }

    /// Runs a statement, and says how many rows it has changed. Parameters are `$1`, `$2`.
    pub(super) async fn run(&mut self, sql: String, with: &[Value]) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(link) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), sqlite(with)?);
                Ok(query.execute(&mut **link).await?.rows_affected())
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(link) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), postgres(with)?);
                Ok(query.execute(&mut **link).await?.rows_affected())
            }
        }
    }

    /// The rows that a statement gives. Its columns are numbers of 64 bits and texts.
    pub(super) async fn rows(
        &mut self,
        sql: String,
        with: &[Value],
    ) -> Result<Vec<Vec<Value>>, sqlx::Error> {
        match self {
            Self::Sqlite(link) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), sqlite(with)?);
                let rows = query.fetch_all(&mut **link).await?;
                rows.iter().map(of_sqlite).collect()
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(link) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), postgres(with)?);
                let rows = query.fetch_all(&mut **link).await?;
                rows.iter().map(of_postgres).collect()
            }
        }
    }

    /// Stores rows, whose keys are all different.
    pub(super) async fn store(
        &mut self,
        table: &Table,
        generation: i64,
        rows: Vec<Vec<Value>>,
    ) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.store_values(table, generation, rows).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(link) => store_arrays(link, table, generation, rows).await,
        }
    }

    async fn store_values(
        &mut self,
        table: &Table,
        generation: i64,
        rows: Vec<Vec<Value>>,
    ) -> Result<(), sqlx::Error> {
        let width = table.columns.len();
        let values: Vec<_> = rows.into_iter().flatten().collect();
        let mut left = values.as_slice();
        for count in ROWS {
            let mut sql = None;
            while left.len() >= count * width {
                let (now, rest) = left.split_at(count * width);
                let sql = sql.get_or_insert_with(|| {
                    let row = format!("({})", vec!["?"; width].join(","));
                    let rows = format!("values {}", vec![row; count].join(","));
                    table.upsert(generation, &rows)
                });
                self.run(sql.clone(), now).await?;
                left = rest;
            }
        }
        Ok(())
    }
}

/// All rows in one statement, a parameter for each column.
#[cfg(feature = "postgres")]
async fn store_arrays(
    link: &mut PgConnection,
    table: &Table,
    generation: i64,
    rows: Vec<Vec<Value>>,
) -> Result<(), sqlx::Error> {
    use sqlx::Arguments as _;

    if rows.is_empty() {
        return Ok(());
    }
    let mut columns = PgArguments::default();
    let mut types = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        let number = types.len() + 1;
        let values = rows.iter().map(|row| &row[at]);
        match column.holds {
            Holds::Number => {
                let numbers: Vec<_> = values.map(as_number).collect();
                columns.add(numbers).map_err(sqlx::Error::Encode)?;
                types.push(format!("${number}::bigint[]"));
            }
            Holds::Text => {
                let texts: Vec<_> = values.map(as_text).collect();
                columns.add(texts).map_err(sqlx::Error::Encode)?;
                types.push(format!("${number}::text[]"));
            }
        }
    }
    let rows = format!("select * from unnest({})", types.join(", "));
    let sql = table.upsert(generation, &rows);
    let query = sqlx::query_with(AssertSqlSafe(sql), columns);
    query.execute(link).await.map(drop)
}

#[cfg(feature = "postgres")]
const fn as_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => *number,
        Value::Text(_) => None,
    }
}

#[cfg(feature = "postgres")]
fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => text.as_deref(),
        Value::Number(_) => None,
    }
}

fn sqlite(with: &[Value]) -> Result<SqliteArguments, sqlx::Error> {
    use sqlx::Arguments as _;

    let mut arguments = SqliteArguments::default();
    for value in with {
        let added = match value {
            Value::Number(number) => arguments.add(*number),
            Value::Text(text) => arguments.add(text.clone()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

#[cfg(feature = "postgres")]
fn postgres(with: &[Value]) -> Result<PgArguments, sqlx::Error> {
    use sqlx::Arguments as _;

    let mut arguments = PgArguments::default();
    for value in with {
        let added = match value {
            Value::Number(number) => arguments.add(*number),
            Value::Text(text) => arguments.add(text.as_deref()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn of_sqlite(row: &SqliteRow) -> Result<Vec<Value>, sqlx::Error> {
    let columns = 0..row.len();
    let value = |at| {
        let raw = row.try_get_raw(at)?;
        let is_text = !raw.is_null() && raw.type_info().name() == "TEXT";
        Ok(if is_text {
            Value::Text(row.try_get(at)?)
        } else {
            Value::Number(row.try_get(at)?)
        })
    };
    columns.map(value).collect()
}

#[cfg(feature = "postgres")]
fn of_postgres(row: &PgRow) -> Result<Vec<Value>, sqlx::Error> {
    let value = |column: &sqlx::postgres::PgColumn| {
        let at = column.ordinal();
        Ok(if column.type_info().name() == "TEXT" {
            Value::Text(row.try_get(at)?)
        } else {
            Value::Number(row.try_get(at)?)
        })
    };
    row.columns().iter().map(value).collect()
}
