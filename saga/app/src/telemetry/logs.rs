//! What the runtime tells about itself while it works.

use std::io::stderr;

use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// Warnings go to stderr, and whatever else `RUST_LOG` names, such as `sagalog=info`.
pub(crate) fn to_stderr() {
    let named = std::env::var("RUST_LOG")
        .ok()
        .and_then(|named| named.parse::<Targets>().ok());
    let shown = named.unwrap_or_else(|| USUAL.parse().expect("a constant that a test reads"));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_ansi(false);
    // A program that has set up its own keeps it.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(shown)
        .try_init();
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
