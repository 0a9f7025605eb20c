//! The program `sagalog`, as a library: every command, for your own binary with your own sagas.
//!
//! ```no_run
//! # use sagalog::{Attempt, BadDefinition, Definition, Failure, Saga, Step, Worker};
//! # const GREETING: Saga<String, String> = Saga::new("greeting");
//! # const GREET: Step<String, String> = Step::new("greeter.greet").read_only();
//! # fn greeting() -> Result<Definition<String, String>, BadDefinition> {
//! #     let (mut saga, name) = GREETING.define(1);
//! #     let greeted = saga.step("greet", GREET, name);
//! #     saga.returns(greeted)
//! # }
//! # async fn greet(_: Attempt, name: String) -> Result<String, Failure> { Ok(name) }
//! fn main() -> std::process::ExitCode {
//!     let greeting = greeting().expect("the definition is sound");
//!     let worker = Worker::new().action(GREET, greet);
//!     sagalog_cli::main(sagalog_cli::App::new().saga(greeting).worker(worker))
//! }
//! ```
//!
//! Data goes to stdout, talk to stderr; `-o json` is a stable contract, text is for people. What the
//! exit codes mean is said by [`Exit`].

pub mod app;
pub mod error;
pub mod output;

pub mod bench;
pub mod demo;

mod alone;
mod args;
mod at_rest;
mod breaker;
mod broker;
mod config;
mod log;
mod new_log;
mod stop;
mod telemetry;
mod words;

mod capture;
mod def;
mod dlq;
mod graph;
mod history;
mod message;
mod metrics;
mod node;
mod participant;
mod request;
mod saga;
mod shell;
mod sim;
mod view;
mod when;
mod who;
mod worker;

pub use app::{App, main, main_with};
pub use def::{FleetReport, VersionReport};
pub use error::{CliError, Exit};
pub use output::{Format, Output};

const _: () = assert!(
    !sagalog_engine::HAS_PLANTED_BUGS,
    "the program is never built with planted bugs: build it without the feature `mutants`"
);
