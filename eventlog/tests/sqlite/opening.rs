//! Files that several processes make at the same moment.

use std::{future::Future, path::PathBuf};

use sagalog_eventlog::{CheckpointStore, SqliteLog};

use super::File;

/// Has a new file opened by eight at once, each on a thread of its own, as processes would.
fn opened_by_eight<F, E>(open: impl Fn(PathBuf) -> F + Sync)
where
    F: Future<Output = Result<(), E>>,
    E: std::fmt::Debug,
{
    for _ in 0..8 {
        let file = File::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .expect("a runtime");
                    runtime.block_on(open(file.path())).expect("it opens");
                });
            }
        });
    }
}

#[test]
fn a_new_log_may_be_opened_by_many_at_once() {
    opened_by_eight(async |file| SqliteLog::open(file).await.map(drop));
}

#[test]
fn new_checkpoints_may_be_opened_by_many_at_once() {
    opened_by_eight(async |file| CheckpointStore::open(file).await.map(drop));
}
