//! What the runtime tells about itself while it works.

use std::io::stderr;

use tracing_subscriber::{
    Registry, filter::Targets, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// What is told, which can be changed while it is told.
#[derive(Clone)]
pub(crate) struct Levels(reload::Handle<Targets, Registry>);

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

/// Warnings go to stderr, and whatever else `RUST_LOG` names, such as `sagalog=info`.
pub(crate) fn to_stderr() -> Levels {
    let (shown, handle) = reload::Layer::new(usual());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_ansi(false);
    // A program that has set up its own keeps it.
    let _ = tracing_subscriber::registry()
        .with(shown)
        .with(lines)
        .try_init();
    Levels(handle)
}

impl Levels {
    /// Tells this from now on; what is usual if nothing is named.
    pub(crate) fn set(&self, named: Option<&str>) {
        let named = named.and_then(|named| named.parse().ok());
        // Where a program has set up its own, there is nothing to change.
        let _ = self.0.reload(named.unwrap_or_else(usual));
    }
}

fn usual() -> Targets {
    let named = std::env::var("RUST_LOG")
        .ok()
        .and_then(|named| named.parse().ok());
    named.unwrap_or_else(|| USUAL.parse().expect("a constant that a test reads"))
}

/// A slow statement of the store is no news to whoever runs a command. What the broker's client library
/// notices is said by the transport, with what follows from it and without what is in the messages.
const USUAL: &str = "warn,sqlx=error,lapin=off";

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_usual_reads() {
        super::USUAL
            .parse::<tracing_subscriber::filter::Targets>()
            .expect("it reads");
    }
}
