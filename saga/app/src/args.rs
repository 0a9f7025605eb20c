//! The tree of commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    App, bench, breaker, capture,
    config::{self, ConfigArg},
    def, demo, dlq,
    error::CliError,
    graph, history, message, metrics, node,
    output::{Format, Output},
    participant, request, saga, shell, sim,
    telemetry::LogFormat,
    view, worker,
};

/// Runs sagas on an event log, and shows what it holds.
#[derive(Debug, Parser)]
#[command(version, after_help = EXITS)]
pub(crate) struct Cli {
    /// The form of the answer: text for people, or JSON with stable fields
    #[arg(
        short = 'o',
        long = "format",
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t
    )]
    output: Format,
    /// The same as `-o json`
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
    /// The form of log lines on stderr: text for people, or a JSON object for each line
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        env = "SAGALOG_LOG_FORMAT",
        default_value_t
    )]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sagas: list, look at, mend
    #[command(subcommand)]
    Saga(saga::Command),
    /// Inputs that could not be processed and hold their sagas: list, release, edit, drop
    #[command(subcommand)]
    Held(saga::held::Command),
    /// The log itself: read, verify, copy
    #[command(subcommand)]
    Log(history::Command),
    /// A saga's history as a file that others can check, decided again: export, view, verify, replay
    #[command(subcommand)]
    History(capture::Command),
    /// Dead letters: messages that nobody could use
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Starts and signals of callers' own transactions that were refused: list, retry, drop
    #[command(subcommand)]
    Request(request::Command),
    /// Messages that sagas have sent and taken: by sender, receiver, type, time, conversation, and what they carry
    #[command(subcommand)]
    Message(message::Command),
    /// Participants: which are there, what they can do, and how they answered
    #[command(subcommand)]
    Participant(participant::Command),
    /// Breakers of participants: how they stand, open one by hand, reset it
    #[command(subcommand)]
    Breaker(breaker::Command),
    /// Views: tables beside the log that answer questions about many sagas at once
    #[command(subcommand)]
    View(view::Command),
    /// Metrics: what a node shows of them, and the dashboard and alert rules that go with them
    #[command(subcommand)]
    Metrics(metrics::Command),
    /// Definitions: which there are, who runs which version, whether another build may take over
    #[command(subcommand)]
    Def(def::Command),
    /// A definition as text or as a flowchart
    Graph(graph::Args),
    /// Drives the sagas of a log until told to stop, alone or with other nodes
    #[command(visible_alias = "serve")]
    Node(node::Args),
    /// Performs steps for nodes in other processes, until told to stop
    Worker(worker::Args),
    /// What a file, the environment and options say together: view, check
    #[command(subcommand)]
    Config(config::Command),
    /// Writes what a shell needs to complete commands
    Completions(shell::Completions),
    /// Writes the manual's pages
    Man(shell::Man),
    /// Tries a saga under every plan of few faults, in a simulated world
    Sim(sim::Args),
    /// Shows what this program is about, with a saga that goes wrong
    Demo(demo::Args),
    /// Measures how many sagas a second this machine runs
    Bench(bench::Args),
}

impl Cli {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }

    /// Whether it runs until it is told to stop, and so may read its configuration again.
    pub(crate) const fn runs_for_long(&self) -> bool {
        matches!(self.command, Command::Node(_) | Command::Worker(_))
    }

    pub(crate) const fn log_format(&self) -> LogFormat {
        self.log_format
    }

    pub(crate) async fn run(self, app: &App, output: Output) -> Result<ExitCode, CliError> {
        match self.command {
            Command::Saga(command) => command.run(app, output).await,
            Command::Held(command) => command.run(app, output).await,
            Command::Log(command) => command.run(output).await,
            Command::History(command) => command.run(app, output).await,
            Command::Dlq(command) => command.run(app, output).await,
            Command::Request(command) => command.run(output).await,
            Command::Message(command) => command.run(output).await,
            Command::Participant(command) => command.run(app, output).await,
            Command::Breaker(command) => command.run(app, output).await,
            Command::View(command) => command.run(output).await,
            Command::Metrics(command) => command.run(output),
            Command::Def(command) => command.run(app, output).await,
            Command::Graph(args) => graph::run(args, app, output).await,
            Command::Node(args) => node::run(args, app, output).await,
            Command::Worker(args) => worker::run(args, app, output).await,
            Command::Config(command) => command.run(&self.config, output),
            Command::Completions(args) => shell::completions(&args, output),
            Command::Man(args) => shell::man(&args, output),
            Command::Sim(args) => sim::run(&args, app, output),
            Command::Demo(args) => demo::run(args, app, output).await,
            Command::Bench(args) => bench::run(args, app, output).await,
        }
    }
}

const EXITS: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 5 conflict, 6 timeout, 7 the saga went back";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_tree_is_sound() {
        super::Cli::command().debug_assert();
    }
}
