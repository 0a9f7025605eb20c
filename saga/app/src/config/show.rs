//! `sagalog config view`

use std::{ffi::OsString, process::ExitCode};

use super::{
    CONFIGURED, ConfigArg, NotLoaded,
    settings::{Settings, Source},
};
use crate::{
    error::{CliError, Exit},
    output::{Output, columns},
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The command whose values are shown
    #[arg(default_value = CONFIGURED[0], value_parser = CONFIGURED, value_name = "COMMAND")]
    command: String,
    /// Options that the command would have
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<OsString>,
}

pub(super) fn run(args: &Args, config: &ConfigArg, output: Output) -> Result<ExitCode, CliError> {
    let mut line = vec![OsString::from("sagalog"), args.command.clone().into()];
    if let Some(file) = &config.file {
        line.extend(["--config".into(), file.into()]);
    }
    line.extend(args.options.iter().cloned());
    let settings = match super::understood(&line) {
        Ok(understood) => understood.settings,
        Err(NotLoaded::Config(error)) => return Err(error),
        Err(NotLoaded::Usage(error)) => {
            let _ = error.print();
            return Ok(Exit::Usage.into());
        }
    };
    tell(&settings, output)?;
    Ok(Exit::Done.into())
}

fn tell(settings: &Settings, output: Output) -> Result<(), CliError> {
    let shown: Vec<_> = settings
        .all
        .iter()
        .map(super::settings::Setting::masked)
        .collect();
    if output.is_json() {
        return output.json(&shown);
    }
    let mut table = columns(["KEY", "VALUE", "FROM"]);
    for setting in shown {
        table.add_row([
            setting.key,
            setting.value.unwrap_or_else(|| "-".to_owned()),
            setting.source.to_string(),
        ]);
    }
    output.line(table.trim_fmt())
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Option => f.write_str("option"),
            Self::Environment { variable } => write!(f, "{variable} (environment)"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Usual => f.write_str("usual"),
            Self::Nothing => f.write_str("not set"),
        }
    }
}
