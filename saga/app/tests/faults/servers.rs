//! The servers that these tests share: one test at a time has a pair of them, and may kill it. There are two
//! pairs, as much of a test is waiting for a lease to be over or a broker to start.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
};

use sagalog_eventlog::test_servers::PostgresServer;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::block_in_place,
};

use crate::{
    broker::{Broker, proxy::Proxy},
    demo_support::Place,
};

/// A vhost for each test. Every start of the broker costs time for each.
const TESTS: usize = 18;

/// Pairs of servers.
const PAIRS: usize = 2;

/// How many more tests may have one.
static FREE: Semaphore = Semaphore::const_new(PAIRS);

/// The pairs that no test has at the moment.
static IDLE: Mutex<Vec<Servers>> = Mutex::new(Vec::new());

/// PostgreSQL and RabbitMQ.
pub(crate) struct Servers {
    database: PostgresServer,
    broker: Broker,
    database_is_down: bool,
    broker_is_down: bool,
}

/// A pair that one test has.
pub(crate) struct Turn {
    servers: Option<Servers>,
    _place: SemaphorePermit<'static>,
}

impl Servers {
    /// Waits until a pair is free; whatever the last test left down is up again.
    pub(crate) async fn turn() -> Turn {
        let place = FREE.acquire().await.expect("it is never closed");
        let idle = idle().pop();
        let mut servers = idle.unwrap_or_else(|| block_in_place(Self::start));
        servers.start_database();
        servers.start_broker();
        Turn {
            servers: Some(servers),
            _place: place,
        }
    }

    fn start() -> Self {
        Self {
            database: PostgresServer::start(),
            broker: Broker::start(TESTS),
            database_is_down: false,
            broker_is_down: false,
        }
    }

    /// A place with a database and a vhost of its own.
    pub(crate) fn new_place(&self, name: &str, orders: &str) -> Place {
        Place::on_servers(orders, self.new_database(name), self.broker.url())
    }

    pub(crate) fn new_database(&self, name: &str) -> String {
        block_in_place(|| self.database.new_database(name))
    }

    /// The address of a vhost.
    pub(crate) fn broker(&self) -> String {
        self.broker.url_of(self.broker.port(), "v0")
    }

    /// The address of a database of this server.
    pub(crate) fn database(&self, name: &str) -> String {
        self.database.url(name)
    }

    /// A wire to the broker, and the address of the vhost of `url` at its other end.
    pub(crate) async fn wire(&self, url: &str) -> (Proxy, String) {
        let proxy = Proxy::to(self.broker.port()).await;
        let port = |port| format!(":{port}/");
        let url = url.replace(&port(self.broker.port()), &port(proxy.port()));
        (proxy, url)
    }

    pub(crate) fn kill_database(&mut self) {
        self.database_is_down = true;
        block_in_place(|| self.database.kill());
    }

    /// Starts it if it was killed, and waits until it answers.
    pub(crate) fn start_database(&mut self) {
        if self.database_is_down {
            block_in_place(|| self.database.restart());
            self.database_is_down = false;
        }
    }

    pub(crate) fn kill_broker(&mut self) {
        self.broker_is_down = true;
        block_in_place(|| self.broker.kill());
    }

    /// Starts it if it was killed, and waits until it greets.
    pub(crate) fn start_broker(&mut self) {
        if self.broker_is_down {
            block_in_place(|| self.broker.start_again());
            self.broker_is_down = false;
        }
    }

    pub(crate) fn raise_alarm(&self) {
        block_in_place(|| self.broker.raise_memory_alarm());
    }

    pub(crate) fn clear_alarm(&self) {
        block_in_place(|| self.broker.clear_memory_alarm());
    }

    /// Waits until the broker would find the queues and streams of this vhost again if it was killed.
    pub(crate) fn wait_until_written(&self, url: &str) {
        let (_, vhost) = url.rsplit_once('/').expect("it names a vhost");
        let inboxes = (0..16).map(|number| format!("inbox.{number}"));
        let commands = ["inventory", "payments", "shipping", "mail"];
        let commands = commands.map(|participant| format!("cmd.{participant}"));
        for queue in inboxes.chain(commands) {
            let queue = format!("{vhost}_{queue}");
            block_in_place(|| self.broker.wait_until_written(&queue));
        }
        block_in_place(|| self.broker.wait_until_streams_are_written());
    }
}

fn idle() -> MutexGuard<'static, Vec<Servers>> {
    // A test that fails gives its pair back all the same.
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deref for Turn {
    type Target = Servers;

    fn deref(&self) -> &Servers {
        self.servers.as_ref().expect("it is there until the end")
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut Servers {
        self.servers.as_mut().expect("it is there until the end")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        idle().extend(self.servers.take());
    }
}
