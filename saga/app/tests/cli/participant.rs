//! Which participants are there.

use crate::{agency::Agency, program::sagalog};

#[tokio::test]
async fn those_of_the_owner_are_listed_and_found_by_what_they_can_do() {
    let agency = Agency::open().await;
    agency.ended("t-1", "nothing").await;
    let all = sagalog(&agency.log, "participant list").await.printed();
    let lines: Vec<_> = all.lines().collect();
    assert_eq!(lines.len(), 4, "{all}");
    for (line, (participant, step)) in lines[1..].iter().zip([
        ("air", "air.book"),
        ("desk", "desk.print"),
        ("hotel", "hotel.book"),
    ]) {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!((words[0], words[2]), (participant, "alive"), "{line}");
        assert!(words[1].starts_with("agency-"), "{line}");
        assert_eq!(words.last(), Some(&step), "{line}");
    }
    let line = "participant list --capability desk.print --json";
    let found = sagalog(&agency.log, line).await.printed();
    let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    let found = found["participants"].as_array().expect("a list");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["participant"], "desk");
    assert_eq!(found[0]["presence"], "alive");
    assert_eq!(
        found[0]["capabilities"],
        serde_json::json!({"desk.print": ""})
    );
}

#[tokio::test]
async fn nobody_is_asked_where_nobody_drives() {
    let mut agency = Agency::open().await;
    agency.stop().await;
    insta::assert_snapshot!(sagalog(&agency.log, "participant list").await.failed(5), @r"
    error: nobody drives log.db
      start the program that drives it (`node`)
    ");
}
