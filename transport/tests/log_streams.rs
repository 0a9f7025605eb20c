//! The streams of a published log keep their contract, in one process and over RabbitMQ, and readers go on
//! rightly when a stream or the broker is not what it was.

mod broker;

use std::time::Duration;

use lapin::{Connection, ConnectionProperties, options::QueueDeleteOptions};
use sagalog_model::log::PartitionId;
use sagalog_transport::{
    DeclareError, InProcessStreams, LogStreams, RabbitStreams, StreamMessage, StreamReader,
    StreamStart, conformance, for_each_stream_property, rabbitmq::StreamBounds,
};

use broker::Broker;

/// Far beyond what any of them needs: what does not hold often shows as waiting for ever.
const LIMIT: Duration = Duration::from_secs(180);

const PARTITION: PartitionId = PartitionId::new(0);

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(LIMIT, work).await;
    ended.expect("it came to an end")
}

mod in_process {
    use super::*;

    macro_rules! keeps {
        ($($property:ident)+) => {
            $(
                #[tokio::test]
                async fn $property() {
                    let streams = InProcessStreams::keeping(10_000);
                    in_time(conformance::streams::$property(&streams)).await;
                }
            )+
        };
    }

    for_each_stream_property!(keeps);

    #[tokio::test]
    async fn a_reader_of_a_stream_made_anew_begins_at_its_beginning() {
        let streams = InProcessStreams::keeping(10);
        in_time(a_stream_is_made_anew(&streams, async || {
            streams.delete(PARTITION)
        }))
        .await;
    }

    #[tokio::test]
    async fn a_reader_whose_place_was_cut_off_goes_on_with_the_oldest_message() {
        let streams = InProcessStreams::keeping(10);
        publish(&streams, 0..10).await;
        let mut reader = streams.read(PARTITION, StreamStart::First);
        assert_eq!(in_time(read(&mut *reader, 5)).await, texts(0..5));
        publish(&streams, 10..30).await;
        assert_eq!(in_time(read(&mut *reader, 10)).await, texts(20..30));
    }
}

mod rabbitmq {
    use super::*;

    macro_rules! keeps {
        ($($property:ident)+) => {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $property() {
                    let streams = connect(&Broker::shared().url()).await;
                    in_time(conformance::streams::$property(&streams)).await;
                }
            )+
        };
    }

    for_each_stream_property!(keeps);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_reader_of_a_stream_made_anew_begins_at_its_beginning() {
        let url = Broker::shared().url();
        let streams = connect(&url).await;
        in_time(a_stream_is_made_anew(&streams, async || delete(&url).await)).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_place_that_a_new_stream_never_had_is_looked_for_from_its_beginning() {
        let url = Broker::shared().url();
        let streams = connect(&url).await;
        publish(&streams, 0..3).await;
        // Nothing comes behind these, which would show that the stream is another one.
        let mut reader = streams.read(PARTITION, StreamStart::At(100));
        assert_eq!(in_time(read(&mut *reader, 3)).await, texts(0..3));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_confirmed_survives_a_kill_and_readers_go_on_behind_what_they_read() {
        let broker = Broker::start(1);
        let streams = connect(&broker.url()).await;
        publish(&streams, 0..500).await;
        let mut reader = streams.read(PARTITION, StreamStart::First);
        let mut seen = in_time(read(&mut *reader, 200)).await;
        tokio::task::block_in_place(|| {
            broker.wait_until_streams_are_written();
            broker.kill();
            broker.start_again();
        });
        in_time(publish(&streams, 500..700)).await;
        // What was not confirmed when the broker died may be there twice.
        while seen.last() != texts(699..700).last() {
            let text = in_time(read(&mut *reader, 1)).await.remove(0);
            if !seen.contains(&text) {
                seen.push(text);
            }
        }
        assert_eq!(seen, texts(0..700));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_old_is_cut_off_and_a_reader_goes_on_with_the_oldest_message() {
        let bounds = StreamBounds {
            bytes_max: 20_000,
            segment_bytes: 5_000,
            ..StreamBounds::default()
        };
        let url = Broker::shared().url();
        let streams = RabbitStreams::connect_with(&url, bounds).await;
        let streams = streams.expect("the broker is there");
        for number in (0..2_000).step_by(10) {
            publish(&streams, number..number + 10).await;
        }
        let mut reader = streams.read(PARTITION, StreamStart::At(1));
        let oldest = in_time(read(&mut *reader, 1)).await;
        let number: usize = oldest[0].parse().expect("a number");
        assert!(number > 100, "{number} was kept");
        let rest = in_time(read(&mut *reader, 2_000 - number - 1)).await;
        assert_eq!(rest, texts(number + 1..2_000));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_stream_with_other_bounds_is_refused_with_what_is_there() {
        let url = Broker::shared().url();
        connect(&url).await.declare(PARTITION).await.expect("new");
        let bounds = StreamBounds {
            bytes_max: 5 << 30,
            ..StreamBounds::default()
        };
        let other = RabbitStreams::connect_with(&url, bounds).await;
        let refused = other.expect("it is there").declare(PARTITION).await;
        let Err(DeclareError::Different { queue, difference }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(queue.as_str(), "log.0");
        let told = difference.to_string();
        let expected = "its x-max-length-bytes is 1073741824, wanted is 5368709120";
        assert_eq!(told, expected);
    }

    async fn connect(url: &str) -> RabbitStreams {
        let streams = RabbitStreams::connect(url).await;
        streams.expect("the broker is there")
    }

    async fn delete(url: &str) {
        let connection = Connection::connect(url, ConnectionProperties::default()).await;
        let connection = connection.expect("the broker is there");
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeleteOptions::default();
        let deleted = channel.queue_delete("log.0".into(), options).await;
        deleted.expect("it is there");
    }
}

async fn a_stream_is_made_anew(streams: &dyn LogStreams, delete: impl AsyncFnOnce()) {
    publish(streams, 0..10).await;
    let mut reader = streams.read(PARTITION, StreamStart::First);
    assert_eq!(read(&mut *reader, 8).await, texts(0..8));
    delete().await;
    publish(streams, 20..23).await;
    let rest = read(&mut *reader, 3).await;
    // What had been on its way to the reader may come first.
    let rest = match rest.iter().position(|text| text == "20") {
        Some(0) => rest,
        Some(before) => [rest, read(&mut *reader, before).await]
            .concat()
            .split_off(before),
        None => read(&mut *reader, 3).await,
    };
    assert_eq!(rest, texts(20..23));
}

fn texts(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

/// Publishes until it is confirmed.
async fn publish(streams: &dyn LogStreams, numbers: std::ops::Range<usize>) {
    loop {
        let declared = streams.declare(PARTITION).await;
        if declared.is_ok()
            && streams
                .publish(PARTITION, texts(numbers.clone()))
                .await
                .is_ok()
        {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn read(reader: &mut dyn StreamReader, count: usize) -> Vec<String> {
    let mut read: Vec<StreamMessage> = Vec::new();
    while read.len() < count {
        let left = count - read.len();
        reader.next(&mut read, left).await.expect("it is open");
    }
    read.into_iter().map(|message| message.content).collect()
}
