//! What the streams of every published log must show: one public function per property, named as a
//! sentence, as those of transports. [`for_each_stream_property!`](crate::for_each_stream_property) keeps
//! their list.

use sagalog_model::log::PartitionId;

use super::waits;
use crate::log_streams::{
    Closed, LogStreams, StreamError, StreamMessage, StreamReader, StreamStart,
};

/// Calls a macro once with the names of all properties.
#[macro_export]
macro_rules! for_each_stream_property {
    ($run:ident) => {
        $run! {
            an_empty_stream_has_no_last_message
            what_was_published_is_read_in_order
            reading_begins_at_an_offset
            every_reader_reads_everything
            the_last_message_is_near_the_end
            a_reader_waits_for_what_comes
            no_more_is_read_than_was_asked_for
            what_is_published_twice_is_there_twice
            partitions_have_streams_of_their_own
            a_cancelled_read_loses_nothing
            declaring_a_stream_again_keeps_its_messages
            closing_wakes_readers_and_refuses_publishers
        }
    };
}

const ONE: PartitionId = PartitionId::new(1);
const TWO: PartitionId = PartitionId::new(2);

/// Messages that are more than one window, chunk or prefetch of a broker.
const MANY: usize = 1_000;

fn numbered(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers
        .map(|number| format!("{{\"number\":{number}}}"))
        .collect()
}

async fn declare(streams: &dyn LogStreams) {
    for partition in [ONE, TWO] {
        let declared = streams.declare(partition).await;
        declared.expect("a new stream can be declared");
    }
}

async fn publish(streams: &dyn LogStreams, contents: &[String]) {
    let published = streams.publish(ONE, contents.to_vec()).await;
    published.expect("a declared stream takes messages");
}

async fn read(reader: &mut dyn StreamReader, count: usize) -> Vec<StreamMessage> {
    let mut read = Vec::new();
    while read.len() < count {
        let left = count - read.len();
        reader.next(&mut read, left).await.expect("it is open");
    }
    read
}

fn contents(messages: &[StreamMessage]) -> Vec<&str> {
    let contents = messages.iter().map(|message| &*message.content);
    contents.collect()
}

/// Nothing was published, so there is nothing to go on from.
pub async fn an_empty_stream_has_no_last_message(streams: &dyn LogStreams) {
    declare(streams).await;
    let last = streams.last(ONE).await.expect("it can be looked at");
    assert_eq!(last, None);
}

/// In the order of publishing, at rising offsets.
pub async fn what_was_published_is_read_in_order(streams: &dyn LogStreams) {
    declare(streams).await;
    let all = numbered(0..MANY);
    publish(streams, &all[..10]).await;
    publish(streams, &all[10..]).await;
    let messages = read(&mut *streams.read(ONE, StreamStart::First), MANY).await;
    assert_eq!(contents(&messages), all);
    assert!(messages.is_sorted_by(|one, next| one.offset < next.offset));
}

/// An offset that was seen names its message for every reader.
pub async fn reading_begins_at_an_offset(streams: &dyn LogStreams) {
    declare(streams).await;
    let all = numbered(0..MANY);
    publish(streams, &all).await;
    let messages = read(&mut *streams.read(ONE, StreamStart::First), MANY).await;
    for begin in [0, 1, 567, MANY - 1] {
        let start = StreamStart::At(messages[begin].offset);
        let rest = read(&mut *streams.read(ONE, start), MANY - begin).await;
        assert_eq!(rest, messages[begin..]);
    }
}

/// Reading takes nothing away.
pub async fn every_reader_reads_everything(streams: &dyn LogStreams) {
    declare(streams).await;
    let all = numbered(0..10);
    publish(streams, &all).await;
    let mut readers = [(); 3].map(|()| streams.read(ONE, StreamStart::First));
    for reader in &mut readers {
        assert_eq!(contents(&read(&mut **reader, 10).await), all);
    }
}

/// Who reads on from it misses nothing.
pub async fn the_last_message_is_near_the_end(streams: &dyn LogStreams) {
    declare(streams).await;
    publish(streams, &numbered(0..MANY)).await;
    publish(streams, &numbered(MANY..MANY + 1)).await;
    let last = streams.last(ONE).await.expect("it can be looked at");
    let last = last.expect("there are messages");
    let messages = read(&mut *streams.read(ONE, StreamStart::First), MANY + 1).await;
    let place = messages.iter().position(|message| *message == last);
    let place = place.expect("it is one of them");
    assert!(place > MANY / 2, "{place} is not near the end");
}

/// A reader is there for what comes later, also if it was there first.
pub async fn a_reader_waits_for_what_comes(streams: &dyn LogStreams) {
    declare(streams).await;
    let mut reader = streams.read(ONE, StreamStart::First);
    let mut messages = Vec::new();
    assert!(waits(reader.next(&mut messages, 10)).await);
    for number in 0..5 {
        let one = numbered(number..number + 1);
        publish(streams, &one).await;
        assert_eq!(contents(&read(&mut *reader, 1).await), one);
    }
}

/// The rest comes next.
pub async fn no_more_is_read_than_was_asked_for(streams: &dyn LogStreams) {
    declare(streams).await;
    let all = numbered(0..20);
    publish(streams, &all).await;
    let mut reader = streams.read(ONE, StreamStart::First);
    let mut messages = Vec::new();
    while messages.len() < all.len() {
        let before = messages.len();
        reader.next(&mut messages, 3).await.expect("it is open");
        assert!((before + 1..=before + 3).contains(&messages.len()));
    }
    assert_eq!(contents(&messages), all);
}

/// Readers recognise by what a message says that they had it.
pub async fn what_is_published_twice_is_there_twice(streams: &dyn LogStreams) {
    declare(streams).await;
    let all = numbered(0..3);
    publish(streams, &all).await;
    publish(streams, &all).await;
    let messages = read(&mut *streams.read(ONE, StreamStart::First), 6).await;
    assert_eq!(contents(&messages), [&all[..], &all[..]].concat());
}

/// What is published to one is not in another.
pub async fn partitions_have_streams_of_their_own(streams: &dyn LogStreams) {
    declare(streams).await;
    for (partition, numbers) in [(ONE, 0..5), (TWO, 5..10), (ONE, 10..15)] {
        let published = streams.publish(partition, numbered(numbers)).await;
        published.expect("a declared stream takes messages");
    }
    let ones = read(&mut *streams.read(ONE, StreamStart::First), 10).await;
    let twos = read(&mut *streams.read(TWO, StreamStart::First), 5).await;
    assert_eq!(contents(&ones), [numbered(0..5), numbered(10..15)].concat());
    assert_eq!(contents(&twos), numbered(5..10));
}

/// Whoever waits for something else as well may drop the future.
pub async fn a_cancelled_read_loses_nothing(streams: &dyn LogStreams) {
    declare(streams).await;
    let all = numbered(0..10);
    let mut reader = streams.read(ONE, StreamStart::First);
    let mut messages = Vec::new();
    for one in all.chunks(1) {
        _ = waits(reader.next(&mut messages, 1)).await;
        publish(streams, one).await;
        _ = waits(reader.next(&mut messages, 1)).await;
    }
    while messages.len() < all.len() {
        reader.next(&mut messages, 1).await.expect("it is open");
    }
    assert_eq!(contents(&messages), all);
}

/// So every owner may declare it.
pub async fn declaring_a_stream_again_keeps_its_messages(streams: &dyn LogStreams) {
    declare(streams).await;
    publish(streams, &numbered(0..3)).await;
    declare(streams).await;
    let messages = read(&mut *streams.read(ONE, StreamStart::First), 3).await;
    assert_eq!(contents(&messages), numbered(0..3));
}

/// Nobody is left waiting.
pub async fn closing_wakes_readers_and_refuses_publishers(streams: &dyn LogStreams) {
    declare(streams).await;
    let mut reader = streams.read(ONE, StreamStart::First);
    let mut messages = Vec::new();
    let reading = reader.next(&mut messages, 1);
    let mut reading = std::pin::pin!(reading);
    assert!(waits(reading.as_mut()).await);
    streams.close().await;
    assert_eq!(reading.await, Err(Closed));
    let refused = streams.publish(ONE, numbered(0..1)).await;
    assert!(
        matches!(refused, Err(StreamError::Closed(_))),
        "{refused:?}"
    );
    let refused = streams.last(ONE).await;
    assert!(
        matches!(refused, Err(StreamError::Closed(_))),
        "{refused:?}"
    );
}
