//! The program `sagalog`: all commands, with the saga of the demo.

use std::process::ExitCode;

fn main() -> ExitCode {
    sagalog_cli::main(sagalog_cli::demo::app())
}
