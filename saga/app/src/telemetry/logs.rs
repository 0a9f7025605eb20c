//! Log lines: how they look, and which there are, which may change while the process runs.

use std::{io::stderr, sync::OnceLock};

use clap::ValueEnum;
use tracing_subscriber::{
    Layer, Registry, filter::Targets, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// The form of log lines on stderr.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object for each line, with the ids of what it is about.
    Json,
}

/// Which lines there are, which can be changed while they are told.
#[derive(Clone)]
pub(crate) struct Levels {
    handle: reload::Handle<Targets, Registry>,
    format: LogFormat,
}

/// The option for it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LevelsArg {
    /// What is said on stderr meanwhile: a level, and others for parts of the program, as warn,sagalog=info. It
    /// changes with the configuration's file at SIGHUP; RUST_LOG is used where this is not given
    #[arg(long, value_name = "LEVELS", value_parser = levels)]
    #[allow(dead_code, reason = "it is read from the settings, as it changes")]
    levels: Option<String>,
}

fn levels(text: &str) -> Result<String, String> {
    match text.parse::<Targets>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}: write it as warn,sagalog=info")),
    }
}

/// Those of the process.
static LEVELS: OnceLock<Levels> = OnceLock::new();

impl Levels {
    /// Those of this process; none if another program set up its own.
    pub(crate) fn of_the_process() -> Option<&'static Self> {
        LEVELS.get()
    }

    /// As `warn,sagalog::driver=debug`: a level for all, and others for some components.
    pub(crate) fn shown(&self) -> String {
        let shown = self.handle.with_current(ToString::to_string);
        shown.unwrap_or_default()
    }

    /// Tells this from now on; what is usual if nothing is named.
    pub(crate) fn set(&self, named: Option<&str>) {
        let named = named.and_then(|named| named.parse().ok());
        // Where a program has set up its own, there is nothing to change.
        let _ = self
            .handle
            .reload(named.unwrap_or_else(|| usual(self.format)));
    }

    /// Tells this from now on.
    ///
    /// # Errors
    /// Why it does not read; what was told stays.
    pub(crate) fn try_set(&self, named: &str) -> Result<(), String> {
        let named = levels(named.trim())?;
        self.set(Some(&named));
        Ok(())
    }
}

/// Warnings go to stderr, and whatever else `RUST_LOG` names, such as `sagalog=info`.
pub(crate) fn to_stderr(format: LogFormat) -> Levels {
    let (shown, handle) = reload::Layer::new(usual(format));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_ansi(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    let levels = Levels { handle, format };
    // A program that has set up its own keeps it.
    let set_up = tracing_subscriber::registry()
        .with(shown.and_then(lines))
        .try_init();
    if set_up.is_ok() {
        _ = LEVELS.set(levels.clone());
    }
    levels
}

fn usual(format: LogFormat) -> Targets {
    let named = std::env::var("RUST_LOG")
        .ok()
        .and_then(|named| named.parse().ok());
    let usual = match format {
        LogFormat::Text => TEXT,
        LogFormat::Json => JSON,
    };
    named.unwrap_or_else(|| usual.parse().expect("a constant that a test reads"))
}

/// A slow statement of the store is no news to whoever runs a command. What the broker's client library
/// notices is said by the transport, with what follows from it and without what is in the messages. What names
/// the call that a line is of is for machines.
const TEXT: &str = "warn,sqlx=error,lapin=off,sagalog::call=off";

const JSON: &str = "warn,sqlx=error,lapin=off";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_reads() {
        for usual in [TEXT, JSON] {
            usual.parse::<Targets>().expect("it reads");
        }
    }
}
