//! What the transport over RabbitMQ survives: wires that are cut or freeze, a broker
//! that is killed or short of memory, messages and brokers that are not as they should be.

#[path = "../broker/mod.rs"]
mod broker;
mod input;
mod kill;
mod leader;
mod loss;
mod refusal;
mod support;
