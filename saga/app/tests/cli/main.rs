//! The program from outside: what it prints, what it exits with, and whom it reaches.

mod agency;
#[path = "../../../../transport/tests/broker/mod.rs"]
mod broker;
mod bulk;
mod over_broker;
mod postgres;
mod program;

mod config;
mod copy;
mod def;
mod dlq;
mod dry_run;
mod export;
mod held;
mod history;
mod list;
mod log;
mod message;
mod node;
mod operate;
mod participant;
mod request;
mod show;
mod telemetry;
mod usage;
mod view;
mod watch;
mod why;
