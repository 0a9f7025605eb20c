//! The broker that a command's processes reach each other over.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use sagalog::{LogStreams, RabbitMq, RabbitStreams, Transport};
use sagalog_transport::rabbitmq::{ConnectError, StreamBounds};

use crate::{
    error::{CliError, Exit, chain},
    output::Output,
    words,
};

/// How long a broker is waited for that does not answer: it may start at the same time as we.
const PATIENCE: Duration = Duration::from_secs(15);

/// The pause between two tries.
const AGAIN: Duration = Duration::from_millis(500);

/// Which broker.
#[derive(Clone, Debug, Args)]
pub(crate) struct BrokerArg {
    /// The RabbitMQ (3.10 or later) over which nodes and workers reach each other:
    /// amqp://USER:PASSWORD@HOST:PORT/VHOST, with %2f for the vhost /, which one log has for itself
    // Its value may have a password in it, so the help does not show what the variable holds.
    #[arg(
        long = "broker",
        env = "SAGALOG_BROKER",
        hide_env_values = true,
        value_name = "URL"
    )]
    url: Option<String>,
}

impl BrokerArg {
    /// Whether one was named.
    pub(crate) fn is_given(&self) -> bool {
        self.url.is_some()
    }

    /// Its address, for what cannot be without one.
    pub(crate) fn named(&self) -> Result<&str, CliError> {
        self.url.as_deref().ok_or_else(|| {
            CliError::new("no_broker_named", Exit::Usage, "no broker was named")
                .fix("give it with --broker amqp://…, or set SAGALOG_BROKER")
        })
    }

    /// The transport over it, if one was named.
    pub(crate) async fn transport(
        &self,
        output: Output,
    ) -> Result<Option<Arc<dyn Transport>>, CliError> {
        match &self.url {
            Some(url) => Ok(Some(connect(url, output).await?)),
            None => Ok(None),
        }
    }

    /// The streams of the published log on it, if one was named; those that are made keep so much.
    pub(crate) async fn streams(
        &self,
        bounds: StreamBounds,
        output: Output,
    ) -> Result<Option<Arc<dyn LogStreams>>, CliError> {
        match &self.url {
            Some(url) => Ok(Some(connect_streams(url, bounds, output).await?)),
            None => Ok(None),
        }
    }
}

/// Whether the log is published.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct PublishedArg {
    /// Does not publish the log to streams of the broker, log.0, log.1, …, which others may follow
    #[arg(long)]
    no_published_log: bool,
}

impl PublishedArg {
    /// Whether it is, if there is a broker.
    pub(crate) fn is_wanted(self) -> bool {
        !self.no_published_log
    }
}

/// How much of the published log its streams keep.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct KeptArg {
    /// How much the stream of each partition keeps, as 512MiB or 10GiB; all nodes of a log say the same
    #[arg(
        long = "published-size",
        value_name = "SIZE",
        value_parser = kept_size,
        default_value = "1GiB",
        conflicts_with = "no_published_log"
    )]
    size: u64,
    /// How old what it keeps may be, as 12h or 30d; all nodes of a log say the same
    #[arg(
        long = "published-age",
        value_name = "AGE",
        value_parser = kept_age,
        default_value = "7d",
        conflicts_with = "no_published_log"
    )]
    age: Duration,
}

impl KeptArg {
    pub(crate) fn bounds(self) -> StreamBounds {
        let usual = StreamBounds::default();
        StreamBounds {
            bytes_max: self.size,
            age_max: self.age,
            // The broker keeps the last segment whatever its size.
            segment_bytes: usual.segment_bytes.min(self.size / SEGMENTS_MIN),
        }
    }
}

/// Segments of the smallest streams; whole ones are cut off.
const SEGMENTS_MIN: u64 = 4;

/// The least that a stream may keep.
const KEPT_MIN: u64 = 4 << 20;

fn kept_size(text: &str) -> Result<u64, String> {
    let size = words::to_bytes(text).ok_or("it is no size, as 512MiB or 10GiB")?;
    if size < KEPT_MIN {
        return Err("a stream keeps 4MiB at least".to_owned());
    }
    Ok(size)
}

fn kept_age(text: &str) -> Result<Duration, String> {
    let age = words::to_span(text).ok_or("it is no span, as 90s, 15m, 12h or 30d")?;
    if age.is_zero() {
        return Err("a stream keeps what came in the last second at least".to_owned());
    }
    Ok(age)
}

/// The transport over the broker at this address, which is waited for if it does not answer.
pub(crate) async fn connect(url: &str, output: Output) -> Result<Arc<dyn Transport>, CliError> {
    let connected = waited_for(async || RabbitMq::connect(url).await, output);
    Ok(Arc::new(connected.await?))
}

/// The streams of the published log on the broker at this address, which is waited for as well.
pub(crate) async fn connect_streams(
    url: &str,
    bounds: StreamBounds,
    output: Output,
) -> Result<Arc<dyn LogStreams>, CliError> {
    let connect = async || RabbitStreams::connect_with(url, bounds).await;
    let connected = waited_for(connect, output);
    Ok(Arc::new(connected.await?))
}

async fn waited_for<T>(
    connect: impl AsyncFn() -> Result<T, ConnectError>,
    output: Output,
) -> Result<T, CliError> {
    let began = Instant::now();
    let mut is_told = false;
    loop {
        match connect().await {
            Ok(connected) => return Ok(connected),
            Err(ConnectError::Unreachable { broker, .. }) if began.elapsed() < PATIENCE => {
                if !is_told {
                    output.say(format_args!(
                        "waiting for the broker at {broker}, {} s at most",
                        PATIENCE.as_secs()
                    ));
                    is_told = true;
                }
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

impl From<ConnectError> for CliError {
    fn from(error: ConnectError) -> Self {
        let (code, exit) = match &error {
            ConnectError::BadUrl { .. } => ("bad_broker", Exit::Usage),
            ConnectError::Unreachable { .. } => ("broker_unavailable", Exit::Failed),
            ConnectError::TooOld { .. } => ("broker_too_old", Exit::Failed),
            _ => ("broker_refuses", Exit::Failed),
        };
        Self::new(code, exit, chain(&error))
    }
}
