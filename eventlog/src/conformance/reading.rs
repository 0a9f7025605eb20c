//! Properties of reading.

use sagalog_model::log::{Position, StreamKey, StreamName, StreamState, Version};

use super::{Author, PARTITION, Subject, appending::all};
use crate::{contract::Head, row::Row, verify::verify};

/// The tail is the position that the last append was answered with, on every handle.
pub async fn the_tail_is_what_was_answered(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let reader = subject.open().await;
    assert_eq!(
        reader.tail(PARTITION).await.expect("readable"),
        Position::new(0)
    );
    for name in ["a", "b", "c"] {
        let batch = author.begin(name);
        let last = author.store(vec![batch]).await;
        assert_eq!(reader.tail(PARTITION).await.expect("readable"), last);
    }
}

/// Heads answer names one for one, unknown and repeated ones too.
pub async fn heads_come_in_the_order_asked(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let (a, b) = (author.stream("a").await, author.stream("b").await);
    let batches = vec![author.more(a, 3), author.close(b)];
    author.store(batches).await;
    let names = ["b", "nobody", "a", "b"].map(|name| StreamName::new(name).expect("a fine name"));
    let head_a = Head {
        stream: a,
        version: Version::new(5),
        state: StreamState::Open,
    };
    let head_b = Head {
        stream: b,
        version: Version::new(3),
        state: StreamState::Closed,
    };
    let heads = author.log.heads(PARTITION, &names).await.expect("readable");
    assert_eq!(heads, [Some(head_b), None, Some(head_a), Some(head_b)]);
    assert_eq!(
        author.log.heads(PARTITION, &[]).await.expect("readable"),
        []
    );
    assert_eq!(
        author
            .log
            .stream_name(PARTITION, a)
            .await
            .expect("readable"),
        Some(names[2].clone())
    );
    assert_eq!(
        author
            .log
            .stream_name(PARTITION, StreamKey::new(2))
            .await
            .expect("readable"),
        None
    );
}

/// A start between the first and the last event of a batch takes the whole batch; one behind the
/// end takes nothing.
pub async fn a_read_inside_a_batch_gets_the_batch(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let stream = author.stream("a").await;
    let batch = author.more(stream, 3);
    author.store(vec![batch]).await;
    for (from, first) in [
        (0, Some(1)),
        (1, Some(1)),
        (2, Some(1)),
        (3, Some(3)),
        (4, Some(3)),
        (5, Some(3)),
        (6, None),
    ] {
        let rows = author
            .log
            .read(PARTITION, Position::new(from), 1)
            .await
            .expect("readable");
        assert_eq!(
            rows.first().map(|row| row.position),
            first.map(Position::new),
            "from position {from}"
        );
        let rows = author
            .log
            .read_stream(PARTITION, stream, Version::new(from), 1)
            .await
            .expect("readable");
        assert_eq!(
            rows.first().map(|row| row.version),
            first.map(Version::new),
            "from version {from}"
        );
    }
    let rows = author
        .log
        .read(PARTITION, Position::new(4), 1)
        .await
        .expect("readable");
    let rest: Vec<_> = rows[0]
        .events_from(Position::new(4))
        .map(|event| event.version.get())
        .collect();
    assert_eq!(rest, [4, 5]);
}

/// Page after page gives every row once.
pub async fn pages_join_without_gap_or_overlap(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let batches = (0..50)
        .map(|index| author.begin(&format!("stream-{index}")))
        .collect();
    author.store(batches).await;
    let (mut rows, mut from) = (Vec::new(), Position::new(1));
    loop {
        let page = author.log.read(PARTITION, from, 7).await.expect("readable");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 7);
        from = last.last_position().next();
        rows.extend(page);
    }
    assert_eq!(rows, all(&author).await);
}

/// Many streams come stream after stream in the order of their keys, page after page.
pub async fn many_streams_are_read_in_pages(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let mut streams = Vec::new();
    for index in 0..20 {
        streams.push(author.stream(&format!("stream-{index}")).await);
    }
    for (index, stream) in streams.iter().rev().cycle().take(70).enumerate() {
        let batch = author.more(*stream, 1 + index % 3);
        author.store(vec![batch]).await;
    }
    let mut wanted: Vec<_> = streams.iter().copied().step_by(2).rev().collect();
    wanted.push(StreamKey::new(9_999));
    wanted.push(wanted[0]);
    let mut expected: Vec<Row> = all(&author)
        .await
        .into_iter()
        .filter(|row| wanted.contains(&row.stream))
        .collect();
    expected.sort_by_key(|row| (row.stream, row.version));
    for limit in [1, 6] {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let page = author
                .log
                .read_streams(PARTITION, &wanted, after, limit)
                .await
                .expect("readable");
            let (Some(first), Some(last)) = (page.first(), page.last()) else {
                break;
            };
            assert!(page.len() <= limit && Some((first.stream, first.version)) > after);
            after = Some((last.stream, last.last_version()));
            rows.extend(page);
        }
        assert_eq!(rows, expected);
    }
}

/// The listing pages through all streams.
pub async fn streams_are_listed_in_the_order_they_began(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    for name in ["c", "a", "b"] {
        author.stream(name).await;
    }
    let closing = author.close(StreamKey::new(3));
    let (first_at, closed_at) = (all(&author).await[1].at, closing.at);
    author.store(vec![closing]).await;
    let page = author
        .log
        .streams(PARTITION, StreamKey::new(0), 2)
        .await
        .expect("readable");
    let rest = author
        .log
        .streams(PARTITION, page[1].key, 2)
        .await
        .expect("readable");
    let names: Vec<_> = page
        .iter()
        .chain(&rest)
        .map(|head| head.name.as_str())
        .collect();
    assert_eq!(names, ["c", "a", "b"]);
    let closed = &page[1];
    assert_eq!(
        (closed.version, closed.state),
        (Version::new(3), StreamState::Closed)
    );
    assert_eq!((closed.first_at, closed.last_at), (first_at, closed_at));
}

/// What several owners appended verifies as one chain.
pub async fn a_whole_partition_verifies(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let stream = author.stream("a").await;
    let batch = author.close(stream);
    author.store(vec![batch]).await;
    author
        .log
        .release(PARTITION)
        .await
        .expect("nothing is in the way");
    let mut author = Author::of(subject).await;
    author.knows(stream, Version::new(3));
    let batches = vec![author.more(stream, 3), author.begin("b")];
    author.store(batches).await;
    let verified = verify(&*author.log, PARTITION).await.expect("it is whole");
    assert_eq!((verified.rows, verified.events, verified.erased), (4, 8, 1));
    assert_eq!(
        (verified.streams, verified.open, verified.tail),
        (2, 2, Position::new(8))
    );
    assert_eq!(
        Some(verified.chain),
        all(&author).await.last().map(|row| row.chain)
    );
}
