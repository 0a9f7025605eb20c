//! What the transport over RabbitMQ survives: messages and brokers that are not as they should be.

#[path = "../broker/mod.rs"]
mod broker;
mod input;
mod refusal;
mod support;
