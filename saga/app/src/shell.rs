//! What a shell and `man` know of the program, made from the tree of commands.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap_complete::Shell;

use crate::{
    config::settings,
    error::{CliError, Exit},
    output::Output,
};

/// What the program is called there.
const NAME: &str = "sagalog";

/// Options of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Options of `man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The folder that gets a page for each command; without it the first page goes to stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Writes the completions of a shell.
pub(crate) fn completions(args: &Completions, output: Output) -> Result<ExitCode, CliError> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut tree(), NAME, &mut text);
    output.print(String::from_utf8_lossy(&text))?;
    Ok(Exit::Done.into())
}

/// Writes the pages.
pub(crate) fn man(args: &Man, output: Output) -> Result<ExitCode, CliError> {
    match &args.out {
        Some(folder) => {
            fs::create_dir_all(folder)?;
            clap_mangen::generate_to(tree(), folder)?;
            output.say(format_args!("the pages are in {}", folder.display()));
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(tree()).render(&mut page)?;
            io::stdout().lock().write_all(&page)?;
        }
    }
    Ok(Exit::Done.into())
}

fn tree() -> clap::Command {
    settings::tree().name(NAME)
}
