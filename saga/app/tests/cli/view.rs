//! `view`, and what it makes faster: `saga list` and `saga count`

use crate::{
    agency::{Agency, person},
    program::sagalog,
};

async fn agency() -> Agency {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    agency.ended("t-2", "flight is full").await;
    agency.waiting("t-3", "no ink", person).await;
    agency
}

/// Questions whose answers do not depend on whether there are views.
const QUESTIONS: [&str; 12] = [
    "saga list --json",
    "saga list --limit 2 --json",
    "saga list --json --status compensated",
    "saga list --json --status parked --definition trip",
    "saga list --json --status parked --status completed",
    "saga list --json --definition trip --version 2",
    "saga list --json --waiting-for person",
    "saga list --json --waiting-for signal:approval",
    "saga list --json --participant printer",
    "saga list --json --since 2026-11-20T20:00:00.5Z",
    "saga list --json --older-than 2026-11-20T20:00:00.5Z",
    "saga count --json --status running",
];

#[tokio::test]
async fn views_answer_as_the_log_itself_does() {
    let agency = agency().await;
    let asked = async || {
        let mut answers = Vec::new();
        for question in QUESTIONS {
            let ran = sagalog(&agency.log, question).await;
            assert_eq!(ran.exit, 0, "{question}: {}", ran.err);
            answers.push((question, ran.out));
        }
        answers
    };
    let of_the_log = asked().await;
    sagalog(&agency.log, "view rebuild").await.printed();
    assert_eq!(asked().await, of_the_log);
    // What came since is in the answer.
    agency.ended("t-4", "nothing").await;
    let counted = sagalog(&agency.log, "saga count").await.printed();
    assert_eq!(counted, "4\n");
}

#[tokio::test]
async fn the_status_says_how_far_views_are_behind() {
    let agency = agency().await;
    let none = sagalog(&agency.log, "view status").await;
    assert_eq!((none.exit, none.out.as_str()), (0, ""));
    insta::assert_snapshot!(none.err, @"there are no views; `sagalog view rebuild` makes them");
    insta::assert_snapshot!(sagalog(&agency.log, "view rebuild").await.printed(), @"
    PARTITION  POSITION  LOG ENDS AT  BEHIND  LAST EVENT
    0          34        34           0       2026-11-20T20:00:01.300700Z
    ");
    agency.ended("t-4", "nothing").await;
    let status = sagalog(&agency.log, "view status --json").await.printed();
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let live = &status["live"][0];
    assert_eq!(live["behind"], 11);
    assert!(live["behind_us"].as_u64() > Some(0), "{status}");
    assert_eq!(status["rebuild"], serde_json::json!([]));
}
