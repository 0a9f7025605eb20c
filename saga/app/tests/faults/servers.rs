//! The servers that all of these tests share, one test at a time: what one of them measures is not
//! the load of another.

use std::sync::LazyLock;

use sagalog_eventlog::test_servers::PostgresServer;
use tokio::{
    sync::{Mutex, MutexGuard},
    task::block_in_place,
};

use crate::{
    broker::{Broker, proxy::Proxy},
    demo_support::Place,
};

/// A vhost for each test.
const TESTS: usize = 32;

/// PostgreSQL and RabbitMQ.
pub(crate) struct Servers {
    database: PostgresServer,
    broker: Broker,
    database_is_down: bool,
    broker_is_down: bool,
}

impl Servers {
    /// Waits until no other test has them; whatever the last one left down is up again.
    pub(crate) async fn turn() -> MutexGuard<'static, Self> {
        static SERVERS: LazyLock<Mutex<Servers>> = LazyLock::new(|| {
            Mutex::new(Servers {
                database: PostgresServer::start(),
                broker: Broker::start(TESTS),
                database_is_down: false,
                broker_is_down: false,
            })
        });
        let mut servers = block_in_place(|| &*SERVERS).lock().await;
        servers.start_database();
        servers.start_broker();
        servers
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
