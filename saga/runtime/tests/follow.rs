//! A runtime publishes its log, and followers get every row of it once, whatever the streams look like.

mod double;

use std::sync::Arc;

use sagalog::{
    Ended, EventLog, InProcessStreams, LogStreams, MemoryLog, Runtime,
    follow::{Checkpoint, FollowError, Follower, Page, compare},
    log::{PartitionId, Position},
};
use sagalog_eventlog::{NamedRow, PageWriter, Row, StreamNames};
use sagalog_transport::{StreamReader, StreamStart};

use double::{DOUBLE, id};

const PARTITION: PartitionId = PartitionId::new(0);

/// A log, and the streams that it may be published to.
struct Place {
    log: Arc<dyn EventLog>,
    streams: Arc<InProcessStreams>,
}

impl Place {
    /// A log with some sagas that is not published.
    async fn unpublished(sagas: u32) -> Self {
        let place = Self {
            log: Arc::new(MemoryLog::new()),
            streams: Arc::new(InProcessStreams::keeping(10_000)),
        };
        let runtime = double::on(place.log.clone()).start();
        let runtime = runtime.await.expect("it starts");
        run(&runtime, 0..sagas).await;
        runtime.stop().await.expect("it stops in peace");
        place
    }

    /// Runs some sagas with a runtime that publishes.
    async fn run(&self, sagas: std::ops::Range<u32>) {
        let runtime = double::on(self.log.clone())
            .publish_log(self.streams.clone())
            .start();
        let runtime = runtime.await.expect("it starts");
        run(&runtime, sagas).await;
        runtime.stop().await.expect("it stops in peace");
    }

    /// Every row that is stored.
    async fn rows(&self) -> Vec<NamedRow> {
        let mut names = StreamNames::of(self.log.clone(), PARTITION);
        let mut rows = Vec::new();
        let stored = self.log.read(PARTITION, Position::new(1), 10_000).await;
        for row in stored.expect("it is in memory") {
            let name = names.of_row(&row).await.expect("it has one");
            rows.push(NamedRow { name, row });
        }
        rows
    }

    /// Publishes these rows, in one page.
    async fn publish(&self, rows: &[NamedRow]) {
        let mut pages = PageWriter::of(PARTITION);
        rows.iter()
            .for_each(|named| pages.add(&named.name, &named.row));
        self.publish_pages(pages.pages()).await;
    }

    async fn publish_pages(&self, pages: Vec<String>) {
        let published = self.streams.publish(PARTITION, pages).await;
        published.expect("they are in memory");
    }

    /// A follower that reads what it misses from the log, and one that has only the streams.
    fn follower(&self) -> Follower {
        let follower = Follower::of(self.streams.clone());
        follower.store(self.log.clone()).start()
    }

    fn follower_without_store(&self) -> Follower {
        Follower::of(self.streams.clone()).start()
    }

    async fn is_published(&self) {
        let compared = compare(&*self.streams, &*self.log, PARTITION).await;
        let compared = compared.expect("both are in memory");
        assert!(compared.is_equal(), "{compared:?}");
        let rows = self.rows().await;
        assert_eq!(compared.rows, rows.len() as u64);
    }
}

async fn run(runtime: &Runtime, sagas: std::ops::Range<u32>) {
    for number in sagas {
        let ended = runtime.client().run(DOUBLE, &id(number), &number).await;
        assert_eq!(ended.expect("it runs"), Ended::Completed(2 * number));
    }
}

/// Follows until it has so many rows.
async fn follow(follower: &mut Follower, count: usize) -> Vec<NamedRow> {
    let mut rows = Vec::new();
    while rows.len() < count {
        rows.extend(next(follower).await.rows);
    }
    rows
}

async fn next(follower: &mut Follower) -> Page {
    let page = follower.next().await.expect("it can be followed");
    let (first, last) = (&page.rows[0].row, &page.rows[page.rows.len() - 1].row);
    assert_eq!(first.position, page.before.position.next());
    assert_eq!(last.last_position(), page.checkpoint.position);
    assert_eq!(Some(last.chain), page.checkpoint.chain);
    page
}

#[tokio::test]
async fn a_follower_gets_every_row_once_and_in_order_with_the_name_of_its_stream() {
    let place = Place::unpublished(0).await;
    let mut follower = place.follower_without_store();
    place.run(0..5).await;
    let rows = place.rows().await;
    assert_eq!(follow(&mut follower, rows.len()).await, rows);
    place.is_published().await;
}

#[tokio::test]
async fn the_whole_log_is_published_also_if_it_is_older_than_its_stream() {
    let place = Place::unpublished(300).await;
    place.run(300..301).await;
    place.is_published().await;
}

#[tokio::test]
async fn an_owner_goes_on_behind_what_is_published() {
    let place = Place::unpublished(0).await;
    for round in 0..3 {
        place.run(10 * round..10 * round + 10).await;
        place.is_published().await;
    }
    let compared = compare(&*place.streams, &*place.log, PARTITION).await;
    // The last message in these streams is the very last, so nothing is there twice.
    assert_eq!(compared.expect("both are in memory").again, 0);
}

#[tokio::test]
async fn a_stream_that_was_deleted_is_published_anew_from_the_beginning() {
    let place = Place::unpublished(0).await;
    place.run(0..5).await;
    place.streams.delete(PARTITION);
    place.run(5..10).await;
    place.is_published().await;
}

#[tokio::test]
async fn what_is_there_twice_is_handed_out_once() {
    let place = Place::unpublished(5).await;
    let rows = place.rows().await;
    place.publish(&rows[..4]).await;
    place.publish(&rows[..4]).await;
    place.publish(&rows[2..7]).await;
    place.publish(&rows[..3]).await;
    place.publish(&rows[5..]).await;
    let mut follower = place.follower_without_store();
    assert_eq!(follow(&mut follower, rows.len()).await, rows);
}

#[tokio::test]
async fn what_is_missing_is_read_from_the_store() {
    let place = Place::unpublished(8).await;
    let rows = place.rows().await;
    place.publish(&rows[3..5]).await;
    place.publish(&rows[9..12]).await;
    let mut follower = place.follower();
    assert_eq!(follow(&mut follower, 12).await, rows[..12]);
    let compared = compare(&*place.streams, &*place.log, PARTITION).await;
    let compared = compared.expect("both are in memory");
    assert_eq!((compared.rows, compared.missing.len()), (5, 3));
    assert!(!compared.is_equal() && compared.has_nothing_else());
}

#[tokio::test]
async fn what_is_missing_is_an_error_without_a_store_that_says_what_to_do() {
    let place = Place::unpublished(8).await;
    let rows = place.rows().await;
    place.publish(&rows[..2]).await;
    place.publish(&rows[5..]).await;
    let mut follower = place.follower_without_store();
    assert_eq!(follow(&mut follower, 2).await, rows[..2]);
    let error = follower.next().await.expect_err("rows are missing");
    let FollowError::Gap { partition, missing } = &error else {
        panic!("{error}");
    };
    assert_eq!(*partition, PARTITION);
    assert_eq!(*missing, rows[2].row.position..rows[5].row.position);
    let (first, last) = (rows[2].row.position, rows[4].row.last_position());
    let told = format!("positions {first} to {last} of partition 0 are not in the published log");
    assert!(error.to_string().contains(&told), "{error}");
    assert!(error.to_string().contains("`store`"), "{error}");
}

#[tokio::test]
async fn a_row_that_was_changed_is_read_from_the_store_or_is_an_error() {
    let place = Place::unpublished(5).await;
    let rows = place.rows().await;
    let mut changed = rows.clone();
    changed[4].row.events[0].control = "{}".to_owned();
    place.publish(&changed).await;
    assert_eq!(follow(&mut place.follower(), rows.len()).await, rows);
    let mut follower = place.follower_without_store();
    let error = loop {
        if let Err(error) = follower.next().await {
            break error;
        }
    };
    let at = rows[4].row.position;
    assert!(
        matches!(error, FollowError::Broken { position, .. } if position == at),
        "{error}"
    );
    let compared = compare(&*place.streams, &*place.log, PARTITION).await;
    assert_eq!(compared.expect("both are in memory").different, [at]);
}

#[tokio::test]
async fn a_message_that_is_no_page_is_passed_over() {
    let place = Place::unpublished(5).await;
    let rows = place.rows().await;
    place.publish(&rows[..3]).await;
    place
        .publish_pages(vec!["{}".into(), "no JSON".into()])
        .await;
    place.publish(&rows[3..]).await;
    let mut follower = place.follower_without_store();
    assert_eq!(follow(&mut follower, rows.len()).await, rows);
    let compared = compare(&*place.streams, &*place.log, PARTITION).await;
    assert_eq!(compared.expect("both are in memory").unreadable, 2);
}

#[tokio::test]
async fn a_follower_that_starts_again_goes_on_behind_its_checkpoint() {
    let place = Place::unpublished(5).await;
    let rows = place.rows().await;
    rows.chunks(2).next().expect("some");
    for pair in rows.chunks(2) {
        place.publish(pair).await;
    }
    let mut at = Checkpoint::default();
    let mut all = Vec::new();
    while all.len() < rows.len() {
        // Each handles one page and dies; the offset is a help, not a need.
        for with_offset in [true, false] {
            if all.len() == rows.len() {
                break;
            }
            at.offset = at.offset.filter(|_| with_offset);
            let follower = Follower::of(place.streams.clone()).from([(PARTITION, at)]);
            let page = next(&mut follower.start()).await;
            assert_eq!(page.before.position, at.position);
            at = page.checkpoint;
            all.extend(page.rows);
        }
    }
    assert_eq!(all, rows);
}

#[tokio::test]
async fn a_stream_that_gives_nothing_does_not_keep_what_the_store_has() {
    let place = Place::unpublished(5).await;
    let rows = place.rows().await;
    let mut follower = place.follower();
    assert_eq!(follow(&mut follower, rows.len()).await, rows);
}

#[tokio::test]
async fn a_store_that_is_another_log_is_found_out() {
    let [place, other] = [Place::unpublished(5).await, Place::unpublished(6).await];
    let rows = place.rows().await;
    place.publish(&rows[..5]).await;
    place.publish(&rows[8..]).await;
    let follower = Follower::of(place.streams.clone()).store(other.log.clone());
    let mut follower = follower.start();
    assert_eq!(follow(&mut follower, 5).await, rows[..5]);
    let error = follower.next().await.expect_err("the store is not its log");
    assert!(matches!(error, FollowError::OtherLog { .. }), "{error}");
}

#[tokio::test]
async fn nothing_is_published_to_the_stream_of_another_log() {
    let [place, other] = [Place::unpublished(5).await, Place::unpublished(6).await];
    place.publish(&place.rows().await).await;
    let strange = Place {
        log: other.log.clone(),
        streams: place.streams.clone(),
    };
    // Its sagas run, and what it says is in its traces.
    strange.run(10..12).await;
    let mut reader = place.streams.read(PARTITION, StreamStart::First);
    assert_eq!(messages(&mut *reader).await, 1);
}

/// How many there are.
async fn messages(reader: &mut dyn StreamReader) -> usize {
    let mut messages = Vec::new();
    let all = reader.next(&mut messages, 1_000);
    all.await.expect("the streams are open");
    messages.len()
}

#[tokio::test]
async fn followers_are_told_when_the_streams_are_closed() {
    let place = Place::unpublished(0).await;
    let mut follower = place.follower();
    place.streams.close().await;
    for _ in 0..2 {
        let error = loop {
            if let Err(error) = follower.next().await {
                break error;
            }
        };
        assert!(matches!(error, FollowError::Closed(_)), "{error}");
    }
}

#[tokio::test]
async fn a_row_that_is_too_large_for_a_message_comes_from_the_store() {
    let place = Place::unpublished(3).await;
    let rows = place.rows().await;
    let mut pages = PageWriter::of(PARTITION);
    for (index, NamedRow { name, row }) in rows.iter().enumerate() {
        let mut row: Row = row.clone();
        if index == 2 {
            let large = "x".repeat(sagalog_eventlog::ROW_TEXT_BYTES);
            row.events[0].control = format!("\"{large}\"");
        }
        pages.add(name, &row);
    }
    let pages = pages.pages();
    assert!(pages.iter().all(|page| page.len() < 100_000));
    place.publish_pages(pages).await;
    assert_eq!(follow(&mut place.follower(), rows.len()).await, rows);
}
