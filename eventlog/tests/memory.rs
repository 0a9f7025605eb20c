//! The memory backend keeps the contract.

use std::sync::Arc;

use async_trait::async_trait;
use sagalog_eventlog::{
    CheckpointStore, EventLog, MemoryLog,
    conformance::{self, Subject},
    for_each_property,
};

struct Memory {
    log: MemoryLog,
    checkpoints: Arc<CheckpointStore>,
}

#[async_trait]
impl Subject for Memory {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(self.log.another())
    }

    async fn checkpoints(&self) -> Arc<CheckpointStore> {
        self.checkpoints.clone()
    }
}

macro_rules! run {
    ($($property:ident)*) => {$(
        #[tokio::test]
        async fn $property() {
            let checkpoints = Arc::new(CheckpointStore::in_memory());
            conformance::$property(&Memory { log: MemoryLog::new(), checkpoints }).await;
        }
    )*};
}

for_each_property!(run);
