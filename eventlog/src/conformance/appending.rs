//! Properties of an append.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use sagalog_model::log::{
    Batch, BatchId, Data, Digest, Position, StreamKey, StreamState, Time, Version,
};

use super::{Author, PARTITION, Subject};
use crate::{
    contract::{Appended, MAX_BATCHES},
    error::{AppendError, Conflict, Refusal},
    row::Row,
};

/// Positions of the partition and versions of each stream count from 1 without holes.
pub async fn positions_and_versions_have_no_gaps(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    assert_eq!(author.ownership.tail, Position::new(0));
    let (a, b) = (author.stream("a").await, author.stream("b").await);
    let batches = vec![author.more(a, 3), author.more(b, 1), author.more(a, 1)];
    author.store(batches).await;
    let rows = all(&author).await;
    let mut expected = Position::new(1);
    for row in &rows {
        assert_eq!(row.position, expected);
        expected = row.last_position().next();
    }
    let versions = |stream| {
        rows.iter()
            .filter(move |row| row.stream == stream)
            .flat_map(Row::events)
    };
    assert!(
        versions(a)
            .map(|event| event.version)
            .eq((1..=6).map(Version::new))
    );
    assert!(
        versions(b)
            .map(|event| event.version)
            .eq((1..=3).map(Version::new))
    );
}

/// Everything that a batch says comes back as it was said.
pub async fn what_was_appended_reads_back_byte_for_byte(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let mut first = author.begin("größe-🎈'\"%");
    first.state = StreamState::Closed;
    let stream = first.stream;
    let batches = vec![first, author.more(stream, 4)];
    author.store(batches.clone()).await;
    let rows = all(&author).await;
    assert_eq!(rows.len(), batches.len());
    for (row, batch) in rows.into_iter().zip(batches) {
        let chain = row.chain;
        assert_ne!(chain, Digest::default());
        let mut expected = Row::new(batch, author.epoch());
        expected.chain = chain;
        assert_eq!(row, expected);
    }
}

/// A batch that does not begin right behind the tail is a conflict that says where the tail is.
pub async fn a_conflict_of_position_writes_nothing(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    author.stream("a").await;
    let skipped = author.begin("skipped");
    let late = author.begin("late");
    assert_conflict(
        &author,
        vec![late],
        Conflict::Position {
            given: Position::new(5),
            tail: Position::new(2),
        },
    )
    .await;
    let (position, stream) = (Position::new(2), StreamKey::new(1));
    let early = Batch {
        position,
        stream,
        name: None,
        version: Version::new(3),
        ..skipped
    };
    assert_conflict(
        &author,
        vec![early],
        Conflict::Position {
            given: Position::new(2),
            tail: Position::new(2),
        },
    )
    .await;
}

/// A batch that does not begin right behind the last version of its stream is a conflict, whether
/// it comes too early or too late, and whether the stream is open, closed or was never begun.
pub async fn a_conflict_of_version_writes_nothing(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let (open, closed) = (author.stream("open").await, author.stream("closed").await);
    let closing = author.close(closed);
    author.store(vec![closing]).await;
    let next = author.more(open, 1);
    for (stream, last) in [(open, 2), (closed, 3)] {
        for given in [2, last, last + 2] {
            let (given, last) = (Version::new(given), Version::new(last));
            let batch = Batch {
                stream,
                version: given,
                ..next.clone()
            };
            assert_conflict(
                &author,
                vec![batch],
                Conflict::Version {
                    stream,
                    given,
                    last,
                },
            )
            .await;
        }
    }
    let (stream, given) = (StreamKey::new(2), Version::new(2));
    let nowhere = Batch {
        stream,
        version: given,
        ..next
    };
    assert_conflict(
        &author,
        vec![nowhere],
        Conflict::Version {
            stream,
            given,
            last: Version::new(0),
        },
    )
    .await;
}

/// A name cannot begin a second stream, open or closed.
pub async fn a_name_begins_one_stream_only(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let stream = author.stream("a").await;
    let closing = author.close(stream);
    author.store(vec![closing]).await;
    let again = author.begin("a");
    let name = again.name.clone().expect("it begins a stream");
    assert_conflict(&author, vec![again], Conflict::Name { name }).await;
    let mut author = fresh(&author).await;
    let twins = vec![author.begin("twin"), author.begin("twin")];
    let refused = author.append(twins).await;
    assert!(
        matches!(
            refused,
            Err(AppendError::Refused(Refusal::Malformed { .. }))
        ),
        "{refused:?}"
    );
}

/// If one batch of an append conflicts, none of them is stored.
pub async fn one_conflict_leaves_nothing_of_its_append(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let stream = author.stream("a").await;
    let good = author.begin("b");
    let bad = Batch {
        version: Version::new(9),
        ..author.more(stream, 1)
    };
    let conflict = Conflict::Version {
        stream,
        given: Version::new(9),
        last: Version::new(2),
    };
    assert_conflict(&author, vec![good, bad], conflict).await;
    let mut author = fresh(&author).await;
    let (good, taken) = (author.begin("b"), author.begin("a"));
    let name = taken.name.clone().expect("it begins a stream");
    assert_conflict(&author, vec![good, taken], Conflict::Name { name }).await;
}

/// The largest append, over many streams, is there whole.
pub async fn an_append_over_several_streams_is_one(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let batches: Vec<_> = (0..MAX_BATCHES)
        .map(|index| author.begin(&format!("stream-{index}")))
        .collect();
    author.store(batches).await;
    assert_eq!(all(&author).await.len(), MAX_BATCHES);
    let batches = (0..=MAX_BATCHES)
        .map(|index| author.begin(&format!("more-{index}")))
        .collect();
    let refused = author.append(batches).await;
    assert!(
        matches!(
            refused,
            Err(AppendError::Refused(Refusal::TooMuch {
                what: "batches",
                ..
            }))
        ),
        "{refused:?}"
    );
}

/// The same append again, as after an answer that was lost, is answered with its place and stored
/// once, also when more has been appended behind it.
pub async fn appending_again_is_answered_with_the_place(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let batches = vec![author.begin("a"), author.begin("b")];
    let last = author.store(batches.clone()).await;
    assert_eq!(
        author.append(batches.clone()).await.expect("it is stored"),
        Appended {
            last,
            already: true
        }
    );
    author.stream("c").await;
    assert_eq!(
        author.append(batches).await.expect("it is stored"),
        Appended {
            last,
            already: true
        }
    );
    assert_eq!(all(&author).await.len(), 3);
}

/// An append of which only a part is stored is not answered as stored.
pub async fn appending_a_part_again_is_a_conflict(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let stored = author.begin("a");
    author.store(vec![stored.clone()]).await;
    let new = author.begin("b");
    let conflict = Conflict::Position {
        given: Position::new(1),
        tail: Position::new(2),
    };
    assert_conflict(&author, vec![stored, new], conflict).await;
}

/// One id must always mean one content.
pub async fn the_same_id_with_other_content_is_refused(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let batch = author.begin("a");
    author.store(vec![batch.clone()]).await;
    let other = Batch {
        digest: Digest([9; 32]),
        ..batch.clone()
    };
    let refused = author.append(vec![other]).await;
    assert!(
        matches!(&refused, Err(AppendError::Refused(Refusal::OtherContent { id })) if *id == batch.id),
        "{refused:?}"
    );
    let another = Batch {
        id: BatchId(5),
        ..batch
    };
    let conflict = Conflict::Position {
        given: Position::new(1),
        tail: Position::new(2),
    };
    assert_conflict(&author, vec![another], conflict).await;
}

/// An id is looked for where its batch would be, so using it on a second stream hides neither.
pub async fn one_id_on_two_streams_is_answered_for_each(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let a = author.begin("a");
    let b = Batch {
        id: a.id,
        ..author.begin("b")
    };
    author.store(vec![a.clone()]).await;
    author.store(vec![b.clone()]).await;
    for batch in [a, b] {
        let last = batch.last_position();
        assert_eq!(
            author.append(vec![batch]).await.expect("it is stored"),
            Appended {
                last,
                already: true
            }
        );
    }
}

/// Times never run back, neither between appends nor inside one; standing still is fine.
pub async fn a_clock_that_steps_back_is_refused(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let mut at = Time::from_micros(0);
    for name in ["a", "b"] {
        let batch = author.begin(name);
        at = batch.at;
        author.store(vec![batch]).await;
    }
    let earlier = Time::from_micros(at.as_micros() - 1);
    let (one, two) = (author.begin("c"), author.begin("d"));
    for times in [[earlier, at], [at, earlier]] {
        let batches = [&one, &two]
            .into_iter()
            .zip(times)
            .map(|(batch, at)| Batch {
                at,
                ..batch.clone()
            })
            .collect();
        let refused = author.append(batches).await;
        assert!(
            matches!(
                refused,
                Err(AppendError::Refused(Refusal::TimeRunsBack { .. }))
            ),
            "{refused:?}"
        );
    }
    author
        .store(vec![Batch { at, ..one }, Batch { at, ..two }])
        .await;
    let owned = author
        .log
        .acquire(PARTITION, Author::owner())
        .await
        .expect("it is still the owner");
    assert_eq!(owned.last_at, at);
}

/// What would not read back the same, or not make sense, is refused before it is written.
pub async fn batches_that_no_log_could_store_are_refused(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let fine = author.begin("a");
    let with = |change: fn(&mut Batch)| {
        let mut batch = fine.clone();
        change(&mut batch);
        vec![batch]
    };
    let malformed = [
        vec![],
        with(|batch| batch.events.clear()),
        with(|batch| batch.name = None),
        with(|batch| batch.version = Version::new(2)),
        with(|batch| batch.version = Version::new(0)),
        with(|batch| batch.stream = StreamKey::new(2)),
        with(|batch| batch.at = Time::from_micros(u64::MAX)),
        with(|batch| batch.events[0].control = "{".to_owned()),
        with(|batch| batch.events[0].control = " {} ".to_owned()),
        with(|batch| batch.events[0].data = Data::Inline("no json".into())),
        with(|batch| batch.events[0].kind = "two words".into()),
        vec![fine.clone(), fine.clone()],
    ];
    for batches in malformed {
        let refused = author.append(batches.clone()).await;
        assert!(
            matches!(
                refused,
                Err(AppendError::Refused(Refusal::Malformed { .. }))
            ),
            "{batches:?}: {refused:?}"
        );
    }
    author.store(vec![fine]).await;
}

/// A closed stream can be appended to, and counts on.
pub async fn a_closed_stream_goes_on_where_it_was(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let stream = author.stream("a").await;
    let closing = author.close(stream);
    author.store(vec![closing]).await;
    let late = vec![author.close(stream), author.more(stream, 2)];
    author.store(late).await;
    let rows = author
        .log
        .read_stream(PARTITION, stream, Version::new(1), 10)
        .await
        .expect("readable");
    assert_eq!(rows.last().map(Row::last_version), Some(Version::new(6)));
    let owned = author
        .log
        .acquire(PARTITION, Author::owner())
        .await
        .expect("it is still the owner");
    assert_eq!(owned.open, [stream]);
}

/// A caller that drops its future, at any point, leaves a whole append or none, and a log that
/// goes on.
pub async fn an_append_whose_caller_left_is_whole_or_absent(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    for round in 0..20 {
        let batches: Vec<_> = (0..5)
            .map(|index| author.begin(&format!("{round}-{index}")))
            .collect();
        {
            let mut append = pin!(author.append(batches.clone()));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..round % 4 {
                if append.as_mut().poll(&mut context).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // What was sent is finished before the log answers anything that was sent later.
        let before = all(&author).await.len();
        let appended = author.append(batches).await.expect("stored now or before");
        assert_eq!(
            all(&author).await.len(),
            5 * (round + 1),
            "{before} rows before, {appended:?}"
        );
    }
}

/// A refusal does not cost the ownership.
pub async fn a_refused_append_leaves_the_owner_able(subject: &dyn Subject) {
    let mut author = Author::of(subject).await;
    let fine = author.begin("a");
    let conflicting = Batch {
        position: Position::new(8),
        stream: StreamKey::new(8),
        ..fine.clone()
    };
    assert!(author.append(vec![conflicting]).await.is_err());
    author.store(vec![fine]).await;
}

/// All rows of the log.
pub(super) async fn all(author: &Author) -> Vec<Row> {
    author
        .log
        .read(PARTITION, Position::new(1), 10_000)
        .await
        .expect("readable")
}

async fn assert_conflict(author: &Author, batches: Vec<Batch>, expected: Conflict) {
    let before = all(author).await;
    match author.append(batches).await {
        Err(AppendError::Conflict(conflict)) => assert_eq!(conflict, expected),
        other => panic!("{expected:?} expected, got {other:?}"),
    }
    assert_eq!(all(author).await, before);
}

/// The same owner, after it has acquired again.
async fn fresh(author: &Author) -> Author {
    Author::on(author.log.clone()).await
}
