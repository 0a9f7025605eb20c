//! What the server does to answer, as it says itself.

use sagalog_eventlog::{
    conformance::{Author, PARTITION},
    test_servers::PostgresServer,
};
use sagalog_model::log::{Position, StreamKey, StreamName, Version};

use super::Schema;

/// Finished streams, in as many appends.
const ROUNDS: u32 = 6;
const STREAMS: u32 = 500;

/// A plan is kept for as long as its connection, and may have been made when there was nothing. One that reads
/// all of a log is good then, and would be fatal later.
#[tokio::test]
async fn nothing_that_is_asked_while_sagas_run_reads_the_whole_log() {
    let server = PostgresServer::explaining();
    let schema = Schema::at(server.url("postgres"));
    let mut author = Author::of(&schema).await;
    let mut finished = Vec::new();
    for round in 0..ROUNDS {
        // More often than it takes to keep a plan for whatever is asked.
        for _ in 0..3 {
            ask(&author, round).await;
            touch_again(&mut author, &finished).await;
        }
        let mut batches = Vec::new();
        for stream in 0..STREAMS {
            let begun = author.begin(&format!("stream-{round}-{stream}"));
            finished.push(begun.stream);
            batches.extend([begun.clone(), author.close(begun.stream)]);
        }
        author.store(batches).await;
        let analysed = sqlx::query("analyze")
            .execute(&mut schema.raw().await)
            .await;
        analysed.expect("it has tables");
    }
    drop(author);
    let log = server.log();
    let plans: Vec<_> = log.split("plan:\n").skip(1).collect();
    let of_the_log = |word: &str| plans.iter().filter(|plan| plan.contains(word)).count();
    assert!(of_the_log("Index Scan using log_name on log") > 0, "{log}");
    assert!(of_the_log("using log_stream on log") > 0, "{log}");
    let whole: Vec<_> = plans
        .iter()
        .filter(|plan| plan.contains("Seq Scan on log"))
        .collect();
    assert!(whole.is_empty(), "{whole:#?}");
}

/// What a runtime asks for when it meets names, and what a reader does.
async fn ask(author: &Author, round: u32) {
    let names =
        [0, 1, STREAMS].map(|stream| format!("stream-{}-{stream}", round.saturating_sub(1)));
    let names = names.map(|name| StreamName::new(name).expect("a fine name"));
    let log = &author.log;
    let heads = log.heads(PARTITION, &names).await.expect("it is read");
    for head in heads.into_iter().flatten() {
        let streams = [head.stream];
        let read = log
            .read_stream(PARTITION, head.stream, Version::new(1), 10)
            .await;
        assert_eq!(read.expect("it is read").len(), 2);
        let read = log.read_streams(PARTITION, &streams, None, 10).await;
        assert_eq!(read.expect("it is read").len(), 2);
        let name = log.stream_name(PARTITION, head.stream).await;
        assert!(name.expect("it is read").is_some());
    }
    let tail = log.tail(PARTITION).await.expect("it is read");
    let last = Position::new(tail.get().max(1));
    log.read(PARTITION, last, 10).await.expect("it is read");
}

/// The writer looks a finished stream up again that something is appended to.
async fn touch_again(author: &mut Author, finished: &[StreamKey]) {
    if let Some(stream) = finished.last() {
        let batch = author.more(*stream, 1);
        author.store(vec![batch]).await;
        let batch = author.close(*stream);
        author.store(vec![batch]).await;
    }
}
