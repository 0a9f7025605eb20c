//! A connection that is made again when it is lost.
//!
//! Whoever needs the connection next makes it, with growing delays. A try that has begun is ended also
//! when nobody waits for it any more: a broker that takes longer than a caller's patience would never be
//! reached otherwise.
//!
//! The client library's own recovery is off, as it replays what this side has not agreed to.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    address::{Address, ConnectError},
    topology::Topology,
};

/// How long a caller waits for the broker before it is told that the broker is not there.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long one try to connect may take.
const CONNECTING: Duration = Duration::from_secs(4);

/// The longest delay between two tries, before jitter, which adds up to as much again at most.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// Why the broker cannot be used now.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A connection for one purpose that is made again when it is lost.
pub(super) struct Link {
    address: Arc<Address>,
    topology: Arc<Topology>,
    purpose: &'static str,
    state: Arc<Mutex<State>>,
    closed: CancellationToken,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// The delays that are left; none while all is well.
    delays: Option<ExponentialBackoff>,
}

impl Link {
    pub(super) fn new(
        address: Arc<Address>,
        topology: Arc<Topology>,
        purpose: &'static str,
        closed: CancellationToken,
    ) -> Self {
        Self {
            address,
            topology,
            purpose,
            state: Arc::default(),
            closed,
        }
    }

    /// The first connection: it fails at once, with what a person can do about it.
    pub(super) async fn open(&self) -> Result<(), ConnectError> {
        let connection = self.connect().await?;
        self.topology.restore(&connection).await?;
        self.state.lock().await.connection = Some(Arc::new(connection));
        Ok(())
    }

    /// The connection, made again if it was lost.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>, Cause> {
        let connecting = timeout(PATIENCE, async {
            loop {
                let state = self.state.clone().lock_owned().await;
                if let Some(connection) = state.usable() {
                    return connection;
                }
                let (link, closed) = (self.clone(), self.closed.clone());
                let trying = async move { link.try_once(state).await };
                // It says itself how it went, in the state.
                _ = tokio::spawn(closed.run_until_cancelled_owned(trying)).await;
            }
        });
        connecting
            .await
            .map_err(|_| format!("{} does not answer", self.address).into())
    }

    /// A new channel on it.
    pub(super) async fn channel(self: &Arc<Self>) -> Result<Channel, Cause> {
        let connection = self.connection().await?;
        let channel = timeout(PATIENCE, connection.create_channel()).await;
        let why: Cause = match channel {
            Ok(Ok(channel)) => return Ok(channel),
            // Also when it has no more channels, as some were never answered.
            Ok(Err(error)) => error.into(),
            Err(_) => format!("{} does not answer", self.address).into(),
        };
        self.drop_connection(&connection).await;
        Err(why)
    }

    /// Gives a connection up on which something is wrong; the next caller makes another.
    pub(super) async fn drop_connection(&self, wrong: &Arc<Connection>) {
        let mut state = self.state.lock().await;
        let current = state.connection.as_ref();
        if current.is_some_and(|current| Arc::ptr_eq(current, wrong)) {
            state.connection = None;
            // The client library keeps a connection and its thread while a channel of it waits for
            // an answer, also when all of them were dropped.
            tokio::spawn(close(wrong.clone()));
        }
    }

    /// Ends it in peace, within a bound.
    pub(super) async fn close(&self) {
        let connection = self.state.lock().await.connection.take();
        if let Some(connection) = connection {
            close(connection).await;
        }
    }

    async fn try_once(&self, mut state: OwnedMutexGuard<State>) {
        if state.connection.take().is_some() {
            warn!(broker = %self.address, purpose = self.purpose, "the connection was lost");
        }
        // Also the first try waits: all who lost the same broker come back at once otherwise.
        let delays = state.delays.get_or_insert_with(delays);
        sleep(delays.next().unwrap_or(DELAY_MAX)).await;
        let made = async {
            let connection = self.connect().await.map_err(Cause::from)?;
            self.topology.restore(&connection).await?;
            Ok::<_, Cause>(connection)
        };
        match made.await {
            Ok(connection) => {
                info!(broker = %self.address, purpose = self.purpose, "connected again");
                *state = State {
                    connection: Some(Arc::new(connection)),
                    delays: None,
                };
            }
            Err(error) => {
                warn!(broker = %self.address, purpose = self.purpose, error, "not connected yet");
            }
        }
    }

    async fn connect(&self) -> Result<Connection, ConnectError> {
        let name = format!("sagalog {}", self.purpose);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connecting = Connection::connect_uri(self.address.uri(), properties);
        let connected = timeout(CONNECTING, connecting).await;
        let connected = connected.unwrap_or_else(|late| Err(std::io::Error::other(late).into()));
        connected.map_err(|error| self.address.explain(error))
    }
}

impl State {
    fn usable(&self) -> Option<Arc<Connection>> {
        let connection = self.connection.as_ref()?;
        connection.status().connected().then(|| connection.clone())
    }
}

async fn close(connection: Arc<Connection>) {
    // The broker may be gone, which ends it as well.
    _ = timeout(PATIENCE, connection.close(200, "closed".into())).await;
}

fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(DELAY_MAX)
        .without_max_times()
        .with_jitter()
        .build()
}
