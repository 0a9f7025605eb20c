//! What is declared on the broker, and whether it is there as it is wanted.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lapin::{
    Channel, Connection, ErrorKind, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::time::timeout;

use crate::{
    queue::Queue,
    transport::{DeclareError, Difference},
};

/// Where participants may publish without asking for returns: what has no queue goes to the dead
/// letters.
pub(super) const EXCHANGE: &str = "sagalog";

/// Where the broker sends what it gives up on.
const DEAD_EXCHANGE: &str = "sagalog.dead";

/// How often a message may come back unacknowledged before the broker gives up on it. It counts lost
/// connections too, so it is far above what a restart or two can cause.
const DELIVERY_LIMIT: i32 = 100;

/// How many dead letters the broker keeps before it takes no more; then what is to die stays where
/// it is.
pub const DEAD_LETTERS_MAX: usize = 1_000_000;

/// How long a queue of one process outlives its last consumer: longer than a broker takes to start, and
/// a process to connect again.
const UNUSED: Duration = Duration::from_secs(10 * 60);

/// How long one declaration may take.
const DECLARING: Duration = Duration::from_secs(10);

/// The queues that were declared here: they are declared again with every new connection, as a
/// broker may come back without them.
#[derive(Default)]
pub(super) struct Topology {
    declared: Mutex<BTreeMap<Queue, usize>>,
}

impl Topology {
    /// Declares a queue, now and with every new connection.
    pub(super) async fn declare(
        &self,
        connection: &Connection,
        queue: &Queue,
        capacity: usize,
    ) -> Result<(), DeclareError> {
        declare(connection, queue, capacity).await?;
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.insert(queue.clone(), capacity);
        Ok(())
    }

    /// Declares a queue again if it was declared here: somebody may have deleted it.
    pub(super) async fn declare_again(
        &self,
        connection: &Connection,
        queue: &Queue,
    ) -> Result<(), DeclareError> {
        match self.declared().get(queue) {
            Some(capacity) => declare(connection, queue, *capacity).await,
            None => Ok(()),
        }
    }

    /// Declares the exchanges, the queue of dead letters, and all that was declared before.
    pub(super) async fn restore(&self, connection: &Connection) -> Result<(), DeclareError> {
        let channel = channel(connection).await?;
        within(async {
            let dead = exchange(
                &channel,
                DEAD_EXCHANGE,
                ExchangeKind::Fanout,
                FieldTable::default(),
            );
            dead.await?;
            let mut arguments = FieldTable::default();
            arguments.insert("alternate-exchange".into(), text(DEAD_EXCHANGE));
            exchange(&channel, EXCHANGE, ExchangeKind::Direct, arguments).await
        })
        .await
        .map_err(unavailable)?;
        declare(connection, &Queue::dead_letters(), DEAD_LETTERS_MAX).await?;
        for (queue, capacity) in self.declared() {
            declare(connection, &queue, capacity).await?;
        }
        Ok(())
    }

    fn declared(&self) -> BTreeMap<Queue, usize> {
        let declared = self.declared.lock();
        declared.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A queue, bound to the exchange that it is reached by.
async fn declare(
    connection: &Connection,
    queue: &Queue,
    capacity: usize,
) -> Result<(), DeclareError> {
    let channel = declare_only(connection, queue, arguments(queue, capacity)).await?;
    let (exchange, key) = if *queue == Queue::dead_letters() {
        (DEAD_EXCHANGE, "")
    } else {
        (EXCHANGE, queue.as_str())
    };
    let binding = channel.queue_bind(
        queue.as_str().into(),
        exchange.into(),
        key.into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    within(binding).await.map_err(unavailable)
}

/// A queue with these arguments, and the channel that it was declared on.
///
/// Each has a channel of its own: a refusal ends the channel.
pub(super) async fn declare_only(
    connection: &Connection,
    queue: &Queue,
    arguments: FieldTable,
) -> Result<Channel, DeclareError> {
    let channel = channel(connection).await?;
    let name = queue.as_str().into();
    let declaring = channel.queue_declare(name, QueueDeclareOptions::durable(), arguments);
    within(declaring)
        .await
        .map_err(|error| different(queue, &error).unwrap_or_else(|| unavailable(error)))?;
    Ok(channel)
}

/// The table of `docs/protocol.md`.
fn arguments(queue: &Queue, capacity: usize) -> FieldTable {
    let mut arguments = FieldTable::default();
    let mut set = |name: &str, value| {
        arguments.insert(name.into(), value);
    };
    let own = queue.is_of_one_process();
    set("x-queue-type", text(if own { "classic" } else { "quorum" }));
    // The broker refuses what comes when there is more than this.
    let length = i64::try_from(capacity - 1).unwrap_or(i64::MAX);
    set("x-max-length", AMQPValue::LongLongInt(length));
    set("x-overflow", text("reject-publish"));
    if own {
        // What is lost here is asked for again, so it is not copied, nor kept when nobody wants it.
        let unused = i32::try_from(UNUSED.as_millis()).expect("some minutes");
        set("x-expires", AMQPValue::LongInt(unused));
        return arguments;
    }
    if *queue == Queue::dead_letters() {
        // Behind this queue there is nothing, so nothing may be given up here.
        set("x-delivery-limit", AMQPValue::LongInt(i32::MAX));
        return arguments;
    }
    set("x-delivery-limit", AMQPValue::LongInt(DELIVERY_LIMIT));
    set("x-dead-letter-exchange", text(DEAD_EXCHANGE));
    set("x-dead-letter-strategy", text("at-least-once"));
    if queue.has_one_consumer() {
        set("x-single-active-consumer", AMQPValue::Boolean(true));
    }
    arguments
}

async fn exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
    arguments: FieldTable,
) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(name.into(), kind, options, arguments)
        .await
}

async fn channel(connection: &Connection) -> Result<Channel, DeclareError> {
    within(connection.create_channel())
        .await
        .map_err(unavailable)
}

async fn within<T>(declaring: impl Future<Output = lapin::Result<T>>) -> lapin::Result<T> {
    let declared = timeout(DECLARING, declaring).await;
    declared.unwrap_or_else(|late| Err(std::io::Error::other(late).into()))
}

pub(super) fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn unavailable(error: lapin::Error) -> DeclareError {
    DeclareError::Unavailable(error.into())
}

/// What the broker says about a queue that is there otherwise: it names the first difference.
fn different(queue: &Queue, error: &lapin::Error) -> Option<DeclareError> {
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return None;
    };
    if error.get_id() != 406 {
        return None;
    }
    Some(DeclareError::Different {
        queue: queue.clone(),
        difference: difference(error.get_message().as_str()),
    })
}

/// Reads `inequivalent arg 'x-max-length' for queue 'q' in vhost 'v': received '20' but current is '10'`.
fn difference(told: &str) -> Difference {
    let read = || {
        let (_, rest) = told.split_once("inequivalent arg '")?;
        let (what, rest) = rest.split_once('\'')?;
        let (_, rest) = rest.split_once("received ")?;
        let (wanted, there) = rest.split_once(" but current is ")?;
        Some(Difference {
            what: what.into(),
            wanted: value(wanted),
            there: value(there),
        })
    };
    read().unwrap_or_else(|| Difference {
        what: told.into(),
        wanted: "something else".into(),
        there: "that".into(),
    })
}

/// The value among `the value '20' of type 'signedint'`, `'20'` and `none`.
fn value(told: &str) -> String {
    let quoted = told.split('\'').nth(1);
    quoted.unwrap_or_else(|| told.trim()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_s_refusal_is_read() {
        let plain = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': \
                     received 'true' but current is 'false'";
        let typed = "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': \
                     received the value '19' of type 'signedint' but current is none";
        let told = [plain, typed].map(|told| {
            let found = difference(told);
            (found.what, found.wanted, found.there)
        });
        let expected = [("durable", "true", "false"), ("x-max-length", "19", "none")];
        assert_eq!(
            told,
            expected.map(|(a, b, c)| (a.into(), b.into(), c.into()))
        );
    }
}
