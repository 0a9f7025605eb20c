//! Logs in PostgreSQL, read as logs in files are.

use std::num::NonZeroU32;

use sagalog::log::PartitionId;

use crate::{agency::Agency, program::sagalog};

#[tokio::test]
async fn a_log_in_postgres_is_read_as_one_in_a_file_is() {
    let agency = Agency::in_postgres("agency").await;
    agency.ended("t-1", "flight is full").await;
    // Of sixteen partitions, the one that its id says.
    let at = PartitionId::of("t-1", NonZeroU32::new(16).expect("not zero"));
    let read = sagalog(&agency.log, &format!("log read --partition {at}")).await;
    let read = read.printed();
    assert!(read.trim_end().ends_with("Compensated {}"), "{read}");
    let listed = sagalog(&agency.log, "saga list").await.printed();
    assert!(listed.contains("t-1"), "{listed}");
    let shown = sagalog(&agency.log, "saga show t-1").await.printed();
    assert!(shown.contains("t-1"), "{shown}");
    let verified = sagalog(&agency.log, "log verify --json").await.printed();
    assert!(verified.contains(r#""whole":true"#), "{verified}");
}

/// Positions are those of a partition, so sagas of two of them have the same ones.
#[tokio::test]
async fn sagas_of_several_partitions_are_exported_whole() {
    let agency = Agency::in_postgres("exporting").await;
    let mut events = 0;
    for number in 0..6 {
        let id = format!("t-{number}");
        agency.ended(&id, "flight is full").await;
        events += agency.end(&id).await.version().get();
    }
    let exported = sagalog(&agency.log, "saga export --json").await.printed();
    let exported: serde_json::Value = serde_json::from_str(&exported).expect("JSON");
    let lines = exported["lines"].as_array().expect("a list").iter();
    let of_sagas = lines.filter(|line| line["saga"].is_string());
    assert_eq!(of_sagas.count() as u64, events);
    assert_eq!(exported["log"], "exporting");
}

#[tokio::test]
async fn an_owner_that_is_reached_over_no_socket_needs_its_broker_named() {
    let agency = Agency::in_postgres("refusing").await;
    let refused = sagalog(&agency.log, "saga cancel t-1 --reason why").await;
    insta::assert_snapshot!(refused.failed(2), @"
    error: whoever drives a log in PostgreSQL is reached over its broker, and none was named
      give the nodes' broker with --broker amqp://…, or set SAGALOG_BROKER; a node without one takes starts and signals from the table `request` of its database only
    ");
}

#[tokio::test]
async fn a_password_is_never_repeated() {
    let url = std::path::Path::new("postgres://ann:secret@127.0.0.1:1/log");
    for line in [
        "log verify",
        "graph trip",
        "saga list",
        "--help",
        "log verify --help",
    ] {
        let ran = sagalog(url, line).await;
        assert!(
            !ran.out.contains("secret") && !ran.err.contains("secret"),
            "{line}"
        );
    }
}
