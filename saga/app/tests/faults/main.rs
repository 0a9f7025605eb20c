//! The demo's shop with everything it stands on in processes of its own: two nodes that start and drive
//! orders, a worker, PostgreSQL and RabbitMQ. Each is killed, stopped and cut off again and again while
//! orders keep coming, and in the end nothing is missing and nothing happened twice.
//!
//! Both servers are started for it, see `eventlog/src/test_servers.rs` and `transport/tests/broker`.

#[path = "../../../../transport/tests/broker/mod.rs"]
mod broker;
#[path = "../demo_support/mod.rs"]
mod demo_support;
mod seen;
mod servers;
mod shop;

mod demo;
mod kills;
mod outages;
mod refused;
mod stops;
mod telling;
