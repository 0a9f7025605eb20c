//! A schema of a database, and connections to it.

use std::{str::FromStr, sync::Arc};

use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// A schema of a database, and connections to it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) pool: PgPool,
    /// Its name, as it stands in a statement.
    pub(super) schema: Arc<str>,
}

/// Why a schema of ours is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The text names no database.
    #[error("a database is named like postgres://user:password@host:5432/database")]
    BadUrl,
    /// The text names no schema.
    #[error(
        "a schema is named by 1 to 63 small letters, digits and underscores, not beginning with a digit, not {0:?}"
    )]
    BadSchema(String),
    /// The schema is not there, or is of an earlier release.
    #[error(
        "the schema `{schema}` is not there, or has no `{column}` yet: a runtime of this release makes it"
    )]
    NotThere {
        /// The schema.
        schema: String,
        /// What is missing.
        column: String,
    },
    /// The database cannot be reached, or does not let this user make the tables.
    #[error("the schema `{schema}` cannot be made or used")]
    Database {
        /// The schema.
        schema: String,
        /// What the database says.
        #[source]
        source: sqlx::Error,
    },
}

/// Connections to the database that a text names.
pub(super) fn connect(url: &str, at_most: u32) -> Result<PgPool, PlaceError> {
    // What the parser says may repeat the text, which has a password in it.
    let options = PgConnectOptions::from_str(url).map_err(|_| PlaceError::BadUrl)?;
    Ok(PgPoolOptions::new()
        .max_connections(at_most)
        .connect_lazy_with(options.application_name("sagalog")))
}

impl Place {
    /// A schema, with these tables: `newest` is a column, as `table.column`, that is made last, and says
    /// that all are there. Any number of processes may do this at once, and who may not make tables may
    /// use those that are there.
    pub(super) async fn prepare(
        pool: PgPool,
        schema: &str,
        newest: &str,
        tables: &str,
    ) -> Result<Self, PlaceError> {
        let place = Self::of(pool, schema)?;
        let made = place.make(newest, tables).await;
        made.map_err(|source| place.unusable(source))?;
        Ok(place)
    }

    /// A schema that is there, with its newest column. Nothing is made.
    pub(super) async fn existing(
        pool: PgPool,
        schema: &str,
        newest: &str,
    ) -> Result<Self, PlaceError> {
        let place = Self::of(pool, schema)?;
        let there = place.is_there(newest).await;
        match there.map_err(|source| place.unusable(source))? {
            true => Ok(place),
            false => Err(PlaceError::NotThere {
                schema: schema.to_owned(),
                column: newest.to_owned(),
            }),
        }
    }

    fn of(pool: PgPool, schema: &str) -> Result<Self, PlaceError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins_well = schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        if !begins_well || schema.len() > 63 || !schema.chars().all(plain) {
            return Err(PlaceError::BadSchema(schema.to_owned()));
        }
        Ok(Self {
            pool,
            schema: schema.into(),
        })
    }

    fn unusable(&self, source: sqlx::Error) -> PlaceError {
        PlaceError::Database {
            schema: self.schema.to_string(),
            source,
        }
    }

    async fn is_there(&self, newest: &str) -> Result<bool, sqlx::Error> {
        let (table, column) = newest.split_once('.').expect("a column of a table");
        let there = "select exists (select from pg_attribute where attrelid = to_regclass($1) \
                     and attname = $2 and not attisdropped)";
        sqlx::query_scalar(there)
            .bind(format!("\"{}\".{table}", self.schema))
            .bind(column)
            .fetch_one(&self.pool)
            .await
    }

    async fn make(&self, newest: &str, tables: &str) -> Result<(), sqlx::Error> {
        if self.is_there(newest).await? {
            return Ok(());
        }
        // Statements that are sent as one text are one transaction, which has the lock to its end.
        let sql = format!(
            "select pg_advisory_xact_lock(hashtextextended('sagalog makes {}', 0)); \
             create schema if not exists \"{}\"; {}",
            self.schema,
            self.schema,
            self.sql(tables)
        );
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// A statement whose tables are in this schema: `$schema` stands for it.
    pub(super) fn sql(&self, statement: &str) -> String {
        // The name was checked: it needs no escapes.
        statement.replace("$schema", &format!("\"{}\"", self.schema))
    }
}
