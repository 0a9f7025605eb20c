//! A runtime over RabbitMQ, with its workers in the same and in another process, or in another language. A broker is started
//! for it, see `transport/tests/broker`.

#[path = "../../../../transport/tests/broker/mod.rs"]
mod broker;
mod by_hand;
mod dead_letters;
#[path = "../../examples/follower.rs"]
mod follower;
mod guide;
mod other;
mod processes;
mod published;
mod python;
mod remote;
mod trip;
