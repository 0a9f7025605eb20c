//! The streams of a published log over RabbitMQ: a stream queue for each partition.
//!
//! They have connections of their own. Commands and replies must not wait because a stream does: a
//! connection that publishes faster than a stream takes is held up by the broker as a whole.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::{
    Channel, ErrorKind,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};
use sagalog_model::log::PartitionId;
use sha2::{Digest as _, Sha256};
use tokio::{
    select,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    address::{Address, ConnectError},
    envelope,
    link::{Cause, Link, PATIENCE},
    publisher::Publisher,
    topology::{self, Topology},
};
use crate::{
    log_streams::{Closed, LogStreams, StreamError, StreamMessage, StreamReader, StreamStart},
    message::{Kind, Message, MessageId},
    queue::Queue,
    transport::{DeclareError, WhyUndelivered},
};

/// After how long a stream that gives nothing is taken for empty. One that has messages gives the first
/// within milliseconds.
pub const QUIET: Duration = Duration::from_secs(6);

/// How often it is asked anew in this time: right after a start of the broker a consumer may be left waiting
/// at what kept the stream before.
const QUIET_TRIES: u32 = 4;

/// After how long a reader that gets nothing begins again where it is. The broker does not always tell that a
/// stream was deleted: one that is made anew at once leaves its readers waiting.
const IDLE: Duration = Duration::from_secs(10);

/// How long to wait before a stream is tried again that could not be read.
const READ_AGAIN: Duration = Duration::from_millis(500);

/// How long to wait before a stream is declared again that could not be declared.
const DECLARE_AGAIN: Duration = Duration::from_millis(100);

/// Messages that the broker hands out to a reader before they were taken.
const PREFETCH: u16 = 64;

/// How much of a log its streams keep. The broker cuts off whole segments, the oldest first, once a
/// stream is larger or they are older than this; it always keeps the last one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StreamBounds {
    /// The size of the stream of one partition, in bytes.
    pub bytes_max: u64,
    /// The age of what is kept, by the broker's clock.
    pub age_max: Duration,
    /// The size of one segment, in bytes.
    pub segment_bytes: u64,
}

impl Default for StreamBounds {
    /// 1 GiB and 7 days, in segments of 64 MiB.
    fn default() -> Self {
        Self {
            bytes_max: 1 << 30,
            age_max: Duration::from_secs(7 * 24 * 60 * 60),
            segment_bytes: 64 << 20,
        }
    }
}

/// The streams of a published log over RabbitMQ 3.10 and later: `log.0`, `log.1`, …
pub struct RabbitStreams {
    bounds: StreamBounds,
    publishing: Arc<Link>,
    reading: Arc<Link>,
    publisher: Publisher,
    closed: CancellationToken,
}

impl RabbitStreams {
    /// Connects, with the default bounds for streams that are not there yet. Must be called inside tokio.
    ///
    /// The URL is that of [`RabbitMq::connect`](super::RabbitMq::connect).
    ///
    /// # Errors
    /// [`ConnectError`] says what to put right. This does not wait for a broker that is not there.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::connect_with(url, StreamBounds::default()).await
    }

    /// Connects, with these bounds. A stream that is there with others is refused when it is declared.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(url: &str, bounds: StreamBounds) -> Result<Self, ConnectError> {
        let address = Arc::new(Address::parse(url)?);
        address.check_version().await?;
        let closed = CancellationToken::new();
        let link = |purpose| {
            // The streams are declared one by one, so that one that is not well keeps no other back.
            let topology = Arc::new(Topology::default());
            Arc::new(Link::new(
                address.clone(),
                topology,
                purpose,
                closed.clone(),
            ))
        };
        let (publishing, reading) = (link("publishes the log"), link("reads the published log"));
        reading.open().await?;
        Ok(Self {
            bounds,
            // One window at a time: a caller that gave up does not overtake itself.
            publisher: Publisher::start(&publishing, 1, &closed),
            publishing,
            reading,
            closed,
        })
    }

    async fn declare_once(&self, stream: &Queue) -> Result<(), DeclareError> {
        let connection = self.reading.connection().await;
        let connection = connection.map_err(DeclareError::Unavailable)?;
        let declared = topology::declare_only(&connection, stream, arguments(self.bounds)).await;
        if let Err(DeclareError::Unavailable(error)) = &declared
            && !is_refusal(error)
        {
            // It may have no channels left, as the client library keeps some that were refused.
            self.reading.drop_connection(&connection).await;
        }
        declared.map(drop)
    }

    async fn unless_closed<T>(&self, work: impl Future<Output = T>) -> Result<T, Closed> {
        self.closed.run_until_cancelled(work).await.ok_or(Closed)
    }
}

#[async_trait]
impl LogStreams for RabbitStreams {
    async fn declare(&self, partition: PartitionId) -> Result<(), DeclareError> {
        let stream = Queue::log(partition.get());
        let declaring = self.unless_closed(async {
            let end = Instant::now() + PATIENCE;
            loop {
                match self.declare_once(&stream).await {
                    // A stream is not there for some moments after its broker has started.
                    Err(DeclareError::Unavailable(_)) if Instant::now() < end => {
                        sleep(DECLARE_AGAIN).await;
                    }
                    declared => return declared,
                }
            }
        });
        declaring.await.map_err(|_| DeclareError::Closed)?
    }

    async fn last(&self, partition: PartitionId) -> Result<Option<StreamMessage>, StreamError> {
        let stream = Queue::log(partition.get());
        let looking = self.unless_closed(async {
            for _ in 0..QUIET_TRIES {
                let looking = look(&self.reading, &stream);
                if let Ok(last) = timeout(QUIET / QUIET_TRIES, looking).await {
                    return last.map(Some);
                }
            }
            Ok(None)
        });
        looking.await?.map_err(StreamError::Unavailable)
    }

    async fn publish(
        &self,
        partition: PartitionId,
        contents: Vec<String>,
    ) -> Result<(), StreamError> {
        let stream = Queue::log(partition.get());
        let unconfirmed = |why: WhyUndelivered| StreamError::Unconfirmed {
            stream: stream.to_string(),
            why,
        };
        let outgoing = contents.into_iter().map(|content| {
            let message = message(partition, content);
            envelope::write(&message).map_err(|_| unconfirmed(WhyUndelivered::TooLarge))
        });
        let outgoing = outgoing.collect::<Result<_, _>>()?;
        let taken = self.publisher.publish(outgoing).await;
        match taken.into_iter().find_map(Result::err) {
            None => Ok(()),
            Some(WhyUndelivered::Closed) => Err(Closed.into()),
            Some(why) => Err(unconfirmed(why)),
        }
    }

    fn read(&self, partition: PartitionId, from: StreamStart) -> Box<dyn StreamReader> {
        Box::new(Reader {
            stream: Queue::log(partition.get()),
            link: self.reading.clone(),
            closed: self.closed.clone(),
            place: match from {
                StreamStart::First => Place::First,
                StreamStart::At(offset) => Place::At(offset),
            },
            open: None,
            quiet_tries: 0,
            is_told: false,
        })
    }

    async fn close(&self) {
        self.closed.cancel();
        tokio::join!(self.publishing.close(), self.reading.close());
    }
}

/// The table of `docs/protocol.md`.
fn arguments(bounds: StreamBounds) -> FieldTable {
    let number = |bytes| AMQPValue::LongLongInt(i64::try_from(bytes).unwrap_or(i64::MAX));
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), topology::text("stream"));
    arguments.insert("x-max-length-bytes".into(), number(bounds.bytes_max));
    let age = format!("{}s", bounds.age_max.as_secs().max(1));
    arguments.insert("x-max-age".into(), topology::text(&age));
    let segment = number(bounds.segment_bytes);
    arguments.insert("x-stream-max-segment-size-bytes".into(), segment);
    arguments
}

/// Whether the broker answered, and only this was refused.
fn is_refusal(error: &Cause) -> bool {
    let told = error.downcast_ref().map(lapin::Error::kind);
    matches!(told, Some(ErrorKind::ProtocolError(_)))
}

/// The envelope of what is published; the same content has the same id.
pub(super) fn message(partition: PartitionId, content: String) -> Message {
    let hash: [u8; 32] = Sha256::digest(content.as_bytes()).into();
    let (head, _) = hash.split_first_chunk().expect("a SHA-256 has 32 bytes");
    let id = MessageId(u128::from_be_bytes(*head));
    let [from, to] = [Queue::inbox(partition.get()), Queue::log(partition.get())];
    Message::new(id, Kind::Event, from, to, content)
}

/// A message as it arrived, and its id. One that cannot be read is as good as one that is missing, which
/// readers find out.
fn read(arrival: Delivery, stream: &Queue) -> Option<(StreamMessage, MessageId)> {
    let offset = offset(&arrival)?;
    match envelope::read(&arrival, stream) {
        Ok(message) => {
            let content = message.content;
            Some((StreamMessage { offset, content }, message.id))
        }
        Err(unreadable) => {
            warn!(%stream, offset, %unreadable, "a message of the published log is passed over");
            None
        }
    }
}

fn offset(arrival: &Delivery) -> Option<u64> {
    let headers = arrival.properties.headers().as_ref()?;
    match headers.inner().get("x-stream-offset")? {
        AMQPValue::LongLongInt(offset) => u64::try_from(*offset).ok(),
        _ => None,
    }
}

/// A consumer of a stream, on a channel of its own.
struct Open {
    channel: Channel,
    arriving: lapin::Consumer,
    /// Whether its first message was seen.
    is_seen: bool,
    quiet_since: Instant,
}

impl Open {
    /// Says that everything up to this one was taken, so that more is handed out. The stream keeps it.
    fn acknowledge(&self, arrival: &Delivery) {
        let all = BasicAckOptions { multiple: true };
        // If the channel is lost, nothing needs this any more.
        _ = self
            .channel
            .basic_ack(arrival.delivery_tag, all)
            .now_or_never();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        _ = self.channel.close(200, "done".into()).now_or_never();
    }
}

async fn open(
    link: &Arc<Link>,
    stream: &Queue,
    prefetch: u16,
    from: AMQPValue,
) -> Result<Open, Cause> {
    let channel = link.channel().await?;
    let begun = timeout(PATIENCE, async {
        let qos = BasicQosOptions::default();
        channel.basic_qos(prefetch, qos).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), from);
        let (name, options) = (stream.as_str().into(), BasicConsumeOptions::default());
        channel
            .basic_consume(name, "".into(), options, arguments)
            .await
    });
    let arriving = begun.await.map_err(|_| "the stream does not answer")??;
    Ok(Open {
        channel,
        arriving,
        is_seen: false,
        quiet_since: Instant::now(),
    })
}

/// The first message that a consumer gets that begins with the last ones.
async fn look(link: &Arc<Link>, stream: &Queue) -> Result<StreamMessage, Cause> {
    let mut open = open(link, stream, 1, topology::text("last")).await?;
    loop {
        let arrival = open.arriving.next().await;
        let arrival = arrival.ok_or("the stream was deleted or the connection lost")??;
        open.acknowledge(&arrival);
        if let Some((message, _)) = read(arrival, stream) {
            return Ok(message);
        }
    }
}

/// Where a reader is.
#[derive(Clone, Copy)]
enum Place {
    /// Before all there is.
    First,
    /// Before the message at this offset, which must be there or have been cut off.
    At(u64),
    /// Behind this message, which must be there or have been cut off.
    Behind(u64, MessageId),
}

struct Reader {
    stream: Queue,
    link: Arc<Link>,
    closed: CancellationToken,
    place: Place,
    /// What is read from.
    open: Option<Open>,
    /// How often in a row the place gave nothing, though a message must be there.
    quiet_tries: u32,
    /// Whether it was said that it cannot be read now.
    is_told: bool,
}

impl Reader {
    /// Makes sure that something is read from. Cancelled, it begins anew.
    async fn open(&mut self) {
        while self.open.is_none() {
            let from = match self.place {
                Place::First => topology::text("first"),
                // The last one that was read, so that it shows whether the stream is still the same.
                Place::At(offset) | Place::Behind(offset, _) => {
                    AMQPValue::LongLongInt(i64::try_from(offset).unwrap_or(i64::MAX))
                }
            };
            match open(&self.link, &self.stream, PREFETCH, from).await {
                Ok(open) => {
                    if std::mem::take(&mut self.is_told) {
                        info!(stream = %self.stream, "the published log is read again");
                    }
                    self.open = Some(open);
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_told, true) {
                        warn!(stream = %self.stream, error, "the published log cannot be read now");
                    }
                    sleep(READ_AGAIN).await;
                }
            }
        }
    }

    /// The next arrival, or nothing if it is to be read from the place anew. Cancelled, it has taken
    /// nothing.
    async fn arrival(&mut self) -> Option<Delivery> {
        self.open().await;
        let open = self.open.as_mut()?;
        let patience = if open.is_seen {
            IDLE
        } else {
            QUIET / QUIET_TRIES
        };
        // Whoever waits may do so in short pieces, so the time counts from the last arrival.
        let arrival = timeout_at(open.quiet_since + patience, open.arriving.next()).await;
        let Ok(arrival) = arrival else {
            let must_be_there = !open.is_seen && !matches!(self.place, Place::First);
            self.open = None;
            self.quiet_tries += u32::from(must_be_there);
            if self.quiet_tries >= QUIET_TRIES {
                self.begin_anew("it ends before the place that was read last");
            }
            return None;
        };
        self.quiet_tries = 0;
        open.quiet_since = Instant::now();
        if !matches!(arrival, Some(Ok(_))) {
            self.open = None;
        }
        arrival?.ok()
    }

    /// The message, if it is behind the place.
    fn take(&mut self, arrival: Delivery) -> Option<StreamMessage> {
        let open = self.open.as_mut()?;
        let is_first = !std::mem::replace(&mut open.is_seen, true);
        open.acknowledge(&arrival);
        let found = offset(&arrival)?;
        let read = read(arrival, &self.stream);
        let id = read.as_ref().map(|(_, id)| *id);
        if is_first {
            match self.place {
                Place::At(offset) | Place::Behind(offset, _) if found < offset => {
                    self.begin_anew("it is shorter than what was read");
                    return None;
                }
                Place::Behind(offset, known) if found == offset => {
                    if id != Some(known) {
                        self.begin_anew("it has another message where one was read");
                    }
                    return None;
                }
                _ => {}
            }
        }
        let (message, id) = read?;
        self.place = Place::Behind(message.offset, id);
        Some(message)
    }

    /// The stream is not the one that was read from.
    fn begin_anew(&mut self, why: &str) {
        warn!(stream = %self.stream, why, "the stream was made anew and is read from its beginning");
        self.place = Place::First;
        self.open = None;
        self.quiet_tries = 0;
    }
}

#[async_trait]
impl StreamReader for Reader {
    async fn next(&mut self, into: &mut Vec<StreamMessage>, max: usize) -> Result<(), Closed> {
        let enough = into.len() + max.max(1);
        let received = into.len();
        let closed = self.closed.clone();
        while into.len() == received {
            let arrival = select! {
                biased;
                () = closed.cancelled() => return Err(Closed),
                arrival = self.arrival() => arrival,
            };
            into.extend(arrival.and_then(|arrival| self.take(arrival)));
        }
        while into.len() < enough
            && let Some(open) = &mut self.open
            && let Some(Some(Ok(arrival))) = open.arriving.next().now_or_never()
        {
            into.extend(self.take(arrival));
        }
        Ok(())
    }
}
