//! What the process uses, as the operating system says.

use std::{fs, path::Path};

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::CliError;

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

/// The size of a log's file once everything is folded into it, in bytes; 0 if there is none yet.
pub(super) async fn settled_bytes(file: &Path) -> Result<u64, CliError> {
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
