//! A runtime whose log is in PostgreSQL.

use std::sync::Arc;

use sagalog::{AnyDefinition, Ended, Runtime, RuntimeBuilder, Saga, Step, Worker};
use sagalog_eventlog::{EventLog, PostgresLog, test_servers::PostgresServer, verify};
use sagalog_model::log::PartitionId;
use tokio::task::JoinSet;

const ECHO: Saga<String, String> = Saga::new("echo");
const SAY: Step<String, String> = Step::new("voice.say").compensatable();

fn echo() -> AnyDefinition {
    let (mut saga, text) = ECHO.define(1);
    let said = saga.step("say", SAY, text);
    saga.returns(said).expect("a good definition").into()
}

fn on(log: Arc<dyn EventLog>) -> RuntimeBuilder {
    let worker = Worker::new()
        .action(SAY, async |_, text| Ok(text))
        .compensation(SAY, async |_, _, _| Ok(()));
    Runtime::on(log).definition(echo()).worker(worker)
}

#[tokio::test]
async fn sagas_go_on_when_their_server_was_killed() {
    let mut server = PostgresServer::start();
    let log = Arc::new(
        PostgresLog::open(&server.url("postgres"))
            .await
            .expect("a new log"),
    );
    let runtime = on(log.clone())
        .start()
        .await
        .expect("nobody else drives it");
    for round in 0..3 {
        let mut sagas = JoinSet::new();
        for number in 0..60 {
            let client = runtime.client();
            let id = format!("echo-{round}-{number}");
            sagas.spawn(async move { (client.run(ECHO, &id, &id).await, id) });
        }
        let mut answered = 0;
        while let Some(saga) = sagas.join_next().await {
            let (ended, id) = saga.expect("it does not panic");
            let ended = ended.expect("it is answered once it is durable");
            assert_eq!(ended, Ended::Completed(id));
            answered += 1;
            // Others are on their way.
            if answered == 10 {
                server.kill();
                server.restart();
            }
        }
    }
    runtime.stop().await.expect("in peace");
    for partition in (0..log.partitions()).map(PartitionId::new) {
        verify(&*log, partition).await.expect("it is whole");
    }
}
