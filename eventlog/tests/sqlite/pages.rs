//! Pages that would not fit into memory.

use sagalog_eventlog::{
    PAGE_BYTES,
    conformance::{Author, PARTITION},
};
use sagalog_model::log::{Data, Position};

use crate::File;

#[tokio::test]
async fn a_page_of_large_rows_ends_early_and_the_next_goes_on() {
    const LARGE: usize = 1 << 20;
    let file = File::new();
    let mut author = Author::of(&file).await;
    let rows = 2 * PAGE_BYTES / LARGE;
    for index in 0..rows {
        let mut batch = author.begin(&format!("stream-{index}"));
        batch.events[0].data = Data::Inline(format!("\"{}\"", "x".repeat(LARGE)).into());
        author.store(vec![batch]).await;
    }
    let (mut from, mut pages) = (Position::new(1), Vec::new());
    loop {
        let page = author
            .log
            .read(PARTITION, from, 100)
            .await
            .expect("readable");
        let Some(last) = page.last() else { break };
        from = last.last_position().next();
        pages.push(page.len());
    }
    assert_eq!(pages, [rows / 2, rows / 2]);
}
