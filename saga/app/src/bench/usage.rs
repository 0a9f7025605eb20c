//! What the process uses, as the operating system says.

use std::{fs, path::Path};

use sqlx::{ConnectOptions as _, Connection as _, PgConnection, sqlite::SqliteConnectOptions};

use crate::{CliError, log};

/// CPU seconds that the process has used; none where there is no `/proc`.
pub(super) fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The command's name may hold anything, so counting begins behind its bracket: user and system
    // time are the twelfth and thirteenth field there, in hundredths of a second.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>().ok()?;
    Some(ticks as f64 / 100.0)
}

/// Memory of the process that is resident, in MiB; none where there is no `/proc`.
pub(super) fn resident_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024.0)
}

/// The size of a log once everything is folded into its file, in bytes; 0 if there is none yet. In
/// PostgreSQL it is that of the table of rows with its indexes.
pub(super) async fn settled_bytes(place: &Path) -> Result<u64, CliError> {
    match log::url(place) {
        Some(url) => table_bytes(url)
            .await
            .map_err(|error| CliError::failed(&error)),
        None => file_bytes(place).await,
    }
}

async fn table_bytes(url: &str) -> Result<u64, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let size = "select coalesce(pg_total_relation_size(to_regclass('sagalog.log')), 0)";
    let size: i64 = sqlx::query_scalar(size).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(size.unsigned_abs())
}

async fn file_bytes(file: &Path) -> Result<u64, CliError> {
    if !file.try_exists()? {
        return Ok(0);
    }
    let connection = SqliteConnectOptions::new().filename(file).connect().await;
    let folded = async {
        let mut connection = connection?;
        sqlx::raw_sql("pragma wal_checkpoint(truncate)")
            .execute(&mut connection)
            .await?;
        connection.close().await
    };
    folded
        .await
        .map_err(|error: sqlx::Error| CliError::failed(&error))?;
    Ok(fs::metadata(file)?.len())
}
