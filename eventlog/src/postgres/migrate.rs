//! Making a schema a log, and bringing an older one forward.

use sagalog_model::log::Digest;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::{
    failure::{self, Failure},
    place::Place,
};
use crate::error::{Damage, OpenError};

/// The oldest server that a log is kept on.
const OLDEST: u32 = 15;

/// One step from a format to the next. What was released is never changed: a schema keeps its hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Migration {
    /// The format that it leads to.
    pub(super) version: i32,
    pub(super) sql: &'static str,
}

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    sql: include_str!("migrations/0001.sql"),
}];

/// What is there.
#[derive(Debug)]
struct Found {
    /// The newest migration, if it is a log.
    format: Option<i32>,
    partitions: u32,
    schema_exists: bool,
    /// It has something in it that is not a log.
    is_other: bool,
    read_only: bool,
}

/// Looks whether a log of a known format is there, and how many partitions it has.
pub(super) async fn look(connection: &mut PgConnection, place: &Place) -> Result<u32, OpenError> {
    let found = found(connection, place, MIGRATIONS).await?;
    match found.format {
        Some(format) if format == newest(MIGRATIONS) && found.partitions > 0 => {
            Ok(found.partitions)
        }
        Some(_) => Err(OpenError::Unsuitable {
            log: place.name.to_string(),
            why: "it has an older format: open it once with a program that may write it".to_owned(),
        }),
        None => Err(OpenError::Missing {
            log: place.name.to_string(),
        }),
    }
}

/// Makes the log or brings it forward, if it has to be. Any number of nodes may do this at once.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    place: &Place,
    migrations: &[Migration],
    partitions: u32,
) -> Result<u32, OpenError> {
    let ready = |found: &Found| found.format == Some(newest(migrations)) && found.partitions > 0;
    let mut known = found(connection, place, migrations).await?;
    if !ready(&known) {
        refuse_read_only(&known, place)?;
        // Held by this connection, so it goes with it, whatever happens.
        lock(connection, place).await?;
        known = found(connection, place, migrations).await?;
        if !ready(&known) {
            let done = bring_forward(connection, place, migrations, &known, partitions).await;
            done.map_err(|error| not_opened(place, error))?;
            known = found(connection, place, migrations).await?;
        }
    }
    refuse_read_only(&known, place)?;
    Ok(known.partitions)
}

async fn lock(connection: &mut PgConnection, place: &Place) -> Result<(), OpenError> {
    let lock = sqlx::query("select pg_advisory_lock($1)").bind(lock_key(place));
    let locked = place.within(lock.execute(connection)).await;
    locked.map_err(|error| not_opened(place, error))?;
    Ok(())
}

async fn bring_forward(
    connection: &mut PgConnection,
    place: &Place,
    migrations: &[Migration],
    found: &Found,
    partitions: u32,
) -> Result<(), sqlx::Error> {
    if !found.schema_exists {
        let create = format!("create schema \"{}\"", place.schema);
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut *connection)
            .await?;
    }
    for migration in migrations {
        if found.format >= Some(migration.version) {
            continue;
        }
        // Statements that are sent as one text are one transaction.
        let sql = format!(
            "{}\ninsert into migration (version, checksum) values ({}, decode('{}', 'hex'));",
            migration.sql,
            migration.version,
            Digest::of(migration.sql.as_bytes()),
        );
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *connection)
            .await?;
    }
    let insert = "insert into lease (partition) select generate_series(0, $1::integer - 1) \
                  where not exists (select from lease)";
    let insert = sqlx::query(insert).bind(partitions as i32);
    insert.execute(connection).await?;
    Ok(())
}

/// Changes nothing.
async fn found(
    connection: &mut PgConnection,
    place: &Place,
    migrations: &[Migration],
) -> Result<Found, OpenError> {
    suits(connection.server_version_num(), place)?;
    let asked = place.within(ask(connection, place)).await;
    let (encoding, found, done) = asked.map_err(|error| not_opened(place, error))?;
    if encoding != "UTF8" {
        return Err(OpenError::Unsuitable {
            log: place.name.to_string(),
            why: format!(
                "the database has encoding {encoding}, a log needs UTF8: create database … encoding 'UTF8' template template0"
            ),
        });
    }
    if found.is_other {
        return Err(OpenError::NotALog {
            log: place.name.to_string(),
        });
    }
    for (version, checksum) in done {
        let Some(known) = migrations.iter().find(|known| known.version == version) else {
            return Err(OpenError::Newer {
                log: place.name.to_string(),
                found: i64::from(version),
                known: i64::from(newest(migrations)),
            });
        };
        if Digest::of(known.sql.as_bytes()).0[..] != checksum {
            return Err(Damage {
                log: place.name.to_string(),
                position: None,
                what: format!(
                    "its format {version} was not made by what this program knows as format {version}"
                ),
            }
            .into());
        }
    }
    Ok(found)
}

type Done = Vec<(i32, Vec<u8>)>;

async fn ask(
    connection: &mut PgConnection,
    place: &Place,
) -> Result<(String, Found, Done), sqlx::Error> {
    let row = sqlx::query(
        "select current_setting('server_encoding'), current_setting('transaction_read_only') = 'on', \
         n.oid is not null, \
         exists (select from pg_class c where c.relnamespace = n.oid and c.relname = 'migration'), \
         exists (select from pg_class c where c.relnamespace = n.oid) \
         from (select) one left join pg_namespace n on n.nspname = $1",
    )
    .bind(&*place.schema)
    .fetch_one(&mut *connection)
    .await?;
    let is_log: bool = row.try_get(3)?;
    let mut found = Found {
        format: None,
        partitions: 0,
        schema_exists: row.try_get(2)?,
        is_other: row.try_get::<bool, _>(4)? && !is_log,
        read_only: row.try_get(1)?,
    };
    let mut done = Vec::new();
    if is_log {
        let rows = sqlx::query("select version, checksum from migration order by version")
            .fetch_all(&mut *connection)
            .await?;
        for row in rows {
            done.push((row.try_get(0)?, row.try_get(1)?));
        }
        found.format = done.last().map(|(version, _)| *version);
        let count = sqlx::query("select count(*) from lease").fetch_one(connection);
        found.partitions = count.await?.try_get::<i64, _>(0)? as u32;
    }
    Ok((row.try_get(0)?, found, done))
}

/// Whether a server is new enough, by the number that it gives for its version.
fn suits(version: Option<u32>, place: &Place) -> Result<(), OpenError> {
    match version {
        Some(version) if version / 10_000 < OLDEST => Err(OpenError::Unsuitable {
            log: place.name.to_string(),
            why: format!(
                "the server is PostgreSQL {}, a log needs {OLDEST} or newer",
                version / 10_000
            ),
        }),
        _ => Ok(()),
    }
}

fn refuse_read_only(found: &Found, place: &Place) -> Result<(), OpenError> {
    if !found.read_only {
        return Ok(());
    }
    Err(OpenError::Unsuitable {
        log: place.name.to_string(),
        why: "the database may only be read: connect to the primary, or open the log to read it"
            .to_owned(),
    })
}

/// What an error says about a log that should be opened.
pub(super) fn not_opened(place: &Place, error: sqlx::Error) -> OpenError {
    let log = place.name.to_string();
    match failure::of(&error) {
        Failure::Denied(what) => OpenError::Denied { log, what },
        Failure::NoDatabase => OpenError::NoDatabase {
            log,
            database: place.database().to_owned(),
        },
        Failure::Corrupt(what) => Damage {
            log,
            position: None,
            what,
        }
        .into(),
        _ => OpenError::Unavailable {
            log,
            source: error.into(),
        },
    }
}

fn newest(migrations: &[Migration]) -> i32 {
    migrations.last().map_or(0, |migration| migration.version)
}

/// The advisory lock of a schema.
fn lock_key(place: &Place) -> i64 {
    let digest = Digest::of(format!("sagalog migrates {}", place.schema).as_bytes());
    i64::from_be_bytes(*digest.0.first_chunk().expect("a hash has 32 bytes"))
}

#[cfg(all(test, feature = "test-servers"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::test_servers::PostgresServer;

    const BEFORE: &[Migration] = &[Migration {
        version: 1,
        sql: "create table migration (version integer primary key, checksum bytea not null);
              create table lease (partition integer primary key);",
    }];
    const AFTER: &[Migration] = &[
        BEFORE[0],
        Migration {
            version: 2,
            sql: "alter table lease add column tail bigint not null default 7;",
        },
    ];

    fn place(schema: &str) -> Place {
        let url = PostgresServer::shared().url("postgres");
        Place::new(&url, schema, Duration::from_secs(10)).expect("a fine place")
    }

    async fn tails(place: &Place) -> Vec<i64> {
        let mut connection = place.connect().await.expect("a server");
        sqlx::query_scalar("select tail from lease")
            .fetch_all(&mut connection)
            .await
            .expect("a table")
    }

    #[tokio::test]
    async fn an_older_format_is_brought_forward_with_what_it_has() {
        let place = place("brought_forward");
        let mut connection = place.connect().await.expect("a server");
        let made = prepare(&mut connection, &place, BEFORE, 3).await;
        assert_eq!(made.expect("a new log"), 3);
        let brought = prepare(&mut connection, &place, AFTER, 5).await;
        assert_eq!(brought.expect("a log of format 1"), 3);
        assert_eq!(tails(&place).await, [7, 7, 7]);
        let older = prepare(&mut connection, &place, BEFORE, 3).await;
        assert!(
            matches!(
                older,
                Err(OpenError::Newer {
                    found: 2,
                    known: 1,
                    ..
                })
            ),
            "{older:?}"
        );
    }

    #[tokio::test]
    async fn a_migration_that_fails_leaves_the_format_before_it() {
        const BROKEN: &[Migration] = &[
            BEFORE[0],
            Migration {
                version: 2,
                sql: "alter table lease add column half bigint; select 1 / 0;",
            },
        ];
        let place = place("half_migrated");
        let mut connection = place.connect().await.expect("a server");
        prepare(&mut connection, &place, BROKEN, 1)
            .await
            .expect_err("it divides by zero");
        drop(connection);
        let mut connection = place.connect().await.expect("a server");
        prepare(&mut connection, &place, AFTER, 1)
            .await
            .expect("format 1 is there");
    }

    #[tokio::test]
    async fn many_nodes_may_migrate_at_once() {
        let nodes: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn(async {
                    let place = place("raced_for");
                    let mut connection = place.connect().await.expect("a server");
                    prepare(&mut connection, &place, AFTER, 4).await
                })
            })
            .collect();
        for node in nodes {
            let prepared = node.await.expect("it does not panic");
            assert_eq!(prepared.expect("one of them made it"), 4);
        }
        assert_eq!(tails(&place("raced_for")).await, [7; 4]);
    }

    #[test]
    fn a_server_that_is_too_old_is_refused() {
        let place =
            Place::new("postgres://somewhere/log", "sagalog", Duration::ZERO).expect("fine");
        suits(Some(150_000), &place).expect("it is new enough");
        let error = suits(Some(140_011), &place).expect_err("it is too old");
        insta::assert_snapshot!(error, @"postgres://somewhere:5432/log cannot be kept there: the server is PostgreSQL 14, a log needs 15 or newer");
    }
}
