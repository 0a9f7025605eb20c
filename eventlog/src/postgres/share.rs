//! The handles that share the partitions: a row each, which moves while its handle lives.

use sagalog_model::log::PartitionId;
use sqlx::PgConnection;

use crate::{
    owner::{Holder, Owner},
    sharing::Sharer,
};

/// Says that a handle lives, forgets those that are gone, and sees who is there.
pub(super) async fn share(
    connection: &mut PgConnection,
    handle: &str,
    owner: &Owner,
    gone: &[Sharer],
) -> Result<Vec<Sharer>, sqlx::Error> {
    sqlx::query(
        "insert into sharer (handle, owner) values ($1, $2) \
         on conflict (handle) do update set sign = sharer.sign + 1",
    )
    .bind(handle)
    .bind(owner.to_text())
    .execute(&mut *connection)
    .await?;
    if !gone.is_empty() {
        forget(connection, gone).await?;
    }
    let rows: Vec<(String, String, i64, Vec<i32>)> = sqlx::query_as(
        "select sharer.handle, sharer.owner, sharer.sign, \
         array(select partition from lease where holder = sharer.handle order by partition) \
         from sharer order by sharer.handle",
    )
    .fetch_all(connection)
    .await?;
    let sharer = |(id, owner, sign, owns): (String, String, i64, Vec<i32>)| Sharer {
        is_me: id == handle,
        id,
        holder: Holder::from_text(&owner),
        sign: sign as u64,
        owns: owns
            .into_iter()
            .map(|partition| PartitionId::new(partition as u32))
            .collect(),
    };
    Ok(rows.into_iter().map(sharer).collect())
}

/// Whoever gave a sign since it was seen is not gone.
async fn forget(connection: &mut PgConnection, gone: &[Sharer]) -> Result<(), sqlx::Error> {
    let (handles, signs): (Vec<_>, Vec<_>) = gone
        .iter()
        .map(|sharer| (sharer.id.clone(), sharer.sign as i64))
        .unzip();
    sqlx::query(
        "delete from sharer using unnest($1::text[], $2::bigint[]) as gone (handle, sign) \
         where sharer.handle = gone.handle and sharer.sign = gone.sign",
    )
    .bind(handles)
    .bind(signs)
    .execute(connection)
    .await?;
    Ok(())
}

/// The handle shares no more.
pub(super) async fn leave(connection: &mut PgConnection, handle: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from sharer where handle = $1")
        .bind(handle)
        .execute(connection)
        .await?;
    Ok(())
}
